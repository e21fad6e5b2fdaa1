package processors

import (
	"fmt"
	"slices"
	"sort"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/schemas"
)

// TestSlidingOverManyMoments compares windows of hundreds of records, which come in any order within the lateness, with
// sums over the sorted records.
func TestSlidingOverManyMoments(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := spec{
			window: rules.Window{Kind: rules.Sliding, Size: rapid.SampledFrom([]int64{300, 1500}).Draw(rt, "size")}, emit: rules.EmitFinal,
			lateness: rapid.SampledFrom([]int64{0, 200}).Draw(rt, "lateness"), selects: []string{"n", "total", "most", "end"},
		}
		rule, err := s.compile()
		if err != nil {
			rt.Fatal(err)
		}
		step := rapid.Int64Range(1, 4).Draw(rt, "step")
		vs := make([]visit, 1000)
		for i := range vs {
			vs[i] = visit{user: "u", value: float64(i % 13), at: int64(i) * step / 2, confidence: 1}
		}
		vs = number(shuffled(rt, vs, s.lateness))
		p := s.play(t, rule, vs, manner{every: 1, restart: rapid.SampledFrom([]int{0, 300}).Draw(rt, "restart"), ends: true})
		var got []string
		for _, o := range p.played {
			got = append(got, fmt.Sprint(o.Fields["end"], " ", o.Fields["n"], " ", o.Fields["total"], " ", o.Fields["most"]))
		}
		slices.SortFunc(vs, func(a, b visit) int { return int(a.at - b.at) })
		if d := gocmp.Diff(sortedLines(slidingSums(vs, s.window.Size)), sortedLines(got)); d != "" {
			rt.Fatal(d)
		}
	})
}

// slidingSums are the windows over sorted records.
func slidingSums(vs []visit, size int64) []string {
	ends := map[int64]bool{}
	for _, v := range vs {
		ends[max(v.at, size)], ends[v.at+1+size] = true, true
	}
	var lines []string
	for end := range ends {
		i := sort.Search(len(vs), func(i int) bool { return vs[i].at >= end-size })
		j := sort.Search(len(vs), func(i int) bool { return vs[i].at > end })
		total, most := 0.0, 0.0
		for _, v := range vs[i:j] {
			total, most = total+v.value, max(most, v.value)
		}
		if i < j {
			lines = append(lines, fmt.Sprint(end, " ", j-i, " ", total, " ", most))
		}
	}
	return lines
}

// TestSlidingCostsTheSameWithManyRecords: what an event writes does not grow with the records in its windows.
func TestSlidingCostsTheSameWithManyRecords(t *testing.T) {
	costsTheSame(t, func(n int) (string, int64) { return fmt.Sprintf("{sliding: %dms}", n), 1 })
}

// TestSessionCostsTheSameWithManySessions: what an event writes does not grow with the sessions that are open.
func TestSessionCostsTheSameWithManySessions(t *testing.T) {
	costsTheSame(t, func(n int) (string, int64) { return fmt.Sprintf("{gap: 1ms}\n    lateness: %dms", 3*n), 3 })
}

// costsTheSame compares the bytes that events write while 10 and 10,000 items of a key are kept. window says for how
// many, and how many ms lie between the events.
func costsTheSame(t *testing.T, window func(n int) (string, int64)) {
	few, many := writtenBytes(t, 10, window), writtenBytes(t, 10_000, window)
	t.Logf("bytes per event: %d with 10, %d with 10,000", few, many)
	if many > 2*few {
		t.Errorf("%d bytes per event with 10,000, %d with 10", many, few)
	}
}

func writtenBytes(t *testing.T, n int, window func(n int) (string, int64)) int {
	text, step := window(n)
	p, next := crowdedKey(t, n, text, step)
	const events = 2000
	p.count = true
	for range events {
		p.quickly(next())
	}
	written := p.written
	p.due(0, Ended)
	if n := p.left(); n > 0 {
		t.Errorf("%d cells are left at the end of time", n)
	}
	return written / events
}

// crowdedKey is a player in which one key keeps n items; next gives its next event.
func crowdedKey(t testing.TB, n int, window string, step int64) (*player, func() *Event) {
	rule := spendRule(t, "    window: "+window+"\n"+spendSelect)
	code, err := newCodec(rule)
	if err != nil {
		t.Fatal(err)
	}
	at := int64(1_767_225_600_000)
	next := func() *Event {
		at += step
		e, err := code.event(0, []any{"u", -5.25, at}, schemas.Context{Entity: "u", EventID: "e"})
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	p := newPlayer(t, rule)
	p.quiet = true
	for range n {
		p.quickly(next())
	}
	return p, next
}

// quickly plays a record that moves time.
func (p *player) quickly(e *Event) {
	p.due(0, max(e.Time, p.task.Clock()))
	p.record(e)
}

// BenchmarkCrowdedKey: what an event costs must not depend on how much its key keeps, nor on how late the event is.
func BenchmarkCrowdedKey(b *testing.B) {
	for _, c := range []struct {
		name   string
		window func(n int) (string, int64)
		late   func(n int) int64
	}{
		{"sliding", func(n int) (string, int64) { return fmt.Sprintf("{sliding: %dms}", n), 1 }, nil},
		{"sliding-late", func(n int) (string, int64) { return fmt.Sprintf("{sliding: %dms}", n), 1 }, func(n int) int64 { return int64(n / 2) }},
		{"session", func(n int) (string, int64) { return fmt.Sprintf("{gap: 1ms}\n    lateness: %dms", 3*n), 3 }, nil},
		{"session-late", func(n int) (string, int64) { return fmt.Sprintf("{gap: 1ms}\n    lateness: %dms", 3*n), 3 }, func(n int) int64 { return int64(n) }},
	} {
		for _, n := range []int{10, 100, 1000, 10_000} {
			b.Run(fmt.Sprintf("%s/%d", c.name, n), func(b *testing.B) {
				text, step := c.window(n)
				p, next := crowdedKey(b, n, text, step)
				events := make([]*Event, b.N)
				for i := range events {
					if events[i] = next(); i%2 == 1 && c.late != nil {
						events[i].Time -= c.late(n)
					}
				}
				b.ReportAllocs()
				b.ResetTimer()
				for _, e := range events {
					p.quickly(e)
				}
			})
		}
	}
}
