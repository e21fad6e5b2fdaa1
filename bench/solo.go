package main

import (
	"math"

	"github.com/millrace-io/millrace/processors"
	"github.com/millrace-io/millrace/rules"
)

// solo runs one rule on one partition, on one goroutine: what a worker does without broker, encoding and
// decoding.
type solo struct {
	op     processors.Operator
	timed  processors.Timed
	task   *processors.Task // nil: the rule has no time of its own
	behind []int64          // out_of_order per input, in ms
	offset int64
	rows   table
	result processors.Result
	output func(*processors.Output) error
	commit *commits // nil: changes are not written

	warmer processors.Warmer
	next   []*processors.Row
	reads  int64 // what the warmer returned
}

func newSolo(rule *rules.Rule, output func(*processors.Output) error) (*solo, error) {
	op, err := processors.New(rule)
	if err != nil {
		return nil, err
	}
	s := &solo{op: op, rows: table{rows: map[string]*processors.Row{}}, output: output}
	s.timed, _ = op.(processors.Timed)
	s.warmer, _ = op.(processors.Warmer)
	sources := make([]bool, len(rule.Inputs))
	for i, in := range rule.Inputs {
		sources[i] = true
		s.behind = append(s.behind, in.Stream.OutOfOrder)
	}
	if rule.Stateful() {
		s.task = processors.NewTask(op, sources)
		s.task.Large = math.MaxInt // there are no transactions
	}
	return s, nil
}

// take takes the next event in. The event is used until it has run.
func (s *solo) take(e *processors.Event) error {
	if s.task == nil {
		return s.step(e)
	}
	if at := e.Time - s.behind[e.Input]; at > s.task.Time(e.Input) {
		if err := s.time(e.Input, at); err != nil {
			return err
		}
	}
	s.offset++
	if s.task.Offer(&processors.Position{Time: e.Time, Input: e.Input, Offset: s.offset}, false, e) != processors.Run {
		return nil
	}
	e.Clock = s.task.Frontier()
	return s.step(e)
}

// ahead reads what the next events need, as workers do with what a fetch has brought.
func (s *solo) ahead(events []decoded) {
	if s.warmer == nil {
		return
	}
	s.next = s.next[:0]
	for i := range events {
		if r := s.rows.peek(events[i].event.Key, s.warmer.Head()); r != nil {
			s.next = append(s.next, r)
		}
	}
	s.reads += s.warmer.Warm(s.next)
}

// end says that there are no more events: all windows close.
func (s *solo) end() error {
	if s.task == nil {
		return nil
	}
	for i := range s.behind {
		if err := s.time(i, processors.Ended); err != nil {
			return err
		}
	}
	return nil
}

// time moves the time of an input on and does what is due.
func (s *solo) time(input int, at int64) error {
	s.task.SetTime(input, at)
	var due processors.Due
	for s.task.Next(&due) {
		if due.Row == nil {
			e := due.Record.Ref.(*processors.Event)
			e.Clock = e.Time
			if err := s.step(e); err != nil {
				return err
			}
			continue
		}
		s.result.Reset()
		if err := s.timed.Fire(&s.rows, due.Row, due.At, &s.result); err != nil {
			return err
		}
		if err := s.finish(); err != nil {
			return err
		}
		s.task.FiredRow(due.Row, due.At)
	}
	return nil
}

func (s *solo) step(e *processors.Event) error {
	s.result.Reset()
	if err := s.op.Step(&s.rows, e, &s.result); err != nil {
		return err
	}
	return s.finish()
}

// finish applies what a step did and hands on what came out of it.
func (s *solo) finish() error {
	r := &s.result
	for i := range r.Changes {
		r.Changes[i].Apply()
		if s.commit != nil && !r.Changes[i].Kept {
			s.commit.note(r.Changes[i].Row)
		}
	}
	s.rows.settle(r.Changes)
	if s.task != nil {
		s.task.Applied(r.Changes)
	}
	for i := range r.Outputs {
		if err := s.output(&r.Outputs[i]); err != nil {
			return err
		}
	}
	return nil
}

// table is the rule's state: rows in memory.
type table struct {
	rows  map[string]*processors.Row
	fresh []*processors.Row // made since the last settle
	key   []byte
}

// Row implements processors.State.
func (t *table) Row(entity, cell string) (*processors.Row, error) {
	t.key = append(append(append(t.key[:0], entity...), 0), cell...)
	r := t.rows[string(t.key)]
	if r == nil {
		r = &processors.Row{Key: string(t.key)}
		t.rows[r.Key] = r
		t.fresh = append(t.fresh, r)
	}
	return r, nil
}

// peek is the row if there is one.
func (t *table) peek(entity, cell string) *processors.Row {
	t.key = append(append(append(t.key[:0], entity...), 0), cell...)
	return t.rows[string(t.key)]
}

// settle forgets rows without a value, after changes were applied.
func (t *table) settle(changes []processors.Change) {
	for i := range changes {
		if changes[i].Value == nil {
			delete(t.rows, changes[i].Row.Key)
		}
	}
	for _, r := range t.fresh {
		if r.Value == nil {
			delete(t.rows, r.Key)
		}
	}
	t.fresh = t.fresh[:0]
}

// commits writes changed rows every so many events, as commits do to the changelog, and counts bytes.
type commits struct {
	every  int
	events int
	dirty  []*processors.Row
	buffer []byte
	bytes  int64
}

func (c *commits) note(r *processors.Row) {
	if !r.Dirty {
		r.Dirty = true
		c.dirty = append(c.dirty, r)
	}
}

// event counts an event and commits when it is time to.
func (c *commits) event() {
	if c.events++; c.events%c.every == 0 {
		c.flush()
	}
}

func (c *commits) flush() {
	for _, r := range c.dirty {
		r.Dirty = false
		c.bytes += int64(len(r.Key))
		if r.Value != nil {
			c.buffer = r.Value.Append(c.buffer[:0])
			c.bytes += int64(len(c.buffer))
		}
	}
	c.dirty = c.dirty[:0]
}
