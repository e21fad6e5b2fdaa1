package schemas

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/twmb/avro"
)

// maxDefaults bounds the Avro binary of all defaults of a schema. Records within records, each with a default for both of its
// fields, are a schema of a few kilobytes whose default takes gigabytes.
const maxDefaults = 1 << 20

var errDefaults = errors.New("the defaults of the schema are too large, or contain themselves")

// defaulter works the defaults of a schema out: encoded, and as rules see them.
type defaulter struct {
	raw  map[*fieldNode]any // as twmb/avro has them, in Go types that tell what they are
	done map[*fieldNode]bool
	size int
}

// defaults sets the defaults in the nodes and types of the schema; root is the same schema as twmb/avro shows it.
func (s *Schema) defaults(root *avro.SchemaNode) error {
	d := &defaulter{raw: map[*fieldNode]any{}, done: map[*fieldNode]bool{}}
	d.collect(root, s.root)
	return d.all(s.root, map[*node]bool{})
}

func (d *defaulter) collect(t *avro.SchemaNode, n *node) {
	switch t.Type {
	case "array":
		d.collect(t.Items, n.elem)
	case "map":
		d.collect(t.Values, n.elem)
	case "union":
		for i := range t.Branches {
			d.collect(&t.Branches[i], n.branches[i])
		}
	case "record", "error":
		for i := range t.Fields {
			if f := &n.fields[i]; f.hasDefault {
				d.raw[f] = t.Fields[i].Default
			}
			d.collect(&t.Fields[i].Type, n.fields[i].node)
		}
	}
}

func (d *defaulter) all(n *node, seen map[*node]bool) error {
	if seen[n] {
		return nil
	}
	seen[n] = true
	for i := range n.fields {
		if err := d.field(n, i, 0); err != nil {
			return &SchemaError{Name: n.name + "." + n.fields[i].name, Msg: "default", Err: err}
		}
		if err := d.all(n.fields[i].node, seen); err != nil {
			return err
		}
	}
	for _, br := range n.branches {
		if err := d.all(br, seen); err != nil {
			return err
		}
	}
	if n.elem != nil {
		return d.all(n.elem, seen)
	}
	return nil
}

func (d *defaulter) field(rec *node, i, depth int) error {
	f := &rec.fields[i]
	if !f.hasDefault || d.done[f] {
		return nil
	}
	if depth > MaxDepth {
		return errDefaults
	}
	b, v, err := d.value(nil, f.node, d.raw[f], depth)
	if err != nil {
		return err
	}
	if d.size += len(b); d.size > maxDefaults {
		return errDefaults
	}
	d.done[f], f.encoded, rec.typ.Fields[i].Default = true, b, v
	return nil
}

// value appends the Avro binary of a default, and returns it as rules see it.
func (d *defaulter) value(b []byte, n *node, raw any, depth int) ([]byte, any, error) {
	if depth > MaxDepth || len(b) > maxDefaults {
		return b, nil, errDefaults
	}
	switch n.avro {
	case "union":
		for i, br := range n.branches {
			if br.holds(raw) {
				return d.value(appendLong(b, int64(i)), br, raw, depth)
			}
		}
		return b, nil, errNoBranch
	case "record":
		m, _ := raw.(map[string]any)
		return d.record(b, n, m, depth)
	case "array":
		list, _ := raw.([]any)
		out := make([]any, len(list))
		if len(list) > 0 {
			b = appendLong(b, int64(len(list)))
		}
		for i := range list {
			var err error
			if b, out[i], err = d.value(b, n.elem, list[i], depth+1); err != nil {
				return b, nil, err
			}
		}
		return append(b, 0), out, nil
	case "map":
		m, _ := raw.(map[string]any)
		out := make(map[string]any, len(m))
		if len(m) > 0 {
			b = appendLong(b, int64(len(m)))
		}
		for _, k := range sortedKeys(m) {
			var err error
			if b, err = appendText(b, k); err != nil {
				return b, nil, err
			}
			if b, out[k], err = d.value(b, n.elem, m[k], depth+1); err != nil {
				return b, nil, err
			}
		}
		return append(b, 0), out, nil
	}
	b, err := n.appendRaw(b, raw)
	if err != nil {
		return b, nil, err
	}
	v, err := n.value(raw, depth, false)
	return b, v, err
}

func (d *defaulter) record(b []byte, n *node, m map[string]any, depth int) ([]byte, any, error) {
	out := make(map[string]any, len(n.fields))
	for i := range n.fields {
		f := &n.fields[i]
		raw, given := m[f.name]
		if !given {
			if err := d.field(n, i, depth+1); err != nil {
				return b, nil, err
			}
			if f.hasDefault {
				b, out[f.name] = append(b, f.encoded...), n.typ.Fields[i].Default
				continue
			}
		}
		var err error
		if b, out[f.name], err = d.value(b, f.node, raw, depth+1); err != nil {
			return b, nil, fmt.Errorf("%s: %w", f.name, err)
		}
	}
	return b, out, nil
}

// appendRaw appends a value of a type without parts, as twmb/avro has it.
func (n *node) appendRaw(b []byte, raw any) ([]byte, error) {
	switch v := raw.(type) {
	case nil:
		if n.avro == "null" {
			return b, nil
		}
	case bool:
		return appendBool(b, v), nil
	case int32:
		return appendLong(b, int64(v)), nil
	case int64:
		return appendLong(b, v), nil
	case float32:
		return binary.LittleEndian.AppendUint32(b, math.Float32bits(v)), nil
	case float64:
		return binary.LittleEndian.AppendUint64(b, math.Float64bits(v)), nil
	case string:
		if n.avro == "enum" {
			return appendLong(b, int64(n.index[v])), nil
		}
		return appendText(b, v)
	case []byte:
		if n.avro == "bytes" {
			b = appendLong(b, int64(len(v)))
		}
		return append(b, v...), nil
	}
	return b, fmt.Errorf("a %T is no Avro %s", raw, n.avro)
}

// holds tells whether a default is one of n.
func (n *node) holds(raw any) bool {
	switch v := raw.(type) {
	case nil:
		return n.avro == "null"
	case bool:
		return n.avro == "boolean"
	case int32:
		return n.avro == "int"
	case int64:
		return n.avro == "long"
	case float32:
		return n.avro == "float"
	case float64:
		return n.avro == "double"
	case string:
		_, symbol := n.index[v]
		return n.avro == "string" || n.avro == "enum" && symbol
	case []byte:
		return n.avro == "bytes" || n.avro == "fixed" && n.size == len(v)
	case []any:
		return n.avro == "array"
	case map[string]any:
		return n.avro == "map" || n.avro == "record" && n.knows(v)
	}
	return false
}

// knows tells whether every key of m is a field of record n, and the others have defaults.
func (n *node) knows(m map[string]any) bool {
	for k := range m {
		if _, ok := n.index[k]; !ok {
			return false
		}
	}
	for i := range n.fields {
		if _, ok := m[n.fields[i].name]; !ok && !n.fields[i].hasDefault {
			return false
		}
	}
	return true
}
