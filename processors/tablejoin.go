package processors

import (
	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/schemas"
)

// tableJoin is the operator of joins of two tables by their key: what the two rows of a key say together is a row of its own,
// written anew whenever one of them changes, and deleted when there is none any more.
type tableJoin struct {
	rule   *rules.Rule
	env    rules.Env
	routes []route
	packer contextPacker
	sides  [2]*table

	// The step.
	entity string
	result *Result
	change change

	// Scratch memory.
	mix   mixture
	parts []string
}

// change is what happens to a row of one side, or, if their time is over, of both.
type change struct {
	of  [2]bool // the sides
	at  int64   // event time
	id  string  // of the record, or of what replaces it
	due int64   // of one that time brings; else 0
}

// statement is what the rows of a key say together.
type statement struct {
	route   *route // nil: nothing
	key     string // of the record that says it
	fields  []any
	at      int64 // event time
	context schemas.Context
}

func newTableJoin(rule *rules.Rule) (*tableJoin, error) {
	w := &tableJoin{rule: rule, env: newEnv(rule), routes: newRoutes(rule)}
	w.packer.kept = newKept(w.routes)
	for i := range w.sides {
		t, err := newTable(rule, i, rule.Join.Reads[i], false)
		if err != nil {
			return nil, err
		}
		w.sides[i] = t
	}
	return w, nil
}

// Rule implements Operator.
func (w *tableJoin) Rule() *rules.Rule { return w.rule }

// Decode implements Operator.
func (w *tableJoin) Decode(b []byte) (Cell, error) { return decodeTables(w.sides[:], b) }

// Lag implements Timed.
func (w *tableJoin) Lag() int64 {
	if w.sides[0].ttl == 0 && w.sides[1].ttl == 0 {
		return -1
	}
	return 0
}

// Step implements Operator.
func (w *tableJoin) Step(s State, e *Event, r *Result) error {
	enter(&w.env, e)
	r.Looked = 1
	x := w.sides[e.Input]
	there, err := takesPart(w.rule, &w.env, e)
	if err != nil {
		return err
	}
	entity, err := rowEntity(w.rule, e, &w.env)
	if err != nil {
		return err
	}
	r.Matched = 1
	if err := w.open(s, entity, r); err != nil {
		return err
	}
	c, err := eventContext(w.rule, e)
	if err != nil {
		return err
	}
	w.change = change{at: e.Time, id: c.EventID}
	w.change.of[e.Input] = true
	last, err := x.newest()
	if err != nil {
		return err
	}
	if x.past(e.Time, e.Clock, last) {
		r.Late = 1
		return nil
	}
	var body []byte
	if there {
		if body, err = x.pack(w.rule, &w.packer, e); err != nil {
			return err
		}
	}
	if err := w.turn(body); err != nil {
		return err
	}
	if err := x.put(e.Time, body, last, e.Clock); err != nil {
		return err
	}
	return x.series.commit(r, nil)
}

// takesPart reports whether the record is a row: one that its side's conditions refuse counts like a deletion.
func takesPart(rule *rules.Rule, env *rules.Env, e *Event) (bool, error) {
	if e.Record.IsNull() {
		return false, nil
	}
	c := rule.Join.Where[e.Input]
	return c == nil || c.Bool(env), evalError(rule, env)
}

func (w *tableJoin) open(s State, entity string, r *Result) error {
	w.entity, w.result, w.env.Key, w.env.Item = entity, r, entity, nil
	for _, t := range w.sides {
		if err := t.series.open(s, entity); err != nil {
			return err
		}
	}
	return nil
}

// turn adds what follows from the change of a row to the one with that body, nil for none.
func (w *tableJoin) turn(body []byte) error {
	was, err := w.statement(nil, false)
	if err != nil {
		return err
	}
	is, err := w.statement(body, true)
	if err != nil {
		return err
	}
	if was.route != nil && (is.route != was.route || is.key != was.key) {
		if err := w.write(&was, true); err != nil {
			return err
		}
	}
	if is.route == nil {
		return nil
	}
	return w.write(&is, false)
}

// statement finds what the rows say, before the change or after it.
func (w *tableJoin) statement(body []byte, after bool) (statement, error) {
	env, x := &w.env, statement{}
	var err error
	if x.at, err = w.rows(body, after); err != nil || env.Records[0].IsNull() && env.Records[1].IsNull() {
		return x, err
	}
	env.Now = x.at
	dropped := w.result.Dropped
	rt, fields, err := routed(w.rule, w.rule.Having, w.routes, env, w.result)
	if !after {
		w.result.Dropped = dropped // it was counted when it began to hold
	}
	if x.fields = fields; err != nil || rt == nil {
		return x, err
	}
	if x.key, err = outputKey(rt, x.fields, w.entity); err != nil {
		return x, stepError(w.rule, "null_key", "%s of %s: %w", rt.Stream.Key, rt.Stream.Name, err)
	}
	if x.context, err = w.context(rt, x.at, after); err != nil {
		return x, err
	}
	x.route = rt
	return x, nil
}

// rows puts the rows of both sides that match into env, before the change or after it, and gives the event time of what they
// say: that of the later of them, and of the change.
func (w *tableJoin) rows(body []byte, after bool) (at int64, err error) {
	env := &w.env
	env.Reset()
	clear(env.Records)
	at = w.change.at
	var there [2]bool
	for i, t := range w.sides {
		v, err := t.newest()
		if err != nil {
			return 0, err
		}
		if after && w.change.of[i] {
			if v = nil; body != nil {
				v = &entry[joined]{w.change.at, joined{body}}
			}
		}
		if v == nil || v.item.body[0] == bodyDeleted {
			continue
		}
		if err := t.look(v); err != nil {
			return 0, err
		}
		env.Records[i], there[i] = t.member.record, true
		if after || !w.change.of[i] {
			at = max(at, v.key)
		}
	}
	if on := w.rule.Join.On; there[0] && there[1] && on != nil && !on.Bool(env) {
		if err := evalError(w.rule, env); err != nil {
			return 0, err
		}
		there[0], there[1] = w.rule.Join.Type == rules.LeftJoin, w.rule.Join.Type == rules.RightJoin
	}
	if !w.says(there[0], there[1]) {
		there = [2]bool{}
	}
	for i, ok := range there {
		if !ok {
			env.Records[i] = schemas.Record{}
		}
	}
	return at, nil
}

// says reports whether rows say something: of the left, the right or both tables.
func (w *tableJoin) says(left, right bool) bool {
	switch w.rule.Join.Type {
	case rules.LeftJoin:
		return left
	case rules.RightJoin:
		return right
	case rules.OuterJoin:
		return left || right
	default:
		return left && right
	}
}

// context is that of the statement of the rows in env.
func (w *tableJoin) context(rt *route, at int64, after bool) (schemas.Context, error) {
	latest := -1
	for i, t := range w.sides {
		if !w.env.Records[i].IsNull() && (latest < 0 || t.member.time >= w.sides[latest].member.time) {
			latest = i
		}
	}
	w.mix.begin()
	w.parts = append(w.parts[:0], w.rule.ID, w.rule.Version, w.entity)
	for i, t := range w.sides {
		if w.env.Records[i].IsNull() {
			w.parts = append(w.parts, "")
			continue
		}
		if err := w.mix.add(t.member.context, i == latest); err != nil {
			return schemas.Context{}, err
		}
		w.parts = append(w.parts, w.mix.ids[len(w.mix.ids)-1])
	}
	word := "holds"
	if !after {
		word = "deleted"
	}
	w.parts = append(w.parts, w.change.id, word)
	return w.mix.derive(w.rule, rt, schemas.EventID(w.parts...), w.entity, at)
}

// write adds a statement, or that it holds no more.
func (w *tableJoin) write(x *statement, deleted bool) error {
	r := w.result
	if err := complete(w.rule, x.route, x.fields, x.context, x.at, r); err != nil {
		return err
	}
	out := &r.Outputs[len(r.Outputs)-1]
	if deleted {
		out.Delete, out.Time = true, x.at
	}
	if out.Fan = fanTwo; w.change.due != 0 {
		out.Cause, out.Due = w.entity, w.change.due
	}
	return nil
}

// Fire implements Timed: rows whose time is over are deleted. Those of both sides that go at one time go together, so that it
// does not matter which of them comes up first.
func (w *tableJoin) Fire(s State, row *Row, at int64, r *Result) error {
	if row.Value == nil {
		return nil
	}
	entity, _ := cellOf(row.Key)
	if err := w.open(s, entity, r); err != nil {
		return err
	}
	if err := w.expire(at); err != nil {
		return err
	}
	for _, t := range w.sides {
		if len(t.series.head.items()) == 0 {
			continue
		}
		if err := t.sweep(at); err != nil {
			return err
		}
		if err := t.series.commit(r, nil); err != nil {
			return err
		}
	}
	return nil
}

// expire adds what follows from the end of the time of rows.
func (w *tableJoin) expire(at int64) error {
	var ids []string
	w.change = change{at: at, due: at}
	for i, t := range w.sides {
		v, err := t.newest()
		if err != nil {
			return err
		}
		if v == nil || v.item.body[0] == bodyDeleted || t.holds(v, at) {
			continue
		}
		if err := t.look(v); err != nil {
			return err
		}
		c, err := parseContext(t.member.context)
		if err != nil {
			return err
		}
		w.change.of[i], ids = true, append(ids, c.EventID)
	}
	if ids == nil || w.result.Mute {
		return nil
	}
	w.change.id = schemas.EventID(append(ids, "expired")...)
	return w.turn(nil)
}
