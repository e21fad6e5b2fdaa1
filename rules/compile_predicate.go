package rules

import (
	"bytes"
	"cmp"

	"github.com/millrace-io/millrace/schemas"
)

// predicate compiles all, any, none, one, count, find, filter, map and sum
// over a list. The body runs once per element and costs as many steps as it
// has terms.
func (c *compiler) predicate(t *term) code {
	list, body := c.compile(t.args[0]).v, c.compile(t.args[1])
	w := walk{list: list, depth: t.n, cost: t.args[1].size(false), at: t.position()}
	switch t.name {
	case "all":
		return boolCode(t.typ, func(e *Env) (bool, bool) {
			result := true
			w.each(e, func(any) bool { v, ok := body.b(e); result = v && ok; return result })
			return result, true
		})
	case "any":
		return boolCode(t.typ, w.anyOf(body, true))
	case "none":
		return boolCode(t.typ, w.anyOf(body, false))
	case "one":
		return boolCode(t.typ, func(e *Env) (bool, bool) { return w.count(e, body, 2) == 1, true })
	case "count":
		return intCode(t.typ, func(e *Env) (int64, bool) { return w.count(e, body, -1), true })
	case "find":
		return valueCode(t.typ, func(e *Env) any {
			var found any
			w.each(e, func(x any) bool {
				if v, ok := body.b(e); v && ok {
					found = x
					return false
				}
				return true
			})
			return found
		})
	case "filter":
		return valueCode(t.typ, func(e *Env) any {
			out := []any{}
			w.each(e, func(x any) bool {
				if v, ok := body.b(e); v && ok {
					if !e.grow(16) {
						return false
					}
					out = append(out, x)
				}
				return true
			})
			return out
		})
	case "map":
		return valueCode(t.typ, func(e *Env) any {
			out := []any{}
			w.each(e, func(any) bool {
				v := body.v(e)
				if !e.hold(v) {
					return false
				}
				out = append(out, v)
				return true
			})
			return out
		})
	}
	// sum
	if t.typ.Kind == schemas.Int {
		return intCode(t.typ, func(e *Env) (int64, bool) {
			var sum int64
			w.each(e, func(any) bool { v, _ := body.i(e); sum = e.add(sum, v); return true })
			return sum, true
		})
	}
	return floatCode(t.typ, func(e *Env) (float64, bool) {
		var sum float64
		w.each(e, func(any) bool { v, _ := body.f(e); sum += v; return true })
		return sum, true
	})
}

// walk runs a predicate over a list.
type walk struct {
	list  func(*Env) any
	depth int
	cost  int
	at    Position
}

// each calls f per element, with # set, until it returns false or the
// evaluation fails.
func (w *walk) each(e *Env, f func(x any) bool) {
	l, _ := w.list(e).([]any)
	for i, x := range l {
		if !e.step(w.cost) {
			e.locate(w.at)
			return
		}
		e.elems[w.depth] = element{value: x, index: int64(i)}
		if !f(x) || e.err != nil {
			e.locate(w.at)
			break
		}
	}
	e.elems[w.depth] = element{}
}

func (w *walk) anyOf(body code, result bool) func(*Env) (bool, bool) {
	return func(e *Env) (bool, bool) {
		found := !result
		w.each(e, func(any) bool {
			if v, ok := body.b(e); v && ok {
				found = result
				return false
			}
			return true
		})
		return found, true
	}
}

// count counts the elements that the body holds for, up to stop.
func (w *walk) count(e *Env, body code, stop int64) int64 {
	var n int64
	w.each(e, func(any) bool {
		if v, ok := body.b(e); v && ok {
			n++
		}
		return n != stop
	})
	return n
}

// equalValues compares boxed values; ints and floats by their number. Lists,
// maps and records are never equal.
func equalValues(a, b any) bool {
	switch x := a.(type) {
	case nil:
		return b == nil
	case int64:
		switch y := b.(type) {
		case int64:
			return x == y
		case float64:
			return float64(x) == y
		}
	case float64:
		switch y := b.(type) {
		case int64:
			return x == float64(y)
		case float64:
			return x == y
		}
	case string:
		y, ok := b.(string)
		return ok && x == y
	case bool:
		y, ok := b.(bool)
		return ok && x == y
	case []byte:
		y, ok := b.([]byte)
		return ok && bytes.Equal(x, y)
	}
	return false
}

// compareValues orders boxed values of one type: null first, false before
// true.
func compareValues(a, b any) int {
	switch x := a.(type) {
	case int64:
		if y, ok := b.(int64); ok {
			return cmp.Compare(x, y)
		}
	case float64:
		if y, ok := b.(float64); ok {
			return cmp.Compare(x, y)
		}
	case string:
		if y, ok := b.(string); ok {
			return cmp.Compare(x, y)
		}
	case bool:
		if y, ok := b.(bool); ok && x != y {
			if x {
				return 1
			}
			return -1
		}
		if _, ok := b.(bool); ok {
			return 0
		}
	}
	switch {
	case a == nil && b == nil:
		return 0
	case a == nil:
		return -1
	case b == nil:
		return 1
	}
	return 0
}
