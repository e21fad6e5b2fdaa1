package schemas

import (
	"errors"
	"math"
	"strings"
	"testing"
	"testing/fstest"
)

// TestValuesThatDoNotFit holds the message of each value that a field can't take.
func TestValuesThatDoNotFit(t *testing.T) {
	tests := map[string]struct {
		typ   string
		value any
		want  string
	}{
		"null":            {`"int"`, nil, "field a: null where int is expected"},
		"string":          {`"int"`, "x", "field a: a string where int is expected"},
		"float":           {`"int"`, 1.0, "field a: a float where int is expected"},
		"overflow":        {`"int"`, int64(1 << 31), "field a: a number outside the 32 bits of an Avro int"},
		"big int":         {`"double"`, int64(1<<53 + 1), "field a: an int that no float holds exactly"},
		"float32":         {`"float"`, 1e300, "field a: a number outside the range of an Avro float"},
		"symbol":          {`{"type":"enum","name":"E","symbols":["A"]}`, "B", "field a: not a symbol of enum n.E"},
		"fixed":           {`{"type":"fixed","name":"F","size":2}`, []byte{1}, "field a: 1 bytes for the 2 of fixed n.F"},
		"decimals":        {`{"type":"bytes","logicalType":"decimal","precision":5,"scale":2}`, 1.234, "field a: more than 2 decimals"},
		"digits":          {`{"type":"bytes","logicalType":"decimal","precision":5,"scale":2}`, 1234.5, "field a: more than 5 digits"},
		"NaN":             {`{"type":"bytes","logicalType":"decimal","precision":5,"scale":2}`, math.NaN(), "field a: not a finite number"},
		"fixed decimal":   {`{"type":"fixed","name":"D","size":1,"logicalType":"decimal","precision":2,"scale":0}`, 99.5, "field a: more than 0 decimals"},
		"uuid":            {`{"type":"string","logicalType":"uuid"}`, "abc", "field a: not a UUID"},
		"fixed uuid":      {`{"type":"fixed","name":"U","size":16,"logicalType":"uuid"}`, "{7861ddbc-f508-5bcf-82ed-345e62850c97}", "field a: not a UUID"},
		"UTF-8":           {`"string"`, "\xff", "field a: a string that is not UTF-8"},
		"time":            {`{"type":"long","logicalType":"timestamp-nanos"}`, int64(math.MaxInt64), "field a: a time outside the range of timestamp-nanos"},
		"element":         {`{"type":"array","items":"int"}`, []any{int64(1), "x"}, "field a[1]: a string where int is expected"},
		"typed element":   {`{"type":"array","items":"int"}`, []string{"x"}, "field a[0]: a string where int is expected"},
		"entry":           {`{"type":"map","values":"int"}`, map[string]any{"k": true}, `field a["k"]: a bool where int is expected`},
		"nested":          {`{"type":"record","name":"S","fields":[{"name":"x","type":{"type":"array","items":"int"}}]}`, map[string]any{"x": []any{nil}}, "field a.x[0]: null where int is expected"},
		"missing":         {`{"type":"record","name":"S","fields":[{"name":"x","type":"int"}]}`, map[string]any{}, "field a.x: null where int is expected"},
		"unknown field":   {`{"type":"record","name":"S","fields":[{"name":"x","type":"int"}]}`, map[string]any{"x": int64(1), "z": 1, "y": 1}, `field a: no field "y" in record n.S`},
		"union":           {`["null","int","string"]`, true, "field a: a bool where any? is expected"},
		"list of lineage": {`{"type":"array","items":"int"}`, []Step{{}}, "field a: lineage where list of int is expected"},
		"no default":      {`"int"`, Default, "field a: the schema has no default"},
		"strange":         {`"int"`, struct{}{}, "field a: a struct {} where int is expected"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			e, err := NewEncoder(mustParse(t, record(`{"name":"a","type":`+test.typ+`}`)))
			if err != nil {
				t.Fatal(err)
			}
			b, err := e.Append([]byte("kept"), []any{test.value})
			if !errors.As(err, new(*ValueError)) || err.Error() != test.want {
				t.Errorf("got  %v\nwant %s", err, test.want)
			}
			if string(b) != "kept" {
				t.Errorf("%q is left", b)
			}
		})
	}
	e, err := NewEncoder(mustParse(t, record(`{"name":"a","type":"int"}`)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Append(nil, nil); err == nil {
		t.Error("no values were written")
	}
	if _, err := NewEncoder(mustParse(t, `"int"`)); err == nil {
		t.Error("an encoder of an int")
	}
}

func TestDefaults(t *testing.T) {
	s := mustParse(t, record(
		`{"name":"i","type":"int","default":3}`, `{"name":"f","type":"double","default":1}`, `{"name":"s","type":"string","default":"x"}`,
		`{"name":"n","type":["null","string"],"default":null}`, `{"name":"u","type":["string","null"],"default":"y"}`,
		`{"name":"t","type":{"type":"long","logicalType":"timestamp-micros"},"default":5000}`,
		`{"name":"l","type":{"type":"array","items":"int"},"default":[1,2]}`, `{"name":"m","type":{"type":"map","values":"long"},"default":{"k":1}}`,
		`{"name":"r","type":{"type":"record","name":"S","fields":[{"name":"x","type":"int","default":9},{"name":"y","type":"string"}]},"default":{"y":"z"}}`,
		`{"name":"e","type":{"type":"enum","name":"E","symbols":["A","B"]},"default":"B"}`,
		`{"name":"d","type":{"type":"bytes","logicalType":"decimal","precision":5,"scale":2},"default":"\u0001\u0000"}`,
	))
	want := []any{
		int64(3), 1.0, "x", nil, "y", int64(5), []any{int64(1), int64(2)}, map[string]any{"k": int64(1)}, map[string]any{"x": int64(9), "y": "z"}, "B", 2.56,
	}
	values := make([]any, len(want))
	for i, f := range s.Type().Fields {
		values[i] = Default
		if !f.HasDefault || !same(f.Default, want[i]) {
			t.Errorf("default of %s is %v, want %v", f.Name, f.Default, want[i])
		}
	}
	m, err := s.DecodeAny(encode(t, s, values...))
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range s.Type().Fields {
		if !same(m[f.Name], want[i]) {
			t.Errorf("%s was written as %v, want %v", f.Name, m[f.Name], want[i])
		}
	}
	empty, err := s.FromJSON([]byte(`{}`))
	if err != nil || string(empty) != string(encode(t, s, values...)) {
		t.Errorf("from an empty object: %x, %v", empty, err)
	}
}

func TestTypesInMessages(t *testing.T) {
	s := mustParse(t, record(
		`{"name":"a","type":["null","string"]}`, `{"name":"b","type":{"type":"array","items":["int","null"]}}`, `{"name":"c","type":{"type":"map","values":"double"}}`,
		`{"name":"d","type":{"type":"record","name":"Line","fields":[]}}`, `{"name":"e","type":{"type":"enum","name":"E","symbols":["x"]}}`,
		`{"name":"f","type":["null","int","string"]}`, `{"name":"g","type":{"type":"int","logicalType":"date"}}`, `{"name":"h","type":"null"}`,
		`{"name":"i","type":{"type":"fixed","name":"U","size":16,"logicalType":"uuid"}}`, `{"name":"j","type":"long","logicalType":"timestamp-millis"}`,
		`{"name":"k","type":["null","n.Line"]}`,
	))
	want := []string{
		"string?", "list of int?", "map of float", "record n.Line", "enum n.E", "any?", "time", "null", "string", "int", "record n.Line?",
	}
	for i, f := range s.Type().Fields {
		if f.Type.String() != want[i] {
			t.Errorf("%s is %s, want %s", f.Name, f.Type, want[i])
		}
	}
	if s.Name() != "n.R" || s.Type().String() != "record n.R" || s.Fingerprint() == mustParse(t, change).Fingerprint() {
		t.Error(s.Name())
	}
}

func TestJSON(t *testing.T) {
	s := mustParse(t, record(
		`{"name":"t","type":{"type":"long","logicalType":"timestamp-micros"}}`, `{"name":"d","type":{"type":"int","logicalType":"date"}}`,
		`{"name":"m","type":{"type":"map","values":["null","int"]}}`, `{"name":"u","type":["null","int","string"]}`, `{"name":"x","type":"bytes"}`,
		`{"name":"f","type":"double"}`, `{"name":"s","type":"string"}`, `{"name":"c","type":{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}}`,
	))
	const text = `{"t":"2023-11-14T22:13:20.123456Z","d":"2011-12-01","m":{"a":1,"b":null},"u":{"string":"7"},"x":"\u00ff\u0000A","f":"NaN","s":"\"é\n","c":-12.30}`
	b, err := s.FromJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := s.JSON(b); err != nil || string(got) != text {
		t.Errorf("got  %s, %v\nwant %s", got, err, text)
	}
	plain := ` {"c":"-12.3","s":"\"é\n","f":"NaN","x":"ÿ\u0000A","u":"7","m":{"b":null,"a":{"int":1}},"d":15309,"t":1700000000123456}`
	if got, err := s.FromJSON([]byte(plain)); err != nil || string(got) != string(b) {
		t.Errorf("from plain JSON: %x, %v", got, err)
	}
	for in, want := range map[string]string{
		``:                                       "not JSON",
		`[]`:                                     "a list where record n.R is expected",
		text + `{}`:                              "more than one JSON value",
		`{"t":1,"t":2}`:                          `field "t" is given twice`,
		`{"t":1e400}`:                            "field t: not a whole number of 64 bits",
		`{"t":1.5}`:                              "field t: not a whole number of 64 bits",
		`{"t":"yesterday"}`:                      "field t: not a time",
		`{"t":1,"d":"x"}`:                        "field d: not a time",
		`{"t":1}`:                                "field d: is missing and has no default",
		"\ufeff{}":                               "not JSON, at byte 1",
		strings.Repeat(`{"t":`, 1e5):             "JSON nested deeper than 256 levels",
		`{"t":` + strings.Repeat("1", 1e6) + `}`: "a number of more than 400 characters",
		strings.Replace(text, `"s":`, `"z":`, 1): "field s: is missing",
		strings.Replace(text, `{"t"`, `{"z":1,"t"`, 1): `no field "z" in record n.R`,
	} {
		_, err := s.FromJSON([]byte(in))
		if !errors.As(err, new(*ValueError)) || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%.60s: %v, want %s", in, err, want)
		}
	}
}

func TestDecodeJSON(t *testing.T) {
	s := mustParse(t, record(`{"name":"a","type":{"type":"long","logicalType":"timestamp-millis"}}`, `{"name":"b","type":["null","string"],"default":null}`))
	p, err := NewProjection(s, []string{"a", "b"})
	if err != nil {
		t.Fatal(err)
	}
	d, err := p.Decoder(s)
	if err != nil {
		t.Fatal(err)
	}
	r := p.New()
	if err := d.DecodeJSON([]byte(`{"more":[1],"a":"1970-01-01T00:00:01Z","b":"x"}`), r); err != nil {
		t.Fatal(err)
	}
	a, _ := p.Accessor("a")
	b, _ := p.Accessor("b")
	if a.Value(r) != int64(1000) || b.Value(r) != "x" {
		t.Error(a.Value(r), b.Value(r))
	}
	err = d.DecodeJSON([]byte(`{"a":true}`), r)
	var e *DecodeError
	if !errors.As(err, &e) || e.Code != CodeMalformed || e.Field != "a" {
		t.Error(err)
	}
}

func TestCatalogReportsAllErrors(t *testing.T) {
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	c, err := LoadCatalog(fstest.MapFS{
		"commerce/Good.avsc":   file(`{"type":"record","name":"Good","namespace":"commerce","fields":[]}`),
		"commerce/Broken.avsc": file(`{"type":`),
		"commerce/Other.avsc":  file(`{"type":"record","name":"Good","namespace":"commerce","fields":[]}`),
		"risk/Good.avsc":       file(`{"type":"record","name":"Good","namespace":"commerce","fields":[]}`),
		"risk/Kind.avsc":       file(`{"type":"enum","name":"Kind","symbols":[]}`),
		"risk/readme.txt":      file(`no schema`),
	})
	want := []string{
		"commerce/Broken.avsc: schema: not an Avro schema: ",
		"commerce/Other.avsc: the file has to be called as the record that it defines, commerce.Good",
		"risk/Good.avsc: commerce.Good is already defined in commerce/Good.avsc",
		"risk/Kind.avsc: the schema is enum Kind, not a record",
	}
	if err == nil {
		t.Fatal("no error")
	}
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != len(want) {
		t.Fatal(err)
	}
	for i := range want {
		if !strings.HasPrefix(lines[i], want[i]) {
			t.Errorf("got  %s\nwant %s", lines[i], want[i])
		}
	}
	if names := c.Names(); len(names) != 1 || names[0] != "commerce.Good" {
		t.Error(names)
	}
}

func TestNoAllocation(t *testing.T) {
	s := mustParse(t, change)
	in := encode(t, s, changeValues()...)
	p, err := NewProjection(s, []string{"user_id", "confidence", "old_value", "causation_id", "occurred_at"})
	if err != nil {
		t.Fatal(err)
	}
	older := mustParse(t, strings.Replace(change, `{"name":"score","type":"double"}`, `{"name":"score","type":"float"}`, 1))
	for name, writer := range map[string]*Schema{"same": s, "older": older} {
		d, err := p.Decoder(writer)
		if err != nil {
			t.Fatal(err)
		}
		in := in
		if name == "older" {
			in = encode(t, older, changeValues()...)
		}
		r := p.New()
		a, _ := p.Accessor("old_value")
		if n := testing.AllocsPerRun(100, func() {
			if d.Decode(in, r) != nil {
				t.Error("decode")
			}
			if v, ok := a.String(r); !ok || v != "SE" {
				t.Error(v)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
	e, err := NewEncoder(s)
	if err != nil {
		t.Fatal(err)
	}
	out, values := make([]byte, 0, 1000), changeValues()
	if n := testing.AllocsPerRun(100, func() { out, _ = e.Append(out[:0], values) }); n != 0 {
		t.Errorf("encode: %v allocations", n)
	}
}
