package processors

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/schemas"
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
		got, rest, err := schemas.ParseValue(schemas.AppendValue(nil, want))
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
		l := manual(anyAggregates.Draw(t, "aggregates")...)
		want := &group{layout: l, shape: rapid.Uint64().Draw(t, "shape"), pane: anyPane(t, l)}
		want.emission = emission{rapid.Int64Min(0).Draw(t, "emitted"), rapid.SliceOfN(rapid.Byte(), 1, 40).Draw(t, "selected")}
		b := want.Append(nil)
		got, err := decodeGroup(b, l, want.shape)
		if err != nil {
			t.Fatal(err)
		}
		if got.n != want.n || !bytes.Equal(got.selected, want.selected) {
			t.Fatalf("got %+v, want %+v", got, want)
		}
		if len(b) > want.Size() {
			t.Fatalf("%d bytes, Size says %d", len(b), want.Size())
		}
		if !bytes.Equal(b, got.Append(nil)) {
			t.Fatal("encoding again gives other bytes")
		}
		for i := range l.of {
			a, errA := l.result(&want.pane, i)
			b, errB := l.result(&got.pane, i)
			if d := cmp.Diff(a, b, cmpopts.EquateNaNs()); d != "" || (errA == nil) != (errB == nil) {
				t.Fatalf("%s: %s, %v and %v", l.rule.Aggregates[i].Func, d, errA, errB)
			}
		}
	})
}

func FuzzDecodeGroup(f *testing.F) {
	l := manual(rules.Aggregate{Func: rules.Sum}, rules.Aggregate{Func: rules.TopK, N: 2}, rules.Aggregate{Func: rules.Variance}, rules.Aggregate{Func: rules.Quantile},
		rules.Aggregate{Func: rules.Distinct}, rules.Aggregate{Func: rules.List, N: 2}, rules.Aggregate{Func: rules.First}, rules.Aggregate{Func: rules.Max})
	g := &group{layout: l, shape: 1, emission: emission{1, []byte("s")}}
	for i := range l.values {
		l.values[i].unbox(2.5 * float64(i))
	}
	l.record = trace{stamp{1, newEventID("a")}, stamp{1, newEventID("b")}, 0.5, version{{"eu", 3}}}
	l.add(&g.pane)
	f.Add(g.Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := decodeGroup(b, l, 1)
		if err != nil || c == nil {
			return
		}
		var sum pane
		l.merge(&sum, &c.pane)
		l.merge(&sum, &g.pane)
		l.add(&sum)
		for i := range l.of {
			if _, err := l.result(&sum, i); err != nil {
				t.Log(err)
			}
		}
		if _, err := decodeGroup(c.Append(nil), l, 1); err != nil {
			t.Fatal(err)
		}
	})
}

func BenchmarkCell(b *testing.B) {
	l := manual(rules.Aggregate{Func: rules.Count}, rules.Aggregate{Func: rules.Sum})
	g := &group{layout: l, emission: emission{20, make([]byte, 32)}}
	l.record.set(l.kept, &schemas.Context{EventID: "00000000-0000-4000-8000-000000000001", Confidence: 0.5}, 1, nil)
	l.values[0].unbox(123.25)
	l.add(&g.pane)
	b.Run("encode", func(b *testing.B) {
		b.ReportAllocs()
		var buf []byte
		for b.Loop() {
			buf = g.Append(buf[:0])
		}
	})
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		buf := g.Append(nil)
		for b.Loop() {
			if _, err := decodeGroup(buf, l, 0); err != nil {
				b.Fatal(err)
			}
		}
	})
}
