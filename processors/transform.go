package processors

import (
	"strconv"

	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/schemas"
)

// transform filters, maps, routes and flat-maps single records. It has no state.
type transform struct {
	rule   *rules.Rule
	routes []route
	env    rules.Env
}

func newTransform(rule *rules.Rule) *transform {
	return &transform{rule: rule, routes: newRoutes(rule), env: newEnv(rule)}
}

func newEnv(rule *rules.Rule) rules.Env {
	return rules.Env{Records: make([]schemas.Record, len(rule.Inputs))}
}

// enter points the environment at one record.
func enter(env *rules.Env, e *Event) {
	env.Reset()
	clear(env.Records)
	env.Records[e.Input] = e.Record
	env.Item, env.Key, env.Now = nil, e.Key, e.Time
}

func (t *transform) Rule() *rules.Rule { return t.rule }

func (t *transform) Decode([]byte) (Cell, error) {
	return nil, stepError(t.rule, "state", "a transform has no state")
}

func (t *transform) Step(_ State, e *Event, r *Result) error {
	env := &t.env
	enter(env, e)
	r.Looked = 1
	if w := t.rule.Where; w != nil && !w.Bool(env) {
		return evalError(t.rule, env)
	}
	r.Matched = 1
	if t.rule.Each == nil {
		return t.emit(e, 0, r)
	}
	list, _ := t.rule.Each.List.Value(env).([]any)
	if err := evalError(t.rule, env); err != nil {
		return err
	}
	for i, item := range list {
		env.Item = item
		if w := t.rule.Each.Where; w != nil && !w.Bool(env) {
			if err := evalError(t.rule, env); err != nil {
				return err
			}
			continue
		}
		if err := t.emit(e, i, r); err != nil {
			return err
		}
	}
	return nil
}

// emit adds the output for the current item; ordinal numbers the results of one record, so that dropping one of
// them does not change the ids of the others.
func (t *transform) emit(e *Event, ordinal int, r *Result) error {
	rt, fields, err := routed(t.rule, nil, t.routes, &t.env, r)
	if err != nil || rt == nil {
		return err
	}
	cause, err := eventContext(t.rule, e)
	if err != nil {
		return err
	}
	id := schemas.EventID(t.rule.ID, t.rule.Version, e.Key, cause.EventID, strconv.Itoa(ordinal))
	c := derive(t.rule, rt, cause, id, e.Time, 1, cause.EventID)
	if err := complete(t.rule, rt, fields, c, e.Time, r); err != nil {
		return err
	}
	out := &r.Outputs[len(r.Outputs)-1]
	if out.Fan = fanOne; t.rule.Each != nil {
		out.Fan = fanMany
	}
	return nil
}
