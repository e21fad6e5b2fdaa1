package schemas

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"io"
	"math"
	"strconv"
	"time"
)

const (
	maxJSONSize   = 16 << 20
	maxJSONNumber = 400 // characters of one number
	maxJSONDepth  = 4 * MaxDepth
)

// FromJSON converts a record in JSON to Avro binary. It takes what JSON yields, Avro's own JSON encoding, and plain JSON: a value
// of a union bare or as {"type": value}, timestamps as RFC 3339 or as numbers in the unit of the schema, decimals as numbers or
// strings, fields in any order. A missing field gets its default, else null if it may be null. An unknown field, a field given twice, and
// more than one value are errors. Errors about values are *ValueError and name the field.
func (s *Schema) FromJSON(b []byte) ([]byte, error) { return s.fromJSON(b, false) }

func (s *Schema) fromJSON(b []byte, lenient bool) ([]byte, error) {
	v, err := parseJSON(b)
	if err != nil {
		return nil, err
	}
	r := jsonReader{lenient: lenient}
	return r.append(make([]byte, 0, len(b)), s.root, v, 0)
}

// parseJSON reads one JSON value; objects become map[string]any, arrays []any, numbers json.Number. It differs from json.Unmarshal
// in refusing what parsers understand differently: keys given twice, and anything behind the value.
func parseJSON(b []byte) (any, error) {
	if len(b) > maxJSONSize {
		return nil, valueErrorf("JSON of more than %d bytes", maxJSONSize)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	v, err := jsonValue(d, 0)
	if err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, valueErrorf("more than one JSON value")
	}
	return v, nil
}

func jsonValue(d *json.Decoder, depth int) (any, error) {
	if depth > maxJSONDepth {
		return nil, valueErrorf("JSON nested deeper than %d levels", maxJSONDepth)
	}
	t, err := d.Token()
	if err != nil {
		return nil, notJSON(err)
	}
	switch t {
	case json.Delim('{'):
		m := map[string]any{}
		for d.More() {
			k, err := d.Token()
			if err != nil {
				return nil, notJSON(err)
			}
			key, ok := k.(string)
			if _, twice := m[key]; twice || !ok {
				return nil, valueErrorf("field %s is given twice", strconv.Quote(key))
			}
			if m[key], err = jsonValue(d, depth+1); err != nil {
				return nil, err
			}
		}
		_, err := d.Token()
		return m, notJSON(err)
	case json.Delim('['):
		list := []any{}
		for d.More() {
			v, err := jsonValue(d, depth+1)
			if err != nil {
				return nil, err
			}
			if list = append(list, v); len(list) > MaxElements {
				return nil, valueErrorf("a list of more than %d elements", MaxElements)
			}
		}
		_, err := d.Token()
		return list, notJSON(err)
	}
	if n, ok := t.(json.Number); ok && len(n) > maxJSONNumber {
		return nil, valueErrorf("a number of more than %d characters", maxJSONNumber)
	}
	return t, nil
}

// notJSON drops the text of the error: it would quote the input.
func notJSON(err error) error {
	if err == nil {
		return nil
	}
	if s, ok := err.(*json.SyntaxError); ok { //nolint:errorlint // encoding/json returns it bare.
		return valueErrorf("not JSON, at byte %d", s.Offset)
	}
	return valueErrorf("not JSON: it ends too early or is malformed")
}

type jsonReader struct{ lenient bool }

func (r jsonReader) append(b []byte, n *node, v any, depth int) ([]byte, error) {
	if depth > MaxDepth {
		return b, valueErrorf("nested deeper than %d levels", MaxDepth)
	}
	switch n.avro {
	case "null":
		if v == nil {
			return b, nil
		}
	case "boolean":
		if t, ok := v.(bool); ok {
			return appendBool(b, t), nil
		}
	case "int", "long":
		return r.integer(b, n, v)
	case "float", "double":
		return r.float(b, n, v)
	case "string":
		if s, ok := v.(string); ok {
			return appendText(b, s)
		}
	case "enum":
		if s, ok := v.(string); ok {
			i, ok := n.index[s]
			if !ok {
				return b, valueErrorf("not a symbol of enum %s", n.name)
			}
			return appendLong(b, int64(i)), nil
		}
	case "bytes", "fixed":
		return r.bytes(b, n, v)
	case "array":
		if list, ok := v.([]any); ok {
			return appendItems(b, list, func(b []byte, e any) ([]byte, error) { return r.append(b, n.elem, e, depth+1) })
		}
	case "map":
		if m, ok := v.(map[string]any); ok {
			return appendEntries(b, m, func(b []byte, e any) ([]byte, error) { return r.append(b, n.elem, e, depth+1) })
		}
	case "record":
		if m, ok := v.(map[string]any); ok {
			return r.record(b, n, m, depth)
		}
	case "union":
		return r.union(b, n, v, depth)
	}
	return b, r.mismatch(n, v)
}

func (r jsonReader) mismatch(n *node, v any) error {
	got := "null"
	switch v.(type) {
	case bool:
		got = "a bool"
	case json.Number:
		got = "a number"
	case string:
		got = "a string"
	case []any:
		got = "a list"
	case map[string]any:
		got = "an object"
	}
	return valueErrorf("%s where %s is expected", got, n.typ)
}

func (r jsonReader) integer(b []byte, n *node, v any) ([]byte, error) {
	var i int64
	switch t := v.(type) {
	case json.Number:
		var err error
		if i, err = t.Int64(); err != nil {
			f, err := t.Float64()
			if err != nil || f != math.Trunc(f) || math.Abs(f) > 1<<53 {
				return b, valueErrorf("not a whole number of 64 bits")
			}
			i = int64(f)
		}
	case string:
		if n.typ.Kind != Time {
			return b, r.mismatch(n, v)
		}
		var err error
		if i, err = n.unit.parse(t); err != nil {
			return b, err
		}
	default:
		return b, r.mismatch(n, v)
	}
	if n.avro == "int" && int64(int32(i)) != i {
		return b, valueErrorf("a number outside the 32 bits of an Avro int")
	}
	return appendLong(b, i), nil
}

// parse reads RFC 3339, or a date, which is its midnight in UTC.
func (u unit) parse(s string) (int64, error) {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		if t, err = time.Parse(time.DateOnly, s); err != nil {
			return 0, valueErrorf("not a time as 2006-01-02T15:04:05Z")
		}
	}
	switch u {
	case unitMicro:
		return t.UnixMicro(), nil
	case unitNano:
		if t.Year() < 1678 || t.Year() > 2261 {
			return 0, valueErrorf("a time outside the range of nanoseconds")
		}
		return t.UnixNano(), nil
	default: // units has the coarser ones
	}
	v, ok := u.units(t.UnixMilli())
	if !ok {
		return 0, valueErrorf("a time out of range")
	}
	return v, nil
}

func (r jsonReader) float(b []byte, n *node, v any) ([]byte, error) {
	var f float64
	switch t := v.(type) {
	case json.Number:
		bits := 64
		if n.avro == "float" {
			bits = 32
		}
		var err error
		if f, err = strconv.ParseFloat(string(t), bits); err != nil {
			return b, valueErrorf("a number outside the range of an Avro %s", n.avro)
		}
	case string:
		switch t {
		case "NaN":
			f = math.NaN()
		case "Infinity":
			f = math.Inf(1)
		case "-Infinity":
			f = math.Inf(-1)
		default:
			return b, r.mismatch(n, v)
		}
	default:
		return b, r.mismatch(n, v)
	}
	if n.avro == "float" {
		return binary.LittleEndian.AppendUint32(b, math.Float32bits(float32(f))), nil
	}
	return binary.LittleEndian.AppendUint64(b, math.Float64bits(f)), nil
}

func (r jsonReader) bytes(b []byte, n *node, v any) ([]byte, error) {
	write := (&encoderCompiler{}).binary(n)
	switch t := v.(type) {
	case json.Number:
		if n.logical == "decimal" {
			return write(b, decimalText(t))
		}
	case string:
		switch n.logical {
		case "decimal":
			return write(b, decimalText(t))
		case "uuid":
			return write(b, t)
		}
		raw := make([]byte, 0, len(t))
		for _, c := range t {
			if c > 0xff {
				return b, valueErrorf("a character above U+00FF in bytes")
			}
			raw = append(raw, byte(c))
		}
		return write(b, raw)
	}
	return b, r.mismatch(n, v)
}

func (r jsonReader) record(b []byte, n *node, m map[string]any, depth int) ([]byte, error) {
	used := 0
	for i := range n.fields {
		f := &n.fields[i]
		v, given := m[f.name]
		if given {
			used++
		} else if f.hasDefault {
			b = append(b, f.encoded...)
			continue
		} else if !f.node.typ.Nullable && f.node.typ.Kind != Null {
			return b, within(f.name, valueErrorf("is missing and has no default"))
		}
		var err error
		if b, err = r.append(b, f.node, v, depth+1); err != nil {
			return b, within(f.name, err)
		}
	}
	if used != len(m) && !r.lenient {
		return b, unknownField(n, m)
	}
	return b, nil
}

func (r jsonReader) union(b []byte, n *node, v any, depth int) ([]byte, error) {
	if v == nil {
		if n.null < 0 {
			return b, r.mismatch(n, v)
		}
		return appendLong(b, int64(n.null)), nil
	}
	start := len(b)
	if m, ok := v.(map[string]any); ok && len(m) == 1 {
		for i, br := range n.branches {
			for tag, inner := range m {
				if tag != br.tag() && (br.logical == "" || tag != br.avro+"."+br.logical) {
					continue
				}
				if out, err := r.append(appendLong(b, int64(i)), br, inner, depth); err == nil {
					return out, nil
				} else if n.sole < 0 {
					return b[:start], err
				}
				b = b[:start]
			}
		}
	}
	if n.sole >= 0 {
		return r.append(appendLong(b, int64(n.sole)), n.branches[n.sole], v, depth)
	}
	for i, br := range n.branches {
		if i == n.null {
			continue
		}
		if out, err := r.append(appendLong(b, int64(i)), br, v, depth); err == nil {
			return out, nil
		}
		b = b[:start]
	}
	return b, r.mismatch(n, v)
}
