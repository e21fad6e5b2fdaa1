package lineage

import (
	"cmp"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/millrace-io/millrace/processors"
)

// Run is what became of a run of a detection.
type Run struct {
	Number   int                `json:"run"`
	Branch   int                `json:"branch,omitempty"` // the run that it has branched off
	Captured []Capture          `json:"captured"`
	End      *processors.Effect `json:"end,omitempty"` // what it ended with, or that it is a match; nil: it is open
	EndAt    time.Time          `json:"end_at,omitzero"`
	Waits    *processors.Waits  `json:"waits,omitempty"`  // for what, since its last capture
	Due      time.Time          `json:"due,omitzero"`     // when its time is over
	Misses   []Miss             `json:"misses,omitempty"` // since its last capture
	After    *Miss              `json:"after,omitempty"`  // the first record, after its time was over, of an input that it waited for
}

// Miss is a record that a stage that a run waited for could have taken, but for a condition.
type Miss struct {
	At    time.Time         `json:"at"`
	Event string            `json:"event_id"`
	Input string            `json:"input"`
	Lacks []processors.Lack `json:"lacks,omitempty"`
}

// Capture is a record in a run.
type Capture struct {
	Stage string `json:"stage"`
	Event string `json:"event_id"`
}

// detect has the detection take the records.
func (r *replay) detect() error {
	op, err := processors.NewWatched(r.options.Rule)
	if err != nil {
		return err
	}
	p := &play{replay: r, op: op, rows: map[string]*processors.Row{}, runs: map[int]*Run{}}
	p.task = processors.NewTask(op, make([]bool, len(r.options.Rule.Inputs)))
	for i := range r.taken {
		t := &r.taken[i]
		if err := p.until(t.at); err != nil {
			return err
		}
		if err := p.step(t); err != nil {
			return err
		}
	}
	if err := p.until(r.latest); err != nil {
		return err
	}
	p.finish()
	return nil
}

// play is the rule at work.
type play struct {
	*replay
	op     *processors.Watched
	task   *processors.Task
	rows   map[string]*processors.Row
	result processors.Result
	runs   map[int]*Run
}

// Row implements processors.State.
func (p *play) Row(entity, cell string) (*processors.Row, error) {
	key := entity + "\x00" + cell
	if p.rows[key] == nil {
		p.rows[key] = &processors.Row{Key: key}
	}
	return p.rows[key], nil
}

// until fires the deadlines up to a time.
func (p *play) until(at int64) error {
	for i := range p.options.Rule.Inputs {
		p.task.SetTime(i, at+p.options.Rule.Lateness)
	}
	var due processors.Due
	for p.task.Next(&due) {
		p.result.Reset()
		played := Played{At: timeOf(due.At)}
		if err := p.end(&played, "", p.op.Fire(p, due.Row, due.At, &p.result)); err != nil {
			return err
		}
		p.task.FiredRow(due.Row, due.At)
	}
	return nil
}

// step has the rule take a record.
func (p *play) step(t *taken) error {
	p.result.Reset()
	e := &processors.Event{Input: t.input, Record: t.row, Key: t.key(), Time: t.at, Clock: t.at, Source: t.entry}
	return p.end(&Played{At: timeOf(t.at), Event: t.event(p.options.Rule)}, t.id, p.op.Step(p, e, &p.result))
}

// end notes what a step has done. A record that can not be processed is a dead letter.
func (p *play) end(x *Played, id string, err error) error {
	if bad, ok := errors.AsType[*processors.StepError](err); ok {
		x.Problem = bad.Error()
	} else if err != nil {
		return err
	} else {
		for i := range p.result.Changes {
			p.result.Changes[i].Apply()
		}
		p.task.Applied(p.result.Changes)
		x.Effects = p.op.Effects()
		p.follow(x, id)
	}
	if x.Event != nil || len(x.Effects) > 0 || x.Problem != "" {
		p.out.Steps = append(p.out.Steps, *x)
	}
	return nil
}

// follow keeps account of the runs.
func (p *play) follow(x *Played, id string) {
	before := map[int][]Capture{}
	for n, run := range p.runs {
		before[n] = run.Captured
		if x.Event != nil {
			p.behind(run, x)
		}
	}
	for i := range x.Effects {
		e := &x.Effects[i]
		if e.Run == 0 {
			continue
		}
		run := p.runs[e.Run]
		if run == nil {
			run = &Run{Number: e.Run, Branch: e.Branch, Captured: before[e.Branch]}
			p.runs[e.Run] = run
		}
		run.effect(e, x, id)
		if e.Kind == processors.Matched {
			p.out.Matches++
		}
	}
}

// effect adds what a step has done to the run.
func (r *Run) effect(e *processors.Effect, x *Played, id string) {
	switch e.Kind {
	case processors.Captured:
		r.Captured = append(slices.Clip(r.Captured), Capture{e.Stage, id})
		r.Waits, r.Misses, r.Due = e.Waits, nil, time.Time{}
		if e.Waits != nil && e.Waits.Until != processors.Never {
			r.Due = timeOf(e.Waits.Until)
		}
	case processors.HeldBack, processors.Refused:
	case processors.Ignored, processors.Killed:
		if slices.ContainsFunc(e.Lacks, near) {
			r.Misses = append(r.Misses, Miss{x.At, id, x.Event.As, e.Lacks})
		}
	default:
	}
	if e.Kind.Ends() && (r.End == nil || r.End.Kind != processors.Matched) { // one that repeats goes on after a match
		r.End, r.EndAt = e, x.At
	}
}

// behind notes a record that came after the time of a run was over.
func (p *play) behind(r *Run, x *Played) {
	if r.End == nil || r.End.Kind != processors.Expired || r.After != nil || r.Waits == nil {
		return
	}
	d := p.options.Rule.Detect
	for i := range d.Stages {
		if s := &d.Stages[i]; slices.Contains(r.Waits.Stages, s.Name) && p.options.Rule.Inputs[s.Input].Alias == x.Event.As {
			r.After = &Miss{At: x.At, Event: x.Event.ID, Input: x.Event.As}
		}
	}
}

// near reports whether a record was one that a stage could have taken.
func near(l processors.Lack) bool { return l.TooLate || len(l.Unmet) > 0 }

// finish lists the runs.
func (p *play) finish() {
	for _, n := range slices.Sorted(maps.Keys(p.runs)) {
		p.out.Runs = append(p.out.Runs, p.runs[n])
	}
}

// Furthest is the run that came furthest of those that are no match, nil if there is none: the one that has captured records of the
// most stages, then the most records, then the one that began first.
func (r *Replayed) Furthest() *Run {
	var best *Run
	for _, run := range r.Runs {
		if run.End != nil && run.End.Kind == processors.Matched {
			continue
		}
		if best == nil || cmp.Or(cmp.Compare(run.stages(), best.stages()), cmp.Compare(len(run.Captured), len(best.Captured))) > 0 {
			best = run
		}
	}
	return best
}

// stages counts the stages that the run has captured records of.
func (r *Run) stages() int {
	seen := map[string]bool{}
	for _, c := range r.Captured {
		seen[c.Stage] = true
	}
	return len(seen)
}
