package schemas

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// packed are the values of the paths of a record.
func packed(t testing.TB, p *Projection, paths []string, r Record) []any {
	t.Helper()
	var out []any
	for _, path := range paths {
		a, err := p.Accessor(path)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, a.Value(r))
	}
	return out
}

// TestPackedRecordsReadTheSame packs some paths of random records of random schemas, and reads them from records that were in
// use, after the memory that the first record lay in has been overwritten.
func TestPackedRecordsReadTheSame(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		g := &generator{}
		made := g.record(rt, 2)
		s, err := Parse(made.text)
		if err != nil {
			rt.Fatal(err)
		}
		all := s.Type().paths("", 30)
		p, err := NewProjection(s, all)
		if err != nil {
			rt.Fatal(err)
		}
		var some []string
		for _, path := range all {
			if rapid.Bool().Draw(rt, "pack "+path) {
				some = append(some, path)
			}
		}
		k, err := p.Packing(some)
		if err != nil {
			rt.Fatal(err)
		}
		d, err := p.Decoder(s)
		if err != nil {
			rt.Fatal(err)
		}
		from, to := p.New(), p.New()
		for range 3 {
			value := made.value(rt).(map[string]any)
			var fields []any
			for _, f := range s.Type().Fields {
				fields = append(fields, value[f.Name])
			}
			e, err := NewEncoder(s)
			if err != nil {
				rt.Fatal(err)
			}
			b, err := e.Append(nil, fields)
			if err != nil {
				rt.Fatal(err)
			}
			if err := d.Decode(b, from); err != nil {
				rt.Fatal(err)
			}
			want := packed(t, p, some, from)
			bin := k.Append([]byte("before"), from)[len("before"):]
			rest, err := k.Decode(append(slices.Clone(bin), "behind"...), to)
			if err != nil || string(rest) != "behind" {
				rt.Fatalf("%s: %v reads as %q, %v", made.text, want, rest, err)
			}
			if got := packed(t, p, some, to); !same(got, want) {
				rt.Fatalf("%s: %v reads as %v", made.text, want, got)
			}
			if again := k.Append(nil, to); !bytes.Equal(again, bin) {
				rt.Fatalf("%s: %x, then %x", made.text, bin, again)
			}
			before := slices.Clone(bin)
			for i := range b {
				b[i] = ^b[i]
			}
			if !bytes.Equal(bin, before) {
				rt.Fatal("the packed record shares memory with the decoded one")
			}
		}
	})
}

func TestPackingBelowAWholeRecord(t *testing.T) {
	s := mustParse(t, record(`{"name":"a","type":["null",{"type":"record","name":"S","fields":[{"name":"x","type":"long"},{"name":"y","type":"long"}]}]}`))
	p, err := NewProjection(s, []string{"a", "a.x"})
	if err != nil {
		t.Fatal(err)
	}
	k, err := p.Packing([]string{"a.x"})
	if err != nil {
		t.Fatal(err)
	}
	d, err := p.Decoder(s)
	if err != nil {
		t.Fatal(err)
	}
	from, to := p.New(), p.New()
	for _, v := range []any{map[string]any{"x": int64(1), "y": int64(2)}, nil} {
		if err := d.Decode(encode(t, s, v), from); err != nil {
			t.Fatal(err)
		}
		if _, err := k.Decode(k.Append(nil, from), to); err != nil {
			t.Fatal(err)
		}
		if got, want := packed(t, p, []string{"a.x"}, to), packed(t, p, []string{"a.x"}, from); !same(got, want) {
			t.Errorf("%v reads as %v", want, got)
		}
	}
	if _, err := p.Packing([]string{"b"}); err == nil {
		t.Error("a path that is not projected is packed")
	}
	if _, err := k.Decode(k.Append(nil, from), Record{}); err == nil {
		t.Error("a record of another projection was taken")
	}
}

// TestPackingFingerprint: what cannot be read by another packing has another fingerprint; what other paths the projection has
// does not matter.
func TestPackingFingerprint(t *testing.T) {
	shape := func(fields string, projected []string, paths ...string) uint64 {
		t.Helper()
		p, err := NewProjection(mustParse(t, record(fields)), projected)
		if err != nil {
			t.Fatal(err)
		}
		k, err := p.Packing(paths)
		if err != nil {
			t.Fatal(err)
		}
		return k.Fingerprint()
	}
	const (
		two      = `{"name":"a","type":"long"},{"name":"b","type":"long"}`
		list     = `{"name":"a","type":{"type":"array","items":"long"}}`
		texts    = `{"name":"a","type":{"type":"array","items":"string"}}`
		nullable = `{"name":"a","type":["null","long"]}`
	)
	first := shape(two, []string{"a"}, "a")
	if shape(two, []string{"a", "b"}, "a") != first {
		t.Error("a path that is not packed matters")
	}
	seen := map[uint64]string{first: "the first"}
	for name, x := range map[string]uint64{
		"another path": shape(two, []string{"a", "b"}, "b"), "both": shape(two, []string{"a", "b"}, "b", "a"),
		"nullable": shape(nullable, []string{"a"}, "a"), "list": shape(list, []string{"a"}, "a"), "another list": shape(texts, []string{"a"}, "a"),
	} {
		if other := seen[x]; other != "" {
			t.Errorf("%s has the fingerprint of %s", name, other)
		}
		seen[x] = name
	}
}

// FuzzUnpack: damaged bytes are ErrPacked, and what is read packs to what reads the same.
func FuzzUnpack(f *testing.F) {
	s := mustParse(f, record(`{"name":"a","type":["null","string"]}`, `{"name":"b","type":"double"}`, `{"name":"c","type":["null","bytes"]}`,
		`{"name":"d","type":["null",{"type":"record","name":"S","fields":[{"name":"x","type":"long"},{"name":"y","type":["boolean","null"]},{"name":"z","type":{"type":"array","items":"int"}}]}]}`,
		`{"name":"e","type":["null",{"type":"bytes","logicalType":"decimal","precision":6,"scale":2}]}`))
	paths := []string{"a", "b", "c", "d.x", "d.y", "d.z", "e"}
	p, err := NewProjection(s, paths)
	if err != nil {
		f.Fatal(err)
	}
	k, err := p.Packing(paths)
	if err != nil {
		f.Fatal(err)
	}
	d, err := p.Decoder(s)
	if err != nil {
		f.Fatal(err)
	}
	for _, fields := range [][]any{
		{"text", 1.5, []byte{1}, map[string]any{"x": int64(-3), "y": true, "z": []any{int64(1)}}, 2.25},
		{nil, 0.0, nil, nil, nil},
	} {
		r := p.New()
		if err := d.Decode(encode(f, s, fields...), r); err != nil {
			f.Fatal(err)
		}
		f.Add(k.Append(nil, r))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		one, two := p.New(), p.New()
		if _, err := k.Decode(b, one); err != nil {
			if !errors.Is(err, ErrPacked) {
				t.Fatal(err)
			}
			return
		}
		bin := k.Append(nil, one)
		if rest, err := k.Decode(bin, two); err != nil || len(rest) > 0 {
			t.Fatalf("%x: %v, %d bytes left", bin, err, len(rest))
		}
		if got, want := packed(t, p, paths, two), packed(t, p, paths, one); !same(got, want) {
			t.Fatalf("%v, then %v", want, got)
		}
	})
}

func TestPackingAllocatesNothing(t *testing.T) {
	s := mustParse(t, record(`{"name":"a","type":["null","string"]}`, `{"name":"b","type":"double"}`, `{"name":"c","type":"string"}`))
	p, err := NewProjection(s, []string{"a", "b", "c"})
	if err != nil {
		t.Fatal(err)
	}
	k, err := p.Packing(p.Paths())
	if err != nil {
		t.Fatal(err)
	}
	d, err := p.Decoder(s)
	if err != nil {
		t.Fatal(err)
	}
	from, to, scratch := p.New(), p.New(), make([]byte, 0, 100)
	if err := d.Decode(encode(t, s, "one", 2.5, "three"), from); err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(100, func() {
		scratch = k.Append(scratch[:0], from)
		if _, err := k.Decode(scratch, to); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
