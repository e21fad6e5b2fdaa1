package rules

import (
	"github.com/millrace-io/millrace/schemas"
)

// compiler turns checked terms into closures. Constants and feed rows need no
// inputs.
type compiler struct {
	inputs []*streamDecl
}

// accessor returns the reader of a path of an input. The projection holds
// every path that the check saw, so a failure is a bug of this package.
func (c *compiler) accessor(input int, path string) schemas.Accessor {
	a, err := c.inputs[input].stream.Projection.Accessor(path)
	if err != nil {
		panic("rules: " + err.Error())
	}
	return a
}

// expr compiles a term for the program.
func (c *compiler) expr(t *term) *Expr {
	if t == nil {
		return nil
	}
	x := &Expr{code: c.compile(t), canon: canonical(t, t.src.inputs)}
	x.source, x.pos, x.term, x.by = t.src.text, t.src.file.position(t.src.node), t, c
	return x
}

func (c *compiler) compile(t *term) code {
	switch t.op {
	case opConst:
		return constCode(t.typ, t.value)
	case opAlias:
		return c.alias(t)
	case opField:
		return c.field(t)
	case opItem:
		return valueCode(t.typ, func(e *Env) any { return e.Item })
	case opElem:
		n := t.n
		return valueCode(t.typ, func(e *Env) any { return e.elems[n].value })
	case opIndex:
		n := t.n
		return intCode(t.typ, func(e *Env) (int64, bool) { return e.elems[n].index, true })
	case opColumn:
		n := t.n
		return textCode(t.typ, func(e *Env) (string, bool) {
			if n >= len(e.row) {
				return "", true
			}
			return e.row[n], true
		})
	case opKey:
		return textCode(t.typ, func(e *Env) (string, bool) { return e.Key, true })
	case opGroup:
		n := t.n
		return valueCode(t.typ, func(e *Env) any { return e.Group[n] })
	case opWindow:
		if t.name == "start" {
			return intCode(t.typ, func(e *Env) (int64, bool) { return e.Start, true })
		}
		return intCode(t.typ, func(e *Env) (int64, bool) { return e.End, true })
	case opMember:
		return memberCode(t.typ, c.compile(t.args[0]), t.name)
	case opAt:
		return elementCode(t.typ, c.compile(t.args[0]), c.compile(t.args[1]))
	case opSlice:
		return c.slice(t)
	case opNot:
		a := c.compile(t.args[0]).b
		return boolCode(t.typ, func(e *Env) (bool, bool) {
			v, ok := a(e)
			return !v, ok
		})
	case opNeg:
		return c.negate(t)
	case opBinary:
		return c.binary(t)
	case opCoalesce:
		return c.coalesce(t)
	case opCond:
		return c.conditional(t)
	case opList:
		return c.list(t)
	case opRecord:
		return c.record(t)
	case opCall:
		args := make([]code, len(t.args))
		for i, a := range t.args {
			args[i] = c.compile(a)
		}
		return t.fn.build(args, t)
	case opPredicate:
		return c.predicate(t)
	case opFloat:
		return floatCode(t.typ, c.compile(t.args[0]).f)
	case opText:
		return toText(c.compile(t.args[0]), t)
	}
	panic("rules: term without code")
}

func constCode(t *schemas.Type, v any) code {
	switch x := v.(type) {
	case bool:
		return code{typ: t, b: func(*Env) (bool, bool) { return x, true }, v: func(*Env) any { return v }}
	case int64:
		return code{
			typ: t,
			i:   func(*Env) (int64, bool) { return x, true },
			f:   func(*Env) (float64, bool) { return float64(x), true },
			v:   func(*Env) any { return v },
		}
	case float64:
		return code{typ: t, f: func(*Env) (float64, bool) { return x, true }, v: func(*Env) any { return v }}
	case string:
		return code{typ: t, s: func(*Env) (string, bool) { return x, true }, v: func(*Env) any { return v }}
	}
	return valueCode(t, func(*Env) any { return v })
}

// alias yields a placeholder: expressions can only compare a whole record with
// nil.
func (c *compiler) alias(t *term) code {
	input := t.input
	if input == eventInput {
		return valueCode(t.typ, func(*Env) any { return map[string]any(nil) })
	}
	return valueCode(t.typ, func(e *Env) any {
		if e.Records[input].IsNull() {
			return nil
		}
		return map[string]any(nil)
	})
}

func (c *compiler) field(t *term) code {
	if t.input == eventInput && len(c.inputs) == 1 {
		return accessorCode(t.typ, 0, c.accessor(0, t.name))
	}
	if t.input != eventInput {
		return accessorCode(t.typ, t.input, c.accessor(t.input, t.name))
	}
	// `event` is whichever record is there.
	each := make([]code, len(c.inputs))
	for i := range c.inputs {
		each[i] = accessorCode(t.typ, i, c.accessor(i, t.name))
	}
	which := func(e *Env) int {
		for i := range each {
			if !e.Records[i].IsNull() {
				return i
			}
		}
		return 0
	}
	out := code{typ: t.typ, v: func(e *Env) any { return each[which(e)].v(e) }}
	switch t.typ.Kind {
	case schemas.Bool:
		out.b = func(e *Env) (bool, bool) { return each[which(e)].b(e) }
	case schemas.Int, schemas.Time:
		out.i = func(e *Env) (int64, bool) { return each[which(e)].i(e) }
		out.f = func(e *Env) (float64, bool) { return each[which(e)].f(e) }
	case schemas.Float:
		out.f = func(e *Env) (float64, bool) { return each[which(e)].f(e) }
	case schemas.String:
		out.s = func(e *Env) (string, bool) { return each[which(e)].s(e) }
	default:
	}
	return out
}

// accessorCode reads a projected field without boxing.
func accessorCode(t *schemas.Type, i int, a schemas.Accessor) code {
	switch t.Kind {
	case schemas.Bool:
		return boolCode(t, func(e *Env) (bool, bool) { return a.Bool(e.Records[i]) })
	case schemas.Int, schemas.Time:
		return intCode(t, func(e *Env) (int64, bool) { return a.Int(e.Records[i]) })
	case schemas.Float:
		return floatCode(t, func(e *Env) (float64, bool) { return a.Float(e.Records[i]) })
	case schemas.String:
		return textCode(t, func(e *Env) (string, bool) { return a.String(e.Records[i]) })
	default:
		return valueCode(t, func(e *Env) any { return a.Value(e.Records[i]) })
	}
}

func memberCode(t *schemas.Type, base code, name string) code {
	return valueCode(t, func(e *Env) any {
		m, _ := base.v(e).(map[string]any)
		return m[name]
	})
}

// elementCode reads list[i] and map[key]; what is not there is null. Negative
// indexes count from the end.
func elementCode(t *schemas.Type, base, index code) code {
	if base.typ.Kind == schemas.Map {
		return valueCode(t, func(e *Env) any {
			m, _ := base.v(e).(map[string]any)
			k, ok := index.s(e)
			if !ok {
				return nil
			}
			return m[k]
		})
	}
	return valueCode(t, func(e *Env) any {
		l, _ := base.v(e).([]any)
		i, ok := index.i(e)
		if i < 0 {
			i += int64(len(l))
		}
		if !ok || i < 0 || i >= int64(len(l)) {
			return nil
		}
		return l[i]
	})
}

func (c *compiler) slice(t *term) code {
	base := c.compile(t.args[0])
	bound := func(a *term, open int64) func(*Env) (int64, bool) {
		if a == nil {
			return func(*Env) (int64, bool) { return open, true }
		}
		return c.compile(a).i
	}
	from, to := bound(t.args[1], 0), bound(t.args[2], endless)
	if t.typ.Kind == schemas.String {
		return textCode(t.typ, func(e *Env) (string, bool) {
			s, ok := base.s(e)
			f, okF := from(e)
			u, okT := to(e)
			if !ok || !okF || !okT {
				return "", false
			}
			return e.substring(s, f, u), true
		})
	}
	return valueCode(t.typ, func(e *Env) any {
		l, ok := base.v(e).([]any)
		f, okF := from(e)
		u, okT := to(e)
		if !ok || !okF || !okT {
			return nil
		}
		f, u = bounds(f, u, int64(len(l)))
		return l[f:u:u]
	})
}

func (c *compiler) coalesce(t *term) code {
	a, b := c.compile(t.args[0]), c.compile(t.args[1])
	switch {
	case a.b != nil && b.b != nil:
		return boolCode(t.typ, or(a.b, b.b))
	case a.i != nil && b.i != nil:
		return intCode(t.typ, or(a.i, b.i))
	case a.f != nil && b.f != nil:
		return floatCode(t.typ, or(a.f, b.f))
	case a.s != nil && b.s != nil:
		return textCode(t.typ, or(a.s, b.s))
	}
	return valueCode(t.typ, func(e *Env) any {
		if v := a.v(e); v != nil {
			return v
		}
		return b.v(e)
	})
}

func or[T any](a, b func(*Env) (T, bool)) func(*Env) (T, bool) {
	return func(e *Env) (T, bool) {
		if v, ok := a(e); ok {
			return v, true
		}
		return b(e)
	}
}

func (c *compiler) conditional(t *term) code {
	cond, a, b := c.compile(t.args[0]).b, c.compile(t.args[1]), c.compile(t.args[2])
	switch {
	case a.b != nil && b.b != nil:
		return boolCode(t.typ, choose(cond, a.b, b.b))
	case a.i != nil && b.i != nil:
		return intCode(t.typ, choose(cond, a.i, b.i))
	case a.f != nil && b.f != nil:
		return floatCode(t.typ, choose(cond, a.f, b.f))
	case a.s != nil && b.s != nil:
		return textCode(t.typ, choose(cond, a.s, b.s))
	}
	return valueCode(t.typ, func(e *Env) any {
		if v, ok := cond(e); v && ok {
			return a.v(e)
		}
		return b.v(e)
	})
}

func choose[T any](cond func(*Env) (bool, bool), a, b func(*Env) (T, bool)) func(*Env) (T, bool) {
	return func(e *Env) (T, bool) {
		if v, ok := cond(e); v && ok {
			return a(e)
		}
		return b(e)
	}
}

func (c *compiler) list(t *term) code {
	parts := make([]code, len(t.args))
	for i, a := range t.args {
		parts[i] = c.compile(a)
	}
	at := t.position()
	return valueCode(t.typ, func(e *Env) any {
		out := make([]any, len(parts))
		for i, p := range parts {
			out[i] = p.v(e)
			if !e.hold(out[i]) {
				e.locate(at)
				return nil
			}
		}
		return out
	})
}

func (c *compiler) record(t *term) code {
	parts := make([]code, len(t.args))
	for i, a := range t.args {
		parts[i] = c.compile(a)
	}
	names, at := t.names, t.position()
	return valueCode(t.typ, func(e *Env) any {
		out := make(map[string]any, len(parts))
		for i, p := range parts {
			v := p.v(e)
			if !e.hold(v) || !e.grow(24+len(names[i])) {
				e.locate(at)
				return nil
			}
			out[names[i]] = v
		}
		return out
	})
}
