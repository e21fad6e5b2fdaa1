package rules

import (
	"math"

	"github.com/millrace-io/millrace/schemas"
)

func numberFunctions() []*function {
	const g = "Numbers"
	return []*function{
		{
			group: g, signature: "abs(x number) number", doc: "without the sign",
			example: `abs(-3)`, want: `3`, typed: numeric,
			build: func(args []code, call *term) code {
				if call.typ.Kind == schemas.Int {
					return fn1(func(e *Env, x int64) int64 {
						if x == math.MinInt64 {
							e.fail(codeOverflow, "the result does not fit into 64 bits")
							return 0
						}
						return max(x, -x)
					})(args, call)
				}
				return fn1(func(_ *Env, x float64) float64 { return math.Abs(x) })(args, call)
			},
		},
		{
			group: g, signature: "round(x float, digits int?) float", doc: "to the nearest number with so many decimals (default 0), halves away from zero",
			example: `round(2.345, 2)`, want: `2.35`,
			build: withDefault(2, int64(0), fn2(roundNumber)),
		},
		{
			group: g, signature: "floor(x float) float", doc: "the next whole number below",
			example: `floor(-1.5)`, want: `-2.0`,
			build: fn1(func(_ *Env, x float64) float64 { return math.Floor(x) }),
		},
		{
			group: g, signature: "ceil(x float) float", doc: "the next whole number above",
			example: `ceil(1.2)`, want: `2.0`,
			build: fn1(func(_ *Env, x float64) float64 { return math.Ceil(x) }),
		},
		{
			group: g, signature: "min(x any...) number", doc: "the smallest of several numbers, or of a list (null if it is empty); of one other value it is an aggregate",
			example: `min(3, 1, 2)`, want: `1`, typed: extremeType,
			build: func(args []code, call *term) code { return buildExtreme(args, call, false) },
		},
		{
			group: g, signature: "max(x any...) number", doc: "the largest, likewise",
			example: `max(3, 1.5)`, want: `3.0`, typed: extremeType,
			build: func(args []code, call *term) code { return buildExtreme(args, call, true) },
		},
		{
			group: g, signature: "clamp(x number, low number, high number) number", doc: "x, but not below `low` and not above `high`",
			example: `clamp(12, 0, 10)`, want: `10`, typed: numeric,
			build: func(args []code, call *term) code {
				if call.typ.Kind == schemas.Int {
					return fn3(func(_ *Env, x, low, high int64) int64 { return min(max(x, low), high) })(args, call)
				}
				return fn3(func(_ *Env, x, low, high float64) float64 { return min(max(x, low), high) })(args, call)
			},
		},
		{
			group: g, signature: "pow(x float, y float) float", doc: "x to the power of y, as `x ** y`",
			example: `pow(2, 10)`, want: `1024.0`,
			build: fn2(func(_ *Env, x, y float64) float64 { return math.Pow(x, y) }),
		},
		{
			group: g, signature: "sqrt(x float) float", doc: "square root; not a number (NaN) below zero",
			example: `sqrt(9)`, want: `3.0`,
			build: fn1(func(_ *Env, x float64) float64 { return math.Sqrt(x) }),
		},
		{
			group: g, signature: "mod(a int, b int) int", doc: "remainder with the sign of b (`%` has the sign of a)",
			example: `mod(-7, 3)`, want: `2`,
			build: fn2(func(e *Env, a, b int64) int64 {
				if b == 0 {
					e.fail(codeDivision, "the remainder of a division by zero")
					return 0
				}
				if b == -1 {
					return 0
				}
				r := a % b
				if r != 0 && (r < 0) != (b < 0) {
					r += b
				}
				return r
			}),
		},
		{
			group: g, signature: "is_finite(x float) bool", doc: "false for infinity and for what is not a number (NaN)",
			example: `is_finite(1 / 0)`, want: `false`,
			build: fn1(func(_ *Env, x float64) bool { return !math.IsInf(x, 0) && !math.IsNaN(x) }),
		},
	}
}

// numeric is int if all arguments are, else float.
func numeric(_ *checker, call *term) *schemas.Type {
	t := kindType(schemas.Int)
	for _, a := range call.args {
		if a.typ.Kind == schemas.Float {
			t = kindType(schemas.Float)
		}
	}
	for i, a := range call.args {
		call.args[i] = convert(a, t)
	}
	return t
}

func roundNumber(e *Env, x float64, digits int64) float64 {
	if digits < -20 || digits > 20 {
		e.fail(codeArgument, "round needs -20 to 20 digits")
		return 0
	}
	if digits == 0 || math.IsInf(x, 0) || math.IsNaN(x) {
		return math.Round(x)
	}
	scale := math.Pow10(int(digits))
	if r := math.Round(x * scale); !math.IsInf(r, 0) {
		return r / scale
	}
	return x
}

// extremeType types min and max: of one list, or of several numbers or times.
func extremeType(c *checker, call *term) *schemas.Type {
	if len(call.args) == 1 && call.args[0].typ.Kind == schemas.List {
		elem := call.args[0].typ.Elem
		if elem == nil {
			return kindType(schemas.Null)
		}
		if !isOrdered(elem) {
			c.errorIn(call.args[0], codeOperands, "", "%s of a %s: it needs numbers, times or strings", call.fn.name, call.args[0].typ)
			return nil
		}
		return nullable(elem)
	}
	times := 0
	for _, a := range call.args {
		switch {
		case a.typ.Kind == schemas.Time:
			times++
		case !isNumber(a.typ):
			c.errorIn(a, codeOperands, numberHelp(a), "%s needs numbers, times or a list, not %s", call.fn.name, a.typ)
			return nil
		}
	}
	if times == len(call.args) {
		return kindType(schemas.Time)
	}
	if times > 0 {
		c.errorIn(call, codeOperands, "", "%s of times and numbers together", call.fn.name)
		return nil
	}
	return numeric(c, call)
}

func buildExtreme(args []code, call *term, largest bool) code {
	if call.args[0].typ.Kind == schemas.List {
		return fn1(func(e *Env, l []any) any {
			var best any
			if !e.step(len(l) / 4) {
				return nil
			}
			for _, v := range l {
				if v == nil {
					continue
				}
				if best == nil || (compareValues(v, best) > 0) == largest && compareValues(v, best) != 0 {
					best = v
				}
			}
			return best
		})(args, call)
	}
	if call.typ.Kind == schemas.Float {
		return fnN(func(_ *Env, xs []float64) float64 {
			best := xs[0]
			for _, x := range xs[1:] {
				if largest {
					best = max(best, x)
				} else {
					best = min(best, x)
				}
			}
			return best
		})(args, call)
	}
	return fnN(func(_ *Env, xs []int64) int64 {
		best := xs[0]
		for _, x := range xs[1:] {
			if largest {
				best = max(best, x)
			} else {
				best = min(best, x)
			}
		}
		return best
	})(args, call)
}
