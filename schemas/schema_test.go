package schemas

import (
	"testing"

	"github.com/millrace-io/millrace/schemas/avsc"
)

// change is the schema of the benchmark's preference event: 18 fields.
const change = `{"type":"record","name":"Change","namespace":"preference","fields":[
{"name":"event_id","type":"string"},{"name":"correlation_id","type":"string"},
{"name":"causation_id","type":["null","string"],"default":null},
{"name":"user_id","type":"string"},
{"name":"occurred_at","type":{"type":"long","logicalType":"timestamp-millis"}},
{"name":"recorded_at","type":{"type":"long","logicalType":"timestamp-millis"}},
{"name":"source","type":"string"},{"name":"region","type":"string"},
{"name":"confidence","type":"double"},{"name":"priority","type":"string"},
{"name":"attribute","type":"string"},
{"name":"old_value","type":["null","string"],"default":null},
{"name":"new_value","type":"string"},{"name":"session_id","type":"string"},{"name":"device","type":"string"},
{"name":"version","type":"long"},{"name":"consent","type":"boolean"},{"name":"score","type":"double"}]}`

func mustParse(t testing.TB, text string) *Schema {
	t.Helper()
	s, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func changeValues() []any {
	return []any{
		"0b1c2d3e-4f50-5162-8374-95a6b7c8d9e0", "1b1c2d3e-4f50-5162-8374-95a6b7c8d9e0", nil, "user-1234", int64(1_700_000_000_000),
		int64(1_700_000_000_123), "mobile", "eu-west", 0.75, "standard", "country", "SE", "NO", "session-99", "ios", int64(7), true, 0.5,
	}
}

func encode(t testing.TB, s *Schema, fields ...any) []byte {
	t.Helper()
	e, err := NewEncoder(s)
	if err != nil {
		t.Fatal(err)
	}
	b, err := e.Append(nil, fields)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func decode(t testing.TB, reader, writer *Schema, b []byte, paths ...string) func(path string) any {
	t.Helper()
	p, err := NewProjection(reader, paths)
	if err != nil {
		t.Fatal(err)
	}
	d, err := p.Decoder(writer)
	if err != nil {
		t.Fatal(err)
	}
	r := p.New()
	if err := d.Decode(b, r); err != nil {
		t.Fatal(err)
	}
	return func(path string) any {
		t.Helper()
		a, err := p.Accessor(path)
		if err != nil {
			t.Fatal(err)
		}
		return a.Value(r)
	}
}

func TestRoundTripOfAnEvent(t *testing.T) {
	s := mustParse(t, change)
	values := changeValues()
	b := encode(t, s, values...)
	m, err := s.DecodeAny(b)
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, f := range s.Type().Fields {
		paths = append(paths, f.Name)
	}
	get := decode(t, s, s, b, paths...)
	for i, f := range s.Type().Fields {
		if m[f.Name] != values[i] {
			t.Errorf("DecodeAny: %s = %v, want %v", f.Name, m[f.Name], values[i])
		}
		if v := get(f.Name); v != values[i] {
			t.Errorf("Decode: %s = %v, want %v", f.Name, v, values[i])
		}
	}
}

func TestShippedSchemas(t *testing.T) {
	c, err := LoadCatalog(avsc.FS)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Names()) == 0 {
		t.Fatal("no schemas")
	}
	for _, name := range c.Names() {
		s, _ := c.Schema(name)
		for i, field := range ContextFields() {
			if s.Type().FieldIndex(field) != i {
				t.Errorf("%s: context field %s is at %d, want %d", name, field, s.Type().FieldIndex(field), i)
			}
		}
		d, err := NewContextDecoder(s)
		if err != nil {
			t.Fatal(err)
		}
		if len(d.texts) != 6 || len(d.times) != 2 || d.version.slot == nil || d.lineage.slot == nil || d.confidence.slot == nil || d.priority.slot == nil {
			t.Errorf("%s: not every context field is found by its name and type: %d texts", name, len(d.texts))
		}
	}
}

// TestRecordsLeaveNothing: of a field that may be a map or a record, nothing of one record shows in the next.
func TestRecordsLeaveNothing(t *testing.T) {
	s := mustParse(t, record(`{"name":"a","type":["null",{"type":"map","values":["null","boolean"]},{"type":"record","name":"S","fields":[{"name":"x","type":["null","long"]}]}]}`))
	p, err := NewProjection(s, []string{"a"})
	if err != nil {
		t.Fatal(err)
	}
	d, err := p.Decoder(s)
	if err != nil {
		t.Fatal(err)
	}
	r := p.New()
	for _, v := range []map[string]any{{"k": true}, {"x": int64(1)}, {"z": false}} {
		if err := d.Decode(encode(t, s, v), r); err != nil {
			t.Fatal(err)
		}
		if got := packed(t, p, []string{"a"}, r); !same(got, []any{v}) {
			t.Errorf("%v reads as %v", v, got)
		}
	}
}
