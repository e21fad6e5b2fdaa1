package schemas

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"

	"pgregory.net/rapid"
)

// generated is a random Avro type, with a generator of its values as rules see them.
type generated struct {
	text  string
	value func(t *rapid.T) any
	// union branches of one Avro type are not allowed side by side
	kind string
	// several: a union of several types lies within, whose values may come back from another branch
	several bool
}

// generator makes names that are used once.
type generator struct{ names int }

func (g *generator) name(prefix string) string {
	g.names++
	return fmt.Sprintf("%s%d", prefix, g.names)
}

func scalar[T any](text, kind string, g *rapid.Generator[T]) generated {
	return generated{text: text, kind: kind, value: func(t *rapid.T) any { return g.Draw(t, kind) }}
}

func (g *generator) simple(t *rapid.T) generated {
	text := rapid.String()
	millis := rapid.Int64Range(-1<<42, 1<<42)
	day := rapid.Custom(func(t *rapid.T) int64 { return int64(rapid.Int32Range(-700_000, 700_000).Draw(t, "day")) * msPerDay })
	ofDay := rapid.Int64Range(0, msPerDay-1)
	raw := rapid.SliceOfN(rapid.Byte(), 0, 20)
	switch rapid.IntRange(0, 20).Draw(t, "simple") {
	case 0:
		return scalar(`"boolean"`, "boolean", rapid.Bool())
	case 1:
		return scalar(`"int"`, "int", rapid.Custom(func(t *rapid.T) int64 { return int64(rapid.Int32().Draw(t, "i")) }))
	case 2:
		return scalar(`"long"`, "long", rapid.Int64())
	case 3:
		return scalar(`"float"`, "float", rapid.Custom(func(t *rapid.T) float64 { return float64(rapid.Float32().Draw(t, "f")) }))
	case 4:
		return scalar(`"double"`, "double", rapid.Float64())
	case 5:
		return scalar(`"bytes"`, "bytes", raw)
	case 6:
		return scalar(`{"type":"long","logicalType":"timestamp-millis"}`, "long", millis)
	case 7:
		return scalar(`{"type":"long","logicalType":"timestamp-micros"}`, "long", millis)
	case 8:
		return scalar(`{"type":"long","logicalType":"timestamp-nanos"}`, "long", rapid.Int64Range(-1<<42, 1<<42))
	case 9:
		return scalar(`{"type":"long","logicalType":"local-timestamp-micros"}`, "long", millis)
	case 10:
		return scalar(`{"type":"int","logicalType":"date"}`, "int", day)
	case 11:
		return scalar(`{"type":"int","logicalType":"time-millis"}`, "int", ofDay)
	case 12:
		return scalar(`{"type":"long","logicalType":"time-micros"}`, "long", ofDay)
	case 13:
		return scalar(`{"type":"string","logicalType":"uuid"}`, "string", rapid.Custom(func(t *rapid.T) string {
			return EventID(rapid.String().Draw(t, "id"))
		}))
	case 14:
		return scalar(`{"type":"bytes","logicalType":"decimal","precision":12,"scale":3}`, "bytes", rapid.Custom(func(t *rapid.T) float64 {
			return float64(rapid.Int64Range(-1e12+1, 1e12-1).Draw(t, "units")) / 1000
		}))
	case 15:
		name := g.name("F")
		size := rapid.IntRange(1, 9).Draw(t, "size")
		return scalar(fmt.Sprintf(`{"type":"fixed","name":%q,"size":%d}`, name, size), name, rapid.SliceOfN(rapid.Byte(), size, size))
	case 16:
		name := g.name("D")
		return scalar(fmt.Sprintf(`{"type":"fixed","name":%q,"size":8,"logicalType":"decimal","precision":10,"scale":2}`, name), name,
			rapid.Custom(func(t *rapid.T) float64 { return float64(rapid.Int64Range(-1e10+1, 1e10-1).Draw(t, "units")) / 100 }))
	case 17:
		name := g.name("E")
		symbols := []string{"A", "B_1", "c"}
		list, _ := json.Marshal(symbols)
		return scalar(fmt.Sprintf(`{"type":"enum","name":%q,"symbols":%s}`, name, list), name, rapid.SampledFrom(symbols))
	}
	return scalar(`"string"`, "string", text)
}

func (g *generator) any(t *rapid.T, depth int) generated {
	k := rapid.IntRange(0, 9).Draw(t, "shape")
	if depth == 0 && k > 3 {
		k = 0
	}
	switch k {
	case 1, 2, 3:
		return g.nullable(t, g.simple(t))
	case 4:
		e := g.any(t, depth-1)
		return generated{text: `{"type":"array","items":` + e.text + `}`, kind: "array", several: e.several, value: func(t *rapid.T) any {
			list := []any{}
			for range rapid.IntRange(0, 3).Draw(t, "length") {
				list = append(list, e.value(t))
			}
			return list
		}}
	case 5:
		e := g.any(t, depth-1)
		return generated{text: `{"type":"map","values":` + e.text + `}`, kind: "map", several: e.several, value: func(t *rapid.T) any {
			m := map[string]any{}
			for range rapid.IntRange(0, 3).Draw(t, "length") {
				m[rapid.String().Draw(t, "key")] = e.value(t)
			}
			return m
		}}
	case 6:
		return g.record(t, depth-1)
	case 7:
		return g.nullable(t, g.record(t, depth-1))
	case 8:
		return g.union(t, depth-1)
	}
	return g.simple(t)
}

func (g *generator) nullable(t *rapid.T, of generated) generated {
	text := `["null",` + of.text + `]`
	if rapid.Bool().Draw(t, "null last") {
		text = `[` + of.text + `,"null"]`
	}
	return generated{text: text, kind: "union", several: of.several, value: func(t *rapid.T) any {
		if rapid.Bool().Draw(t, "null") {
			return nil
		}
		return of.value(t)
	}}
}

func (g *generator) union(t *rapid.T, depth int) generated {
	var branches []generated
	seen := map[string]bool{"union": true}
	for range rapid.IntRange(2, 4).Draw(t, "branches") {
		if b := g.any(t, depth); !seen[b.kind] {
			seen[b.kind] = true
			branches = append(branches, b)
		}
	}
	texts := []string{`"null"`}
	for _, b := range branches {
		texts = append(texts, b.text)
	}
	return generated{text: "[" + strings.Join(texts, ",") + "]", kind: "union", several: true, value: func(t *rapid.T) any {
		if len(branches) == 0 {
			return nil
		}
		return rapid.SampledFrom(branches).Draw(t, "branch").value(t)
	}}
}

func (g *generator) record(t *rapid.T, depth int) generated {
	name := g.name("R")
	n := rapid.IntRange(1, 6).Draw(t, "fields")
	fields := make([]generated, n)
	texts := make([]string, n)
	several := false
	for i := range fields {
		fields[i] = g.any(t, depth)
		texts[i] = fmt.Sprintf(`{"name":"f%d","type":%s}`, i, fields[i].text)
		several = several || fields[i].several
	}
	return generated{
		text: fmt.Sprintf(`{"type":"record","name":%q,"fields":[%s]}`, name, strings.Join(texts, ",")), kind: name, several: several,
		value: func(t *rapid.T) any {
			m := map[string]any{}
			for i := range fields {
				m[fmt.Sprintf("f%d", i)] = fields[i].value(t)
			}
			return m
		},
	}
}

// loose makes one kind of numbers, for values of unions of several types: {"a": 1} may come back as a map of floats, of 32 bits even.
func loose(v any) any {
	switch t := v.(type) {
	case int64:
		return float64(float32(t))
	case float64:
		return float64(float32(t))
	case []any:
		c := make([]any, len(t))
		for i := range t {
			c[i] = loose(t[i])
		}
		return c
	case map[string]any:
		c := make(map[string]any, len(t))
		for k := range t {
			c[k] = loose(t[k])
		}
		return c
	}
	return v
}

// same compares values as rules see them: NaN equals itself, an empty list and a nil one differ.
func same(a, b any) bool {
	switch x := a.(type) {
	case float64:
		y, ok := b.(float64)
		return ok && (x == y || math.IsNaN(x) && math.IsNaN(y))
	case []byte:
		y, ok := b.([]byte)
		return ok && string(x) == string(y)
	case []any:
		y, ok := b.([]any)
		if !ok || len(x) != len(y) {
			return false
		}
		for i := range x {
			if !same(x[i], y[i]) {
				return false
			}
		}
		return true
	case map[string]any:
		y, ok := b.(map[string]any)
		if !ok || len(x) != len(y) {
			return false
		}
		for k := range x {
			v, ok := y[k]
			if !ok || !same(x[k], v) {
				return false
			}
		}
		return true
	}
	return a == b
}
