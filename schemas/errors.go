package schemas

import (
	"errors"
	"fmt"
)

// Codes of a *DecodeError. They are stable: dead letters carry them.
const (
	CodeTruncated  = "truncated"      // the bytes end within a value
	CodeTrailing   = "trailing_bytes" // bytes are left behind the record
	CodeMalformed  = "malformed"      // the bytes are no value of the schema
	CodeDepth      = "too_deep"       // values are nested deeper than MaxDepth
	CodeTooLong    = "too_long"       // a list or map has more than MaxElements elements
	CodeUTF8       = "invalid_utf8"   // a string is not UTF-8
	CodeOutOfRange = "out_of_range"   // a number does not fit what rules see
	CodeContext    = "bad_context"    // a context field breaks its rule, as confidence outside 0..1
)

// DecodeError says why a record's bytes were refused. It never holds values of the record.
type DecodeError struct {
	Code  string
	Field string // dotted path, "" when unknown
	Err   error  // cause, may be nil
}

func (e *DecodeError) Error() string {
	s := e.Code
	if e.Field != "" {
		s += " in field " + e.Field
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

func (e *DecodeError) Unwrap() error { return e.Err }

// SchemaError says why Parse refused a schema.
type SchemaError struct {
	Name string // full name of the type or field at fault, "" when unknown
	Msg  string
	Err  error // cause, may be nil
}

func (e *SchemaError) Error() string {
	s := "schema"
	if e.Name != "" {
		s += " " + e.Name
	}
	s += ": " + e.Msg
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

func (e *SchemaError) Unwrap() error { return e.Err }

// ValueError says why a value can't be written as a field of a schema. It names the field, never the value.
type ValueError struct {
	Field string // dotted path; list elements and map entries as [i] and [key]
	Msg   string
}

func (e *ValueError) Error() string {
	if e.Field == "" {
		return e.Msg
	}
	return "field " + e.Field + ": " + e.Msg
}

func valueErrorf(format string, args ...any) error {
	return &ValueError{Msg: fmt.Sprintf(format, args...)}
}

// within puts the name of the enclosing field before the path of a *ValueError.
func within(name string, err error) error {
	var v *ValueError
	if !errors.As(err, &v) {
		return fmt.Errorf("field %s: %w", name, err)
	}
	switch {
	case v.Field == "":
		return &ValueError{Field: name, Msg: v.Msg}
	case v.Field[0] == '[':
		return &ValueError{Field: name + v.Field, Msg: v.Msg}
	}
	return &ValueError{Field: name + "." + v.Field, Msg: v.Msg}
}
