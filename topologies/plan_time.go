package topologies

import (
	"slices"

	"github.com/millrace-io/millrace/rules"
)

// Progress is the topic in which the groups of an application announce their output times.
func Progress(app string) string { return app + ".progress" }

// progressPartitions is how many partitions that topic has; a group uses one of them.
const progressPartitions = 8

// Timed reports whether some rule has a time of its own, or keeps its records in order.
func (p *Plan) Timed() bool {
	return slices.ContainsFunc(p.Groups, func(g *Group) bool { return g.Stateful })
}

// announcements finds the writers of every topic that rules with a time of their own read, directly or by way of other
// rules, and says which groups have to announce their output times.
func (p *planner) announcements(set *rules.Set) {
	var todo []*Group
	for _, g := range p.plan.Groups {
		if g.Stateful {
			todo = append(todo, g)
		}
	}
	done := map[*Group]bool{}
	for ; len(todo) > 0; todo = todo[1:] {
		g := todo[0]
		if done[g] {
			continue
		}
		done[g] = true
		for _, in := range g.Inputs {
			in.Writers = p.writers(set, in)
			for _, w := range in.Writers {
				from := p.groups[w.group]
				from.Announces = true
				if !slices.Contains(from.Readers, g.Name) {
					from.Readers = append(from.Readers, g.Name)
				}
				todo = append(todo, from)
			}
		}
	}
	for _, g := range p.plan.Groups {
		slices.Sort(g.Readers)
		for _, in := range g.Inputs {
			in.Leads = g.leads(set, in)
		}
	}
}

// leads lists the inputs of the group whose records come, directly or not, of what its rules write for those of in.
func (g *Group) leads(set *rules.Set, in *Input) (out []*Input) {
	var reached []*rules.Stream
	follow := func(r *rules.Rule) {
		for _, rt := range r.AllRoutes() {
			reached = append(reached, rt.Stream)
		}
		if r.Late != nil {
			reached = append(reached, r.Late)
		}
	}
	for _, u := range in.Rules {
		follow(u.Rule)
	}
	for i := 0; i < len(reached); i++ { // streams have no cycles
		if slices.Contains(reached[:i], reached[i]) {
			continue
		}
		for _, r := range set.All() {
			if slices.ContainsFunc(r.Inputs, func(from rules.Input) bool { return from.Stream == reached[i] }) {
				follow(r)
			}
		}
	}
	for _, other := range g.Inputs {
		if slices.Contains(reached, other.Stream) {
			out = append(out, other)
		}
	}
	return out
}

// writers lists the writers of an input's topic, nil if they can not be waited for: the topic is a source, or some rule
// gives its records times that have nothing to do with those of its input.
func (p *planner) writers(set *rules.Set, in *Input) []writerGroup {
	var out []writerGroup
	if in.Rekeyed {
		m := p.moves[in.Topic]
		g := p.flowName(m.Stream.Domain, m.Stream, "")
		return []writerGroup{{m.Name, g, p.groups[g].Partitions}}
	}
	for _, r := range set.All() {
		if r.Late == in.Stream {
			return nil
		}
		writes := false
		for _, rt := range r.AllRoutes() {
			if rt.Stream == in.Stream {
				if rt.OwnTime {
					return nil
				}
				writes = true
			}
		}
		if !writes || r.Shadow {
			continue
		}
		if r.By != nil {
			g := p.groups[p.keyedName(r)]
			out = append(out, writerGroup{r.ID, g.Name, g.Partitions})
			continue
		}
		for _, from := range r.Inputs {
			g := p.groups[p.flowName(r.Domain, from.Stream, suffix(r))]
			out = append(out, writerGroup{writerName(r, from.Stream), g.Name, g.Partitions})
		}
	}
	return out
}

// writerName is the name of a rule in writer headers: several groups run a rule without state, one per input.
func writerName(r *rules.Rule, from *rules.Stream) string {
	if r.By == nil && len(r.Inputs) > 1 {
		return r.ID + "@" + from.Name
	}
	return r.ID
}

// sources says per input of a rule whether its records in this group come straight from a topic that goes by its records.
func (g *Group) sources(r *rules.Rule) []bool {
	out := make([]bool, len(r.Inputs))
	for _, in := range g.Inputs {
		for _, u := range in.Rules {
			if u.Rule == r {
				out[u.Input] = in.Writers == nil
			}
		}
	}
	return out
}
