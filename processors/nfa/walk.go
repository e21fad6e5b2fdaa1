package nfa

import (
	"fmt"
	"math"
	"slices"

	"github.com/millrace-io/millrace/rules"
)

// path is how the walk came from a capture to an instruction.
type path struct {
	contiguity rules.Contiguity
	group      int   // choice that the next record makes, 0 for none
	again      *loop // the path begins another iteration
	sets       []set
	bans       []int
	firsts     []int
	guards     []guard
	ends       []int // instructions passed, which a path passes once
}

// outcome is what a walk finds for registers within its bounds.
type outcome struct {
	bounds []bound
	match  bool
	heads  []head
}

// head is one way to wait for the next record.
type head struct {
	path
	take    int // -1 for none: absence or next
	absence bool
	next    bool
	gap     int64
}

// walk follows the program from an instruction to the next takes.
func (k *compiler) walk(at int, p path) ([]outcome, error) {
	if k.walked++; k.walked > maxWalk {
		return nil, errLarge
	}
	x := &k.program[at]
	switch x.op {
	case opTake:
		return []outcome{{heads: []head{{path: p, take: x.take, gap: k.stages[k.auto.takes[x.take].stage].Gap}}}}, nil
	case opMatch:
		return []outcome{{match: true}}, nil
	case opLink:
		p.contiguity, p.group, p.again = x.contiguity, 0, nil
		return k.walk(x.next[0], p)
	case opBegin:
		p.sets = append(slices.Clip(p.sets), set{register: x.loop.register})
		return k.walk(x.next[0], p)
	case opNot:
		return k.negated(x, p)
	case opChoice:
		if p.group == 0 {
			p.group = at + 1
		}
		return k.fork(x.next, p, nil)
	case opSplit:
		p.group = 0
		return k.fork(x.next, p, x.loop)
	case opEnd:
		if slices.Contains(p.ends, at) {
			return []outcome{{}}, nil
		}
		p.ends = append(slices.Clip(p.ends), at)
		return k.iterate(x.loop, p)
	}
	return nil, fmt.Errorf("no instruction %d", x.op)
}

// fork walks all ways; of a greedy repetition that may be left out the second is what follows it.
func (k *compiler) fork(ways []int, p path, greedy *loop) ([]outcome, error) {
	all := []outcome{{}}
	for i, way := range ways {
		some, err := k.walk(way, p)
		if err != nil {
			return nil, err
		}
		all = cross(all, some, greedy != nil && i == 1, k)
	}
	return all, nil
}

func (k *compiler) negated(x *instruction, p path) ([]outcome, error) {
	if x.strict {
		p.firsts = append(slices.Clip(p.firsts), x.stage)
	} else {
		p.bans = append(slices.Clip(p.bans), x.stage)
	}
	if k.program[x.next[0]].op == opMatch {
		return []outcome{{heads: []head{{path: p, take: -1, absence: !x.strict, next: x.strict, gap: k.stages[x.stage].Gap}}}}, nil
	}
	return k.walk(x.next[0], p)
}

// iterate walks what may come after an iteration: another one, or what follows the repetition.
func (k *compiler) iterate(l *loop, p path) ([]outcome, error) {
	again := p
	again.contiguity, again.group, again.again, again.bans = l.inner, 0, l, append(slices.Clip(p.bans), l.bans...)
	exit := p
	exit.group, exit.again = 0, nil
	if l.register < 0 {
		return k.both(l, again, exit, nil)
	}
	done := set{register: l.register, value: 1, add: true}
	var all []outcome
	add := func(low, high int64, some []outcome, err error) error {
		for _, x := range some {
			all = append(all, x.within(bound{l.register, int32(low), int32(high)})...)
		}
		return err
	}
	more := again
	more.sets = append(slices.Clip(again.sets), done)
	if l.min > 1 { // the register counts iterations before this one
		some, err := k.walk(l.body, more)
		if err := add(0, l.min-2, some, err); err != nil {
			return nil, err
		}
	}
	if l.max == 0 {
		some, err := k.both(l, again, exit, nil) // how many there are beyond the least does not matter
		err = add(l.min-1, math.MaxInt32, some, err)
		return all, err
	}
	if l.max > l.min {
		some, err := k.both(l, more, exit, nil)
		if err := add(l.min-1, l.max-2, some, err); err != nil {
			return nil, err
		}
	}
	some, err := k.walk(l.exit, exit)
	err = add(l.max-1, l.max-1, some, err)
	return all, err
}

// both walks on to another iteration and to what follows.
func (k *compiler) both(l *loop, again, exit path, all []outcome) ([]outcome, error) {
	more, err := k.walk(l.body, again)
	if err != nil {
		return nil, err
	}
	rest, err := k.walk(l.exit, exit)
	if err != nil {
		return nil, err
	}
	return cross(more, rest, l.greedy, k), nil
}

// cross combines what is found on two ways. With greedy, the heads of the first guard those of the second.
func cross(a, b []outcome, greedy bool, k *compiler) []outcome {
	var all []outcome
	for _, x := range a {
		for _, y := range b {
			both, ok := x.join(y)
			if !ok {
				continue
			}
			if greedy {
				guards := k.guardsOf(x.heads)
				for i := len(x.heads); i < len(both.heads); i++ {
					h := &both.heads[i]
					h.guards = append(slices.Clip(h.guards), guards...)
				}
			}
			all = append(all, both)
		}
	}
	return all
}

func (k *compiler) guardsOf(heads []head) (guards []guard) {
	for _, h := range heads {
		if h.take >= 0 {
			t := &k.auto.takes[h.take]
			guards = append(guards, guard{stage: t.stage, until: t.loop != nil && k.stages[t.stage].Until})
		}
	}
	return guards
}

// join is what holds if both do, false if that cannot be.
func (x outcome) join(y outcome) (outcome, bool) {
	out := outcome{bounds: slices.Clone(x.bounds), match: x.match || y.match, heads: append(slices.Clip(x.heads), y.heads...)}
	for _, b := range y.bounds {
		some := out.within(b)
		if len(some) == 0 {
			return outcome{}, false
		}
		out = some[0]
	}
	return out, true
}

// within is the outcome for registers that are within b, too: one or none.
func (x outcome) within(b bound) []outcome {
	x.bounds = slices.Clone(x.bounds)
	for i := range x.bounds {
		if c := &x.bounds[i]; c.register == b.register {
			c.low, c.high = max(c.low, b.low), min(c.high, b.high)
			if c.low > c.high {
				return nil
			}
			return []outcome{x}
		}
	}
	if b.low > b.high {
		return nil
	}
	x.bounds = append(x.bounds, b)
	return []outcome{x}
}
