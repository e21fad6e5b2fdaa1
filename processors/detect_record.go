package processors

import (
	"bytes"

	"github.com/millrace-io/millrace/processors/nfa"
	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/schemas"
)

// Where implements nfa.Record.
func (w *detecting) Where(n int, c *nfa.Capture) bool {
	s := &w.stages[n]
	if s.Input != w.event.Input || w.err != nil {
		return false
	}
	return s.Where == nil || w.holds(s.Where, n, &s.WhereReads, c)
}

// Until implements nfa.Record.
func (w *detecting) Until(n int, c *nfa.Capture) bool {
	s := &w.stages[n]
	if s.Input != w.event.Input || w.err != nil {
		return false
	}
	return w.holds(s.Until, n, &s.UntilReads, c)
}

// holds evaluates a condition of a stage for the record at hand and what a run has captured.
func (w *detecting) holds(x *rules.Expr, n int, reads *rules.Captures, c *nfa.Capture) bool {
	if !reads.None() {
		w.load(reads, c)
	}
	w.env.Records[n] = w.event.Record
	w.env.Reset()
	ok := x.Bool(&w.env)
	if err := evalError(w.rule, &w.env); err != nil {
		w.fail(err)
		return false
	}
	return ok
}

// fail keeps the first error of the step.
func (w *detecting) fail(err error) {
	if w.err == nil {
		w.err = err
	}
}

// load has env hold what is read of the captures up to c, which may be nil.
func (w *detecting) load(reads *rules.Captures, c *nfa.Capture) {
	for _, n := range reads.Last {
		w.env.Records[n] = w.last(n, c)
	}
	if len(reads.Folds) > 0 {
		w.tallies.load(w, reads.Folds, c)
	}
}

// last is the record that was captured last in a stage, null for none.
func (w *detecting) last(n int, c *nfa.Capture) schemas.Record {
	for c != nil && c.Stage != n {
		c = c.Prev
	}
	if c == nil {
		return schemas.Record{}
	}
	return w.record(n, c)
}

// record is the record of a capture.
func (w *detecting) record(n int, c *nfa.Capture) schemas.Record {
	s := &w.stages[n]
	if s.of != c {
		s.of = nil
		if _, err := s.packing.Decode(c.Body, s.record); err != nil {
			w.fail(err)
			return schemas.Record{}
		}
		s.of = c
	}
	return s.record
}

// Keep implements nfa.Record: the paths that are read of a captured record, and its context.
func (w *detecting) Keep() []byte {
	c, err := keptContext(w.rule, w.event)
	if err != nil {
		w.fail(err)
		return nil
	}
	for i := range w.stages {
		if s := &w.stages[i]; s.Input == w.event.Input {
			w.body = w.packed.append(s.packing.Append(w.body[:0], w.event.Record), c)
			break
		}
	}
	return bytes.Clone(w.body)
}
