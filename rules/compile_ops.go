package rules

import (
	"cmp"
	"math"
	"math/bits"
	"regexp"
	"strings"

	"github.com/millrace-io/millrace/schemas"
)

func (c *compiler) negate(t *term) code {
	a, at := c.compile(t.args[0]), t.position()
	if t.typ.Kind == schemas.Float {
		return floatCode(t.typ, func(e *Env) (float64, bool) {
			v, ok := a.f(e)
			return -v, ok
		})
	}
	return intCode(t.typ, func(e *Env) (int64, bool) {
		v, ok := a.i(e)
		if v == math.MinInt64 {
			e.fail(codeOverflow, overflowed)
			e.locate(at)
		}
		return -v, ok
	})
}

const overflowed = "the result does not fit into 64 bits"

func (c *compiler) binary(t *term) code {
	switch t.name {
	case "&&":
		a, b := c.compile(t.args[0]).b, c.compile(t.args[1]).b
		return boolCode(t.typ, func(e *Env) (bool, bool) {
			if v, ok := a(e); !v || !ok {
				return false, ok
			}
			return b(e)
		})
	case "||":
		a, b := c.compile(t.args[0]).b, c.compile(t.args[1]).b
		return boolCode(t.typ, func(e *Env) (bool, bool) {
			if v, ok := a(e); v && ok {
				return true, true
			}
			return b(e)
		})
	case "==", "!=":
		return c.equality(t)
	case "<", "<=", ">", ">=":
		return c.ordering(t)
	case "in":
		return c.membership(t)
	case "contains", "startsWith", "endsWith", "matches":
		return c.textOperation(t)
	case "..":
		return c.sequence(t)
	}
	return c.arithmetic(t)
}

func (c *compiler) arithmetic(t *term) code {
	a, b, at := c.compile(t.args[0]), c.compile(t.args[1]), t.position()
	switch t.typ.Kind {
	case schemas.Float:
		return floatCode(t.typ, floatOperation(t.name, a.f, b.f))
	case schemas.String:
		return textCode(t.typ, func(e *Env) (string, bool) {
			x, okX := a.s(e)
			y, okY := b.s(e)
			if !okX || !okY {
				return "", false
			}
			if !e.grow(len(x) + len(y)) {
				e.locate(at)
				return "", false
			}
			return x + y, true
		})
	default:
		f := intOperation(t.name)
		return intCode(t.typ, func(e *Env) (int64, bool) {
			x, okX := a.i(e)
			y, okY := b.i(e)
			if !okX || !okY {
				return 0, false
			}
			v := f(e, x, y)
			if e.err != nil {
				e.locate(at)
			}
			return v, true
		})
	}
}

func floatOperation(operator string, a, b func(*Env) (float64, bool)) func(*Env) (float64, bool) {
	var f func(x, y float64) float64
	switch operator {
	case "+":
		return func(e *Env) (float64, bool) {
			x, okX := a(e)
			y, okY := b(e)
			return x + y, okX && okY
		}
	case "-":
		return func(e *Env) (float64, bool) {
			x, okX := a(e)
			y, okY := b(e)
			return x - y, okX && okY
		}
	case "*":
		// The conversion keeps the compiler from fusing the product with a sum:
		// the result has to be the same on every machine.
		return func(e *Env) (float64, bool) {
			x, okX := a(e)
			y, okY := b(e)
			return float64(x * y), okX && okY
		}
	case "/":
		f = func(x, y float64) float64 { return x / y }
	default:
		f = math.Pow
	}
	return func(e *Env) (float64, bool) {
		x, okX := a(e)
		y, okY := b(e)
		return f(x, y), okX && okY
	}
}

func intOperation(operator string) func(e *Env, x, y int64) int64 {
	switch operator {
	case "+":
		return (*Env).add
	case "-":
		return func(e *Env, x, y int64) int64 {
			d := x - y
			if (x < 0) != (y < 0) && (d < 0) != (x < 0) {
				e.fail(codeOverflow, overflowed)
			}
			return d
		}
	case "*":
		return func(e *Env, x, y int64) int64 {
			hi, lo := bits.Mul64(magnitude(x), magnitude(y))
			limit := uint64(1) << 63
			negative := (x < 0) != (y < 0)
			if hi != 0 || lo > limit || lo == limit && !negative {
				e.fail(codeOverflow, overflowed)
			}
			return x * y
		}
	default:
		return func(e *Env, x, y int64) int64 {
			switch y {
			case 0:
				e.fail(codeDivision, "the remainder of a division by zero")
				return 0
			case -1:
				return 0
			}
			return x % y
		}
	}
}

func magnitude(x int64) uint64 {
	if x < 0 {
		return -uint64(x)
	}
	return uint64(x)
}

// add fails when the sum does not fit.
func (e *Env) add(x, y int64) int64 {
	s := x + y
	if (x < 0) == (y < 0) && (s < 0) != (x < 0) {
		e.fail(codeOverflow, overflowed)
	}
	return s
}

// equality compiles == and !=. Null equals null only.
func (c *compiler) equality(t *term) code {
	x, y := t.args[0], t.args[1]
	if x.op == opConst || x.typ.Kind == schemas.Null {
		x, y = y, x
	}
	a, b := c.compile(x), c.compile(y)
	negate := t.name == "!="
	var equal func(*Env) bool
	switch {
	case y.typ.Kind == schemas.Null:
		equal = c.isNull(a)
	case a.s != nil && b.s != nil:
		if k, ok := y.text(); ok {
			if negate {
				return boolCode(t.typ, func(e *Env) (bool, bool) {
					s, ok := a.s(e)
					return !ok || s != k, true
				})
			}
			return boolCode(t.typ, func(e *Env) (bool, bool) {
				s, ok := a.s(e)
				return ok && s == k, true
			})
		}
		equal = func(e *Env) bool {
			p, okP := a.s(e)
			q, okQ := b.s(e)
			if len(p) == len(q) && len(p) >= 256 {
				e.scan(len(p))
			}
			return okP == okQ && p == q
		}
	case a.i != nil && b.i != nil:
		equal = same(a.i, b.i)
	case a.f != nil && b.f != nil:
		equal = same(a.f, b.f)
	case a.b != nil && b.b != nil:
		equal = same(a.b, b.b)
	default:
		equal = func(e *Env) bool { return equalValues(a.v(e), b.v(e)) }
	}
	return boolCode(t.typ, func(e *Env) (bool, bool) { return equal(e) != negate, true })
}

func (c *compiler) isNull(a code) func(*Env) bool {
	switch {
	case a.s != nil:
		return null(a.s)
	case a.i != nil:
		return null(a.i)
	case a.f != nil:
		return null(a.f)
	case a.b != nil:
		return null(a.b)
	}
	return func(e *Env) bool { return a.v(e) == nil }
}

func null[T any](f func(*Env) (T, bool)) func(*Env) bool {
	return func(e *Env) bool {
		_, ok := f(e)
		return !ok
	}
}

func same[T int64 | float64 | bool](a, b func(*Env) (T, bool)) func(*Env) bool {
	return func(e *Env) bool {
		p, okP := a(e)
		q, okQ := b(e)
		return okP == okQ && (p == q || !okP)
	}
}

func (c *compiler) ordering(t *term) code {
	a, b := c.compile(t.args[0]), c.compile(t.args[1])
	switch {
	case a.s != nil && b.s != nil:
		return boolCode(t.typ, ordered(t.name, a.s, b.s))
	case a.i != nil && b.i != nil:
		return boolCode(t.typ, ordered(t.name, a.i, b.i))
	}
	if k, ok := t.args[1].value.(float64); ok && t.args[1].isConst() {
		return boolCode(t.typ, orderedConst(t.name, a.f, k))
	}
	return boolCode(t.typ, ordered(t.name, a.f, b.f))
}

func ordered[T cmp.Ordered](operator string, a, b func(*Env) (T, bool)) func(*Env) (bool, bool) {
	pair := func(e *Env) (x, y T, ok bool) {
		x, okX := a(e)
		y, okY := b(e)
		return x, y, okX && okY
	}
	switch operator {
	case "<":
		return func(e *Env) (bool, bool) { x, y, ok := pair(e); return x < y && ok, ok }
	case "<=":
		return func(e *Env) (bool, bool) { x, y, ok := pair(e); return x <= y && ok, ok }
	case ">":
		return func(e *Env) (bool, bool) { x, y, ok := pair(e); return x > y && ok, ok }
	default:
		return func(e *Env) (bool, bool) { x, y, ok := pair(e); return x >= y && ok, ok }
	}
}

func orderedConst(operator string, a func(*Env) (float64, bool), k float64) func(*Env) (bool, bool) {
	switch operator {
	case "<":
		return func(e *Env) (bool, bool) { x, ok := a(e); return x < k && ok, ok }
	case "<=":
		return func(e *Env) (bool, bool) { x, ok := a(e); return x <= k && ok, ok }
	case ">":
		return func(e *Env) (bool, bool) { x, ok := a(e); return x > k && ok, ok }
	default:
		return func(e *Env) (bool, bool) { x, ok := a(e); return x >= k && ok, ok }
	}
}

// membership compiles `in`: of a constant set, a range, a list, a map.
func (c *compiler) membership(t *term) code {
	a, set := c.compile(t.args[0]), t.args[1]
	if set.typ.Kind == schemas.Map {
		m := c.compile(set)
		return boolCode(t.typ, func(e *Env) (bool, bool) {
			k, ok := a.s(e)
			values, _ := m.v(e).(map[string]any)
			_, there := values[k]
			return there && ok, true
		})
	}
	if values, ok := set.value.([]any); ok && set.isConst() {
		return boolCode(t.typ, constSet(a, values))
	}
	if set.op == opBinary && set.name == ".." && a.i != nil {
		from, to := c.compile(set.args[0]).i, c.compile(set.args[1]).i
		return boolCode(t.typ, func(e *Env) (bool, bool) {
			v, ok := a.i(e)
			low, okL := from(e)
			high, okH := to(e)
			return ok && okL && okH && low <= v && v <= high, true
		})
	}
	list, at := c.compile(set), t.position()
	return boolCode(t.typ, func(e *Env) (bool, bool) {
		v := a.v(e)
		l, _ := list.v(e).([]any)
		if !e.step(len(l) / 4) {
			e.locate(at)
			return false, false
		}
		for _, x := range l {
			if equalValues(v, x) {
				return true, true
			}
		}
		return false, true
	})
}

// constSet looks a value up among constants.
func constSet(a code, values []any) func(*Env) (bool, bool) {
	if a.s != nil {
		set, hasNull := make(map[string]struct{}, len(values)), false
		for _, v := range values {
			if s, ok := v.(string); ok {
				set[s] = struct{}{}
			} else if v == nil {
				hasNull = true
			}
		}
		return func(e *Env) (bool, bool) {
			s, ok := a.s(e)
			if !ok {
				return hasNull, true
			}
			_, there := set[s]
			return there, true
		}
	}
	return func(e *Env) (bool, bool) {
		v := a.v(e)
		for _, x := range values {
			if equalValues(v, x) {
				return true, true
			}
		}
		return false, true
	}
}

func (c *compiler) textOperation(t *term) code {
	a, b, at := c.compile(t.args[0]).s, c.compile(t.args[1]).s, t.position()
	var f func(s, part string) bool
	weight := 1
	switch t.name {
	case "contains":
		f = strings.Contains
	case "startsWith":
		f, weight = strings.HasPrefix, 0
	case "endsWith":
		f, weight = strings.HasSuffix, 0
	case "matches":
		re, _ := t.value.(*regexp.Regexp)
		size := t.n
		return boolCode(t.typ, func(e *Env) (bool, bool) {
			s, ok := a(e)
			if !ok || !e.step(len(s)*size/64) {
				e.locate(at)
				return false, ok
			}
			return re.MatchString(s), true
		})
	}
	return boolCode(t.typ, func(e *Env) (bool, bool) {
		s, okS := a(e)
		part, okP := b(e)
		if !okS || !okP || !e.scan(weight*len(s)+len(part)) {
			e.locate(at)
			return false, okS && okP
		}
		return f(s, part), true
	})
}

// sequence compiles from..to, both included.
func (c *compiler) sequence(t *term) code {
	a, b, at := c.compile(t.args[0]).i, c.compile(t.args[1]).i, t.position()
	return valueCode(t.typ, func(e *Env) any {
		from, okF := a(e)
		to, okT := b(e)
		if !okF || !okT {
			return nil
		}
		if from > to {
			return []any{}
		}
		n := uint64(to) - uint64(from)
		if n >= maxSteps {
			e.fail(codeSteps, "the range has more than 100,000 numbers")
			e.locate(at)
			return nil
		}
		if !e.step(int(n)/8) || !e.grow(24*int(n+1)) {
			e.locate(at)
			return nil
		}
		out := make([]any, 0, n+1)
		for v := from; ; v++ {
			out = append(out, v)
			if v == to {
				return out
			}
		}
	})
}
