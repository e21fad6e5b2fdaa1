package rules

import (
	"math/bits"

	"github.com/millrace-io/millrace/schemas"
)

func mapFunctions() []*function {
	const g = "Maps"
	return []*function{
		{
			group: g, signature: "keys(m map) list of string", doc: "the keys, sorted",
			example: `keys({b: 1, a: 2})`, want: `["a", "b"]`,
			build: fn1(func(e *Env, m map[string]any) []any {
				if !e.sorting(len(m)) {
					return nil
				}
				out := make([]any, 0, len(m))
				for _, k := range sortedKeys(m) {
					out = append(out, k)
				}
				return out
			}),
		},
		{
			group: g, signature: "values(m map) list", doc: "the values, in the order of the keys",
			example: `values({b: 1, a: 2})`, want: `[2, 1]`,
			typed: func(_ *checker, call *term) *schemas.Type { return listOf(call.args[0].typ.Elem) },
			build: fn1(func(e *Env, m map[string]any) []any {
				if !e.sorting(len(m)) {
					return nil
				}
				out := make([]any, 0, len(m))
				for _, k := range sortedKeys(m) {
					out = append(out, m[k])
				}
				return out
			}),
		},
		{
			group: g, signature: "has(m map, key string) bool", doc: "as `key in m`",
			example: `has({a: 1}, "b")`, want: `false`,
			build: fn2(func(_ *Env, m map[string]any, key string) bool { _, ok := m[key]; return ok }),
		},
		{
			group: g, signature: "get(from any, key any) any", doc: "the value of a key, or the element at an index, as `from[key]`; null if there is none",
			example: `get([7, 8], 5) ?? 0`, want: `0`,
			typed: func(c *checker, call *term) *schemas.Type {
				from, key := call.args[0], call.args[1]
				want := schemas.Int
				if from.typ.Kind == schemas.Map {
					want = schemas.String
				} else if from.typ.Kind != schemas.List {
					c.errorIn(from, codeOperands, "", "get needs a list or a map, not %s", from.typ)
					return nil
				}
				if key.typ.Kind != want {
					c.errorIn(key, codeOperands, "", "the key of a %s has to be %s, not %s", from.typ.Kind, want, key.typ)
					return nil
				}
				if from.typ.Elem == nil {
					return kindType(schemas.Null)
				}
				return nullable(from.typ.Elem)
			},
			build: func(args []code, call *term) code { return elementCode(call.typ, args[0], args[1]) },
		},
	}
}

func (e *Env) sorting(n int) bool { return e.step(n*bits.Len(uint(n))) && e.grow(32*n) }
