package rules

import (
	"slices"
	"strings"

	"github.com/millrace-io/millrace/schemas"
)

// function is one function of the language. README.md's table is made from
// these, and every example runs as a test.
type function struct {
	name  string // from signature
	group string // heading in the table
	// signature is what authors read and what the check goes by: parameters
	// with types, a trailing ? for optional, ... for repeated ones, the result.
	signature string
	doc       string
	example   string // an expression
	want      string // an expression with the same value
	pure      bool   // same arguments, same value, wherever it stands

	params []param
	result *schemas.Type
	// typed, if set, gives the result type from the arguments and may refuse
	// them; it returns nil after reporting.
	typed func(c *checker, call *term) *schemas.Type
	build func(args []code, call *term) code
}

// param is one parameter. kind Any takes everything that is not null; number
// takes int and float.
type param struct {
	name     string
	typ      *schemas.Type
	number   bool
	optional bool
	repeated bool
}

// parseSignature fills name, params and result. It panics on a malformed
// signature, which every test would meet.
func (f *function) parseSignature() {
	name, rest, _ := strings.Cut(f.signature, "(")
	list, result, ok := strings.Cut(rest, ")")
	if !ok {
		panic("signature " + f.signature)
	}
	f.name = name
	if list != "" {
		for p := range strings.SplitSeq(list, ", ") {
			n, t, _ := strings.Cut(p, " ")
			q := param{name: n}
			t, q.optional = strings.CutSuffix(t, "?")
			t, q.repeated = strings.CutSuffix(t, "...")
			q.number = t == "number"
			q.typ = typeWord(t)
			f.params = append(f.params, q)
		}
	}
	f.result = typeWord(strings.TrimSpace(result))
}

// typeWord reads a type as signatures write it.
func typeWord(s string) *schemas.Type {
	s, null := strings.CutSuffix(s, "?")
	var t *schemas.Type
	switch s {
	case "bool":
		t = kindType(schemas.Bool)
	case "int":
		t = kindType(schemas.Int)
	case "float", "number":
		t = kindType(schemas.Float)
	case "string":
		t = kindType(schemas.String)
	case "bytes":
		t = kindType(schemas.Bytes)
	case "time":
		t = kindType(schemas.Time)
	case "list":
		t = &schemas.Type{Kind: schemas.List}
	case "list of string":
		t = listOf(kindType(schemas.String))
	case "map":
		t = &schemas.Type{Kind: schemas.Map}
	case "any", "":
		t = kindType(schemas.Any)
	default:
		panic("type " + s)
	}
	if null {
		t = nullable(t)
	}
	return t
}

// param returns the parameter that takes argument i, or nil.
func (f *function) param(i int) *param {
	if i < len(f.params) {
		return &f.params[i]
	}
	if n := len(f.params); n > 0 && f.params[n-1].repeated {
		return &f.params[n-1]
	}
	return nil
}

// minArgs is how many arguments a call needs.
func (f *function) minArgs() int {
	n := 0
	for _, p := range f.params {
		if !p.optional {
			n++
		}
	}
	return n
}

// accepts reports whether an argument of the type fits the parameter.
func (p *param) accepts(t *schemas.Type) bool {
	switch {
	case p.typ.Kind == schemas.Any:
		return true
	case p.number:
		return isNumber(t)
	case p.typ.Kind == schemas.Float:
		return isNumber(t)
	case p.typ.Kind == schemas.List && t.Kind == schemas.List:
		return p.typ.Elem == nil || t.Elem == nil || t.Elem.Kind == p.typ.Elem.Kind && !mayBeNull(t.Elem)
	}
	return p.typ.Kind == t.Kind
}

// word is the parameter's type in messages.
func (p *param) word() string {
	switch {
	case p.number:
		return "number"
	case p.typ.Kind == schemas.List && p.typ.Elem == nil:
		return "list"
	case p.typ.Kind == schemas.Map:
		return "map"
	}
	return p.typ.String()
}

// functionTable returns all functions by name.
func functionTable() map[string]*function {
	table := map[string]*function{}
	for _, f := range functionList() {
		table[f.name] = f
	}
	return table
}

// functionList returns all functions in the order of the documentation.
func functionList() []*function {
	var list []*function
	for _, group := range [][]*function{
		textFunctions(), numberFunctions(), timeFunctions(), hashFunctions(), listFunctions(), mapFunctions(), conversionFunctions(),
	} {
		list = append(list, group...)
	}
	for _, f := range list {
		f.parseSignature()
		f.pure = f.name != "now"
	}
	return list
}

// The adaptors below make code of ordinary Go functions. An argument that is
// null at run time (which the check rules out where it can) makes the result
// null. Failures get the position of the call.

func fn1[A, R any](f func(e *Env, a A) R) func([]code, *term) code {
	return func(args []code, call *term) code {
		a, at := get[A](args[0]), call.position()
		return put(call.typ, func(e *Env) (r R, ok bool) {
			x, ok := a(e)
			if !ok || e.err != nil {
				return r, false
			}
			r = f(e, x)
			if e.err != nil {
				e.locate(at)
				return r, false
			}
			return r, true
		})
	}
}

func fn2[A, B, R any](f func(e *Env, a A, b B) R) func([]code, *term) code {
	return func(args []code, call *term) code {
		a, b, at := get[A](args[0]), get[B](args[1]), call.position()
		return put(call.typ, func(e *Env) (r R, ok bool) {
			x, okA := a(e)
			y, okB := b(e)
			if !okA || !okB || e.err != nil {
				return r, false
			}
			r = f(e, x, y)
			if e.err != nil {
				e.locate(at)
				return r, false
			}
			return r, true
		})
	}
}

func fn3[A, B, C, R any](f func(e *Env, a A, b B, c C) R) func([]code, *term) code {
	return func(args []code, call *term) code {
		a, b, c, at := get[A](args[0]), get[B](args[1]), get[C](args[2]), call.position()
		return put(call.typ, func(e *Env) (r R, ok bool) {
			x, okA := a(e)
			y, okB := b(e)
			z, okC := c(e)
			if !okA || !okB || !okC || e.err != nil {
				return r, false
			}
			r = f(e, x, y, z)
			if e.err != nil {
				e.locate(at)
				return r, false
			}
			return r, true
		})
	}
}

// fnN serves functions of many arguments of one type; all values are there.
func fnN[A, R any](f func(e *Env, args []A) R) func([]code, *term) code {
	return func(codes []code, call *term) code {
		getters, at := make([]func(*Env) (A, bool), len(codes)), call.position()
		for i, c := range codes {
			getters[i] = get[A](c)
		}
		return put(call.typ, func(e *Env) (r R, ok bool) {
			args := make([]A, len(getters))
			for i, g := range getters {
				if args[i], ok = g(e); !ok {
					return r, false
				}
			}
			if e.err != nil {
				return r, false
			}
			r = f(e, args)
			if e.err != nil {
				e.locate(at)
				return r, false
			}
			return r, true
		})
	}
}

// withDefault adds a constant for an optional last argument.
func withDefault(n int, value any, build func([]code, *term) code) func([]code, *term) code {
	return func(args []code, call *term) code {
		if len(args) < n {
			args = append(slices.Clip(args), constCode(typeOfConst(value), value))
		}
		return build(args, call)
	}
}

func typeOfConst(v any) *schemas.Type {
	switch v.(type) {
	case bool:
		return kindType(schemas.Bool)
	case int64:
		return kindType(schemas.Int)
	case float64:
		return kindType(schemas.Float)
	case string:
		return kindType(schemas.String)
	}
	return kindType(schemas.Null)
}

// position returns where the term stands in the file.
func (t *term) position() Position {
	if t.src == nil {
		return Position{}
	}
	return t.src.position(t.from)
}
