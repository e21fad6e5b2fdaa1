package processors

import (
	"errors"
	"strconv"

	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/schemas"
)

// maxLineage bounds the steps that a derived event carries (DESIGN §4); the newest are kept.
const maxLineage = 32

// route is a rules.Route with what building an output needs.
type route struct {
	*rules.Route
	stamp int                  // position of recorded_at when nothing selects it, -1 otherwise
	set   []rules.ContextField // by position: the context field that select sets there
	lined bool                 // the output has a lineage
}

func newRoutes(rule *rules.Rule) []route { return routesOf(rule.Routes) }

func routesOf(routes []rules.Route) []route {
	out := make([]route, len(routes))
	for i := range routes {
		fields := routes[i].Fields
		out[i] = route{Route: &routes[i], stamp: -1, set: make([]rules.ContextField, len(fields))}
		for j, f := range fields {
			out[i].lined = out[i].lined || f.Expr == nil && f.Context == rules.CtxLineage
			for c := rules.CtxEventID; f.Expr != nil && c <= rules.CtxLineage; c++ {
				if c.Name() == f.Name {
					out[i].set[j] = c
				}
			}
			if f.Expr == nil && f.Context == rules.CtxRecordedAt {
				out[i].stamp = j
			}
		}
	}
	return out
}

// choose returns the first route that takes the result, nil for none.
func choose(routes []route, env *rules.Env) *route {
	for i := range routes {
		if w := routes[i].When; w == nil || w.Bool(env) {
			return &routes[i]
		}
	}
	return nil
}

// routed finds the route of the result that env holds, and selects its fields. The route is nil for a result that having, which may
// be nil, drops, or that no route takes, which is counted.
func routed(rule *rules.Rule, having *rules.Expr, routes []route, env *rules.Env, r *Result) (*route, []any, error) {
	if having != nil && !having.Bool(env) {
		return nil, nil, evalError(rule, env)
	}
	rt := choose(routes, env)
	if err := evalError(rule, env); err != nil {
		return nil, nil, err
	}
	if rt == nil {
		r.Dropped++
		return nil, nil, nil
	}
	fields, err := selected(rule, rt, env, r)
	return rt, fields, err
}

// selected evaluates the route's expressions into fresh slots.
func selected(rule *rules.Rule, rt *route, env *rules.Env, r *Result) ([]any, error) {
	fields := r.fields(len(rt.Fields))
	for i := range rt.Fields {
		switch f := &rt.Fields[i]; {
		case f.Expr != nil:
			fields[i] = f.Expr.Value(env)
		default:
			fields[i] = schemas.Default
		}
	}
	return fields, evalError(rule, env)
}

// complete fills the context fields of a derived event and appends it to r. The context c is the derived
// event's but for the fields that select may have set.
func complete(rule *rules.Rule, rt *route, fields []any, c schemas.Context, at int64, r *Result) error {
	key, err := outputKey(rt, fields, c.Entity)
	if err != nil {
		return stepError(rule, "null_key", "%s of %s: %w", rt.Stream.Key, rt.Stream.Name, err)
	}
	c.Entity, c.OccurredAt = key, at
	for i := range rt.Fields {
		f := &rt.Fields[i]
		if f.Expr != nil {
			override(&c, rt.set[i], fields[i])
			continue
		}
		if v := contextValue(&c, f.Context); v != nil {
			fields[i] = v
		} else if f.Context == rules.CtxCausationID {
			fields[i] = nil
		}
	}
	time := at
	if rt.TimeIndex >= 0 {
		if t, ok := fields[rt.TimeIndex].(int64); ok {
			time = t
		}
	}
	r.Outputs = append(r.Outputs, Output{
		Stream: rt.Stream, Key: key, Time: time, ID: c.EventID, Ordinal: int64(len(r.Outputs)),
		Fields: fields, Stamp: rt.stamp, Context: c,
	})
	return nil
}

// contextValue gives the context field f of c, nil where the schema's default or the runtime decides.
func contextValue(c *schemas.Context, f rules.ContextField) any {
	switch f {
	case rules.CtxEventID:
		return c.EventID
	case rules.CtxCorrelationID:
		return c.CorrelationID
	case rules.CtxCausationID:
		if c.CausationID == "" {
			return nil
		}
		return c.CausationID
	case rules.CtxEntity:
		return c.Entity
	case rules.CtxOccurredAt:
		return c.OccurredAt
	case rules.CtxSource:
		return c.Source
	case rules.CtxRegion:
		return c.Region
	case rules.CtxConfidence:
		return c.Confidence
	case rules.CtxPriority:
		return c.Priority
	case rules.CtxVersion:
		return c.Version
	case rules.CtxLineage:
		return c.Lineage
	default: // no context field, or the runtime's to stamp
		return nil
	}
}

// override takes a context field that select has set into the event's context, from which headers are made.
func override(c *schemas.Context, f rules.ContextField, v any) {
	switch v := v.(type) {
	case string:
		switch f {
		case rules.CtxCorrelationID:
			c.CorrelationID = v
		case rules.CtxCausationID:
			c.CausationID = v
		case rules.CtxEntity:
			c.Entity = v
		case rules.CtxSource:
			c.Source = v
		case rules.CtxRegion:
			c.Region = v
		case rules.CtxPriority:
			c.Priority = v
		default: // not a text that headers are made of
		}
	case float64:
		if f == rules.CtxConfidence {
			c.Confidence = v
		}
	case int64:
		if f == rules.CtxOccurredAt {
			c.OccurredAt = v
		}
	}
}

// derive makes the context of an event from that of its cause: the same correlation and one more step of lineage, if
// the output has one. ids are the step's inputs, how many there were in all.
func derive(rule *rules.Rule, rt *route, cause *schemas.Context, id string, at, many int64, ids ...string) schemas.Context {
	c := schemas.Context{
		EventID: id, CorrelationID: cause.CorrelationID, CausationID: cause.EventID, Entity: cause.Entity,
		Source: rule.ID, Region: cause.Region, Confidence: cause.Confidence, Priority: cause.Priority, Version: cause.Version,
	}
	if rule.Priority != rules.PriorityStandard {
		c.Priority = rule.Priority
	}
	if !rt.lined {
		return c
	}
	past := cause.Lineage
	if over := len(past) + 1 - maxLineage; over > 0 {
		past = past[over:]
	}
	c.Lineage = append(append(make([]schemas.Step, 0, len(past)+1), past...), schemas.Step{
		Rule: rule.ID, RuleVersion: rule.Version, Domain: rule.Domain, EventIDs: append([]string(nil), ids...), Inputs: many, At: at,
	})
	return c
}

// outputKey is the record key of an output: the text of the stream's key field, the entity for a stream without one.
func outputKey(rt *route, fields []any, entity string) (string, error) {
	if i := rt.KeyIndex; i >= 0 && rt.Fields[i].Expr != nil {
		return keyText(fields[i])
	}
	return entity, nil
}

var errNull = errors.New("the key is null")

// keyText is the record key for a key field's value.
func keyText(v any) (string, error) {
	switch v := v.(type) {
	case string:
		return v, nil
	case int64:
		return strconv.FormatInt(v, 10), nil
	case bool:
		return strconv.FormatBool(v), nil
	}
	return "", errNull
}

// eventContext is the context of a record, which a step fails without.
func eventContext(rule *rules.Rule, e *Event) (*schemas.Context, error) {
	c, err := e.Source.Context()
	if err != nil {
		return nil, &StepError{Rule: rule.ID, Code: "bad_context", Err: err}
	}
	return c, nil
}

// keptContext is the context of a record that is kept: its version vector has to be one that can be written again.
func keptContext(rule *rules.Rule, e *Event) (*schemas.Context, error) {
	c, err := eventContext(rule, e)
	if err == nil && len(c.Version) > schemas.MaxVersion {
		err = tooManyRegions(rule, len(c.Version))
	}
	return c, err
}

func evalError(rule *rules.Rule, env *rules.Env) error {
	err := env.Err()
	if err == nil {
		return nil
	}
	code := "eval"
	if e, ok := errors.AsType[*rules.EvalError](err); ok {
		code = e.Code
	}
	return &StepError{Rule: rule.ID, Code: code, Err: err}
}
