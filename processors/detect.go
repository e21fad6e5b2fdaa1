package processors

import (
	"fmt"
	"slices"

	"github.com/millrace-io/millrace/processors/nfa"
	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/schemas"
)

// detecting is the operator of detections. What is captured of an entity, and the runs that wait, are one state of the pattern's
// machine; a record that can change none is not looked up.
type detecting struct {
	rule     *rules.Rule
	by       rules.Env // of the record at hand: Records by input
	env      rules.Env // of conditions and results: Records by stage
	machine  *nfa.Machine
	stages   []stage
	tallies  tallies
	routes   []route
	timeouts []route
	packed   contextPacker
	mix      mixture
	shape    uint64
	timely   bool // deadlines bring results
	none     nfa.State
	watched  *Watched // nil: nobody looks on

	// The step.
	event   *Event
	entity  string
	err     error // of a condition
	outcome nfa.Outcome

	// Scratch memory.
	body  []byte
	parts []string
	order []*nfa.Capture
}

// stage is a stage of the pattern.
type stage struct {
	*rules.Stage
	packing *schemas.Packing
	record  schemas.Record // of a capture
	of      *nfa.Capture   // the one that is in record
}

func newDetect(rule *rules.Rule) (*detecting, error) {
	d := rule.Detect
	w := &detecting{rule: rule, by: newEnv(rule), routes: newRoutes(rule)}
	w.env = rules.Env{Records: make([]schemas.Record, len(d.Stages)), Group: make([]any, len(d.Folds))}
	if d.Timeouts != nil {
		w.timeouts = routesOf(d.Timeouts.Routes)
	}
	w.packed.kept = newKept(slices.Concat(w.routes, w.timeouts))
	shape := fmt.Appendf(nil, "%x", shapeOf(rule))
	config := nfa.Config{Pattern: d.Pattern, Within: d.Within, Skip: d.Skip, SkipTo: d.SkipTo, MaxPartial: d.MaxPartial, MaxMatches: d.MaxMatches}
	for i := range d.Stages {
		s := &d.Stages[i]
		config.Stages = append(config.Stages, nfa.Stage{
			Gap: s.Gap, Dependent: !s.WhereReads.None(), Until: s.Until != nil, UntilDependent: !s.UntilReads.None(),
		})
		projection := rule.Inputs[s.Input].Stream.Projection
		packing, err := projection.Packing(d.PackedOf(s.Input))
		if err != nil {
			return nil, fmt.Errorf("rule %s: %w", rule.ID, err)
		}
		shape = fmt.Appendf(shape, " %x", packing.Fingerprint())
		w.stages = append(w.stages, stage{Stage: s, packing: packing, record: projection.New()})
	}
	auto, err := nfa.Compile(config)
	if err != nil {
		return nil, fmt.Errorf("rule %s: %w", rule.ID, err)
	}
	w.machine, w.shape = nfa.New(auto), fnv(append(shape, auto.Form()...))
	w.tallies = newTallies(w)
	w.timely = auto.Timely() || d.Timeouts != nil
	return w, nil
}

// Rule implements Operator.
func (w *detecting) Rule() *rules.Rule { return w.rule }

// Lag implements Timed.
func (w *detecting) Lag() int64 {
	if !w.timely {
		return -1
	}
	return 0
}

// Step implements Operator.
func (w *detecting) Step(s State, e *Event, r *Result) error {
	enter(&w.by, e)
	r.Looked = 1
	if c := w.rule.Where; c != nil && !c.Bool(&w.by) {
		return evalError(w.rule, &w.by)
	}
	entity, err := Entity(w.rule, e, &w.by)
	if err != nil {
		return err
	}
	w.enter(entity, e.Time)
	w.event = e
	touches := w.watched != nil || w.machine.Touches(w)
	if w.err != nil || !touches {
		return w.err
	}
	r.Matched = 1
	if e.Clock > e.Time {
		r.Late = 1
		return nil
	}
	row, err := s.Row(entity, cellAll)
	if err != nil {
		return err
	}
	return w.run(s, row, e, r)
}

// enter begins a step.
func (w *detecting) enter(entity string, at int64) {
	w.entity, w.err = entity, nil
	w.env.Key, w.env.Now, w.env.Item = entity, at, nil
	w.outcome.Reset()
}

// run gives the record to the machine.
func (w *detecting) run(s State, row *Row, e *Event, r *Result) error {
	old, err := w.stateOf(s, row)
	if err != nil {
		return err
	}
	if e.Time < old.Time() { // it was later than the lateness of the rule makes good
		r.Late = 1
		return nil
	}
	if w.watched != nil {
		w.watched.from(old)
	}
	state, expired := w.machine.Expire(old, e.Time, &w.outcome)
	state, changed := w.machine.Step(&state, e.Time, w, &w.outcome)
	if w.err != nil || !expired && !changed {
		return w.err
	}
	return w.commit(s, row, old, &state, r)
}

// Fire implements Timed.
func (w *detecting) Fire(s State, row *Row, at int64, r *Result) error {
	entity, _ := cellOf(row.Key)
	w.enter(entity, at)
	old, err := w.stateOf(s, row)
	if err != nil {
		return err
	}
	if w.watched != nil {
		w.watched.from(old)
	}
	state, _ := w.machine.Expire(old, at, &w.outcome)
	if w.err != nil {
		return w.err
	}
	return w.commit(s, row, old, &state, r)
}

// commit adds the results of the step, and the changes of the rows.
func (w *detecting) commit(s State, row *Row, old, state *nfa.State, r *Result) error {
	r.Forgotten, r.Cut, r.Partial = w.outcome.Dropped, w.outcome.Cut, state.Runs()-old.Runs()
	if w.watched != nil {
		w.watched.to(state)
	}
	for i := range w.outcome.Matches {
		m := &w.outcome.Matches[i]
		r.Held = max(r.Held, m.Held)
		if r.Mute {
			continue
		}
		n := len(r.Outputs)
		if err := w.emit(m, r); err != nil {
			return err
		}
		if w.watched != nil {
			w.watched.emitted(m, r.Outputs[n:])
		}
	}
	if err := w.split(s, state, r); err != nil {
		return err
	}
	x := Change{Row: row}
	if !state.Empty() {
		x.Value = &detected{of: w, state: *state}
	}
	if x.Value != nil || row.Value != nil {
		r.Changes = append(r.Changes, x)
	}
	return nil
}

// split writes the segments of captures that the state has made, and deletes those that it does not need any more.
func (w *detecting) split(s State, state *nfa.State, r *Result) error {
	made, gone := state.Split()
	for _, n := range gone {
		row, err := s.Row(w.entity, cellPart(n))
		if err != nil {
			return err
		}
		r.Changes = append(r.Changes, Change{Row: row})
	}
	for _, x := range made {
		row, err := s.Row(w.entity, cellPart(x.Number))
		if err != nil {
			return err
		}
		r.Changes = append(r.Changes, Change{Row: row, Value: &detectedPart{w.shape, x.Body}})
	}
	return nil
}

// stateOf is the state in a row. One that was read back is put together of its cells when it is needed.
func (w *detecting) stateOf(s State, row *Row) (*nfa.State, error) {
	c, ok := row.Value.(*detected)
	if !ok {
		return &w.none, nil
	}
	if c.written == nil {
		return &c.state, nil
	}
	var segments [][]byte
	for _, n := range c.parts {
		part, err := s.Row(w.entity, cellPart(n))
		if err != nil {
			return nil, err
		}
		x, ok := part.Value.(*detectedPart)
		if !ok {
			return nil, fmt.Errorf("%w: part %d of %q is missing", errCell, n, row.Key)
		}
		segments = append(segments, x.body)
	}
	state, err := w.machine.Read(c.written, segments, w.check)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errCell, err)
	}
	c.state, c.written, c.parts = *state, nil, nil
	return &c.state, nil
}
