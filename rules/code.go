package rules

import (
	"github.com/millrace-io/millrace/schemas"
)

// code is a compiled term: closures that read an Env. Which ones are set
// follows from the type: b for Bool, i and f for Int, i for Time, f for
// Float, s for String; v always. The second result is false for null; it says
// nothing about failure, which Env.err holds.
type code struct {
	typ *schemas.Type
	b   func(*Env) (bool, bool)
	i   func(*Env) (int64, bool)
	f   func(*Env) (float64, bool)
	s   func(*Env) (string, bool)
	v   func(*Env) any
}

func boolCode(t *schemas.Type, b func(*Env) (bool, bool)) code {
	return code{typ: t, b: b, v: func(e *Env) any {
		if v, ok := b(e); ok {
			return v
		}
		return nil
	}}
}

// intCode serves Int and Time.
func intCode(t *schemas.Type, i func(*Env) (int64, bool)) code {
	return code{
		typ: t, i: i,
		f: func(e *Env) (float64, bool) {
			v, ok := i(e)
			return float64(v), ok
		},
		v: func(e *Env) any {
			if v, ok := i(e); ok {
				return v
			}
			return nil
		},
	}
}

func floatCode(t *schemas.Type, f func(*Env) (float64, bool)) code {
	return code{typ: t, f: f, v: func(e *Env) any {
		if v, ok := f(e); ok {
			return v
		}
		return nil
	}}
}

func textCode(t *schemas.Type, s func(*Env) (string, bool)) code {
	return code{typ: t, s: s, v: func(e *Env) any {
		if v, ok := s(e); ok {
			return v
		}
		return nil
	}}
}

// valueCode compiles a term whose value comes boxed, whatever its type.
func valueCode(t *schemas.Type, v func(*Env) any) code {
	c := code{typ: t, v: v}
	switch t.Kind {
	case schemas.Bool:
		c.b = unbox[bool](v)
	case schemas.Int, schemas.Time:
		c.i = unbox[int64](v)
		c.f = func(e *Env) (float64, bool) {
			n, ok := c.i(e)
			return float64(n), ok
		}
	case schemas.Float:
		c.f = unbox[float64](v)
	case schemas.String:
		c.s = unbox[string](v)
	case schemas.Null, schemas.Bytes, schemas.List, schemas.Map, schemas.Struct, schemas.Any:
	}
	return c
}

func unbox[T any](v func(*Env) any) func(*Env) (T, bool) {
	return func(e *Env) (T, bool) {
		x, ok := v(e).(T)
		return x, ok
	}
}

// get returns the closure for the Go type that stands for a kind. Lists,
// maps and any come out of the boxed value.
func get[T any](c code) func(*Env) (T, bool) {
	var f any
	switch any((*T)(nil)).(type) {
	case *bool:
		f = c.b
	case *int64:
		f = c.i
	case *float64:
		f = c.f
	case *string:
		f = c.s
	default:
		return unbox[T](c.v)
	}
	return f.(func(*Env) (T, bool))
}

// put makes code of a closure over the Go type that stands for a kind.
func put[T any](t *schemas.Type, f func(*Env) (T, bool)) code {
	switch f := any(f).(type) {
	case func(*Env) (bool, bool):
		return boolCode(t, f)
	case func(*Env) (int64, bool):
		return intCode(t, f)
	case func(*Env) (float64, bool):
		return floatCode(t, f)
	case func(*Env) (string, bool):
		return textCode(t, f)
	}
	return valueCode(t, func(e *Env) any {
		if v, ok := f(e); ok {
			return v
		}
		return nil
	})
}
