package registry

import (
	"errors"
	"fmt"
)

// What an operation failed of. Errors of a Client match exactly one of them with errors.Is, or the context's error.
var (
	// ErrNotFound: the registry answered that it has no such id, subject or schema.
	ErrNotFound = errors.New("not in the registry")
	// ErrUnavailable: there was no answer to rely on: no connection, too slow, refused, 5xx, not JSON. Trying again may help.
	ErrUnavailable = errors.New("registry unavailable")
	// ErrUnusable: the schema is there but can't be used: Protobuf or JSON Schema, not valid Avro, too large, references that don't
	// resolve. Trying again doesn't help.
	ErrUnusable = errors.New("unusable schema")
	// ErrIncompatible: the registry refuses to register the schema because of those registered before under the subject.
	ErrIncompatible = errors.New("incompatible with the registered schema")
)

// Error says which operation failed, and why.
type Error struct {
	Op   string // "schema id 7", "subject orders-value"
	Kind error  // one of the errors above
	Err  error  // cause, may be nil
}

func (e *Error) Error() string {
	s := fmt.Sprintf("%s: %v", e.Op, e.Kind)
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

func (e *Error) Unwrap() []error {
	if e.Err == nil {
		return []error{e.Kind}
	}
	return []error{e.Kind, e.Err}
}

func opError(op string, kind, err error) error { return &Error{Op: op, Kind: kind, Err: err} }
