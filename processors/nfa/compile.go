package nfa

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/millrace-io/millrace/rules"
)

// Limits of patterns, which keep the automaton small.
const (
	maxAnyOrder = 8       // parts in any order: each subset of them is a place to be in
	maxPlaces   = 1 << 14 // of an automaton, and instructions of the program
	maxWalk     = 1 << 20 // steps of a compilation
)

var errLarge = errors.New("the pattern is too large")

// Compile makes the automaton of a pattern. The error says that the pattern is too large: what else may be wrong with one is for
// the check of rules to find.
func Compile(c Config) (*Automaton, error) {
	k := &compiler{stages: c.Stages, interned: map[string]int{}, auto: &Automaton{Config: c}}
	end := k.add(instruction{op: opMatch})
	begin, err := k.part(c.Pattern, end, 0)
	if err != nil {
		return nil, err
	}
	if k.auto.start, err = k.begin(begin); err != nil {
		return nil, err
	}
	for i := 0; i < len(k.program); i++ {
		x := &k.program[i]
		if x.op != opTake {
			continue
		}
		branches, err := k.branches(x.next[0])
		if err != nil {
			return nil, err
		}
		k.auto.after[x.take] = branches
	}
	for i := range k.auto.places {
		k.auto.alert = k.auto.alert || k.auto.places[i].fleeting()
	}
	for _, s := range c.Stages {
		k.auto.alert = k.auto.alert || s.Dependent || s.UntilDependent
	}
	return k.auto, nil
}

// compiler first makes a program of the pattern, as Thompson's construction does, and then walks it from capture to capture.
type compiler struct {
	stages   []Stage
	program  []instruction
	auto     *Automaton
	interned map[string]int // places
	walked   int
}

type operation uint8

const (
	opTake   operation = iota + 1 // wait for a record
	opSplit                       // go all ways
	opChoice                      // go all ways, of which a record takes one
	opLink                        // what lies between what was and what comes
	opBegin                       // of a repetition
	opEnd                         // of one iteration
	opNot                         // a negated stage
	opMatch
)

type instruction struct {
	op         operation
	next       []int
	take       int
	contiguity rules.Contiguity // opLink
	loop       *loop            // opBegin, opEnd; opSplit of a greedy one that is optional
	stage      int              // opNot
	strict     bool             // opNot
}

// loop is a repetition.
type loop struct {
	register int   // -1: no count is needed
	min, max int64 // max 0: no bound
	inner    rules.Contiguity
	greedy   bool
	body     int   // where an iteration begins
	exit     int   // what follows the last one
	bans     []int // negated stages that follow directly: they count from the first iteration on
}

func (k *compiler) add(x instruction) int {
	k.program = append(k.program, x)
	return len(k.program) - 1
}

// part compiles a part of the pattern with what comes next, and returns where it begins.
func (k *compiler) part(p *rules.Pattern, next, depth int) (int, error) {
	if len(k.program) > maxPlaces {
		return 0, errLarge
	}
	if p.Negated {
		return k.add(instruction{op: opNot, stage: p.Stage, strict: p.Contiguity == rules.Strict, next: []int{next}}), nil
	}
	least, optional := p.Min, p.Optional
	if p.Max == 1 && least == 0 {
		least, optional = 1, true
	}
	if p.Max != 1 && nullable(p) { // iterations that take nothing do not count
		least, optional = 1, true
	}
	var begin int
	var greedy *loop
	var err error
	if least == 1 && p.Max == 1 {
		begin, err = k.once(p, next, depth, nil)
	} else {
		begin, greedy, err = k.repeat(p, max(least, 1), next, depth)
	}
	if err == nil && (optional || least == 0) {
		begin = k.add(instruction{op: opSplit, next: []int{begin, next}, loop: greedy})
	}
	return begin, err
}

// repeat compiles a repetition; it returns it, too, if it is greedy.
func (k *compiler) repeat(p *rules.Pattern, least int64, next, depth int) (int, *loop, error) {
	l := &loop{register: -1, min: least, max: p.Max, inner: p.Inner, greedy: p.Greedy, exit: next, bans: k.banned(next)}
	if l.inner == 0 {
		l.inner = rules.Relaxed
	}
	inside := depth
	if least > 1 || p.Max > 0 {
		if l.register = depth; depth == maxRegisters || max(least, p.Max) > math.MaxInt32 {
			return 0, nil, fmt.Errorf("%w: repetitions with a count in each other, %d at most", errLarge, maxRegisters)
		}
		inside++
	}
	end := k.add(instruction{op: opEnd, loop: l})
	body, err := k.once(p, end, inside, l)
	if err != nil {
		return 0, nil, err
	}
	l.body = body
	begin := body
	if l.register >= 0 {
		begin = k.add(instruction{op: opBegin, loop: l, next: []int{body}})
	}
	if !l.greedy {
		return begin, nil, nil
	}
	return begin, l, nil
}

// once compiles one iteration of a part.
func (k *compiler) once(p *rules.Pattern, next, depth int, l *loop) (int, error) {
	switch p.Op {
	case rules.Take:
		k.auto.takes = append(k.auto.takes, take{p.Stage, l})
		k.auto.after = append(k.auto.after, nil)
		return k.add(instruction{op: opTake, take: len(k.auto.takes) - 1, next: []int{next}}), nil
	case rules.Choice:
		return k.choice(p, next, depth)
	case rules.AnyOrder:
		if len(p.Parts) > maxAnyOrder {
			return 0, fmt.Errorf("%w: %d parts in any order, %d at most", errLarge, len(p.Parts), maxAnyOrder)
		}
		return k.anyOrder(p, next, depth, 0, map[int]int{})
	default:
		return k.sequence(p, next, depth)
	}
}

func (k *compiler) sequence(p *rules.Pattern, next, depth int) (int, error) {
	var err error
	for i, part := range slices.Backward(p.Parts) {
		if next, err = k.part(part, next, depth); err != nil {
			return 0, err
		}
		if i > 0 && !part.Negated {
			next = k.add(instruction{op: opLink, contiguity: part.Contiguity, next: []int{next}})
		}
	}
	return next, nil
}

func (k *compiler) choice(p *rules.Pattern, next, depth int) (int, error) {
	x := instruction{op: opChoice}
	for _, part := range p.Parts {
		begin, err := k.part(part, next, depth)
		if err != nil {
			return 0, err
		}
		x.next = append(x.next, begin)
	}
	return k.add(x), nil
}

// anyOrder compiles what is left to come when the parts in done, a set of bits, have come.
func (k *compiler) anyOrder(p *rules.Pattern, next, depth, done int, made map[int]int) (int, error) {
	if done == 1<<len(p.Parts)-1 {
		return next, nil
	}
	if at, ok := made[done]; ok {
		return at, nil
	}
	x := instruction{op: opChoice}
	for i, part := range p.Parts {
		if done&(1<<i) != 0 {
			continue
		}
		rest, err := k.anyOrder(p, next, depth, done|1<<i, made)
		if err != nil {
			return 0, err
		}
		begin, err := k.part(part, rest, depth)
		if err != nil {
			return 0, err
		}
		x.next = append(x.next, begin)
	}
	at := k.add(x)
	if done != 0 {
		at = k.add(instruction{op: opLink, contiguity: rules.Relaxed, next: []int{at}})
	}
	made[done] = at
	return at, nil
}

// banned are the stages that must not come between what was and what comes next.
func (k *compiler) banned(next int) (bans []int) {
	for k.program[next].op == opNot && !k.program[next].strict {
		bans = append(bans, k.program[next].stage)
		next = k.program[next].next[0]
	}
	return bans
}

// nullable reports whether one iteration of the part can go without a record.
func nullable(p *rules.Pattern) bool {
	optional := func(p *rules.Pattern) bool { return p.Negated || p.Optional || p.Min == 0 || nullable(p) }
	switch p.Op {
	case rules.Take:
		return false
	case rules.Choice:
		return slices.ContainsFunc(p.Parts, optional)
	default:
		return !slices.ContainsFunc(p.Parts, func(p *rules.Pattern) bool { return !optional(p) })
	}
}
