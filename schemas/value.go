package schemas

import (
	"errors"
	"fmt"
	"unicode/utf8"
)

var errNoBranch = errors.New("the value fits no type of the union")

// value converts what twmb/avro decodes with the plain schema (int32, int64, float32, float64, string, []byte, []any,
// map[string]any) to what rules see. Lists and maps are converted in place. depth counts the levels above; tagged tells that
// values of unions are wrapped with the name of their branch.
func (n *node) value(raw any, depth int, tagged bool) (any, error) {
	if depth > MaxDepth {
		return nil, &DecodeError{Code: CodeDepth}
	}
	switch n.avro {
	case "null":
		return nil, nil
	case "boolean":
		if v, ok := raw.(bool); ok {
			return v, nil
		}
	case "int", "long":
		if v, ok := integer(raw); ok {
			return n.unit.millis(v), nil
		}
	case "float", "double":
		switch v := raw.(type) {
		case float64:
			return v, nil
		case float32:
			return float64(v), nil
		}
	case "string", "enum":
		if v, ok := raw.(string); ok {
			return v, checkUTF8(v)
		}
	case "bytes", "fixed":
		if v, ok := raw.([]byte); ok {
			return n.bytesValue(v)
		}
	case "array":
		if v, ok := raw.([]any); ok {
			return v, n.listValue(v, depth, tagged)
		}
	case "map":
		if v, ok := raw.(map[string]any); ok {
			return v, n.mapValue(v, depth, tagged)
		}
	case "record":
		if v, ok := raw.(map[string]any); ok {
			return v, n.recordValue(v, depth, tagged)
		}
	case "union":
		return n.unionValue(raw, depth, tagged)
	}
	return nil, &DecodeError{Code: CodeMalformed, Err: fmt.Errorf("a decoded %T is no Avro %s", raw, n.avro)}
}

func integer(raw any) (int64, bool) {
	switch v := raw.(type) {
	case int64:
		return v, true
	case int32:
		return int64(v), true
	}
	return 0, false
}

func checkUTF8(s string) error {
	if !utf8.ValidString(s) {
		return &DecodeError{Code: CodeUTF8}
	}
	return nil
}

func (n *node) bytesValue(b []byte) (any, error) {
	switch n.logical {
	case "decimal":
		v, ok := decimalFloat(b, n.precision, n.scale)
		if !ok {
			return nil, &DecodeError{Code: CodeOutOfRange}
		}
		return v, nil
	case "uuid":
		return uuidString(b), nil
	}
	return b, nil
}

func (n *node) listValue(list []any, depth int, tagged bool) error {
	if len(list) > MaxElements {
		return &DecodeError{Code: CodeTooLong}
	}
	for i, e := range list {
		v, err := n.elem.value(e, depth+1, tagged)
		if err != nil {
			return err
		}
		list[i] = v
	}
	return nil
}

func (n *node) mapValue(m map[string]any, depth int, tagged bool) error {
	if len(m) > MaxElements {
		return &DecodeError{Code: CodeTooLong}
	}
	for k, e := range m {
		if err := checkUTF8(k); err != nil {
			return err
		}
		v, err := n.elem.value(e, depth+1, tagged)
		if err != nil {
			return err
		}
		m[k] = v
	}
	return nil
}

func (n *node) recordValue(m map[string]any, depth int, tagged bool) error {
	for i := range n.fields {
		f := &n.fields[i]
		v, err := f.node.value(m[f.name], depth+1, tagged)
		if err != nil {
			return inField(f.name, err)
		}
		m[f.name] = v
	}
	return nil
}

// unionValue converts a value of a union. With tagged, twmb/avro has wrapped it as {name of the branch: value}.
func (n *node) unionValue(raw any, depth int, tagged bool) (any, error) {
	if raw == nil {
		if n.null >= 0 {
			return nil, nil
		}
		return nil, &DecodeError{Code: CodeMalformed, Err: errNoBranch}
	}
	br := (*node)(nil)
	if tagged {
		br, raw = n.tagged(raw)
	} else {
		br = n.bare() // there is no union of several types in the whole schema
	}
	if br == nil {
		return nil, &DecodeError{Code: CodeMalformed, Err: errNoBranch}
	}
	return br.value(raw, depth, tagged)
}

// tagged takes the branch's name off a value of a union; nil when it has none.
func (n *node) tagged(raw any) (*node, any) {
	m, ok := raw.(map[string]any)
	if !ok || len(m) != 1 {
		return nil, nil
	}
	for tag, v := range m {
		for _, br := range n.branches {
			if br.tag() == tag {
				return br, v
			}
		}
	}
	return nil, nil
}

// tag is the name of a branch in Avro's JSON encoding.
func (n *node) tag() string {
	if n.name != "" {
		return n.name
	}
	return n.avro
}

// hasExactly tells whether m holds the fields of record n and no others.
func (n *node) hasExactly(m map[string]any) bool {
	if len(m) != len(n.fields) {
		return false
	}
	for i := range n.fields {
		if _, ok := m[n.fields[i].name]; !ok {
			return false
		}
	}
	return true
}

// inField puts the name of the enclosing record's field before the path of a *DecodeError.
func inField(name string, err error) error {
	d, ok := errors.AsType[*DecodeError](err)
	if !ok {
		return err
	}
	c := *d
	if c.Field == "" {
		c.Field = name
	} else {
		c.Field = name + "." + c.Field
	}
	return &c
}
