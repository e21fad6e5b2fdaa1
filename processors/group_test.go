package processors

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/millrace-io/millrace/rules"
)

var anyValue = rapid.Deferred(func() *rapid.Generator[any] {
	return rapid.OneOf(
		rapid.Just[any](nil),
		rapid.Map(rapid.Bool(), func(v bool) any { return v }),
		rapid.Map(rapid.Int64(), func(v int64) any { return v }),
		rapid.Map(rapid.Float64(), func(v float64) any { return v }),
		rapid.Map(rapid.String(), func(v string) any { return v }),
		rapid.Map(rapid.SliceOfN(rapid.Byte(), 1, 9), func(v []byte) any { return v }),
		rapid.Map(rapid.SliceOfN(rapid.Map(rapid.Int64(), func(v int64) any { return v }), 0, 3), func(v []any) any { return v }),
		rapid.Map(rapid.MapOfN(rapid.String(), rapid.Map(rapid.String(), func(v string) any { return v }), 0, 3), func(v map[string]any) any { return v }),
	)
})

func TestValueSurvivesEncoding(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := anyValue.Draw(t, "value")
		got, rest, err := parseValue(appendValue(nil, want), 0)
		if err != nil || len(rest) > 0 {
			t.Fatalf("parse: %v, %d bytes left", err, len(rest))
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Fatal(d)
		}
	})
}

func TestGroupSurvivesEncoding(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := &group{
			count: rapid.Int64Min(1).Draw(t, "count"), emitted: rapid.Int64Min(0).Draw(t, "emitted"),
			first: rapid.String().Draw(t, "first"), last: rapid.String().Draw(t, "last"),
			confidence: rapid.Float64Range(0, 1).Draw(t, "confidence"),
			selected:   rapid.SliceOfN(rapid.Byte(), 1, 40).Draw(t, "selected"),
		}
		if v := rapid.MapOfN(rapid.String(), rapid.Int64(), 0, 3).Draw(t, "version"); len(v) > 0 {
			want.version = v
		}
		want.shape = rapid.Uint64().Draw(t, "shape")
		for range rapid.IntRange(0, 3).Draw(t, "sums") {
			s := sum{count: rapid.Int64Min(0).Draw(t, "n"), integer: rapid.Int64().Draw(t, "integer"), held: anyValue.Draw(t, "value")}
			s.partials = rapid.SliceOfN(rapid.Float64(), 0, 3).Draw(t, "partials")
			if len(s.partials) == 0 {
				s.partials = nil
			}
			want.sums = append(want.sums, s)
		}
		b := want.Append(nil)
		got, err := decodeGroup(b, make([]rules.Aggregate, len(want.sums)))
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got, cmp.AllowUnexported(group{}, sum{}), cmpopts.IgnoreFields(group{}, "few")); d != "" {
			t.Fatal(d)
		}
		if len(b) > want.Size() {
			t.Fatalf("%d bytes, Size says %d", len(b), want.Size())
		}
		if !bytes.Equal(b, got.Append(nil)) {
			t.Fatal("encoding again gives other bytes")
		}
	})
}

func FuzzDecodeGroup(f *testing.F) {
	g := &group{count: 2, emitted: 1, first: "a", last: "b", confidence: 0.5, version: map[string]int64{"eu": 3}, selected: []byte{1}, sums: []sum{{count: 1, partials: []float64{1.5}, held: []any{"x"}}}}
	f.Add(g.Append(nil))
	f.Fuzz(func(_ *testing.T, b []byte) {
		if c, err := decodeGroup(b, make([]rules.Aggregate, 1)); err == nil {
			c.Append(nil)
		}
	})
}

func BenchmarkCell(b *testing.B) {
	g := &group{
		count: 20, emitted: 20, first: "00000000-0000-4000-8000-000000000001", last: "00000000-0000-4000-8000-000000000020", confidence: 0.5,
		selected: make([]byte, 32), sums: []sum{{count: 20}, {count: 20, partials: []float64{123.25}}},
	}
	b.Run("encode", func(b *testing.B) {
		b.ReportAllocs()
		var buf []byte
		for b.Loop() {
			buf = g.Append(buf[:0])
		}
	})
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		buf, aggs := g.Append(nil), make([]rules.Aggregate, len(g.sums))
		for b.Loop() {
			if _, err := decodeGroup(buf, aggs); err != nil {
				b.Fatal(err)
			}
		}
	})
}
