package schemas

import (
	"encoding/binary"
	"maps"
	"math"
	"math/big"
	"slices"
	"strconv"
	"unicode/utf8"
)

func appendLong(b []byte, v int64) []byte { return binary.AppendVarint(b, v) }

func appendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}

func appendText(b []byte, s string) ([]byte, error) {
	if !utf8.ValidString(s) {
		return b, valueErrorf("a string that is not UTF-8")
	}
	return append(appendLong(b, int64(len(s))), s...), nil
}

func (c *encoderCompiler) integer(n *node) appender {
	return func(b []byte, v any) ([]byte, error) {
		var i int64
		switch t := v.(type) {
		case int64:
			i = t
		case int:
			i = int64(t)
		default:
			return b, mismatch(n, v)
		}
		i, ok := n.unit.units(i)
		if !ok {
			return b, valueErrorf("a time outside the range of %s", n.logical)
		}
		if n.avro == "int" && int64(int32(i)) != i {
			return b, valueErrorf("a number outside the 32 bits of an Avro int")
		}
		return appendLong(b, i), nil
	}
}

func (c *encoderCompiler) float(n *node) appender {
	return func(b []byte, v any) ([]byte, error) {
		f, ok := v.(float64)
		if !ok {
			i, ok := v.(int64)
			if !ok {
				return b, mismatch(n, v)
			}
			if f = float64(i); i < -1<<53 || i > 1<<53 {
				return b, valueErrorf("an int that no float holds exactly")
			}
		}
		if n.avro == "double" {
			return binary.LittleEndian.AppendUint64(b, math.Float64bits(f)), nil
		}
		if math.Abs(f) > math.MaxFloat32 && !math.IsInf(f, 0) {
			return b, valueErrorf("a number outside the range of an Avro float")
		}
		return binary.LittleEndian.AppendUint32(b, math.Float32bits(float32(f))), nil
	}
}

func (c *encoderCompiler) text(n *node) appender {
	return func(b []byte, v any) ([]byte, error) {
		s, ok := v.(string)
		if !ok {
			return b, mismatch(n, v)
		}
		if n.logical == "uuid" {
			if _, err := parseUUID(s); err != nil {
				return b, err
			}
		}
		return appendText(b, s)
	}
}

func (c *encoderCompiler) binary(n *node) appender {
	switch n.logical {
	case "decimal":
		return func(b []byte, v any) ([]byte, error) {
			u, err := n.decimal(v)
			if err != nil {
				return b, err
			}
			raw := twosComplement(u, n.size)
			if n.avro == "bytes" {
				b = appendLong(b, int64(len(raw)))
			} else if len(raw) > n.size {
				return b, valueErrorf("a number that doesn't fit fixed %s", n.name)
			}
			return append(b, raw...), nil
		}
	case "uuid":
		return func(b []byte, v any) ([]byte, error) {
			s, ok := v.(string)
			if !ok {
				return b, mismatch(n, v)
			}
			u, err := parseUUID(s)
			return append(b, u[:]...), err
		}
	}
	return func(b []byte, v any) ([]byte, error) {
		raw, ok := v.([]byte)
		if !ok {
			return b, mismatch(n, v)
		}
		if n.avro == "bytes" {
			b = appendLong(b, int64(len(raw)))
		} else if len(raw) != n.size {
			return b, valueErrorf("%d bytes for the %d of fixed %s", len(raw), n.size, n.name)
		}
		return append(b, raw...), nil
	}
}

func (n *node) decimal(v any) (*big.Int, error) {
	switch t := v.(type) {
	case float64:
		return decimalOf(t, n.precision, n.scale)
	case int64:
		return unscaled(strconv.FormatInt(t, 10), n.precision, n.scale)
	case decimalText:
		return unscaled(string(t), n.precision, n.scale)
	}
	return nil, mismatch(n, v)
}

// decimalText is a decimal in its notation, as JSON holds it: exact where a float64 would round.
type decimalText string

func (c *encoderCompiler) array(n *node) appender {
	item := c.compile(n.elem)
	steps := c.steps(n.elem)
	return func(b []byte, v any) ([]byte, error) {
		switch t := v.(type) {
		case []any:
			return appendItems(b, t, item)
		case []string:
			return appendItems(b, t, item)
		case []int64:
			return appendItems(b, t, item)
		case []float64:
			return appendItems(b, t, item)
		case []map[string]any:
			return appendItems(b, t, item)
		case []Step:
			if steps == nil {
				return b, valueErrorf("lineage where %s is expected", n.typ)
			}
			return steps(b, t)
		}
		return b, mismatch(n, v)
	}
}

func appendItems[T any](b []byte, list []T, item appender) ([]byte, error) {
	if len(list) > MaxElements {
		return b, valueErrorf("a list of more than %d elements", MaxElements)
	}
	if len(list) > 0 {
		b = appendLong(b, int64(len(list)))
		var err error
		for i := range list {
			if b, err = item(b, list[i]); err != nil {
				return b, within("["+strconv.Itoa(i)+"]", err)
			}
		}
	}
	return append(b, 0), nil
}

func (c *encoderCompiler) mapping(n *node) appender {
	value := c.compile(n.elem)
	return func(b []byte, v any) ([]byte, error) {
		switch t := v.(type) {
		case map[string]any:
			return appendEntries(b, t, value)
		case map[string]int64:
			return appendEntries(b, t, value)
		case map[string]string:
			return appendEntries(b, t, value)
		case map[string]float64:
			return appendEntries(b, t, value)
		}
		return b, mismatch(n, v)
	}
}

func appendEntries[T any](b []byte, m map[string]T, value appender) ([]byte, error) {
	if len(m) > MaxElements {
		return b, valueErrorf("a map of more than %d entries", MaxElements)
	}
	if len(m) > 0 {
		b = appendLong(b, int64(len(m)))
		var err error
		for _, k := range sortedKeys(m) {
			if b, err = appendText(b, k); err != nil {
				return b, err
			}
			if b, err = value(b, m[k]); err != nil {
				return b, within("["+strconv.Quote(k)+"]", err)
			}
		}
	}
	return append(b, 0), nil
}

func sortedKeys[T any](m map[string]T) []string { return slices.Sorted(maps.Keys(m)) }

// steps compiles the fields of a lineage step, in the order of the schema; nil when the record has a field that a Step can't give.
func (c *encoderCompiler) steps(rec *node) func(b []byte, list []Step) ([]byte, error) {
	if rec.avro != "record" {
		return nil
	}
	type write func(b []byte, s *Step) ([]byte, error)
	var writes []write
	text := func(of func(s *Step) string) write {
		return func(b []byte, s *Step) ([]byte, error) { return appendText(b, of(s)) }
	}
	for i := range rec.fields {
		f := &rec.fields[i]
		at := f.node.unit
		switch avro := f.node.avro; {
		case f.name == "rule" && avro == "string":
			writes = append(writes, text(func(s *Step) string { return s.Rule }))
		case f.name == "rule_version" && avro == "string":
			writes = append(writes, text(func(s *Step) string { return s.RuleVersion }))
		case f.name == "domain" && avro == "string":
			writes = append(writes, text(func(s *Step) string { return s.Domain }))
		case f.name == "event_ids" && avro == "array" && f.node.elem.avro == "string":
			writes = append(writes, appendEventIDs)
		case f.name == "inputs" && avro == "long":
			writes = append(writes, func(b []byte, s *Step) ([]byte, error) { return appendLong(b, s.Inputs), nil })
		case f.name == "at" && avro == "long" && f.node.typ.Kind == Time:
			writes = append(writes, func(b []byte, s *Step) ([]byte, error) {
				v, ok := at.units(s.At)
				if !ok {
					return b, valueErrorf("a time out of range")
				}
				return appendLong(b, v), nil
			})
		case f.hasDefault:
			writes = append(writes, func(b []byte, _ *Step) ([]byte, error) { return append(b, f.encoded...), nil })
		default:
			return nil
		}
	}
	return func(b []byte, list []Step) ([]byte, error) {
		if len(list) == 0 {
			return append(b, 0), nil
		}
		b = appendLong(b, int64(len(list)))
		var err error
		for i := range list {
			for _, w := range writes {
				if b, err = w(b, &list[i]); err != nil {
					return b, within("["+strconv.Itoa(i)+"]", err)
				}
			}
		}
		return append(b, 0), nil
	}
}

func appendEventIDs(b []byte, s *Step) ([]byte, error) {
	if len(s.EventIDs) == 0 {
		return append(b, 0), nil
	}
	b = appendLong(b, int64(len(s.EventIDs)))
	var err error
	for _, id := range s.EventIDs {
		if b, err = appendText(b, id); err != nil {
			return b, err
		}
	}
	return append(b, 0), nil
}
