package schemas

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestHostileSchemas: each is refused, fast and by a *SchemaError.
func TestHostileSchemas(t *testing.T) {
	many := func(n int, f func(i int) string) string {
		parts := make([]string, n)
		for i := range parts {
			parts[i] = f(i)
		}
		return strings.Join(parts, ",")
	}
	for name, text := range map[string]string{
		"nothing":           ``,
		"no JSON":           `record`,
		"unknown type":      `{"type":"recrd","name":"x"}`,
		"too long":          `"string"` + strings.Repeat(" ", MaxSchemaSize),
		"nested 5000":       strings.Repeat(`{"type":"array","items":`, 5000) + `"int"` + strings.Repeat("}", 5000),
		"nested 100":        strings.Repeat(`{"type":"array","items":`, 100) + `"int"` + strings.Repeat("}", 100),
		"10,001 fields":     `{"type":"record","name":"R","fields":[` + many(10_001, func(i int) string { return fmt.Sprintf(`{"name":"f%d","type":"int"}`, i) }) + `]}`,
		"10,001 symbols":    `{"type":"enum","name":"E","symbols":[` + many(10_001, func(i int) string { return fmt.Sprintf(`"S%d"`, i) }) + `]}`,
		"path as name":      `{"type":"record","name":"../x","fields":[]}`,
		"quote as name":     `{"type":"record","name":"a\"b","fields":[]}`,
		"contains itself":   `{"type":"record","name":"R","fields":[{"name":"r","type":"R"}]}`,
		"contain another":   `{"type":"record","name":"A","fields":[{"name":"b","type":{"type":"record","name":"B","fields":[{"name":"a","type":"A"}]}}]}`,
		"without an exit":   `{"type":"record","name":"A","fields":[{"name":"b","type":[{"type":"record","name":"B","fields":[{"name":"a","type":"A"}]}]}]}`,
		"defined twice":     `{"type":"record","name":"R","fields":[{"name":"a","type":{"type":"enum","name":"R","symbols":["x"]}}]}`,
		"field twice":       `{"type":"record","name":"R","fields":[{"name":"a","type":"int"},{"name":"a","type":"int"}]}`,
		"default of a type": `{"type":"record","name":"R","fields":[{"name":"a","type":"int","default":"x"}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			s, err := Parse(text)
			if !errors.As(err, new(*SchemaError)) {
				t.Fatalf("%v, %v", s, err)
			}
			if took := time.Since(start); took > 2*time.Second {
				t.Errorf("took %v", took)
			}
			if len(err.Error()) > 1000 {
				t.Errorf("an error of %d characters", len(err.Error()))
			}
		})
	}
}

// TestFanOut: references make a schema that is exponentially large when written out. It is a valid one, and has to be cheap.
func TestFanOut(t *testing.T) {
	text := `{"type":"record","name":"R0","fields":[{"name":"x","type":"int"}]}`
	for i := 1; i < 30; i++ {
		text = fmt.Sprintf(`{"type":"record","name":"R%d","fields":[{"name":"a","type":%s},{"name":"b","type":"R%d"}]}`, i, text, i-1)
	}
	start := time.Now()
	s, err := Parse(text)
	if err == nil {
		_, err = s.DecodeAny(make([]byte, 1000))
		if !errors.As(err, new(*DecodeError)) {
			t.Error(err)
		}
		if _, err := NewEncoder(s); err != nil {
			t.Error(err)
		}
		if p, err := NewProjection(s, []string{"b.b.a.a", "a"}); err != nil {
			t.Error(err)
		} else if _, err := p.Decoder(s); err != nil {
			t.Error(err)
		}
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
}

const chained = `{"type":"record","name":"N","fields":[{"name":"v","type":"int"},{"name":"next","type":["null","N"]},{"name":"l","type":{"type":"array","items":"N"}}]}`

func varints(v ...int64) []byte {
	var b []byte
	for _, i := range v {
		b = binary.AppendVarint(b, i)
	}
	return b
}

// TestHostileRecords: bytes that claim what they don't hold are refused with a code, in little time and memory.
func TestHostileRecords(t *testing.T) {
	one := func(typ string) string { return record(`{"name":"a","type":` + typ + `}`) }
	long := func(v int64) []byte { return varints(v) }
	deep := func(n int) []byte {
		var b []byte
		for range n {
			b = append(b, 0, 2) // v 0, next is a record
		}
		return b
	}
	tests := map[string]struct {
		schema string
		bytes  []byte
		code   string // "" means that it is good
	}{
		"empty":                          {one(`"int"`), nil, CodeTruncated},
		"trailing":                       {one(`"int"`), []byte{2, 0}, CodeTrailing},
		"8M nulls":                       {one(`{"type":"array","items":"null"}`), long(8_000_000), CodeMalformed},
		"nulls by a thousand":            {one(`{"type":"array","items":"null"}`), []byte(strings.Repeat(string(long(1000)), 100)), CodeMalformed},
		"8M map entries":                 {one(`{"type":"map","values":"null"}`), long(8_000_000), CodeMalformed},
		"block count MinInt64":           {one(`{"type":"array","items":"int"}`), long(math.MinInt64), CodeMalformed},
		"block count 2^62":               {one(`{"type":"array","items":"int"}`), long(1 << 62), CodeMalformed},
		"block without size":             {one(`{"type":"array","items":"int"}`), long(-1), CodeTruncated},
		"string length -5":               {one(`"string"`), long(-5), CodeMalformed},
		"string length 2^63-1":           {one(`"string"`), long(math.MaxInt64), CodeTruncated},
		"string cut off":                 {one(`"string"`), []byte{10, 'a'}, CodeTruncated},
		"not UTF-8":                      {one(`"string"`), []byte{2, 0xff}, CodeUTF8},
		"surrogate":                      {one(`"string"`), []byte{6, 0xed, 0xa0, 0x80}, CodeUTF8},
		"NUL":                            {one(`"string"`), []byte{2, 0}, ""},
		"not UTF-8 in a list":            {one(`{"type":"array","items":"string"}`), []byte{2, 2, 0xff, 0}, CodeUTF8},
		"not UTF-8 as a key":             {one(`{"type":"map","values":"int"}`), []byte{2, 2, 0xff, 0, 0}, CodeUTF8},
		"varint of 11 bytes":             {one(`"long"`), []byte(strings.Repeat("\xff", 10) + "\x01"), CodeMalformed},
		"int of 6 bytes":                 {one(`"int"`), []byte{0x80, 0x80, 0x80, 0x80, 0x80, 0}, CodeMalformed},
		"int of 33 bits":                 {one(`"int"`), []byte{0xff, 0xff, 0xff, 0xff, 0x1f}, CodeMalformed},
		"not minimal":                    {one(`"long"`), []byte{0x82, 0x80, 0}, ""},
		"union index 99":                 {one(`["null","int"]`), long(99), CodeMalformed},
		"union index -1":                 {one(`["null","int"]`), long(-1), CodeMalformed},
		"enum index 99":                  {one(`{"type":"enum","name":"E","symbols":["a"]}`), long(99), CodeMalformed},
		"double cut off":                 {one(`"double"`), make([]byte, 7), CodeTruncated},
		"list of 10,000 deep, 20 kB":     {chained, deep(10_000), ""},
		"decimal of more than it can be": {one(`{"type":"bytes","logicalType":"decimal","precision":4,"scale":2}`), append(long(100), make([]byte, 100)...), CodeOutOfRange},
		"100,001 elements":               {one(`{"type":"array","items":"boolean"}`), append(append(long(100_001), make([]byte, 100_001)...), 0), CodeTooLong},
		"NaN":                            {one(`"double"`), binary.LittleEndian.AppendUint64(nil, math.Float64bits(math.NaN())), ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := mustParse(t, test.schema)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			start := time.Now()
			_, err := s.DecodeAny(test.bytes)
			took := time.Since(start)
			runtime.ReadMemStats(&after)
			if used := after.TotalAlloc - before.TotalAlloc; took > time.Second || used > 32<<20 {
				t.Errorf("took %v and %d bytes", took, used)
			}
			checkCode(t, "DecodeAny", err, test.code, name)
			for _, way := range []string{"all", "fast", "skipped"} {
				var paths []string
				if way != "skipped" {
					paths = append(paths, s.Type().Fields[0].Name)
				}
				p, err := NewProjection(s, paths)
				if err != nil {
					t.Fatal(err)
				}
				d, err := p.Decoder(s)
				if err != nil {
					t.Fatal(err)
				}
				if way == "all" {
					d.scan, d.fixes = nil, p.fixes
				}
				want := test.code
				if way == "skipped" && (want == CodeUTF8 || want == CodeOutOfRange || want == CodeTooLong || strings.HasPrefix(name, "enum")) {
					continue // nobody looks at it
				}
				checkCode(t, way, d.Decode(test.bytes, p.New()), want, name)
			}
			if _, err := s.JSON(test.bytes); (err == nil) != (test.code == "" && !strings.Contains(name, "deep")) && test.code != CodeOutOfRange {
				t.Errorf("JSON: %v", err)
			}
		})
	}
}

func checkCode(t *testing.T, way string, err error, want, name string) {
	t.Helper()
	if strings.Contains(name, "deep") { // the code depends on who notices
		if err == nil {
			t.Errorf("%s: accepted", way)
		}
		return
	}
	if want == "" {
		if err != nil {
			t.Errorf("%s: %v", way, err)
		}
		return
	}
	var d *DecodeError
	if !errors.As(err, &d) || d.Code != want {
		t.Errorf("%s: %v, want %s", way, err, want)
	}
}

func TestDepthOfRecursiveValues(t *testing.T) {
	s := mustParse(t, chained)
	chain := func(n int) map[string]any {
		var v map[string]any
		for range n {
			next := v
			v = map[string]any{"v": int64(1), "next": nil, "l": []any{}}
			if next != nil {
				v["next"] = next
			}
		}
		return v
	}
	e, err := NewEncoder(s)
	if err != nil {
		t.Fatal(err)
	}
	for n, ok := range map[int]bool{30: true, 60: true, 80: false} {
		v := chain(n)
		b, err := e.Append(nil, []any{v["v"], v["next"], v["l"]})
		if err != nil {
			t.Fatal(err)
		}
		got, err := s.DecodeAny(b)
		if (err == nil) != ok {
			t.Errorf("%d levels: %v", n, err)
		}
		if ok && !same(got, v) {
			t.Errorf("%d levels differ", n)
		}
	}
}

// TestDefaultsThatGrow: small schemas whose defaults are huge, or contain themselves.
func TestDefaultsThatGrow(t *testing.T) {
	double := `{"type":"record","name":"R0","fields":[{"name":"x","type":"int","default":1}]}`
	for i := 1; i < 30; i++ {
		double = fmt.Sprintf(`{"type":"record","name":"R%d","fields":[{"name":"a","type":%s,"default":{}},{"name":"b","type":"R%d","default":{}}]}`, i, double, i-1)
	}
	wide := `{"type":"record","name":"W","fields":[{"name":"w","type":{"type":"record","name":"B","fields":[`
	for i := range 3000 {
		wide += fmt.Sprintf(`{"name":"f%d","type":"int","default":1},`, i)
	}
	wide = strings.TrimSuffix(wide, ",") + `]},"default":{}}`
	for i := range 3000 {
		wide += fmt.Sprintf(`,{"name":"g%d","type":"B","default":{}}`, i)
	}
	wide += `]}`
	for name, text := range map[string]string{
		"doubling": double, "wide": wide,
		"itself": `{"type":"record","name":"R","fields":[{"name":"r","type":["R","null"],"default":{}}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			_, err := Parse(text)
			if !errors.As(err, new(*SchemaError)) || len(err.Error()) > 1000 {
				t.Errorf("%.200v", err)
			}
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
}

// TestRecursionWithDefaults: recursive schemas that are used in earnest.
func TestRecursionWithDefaults(t *testing.T) {
	for _, text := range []string{
		`{"type":"record","name":"N","fields":[{"name":"children","type":{"type":"array","items":"N"},"default":[]}]}`,
		`{"type":"record","name":"N","fields":[{"name":"by_name","type":{"type":"map","values":"N"},"default":{}}]}`,
		`{"type":"record","name":"N","fields":[{"name":"next","type":["null","N"],"default":null}]}`,
		`{"type":"record","name":"A","fields":[{"name":"l","type":{"type":"array","items":{"type":"record","name":"B","fields":[{"name":"a","type":"A","default":{}}]}},"default":[]}]}`,
	} {
		s := mustParse(t, text)
		b, err := s.FromJSON([]byte(`{}`))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.DecodeAny(b); err != nil {
			t.Error(err)
		}
	}
}
