package processors

import (
	"crypto/sha256"
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
	env    rules.Env
	report *reporter
	layout *layout
	shape  uint64 // of the state

	// The last step's change, from which the next step takes its memory.
	row       *Row
	old, next *group
}

func newAggregate(rule *rules.Rule) *aggregate {
	a := &aggregate{rule: rule, env: newEnv(rule), shape: shapeOf(rule)}
	a.report = newReporter(rule, &a.env)
	a.layout = a.report.layout
	return a
}

// shapeOf is the fingerprint of what shapes the state of the rule.
func shapeOf(rule *rules.Rule) uint64 {
	shape, _ := strconv.ParseUint(rule.Fingerprint, 16, 64) // 16 hex digits
	return shape
}

func (a *aggregate) Rule() *rules.Rule { return a.rule }

func (a *aggregate) Decode(b []byte) (Cell, error) {
	g, err := decodeGroup(b, a.layout, a.shape)
	if g == nil {
		return nil, err
	}
	return g, nil
}

func (a *aggregate) Step(s State, e *Event, r *Result) error {
	entity, ok, err := enterGroup(a.rule, &a.env, e, r)
	if !ok {
		return err
	}
	row, err := s.Row(entity, cellAll)
	if err != nil {
		return err
	}
	old, _ := row.Value.(*group)
	next := a.spare()
	a.row, a.old, a.next = row, old, next
	if old == nil {
		old = &group{}
	}
	a.layout.copy(&next.pane, &old.pane)
	next.emission = old.emission
	if err := a.layout.read(&a.env, e, old.pane.count+1); err != nil {
		return err
	}
	if err := a.layout.check(&next.pane); err != nil {
		return err
	}
	a.layout.add(&next.pane)
	r.Changes = append(r.Changes, Change{Row: row, Value: next})
	last, emitted, err := a.report.report(&view{entity: entity, cause: e}, &next.pane, next.emission, r)
	if emitted {
		next.emission = last
	}
	return err
}

// enterGroup points env at the record and evaluates where and by: ok says that the record counts, for the entity.
func enterGroup(rule *rules.Rule, env *rules.Env, e *Event, r *Result) (entity string, ok bool, err error) {
	enter(env, e)
	r.Looked = 1
	if w := rule.Where; w != nil && !w.Bool(env) {
		return "", false, evalError(rule, env)
	}
	r.Matched = 1
	entity, err = Entity(rule, e, env)
	return entity, err == nil, err
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
		g = &group{layout: a.layout, shape: a.shape}
	}
	return g
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
	return checkedKey(rule, key)
}

// checkedKey refuses keys that no row can have.
func checkedKey(rule *rules.Rule, key string) (string, error) {
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
			b = schemas.AppendValue(b, fields[i])
		}
	}
	if len(b) <= sha256.Size {
		return b
	}
	h := sha256.Sum256(b)
	return append(b[:0], h[:]...)
}
