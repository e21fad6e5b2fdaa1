package processors

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/schemas"
)

// benchRow is when the first record of the benchmarks of tables is made, ms.
const benchRow = 1_767_225_600_000

// lookupRule looks prices up in a table; asked says as of when.
func lookupRule(t testing.TB, table, asked string) *rules.Rule {
	t.Helper()
	s := lookupSpec{tables: []tableSpec{{asOf: asked}}, plain: true}
	streams := "domain: case\nstreams:\n  out: {topic: case.out, schema: case.Out, key: user}\n" +
		"  a: {topic: case.a, schema: case.Update, key: user, time: at, table: " + table + "}\n" +
		"  s: {topic: case.s, schema: case.Update, key: user, time: at}\n"
	rule, err := loadTables(streams, s.yaml(), true)
	if err != nil {
		t.Fatal(err)
	}
	return rule
}

// tableBench feeds records to a rule over tables.
type tableBench struct {
	*engine
	t    testing.TB
	code *codec
}

func newTableBench(t testing.TB, rule *rules.Rule) *tableBench {
	code, err := newCodec(rule)
	if err != nil {
		t.Fatal(err)
	}
	return &tableBench{newEngine(t, rule), t, code}
}

func (x *tableBench) event(input int, user string, at, asked int64) *Event {
	id := schemas.InputID("topic", 0, at)
	e, err := x.code.event(input, []any{user, "some text", at, at, asked}, schemas.Context{EventID: id, CorrelationID: id, Entity: user, Region: "eu-west", Priority: schemas.PriorityStandard, Confidence: 1})
	if err != nil {
		x.t.Fatal(err)
	}
	return e
}

func (x *tableBench) take(e *Event) {
	if err := x.step(e); err != nil {
		x.t.Fatal(err)
	}
}

// BenchmarkLookup: what a lookup costs in tables of any size, and what a row takes in memory.
func BenchmarkLookup(b *testing.B) {
	for _, kind := range []struct{ name, table, asked string }{{"latest", "true", ""}, {"history", "{history: 1d}", "now()"}} {
		for _, n := range []int{1000, 100_000, 1_000_000} {
			b.Run(fmt.Sprintf("%s/%d", kind.name, n), func(b *testing.B) {
				x := newTableBench(b, lookupRule(b, kind.table, kind.asked))
				before := heapBytes()
				for i := range n {
					x.take(x.event(0, fmt.Sprintf("u%06d", i), benchRow+int64(i), 0))
				}
				perRow := float64(heapBytes()-before) / float64(n)
				next := draws()
				events := make([]*Event, 10_000)
				for i := range events {
					at := benchRow + int64(n+i)
					events[i] = x.event(1, fmt.Sprintf("u%06d", next(uint64(n))), at, at)
				}
				b.ReportAllocs()
				i := 0
				for b.Loop() {
					x.take(events[i%len(events)])
					i++
				}
				b.ReportMetric(perRow, "B/row")
				if x.outputs < i {
					b.Fatalf("%d results of %d lookups", x.outputs, i)
				}
			})
		}
	}
}

func heapBytes() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// versioned is a table with n versions of one row, a second apart, all of which can be asked for.
func versioned(t testing.TB, n int) (x *tableBench, at int64) {
	x = newTableBench(t, lookupRule(t, fmt.Sprintf("{history: %ds}", n), "s.asked"))
	at = benchRow
	for range n + 50 {
		x.take(x.event(0, "u", at, 0))
		at += 1000
	}
	return x, at
}

// BenchmarkHistory: neither what a lookup costs nor what an update does depends on how many versions a row has.
func BenchmarkHistory(b *testing.B) {
	for _, n := range []int{10, 100, 1000, 10_000} {
		b.Run(fmt.Sprintf("lookup/%d", n), func(b *testing.B) {
			x, at := versioned(b, n)
			next := draws()
			events := make([]*Event, 1000)
			for i := range events {
				events[i] = x.event(1, "u", at, at-next(uint64(n-5))*1000)
			}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				x.take(events[i%len(events)])
				i++
			}
			if x.outputs < i {
				b.Fatalf("%d results of %d lookups", x.outputs, i)
			}
		})
		b.Run(fmt.Sprintf("update/%d", n), func(b *testing.B) {
			x, at := versioned(b, n)
			x.count = true
			b.ReportAllocs()
			e := x.event(0, "u", at, 0)
			for b.Loop() {
				e.Time = at
				x.take(e)
				at += 1000
			}
			b.ReportMetric(float64(x.written)/float64(b.N), "written-B/op")
		})
	}
}
