package processors

import (
	"fmt"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/schemas"
)

func (s *tableJoinSpec) compile() (*rules.Rule, error) {
	return loadTables(tableStreams(s.tables[:], s.outOfOrder), s.yaml(), s.plain)
}

func anyTableJoin(rt *rapid.T) tableJoinSpec {
	s := tableJoinSpec{
		typ:     rapid.SampledFrom([]rules.JoinType{rules.InnerJoin, rules.LeftJoin, rules.RightJoin, rules.OuterJoin}).Draw(rt, "type"),
		tables:  [2]tableSpec{anyTable(rt), anyTable(rt)},
		least:   rapid.IntRange(0, 2).Draw(rt, "least") == 0,
		rising:  rapid.IntRange(0, 2).Draw(rt, "rising") == 0,
		having:  rapid.IntRange(0, 3).Draw(rt, "having") == 0,
		apart:   rapid.IntRange(0, 2).Draw(rt, "apart") == 0,
		rekeyed: rapid.IntRange(0, 2).Draw(rt, "rekeyed") == 0,
		plain:   rapid.IntRange(0, 3).Draw(rt, "plain") == 0,
	}
	s.rising = s.rising && s.typ != rules.OuterJoin
	return s
}

// TestTableJoinAnyOrderGivesTheSame compares a join of tables that come in disorder within what they declare, with time that
// moves in steps and with the partition handed over in between, with the definition over the records in their total order.
func TestTableJoinAnyOrderGivesTheSame(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := anyTableJoin(rt)
		s.outOfOrder = rapid.SampledFrom([]int64{0, 7, 40}).Draw(rt, "out of order")
		rule, err := s.compile()
		if err != nil {
			rt.Fatal(err)
		}
		xs := late(rt, anyUpdates(rt, 2, 2, rapid.SampledFrom([]int{20, 20, 150}).Draw(rt, "most")), s.outOfOrder)
		ref := newTableJoinReference(s, rule)
		for _, x := range inTotalOrder(xs) {
			ref.take(x, x.at)
		}
		ref.advance(Ended)
		m := tablePlay{
			manner:     manner{every: rapid.IntRange(1, 5).Draw(rt, "every"), restart: rapid.SampledFrom([]int{0, 1, 2, 17}).Draw(rt, "restart"), ends: true, honest: true},
			outOfOrder: s.outOfOrder, vain: rapid.Bool().Draw(rt, "vain"), common: rapid.Bool().Draw(rt, "common"),
		}
		tablesJoined(t, rt, ref, m.play(t, rule, xs))
	})
}

// TestLateTableJoin compares with the reference while records come in any order and time moves with the latest.
func TestLateTableJoin(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := anyTableJoin(rt)
		s.arrival = rapid.Bool().Draw(rt, "arrival")
		rule, err := s.compile()
		if err != nil {
			rt.Fatal(err)
		}
		ahead := int64(1) // so that those of equal times do not wait for each other
		if s.arrival {
			ahead = rapid.Int64Range(-3, 1).Draw(rt, "ahead")
		}
		xs := late(rt, anyUpdates(rt, 2, 2, rapid.SampledFrom([]int{20, 20, 150}).Draw(rt, "most")), rapid.SampledFrom([]int64{0, 10, 60}).Draw(rt, "disorder"))
		ref, clock := newTableJoinReference(s, rule), Unknown
		for _, x := range xs {
			clock = max(clock, x.at+ahead)
			ref.take(x, clock)
		}
		ref.advance(Ended)
		m := tablePlay{
			manner: manner{every: 1, restart: rapid.SampledFrom([]int{0, 1, 2, 17}).Draw(rt, "restart"), ends: true},
			common: true, ahead: ahead, vain: rapid.Bool().Draw(rt, "vain"),
		}
		tablesJoined(t, rt, ref, m.play(t, rule, xs))
	})
}

// tablesJoined compares what was played to its end with the reference, and checks that nothing is left but rows that hold for
// ever, and that the streams hold what the rows say at last.
func tablesJoined(t *testing.T, rt *rapid.T, ref *tableJoinReference, p *player) {
	t.Helper()
	if most := 3*p.read + 10; p.fired > most {
		rt.Fatalf("%s\n%d deadlines of %d records", ref.yaml(), p.fired, p.read)
	}
	if d := gocmp.Diff(sortedLines(ref.lines), tableLines(p, ref.plain)); d != "" {
		rt.Fatalf("%s\n-want +got:\n%s", ref.yaml(), d)
	}
	if got, want := [2]int{p.late, p.matched}, [2]int{ref.late, ref.matched}; got != want {
		rt.Fatalf("%s\nlate, matched: %v, want %v", ref.yaml(), got, want)
	}
	users := map[string]bool{}
	for i, rows := range ref.rows {
		want := 0
		for user := range rows {
			if users[user] = true; ref.row(i, user) != nil {
				want++
			}
		}
		if got := rowsLeft(p, i); got != want {
			rt.Fatalf("%s\ntable %d has %d versions at the end of time, want %d", ref.yaml(), i, got, want)
		}
	}
	want := map[string]bool{}
	for user := range users {
		last := ref.pair(user)
		ref.matching(&last)
		if at := ref.stream(user, last); at != "" {
			want[at] = true
		}
	}
	got := map[string]bool{}
	for _, o := range p.played {
		if key := o.Stream.Name + " " + o.Key; o.Delete {
			delete(got, key)
		} else {
			got[key] = true
		}
	}
	if d := gocmp.Diff(want, got); d != "" {
		rt.Fatalf("%s\nwhat holds at last: %s", ref.yaml(), d)
	}
}

// TestFailingRowChangesNothing: a row that fails against the other one is a dead letter, and the one before it still holds.
func TestFailingRowChangesNothing(t *testing.T) {
	rule, err := loadTables(tableStreams(make([]tableSpec, 2), 0), `    from: {a: case.a, b: case.b}
    join: {tables: true}
    where: int(a.text) < int(b.text)
    select: {user: key, a: a.text, b: b.text}
    to: [{when: 'a.text != "5"', stream: case.out}]
`, true)
	if err != nil {
		t.Fatal(err)
	}
	code, err := newCodec(rule)
	if err != nil {
		t.Fatal(err)
	}
	p := newPlayer(t, rule)
	for i, x := range []update{
		{party: party{input: 0, text: "1"}},
		{party: party{input: 1, text: "2"}},
		{party: party{input: 0, text: "no number"}},
		{party: party{input: 1, text: "3"}},
		{party: party{input: 0, text: "5"}},
		{party: party{input: 1, text: "9"}},
		{party: party{input: 0}, deleted: true},
	} {
		x.user, x.at, x.event, x.confidence = "u", int64(i), schemas.EventID(x.text), 1
		p.due(0, x.at+1)
		p.due(1, x.at+1)
		p.record(x.asEvent(t, code))
	}
	var got []string
	for _, o := range p.played {
		got = append(got, fmt.Sprintf("%v %v %v", o.Fields["a"], o.Fields["b"], o.Delete))
	}
	want := []string{"1 2 false", "1 3 false", "1 3 true"} // 5 and 3 do not match, and no route takes 5 and 9
	if d := gocmp.Diff(want, got); d != "" || !slices.Equal(p.dead, []string{"E704"}) {
		t.Errorf("dead letters %v, results: %s", p.dead, d)
	}
}
