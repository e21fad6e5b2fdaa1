package rules

import (
	"math/bits"
	"slices"
	"unicode/utf8"

	"github.com/millrace-io/millrace/schemas"
)

func listFunctions() []*function {
	const g = "Lists"
	same := func(_ *checker, call *term) *schemas.Type { return call.args[0].typ }
	element := func(_ *checker, call *term) *schemas.Type {
		if call.args[0].typ.Elem == nil {
			return kindType(schemas.Null)
		}
		return nullable(call.args[0].typ.Elem)
	}
	return []*function{
		{
			group: g, signature: "len(x any) int", doc: "elements of a list or map, characters of a text",
			example: `len(["a", "b"])`, want: `2`,
			typed: func(c *checker, call *term) *schemas.Type {
				a := call.args[0]
				switch a.typ.Kind {
				case schemas.List, schemas.Map, schemas.String:
					return call.typ
				default:
					c.errorIn(a, codeOperands, "", "len needs a list, a map or a text, not %s", a.typ)
					return nil
				}
			},
			build: func(args []code, call *term) code {
				if call.args[0].typ.Kind == schemas.String {
					return fn1(func(e *Env, s string) int64 { e.scan(len(s)); return int64(utf8.RuneCountInString(s)) })(args, call)
				}
				if call.args[0].typ.Kind == schemas.Map {
					return fn1(func(_ *Env, m map[string]any) int64 { return int64(len(m)) })(args, call)
				}
				return fn1(func(_ *Env, l []any) int64 { return int64(len(l)) })(args, call)
			},
		},
		{
			group: g, signature: "first(l list) any", doc: "the first element, null if there is none; of another value it is an aggregate",
			example: `first([3, 4]) ?? 0`, want: `3`, typed: element,
			build: fn1(func(_ *Env, l []any) any {
				if len(l) == 0 {
					return nil
				}
				return l[0]
			}),
		},
		{
			group: g, signature: "last(l list) any", doc: "the last element, likewise",
			example: `last([3, 4]) ?? 0`, want: `4`, typed: element,
			build: fn1(func(_ *Env, l []any) any {
				if len(l) == 0 {
					return nil
				}
				return l[len(l)-1]
			}),
		},
		{
			group: g, signature: "sum(l list) number", doc: "the sum of a list of numbers, nulls left out; `sum(l, predicate)` sums what the predicate yields",
			example: `sum([1, 2, 3])`, want: `6`,
			typed: func(c *checker, call *term) *schemas.Type {
				elem := call.args[0].typ.Elem
				if elem == nil {
					return kindType(schemas.Int)
				}
				if !isNumber(elem) {
					c.errorIn(call.args[0], codeOperands, "", "sum of a %s: it needs numbers", call.args[0].typ)
					return nil
				}
				return kindType(elem.Kind)
			},
			build: func(args []code, call *term) code {
				if call.typ.Kind == schemas.Int {
					return fn1(func(e *Env, l []any) int64 {
						var sum int64
						for _, v := range l {
							if n, ok := v.(int64); ok {
								sum = e.add(sum, n)
							}
						}
						e.step(len(l) / 8)
						return sum
					})(args, call)
				}
				return fn1(func(e *Env, l []any) float64 { s, _ := e.total(l); return s })(args, call)
			},
		},
		{
			group: g, signature: "avg(l list) float?", doc: "the mean of a list of numbers, null if there are none; of another value it is an aggregate",
			example: `avg([1, 2]) ?? 0`, want: `1.5`,
			typed: func(c *checker, call *term) *schemas.Type {
				if elem := call.args[0].typ.Elem; elem != nil && !isNumber(elem) {
					c.errorIn(call.args[0], codeOperands, "", "avg of a %s: it needs numbers", call.args[0].typ)
					return nil
				}
				return call.typ
			},
			build: fn1(func(e *Env, l []any) any {
				s, n := e.total(l)
				if n == 0 {
					return nil
				}
				return s / float64(n)
			}),
		},
		{
			group: g, signature: "distinct(l list) list", doc: "each value once, in the order of their first; of another value it is an aggregate: how many",
			example: `distinct([2, 1, 2])`, want: `[2, 1]`, typed: scalars,
			build: fn1(func(e *Env, l []any) []any {
				if !e.step(len(l)) || !e.grow(64*len(l)) {
					return nil
				}
				seen := make(map[any]struct{}, len(l))
				out := make([]any, 0, len(l))
				for _, v := range l {
					if _, ok := seen[v]; !ok {
						seen[v] = struct{}{}
						out = append(out, v)
					}
				}
				return out
			}),
		},
		{
			group: g, signature: "sort(l list) list", doc: "in ascending order, nulls first",
			example: `sort([2, 1, 3])`, want: `[1, 2, 3]`, typed: scalars,
			build: fn1(func(e *Env, l []any) []any {
				if !e.step(len(l)*bits.Len(uint(len(l)))) || !e.grow(16*len(l)) {
					return nil
				}
				out := slices.Clone(l)
				slices.SortStableFunc(out, compareValues)
				return out
			}),
		},
		{
			group: g, signature: "reverse(l list) list", doc: "last element first",
			example: `reverse([1, 2])`, want: `[2, 1]`, typed: same,
			build: fn1(func(e *Env, l []any) []any {
				if !e.step(len(l)/8) || !e.grow(16*len(l)) {
					return nil
				}
				out := slices.Clone(l)
				slices.Reverse(out)
				return out
			}),
		},
		{
			group: g, signature: "slice(l list, from int, to int?) list", doc: "elements `from` to before `to`, as `l[from:to]`; negative counts from the end",
			example: `slice([1, 2, 3], 1)`, want: `[2, 3]`, typed: same,
			build: withDefault(3, int64(endless), fn3(func(_ *Env, l []any, from, to int64) []any {
				from, to = bounds(from, to, int64(len(l)))
				return l[from:to:to]
			})),
		},
	}
}

// scalars accepts lists of values that can be compared.
func scalars(c *checker, call *term) *schemas.Type {
	t := call.args[0].typ
	if t.Elem == nil || isOrdered(t.Elem) || t.Elem.Kind == schemas.Bool {
		return t
	}
	c.errorIn(call.args[0], codeOperands, "pick a field first: map(list, .field)", "%s of a %s: it needs strings, numbers, times or bools", call.fn.name, t)
	return nil
}

// total sums numbers in the order of the list.
func (e *Env) total(l []any) (sum float64, n int) {
	e.step(len(l) / 8)
	for _, v := range l {
		switch v := v.(type) {
		case int64:
			sum += float64(v)
			n++
		case float64:
			sum += v
			n++
		}
	}
	return sum, n
}
