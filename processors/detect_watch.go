package processors

import (
	"cmp"
	"math"
	"slices"

	"github.com/millrace-io/millrace/processors/nfa"
	"github.com/millrace-io/millrace/rules"
)

// Watched is the operator of a detection that tells what every record, and time, did to every run of one key. It is for people to
// read, and slow.
type Watched struct {
	*detecting
	numbers map[*nfa.Capture]int // of runs, by what they have captured last
	count   int                  // of runs
	after   map[*nfa.Capture]*Waits
	pending []nfa.Match // that are held back

	// The step.
	stepped bool // it came to the machine
	before  []*nfa.Capture
	held    []nfa.Match
	notes   []nfa.Note
	lacks   map[*nfa.Capture][]Lack // why the record was not taken, by what a run had captured last
	written map[*nfa.Capture]*Output
	effects []Effect
}

// NewWatched returns the operator for a rule that detects.
func NewWatched(rule *rules.Rule) (*Watched, error) {
	op, err := newDetect(rule)
	if err != nil {
		return nil, err
	}
	w := &Watched{detecting: op, numbers: map[*nfa.Capture]int{}}
	op.watched, op.timely = w, true // what time ends is told at its deadline
	op.machine.Observe(w.note)
	return w, nil
}

// Step implements Operator.
func (w *Watched) Step(s State, e *Event, r *Result) error {
	w.begin()
	err := w.detecting.Step(s, e, r)
	if err == nil && w.stepped {
		w.tell()
	}
	return err
}

// Fire implements Timed.
func (w *Watched) Fire(s State, row *Row, at int64, r *Result) error {
	w.begin()
	err := w.detecting.Fire(s, row, at, r)
	if err == nil {
		w.tell()
	}
	return err
}

// Effects lists what the last step or deadline has done, by the numbers of the runs. It is empty after one that failed.
func (w *Watched) Effects() []Effect {
	slices.SortStableFunc(w.effects, func(a, b Effect) int {
		if c := cmp.Compare(min(b.Run, 1), min(a.Run, 1)); c != 0 {
			return c // what is about no run comes last
		}
		return cmp.Compare(a.Run, b.Run)
	})
	return w.effects
}

// Open gives the runs that wait, by their numbers.
func (w *Watched) Open() map[int]*Waits {
	out := map[int]*Waits{}
	for c, x := range w.after {
		out[w.numbers[c]] = x
	}
	return out
}

func (w *Watched) begin() {
	w.stepped, w.notes, w.effects = false, nil, nil
	w.lacks, w.written = map[*nfa.Capture][]Lack{}, map[*nfa.Capture]*Output{}
}

// from says which state the machine begins with.
func (w *Watched) from(old *nfa.State) {
	w.stepped, w.before, w.held = true, nil, old.Pending()
	for _, x := range w.machine.Waiting(old) {
		if !slices.Contains(w.before, x.Last) {
			w.before = append(w.before, x.Last)
		}
	}
	w.to(old)
}

// to says which one it ends with.
func (w *Watched) to(state *nfa.State) {
	w.after, w.pending = map[*nfa.Capture]*Waits{}, state.Pending()
	for _, x := range w.machine.Waiting(state) {
		w.after[x.Last] = w.waits(w.after[x.Last], &x)
	}
}

// waits adds one way to go on to what a run waits for, nil if it is the first.
func (w *Watched) waits(to *Waits, x *nfa.Waiting) *Waits {
	if to == nil {
		to = &Waits{Next: true, Until: math.MinInt64}
	}
	to.Next, to.Absence, to.Until = to.Next && x.Next, to.Absence || x.Absence, max(to.Until, x.Due)
	to.Stages, to.Not = w.names(to.Stages, x.Stages), w.names(to.Not, x.Banned)
	return to
}

// names adds the names of stages to a list.
func (w *Watched) names(list []string, some []int) []string {
	for _, n := range some {
		if name := w.stages[n].Name; !slices.Contains(list, name) {
			list = append(list, name)
		}
	}
	return list
}

// emitted says what has been written of a match.
func (w *Watched) emitted(m *nfa.Match, some []Output) {
	if len(some) > 0 {
		w.written[m.Last] = &some[0]
	}
}

// note takes what the machine tells. Why a condition does not hold has to be asked at once.
func (w *Watched) note(n nfa.Note) {
	w.notes = append(w.notes, n)
	if n.Deed != nfa.Refused && n.Deed != nfa.TooLate || w.err != nil {
		return
	}
	s := &w.stages[n.Stage]
	lack := Lack{Stage: s.Name, TooLate: n.Deed == nfa.TooLate}
	switch {
	case s.Input != w.event.Input:
		lack.Input = w.rule.Inputs[s.Input].Alias
	case n.Deed == nfa.Refused:
		w.load(&s.WhereReads, n.Run)
		w.env.Records[n.Stage] = w.event.Record
		lack.Unmet = s.Where.Unmet(&w.env)
	}
	if !slices.ContainsFunc(w.lacks[n.Run], func(l Lack) bool { return l.Stage == lack.Stage }) {
		w.lacks[n.Run] = append(w.lacks[n.Run], lack)
	}
}
