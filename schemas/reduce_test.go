package schemas

import "testing"

// A field that is read refers to a type that an unread field defines.
func TestProjectionOfReferredType(t *testing.T) {
	s, err := Parse(`{"type":"record","name":"R","fields":[
		{"name":"x","type":"string"},
		{"name":"a","type":{"type":"record","name":"P","fields":[{"name":"c","type":"long"}]}},
		{"name":"b","type":["null","P"]}]}`)
	if err != nil {
		t.Fatal(err)
	}
	p, err := NewProjection(s, []string{"b.c"})
	if err != nil {
		t.Fatal(err)
	}
	d, err := p.Decoder(s)
	if err != nil {
		t.Fatal(err)
	}
	enc, err := NewEncoder(s)
	if err != nil {
		t.Fatal(err)
	}
	b, err := enc.Append(nil, []any{"x", map[string]any{"c": int64(1)}, map[string]any{"c": int64(7)}})
	if err != nil {
		t.Fatal(err)
	}
	a, err := p.Accessor("b.c")
	if err != nil {
		t.Fatal(err)
	}
	r := p.New()
	if err := d.Decode(b, r); err != nil {
		t.Fatal(err)
	}
	if v, ok := a.Int(r); !ok || v != 7 {
		t.Errorf("b.c is %v, %v", v, ok)
	}
}
