package processors

import (
	"fmt"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/millrace-io/millrace/rules"
)

func (s *lookupSpec) compile() (*rules.Rule, error) {
	streams := tableStreams(s.tables, s.outOfOrder) + fmt.Sprintf("  s: {topic: case.s, schema: case.Update, key: user, time: at, out_of_order: %dms}\n", s.outOfOrder)
	return loadTables(streams, s.yaml(), s.plain)
}

func anyLookup(rt *rapid.T) lookupSpec {
	s := lookupSpec{
		lateness: rapid.SampledFrom([]int64{0, 0, 5, 30}).Draw(rt, "lateness"),
		keyed:    rapid.Bool().Draw(rt, "keyed"),
		least:    rapid.Bool().Draw(rt, "least"),
		rising:   rapid.IntRange(0, 2).Draw(rt, "rising") == 0,
		having:   rapid.IntRange(0, 3).Draw(rt, "having") == 0,
		plain:    rapid.IntRange(0, 3).Draw(rt, "plain") == 0,
	}
	for range rapid.IntRange(1, 2).Draw(rt, "tables") {
		t := anyTable(rt)
		t.left = rapid.Bool().Draw(rt, "left")
		if t.history > 0 {
			t.asOf = rapid.SampledFrom([]string{"", "now()", "s.asked", "s.asked"}).Draw(rt, "as of")
		}
		s.tables = append(s.tables, t)
	}
	return s
}

// TestLookupAnyOrderGivesTheSame compares a lookup in tables that come in disorder within what they declare, and rules wait
// for, with time that moves in steps and with the partition handed over in between, with the definition over the records in
// their total order.
func TestLookupAnyOrderGivesTheSame(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := anyLookup(rt)
		s.outOfOrder = rapid.SampledFrom([]int64{0, 7, 40}).Draw(rt, "out of order")
		rule, err := s.compile()
		if err != nil {
			rt.Fatal(err)
		}
		n := len(s.tables)
		xs := late(rt, anyUpdates(rt, n+1, n, rapid.SampledFrom([]int{20, 20, 150}).Draw(rt, "most")), s.outOfOrder+s.lateness)
		ref := newLookupReference(s, rule)
		for _, x := range inTotalOrder(xs) {
			ref.take(x, x.at)
		}
		m := tablePlay{
			manner:     manner{every: rapid.IntRange(1, 5).Draw(rt, "every"), restart: rapid.SampledFrom([]int{0, 1, 2, 17}).Draw(rt, "restart"), ends: true, honest: true},
			outOfOrder: s.outOfOrder, vain: rapid.Bool().Draw(rt, "vain"), common: rapid.Bool().Draw(rt, "common"),
		}
		lookedUp(t, rt, ref, m.play(t, rule, xs))
	})
}

// TestLateLookup compares with the reference while records come in any order and time moves with the latest.
func TestLateLookup(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := anyLookup(rt)
		if s.arrival = rapid.Bool().Draw(rt, "arrival"); !s.arrival {
			s.lateness = 0 // nothing waits
		}
		rule, err := s.compile()
		if err != nil {
			rt.Fatal(err)
		}
		n, ahead := len(s.tables), int64(1) // so that those of equal times do not wait for each other
		if s.arrival {
			ahead = rapid.Int64Range(-3, 1).Draw(rt, "ahead")
		}
		xs := late(rt, anyUpdates(rt, n+1, n, rapid.SampledFrom([]int{20, 20, 150}).Draw(rt, "most")), rapid.SampledFrom([]int64{0, 10, 60}).Draw(rt, "disorder"))
		ref, clock := newLookupReference(s, rule), Unknown
		for _, x := range xs {
			clock = max(clock, x.at+ahead-s.lateness)
			ref.take(x, clock)
		}
		m := tablePlay{
			manner: manner{every: 1, restart: rapid.SampledFrom([]int{0, 1, 2, 17}).Draw(rt, "restart"), ends: true},
			common: true, ahead: ahead, vain: rapid.Bool().Draw(rt, "vain"),
		}
		lookedUp(t, rt, ref, m.play(t, rule, xs))
	})
}

// lookedUp compares what was played to its end with the reference, and checks that every record is accounted for and that
// nothing is left but rows that hold for ever.
func lookedUp(t *testing.T, rt *rapid.T, ref *lookupReference, p *player) {
	t.Helper()
	if most := 3*p.read + 10; p.fired > most {
		rt.Fatalf("%s\n%d deadlines of %d records", ref.yaml(), p.fired, p.read)
	}
	if d := gocmp.Diff(sortedLines(ref.lines), tableLines(p, ref.plain)); d != "" {
		rt.Fatalf("%s\n-want +got:\n%s", ref.yaml(), d)
	}
	if got, want := [3]int{p.late, p.missing, p.matched}, [3]int{ref.late, ref.missing, ref.matched}; got != want {
		rt.Fatalf("%s\nlate, missing, matched: %v, want %v", ref.yaml(), got, want)
	}
	for i, rows := range ref.rows {
		want := 0
		for _, v := range rows {
			if ref.tables[i].ttl == 0 && !v.newest().deleted {
				want++
			}
		}
		if got := rowsLeft(p, i); got != want {
			rt.Fatalf("%s\ntable %d has %d versions at the end of time, want %d", ref.yaml(), i, got, want)
		}
	}
}
