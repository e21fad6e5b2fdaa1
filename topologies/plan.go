package topologies

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/millrace-io/millrace/rules"
)

// Plan is what a set of rules becomes on Kafka: groups, and the topics that they need. It is a plain value.
type Plan struct {
	App    string
	Groups []*Group // by name
	Topics []Topic  // by name; every topic that the rules touch
}

// Group is one consumer group: the rules of one domain over streams with one key.
type Group struct {
	Name       string
	Domain     string
	Rules      []*rules.Rule
	Inputs     []*Input // by topic
	Stateful   bool
	Partitions int32    // of every input
	Announces  bool     // rules with a time of their own read what it writes: it announces its output time
	Readers    []string // the groups of those rules, and of those that they wait for; by name
}

// Table is the group's changelog topic.
func (g *Group) Table() string { return g.Name + "-table" }

// Input is one topic of a group.
type Input struct {
	Topic   string
	Stream  *rules.Stream
	Rekeyed bool          // a repartition topic: its record key is the entity
	Rules   []use         // what runs on each record
	Moves   []*Move       // repartition topics that this group feeds from here
	Sole    bool          // no other group reads the topic
	Guard   bool          // this group dead-letters records of the stream that nobody can read
	Writers []writerGroup // of a topic whose time its writers announce; nil for one that goes by its records
	Leads   []*Input      // inputs of the same group that it leads to by way of the group's rules
}

// writerGroup is a writer of a topic in every partition of its group.
type writerGroup struct {
	name       string // as in the writer header
	group      string
	partitions int32
}

// use is a rule with the position of an input in it.
type use struct {
	Rule  *rules.Rule
	Input int
}

// keeps reports whether the rule takes the input as a table.
func (u *use) keeps() bool { return u.Rule.Keeps(u.Input) }

// Move is a repartition topic: the stream's records again, under another key or partitioner.
type Move struct {
	Topic  string
	Stream *rules.Stream
	Key    string // name part: the key field, or rekey and a hash
	Name   string // the writer's name in the writer header
	Uses   []use  // the rules that read it
}

// TopicKind says who owns a topic and how it is kept.
type TopicKind string

// The kinds of topics.
const (
	SourceTopic    TopicKind = "source"      // written by others
	DerivedTopic   TopicKind = "derived"     // written by rules, read by others
	MoveTopic      TopicKind = "repartition" // internal
	ProgressTopic  TopicKind = "progress"    // internal, compacted
	ChangelogTopic TopicKind = "changelog"   // internal, compacted
	DeadTopic      TopicKind = "dead"        // internal, read by operators
)

// Internal says whether millrace creates the topic itself.
func (k TopicKind) Internal() bool { return k != SourceTopic && k != DerivedTopic }

// Topic is a topic that the rules need.
type Topic struct {
	Name       string
	Kind       TopicKind
	Stream     *rules.Stream // of source, derived and repartition topics
	Partitions int32         // 0: nothing says how many
}

// NewPlan lays out the rules. partitions gives the partition count of a topic, 0 for one that does not exist yet;
// byDefault is taken for those.
func NewPlan(app string, set *rules.Set, partitions func(topic string) int32, byDefault int32) (*Plan, error) {
	p := &planner{plan: &Plan{App: app}, groups: map[string]*Group{}, moves: map[string]*Move{}, partitions: partitions, byDefault: byDefault}
	for _, r := range set.All() {
		if r.By == nil {
			p.stateless(r)
		}
	}
	for _, r := range set.All() {
		if r.By != nil {
			p.size(r)
		}
	}
	for _, r := range set.All() {
		if r.By != nil {
			if err := p.stateful(r); err != nil {
				return nil, err
			}
		}
	}
	p.finish()
	p.announcements(set)
	return p.plan, p.topics(set)
}

type planner struct {
	plan       *Plan
	groups     map[string]*Group
	moves      map[string]*Move // by topic
	partitions func(string) int32
	byDefault  int32
}

func (p *planner) count(s *rules.Stream) int32 {
	if s.Like != nil {
		return cmp.Or(p.partitions(s.Topic), p.count(s.Like))
	}
	return cmp.Or(p.partitions(s.Topic), s.Partitions, p.byDefault)
}

func suffix(r *rules.Rule) string {
	if r.Priority == "critical" {
		return ".critical"
	}
	return ""
}

func (p *planner) group(name, domain string, stateful bool) *Group {
	g := p.groups[name]
	if g == nil {
		g = &Group{Name: name, Domain: domain, Stateful: stateful}
		p.groups[name] = g
	}
	return g
}

func (g *Group) input(topic string, s *rules.Stream, rekeyed bool) *Input {
	for _, in := range g.Inputs {
		if in.Topic == topic {
			return in
		}
	}
	in := &Input{Topic: topic, Stream: s, Rekeyed: rekeyed}
	g.Inputs = append(g.Inputs, in)
	return in
}

func (g *Group) add(r *rules.Rule) {
	if !slices.Contains(g.Rules, r) {
		g.Rules = append(g.Rules, r)
	}
}

func (p *planner) flowName(domain string, s *rules.Stream, suffix string) string {
	return p.plan.App + "." + domain + "." + s.Name + ".flow" + suffix
}

func (p *planner) keyedName(r *rules.Rule) string {
	return p.plan.App + "." + r.Domain + "." + r.KeyName + suffix(r)
}

func (p *planner) flow(domain string, s *rules.Stream, suffix string) *Group {
	g := p.group(p.flowName(domain, s, suffix), domain, false)
	g.Partitions = p.count(s)
	return g
}

// stateless puts the rule into one flow group per input stream: each record stands alone.
func (p *planner) stateless(r *rules.Rule) {
	for i, in := range r.Inputs {
		g := p.flow(r.Domain, in.Stream, suffix(r))
		g.add(r)
		t := g.input(in.Stream.Topic, in.Stream, false)
		t.Rules = append(t.Rules, use{r, i})
	}
}

// size fixes the partition count of the rule's group: that of its table once it exists, the largest of its inputs
// before.
func (p *planner) size(r *rules.Rule) {
	g := p.group(p.keyedName(r), r.Domain, true)
	g.add(r)
	if n := p.partitions(g.Table()); n > 0 {
		g.Partitions = n
		return
	}
	for _, in := range r.Inputs {
		g.Partitions = max(g.Partitions, p.count(in.Stream))
	}
}

// stateful gives the rule's inputs to its group. Those under another key, from a foreign partitioner or with another
// partition count come through a repartition topic.
func (p *planner) stateful(r *rules.Rule) error {
	g := p.group(p.keyedName(r), r.Domain, true)
	for i, in := range r.Inputs {
		s := in.Stream
		keyed := !r.Rekey[i] && s.Partitioner != "any"
		if keyed && p.count(s) == g.Partitions {
			t := g.input(s.Topic, s, false)
			t.Rules = append(t.Rules, use{r, i})
			continue
		}
		m := p.move(r, i)
		if keyed && p.partitions(g.Table()) > 0 && p.partitions(m.Topic) == 0 {
			return &GrowthError{Group: g.Name, Topic: s.Topic, Had: g.Partitions, Has: p.count(s)}
		}
		t := g.input(m.Topic, s, true)
		t.Rules = append(t.Rules, use{r, i})
	}
	return nil
}

// GrowthError says that an input's partition count no longer fits the group's state: keys would move away from it.
type GrowthError struct {
	Group, Topic string
	Had, Has     int32
}

func (e *GrowthError) Error() string {
	return fmt.Sprintf("%s has %d partitions, but the state of %s is kept in %d: recreate the topic with %d, or delete the topic %s-table and the group's offsets to rebuild its state from the start",
		e.Topic, e.Has, e.Group, e.Had, e.Had, e.Group)
}

func (p *planner) move(r *rules.Rule, i int) *Move {
	s := r.Inputs[i].Stream
	name := s.Name + ".by." + r.Keys[i]
	topic := p.plan.App + "." + name
	m := p.moves[topic]
	if m == nil {
		m = &Move{Topic: topic, Stream: s, Key: r.Keys[i], Name: name}
		p.moves[topic] = m
		g := p.flow(s.Domain, s, "")
		t := g.input(s.Topic, s, false)
		t.Moves = append(t.Moves, m)
	}
	m.Uses = append(m.Uses, use{r, i})
	return m
}

// finish orders everything by name and gives each stream one group that answers for its unreadable records.
func (p *planner) finish() {
	p.plan.Groups = slices.SortedFunc(maps.Values(p.groups), func(a, b *Group) int { return cmp.Compare(a.Name, b.Name) })
	guarded, readers := map[string]bool{}, map[string]int{}
	for _, g := range p.plan.Groups {
		slices.SortFunc(g.Inputs, func(a, b *Input) int { return cmp.Compare(a.Topic, b.Topic) })
		for _, in := range g.Inputs {
			in.Guard = in.Rekeyed || !guarded[in.Topic]
			guarded[in.Topic] = true
			readers[in.Topic]++
		}
	}
	for _, g := range p.plan.Groups {
		for _, in := range g.Inputs {
			in.Sole = readers[in.Topic] == 1
		}
	}
}

// topics lists every topic once and refuses counts that do not fit together.
func (p *planner) topics(set *rules.Set) error {
	all := map[string]Topic{}
	for _, s := range set.AllStreams() {
		kind := DerivedTopic
		switch {
		case s.Like != nil:
			kind = MoveTopic
		case s.Source:
			kind = SourceTopic
		}
		all[s.Topic] = Topic{Name: s.Topic, Kind: kind, Stream: s, Partitions: p.count(s)}
	}
	for _, g := range p.plan.Groups {
		all[Dead(p.plan.App, g.Domain)] = Topic{Name: Dead(p.plan.App, g.Domain), Kind: DeadTopic}
		if g.Stateful {
			all[g.Table()] = Topic{Name: g.Table(), Kind: ChangelogTopic, Partitions: g.Partitions}
		}
		for _, in := range g.Inputs {
			all[Dead(p.plan.App, in.Stream.Domain)] = Topic{Name: Dead(p.plan.App, in.Stream.Domain), Kind: DeadTopic}
			if !in.Rekeyed {
				continue
			}
			if t, ok := all[in.Topic]; ok && t.Partitions != g.Partitions {
				return fmt.Errorf("%s is read by groups with %d and %d partitions: give the streams of %s the same number", in.Topic, t.Partitions, g.Partitions, g.Name)
			}
			all[in.Topic] = Topic{Name: in.Topic, Kind: MoveTopic, Stream: in.Stream, Partitions: g.Partitions}
		}
	}
	if p.plan.Timed() {
		all[Progress(p.plan.App)] = Topic{Name: Progress(p.plan.App), Kind: ProgressTopic, Partitions: progressPartitions}
	}
	for _, r := range set.All() {
		if r.Dead != "" {
			all[r.Dead] = Topic{Name: r.Dead, Kind: DeadTopic}
		}
	}
	p.plan.Topics = slices.SortedFunc(maps.Values(all), func(a, b Topic) int { return cmp.Compare(a.Name, b.Name) })
	return nil
}

// Dead is the dead-letter topic of a domain.
func Dead(app, domain string) string { return app + "." + domain + ".dead" }
