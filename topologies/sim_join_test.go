package topologies

import (
	"fmt"

	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/schemas"
)

// simJoin is how a rule pairs the records of its two inputs. Where is about records of the first one.
type simJoin struct {
	kind          rules.JoinType
	before, after int64
	unequal       bool // records of the same v do not match
}

func (b *simShapeBuilder) join(r *simRule, load *float64) {
	if len(r.from) == 1 {
		r.from = append(r.from, r.from[0])
		*load *= 2
	}
	for _, in := range r.from {
		by := pick(b.chance, "a", "a", "b")
		if b.shape.streams[in].keyless {
			by = "b"
		}
		r.by = append(r.by, by)
	}
	r.within, r.flip = 0, b.one(2)
	r.join = &simJoin{
		kind:   pick(b.chance, rules.InnerJoin, rules.LeftJoin, rules.RightJoin, rules.OuterJoin),
		before: pick[int64](b.chance, 0, 0, 50, 300), after: pick[int64](b.chance, 1, 100, 500),
		unequal: b.one(3),
	}
	r.lateness = pick[int64](b.chance, 0, 0, 300)
	*load *= 2
}

// where leaves out records of the first input whose v % 5 is that, and pairs.
func (j *simJoin) where(rest int64) string {
	text := fmt.Sprintf("e.v %% 5 != %d", rest)
	if j.unequal {
		text += " && e.v != f.v"
	}
	return text
}

func (j *simJoin) text(lateness int64) []string {
	out := []string{fmt.Sprintf("join: {type: %s, within: {before: %dms, after: %dms}}", j.kind, j.before, j.after)}
	if lateness > 0 {
		out = append(out, fmt.Sprintf("lateness: %dms", lateness))
	}
	return out
}

// outer tells which inputs may be missing in a result.
func (j *simJoin) outer() (left, right bool) {
	return j.kind == rules.RightJoin || j.kind == rules.OuterJoin, j.kind == rules.LeftJoin || j.kind == rules.OuterJoin
}

func (j *simJoin) selection(flip bool) string {
	left, right := j.outer()
	read := func(alias, field, other string, missing bool) string {
		if missing {
			return fmt.Sprintf("(%s?.%s ?? %s)", alias, field, other)
		}
		return alias + "." + field
	}
	a, b := "key", read("e", "b", `"-"`, left)
	if flip {
		a, b = b, a
	}
	x := "f.x"
	if right {
		x = "f?.x"
	}
	return fmt.Sprintf("a: '%s', b: '%s', v: '%s * 10 + %s', x: '%s'", a, b, read("e", "v", "0", left), read("f", "v", "0", right), x)
}

// joined pairs all records of a key, and gives out those that match none.
func (ref *simReference) joined(r *simRule, rule *rules.Rule, key string, in []simArrival) {
	j, matched := r.join, map[simArrival]bool{}
	for _, l := range in {
		for _, o := range in {
			if l.input != 0 || o.input != 1 || o.at < l.at-j.before || o.at > l.at+j.after || r.where >= 0 && j.unequal && l.v == o.v {
				continue
			}
			matched[l], matched[o] = true, true
			at := max(l.at, o.at)
			ref.pair(r, rule, key, &l, &o, at, at, l.id, o.id)
		}
	}
	left, right := j.outer()
	for _, e := range in {
		switch {
		case matched[e]:
		case e.input == 0 && right:
			ref.pair(r, rule, key, &e, nil, e.at, e.at+j.after+r.lateness+1, "unmatched", "e", e.id)
		case e.input == 1 && left:
			ref.pair(r, rule, key, nil, &e, e.at, e.at+j.before+r.lateness+1, "unmatched", "f", e.id)
		}
	}
}

// pair writes the result of records, of which one may be missing, that is due at a time.
func (ref *simReference) pair(r *simRule, rule *rules.Rule, key string, l, o *simArrival, at, due int64, ids ...string) {
	out := &simEvent{a: key, b: "-", at: at, origin: schemas.Origin{Stream: rule.ID, Key: key, Offset: due}, rule: rule.ID}
	if l != nil {
		out.b, out.v = l.b, l.v*10
	}
	if o != nil {
		out.v += o.v
		out.x = o.x
	}
	if r.flip {
		out.a, out.b = out.b, out.a
	}
	out.id = schemas.EventID(append([]string{rule.ID, rule.Version, key}, ids...)...)
	ref.write(r, out)
}
