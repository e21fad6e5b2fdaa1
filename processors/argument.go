package processors

import (
	"bytes"
	"cmp"
	"math"
	"strings"

	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/schemas"
)

// argument is the value of an aggregate's argument for one record, unboxed: most values are folded in and forgotten. Text
// is copied from the record, because an argument is used after the step, when its changes are applied.
type argument struct {
	kind schemas.Kind // Null, Int (also for times), Float, String, or Any for all other types
	i    int64
	x    float64
	text []byte
	any  any
}

// read evaluates an argument for the current record.
func (v *argument) read(x *rules.Expr, env *rules.Env) {
	ok := true
	switch v.kind = x.Type().Kind; v.kind {
	case schemas.Int, schemas.Time:
		v.kind = schemas.Int
		v.i, ok = x.Int(env)
	case schemas.Float:
		v.x, ok = x.Float(env)
		v.x += 0 // -0 is 0
	case schemas.String:
		var s string
		s, ok = x.String(env)
		v.text = append(v.text[:0], s...)
	default:
		v.unbox(x.Value(env))
	}
	if !ok {
		v.kind = schemas.Null
	}
}

// unbox takes the value x, and detaches it from the record.
func (v *argument) unbox(x any) {
	switch x := x.(type) {
	case nil:
		v.kind = schemas.Null
	case int64:
		v.kind, v.i = schemas.Int, x
	case float64:
		v.kind, v.x = schemas.Float, x+0
	case string:
		v.kind, v.text = schemas.String, append(v.text[:0], x...)
	default:
		v.kind, v.any = schemas.Any, keep(x)
	}
}

// box is the argument as a value to keep.
func (v *argument) box() any {
	switch v.kind {
	case schemas.Int:
		return v.i
	case schemas.Float:
		return v.x
	case schemas.String:
		return string(v.text)
	case schemas.Null:
		return nil
	default:
		return v.any
	}
}

// number is the argument as a double.
func (v *argument) number() float64 {
	if v.kind == schemas.Int {
		return float64(v.i)
	}
	return v.x
}

// compare orders the argument and a kept value of the same type.
func (v *argument) compare(held any) int {
	switch h := held.(type) {
	case int64:
		if v.kind == schemas.Int {
			return cmp.Compare(v.i, h)
		}
	case float64:
		if v.kind == schemas.Float {
			return sign(v.x < h, v.x > h)
		}
	case string:
		if v.kind == schemas.String {
			return sign(string(v.text) < h, string(v.text) > h)
		}
	}
	return compare(v.box(), held)
}

// hash is the same for equal values, with every bit depending on the whole value.
func (v *argument) hash() uint64 {
	switch v.kind {
	case schemas.Int:
		return mix(uint64(v.i) + 0x9e3779b97f4a7c15)
	case schemas.Float:
		if math.IsNaN(v.x) { // every "not a number" is the same
			return mix(1)
		}
		return mix(math.Float64bits(v.x))
	case schemas.String:
		return mix(fnv(v.text))
	default:
		return mix(fnv(schemas.AppendValue(nil, v.any)))
	}
}

// fnv is FNV-1a.
func fnv(b []byte) uint64 {
	h := uint64(0xcbf29ce484222325)
	for _, c := range b {
		h = (h ^ uint64(c)) * 0x100000001b3
	}
	return h
}

// mix is the finalizer of MurmurHash3.
func mix(h uint64) uint64 {
	h = (h ^ h>>33) * 0xff51afd7ed558ccd
	h = (h ^ h>>33) * 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}

// keep detaches a value from the record that it came from.
func keep(v any) any {
	switch v := v.(type) {
	case string:
		return strings.Clone(v)
	case []byte:
		return append([]byte(nil), v...)
	case []any:
		out := make([]any, len(v))
		for i, x := range v {
			out[i] = keep(x)
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, x := range v {
			out[strings.Clone(k)] = keep(x)
		}
		return out
	}
	return v
}

// compare orders two values of one type; those that rules cannot compare go by their encoded form.
func compare(a, b any) int {
	switch a := a.(type) {
	case int64:
		if b, ok := b.(int64); ok {
			return cmp.Compare(a, b)
		}
	case float64:
		if b, ok := b.(float64); ok {
			return sign(a < b, a > b)
		}
	case string:
		if b, ok := b.(string); ok {
			return strings.Compare(a, b)
		}
	case bool:
		if b, ok := b.(bool); ok {
			return sign(!a && b, a && !b)
		}
	}
	return bytes.Compare(schemas.AppendValue(nil, a), schemas.AppendValue(nil, b))
}

func sign(less, more bool) int {
	switch {
	case less:
		return -1
	case more:
		return 1
	}
	return 0
}
