package schemas

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"strconv"

	"github.com/twmb/avro"
)

// Limits of schemas and values. They keep hostile ones from costing much; no honest one comes near.
const (
	MaxSchemaSize = 1 << 20 // bytes of a schema's text
	MaxDepth      = 64      // levels of nesting of a schema, and of a value
	MaxFields     = 10_000  // fields of all records of a schema; symbols of an enum
	MaxElements   = 100_000 // elements of one list or map of a value
	maxBranches   = 1_000   // types of a union
)

// Schema is a parsed and accepted Avro schema. It is immutable and safe for concurrent use.
type Schema struct {
	text string
	full *avro.Schema // as written
	// plain is the schema without logical types: twmb/avro then decodes raw numbers and bytes, which is several times cheaper
	// than its time.Time and big.Rat, and the conversion to what rules see is ours (value.go).
	plain *avro.Schema
	root  *node
	print [32]byte
	// tagged: the schema has a union of several types, so decoding into any has to ask for the names of the branches.
	tagged bool
}

// Parse reads an Avro schema. It refuses, as *SchemaError, what Avro refuses, and what is larger or deeper than the limits.
func Parse(text string) (*Schema, error) {
	if len(text) > MaxSchemaSize {
		return nil, &SchemaError{Msg: "longer than " + strconv.Itoa(MaxSchemaSize) + " bytes"}
	}
	if err := new(bounds).add(text); err != nil {
		return nil, err
	}
	full, err := avro.Parse(text)
	if err != nil {
		return nil, &SchemaError{Msg: "not an Avro schema", Err: err}
	}
	return accept(text, full)
}

// ParseReferring reads a schema that uses named types of other schemas, as a registry's references: their texts in an order
// in which each one only uses those before it.
func ParseReferring(text string, references ...string) (*Schema, error) {
	if len(references) == 0 {
		return Parse(text)
	}
	var cache avro.SchemaCache
	size := len(text)
	for _, r := range references {
		size += len(r)
	}
	if size > MaxSchemaSize {
		return nil, &SchemaError{Msg: "longer than " + strconv.Itoa(MaxSchemaSize) + " bytes with its references"}
	}
	b := new(bounds)
	for _, r := range references {
		if err := b.add(r); err != nil {
			return nil, err
		}
		if _, err := cache.Parse(r); err != nil {
			return nil, &SchemaError{Msg: "a referenced schema is not an Avro schema", Err: err}
		}
	}
	if err := b.add(text); err != nil {
		return nil, err
	}
	s, err := cache.Parse(text)
	if err != nil {
		return nil, &SchemaError{Msg: "not an Avro schema", Err: err}
	}
	whole, err := s.Root().ExpandReferences().Schema()
	if err != nil {
		return nil, &SchemaError{Msg: "references do not resolve", Err: err}
	}
	return Parse(whole.String())
}

func accept(text string, full *avro.Schema) (*Schema, error) {
	root, several, err := buildNode(full.Root())
	if err != nil {
		return nil, err
	}
	bare := full.Root()
	stripLogical(bare)
	plain, err := bare.Schema()
	if err != nil {
		return nil, &SchemaError{Name: root.name, Msg: "can't be reduced to plain Avro", Err: err}
	}
	s := &Schema{text: text, full: full, plain: plain, root: root, tagged: several, print: sha256.Sum256(full.Canonical())}
	if err := s.defaults(bare); err != nil {
		return nil, err
	}
	return s, nil
}

// stripLogical removes logical types and what only people read.
func stripLogical(t *avro.SchemaNode) {
	t.LogicalType, t.Precision, t.Scale, t.Props, t.Doc = "", 0, 0, nil, ""
	for i := range t.Fields {
		// A logicalType beside a field's name instead of inside its type is no logical type to Avro; here it would be lifted.
		t.Fields[i].Props, t.Fields[i].Doc = nil, ""
		stripLogical(&t.Fields[i].Type)
	}
	if t.Items != nil {
		stripLogical(t.Items)
	}
	if t.Values != nil {
		stripLogical(t.Values)
	}
	for i := range t.Branches {
		stripLogical(&t.Branches[i])
	}
}

// Type returns the schema's type as rules see it; for the schema of a stream, a record.
func (s *Schema) Type() *Type { return s.root.typ }

// Name returns the full name of the schema's record, enum or fixed, "" for another type.
func (s *Schema) Name() string { return s.root.name }

// String returns the text that was parsed.
func (s *Schema) String() string { return s.text }

// Canonical returns Avro's parsing canonical form, which decides whether two schemas write the same bytes.
func (s *Schema) Canonical() string { return string(s.full.Canonical()) }

// Fingerprint returns the SHA-256 of the canonical form.
func (s *Schema) Fingerprint() [32]byte { return s.print }

func (s *Schema) options() []avro.Opt {
	if s.tagged {
		return []avro.Opt{avro.TaggedUnions()}
	}
	return nil
}

// raw decodes one whole value without conversion of logical types.
func (s *Schema) raw(b []byte) (any, error) {
	var v any
	rest, err := s.plain.Decode(b, &v, s.options()...)
	if err != nil {
		return nil, decodeError(err)
	}
	if len(rest) > 0 {
		return nil, &DecodeError{Code: CodeTrailing}
	}
	return v, nil
}

// DecodeAny decodes a whole record in Avro binary as rules see it. Errors are *DecodeError; bytes behind the record are one.
// Nothing of the result aliases b.
func (s *Schema) DecodeAny(b []byte) (map[string]any, error) {
	if s.root.avro != "record" {
		return nil, &DecodeError{Code: CodeMalformed, Err: fmt.Errorf("schema is %s, not a record", s.root.typ)}
	}
	v, err := s.raw(b)
	if err != nil {
		return nil, err
	}
	v, err = s.root.value(v, 0, s.tagged)
	if err != nil {
		return nil, err
	}
	return v.(map[string]any), nil
}

// decodeError gives an error of twmb/avro its code.
func decodeError(err error) error {
	e := &DecodeError{Code: CodeMalformed, Err: err}
	var short *avro.ShortBufferError
	var semantic *avro.SemanticError
	switch {
	case errors.As(err, &short):
		e.Code = CodeTruncated
	case errors.As(err, &semantic):
		e.Field = semantic.Field
	}
	return e
}
