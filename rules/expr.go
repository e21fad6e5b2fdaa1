package rules

import "github.com/millrace-io/millrace/schemas"

// Expr is a compiled, type-checked expression. It is immutable.
type Expr struct {
	code   code
	source string
	canon  string
	pos    Position
	term   *term     // what it was compiled from, for Unmet
	by     *compiler // which did so
}

// Type returns what the expression yields.
func (x *Expr) Type() *schemas.Type { return x.code.typ }

// Source returns the expression as the rule file has it.
func (x *Expr) Source() string { return x.source }

// Canonical returns the expression in a form without layout: equal programs
// have equal canonical forms.
func (x *Expr) Canonical() string { return x.canon }

// Pos returns where the expression starts.
func (x *Expr) Pos() Position { return x.pos }

// Bool evaluates a Bool expression; null and failure are false.
func (x *Expr) Bool(e *Env) bool {
	v, ok := x.code.b(e)
	if e.err != nil {
		e.locate(x.pos)
		return false
	}
	return v && ok
}

// Int evaluates an Int or Time expression; ok is false for null and failure.
func (x *Expr) Int(e *Env) (v int64, ok bool) {
	v, ok = x.code.i(e)
	if e.err != nil {
		e.locate(x.pos)
		return 0, false
	}
	return v, ok
}

// Float evaluates a Float or Int expression; ok is false for null and failure.
func (x *Expr) Float(e *Env) (v float64, ok bool) {
	v, ok = x.code.f(e)
	if e.err != nil {
		e.locate(x.pos)
		return 0, false
	}
	return v, ok
}

// String evaluates a String expression; ok is false for null and failure. The
// result may alias the decoded record.
func (x *Expr) String(e *Env) (v string, ok bool) {
	v, ok = x.code.s(e)
	if e.err != nil {
		e.locate(x.pos)
		return "", false
	}
	return v, ok
}

// Value evaluates an expression of any type into the boxed form that package
// schemas documents; nil for null and failure.
func (x *Expr) Value(e *Env) any {
	v := x.code.v(e)
	if e.err != nil {
		e.locate(x.pos)
		return nil
	}
	return v
}
