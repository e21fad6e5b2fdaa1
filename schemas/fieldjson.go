package schemas

import (
	"fmt"
	"strconv"
)

// AppendField appends the JSON of a field's value as an Accessor gives it, in the form of JSON. What decoding has made plain stays
// plain: times have milliseconds, decimals are numbers of kind Float, and a value of a union of several types is bare.
// Errors are *DecodeError.
func (s *Schema) AppendField(b []byte, field string, v any) ([]byte, error) {
	i, ok := s.root.index[field]
	if !ok {
		return b, &DecodeError{Code: CodeMalformed, Field: field, Err: fmt.Errorf("no field of %s", s.Name())}
	}
	b, err := s.root.fields[i].node.plainJSON(b, v, 0)
	if err != nil {
		return b, inField(field, err)
	}
	return b, nil
}

// plainJSON is the counterpart of json for what value has converted.
func (n *node) plainJSON(b []byte, v any, depth int) ([]byte, error) {
	if depth > MaxDepth {
		return b, &DecodeError{Code: CodeDepth}
	}
	n = n.among()
	switch v := v.(type) {
	case nil:
		return append(b, "null"...), nil
	case bool:
		return strconv.AppendBool(b, v), nil
	case int64:
		return n.plainInt(b, v), nil
	case float64:
		return jsonFloat(b, v, n.bits()), nil
	case string:
		return jsonString(b, v)
	case []byte:
		return (&node{}).jsonBytes(b, v)
	case []any:
		return n.plainList(b, v, depth)
	case map[string]any:
		return n.plainMap(b, v, depth)
	}
	return b, &DecodeError{Code: CodeMalformed, Err: fmt.Errorf("%T is no value of a record", v)}
}

// among is the type of a value that is not null, as far as it is known.
func (n *node) among() *node {
	switch {
	case n == nil || n.avro == "union" && n.sole < 0:
		return &node{typ: &Type{Kind: Any}}
	case n.avro == "union":
		return n.branches[n.sole]
	}
	return n
}

func (n *node) bits() int {
	if n.avro == "float" {
		return 32
	}
	return 64
}

func (n *node) plainInt(b []byte, v int64) []byte {
	if x, ok := n.unit.units(v); ok {
		return n.jsonInt(b, x)
	}
	return strconv.AppendInt(b, v, 10)
}

func (n *node) plainList(b []byte, list []any, depth int) ([]byte, error) {
	b = append(b, '[')
	for i, e := range list {
		if i > 0 {
			b = append(b, ',')
		}
		var err error
		if b, err = n.elem.plainJSON(b, e, depth+1); err != nil {
			return b, err
		}
	}
	return append(b, ']'), nil
}

func (n *node) plainMap(b []byte, m map[string]any, depth int) ([]byte, error) {
	b = append(b, '{')
	for i, k := range n.keys(m) {
		if i > 0 {
			b = append(b, ',')
		}
		var err error
		if b, err = jsonString(b, k); err != nil {
			return b, err
		}
		elem := n.elem
		if n.avro == "record" {
			elem = n.fields[n.index[k]].node
		}
		if b, err = elem.plainJSON(append(b, ':'), m[k], depth+1); err != nil {
			return b, inField(k, err)
		}
	}
	return append(b, '}'), nil
}

// keys are the fields of a record in the order of the schema, the keys of a map in their own.
func (n *node) keys(m map[string]any) []string {
	if n.avro != "record" {
		return sortedKeys(m)
	}
	out := make([]string, len(n.fields))
	for i := range n.fields {
		out[i] = n.fields[i].name
	}
	return out
}
