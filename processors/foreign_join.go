package processors

import (
	"strings"

	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/schemas"
)

// foreignJoin is the last part of a join by a foreign key: the rows of the first table meet what was answered for them. It
// knows what it has said of each, so that it can take that back.
type foreignJoin struct {
	rule   *rules.Rule
	env    rules.Env
	routes []route
	packer contextPacker
	rows   *foreignRows
	right  *schemas.Packing
	second schemas.Record // the row of the second table at hand
	answer answerFields
	mix    mixture
	parts  []string
}

// answerFields read what answering writes.
type answerFields struct{ ask, since, shape, body schemas.Accessor }

func newForeignJoin(rule *rules.Rule) (*foreignJoin, error) {
	w := &foreignJoin{rule: rule, env: newEnv(rule), routes: newRoutes(rule)}
	w.packer.kept = newKept(w.routes)
	left, right := rule.Inputs[0].Stream, rule.Inputs[1].Stream
	packing, err := left.Projection.Packing(rule.Join.Reads[0])
	if err != nil {
		return nil, err
	}
	if w.rows, err = newForeignRows(rule, left, packing); err != nil {
		return nil, err
	}
	second := rule.Join.Second
	if w.right, err = second.Projection.Packing(rule.Join.Reads[1]); err != nil {
		return nil, err
	}
	w.second = second.Projection.New()
	for name, a := range map[string]*schemas.Accessor{"ask": &w.answer.ask, "since": &w.answer.since, "shape": &w.answer.shape, "body": &w.answer.body} {
		if *a, err = right.Projection.Accessor(name); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// Rule implements Operator.
func (w *foreignJoin) Rule() *rules.Rule { return w.rule }

// Decode implements Operator.
func (w *foreignJoin) Decode(b []byte) (Cell, error) { return w.rows.decode(b) }

// Lag implements Timed.
func (w *foreignJoin) Lag() int64 { return -1 }

// Fire implements Timed.
func (w *foreignJoin) Fire(_ State, row *Row, at int64, r *Result) error {
	return w.rows.sweep(row, at, r)
}

// Step implements Operator.
func (w *foreignJoin) Step(s State, e *Event, r *Result) error {
	enter(&w.env, e)
	r.Looked = 1
	if e.Input == 0 {
		return w.changed(s, e, r)
	}
	return w.answered(s, e, r)
}

// changed takes a record of the first table in. If it refers to a row, an answer comes for it, and is waited for.
func (w *foreignJoin) changed(s State, e *Event, r *Result) error {
	x, row, err := w.rows.begin(w.rule, &w.env, s, e, r)
	if err != nil || r.Late > 0 {
		return err
	}
	had, _ := row.Value.(*foreignRow)
	now := &foreignRow{of: w.rows, since: e.Time, there: x.there, refers: x.refers, key: x.key}
	if had != nil {
		now.said = had.said
	}
	if x.there {
		if now.body, err = packRow(nil, w.rule, w.rows.packing, &w.packer, e); err != nil {
			return err
		}
	}
	if !x.there || !x.refers {
		if err := w.say(x.entity, now, nil, 0, e, r); err != nil {
			return err
		}
	}
	w.rows.put(row, now, r)
	return nil
}

// answered takes an answer in. One for a row that has changed since is not for it.
func (w *foreignJoin) answered(s State, e *Event, r *Result) error {
	entity, err := Entity(w.rule, e, &w.env)
	if err != nil {
		return err
	}
	r.Matched = 1
	row, err := s.Row(entity, cellForeign)
	if err != nil {
		return err
	}
	had, _ := row.Value.(*foreignRow)
	ask, _ := w.answer.ask.String(e.Record)
	if had == nil || !had.there || !had.refers || had.key != ask {
		return nil
	}
	shape, _ := w.answer.shape.Int(e.Record)
	if uint64(shape) != w.right.Fingerprint() {
		return stepError(w.rule, "stale_answer", "the answer for %q was written by another version of the rule: write the row anew", entity)
	}
	since, _ := w.answer.since.Int(e.Record)
	body, _ := w.answer.body.Value(e.Record).([]byte)
	now := *had
	if err := w.say(entity, &now, body, since, e, r); err != nil {
		return err
	}
	if now.said != had.said {
		w.rows.put(row, &now, r)
	}
	return nil
}

// say adds what the row and what was answered for it say together, or that what was said holds no more.
func (w *foreignJoin) say(entity string, row *foreignRow, answer []byte, since int64, e *Event, r *Result) error {
	c, err := eventContext(w.rule, e)
	if err != nil {
		return err
	}
	rt, at, err := w.meet(entity, row, answer, since, e)
	if err != nil {
		return err
	}
	var fields []any
	var is said
	if rt != nil {
		if fields, err = selected(w.rule, rt, &w.env, r); err != nil {
			return err
		}
		if is.key, err = outputKey(rt, fields, entity); err != nil {
			return stepError(w.rule, "null_key", "%s of %s: %w", rt.Stream.Key, rt.Stream.Name, err)
		}
		is.key, is.stream = strings.Clone(is.key), rt.Stream.Name // they are kept
	}
	if was := row.said; was.stream != "" && was != is {
		if err := w.takeBack(was, entity, at, c, r); err != nil {
			return err
		}
	}
	if row.said = is; rt == nil {
		return nil
	}
	w.parts = append(w.parts[:0], w.rule.ID, w.rule.Version, entity, c.EventID, "holds")
	x, err := w.mix.derive(w.rule, rt, schemas.EventID(w.parts...), entity, at)
	if err != nil {
		return err
	}
	if err := complete(w.rule, rt, fields, x, at, r); err != nil {
		return err
	}
	r.Outputs[len(r.Outputs)-1].Fan = fanTwo
	return nil
}

// meet puts the row and the answer into env, and finds the route of what they say: nil for nothing.
func (w *foreignJoin) meet(entity string, row *foreignRow, answer []byte, since int64, e *Event) (*route, int64, error) {
	env := &w.env
	env.Reset()
	clear(env.Records)
	env.Key = entity
	at := e.Time
	if !row.there {
		env.Now = at
		return nil, at, nil
	}
	w.mix.begin()
	context, err := w.rows.packing.Decode(row.body[1:], w.rows.record)
	if err != nil {
		return nil, 0, errCell
	}
	env.Records[0] = w.rows.record
	if at = max(at, row.since); answer != nil {
		at = max(at, since)
	}
	env.Now = at
	second, there, err := w.unpack(answer)
	if err != nil {
		return nil, 0, err
	}
	if on := w.rule.Join.On; there && on != nil {
		there = on.Bool(env)
		if err := evalError(w.rule, env); err != nil {
			return nil, 0, err
		}
	}
	if !there {
		env.Records[1] = schemas.Record{}
		if w.rule.Join.Type != rules.LeftJoin {
			return nil, at, nil
		}
	}
	later := there && since >= row.since
	if err := w.mix.add(context, !later); err != nil {
		return nil, 0, err
	}
	if there {
		if err := w.mix.add(second, later); err != nil {
			return nil, 0, err
		}
	}
	if h := w.rule.Having; h != nil && !h.Bool(env) {
		return nil, at, evalError(w.rule, env)
	}
	rt := choose(w.routes, env)
	return rt, at, evalError(w.rule, env)
}

// unpack puts the row of an answer into env, and gives its packed context.
func (w *foreignJoin) unpack(answer []byte) (context []byte, there bool, err error) {
	if len(answer) == 0 {
		return nil, false, nil
	}
	if context, err = w.right.Decode(answer[1:], w.second); err != nil {
		return nil, false, &StepError{Rule: w.rule.ID, Code: "stale_answer", Err: err}
	}
	w.env.Records[1] = w.second
	return context, true, nil
}

// takeBack adds the deletion of what was said.
func (w *foreignJoin) takeBack(was said, entity string, at int64, c *schemas.Context, r *Result) error {
	for i := range w.routes {
		rt := &w.routes[i]
		if rt.Stream.Name != was.stream {
			continue
		}
		id := schemas.EventID(w.rule.ID, w.rule.Version, entity, c.EventID, "deleted")
		x := derive(w.rule, rt, c, id, at, 1, c.EventID)
		x.Entity, x.OccurredAt = was.key, at
		r.Outputs = append(r.Outputs, Output{
			Stream: rt.Stream, Key: was.key, Time: at, ID: id, Ordinal: int64(len(r.Outputs)), Fan: fanTwo, Stamp: -1, Context: x, Delete: true,
		})
		return nil
	}
	return nil // the rule does not write there any more
}
