package processors

import (
	"github.com/millrace-io/millrace/schemas"
)

// pair adds the result of the tuple at hand, unless its records do not match.
func (w *joining) pair() (matches bool, err error) {
	latest := &w.sides[0]
	for i := range w.sides {
		if x := &w.sides[i]; x.member.time >= latest.member.time {
			latest = x
		}
	}
	w.env.Reset()
	w.env.Now = latest.member.time
	if on := w.rule.Join.On; on != nil && !on.Bool(&w.env) {
		return false, evalError(w.rule, &w.env)
	}
	return true, w.emit(w.sides, latest, latest.member.time)
}

// alone adds the result of a record that matches none, at its deadline.
func (w *joining) alone(x *side, due int64) error {
	clear(w.env.Records)
	w.env.Records[x.input] = x.member.record
	w.env.Reset()
	w.env.Now = x.member.time
	return w.emit(w.sides[x.input:x.input+1], x, due)
}

// emit adds the result of the members, which are in env, unless having or the routes drop it. latest is the member whose time it
// has, and whose event it continues.
func (w *joining) emit(members []side, latest *side, due int64) error {
	env, r := &w.env, w.result
	if h := w.rule.Having; h != nil && !h.Bool(env) {
		return evalError(w.rule, env)
	}
	rt := choose(w.routes, env)
	if err := evalError(w.rule, env); err != nil {
		return err
	}
	if rt == nil {
		r.Dropped++
		return nil
	}
	fields, err := selected(w.rule, rt, env, r)
	if err != nil {
		return err
	}
	c, err := w.context(rt, members, latest)
	if err != nil {
		return err
	}
	if err := complete(w.rule, rt, fields, c, latest.member.time, r); err != nil {
		return err
	}
	out := &r.Outputs[len(r.Outputs)-1]
	out.Cause, out.Due, out.Ordinal = w.entity, due, 0 // which of several came first is told by nothing but their ids
	return nil
}

// context is that of the result of the members.
func (w *joining) context(rt *route, members []side, latest *side) (schemas.Context, error) {
	w.parts = append(w.parts[:0], w.rule.ID, w.rule.Version, w.entity)
	if len(members) == 1 {
		w.parts = append(w.parts, "unmatched", latest.alias)
	}
	cause, confidence := schemas.Context{}, 1.0
	var versions map[string]int64
	first := len(w.parts)
	for i := range members {
		x := &members[i]
		c, err := parseContext(x.member.context)
		if err != nil {
			return c, err
		}
		if x.input == latest.input {
			cause = c
		}
		w.parts = append(w.parts, c.EventID)
		confidence = min(confidence, c.Confidence)
		versions = merged(versions, c.Version)
	}
	if len(versions) > schemas.MaxVersion {
		return cause, tooManyRegions(w.rule, len(versions))
	}
	c := derive(w.rule, rt, &cause, schemas.EventID(w.parts...), latest.member.time, int64(len(members)), w.parts[first:]...)
	c.Entity, c.Confidence, c.Version = w.entity, confidence, versions
	return c, nil
}

// merged is the pointwise maximum of two version vectors, of which it takes the first.
func merged(v, w map[string]int64) map[string]int64 {
	if v == nil {
		return w
	}
	for region, n := range w {
		if old, ok := v[region]; !ok || n > old {
			v[region] = n
		}
	}
	return v
}
