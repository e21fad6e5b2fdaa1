package processors

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"strconv"
	"strings"

	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/schemas"
)

// MaxKey bounds record keys and entities, in bytes: each is in every row of its state and in headers.
const MaxKey = 4096

// cellAll is the one cell of an aggregate without a window.
const cellAll = "all"

// aggregate folds the records of an entity into running values (kind `aggregate`, `unbounded: true`). It emits
// after each record that it counts; with `emit: changes` only when a selected value differs from the last
// emission's.
type aggregate struct {
	rule   *rules.Rule
	routes []route
	env    rules.Env
	shape  uint64 // of the state
	finger []byte // scratch

	// The last step's change, from which the next step takes its memory.
	row       *Row
	old, next *group
}

func newAggregate(rule *rules.Rule) *aggregate {
	a := &aggregate{rule: rule, routes: newRoutes(rule), env: newEnv(rule)}
	a.env.Group = make([]any, len(rule.Aggregates))
	a.shape, _ = strconv.ParseUint(rule.Fingerprint, 16, 64) // 16 hex digits
	return a
}

func (a *aggregate) Rule() *rules.Rule { return a.rule }

func (a *aggregate) Decode(b []byte) (Cell, error) {
	g, err := decodeGroup(b, a.rule.Aggregates)
	switch {
	case errors.Is(err, errShape):
		return nil, nil
	case err != nil:
		return nil, err
	case g.shape != 0 && g.shape != a.shape:
		return nil, nil
	}
	return g, nil
}

func (a *aggregate) Step(s State, e *Event, r *Result) error {
	env := &a.env
	enter(env, e)
	r.Looked = 1
	if w := a.rule.Where; w != nil && !w.Bool(env) {
		return evalError(a.rule, env)
	}
	r.Matched = 1
	entity, err := Entity(a.rule, e, env)
	if err != nil {
		return err
	}
	cause, err := e.Source.Context()
	if err != nil {
		return &StepError{Rule: a.rule.ID, Code: "bad_context", Err: err}
	}
	row, err := s.Row(entity, cellAll)
	if err != nil {
		return err
	}
	old, _ := row.Value.(*group)
	next := a.spare()
	old.grow(next, len(a.rule.Aggregates))
	a.row, a.old, a.next = row, old, next
	next.shape = a.shape
	next.take(cause)
	if n := len(next.version); n > schemas.MaxVersion {
		return stepError(a.rule, "bad_context", "the version vectors of %q name %d regions; %d are the most", entity, n, schemas.MaxVersion)
	}
	for i := range a.rule.Aggregates {
		if err := a.add(&next.sums[i], &a.rule.Aggregates[i]); err != nil {
			return err
		}
	}
	r.Changes = append(r.Changes, Change{Row: row, Value: next})
	return a.emit(entity, e, cause, next, r)
}

// spare is a group that nobody refers to any more: the one that the last step has replaced, or the one that it made in
// vain when its change was not applied.
func (a *aggregate) spare() *group {
	g := a.next
	if g != nil && a.row.Value == Cell(g) {
		g = a.old
	}
	a.row, a.old, a.next = nil, nil, nil
	if g == nil {
		g = &group{}
	}
	return g
}

// add folds the current record into one accumulator; null arguments count for nothing,
// but first and last keep them.
func (a *aggregate) add(s *sum, agg *rules.Aggregate) error {
	if agg.Arg == nil {
		s.count++
		return nil
	}
	v := agg.Arg.Value(&a.env)
	if err := evalError(a.rule, &a.env); err != nil {
		return err
	}
	if v == nil && agg.Func != rules.First && agg.Func != rules.Last {
		return nil
	}
	if code := s.add(agg.Func, v); code != "" {
		return stepError(a.rule, code, "%s of %v", agg.Func, v)
	}
	return nil
}

func (a *aggregate) emit(entity string, e *Event, cause *schemas.Context, g *group, r *Result) error {
	env := &a.env
	env.Key = entity
	for i := range a.rule.Aggregates {
		env.Group[i] = g.sums[i].result(&a.rule.Aggregates[i])
	}
	if h := a.rule.Having; h != nil && !h.Bool(env) {
		return evalError(a.rule, env)
	}
	rt := choose(a.routes, env)
	if err := evalError(a.rule, env); err != nil {
		return err
	}
	if rt == nil {
		r.Dropped++
		return nil
	}
	fields, err := selected(a.rule, rt, env, r)
	if err != nil {
		return err
	}
	if a.rule.Emit == rules.EmitChanges {
		a.finger = fingerprint(a.finger[:0], rt, fields)
		if bytes.Equal(a.finger, g.selected) {
			return nil
		}
		g.selected = bytes.Clone(a.finger)
	}
	g.emitted++
	id := schemas.EventID(a.rule.ID, a.rule.Version, entity, cellAll, strconv.FormatInt(g.emitted, 10))
	ids := [2]string{g.first, g.last}
	c := derive(a.rule, rt, cause, id, e.Time, g.count, ids[:min(2, g.count)]...)
	c.Entity, c.Confidence, c.Version = entity, g.confidence, g.version
	return complete(a.rule, rt, fields, c, e.Time, r)
}

// Entity evaluates the rule's `by` for the record; env is the rule's, already entered.
func Entity(rule *rules.Rule, e *Event, env *rules.Env) (string, error) {
	by := rule.By[e.Input]
	var key string
	var err error
	if by.Type().Kind == schemas.String {
		var ok bool
		if key, ok = by.String(env); !ok {
			err = errNull
		}
	} else {
		key, err = keyText(by.Value(env))
	}
	if failed := evalError(rule, env); failed != nil {
		return "", failed
	}
	if err != nil {
		return "", stepError(rule, "null_key", "by: %w", err)
	}
	switch {
	case len(key) > MaxKey:
		return "", stepError(rule, "bad_key", "the key has %d bytes; %d are the most", len(key), MaxKey)
	case strings.IndexByte(key, 0) >= 0:
		return "", stepError(rule, "bad_key", "the key %q holds a NUL byte", key)
	}
	return key, nil
}

// fingerprint identifies the selected values of a route: equal bytes, equal values.
func fingerprint(b []byte, rt *route, fields []any) []byte {
	b = append(b, rt.Stream.Name...)
	for i := range rt.Fields {
		if rt.Fields[i].Expr != nil {
			b = appendValue(b, fields[i])
		}
	}
	if len(b) <= sha256.Size {
		return b
	}
	h := sha256.Sum256(b)
	return append(b[:0], h[:]...)
}
