package processors

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/schemas"
)

// reporter turns panes into results of a rule: it evaluates having, the routes and select over the aggregates.
type reporter struct {
	rule   *rules.Rule
	routes []route
	layout *layout
	env    *rules.Env
	first  []int  // aggregates that having needs
	keyed  bool   // having may need the key
	rest   []int  // the others
	finger []byte // scratch
}

// view is what a pane stands for.
type view struct {
	entity     string // "" for that of row, whose key need not be read then for a result that having drops
	row        *Row
	start, end int64  // of the window
	number     int64  // of a counting window
	cause      *Event // the record that led to the result; nil for one that time or a full window brings
	due        int64  // the deadline that brought the result, 0 for none
}

// name is the entity.
func (v *view) name() string {
	if v.entity == "" && v.row != nil {
		v.entity, _, _ = strings.Cut(v.row.Key, "\x00")
	}
	return v.entity
}

// emission is what is remembered of the results of one window.
type emission struct {
	n        int64  // how many there were: the n of the deterministic event id
	selected []byte // with EmitChanges: the fingerprint of the last one
}

func newReporter(rule *rules.Rule, env *rules.Env) *reporter {
	routes := newRoutes(rule)
	o := &reporter{rule: rule, routes: routes, layout: newLayout(rule, routes), env: env}
	o.keyed = rule.Having == nil || strings.Contains(rule.Having.Canonical(), "key")
	env.Group = make([]any, len(rule.Aggregates))
	for i := range rule.Aggregates {
		if rule.Having != nil && refersTo(rule.Having, i) {
			o.first = append(o.first, i)
		} else {
			o.rest = append(o.rest, i)
		}
	}
	return o
}

// refersTo reports whether the expression may refer to aggregate n: its canonical form names it $n. A text constant that
// looks like it does no harm, the aggregate is then worked out in vain.
func refersTo(x *rules.Expr, n int) bool {
	name := "$" + strconv.Itoa(n)
	for s := x.Canonical(); ; {
		_, after, found := strings.Cut(s, name)
		if !found {
			return false
		}
		if after == "" || after[0] < '0' || after[0] > '9' {
			return true
		}
		s = after
	}
}

// answer is a result before it is written.
type answer struct {
	route  *route // nil: having or the routes drop it
	fields []any
	at     int64  // event time
	finger []byte // with EmitChanges: the fingerprint of the selected values, valid until the next answer
}

// report adds the result for the pane of a window to r, unless having, the routes or EmitChanges drop it. last is what the
// window's results so far have left; emitted tells whether next replaces it.
func (o *reporter) report(v *view, p *pane, last emission, r *Result) (next emission, emitted bool, err error) {
	a, err := o.answer(v, p, r)
	if err != nil || a.route == nil {
		return last, false, err
	}
	next = emission{n: last.n + 1}
	if o.rule.Emit == rules.EmitChanges {
		if last.n > 0 && bytes.Equal(a.finger, last.selected) {
			return last, false, nil
		}
		next.selected = bytes.Clone(a.finger)
	}
	return next, true, o.write(v, p, &a, next.n, r)
}

// answer works out the result for the pane of a window.
func (o *reporter) answer(v *view, p *pane, r *Result) (answer, error) {
	a := answer{at: p.latest}
	if o.rule.Window == nil {
		a.at = v.cause.Time
	}
	env := o.env
	env.Reset()
	env.Start, env.End, env.Now = v.start, v.end, a.at
	if o.keyed {
		env.Key = v.name()
	}
	if h := o.rule.Having; h != nil {
		if err := o.fill(p, o.first); err != nil {
			return a, err
		}
		if !h.Bool(env) {
			return a, evalError(o.rule, env)
		}
	}
	env.Key = v.name()
	if err := o.fill(p, o.rest); err != nil {
		return a, err
	}
	var err error
	if a.route, a.fields, err = routed(o.rule, nil, o.routes, env, r); err != nil || a.route == nil {
		return a, err
	}
	if o.rule.Emit == rules.EmitChanges {
		o.finger = fingerprint(o.finger[:0], a.route, a.fields)
		a.finger = o.finger
	}
	return a, nil
}

func (o *reporter) fill(p *pane, aggregates []int) error {
	for _, i := range aggregates {
		v, err := o.layout.result(p, i)
		if err != nil {
			return err
		}
		o.env.Group[i] = v
	}
	return nil
}

// write adds the n-th result of a window to r.
func (o *reporter) write(v *view, p *pane, a *answer, n int64, r *Result) error {
	id := o.id(v, n)
	cause := &schemas.Context{CorrelationID: id, Confidence: 1, Priority: o.rule.Priority}
	if v.cause != nil {
		var err error
		if cause, err = eventContext(o.rule, v.cause); err != nil {
			return err
		}
	}
	var ids []string
	if a.route.lined {
		ids = p.trace.ids(p.count)
	}
	c := derive(o.rule, a.route, cause, id, a.at, p.count, ids...)
	c.Entity = v.entity
	if o.layout.kept.confidence {
		c.Confidence = p.trace.confidence
	}
	if o.layout.kept.version {
		if err := o.layout.tooMany(len(p.trace.version)); err != nil {
			return err
		}
		c.Version = p.trace.version.asMap()
	}
	if err := complete(o.rule, a.route, a.fields, c, a.at, r); err != nil {
		return err
	}
	switch out := &r.Outputs[len(r.Outputs)-1]; {
	case v.due != 0:
		out.Cause, out.Due = v.entity, v.due
	case o.rule.Window == nil:
		out.Ordinal = n
	case o.rule.Window.Kind == rules.Counting:
		out.Ordinal = v.number
	default:
		out.Fan = fanMany
	}
	return nil
}

// id is the event id of the n-th result of a window.
func (o *reporter) id(v *view, n int64) string {
	text := func(x int64) string { return strconv.FormatInt(x, 10) }
	switch w := o.rule.Window; {
	case w == nil:
		return schemas.EventID(o.rule.ID, o.rule.Version, v.entity, cellAll, text(n))
	case w.Kind == rules.Counting:
		return schemas.EventID(o.rule.ID, o.rule.Version, v.entity, text(v.number), text(n))
	default:
		return schemas.EventID(o.rule.ID, o.rule.Version, v.entity, text(v.start), text(v.end), text(n))
	}
}
