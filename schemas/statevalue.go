package schemas

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

var errValue = errors.New("a damaged value")

// The state form of a value: a tag byte, then the value. Maps are in key order, so equal values are equal bytes.
const (
	tagNull byte = iota
	tagFalse
	tagTrue
	tagInt    // zigzag varint
	tagFloat  // 8 bytes, little endian
	tagString // length, bytes
	tagBytes  // length, bytes
	tagList   // length, values
	tagMap    // length, (string without tag, value) by key
)

// AppendValue appends a value as rules see it, in a form that says itself what it is: for state. Equal values are equal bytes.
func AppendValue(b []byte, v any) []byte {
	switch v := v.(type) {
	case bool:
		if v {
			return append(b, tagTrue)
		}
		return append(b, tagFalse)
	case int64:
		return protowire.AppendVarint(append(b, tagInt), protowire.EncodeZigZag(v))
	case float64:
		return binary.LittleEndian.AppendUint64(append(b, tagFloat), math.Float64bits(v))
	case string:
		return protowire.AppendString(append(b, tagString), v)
	case []byte:
		return protowire.AppendBytes(append(b, tagBytes), v)
	case []any:
		b = protowire.AppendVarint(append(b, tagList), uint64(len(v)))
		for _, x := range v {
			b = AppendValue(b, x)
		}
		return b
	case map[string]any:
		b = protowire.AppendVarint(append(b, tagMap), uint64(len(v)))
		for _, k := range sortedKeys(v) {
			b = AppendValue(protowire.AppendString(b, k), v[k])
		}
		return b
	}
	return append(b, tagNull)
}

// ValueSize is what AppendValue appends at most, in bytes.
func ValueSize(v any) int {
	n := 11
	switch v := v.(type) {
	case string:
		n += len(v)
	case []byte:
		n += len(v)
	case []any:
		for _, x := range v {
			n += ValueSize(x)
		}
	case map[string]any:
		for k, x := range v {
			n += 10 + len(k) + ValueSize(x)
		}
	}
	return n
}

// ParseValue reads what AppendValue wrote and returns the rest. The value shares nothing with b. What is damaged is an error.
func ParseValue(b []byte) (any, []byte, error) { return parseValue(b, 0) }

func parseValue(b []byte, depth int) (any, []byte, error) {
	if len(b) == 0 || depth > MaxDepth {
		return nil, nil, errValue
	}
	tag, b := b[0], b[1:]
	switch tag {
	case tagNull:
		return nil, b, nil
	case tagFalse, tagTrue:
		return tag == tagTrue, b, nil
	case tagInt:
		v, n := protowire.ConsumeVarint(b)
		if n < 0 {
			return nil, nil, errValue
		}
		return protowire.DecodeZigZag(v), b[n:], nil
	case tagFloat:
		if len(b) < 8 {
			return nil, nil, errValue
		}
		return math.Float64frombits(binary.LittleEndian.Uint64(b)), b[8:], nil
	case tagString, tagBytes:
		v, n := protowire.ConsumeBytes(b)
		if n < 0 {
			return nil, nil, errValue
		}
		if tag == tagString {
			return string(v), b[n:], nil
		}
		return append([]byte(nil), v...), b[n:], nil
	case tagList, tagMap:
		return parseMany(tag, b, depth)
	}
	return nil, nil, fmt.Errorf("%w: unknown value tag %d", errValue, tag)
}

func parseMany(tag byte, b []byte, depth int) (any, []byte, error) {
	size, n := protowire.ConsumeVarint(b)
	if n < 0 || size > uint64(len(b)) { // each element takes a byte at least
		return nil, nil, errValue
	}
	b = b[n:]
	if tag == tagList {
		list := make([]any, 0, size)
		for range size {
			v, rest, err := parseValue(b, depth+1)
			if err != nil {
				return nil, nil, err
			}
			list, b = append(list, v), rest
		}
		return list, b, nil
	}
	m := make(map[string]any, size)
	for range size {
		k, n := protowire.ConsumeString(b)
		if n < 0 {
			return nil, nil, errValue
		}
		v, rest, err := parseValue(b[n:], depth+1)
		if err != nil {
			return nil, nil, err
		}
		m[k], b = v, rest
	}
	return m, b, nil
}
