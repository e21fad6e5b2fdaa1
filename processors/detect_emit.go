package processors

import (
	"cmp"
	"slices"

	"github.com/millrace-io/millrace/processors/nfa"
	"github.com/millrace-io/millrace/schemas"
)

// emit adds the result of a match, or of a run that has timed out, unless having or the routes drop it.
func (w *detecting) emit(m *nfa.Match, r *Result) error {
	env, having, routes, reads := &w.env, w.rule.Having, w.routes, &w.rule.Detect.Result
	if m.Kind == nfa.TimedOut {
		if w.timeouts == nil {
			return nil
		}
		having, routes, reads = nil, w.timeouts, &w.rule.Detect.Timeouts.Reads
	}
	clear(env.Records)
	clear(env.Group)
	w.load(reads, m.Last)
	if w.err != nil {
		return w.err
	}
	env.Now = m.At
	env.Reset()
	rt, fields, err := routed(w.rule, having, routes, env, r)
	if err != nil || rt == nil {
		return err
	}
	c, err := w.context(rt, m)
	if err != nil {
		return err
	}
	if err := complete(w.rule, rt, fields, c, m.At, r); err != nil {
		return err
	}
	out := &r.Outputs[len(r.Outputs)-1]
	out.Cause, out.Due, out.Ordinal = w.entity, m.At, 0 // several of one time are told apart by their ids
	return nil
}

// context is that of the result of a match. It continues the last record captured; of a match or run that time has ended, the first.
func (w *detecting) context(rt *route, m *nfa.Match) (schemas.Context, error) {
	w.parts = append(w.parts[:0], w.rule.ID, w.rule.Version, w.entity)
	cause := m.Last.Event
	switch m.Kind {
	case nfa.Absent:
		w.parts, cause = append(w.parts, "absence"), m.Last.Start
	case nfa.TimedOut:
		w.parts, cause = append(w.parts, "timeout"), m.Last.Start
	case nfa.Completed:
	}
	w.mix.begin()
	for _, x := range w.byStage(m.Last) {
		c, err := w.contextOf(x)
		if err != nil {
			return c, err
		}
		w.mix.take(&c, x.Event == cause)
	}
	w.parts = append(w.parts, w.mix.ids...)
	return w.mix.derive(w.rule, rt, schemas.EventID(w.parts...), w.entity, m.At)
}

// byStage are the captures up to c, stage by stage.
func (w *detecting) byStage(c *nfa.Capture) []*nfa.Capture {
	w.order = w.order[:0]
	for ; c != nil; c = c.Prev {
		w.order = append(w.order, c)
	}
	slices.SortFunc(w.order, func(a, b *nfa.Capture) int { return cmp.Or(cmp.Compare(a.Stage, b.Stage), cmp.Compare(a.Seq, b.Seq)) })
	return w.order
}

// contextOf is the context of a captured record.
func (w *detecting) contextOf(c *nfa.Capture) (schemas.Context, error) {
	rest, err := w.stages[c.Stage].packing.Decode(c.Body, w.stages[c.Stage].record)
	w.stages[c.Stage].of = nil
	if err != nil {
		return schemas.Context{}, err
	}
	return parseContext(rest)
}
