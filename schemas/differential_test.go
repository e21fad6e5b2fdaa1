package schemas

import (
	"bytes"
	"math/big"
	"testing"
	"time"

	"github.com/linkedin/goavro/v2"
	"pgregory.net/rapid"
)

// seen converts a value as goavro decodes it to what rules see.
func (n *node) seen(v any) any {
	switch n.avro {
	case "union":
		m, ok := v.(map[string]any)
		if !ok {
			return v
		}
		for tag, inner := range m {
			for _, br := range n.branches {
				// goavro tags a logical type as long.timestamp-millis, one that it doesn't know as long
				if tag == br.tag() || tag == br.avro+"."+br.logical {
					return br.seen(inner)
				}
			}
		}
		return v
	case "record":
		m := map[string]any{}
		for i := range n.fields {
			m[n.fields[i].name] = n.fields[i].node.seen(v.(map[string]any)[n.fields[i].name])
		}
		return m
	case "array":
		list := []any{}
		for _, e := range v.([]any) {
			list = append(list, n.elem.seen(e))
		}
		return list
	case "map":
		m := map[string]any{}
		for k, e := range v.(map[string]any) {
			m[k] = n.elem.seen(e)
		}
		return m
	}
	switch t := v.(type) {
	case int32:
		return n.unit.millis(int64(t))
	case int64:
		return n.unit.millis(t)
	case float32:
		return float64(t)
	case time.Time:
		return t.UnixMilli()
	case time.Duration:
		return t.Milliseconds()
	case *big.Rat:
		f, _ := t.Float64()
		return f
	}
	return v
}

// paths returns every path of a type that can be projected, through records, at most limit.
func (t *Type) paths(prefix string, limit int) []string {
	var out []string
	for i := range t.Fields {
		f := &t.Fields[i]
		if len(out) >= limit {
			break
		}
		out = append(out, prefix+f.Name)
		if f.Type.Kind == Struct {
			out = append(out, f.Type.paths(prefix+f.Name+".", limit-len(out))...)
		}
	}
	return out
}

// dig reads a path of a whole decoded record.
func dig(v any, path []string) any {
	for _, name := range path {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[name]
	}
	return v
}

// TestBothLibrariesAgree encodes random values of random schemas, and reads them back in every way there is.
func TestBothLibrariesAgree(t *testing.T) {
	understood := 0
	rapid.Check(t, func(t *rapid.T) {
		g := &generator{}
		made := g.record(t, 2)
		s, err := Parse(made.text)
		if err != nil {
			t.Fatalf("%s: %v", made.text, err)
		}
		want := made.value(t).(map[string]any)
		e, err := NewEncoder(s)
		if err != nil {
			t.Fatal(err)
		}
		fields := make([]any, len(s.Type().Fields))
		for i, f := range s.Type().Fields {
			fields[i] = want[f.Name]
		}
		b, err := e.Append([]byte("before"), fields)
		if err != nil {
			t.Fatalf("%s: encode %v: %v", made.text, want, err)
		}
		if !bytes.HasPrefix(b, []byte("before")) {
			t.Fatal("the encoder doesn't append")
		}
		b = b[len("before"):]

		got, err := s.DecodeAny(b)
		if err != nil {
			t.Fatalf("%s: decode %v: %v", made.text, want, err)
		}
		if made.several && same(loose(got), loose(want)) {
			want = got
		}
		if !same(got, want) {
			t.Fatalf("%s: decoded %v, want %v", made.text, got, want)
		}
		checkGoavro(t, s, b, want, &understood)
		checkJSON(t, s, b)
		checkProjection(t, s, b, want)
	})
	if understood == 0 {
		t.Error("goavro accepted no schema")
	}
	t.Logf("goavro accepted %d schemas", understood)
}

func checkGoavro(t *rapid.T, s *Schema, b []byte, want map[string]any, understood *int) {
	c, err := goavro.NewCodec(s.String())
	if err != nil {
		t.Logf("goavro: %v", err)
		return
	}
	*understood++
	v, rest, err := c.NativeFromBinary(b)
	if err != nil || len(rest) > 0 {
		t.Fatalf("%s: goavro: %v, %d bytes left", s, err, len(rest))
	}
	if got := s.root.seen(v); !same(got, want) {
		t.Fatalf("%s: goavro decoded %v, want %v", s, got, want)
	}
}

// checkJSON converts to JSON and back, which has to give the same bytes.
func checkJSON(t *rapid.T, s *Schema, b []byte) {
	text, err := s.JSON(b)
	if err != nil {
		t.Fatalf("%s: to JSON: %v", s, err)
	}
	back, err := s.FromJSON(text)
	if err != nil {
		t.Fatalf("%s: from JSON %s: %v", s, text, err)
	}
	if !bytes.Equal(back, b) {
		t.Fatalf("%s: %s became %x, was %x", s, text, back, b)
	}
}

func checkProjection(t *rapid.T, s *Schema, b []byte, want map[string]any) {
	all := s.Type().paths("", 30)
	var some []string
	for _, p := range all {
		if rapid.Bool().Draw(t, "project "+p) {
			some = append(some, p)
		}
	}
	p, err := NewProjection(s, some)
	if err != nil {
		t.Fatalf("%s: %v", s, err)
	}
	d, err := p.Decoder(s)
	if err != nil {
		t.Fatalf("%s: %v", s, err)
	}
	r := p.New()
	for range 2 { // the second time into a record that is in use
		if err := d.Decode(b, r); err != nil {
			t.Fatalf("%s: project %v: %v", s, some, err)
		}
		for _, path := range some {
			a, err := p.Accessor(path)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := a.Value(r), dig(want, splitPath(path)); !same(got, want) {
				t.Fatalf("%s: %s is %v, want %v", s, path, got, want)
			}
			checkGetters(t, a, r)
		}
	}
}

// checkGetters holds the typed getters to Value.
func checkGetters(t *rapid.T, a Accessor, r Record) {
	v := a.Value(r)
	check := func(k string, got any, ok, is bool) {
		if ok != is || ok && !same(got, v) {
			t.Fatalf("%s getter of %s: %v, %v; value %v", k, a.Type(), got, ok, v)
		}
	}
	kind := a.Type().Kind
	b, ok := a.Bool(r)
	_, is := v.(bool)
	check("bool", b, ok, is)
	i, ok := a.Int(r)
	_, is = v.(int64)
	check("int", i, ok, is)
	f, ok := a.Float(r)
	_, is = v.(float64)
	check("float", f, ok, is)
	x, ok := a.String(r)
	_, is = v.(string)
	check("string", x, ok, is)
	y, ok := a.Bytes(r)
	_, is = v.([]byte)
	check("bytes", y, ok, is)
	if v == nil && !a.Type().Nullable && kind != Null {
		t.Fatalf("null of type %s", a.Type())
	}
}
