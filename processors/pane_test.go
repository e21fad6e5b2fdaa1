package processors

import (
	"bytes"
	"maps"
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/schemas"
)

var anyAggregates = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) rules.Aggregate {
	f := rules.AggFunc(rapid.IntRange(int(rules.Count), int(rules.StdDev)).Draw(t, "function"))
	return rules.Aggregate{Func: f, N: int64(rapid.IntRange(1, 3).Draw(t, "n")), Q: rapid.Float64Range(0, 1).Draw(t, "q")}
}), 0, 4)

// fact is a record as a layout reads it.
type fact struct {
	at     int64
	values []any // per column: int64 or nil
	schemas.Context
}

func anyFact(t *rapid.T, l *layout) fact {
	f := fact{at: rapid.Int64Range(0, 20).Draw(t, "at")}
	for range l.columns {
		if rapid.IntRange(0, 4).Draw(t, "null") == 0 {
			f.values = append(f.values, nil)
		} else {
			f.values = append(f.values, rapid.Int64Range(-1<<40, 1<<40).Draw(t, "value"))
		}
	}
	f.EventID = rapid.SampledFrom([]string{"a", "b", "00000000-0000-4000-8000-00000000000a", "00000000-0000-4000-8000-00000000000b", "00000000-0000-0000-0000-000000000000"}).Draw(t, "id")
	f.Confidence = rapid.SampledFrom([]float64{0.25, 0.5, 1}).Draw(t, "confidence")
	f.Version = rapid.MapOfN(rapid.SampledFrom([]string{"eu", "us", "as"}), rapid.Int64Range(0, 5), 0, 3).Draw(t, "version")
	return f
}

// take folds the facts into the pane.
func take(l *layout, p *pane, facts ...fact) string {
	regions := map[string]string{}
	for _, f := range facts {
		for i, v := range f.values {
			l.values[i].unbox(v)
		}
		l.at, l.time, l.order = f.at, f.at, f.at
		l.record.set(l.kept, &f.Context, f.at, regions)
		if err := l.check(p); err != nil {
			return err.Error()
		}
		l.add(p)
	}
	return ""
}

func anyPane(t *rapid.T, l *layout) pane {
	var p pane
	for range rapid.IntRange(0, 5).Draw(t, "records") {
		if code := take(l, &p, anyFact(t, l)); code != "" {
			t.Fatal(code)
		}
	}
	return p
}

func results(l *layout, p *pane) []any {
	var out []any
	for i := range l.of {
		v, err := l.result(p, i)
		if err != nil {
			v = err.Error()
		}
		out = append(out, v)
	}
	return out
}

// TestPaneDoesNotDependOnHowItCameAbout: records folded in one by one, merged from parts in order of time, taken
// away again, copied over other panes and encoded in between give the same.
func TestPaneDoesNotDependOnHowItCameAbout(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := manual(anyAggregates.Draw(t, "aggregates")...)
		var facts []fact
		for range rapid.IntRange(1, 12).Draw(t, "records") {
			facts = append(facts, anyFact(t, l))
		}
		slices.SortStableFunc(facts, func(a, b fact) int { return int(a.at - b.at) })
		var whole, parts, spare pane
		take(l, &whole, facts...)
		for rest := facts; len(rest) > 0; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "part")
			var p pane
			take(l, &p, rest[:n]...)
			rest = rest[n:]
			l.merge(&parts, &p)
			var again pane
			if err := l.decode(l.append(nil, &parts, 7), &again, 7); err != nil {
				t.Fatal(err)
			}
			l.copy(&spare, &again)
			parts = again
			if l.invertible() || len(l.columns) > 0 && !slices.ContainsFunc(l.columns, func(c column) bool { return !c.invertible() }) {
				l.merge(&spare, &p)
				l.subtract(&spare, &p)
			}
		}
		want := results(l, &whole)
		if d := cmp.Diff(want, results(l, &parts)) + cmp.Diff(want, results(l, &spare)); d != "" {
			t.Fatal(d)
		}
		if !bytes.Equal(l.append(nil, &whole, 0), l.append(nil, &parts, 0)) && l.invertible() {
			t.Fatal("other bytes")
		}
		most := facts[0]
		least, confidence, version := most, 1.0, map[string]int64{}
		for _, f := range facts {
			if f.at > most.at || f.at == most.at && f.EventID > most.EventID {
				most = f
			}
			if f.at < least.at || f.at == least.at && f.EventID < least.EventID {
				least = f
			}
			confidence = min(confidence, f.Confidence)
			for k, n := range f.Version {
				version[k] = max(version[k], n)
			}
		}
		c := parts.trace
		if ids := c.ids(2); ids[0] != least.EventID || ids[1] != most.EventID || parts.latest != most.at || parts.count != int64(len(facts)) {
			t.Fatalf("first and last of %+v are %v", facts, ids)
		}
		if c.confidence != confidence || !maps.Equal(c.version.asMap(), version) {
			t.Fatalf("trace %+v, want %v %v", c, confidence, version)
		}
	})
}

// TestSketchesDependOnTheValuesAlone, not on their order, nor on how they were spread over parts.
func TestSketchesDependOnTheValuesAlone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		agg := rules.Aggregate{Func: rapid.SampledFrom([]rules.AggFunc{rules.Quantile, rules.Distinct, rules.Variance}).Draw(t, "function"), Q: 0.7}
		c := newColumn(&agg, false)
		n, spread := rapid.IntRange(1, 3000).Draw(t, "n"), rapid.Float64Range(0.001, 40).Draw(t, "spread")
		value := func(i int) *argument {
			var v argument
			v.unbox((float64(i%7) - 2) * math.Pow(2, float64(float64(i)*spread/float64(n))))
			return &v
		}
		var forth, back, merged acc
		for i := range n {
			c.add(&forth, value(i), 0)
			c.add(&back, value(n-1-i), 0)
		}
		parts := make([]acc, rapid.IntRange(1, 5).Draw(t, "parts"))
		for i := range n {
			c.add(&parts[(i*i)%len(parts)], value(i), 0)
		}
		for i := range parts {
			c.merge(&merged, &parts[i])
		}
		want := c.append(nil, &forth)
		for _, a := range []*acc{&back, &merged} {
			x, _ := c.result(&forth, &agg)
			if y, _ := c.result(a, &agg); x != y {
				t.Fatalf("%v and %v", x, y)
			}
			if agg.Func != rules.Variance && !bytes.Equal(want, c.append(nil, a)) {
				t.Fatal("other bytes")
			}
		}
	})
}
