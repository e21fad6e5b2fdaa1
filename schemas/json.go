package schemas

import (
	"fmt"
	"math"
	"strconv"
	"time"
	"unicode/utf8"
)

// JSON converts Avro binary to JSON for people and tools: fields in the order of the schema, entries of maps in the order of their
// keys, a value of a nullable type bare, one of a union of several types as {"type": value}, timestamps as RFC 3339 in UTC, dates as
// 2006-01-02, decimals as exact numbers, bytes as Avro's JSON has them (a character U+0000 to U+00FF per byte), NaN and infinities as
// strings. FromJSON reads it back. Errors are *DecodeError.
func (s *Schema) JSON(b []byte) ([]byte, error) {
	v, err := s.raw(b)
	if err != nil {
		return nil, err
	}
	return s.root.json(make([]byte, 0, 2*len(b)+64), v, s.tagged, 0)
}

func (n *node) json(b []byte, raw any, tagged bool, depth int) ([]byte, error) {
	if depth > MaxDepth {
		return b, &DecodeError{Code: CodeDepth}
	}
	switch v := raw.(type) {
	case nil:
		return append(b, "null"...), nil
	case bool:
		return strconv.AppendBool(b, v), nil
	case int32:
		return n.jsonInt(b, int64(v)), nil
	case int64:
		return n.jsonInt(b, v), nil
	case float32:
		if n.avro != "union" {
			return jsonFloat(b, float64(v), 32), nil
		}
	case float64:
		if n.avro != "union" {
			return jsonFloat(b, v, 64), nil
		}
	case string:
		if n.avro != "union" {
			return jsonString(b, v)
		}
	case []byte:
		if n.avro != "union" {
			return n.jsonBytes(b, v)
		}
	case []any:
		if n.avro == "array" {
			return n.jsonList(b, v, tagged, depth)
		}
	case map[string]any:
		switch n.avro {
		case "record":
			return n.jsonRecord(b, v, tagged, depth)
		case "map":
			return n.jsonMap(b, v, tagged, depth)
		}
	}
	if n.avro != "union" {
		return b, &DecodeError{Code: CodeMalformed, Err: fmt.Errorf("a decoded %T is no Avro %s", raw, n.avro)}
	}
	br := (*node)(nil)
	if tagged {
		br, raw = n.tagged(raw)
	} else {
		br = n.bare()
	}
	if br == nil {
		return b, &DecodeError{Code: CodeMalformed, Err: errNoBranch}
	}
	if n.sole >= 0 {
		return br.json(b, raw, tagged, depth)
	}
	b = append(append(append(b, `{"`...), br.tag()...), `":`...)
	b, err := br.json(b, raw, tagged, depth)
	return append(b, '}'), err
}

func (n *node) jsonInt(b []byte, v int64) []byte {
	if n.avro == "union" {
		n = n.branches[max(n.sole, 0)]
	}
	if n.typ.Kind == Time {
		ms := n.unit.millis(v)
		if n.unit == unitDay {
			if t := time.UnixMilli(ms).UTC(); t.Year() >= 0 && t.Year() <= 9999 {
				return append(t.AppendFormat(append(b, '"'), time.DateOnly), '"')
			}
		} else if t := time.UnixMilli(ms).UTC(); t.Year() >= 0 && t.Year() <= 9999 {
			return append(n.jsonTime(append(b, '"'), v), '"')
		}
	}
	return strconv.AppendInt(b, v, 10)
}

// jsonTime shows a timestamp in milliseconds, or as many decimals as it really has.
func (n *node) jsonTime(b []byte, v int64) []byte {
	switch n.unit {
	case unitMicro:
		if v%1_000 != 0 {
			return time.UnixMicro(v).UTC().AppendFormat(b, "2006-01-02T15:04:05.000000Z")
		}
	case unitNano:
		if v%1_000_000 != 0 {
			return time.Unix(0, v).UTC().AppendFormat(b, "2006-01-02T15:04:05.000000000Z")
		}
	default: // the others have no more than milliseconds
	}
	return appendTime(b, n.unit.millis(v))
}

func jsonFloat(b []byte, v float64, bits int) []byte {
	switch {
	case math.IsNaN(v):
		return append(b, `"NaN"`...)
	case math.IsInf(v, 1):
		return append(b, `"Infinity"`...)
	case math.IsInf(v, -1):
		return append(b, `"-Infinity"`...)
	}
	format := byte('f')
	if a := math.Abs(v); a != 0 && (a < 1e-6 || a >= 1e21) {
		format = 'e'
	}
	return strconv.AppendFloat(b, v, format, -1, bits)
}

const hexDigits = "0123456789abcdef"

func jsonString(b []byte, s string) ([]byte, error) {
	if !utf8.ValidString(s) {
		return b, &DecodeError{Code: CodeUTF8}
	}
	b = append(b, '"')
	for i := range len(s) {
		b = jsonByte(b, s[i])
	}
	return append(b, '"'), nil
}

// jsonByte appends a byte of UTF-8 within a JSON string.
func jsonByte(b []byte, c byte) []byte {
	switch {
	case c == '"' || c == '\\':
		return append(b, '\\', c)
	case c == '\n':
		return append(b, '\\', 'n')
	case c == '\t':
		return append(b, '\\', 't')
	case c < ' ' || c == 0x7f:
		return append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
	}
	return append(b, c)
}

func (n *node) jsonBytes(b, v []byte) ([]byte, error) {
	switch n.logical {
	case "decimal":
		s, ok := decimalString(v, n.precision, n.scale)
		if !ok {
			return b, &DecodeError{Code: CodeOutOfRange}
		}
		return append(b, s...), nil
	case "uuid":
		return append(append(append(b, '"'), uuidString(v)...), '"'), nil
	}
	b = append(b, '"')
	for _, c := range v {
		if c >= 0x80 {
			b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
			continue
		}
		b = jsonByte(b, c)
	}
	return append(b, '"'), nil
}

func (n *node) jsonList(b []byte, list []any, tagged bool, depth int) ([]byte, error) {
	if len(list) > MaxElements {
		return b, &DecodeError{Code: CodeTooLong}
	}
	b = append(b, '[')
	for i, e := range list {
		if i > 0 {
			b = append(b, ',')
		}
		var err error
		if b, err = n.elem.json(b, e, tagged, depth+1); err != nil {
			return b, err
		}
	}
	return append(b, ']'), nil
}

func (n *node) jsonMap(b []byte, m map[string]any, tagged bool, depth int) ([]byte, error) {
	if len(m) > MaxElements {
		return b, &DecodeError{Code: CodeTooLong}
	}
	b = append(b, '{')
	for i, k := range sortedKeys(m) {
		if i > 0 {
			b = append(b, ',')
		}
		var err error
		if b, err = jsonString(b, k); err != nil {
			return b, err
		}
		if b, err = n.elem.json(append(b, ':'), m[k], tagged, depth+1); err != nil {
			return b, err
		}
	}
	return append(b, '}'), nil
}

func (n *node) jsonRecord(b []byte, m map[string]any, tagged bool, depth int) ([]byte, error) {
	b = append(b, '{')
	for i := range n.fields {
		f := &n.fields[i]
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(append(b, '"'), f.name...), `":`...)
		var err error
		if b, err = f.node.json(b, m[f.name], tagged, depth+1); err != nil {
			return b, inField(f.name, err)
		}
	}
	return append(b, '}'), nil
}
