package schemas

import (
	"encoding/json"
	"errors"
	"testing"

	"pgregory.net/rapid"
)

// TestFieldsReadBackTheSame writes the fields of random records as JSON, which has to read as the same record.
func TestFieldsReadBackTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		made := (&generator{}).record(t, 2)
		s, err := Parse(made.text)
		if err != nil {
			t.Fatal(err)
		}
		want := made.value(t).(map[string]any)
		e, err := NewEncoder(s)
		if err != nil {
			t.Fatal(err)
		}
		var fields []any
		for _, f := range s.Type().Fields {
			fields = append(fields, want[f.Name])
		}
		b, err := e.Append(nil, fields)
		if err != nil {
			t.Fatal(err)
		}
		if want, err = s.DecodeAny(b); err != nil {
			t.Fatal(err)
		}
		text := []byte{'{'}
		for i, f := range s.Type().Fields {
			if i > 0 {
				text = append(text, ',')
			}
			text = append(append(append(text, '"'), f.Name...), `":`...)
			if text, err = s.AppendField(text, f.Name, want[f.Name]); err != nil {
				t.Fatalf("%s: %v: %v", made.text, want, err)
			}
		}
		text = append(text, '}')
		if !json.Valid(text) {
			t.Fatalf("%s: %s is no JSON", made.text, text)
		}
		if made.several {
			return // what is bare does not say which type it has
		}
		back, err := s.FromJSON(text)
		if err != nil {
			t.Fatalf("%s: %s: %v", made.text, text, err)
		}
		if got, err := s.DecodeAny(back); err != nil || !same(got, want) {
			t.Fatalf("%s: %s reads as %v, %v; want %v", made.text, text, got, err, want)
		}
	})
}

func TestFieldJSON(t *testing.T) {
	s := mustParse(t, record(
		`{"name":"at","type":{"type":"long","logicalType":"timestamp-micros"}}`, `{"name":"day","type":["null",{"type":"int","logicalType":"date"}]}`,
		`{"name":"raw","type":"bytes"}`, `{"name":"price","type":"float"}`, `{"name":"either","type":["null","string","long"]}`,
		`{"name":"tags","type":{"type":"map","values":{"type":"array","items":"string"}}}`,
		`{"name":"in","type":{"type":"record","name":"S","fields":[{"name":"z","type":"int"},{"name":"a","type":"boolean"}]}}`,
	))
	for _, c := range []struct {
		field string
		value any
		want  string
	}{
		{"at", int64(1_700_000_000_123), `"2023-11-14T22:13:20.123Z"`},
		{"at", int64(1) << 60, `1152921504606846976`},
		{"day", int64(86_400_000), `"1970-01-02"`},
		{"day", nil, `null`},
		{"raw", []byte{0, 'a', 0xff}, `"\u0000a\u00ff"`},
		{"price", float64(float32(0.1)), `0.1`},
		{"either", int64(7), `7`},
		{"either", "x\"", `"x\""`},
		{"tags", map[string]any{"b": []any{"2", nil}, "a": []any{}}, `{"a":[],"b":["2",null]}`},
		{"in", map[string]any{"a": true, "z": int64(1)}, `{"z":1,"a":true}`},
	} {
		b, err := s.AppendField([]byte("x"), c.field, c.value)
		if err != nil || string(b) != "x"+c.want {
			t.Errorf("%s: %s, %v; want %s", c.field, b, err, c.want)
		}
	}
	for field, v := range map[string]any{"none": nil, "in": map[string]any{"z": struct{}{}}, "raw": "\xff"} {
		if b, err := s.AppendField(nil, field, v); !errors.As(err, new(*DecodeError)) {
			t.Errorf("%s: %s, %v", field, b, err)
		}
	}
}
