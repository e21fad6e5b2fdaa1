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
	r := w.result
	rt, fields, err := routed(w.rule, w.rule.Having, w.routes, &w.env, r)
	if err != nil || rt == nil {
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
	w.mix.begin()
	for i := range members {
		if x := &members[i]; w.mix.add(x.member.context, x.input == latest.input) != nil {
			return schemas.Context{}, errCell
		}
	}
	w.parts = append(w.parts[:0], w.rule.ID, w.rule.Version, w.entity)
	if len(members) == 1 {
		w.parts = append(w.parts, "unmatched", latest.alias)
	}
	w.parts = append(w.parts, w.mix.ids...)
	return w.mix.derive(w.rule, rt, schemas.EventID(w.parts...), w.entity, latest.member.time)
}
