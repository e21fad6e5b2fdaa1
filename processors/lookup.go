package processors

import (
	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/schemas"
)

// lookup is the operator of lookups: a record meets the rows of its key in every table, as they held at a time, or as they are.
// Records and rows come in total order, so that it is the same row every time.
type lookup struct {
	rule   *rules.Rule
	env    rules.Env
	routes []route
	packer contextPacker
	tables []*table
	stream int // the input that looks up

	mix mixture // scratch
}

func newLookup(rule *rules.Rule) (*lookup, error) {
	w := &lookup{rule: rule, env: newEnv(rule), routes: newRoutes(rule), stream: len(rule.Lookups)}
	w.packer.kept = newKept(w.routes)
	for i, l := range rule.Lookups {
		t, err := newTable(rule, i, l.Reads, l.AsOf != nil)
		if err != nil {
			return nil, err
		}
		w.tables = append(w.tables, t)
	}
	return w, nil
}

// Rule implements Operator.
func (w *lookup) Rule() *rules.Rule { return w.rule }

// Decode implements Operator.
func (w *lookup) Decode(b []byte) (Cell, error) { return decodeTables(w.tables, b) }

// decodeTables reads a cell of one of the tables; nil for one of another shape.
func decodeTables(tables []*table, b []byte) (Cell, error) {
	for _, t := range tables {
		if c, err := t.series.decode(b); c != nil || err != nil {
			return c, err
		}
	}
	return nil, nil
}

// Lag implements Timed: rows go without a result.
func (w *lookup) Lag() int64 { return -1 }

// Fire implements Timed.
func (w *lookup) Fire(s State, row *Row, at int64, r *Result) error {
	h, _ := row.Value.(*head[joined])
	for _, t := range w.tables {
		if h == nil || h.inline.of != t.series {
			continue
		}
		return t.fire(s, row, at, r)
	}
	return nil
}

// Step implements Operator.
func (w *lookup) Step(s State, e *Event, r *Result) error {
	enter(&w.env, e)
	r.Looked = 1
	if e.Input < w.stream {
		return w.keep(s, e, r)
	}
	if c := w.rule.Where; c != nil && !c.Bool(&w.env) {
		return evalError(w.rule, &w.env)
	}
	r.Matched = 1
	entity, err := Entity(w.rule, e, &w.env)
	if err != nil {
		return err
	}
	w.env.Key = entity
	c, err := eventContext(w.rule, e)
	if err != nil {
		return err
	}
	w.mix.begin()
	for i := range w.tables {
		there, late, err := w.find(s, i, entity, e)
		if err != nil {
			return err
		}
		if late {
			r.Late = 1
			return nil
		}
		if !there && !w.rule.Lookups[i].Left {
			r.Missing = 1
			return nil
		}
	}
	return w.emit(e, entity, *c, r)
}

// keep makes a record of a table the newest version of its row.
func (w *lookup) keep(s State, e *Event, r *Result) error {
	entity, err := rowEntity(w.rule, e, &w.env)
	if err != nil {
		return err
	}
	r.Matched = 1
	t := w.tables[e.Input]
	if err := t.series.open(s, entity); err != nil {
		return err
	}
	newest, err := t.newest()
	if err != nil {
		return err
	}
	if t.past(e.Time, e.Clock, newest) {
		r.Late = 1
		return nil
	}
	var body []byte
	if !e.Record.IsNull() {
		if body, err = t.pack(w.rule, &w.packer, e); err != nil {
			return err
		}
	}
	if err := t.put(e.Time, body, newest, e.Clock); err != nil {
		return err
	}
	return t.series.commit(r, nil)
}

// rowEntity is the key of a row: the record's own, if it deletes one.
func rowEntity(rule *rules.Rule, e *Event, env *rules.Env) (string, error) {
	if e.Record.IsNull() {
		return checkedKey(rule, e.Key)
	}
	return Entity(rule, e, env)
}

// find looks the entity up in a table. The row, if there is one, is then in env.
func (w *lookup) find(s State, i int, entity string, e *Event) (there, late bool, err error) {
	t, at := w.tables[i], e.Time
	var v *entry[joined]
	if err = t.series.open(s, entity); err != nil {
		return false, false, err
	}
	if asOf := w.rule.Lookups[i].AsOf; asOf != nil {
		was, ok := asOf.Int(&w.env)
		if err := evalError(w.rule, &w.env); err != nil {
			return false, false, err
		}
		if !ok {
			return false, false, stepError(w.rule, "null_time", "as_of is null")
		}
		if at = min(at, was); at < before(e.Clock, t.history) {
			return false, true, nil
		}
		v, err = t.version(at)
	} else {
		v, err = t.newest()
	}
	if err != nil || !t.holds(v, at) {
		return false, false, err
	}
	if err = t.look(v); err == nil {
		w.env.Records[i] = t.member.record
		err = w.mix.add(t.member.context, false)
	}
	return err == nil, false, err
}

// emit adds the result of the record and the rows that it has met, unless having or the routes drop it.
func (w *lookup) emit(e *Event, entity string, c schemas.Context, r *Result) error {
	rt, fields, err := routed(w.rule, w.rule.Having, w.routes, &w.env, r)
	if err != nil || rt == nil {
		return err
	}
	id := schemas.EventID(w.rule.ID, w.rule.Version, entity, c.EventID, "0")
	w.mix.take(&c, true)
	x, err := w.mix.derive(w.rule, rt, id, entity, e.Time)
	if err != nil {
		return err
	}
	if err := complete(w.rule, rt, fields, x, e.Time, r); err != nil {
		return err
	}
	r.Outputs[len(r.Outputs)-1].Fan = fanOne
	return nil
}
