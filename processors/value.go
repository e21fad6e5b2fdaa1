package processors

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

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

const maxValueDepth = 64

func appendValue(b []byte, v any) []byte {
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
			b = appendValue(b, x)
		}
		return b
	case map[string]any:
		b = protowire.AppendVarint(append(b, tagMap), uint64(len(v)))
		for _, k := range slices.Sorted(maps.Keys(v)) {
			b = appendValue(protowire.AppendString(b, k), v[k])
		}
		return b
	}
	return append(b, tagNull)
}

// valueSize is what appendValue appends at most.
func valueSize(v any) int {
	n := 11
	switch v := v.(type) {
	case string:
		n += len(v)
	case []byte:
		n += len(v)
	case []any:
		for _, x := range v {
			n += valueSize(x)
		}
	case map[string]any:
		for k, x := range v {
			n += 10 + len(k) + valueSize(x)
		}
	}
	return n
}

// parseValue reads what appendValue wrote and returns the rest.
func parseValue(b []byte, depth int) (any, []byte, error) {
	if len(b) == 0 || depth > maxValueDepth {
		return nil, nil, errCell
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
			return nil, nil, errCell
		}
		return protowire.DecodeZigZag(v), b[n:], nil
	case tagFloat:
		if len(b) < 8 {
			return nil, nil, errCell
		}
		return math.Float64frombits(binary.LittleEndian.Uint64(b)), b[8:], nil
	case tagString, tagBytes:
		v, n := protowire.ConsumeBytes(b)
		if n < 0 {
			return nil, nil, errCell
		}
		if tag == tagString {
			return string(v), b[n:], nil
		}
		return append([]byte(nil), v...), b[n:], nil
	case tagList, tagMap:
		return parseMany(tag, b, depth)
	}
	return nil, nil, fmt.Errorf("%w: unknown value tag %d", errCell, tag)
}

func parseMany(tag byte, b []byte, depth int) (any, []byte, error) {
	size, n := protowire.ConsumeVarint(b)
	if n < 0 || size > uint64(len(b)) { // each element takes a byte at least
		return nil, nil, errCell
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
			return nil, nil, errCell
		}
		v, rest, err := parseValue(b[n:], depth+1)
		if err != nil {
			return nil, nil, err
		}
		m[k], b = v, rest
	}
	return m, b, nil
}

func appendVarint(b []byte, n protowire.Number, v uint64) []byte {
	if v == 0 {
		return b
	}
	return protowire.AppendVarint(protowire.AppendTag(b, n, protowire.VarintType), v)
}

func appendBytes[T string | []byte](b []byte, n protowire.Number, v T) []byte {
	if len(v) == 0 {
		return b
	}
	b = protowire.AppendVarint(protowire.AppendTag(b, n, protowire.BytesType), uint64(len(v)))
	return append(b, v...)
}

// eachField calls f for every field of a protobuf message: v for numbers, s for bytes. Unknown fields reach f too,
// which passes over them: a newer version may have written them.
func eachField(b []byte, f func(n protowire.Number, v uint64, s []byte) error) error {
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return errCell
		}
		b = b[n:]
		var v uint64
		var s []byte
		switch typ {
		case protowire.VarintType:
			v, n = protowire.ConsumeVarint(b)
		case protowire.Fixed64Type:
			v, n = protowire.ConsumeFixed64(b)
		case protowire.BytesType:
			s, n = protowire.ConsumeBytes(b)
		default:
			n = protowire.ConsumeFieldValue(num, typ, b)
		}
		if n < 0 {
			return errCell
		}
		b = b[n:]
		if err := f(num, v, s); err != nil {
			return err
		}
	}
	return nil
}
