package processors

import (
	"strings"

	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/schemas"
)

// asking is the first part of a join by a foreign key (rules.Asking): it knows which row of the second table each row of the
// first refers to, and tells those who keep the second table when that changes.
type asking struct {
	rule *rules.Rule
	env  rules.Env
	rows *foreignRows
}

func newAsking(rule *rules.Rule) (*asking, error) {
	rows, err := newForeignRows(rule, rule.Inputs[0].Stream, nil)
	return &asking{rule: rule, env: newEnv(rule), rows: rows}, err
}

// Rule implements Operator.
func (w *asking) Rule() *rules.Rule { return w.rule }

// Decode implements Operator.
func (w *asking) Decode(b []byte) (Cell, error) { return w.rows.decode(b) }

// Lag implements Timed.
func (w *asking) Lag() int64 { return -1 }

// Fire implements Timed.
func (w *asking) Fire(_ State, row *Row, at int64, r *Result) error { return w.rows.sweep(row, at, r) }

// Step implements Operator.
func (w *asking) Step(s State, e *Event, r *Result) error {
	enter(&w.env, e)
	r.Looked = 1
	x, row, err := w.rows.begin(w.rule, &w.env, s, e, r)
	if err != nil || r.Late > 0 {
		return err
	}
	had, _ := row.Value.(*foreignRow)
	c, err := eventContext(w.rule, e)
	if err != nil {
		return err
	}
	if had != nil && had.there && had.refers && (!x.there || !x.refers || x.key != had.key) {
		w.ask(r, x.entity, had.key, true, e, c)
	}
	if x.there && x.refers {
		w.ask(r, x.entity, x.key, false, e, c)
	}
	w.rows.put(row, &foreignRow{of: w.rows, since: e.Time, there: x.there, refers: x.refers, key: x.key}, r)
	return nil
}

// ask adds that the row with that key asks for another, or that this is over.
func (w *asking) ask(r *Result, entity, key string, over bool, e *Event, c *schemas.Context) {
	word := "asks"
	if over {
		word = "over"
	}
	id := schemas.EventID(w.rule.ID, w.rule.Version, entity, key, c.EventID, word)
	f := r.fields(6)
	f[0], f[1], f[2], f[3], f[4], f[5] = id, c.CorrelationID, e.Time, key, entity, over
	r.Outputs = append(r.Outputs, between(w.rule, key, id, e, c, f, len(r.Outputs), fanTwo))
}

// between is a record that one part of a join writes for another.
func between(rule *rules.Rule, key, id string, e *Event, c *schemas.Context, fields []any, n int, fan int64) Output {
	return Output{
		Stream: rule.Routes[0].Stream, Key: key, Time: e.Time, ID: id, Ordinal: int64(n), Fan: fan, Fields: fields, Stamp: -1,
		Context: schemas.Context{
			EventID: id, CorrelationID: c.CorrelationID, CausationID: c.EventID, Entity: key, OccurredAt: e.Time,
			Source: rule.ID, Region: c.Region, Confidence: 1, Priority: c.Priority,
		},
	}
}

// referral is what a record of the first table says.
type referral struct {
	entity string
	there  bool   // it is a row that takes part
	refers bool   // to a row of the second table
	key    string // of that
}

// referring reads a record of the first table.
func referring(rule *rules.Rule, env *rules.Env, e *Event) (referral, error) {
	entity, err := rowEntity(rule, e, env)
	x := referral{entity: entity}
	if err != nil {
		return x, err
	}
	if x.there, err = takesPart(rule, env, e); err != nil || !x.there {
		return x, err
	}
	if x.key, x.refers = rule.Join.Foreign.String(env); x.refers {
		x.key, err = checkedKey(rule, strings.Clone(x.key)) // it is kept
	}
	if failed := evalError(rule, env); failed != nil {
		return x, failed
	}
	return x, err
}

// answering is the second part of a join by a foreign key: it keeps the second table and who has asked for its rows.
type answering struct {
	rule   *rules.Rule
	env    rules.Env
	packer contextPacker
	table  *table
	asked  *series[asker]
	row    schemas.Accessor // of a question
	over   schemas.Accessor // of a question

	// The step.
	result *Result
}

// asker is a row of the first table that refers to the entity.
type asker struct{ row string }

func newAnswering(rule *rules.Rule) (*answering, error) {
	w := &answering{rule: rule, env: newEnv(rule)}
	w.packer.kept = kept{ids: true, version: true, confidence: true}
	var err error
	if w.table, err = newTable(rule, 1, rule.Join.Reads[1], false); err != nil {
		return nil, err
	}
	questions := rule.Inputs[0].Stream.Projection
	if w.row, err = questions.Accessor("row"); err != nil {
		return nil, err
	}
	if w.over, err = questions.Accessor("over"); err != nil {
		return nil, err
	}
	w.asked = newSeries(askerCodec{}, "a", shapeOf(rule), func(*head[asker], int64) int64 { return Never })
	return w, nil
}

// Rule implements Operator.
func (w *answering) Rule() *rules.Rule { return w.rule }

// Decode implements Operator.
func (w *answering) Decode(b []byte) (Cell, error) {
	if c, err := w.table.series.decode(b); c != nil || err != nil {
		return c, err
	}
	return w.asked.decode(b)
}

// Lag implements Timed.
func (w *answering) Lag() int64 { return -1 }

// Fire implements Timed: it forgets deletions.
func (w *answering) Fire(s State, row *Row, at int64, r *Result) error {
	if h, _ := row.Value.(*head[joined]); h == nil {
		return nil
	}
	return w.table.fire(s, row, at, r)
}

// Step implements Operator.
func (w *answering) Step(s State, e *Event, r *Result) error {
	enter(&w.env, e)
	w.result, r.Looked = r, 1
	entity, err := rowEntity(w.rule, e, &w.env)
	if err != nil {
		return err
	}
	r.Matched = 1
	c, err := eventContext(w.rule, e)
	if err != nil {
		return err
	}
	if err := w.table.series.open(s, entity); err != nil {
		return err
	}
	if err := w.asked.open(s, entity); err != nil {
		return err
	}
	if e.Input == 0 {
		err = w.question(entity, e, c)
	} else {
		err = w.changed(entity, e, c)
	}
	if err != nil || r.Late > 0 {
		return err
	}
	if err := w.asked.commit(r, nil); err != nil {
		return err
	}
	return w.table.series.commit(r, nil)
}

// question takes in that a row of the first table asks, or does no more.
func (w *answering) question(entity string, e *Event, c *schemas.Context) error {
	row, _ := w.row.String(e.Record)
	row = strings.Clone(row) // it is kept
	over, _ := w.over.Bool(e.Record)
	at := hashed(row)
	known := false
	x, err := w.asked.seek(at)
	for ; err == nil && x.entry() != nil && x.entry().key == at; err = w.asked.next(&x) {
		if x.entry().item.row == row {
			if known = true; over {
				w.asked.remove(x)
			}
			break
		}
	}
	switch {
	case err != nil || over:
		return err
	case !known:
		item, err := w.asked.insert(at)
		if err != nil {
			return err
		}
		item.row = row
	}
	v, err := w.table.newest()
	if err != nil {
		return err
	}
	w.answer(row, entity, v, e, c)
	return nil
}

// changed takes a record of the second table in, and answers all that have asked for its row.
func (w *answering) changed(entity string, e *Event, c *schemas.Context) error {
	newest, err := w.table.newest()
	if err != nil {
		return err
	}
	if w.table.past(e.Time, e.Clock, newest) {
		w.result.Late = 1
		return nil
	}
	var body []byte
	if there, err := takesPart(w.rule, &w.env, e); err != nil {
		return err
	} else if there {
		if body, err = w.table.pack(w.rule, &w.packer, e); err != nil {
			return err
		}
	}
	now := &entry[joined]{e.Time, joined{body}}
	if body == nil {
		now = nil
	}
	x, err := w.asked.seek(-1 << 63)
	for ; err == nil && x.entry() != nil; err = w.asked.next(&x) {
		w.answer(x.entry().item.row, entity, now, e, c)
	}
	if err != nil {
		return err
	}
	return w.table.put(e.Time, body, newest, e.Clock)
}

// answer adds what the second table says of the entity, for a row of the first one.
func (w *answering) answer(row, entity string, v *entry[joined], e *Event, c *schemas.Context) {
	r := w.result
	id := schemas.EventID(w.rule.ID, w.rule.Version, entity, row, c.EventID)
	f := r.fields(8)
	f[0], f[1], f[2], f[3], f[4], f[5], f[6], f[7] = id, c.CorrelationID, e.Time, row, entity, int64(0), int64(w.table.codec.packing.Fingerprint()), nil
	if v != nil && v.item.body[0] != bodyDeleted {
		f[5], f[7] = v.key, v.item.body
	}
	r.Outputs = append(r.Outputs, between(w.rule, row, id, e, c, f, len(r.Outputs), fanMany))
}

// askerCodec writes askers.
type askerCodec struct{}

func (askerCodec) append(b []byte, _ int64, x *asker) []byte { return append(b, x.row...) }
func (askerCodec) size(_ int64, x *asker) int                { return len(x.row) }
func (askerCodec) decode(b []byte, _ int64, x *asker) error {
	x.row = string(b)
	return nil
}
