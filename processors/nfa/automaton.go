package nfa

import (
	"fmt"
	"slices"

	"github.com/millrace-io/millrace/rules"
)

// Stage is what the automaton has to know of a stage of the pattern.
type Stage struct {
	Gap            int64 // ms from the record captured before to the one that the stage takes, exclusive; 0 = no bound
	Dependent      bool  // its condition reads what a run has captured
	Until          bool  // it has a condition that ends its repetition
	UntilDependent bool  // which reads what a run has captured
}

// Config is what a pattern is compiled from.
type Config struct {
	Pattern    *rules.Pattern
	Stages     []Stage
	Within     int64 // ms from the first record to any later one, exclusive; 0 = no bound
	Skip       rules.Skip
	SkipTo     int   // stage, for rules.SkipToFirst and rules.SkipToLast
	MaxPartial int64 // runs of one key; 0 = no bound
	MaxMatches int64 // matches that one record completes, and that are held; 0 = no bound
}

// Automaton is a compiled pattern. It is immutable.
type Automaton struct {
	Config
	start  branch
	after  [][]branch // per take: what comes when it has captured a record
	takes  []take
	places []place
	alert  bool // a record that meets no condition may end a run
}

// maxRegisters is how deep repetitions with a count can lie in each other.
const maxRegisters = 4

// registers count the repetitions that a run is in.
type registers [maxRegisters]int32

// take is a place in the pattern that captures a record.
type take struct {
	stage int
	loop  *loop // the repetition of the stage itself, nil for none
}

// place is where runs wait. All that it looks at are stages, by their conditions.
type place struct {
	contiguity rules.Contiguity
	takes      []option // any of them; none in a place where only time counts
	bans       []int    // negated stages: a record of one ends the run
	firsts     []int    // negated stages that must not come next: they count for one record only
	settled    int      // with firsts: the place after that record
	guards     []guard  // a greedy repetition that the run has left
	absence    bool     // the run matches when its time is over
	next       bool     // the run matches with the next record, which is not captured
	gap        int64    // ms from the last capture for which runs wait here at most; 0 = no bound
	unbounded  bool     // one of the stages has no gap
}

// option is one of the ways out of a place.
type option struct {
	take  int
	again bool // the stage repeats: a record that ends the repetition ends the run
}

// guard keeps what a greedy repetition can take from being taken by what follows it.
type guard struct {
	stage  int
	until  bool // the stage has an end: from then on there is no guard
	lifted int  // the place without it
}

// branch is what comes after a capture, or at the start, if the registers are within its bounds. Branches of a take exclude
// each other.
type branch struct {
	bounds []bound
	match  bool // the pattern may end here
	edges  []edge
}

type bound struct {
	register  int
	low, high int32 // inclusive
}

// edge leads to a place.
type edge struct {
	place int
	sets  []set
}

// set changes a register: to value, or by it.
type set struct {
	register int
	value    int32
	add      bool
}

func (b *branch) holds(r *registers) bool {
	for _, x := range b.bounds {
		if v := r[x.register]; v < x.low || v > x.high {
			return false
		}
	}
	return true
}

func (e *edge) apply(r registers) registers {
	for _, s := range e.sets {
		if s.add {
			r[s.register] += s.value
		} else {
			r[s.register] = s.value
		}
	}
	return r
}

// fleeting reports whether no run stays in the place beyond the next record.
func (p *place) fleeting() bool {
	return p.contiguity == rules.Strict && !p.absence || p.next || len(p.firsts) > 0
}

// Form is the same for automatons of which each can go on with the states of the other, given that they are of one pattern: it
// changes when patterns come to be compiled in another way.
func (a *Automaton) Form() []byte {
	b := fmt.Appendf(nil, "%v", a.places)
	for _, t := range a.takes {
		b = fmt.Append(b, t.stage)
		if t.loop != nil {
			b = fmt.Append(b, t.loop.register, t.loop.min, t.loop.max)
		}
	}
	return fmt.Append(b, a.after)
}

// Timely reports whether what Expire does can bring matches: absences, or such as wait for runs whose time is over.
func (a *Automaton) Timely() bool {
	return a.Skip != rules.SkipNone || slices.ContainsFunc(a.places, func(p place) bool { return p.absence })
}
