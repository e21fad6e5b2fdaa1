package nfa

import (
	"fmt"
	"slices"

	"github.com/millrace-io/millrace/rules"
)

// begin makes the branch of the start, where what lies before the first record does not matter.
func (k *compiler) begin(at int) (branch, error) {
	found, err := k.walk(at, path{contiguity: rules.Relaxed})
	if err != nil {
		return branch{}, err
	}
	if len(found) != 1 {
		return branch{}, fmt.Errorf("a pattern that begins in %d ways", len(found))
	}
	for i := range found[0].heads {
		found[0].heads[i].contiguity = rules.Relaxed
	}
	b, err := k.branch(&found[0])
	b.match = false
	return b, err
}

// branches makes what comes after the take before the instruction.
func (k *compiler) branches(at int) ([]branch, error) {
	found, err := k.walk(at, path{contiguity: rules.Relaxed})
	if err != nil {
		return nil, err
	}
	all := make([]branch, len(found))
	for i := range found {
		if all[i], err = k.branch(&found[i]); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// branch makes places of heads. A stage that must not come next ends all that began together.
func (k *compiler) branch(x *outcome) (branch, error) {
	b := branch{bounds: x.bounds, match: x.match}
	var firsts []int
	for i := range x.heads {
		firsts = append(firsts, x.heads[i].firsts...)
	}
	slices.Sort(firsts)
	firsts = slices.Compact(firsts)
	seen := map[string]bool{}
	for len(x.heads) > 0 {
		h := x.heads[0]
		p := place{contiguity: h.contiguity, firsts: firsts, bans: sorted(h.bans), guards: slices.Clone(h.guards), absence: h.absence, next: h.next, gap: h.gap}
		e := edge{sets: h.sets}
		var rest []head
		for i := range x.heads {
			if other := &x.heads[i]; i == 0 || together(&h, other) {
				k.join(&p, &e, other)
			} else {
				rest = append(rest, *other)
			}
		}
		x.heads = rest
		var err error
		if e.place, err = k.intern(p); err != nil {
			return b, err
		}
		if key := fmt.Sprint(e); !seen[key] {
			seen[key] = true
			b.edges = append(b.edges, e)
		}
	}
	return b, nil
}

// join adds a head to the place that it is one choice of.
func (k *compiler) join(p *place, e *edge, h *head) {
	if h.take < 0 {
		return
	}
	if o := (option{h.take, k.repeats(h)}); !slices.Contains(p.takes, o) {
		p.takes = append(p.takes, o)
	}
	if p.gap = max(p.gap, h.gap); h.gap == 0 || p.unbounded {
		p.gap, p.unbounded = 0, true
	}
	for _, s := range h.sets {
		if !slices.Contains(e.sets, s) {
			e.sets = append(slices.Clip(e.sets), s)
		}
	}
}

// together reports whether two heads are one choice of the next record.
func together(a, b *head) bool {
	return a.take >= 0 && b.take >= 0 && a.group != 0 && a.group == b.group && a.contiguity == b.contiguity && a.again == b.again &&
		slices.Equal(a.bans, b.bans) && slices.Equal(a.guards, b.guards)
}

// repeats reports whether the head waits for another record of a stage that is repeated by itself.
func (k *compiler) repeats(h *head) bool {
	l := k.auto.takes[h.take].loop
	return l != nil && h.again == l
}

func sorted(s []int) []int {
	s = slices.Clone(s)
	slices.Sort(s)
	return slices.Compact(s)
}

// intern finds a place, or adds it with those that runs go to from it.
func (k *compiler) intern(p place) (int, error) {
	for i := range p.guards {
		p.guards[i].lifted = 0
	}
	key := fmt.Sprint(p)
	if at, ok := k.interned[key]; ok {
		return at, nil
	}
	if len(k.auto.places) >= maxPlaces {
		return 0, errLarge
	}
	at := len(k.auto.places)
	k.interned[key] = at
	k.auto.places = append(k.auto.places, p)
	p.guards = slices.Clone(p.guards)
	if p.settled = at; len(p.firsts) > 0 {
		later := p
		later.firsts, later.guards, later.settled = nil, slices.Clone(p.guards), 0
		var err error
		if p.settled, err = k.intern(later); err != nil {
			return 0, err
		}
	}
	for i := range p.guards {
		free := p
		stage := p.guards[i].stage
		free.guards = slices.DeleteFunc(slices.Clone(p.guards), func(g guard) bool { return g.stage == stage })
		free.settled = 0
		var err error
		if p.guards[i].lifted, err = k.intern(free); err != nil {
			return 0, err
		}
	}
	k.auto.places[at] = p
	return at, nil
}
