package rules

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/millrace-io/millrace/schemas"
)

func conversionFunctions() []*function {
	const g = "Conversion and null"
	return []*function{
		{
			group: g, signature: "int(x any) int", doc: "text in decimal digits; a float without its decimals",
			example: `int("-12") + int(3.9)`, want: `-9`, typed: convertible(schemas.Int, schemas.Float, schemas.String),
			build: func(args []code, call *term) code {
				switch call.args[0].typ.Kind {
				case schemas.Int:
					return args[0]
				case schemas.String:
					return fn1(textToInt)(args, call)
				case schemas.Float:
					return fn1(floatToInt)(args, call)
				default:
					return fn1(func(e *Env, v any) int64 {
						switch v := v.(type) {
						case int64:
							return v
						case float64:
							return floatToInt(e, v)
						case string:
							return textToInt(e, v)
						}
						e.fail(codeConvert, "the value cannot be an int")
						return 0
					})(args, call)
				}
			},
		},
		{
			group: g, signature: "float(x any) float", doc: "text in decimal notation, or an int",
			example: `float("2.5")`, want: `2.5`, typed: convertible(schemas.Int, schemas.Float, schemas.String),
			build: func(args []code, call *term) code {
				switch call.args[0].typ.Kind {
				case schemas.Int, schemas.Float:
					return floatCode(call.typ, args[0].f)
				case schemas.String:
					return fn1(textToFloat)(args, call)
				default:
					return fn1(func(e *Env, v any) float64 {
						switch v := v.(type) {
						case int64:
							return float64(v)
						case float64:
							return v
						case string:
							return textToFloat(e, v)
						}
						e.fail(codeConvert, "the value cannot be a float")
						return 0
					})(args, call)
				}
			},
		},
		{
			group: g, signature: "string(x any) string", doc: "a number, bool or time (RFC 3339, UTC, milliseconds) as text",
			example: `string(2.50) + string(true)`, want: `"2.5true"`,
			typed: convertible(schemas.Int, schemas.Float, schemas.String, schemas.Bool, schemas.Time),
			build: func(args []code, call *term) code { return toText(args[0], call) },
		},
		{
			group: g, signature: "bool(x any) bool", doc: "the text `true` or `false`",
			example: `bool("true")`, want: `true`, typed: convertible(schemas.Bool, schemas.String),
			build: func(args []code, call *term) code {
				if call.args[0].typ.Kind == schemas.Bool {
					return args[0]
				}
				return fn1(func(e *Env, v any) bool {
					switch v {
					case true, "true":
						return true
					case false, "false":
						return false
					}
					e.fail(codeConvert, "the text is neither true nor false")
					return false
				})(args, call)
			},
		},
		{
			group: g, signature: "coalesce(x any?...) any", doc: "the first value that is not null, as `a ?? b`",
			example: `coalesce(nil, 2, 3)`, want: `2`,
			typed: func(c *checker, call *term) *schemas.Type {
				t, open := call.args[0].typ, true
				for _, a := range call.args {
					u := unify(t, a.typ)
					if u == nil {
						c.errorIn(a, codeOperands, "", "the values are %s and %s", t, a.typ)
						return nil
					}
					t = u
					open = open && mayBeNull(a.typ)
				}
				if !open {
					t = notNull(t)
				}
				for i, a := range call.args {
					call.args[i] = convert(a, t)
				}
				return t
			},
			build: func(args []code, call *term) code {
				return valueCode(call.typ, func(e *Env) any {
					for _, a := range args {
						if v := a.v(e); v != nil || e.err != nil {
							return v
						}
					}
					return nil
				})
			},
		},
	}
}

// convertible accepts arguments of some kinds, and any.
func convertible(kinds ...schemas.Kind) func(*checker, *term) *schemas.Type {
	return func(c *checker, call *term) *schemas.Type {
		a := call.args[0]
		if slices.Contains(append(kinds, schemas.Any), a.typ.Kind) {
			return call.typ
		}
		help := ""
		if a.typ.Kind == schemas.Time {
			help = "milliseconds since 1970 are to_millis(...)"
		}
		c.errorIn(a, codeOperands, help, "%s of %s", call.fn.name, a.typ)
		return nil
	}
}

func textToInt(e *Env, s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		e.fail(codeConvert, "the text is no whole number")
		return 0
	}
	return n
}

func textToFloat(e *Env, s string) float64 {
	// ParseFloat also reads "inf", "nan", hexadecimal and underscores.
	plain := s != "" && strings.Trim(s, "0123456789+-.eE") == ""
	x, err := strconv.ParseFloat(s, 64)
	if err != nil || !plain {
		e.fail(codeConvert, "the text is no number")
		return 0
	}
	return x
}

func floatToInt(e *Env, x float64) int64 {
	if !(x >= -(1<<63) && x < 1<<63) {
		e.fail(codeOverflow, "the number does not fit into an int")
		return 0
	}
	return int64(x)
}

// formatFloat writes a float as people do: without an exponent if that is
// not too long.
func formatFloat(x float64) string {
	if a := math.Abs(x); a != 0 && (a < 1e-6 || a >= 1e21) || math.IsNaN(a) {
		return strconv.FormatFloat(x, 'g', -1, 64)
	}
	return strconv.FormatFloat(x, 'f', -1, 64)
}

func formatTime(ms int64) string { return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z") }

// toText compiles string(x), and the text form of keys.
func toText(x code, call *term) code {
	switch x.typ.Kind {
	case schemas.String:
		return textCode(call.typ, x.s)
	case schemas.Int:
		return fn1(func(e *Env, n int64) string { e.grow(20); return strconv.FormatInt(n, 10) })([]code{x}, call)
	case schemas.Time:
		return fn1(func(e *Env, n int64) string { e.grow(24); return formatTime(n) })([]code{x}, call)
	case schemas.Float:
		return fn1(func(e *Env, f float64) string { e.grow(24); return formatFloat(f) })([]code{x}, call)
	case schemas.Bool:
		return fn1(func(_ *Env, b bool) string { return strconv.FormatBool(b) })([]code{x}, call)
	default:
		return fn1(func(e *Env, v any) string {
			e.grow(24)
			switch v := v.(type) {
			case string:
				return v
			case int64:
				return strconv.FormatInt(v, 10)
			case float64:
				return formatFloat(v)
			case bool:
				return strconv.FormatBool(v)
			}
			e.fail(codeConvert, "the value has no text form")
			return ""
		})([]code{x}, call)
	}
}
