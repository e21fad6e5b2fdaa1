package schemas

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

// fuzzed are schemas whose records are fuzzed: flat, with everything that has steps of its own, nested, recursive.
func fuzzed() []string {
	return []string{
		change,
		contextSchema,
		chained,
		record(
			`{"name":"a","type":"int"}`, `{"name":"b","type":["float","null"]}`, `{"name":"c","type":{"type":"enum","name":"E","symbols":["X","Y"]}}`,
			`{"name":"d","type":{"type":"fixed","name":"F","size":3}}`, `{"name":"e","type":["null",{"type":"fixed","name":"U","size":16,"logicalType":"uuid"}]}`,
			`{"name":"f","type":{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}}`, `{"name":"g","type":{"type":"int","logicalType":"date"}}`,
			`{"name":"h","type":["null",{"type":"record","name":"S","fields":[{"name":"x","type":"bytes"},{"name":"y","type":["null","long"]}]}]}`,
			`{"name":"i","type":"boolean"}`, `{"name":"j","type":{"type":"long","logicalType":"timestamp-micros"}}`,
		),
		record(
			`{"name":"a","type":{"type":"array","items":"null"}}`, `{"name":"b","type":{"type":"map","values":["null","int","string"]}}`,
			`{"name":"c","type":["null","string",{"type":"array","items":["null","double"]},{"type":"record","name":"S","fields":[{"name":"x","type":"float"}]}]}`,
		),
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range fuzzed() {
		f.Add(s)
	}
	f.Add(`"string"`)
	f.Add(`["null","int"]`)
	f.Fuzz(func(t *testing.T, text string) {
		s, err := Parse(text)
		if err != nil {
			if !errors.As(err, new(*SchemaError)) {
				t.Fatalf("%T: %v", err, err)
			}
			return
		}
		_ = s.Type().String()
		if _, err := Parse(s.Canonical()); err != nil {
			t.Fatalf("canonical form: %v", err)
		}
		if _, err := NewContextDecoder(s); err != nil {
			t.Fatalf("context: %v", err)
		}
		if s.Type().Kind != Struct {
			return
		}
		if _, err := NewEncoder(s); err != nil {
			t.Fatalf("encoder: %v", err)
		}
		p, err := NewProjection(s, s.Type().paths("", 20))
		if err != nil {
			t.Fatalf("projection: %v", err)
		}
		d, err := p.Decoder(s)
		if err != nil {
			t.Fatalf("decoder: %v", err)
		}
		_ = d.Decode([]byte{0, 0, 0, 0, 0, 0, 0, 0}, p.New())
		if err := CheckChange(s, s); err != nil {
			t.Fatalf("the schema may not stay as it is: %v", err)
		}
	})
}

// FuzzDecode holds the two ways of decoding to each other: for any bytes, the same values or the same refusal.
func FuzzDecode(f *testing.F) {
	type subject struct {
		schema     *Schema
		projection *Projection
		fast, slow *Decoder
		// blocks: there are lists or maps. A block of one may state its size in bytes, and lie. Who skips it goes by that, who reads it
		// doesn't, so that a part and the whole may differ.
		blocks bool
	}
	var subjects []subject
	for _, text := range fuzzed() {
		s := mustParse(f, text)
		var paths []string
		for i, path := range s.Type().paths("", 100) {
			field, ok := s.Type().Field(splitPath(path)[0])
			if ok && i%3 != 1 && field.Type.Kind < List { // whole lists and maps would rule the fast way out
				paths = append(paths, path)
			}
		}
		if text == fuzzed()[3] {
			paths = append(paths, "h.x", "h.y")
		}
		p, err := NewProjection(s, paths)
		if err != nil {
			f.Fatal(err)
		}
		fast, err := p.Decoder(s)
		if err != nil {
			f.Fatal(err)
		}
		slow := *fast
		slow.scan, slow.fixes = nil, p.fixes
		subjects = append(subjects, subject{s, p, fast, &slow, strings.Contains(text, `"items"`) || strings.Contains(text, `"values"`)})
		f.Add(uint8(len(subjects)-1), []byte{0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	}
	f.Add(uint8(0), encode(f, subjects[0].schema, changeValues()...))
	c := contextOf(2)
	f.Add(uint8(1), encode(f, subjects[1].schema, contextValues(&c)...))
	f.Add(uint8(3), encode(f, subjects[3].schema, int64(1), 0.5, "Y", []byte("abc"), EventID("x"), 1.25, int64(msPerDay),
		map[string]any{"x": []byte("x"), "y": int64(1)}, true, int64(7)))
	f.Add(uint8(4), encode(f, subjects[4].schema, []any{nil, nil}, map[string]any{"k": "v", "l": int64(1), "m": nil}, []any{nil, 1.5}))
	f.Fuzz(func(t *testing.T, which uint8, b []byte) {
		s := subjects[int(which)%len(subjects)]
		if s.fast.scan == nil && int(which)%len(subjects) != 4 {
			t.Fatal("there is no fast way")
		}
		one, two := s.projection.New(), s.projection.New()
		errOne, errTwo := s.fast.Decode(b, one), s.slow.Decode(b, two)
		if (errOne == nil) != (errTwo == nil) {
			t.Fatalf("%x: %v, but %v", b, errOne, errTwo)
		}
		whole, err := s.schema.DecodeAny(b)
		if errOne == nil {
			for _, path := range s.projection.Paths() {
				a, err := s.projection.Accessor(path)
				if err != nil {
					t.Fatal(err)
				}
				if !same(a.Value(one), a.Value(two)) {
					t.Fatalf("%s: %v, but %v", path, a.Value(one), a.Value(two))
				}
				if whole != nil && !s.blocks && !same(a.Value(one), dig(whole, splitPath(path))) {
					t.Fatalf("%s: %v, but whole %v", path, a.Value(one), whole)
				}
			}
		}
		if err != nil {
			if !errors.As(err, new(*DecodeError)) {
				t.Fatalf("%T: %v", err, err)
			}
			return
		}
		if errOne != nil && !s.blocks {
			t.Fatalf("whole, but not in part: %v", errOne)
		}
		text, err := s.schema.JSON(b)
		if err != nil {
			t.Fatalf("JSON: %v", err)
		}
		back, err := s.schema.FromJSON(text)
		if err != nil {
			t.Fatalf("from JSON %s: %v", text, err)
		}
		again, err := s.schema.JSON(back) // the bytes may have been in a form that nobody writes
		if err != nil || !bytes.Equal(again, text) {
			t.Fatalf("%s became %s, %v", text, again, err)
		}
		var c Context
		if d, err := NewContextDecoder(s.schema); err == nil {
			_ = d.Decode(b, &c)
		}
	})
}

func FuzzFrame(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0, 1, 'x'})
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		id, body, err := Frame(b)
		if err != nil {
			if !errors.As(err, new(*FramingError)) || err.Error() == "" {
				t.Fatal(err)
			}
			return
		}
		if id <= 0 || !bytes.Equal(append(AppendFrame(nil, id), body...), b) {
			t.Fatalf("%x: id %d, body %x", b, id, body)
		}
	})
}

func FuzzParseWriter(f *testing.F) {
	w := Writer{Name: "risk.moved", Partition: 3, OutputTime: 5, Origin: Origin{Stream: "s", Key: "k", Offset: 9, EventID: "e"}, Ordinal: 1}
	f.Add(w.Append(nil))
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, b []byte) {
		w, err := ParseWriter(b)
		if err != nil {
			if !errors.Is(err, ErrWriterHeader) {
				t.Fatal(err)
			}
			return
		}
		if again, err := ParseWriter(w.Append(nil)); err != nil || again != w {
			t.Fatalf("%+v became %+v, %v", w, again, err)
		}
	})
}

func FuzzFromJSON(f *testing.F) {
	var all []*Schema
	for _, text := range fuzzed() {
		all = append(all, mustParse(f, text))
	}
	f.Add(uint8(0), []byte(`{"event_id":"x","confidence":1e3,"occurred_at":"2020-01-01T00:00:00Z","causation_id":{"string":"x"}}`))
	f.Add(uint8(2), []byte(`{"v":1,"next":{"N":{"v":2,"l":[]}},"l":[{"v":3,"l":[]}]}`))
	f.Add(uint8(3), []byte(`{"a":1,"b":"NaN","c":"X","d":"abc","f":1.25,"g":"2020-01-01","h":{"x":""},"i":true,"j":5}`))
	f.Add(uint8(4), []byte(`{"a":[null],"b":{"k":{"int":1},"l":"x"},"c":{"array":[1,null]}}`))
	f.Fuzz(func(t *testing.T, which uint8, b []byte) {
		s := all[int(which)%len(all)]
		bin, err := s.FromJSON(b)
		if err != nil {
			if !errors.As(err, new(*ValueError)) {
				t.Fatalf("%T: %v", err, err)
			}
			return
		}
		text, err := s.JSON(bin)
		if err != nil {
			t.Fatalf("%s: %v", b, err)
		}
		back, err := s.FromJSON(text)
		if err != nil || !bytes.Equal(back, bin) {
			t.Fatalf("%s, then %s: %x, %x, %v", b, text, bin, back, err)
		}
	})
}
