package schemas

import (
	"fmt"
	"math"
	"slices"
	"strconv"
)

// Default as a value of a field tells the Encoder to write the default that the schema declares for it.
var Default any = defaultMark{}

type defaultMark struct{}

// Encoder writes records of one schema. It is compiled once from the schema, into one function per field, because the general
// encoders of the Avro libraries look everything up per value. It is immutable and safe for concurrent use.
type Encoder struct {
	schema *Schema
	fields []fieldEncoder
}

type fieldEncoder struct {
	name       string
	append     appender
	hasDefault bool
	encoded    []byte
}

// appender appends the Avro binary of a value. Errors are *ValueError.
type appender func(b []byte, v any) ([]byte, error)

// NewEncoder prepares writing records of schema s; s has to be a record.
func NewEncoder(s *Schema) (*Encoder, error) {
	if s.root.avro != "record" {
		return nil, fmt.Errorf("a schema of type %s can't be encoded from fields: it has to be a record", s.root.typ)
	}
	c := &encoderCompiler{done: map[*node]*appender{}}
	return &Encoder{schema: s, fields: c.fields(s.root)}, nil
}

// Schema returns the schema that the encoder writes.
func (e *Encoder) Schema() *Schema { return e.schema }

// Append appends the record in Avro binary, without frame. fields holds the values in the order of the schema's fields, as Kind
// says; nil is null, Default the schema's default. Instead of []any and map[string]any the typed forms []string, []int64,
// []float64, []Step and map[string]int64 are accepted, int64 for a Float, and for a whole record []any in field order. Maps are
// written in the order of their keys, so equal records have equal bytes. An error is a *ValueError that names the field; b is
// then returned as it was.
func (e *Encoder) Append(b []byte, fields []any) ([]byte, error) {
	if len(fields) != len(e.fields) {
		return b, valueErrorf("%d values for the %d fields of %s", len(fields), len(e.fields), e.schema.Name())
	}
	start := len(b)
	var err error
	for i := range e.fields {
		f := &e.fields[i]
		if b, err = f.write(b, fields[i]); err != nil {
			return b[:start], within(f.name, err)
		}
	}
	return b, nil
}

func (f *fieldEncoder) write(b []byte, v any) ([]byte, error) {
	if v == Default {
		if !f.hasDefault {
			return b, valueErrorf("the schema has no default")
		}
		return append(b, f.encoded...), nil
	}
	return f.append(b, v)
}

// encoderCompiler remembers the appenders of records, which may contain themselves.
type encoderCompiler struct{ done map[*node]*appender }

func (c *encoderCompiler) fields(rec *node) []fieldEncoder {
	fs := make([]fieldEncoder, len(rec.fields))
	for i := range rec.fields {
		f := &rec.fields[i]
		fs[i] = fieldEncoder{name: f.name, append: c.compile(f.node), hasDefault: f.hasDefault, encoded: f.encoded}
	}
	return fs
}

func (c *encoderCompiler) compile(n *node) appender {
	switch n.avro {
	case "null":
		return func(b []byte, v any) ([]byte, error) {
			if v != nil {
				return b, mismatch(n, v)
			}
			return b, nil
		}
	case "boolean":
		return func(b []byte, v any) ([]byte, error) {
			t, ok := v.(bool)
			if !ok {
				return b, mismatch(n, v)
			}
			return appendBool(b, t), nil
		}
	case "int", "long":
		return c.integer(n)
	case "float", "double":
		return c.float(n)
	case "string":
		return c.text(n)
	case "bytes", "fixed":
		return c.binary(n)
	case "enum":
		return func(b []byte, v any) ([]byte, error) {
			s, ok := v.(string)
			if !ok {
				return b, mismatch(n, v)
			}
			i, ok := n.index[s]
			if !ok {
				return b, valueErrorf("not a symbol of enum %s", n.name)
			}
			return appendLong(b, int64(i)), nil
		}
	case "array":
		return c.array(n)
	case "map":
		return c.mapping(n)
	case "record":
		return c.record(n)
	}
	return c.union(n)
}

func (c *encoderCompiler) record(n *node) appender {
	if done, ok := c.done[n]; ok {
		return func(b []byte, v any) ([]byte, error) { return (*done)(b, v) }
	}
	done := new(appender)
	c.done[n] = done
	fields := c.fields(n)
	*done = func(b []byte, v any) ([]byte, error) {
		var err error
		switch t := v.(type) {
		case map[string]any:
			used := 0
			for i := range fields {
				f := &fields[i]
				value, given := t[f.name]
				if given {
					used++
				} else if f.hasDefault {
					value = Default
				}
				if b, err = f.write(b, value); err != nil {
					return b, within(f.name, err)
				}
			}
			if used != len(t) {
				return b, unknownField(n, t)
			}
			return b, nil
		case []any:
			if len(t) != len(fields) {
				return b, valueErrorf("%d values for the %d fields of %s", len(t), len(fields), n.name)
			}
			for i := range fields {
				if b, err = fields[i].write(b, t[i]); err != nil {
					return b, within(fields[i].name, err)
				}
			}
			return b, nil
		}
		return b, mismatch(n, v)
	}
	return *done
}

// unknownField names a field that the record lacks: the first in order, so that the message is the same each time.
func unknownField(n *node, m map[string]any) error {
	name := ""
	for k := range m {
		if _, ok := n.index[k]; !ok && (name == "" || k < name) {
			name = k
		}
	}
	return valueErrorf("no field %s in %s", strconv.Quote(name), n.typ)
}

func (c *encoderCompiler) union(n *node) appender {
	branches := make([]appender, len(n.branches))
	for i, br := range n.branches {
		branches[i] = c.compile(br)
	}
	if n.sole >= 0 {
		write, index := branches[n.sole], byte(n.sole*2)
		return func(b []byte, v any) ([]byte, error) {
			if v == nil {
				if n.null < 0 {
					return b, mismatch(n, v)
				}
				return append(b, byte(n.null*2)), nil
			}
			return write(append(b, index), v)
		}
	}
	return func(b []byte, v any) ([]byte, error) {
		start := len(b)
		for fit := fitNamed; fit <= fitConverted; fit++ {
			for i, br := range n.branches {
				if !br.takes(v, fit) {
					continue
				}
				if out, err := branches[i](appendLong(b, int64(i)), v); err == nil {
					return out, nil
				}
				b = b[:start]
			}
		}
		return b, mismatch(n, v)
	}
}

// fit is how well a value suits a branch of a union of several types. The best fit is taken, and of equals the first: an int64 goes
// into ["double", "int"] as an int, into ["string", "double"] as a double.
type fit uint8

const (
	fitNamed     fit = iota // a map with exactly the fields of a record
	fitKind                 // of the same kind, and nothing is rounded
	fitConverted            // whatever the encoder of the branch accepts
)

func (n *node) takes(v any, by fit) bool {
	switch by {
	case fitNamed:
		m, ok := v.(map[string]any)
		return ok && n.avro == "record" && n.hasExactly(m) && n.keepsAll(m)
	case fitConverted:
		return true
	case fitKind:
	}
	switch v := v.(type) {
	case nil:
		return n.typ.Kind == Null
	case bool:
		return n.typ.Kind == Bool
	case int64:
		u, ok := n.unit.units(v)
		return (n.typ.Kind == Int || n.typ.Kind == Time) && ok && n.unit.millis(u) == v
	case float64:
		return n.avro == "double" || n.avro == "float" && (float64(float32(v)) == v || math.IsNaN(v)) || n.logical == "decimal"
	case string:
		return n.typ.Kind == String
	case []byte:
		return n.typ.Kind == Bytes
	}
	return n.typ.Kind == List || n.typ.Kind == Map // a map without all of its fields becomes a record only if nothing else fits
}

// keepsAll tells whether the fields of record n hold the values of m as they are.
func (n *node) keepsAll(m map[string]any) bool {
	for i := range n.fields {
		v := m[n.fields[i].name]
		if !slices.ContainsFunc(n.fields[i].node.types(), func(t *node) bool { return t.takes(v, fitNamed) || t.takes(v, fitKind) }) {
			return false
		}
	}
	return true
}

// types returns the types of a union, null among them, or n itself.
func (n *node) types() []*node {
	if n.avro == "union" {
		return n.branches
	}
	return []*node{n}
}

// mismatch says what was expected and what kind of value came, never the value.
func mismatch(n *node, v any) error {
	want := n.typ.String()
	got := ""
	switch v.(type) {
	case nil:
		got = "null"
	case bool:
		got = "a bool"
	case int64:
		got = "an int"
	case float64:
		got = "a float"
	case string:
		got = "a string"
	case []byte:
		got = "bytes"
	case []any, []string, []int64, []float64, []Step:
		got = "a list"
	case map[string]any, map[string]int64:
		got = "a map"
	default:
		got = fmt.Sprintf("a %T", v)
	}
	return valueErrorf("%s where %s is expected", got, want)
}
