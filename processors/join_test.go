package processors

import (
	"cmp"
	"fmt"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/schemas"
)

const (
	partySchema = `{"type":"record","name":"Party","namespace":"case","fields":[{"name":"user","type":"string"},{"name":"text","type":"string"},{"name":"value","type":"long"},
{"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}}]}`
	pairFields = `{"type":"record","name":"%s","namespace":"case","fields":[{"name":"user","type":"string"},{"name":"a","type":["null","string"],"default":null},
{"name":"b","type":["null","string"],"default":null},{"name":"c","type":["null","string"],"default":null},{"name":"confidence","type":"double"}%s]}`
	pairContext = `,{"name":"version","type":{"type":"map","values":"long"}},{"name":"lineage","type":{"type":"array","items":{"type":"record","name":"LineageStep","fields":[{"name":"rule","type":"string"},{"name":"rule_version","type":"string"},{"name":"domain","type":"string"},{"name":"event_ids","type":{"type":"array","items":"string"}},{"name":"inputs","type":"long","default":0},{"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}}]}}}`
)

func (s *joinSpec) compile() (*rules.Rule, error) { return s.compileOver(partySchema) }

// compileOver compiles the rule for records of another schema.
func (s *joinSpec) compileOver(schema string) (*rules.Rule, error) {
	context := pairContext
	if s.plain {
		context = ""
	}
	streams := "domain: case\nstreams:\n  out: {topic: case.out, schema: case.Out, key: user}\n"
	for _, alias := range joinAliases {
		streams += fmt.Sprintf("  %c: {topic: case.%c, schema: case.Party, key: user, time: at, out_of_order: %dms}\n", alias, alias, s.outOfOrder)
	}
	return load(map[string]string{"case/Party.avsc": schema, "case/Out.avsc": fmt.Sprintf(pairFields, "Out", context)}, streams,
		"domain: case\nrules:\n  - name: r\n"+s.yaml())
}

// anyJoin draws a join of any type.
func anyJoin(rt *rapid.T) joinSpec {
	s := joinSpec{
		typ:      rapid.SampledFrom([]rules.JoinType{rules.InnerJoin, rules.LeftJoin, rules.RightJoin, rules.OuterJoin}).Draw(rt, "type"),
		within:   make([]rules.Within, 2),
		lateness: rapid.SampledFrom([]int64{0, 5, 30}).Draw(rt, "lateness"),
		rising:   rapid.Bool().Draw(rt, "rising"),
		least:    rapid.Bool().Draw(rt, "least"),
		having:   rapid.IntRange(0, 3).Draw(rt, "having") == 0,
		plain:    rapid.IntRange(0, 3).Draw(rt, "plain") == 0,
	}
	if s.typ == rules.InnerJoin && rapid.Bool().Draw(rt, "three") {
		s.within = make([]rules.Within, 3)
	}
	bound := rapid.SampledFrom([]int64{0, 1, 5, 20})
	for i := range s.within[1:] {
		s.within[i+1] = rules.Within{Before: bound.Draw(rt, "before"), After: bound.Draw(rt, "after")}
	}
	return s
}

// anyParties draws records of the inputs whose times lie close together, with pauses.
func anyParties(rt *rapid.T, inputs, most int) []*party {
	pauses := rapid.SampledFrom([][]int64{{0, 1, 2, 5, 6}, {0, 4, 5, 6, 19, 20, 21, 60}}).Draw(rt, "pauses")
	users := rapid.SampledFrom([][]string{{"u"}, {"u", "v"}}).Draw(rt, "users")
	now := rapid.Int64Range(-20, 20).Draw(rt, "start")
	ps := make([]*party, rapid.IntRange(1, most).Draw(rt, "n"))
	for i := range ps {
		now += rapid.SampledFrom(pauses).Draw(rt, "pause")
		x := &party{
			input: rapid.IntRange(0, inputs-1).Draw(rt, "input"), user: rapid.SampledFrom(users).Draw(rt, "user"), at: now,
			text: fmt.Sprint(rapid.IntRange(0, 3).Draw(rt, "text")), value: int64(rapid.IntRange(-1, 3).Draw(rt, "value")),
			event: fmt.Sprintf("e%03d", i), confidence: rapid.SampledFrom([]float64{1, 1, 0.5}).Draw(rt, "confidence"),
			version: rapid.SampledFrom([]map[string]int64{nil, {"eu": int64(i)}, {"eu": 3, "us": int64(i)}}).Draw(rt, "version"),
		}
		if rapid.Bool().Draw(rt, "uuid") {
			x.event = schemas.EventID(x.event)
		}
		x.related = rapid.SampledFrom([]string{"c", x.event, schemas.EventID("c")}).Draw(rt, "related")
		if rapid.Bool().Draw(rt, "derived") {
			x.lineage = []schemas.Step{{Rule: "before", RuleVersion: "1", Domain: "d", EventIDs: []string{"x"}, Inputs: 1, At: 1}}
		}
		ps[i] = x
	}
	return ps
}

// disordered brings records into an order in which none comes more than most ms of event time after a later one.
func disordered(rt *rapid.T, ps []*party, most int64) []*party {
	arrival := map[*party]int64{}
	for _, x := range ps {
		arrival[x] = x.at + rapid.Int64Range(0, most).Draw(rt, "delay")
	}
	out := slices.Clone(ps)
	slices.SortStableFunc(out, func(a, b *party) int { return cmp.Compare(arrival[a], arrival[b]) })
	return out
}

// joinClock is how event time moves.
type joinClock struct {
	times      []int64
	outOfOrder int64
	common     bool // all inputs have the time of the one that is ahead
}

func newJoinClock(s *joinSpec, common bool) *joinClock {
	c := &joinClock{make([]int64, len(s.within)), s.outOfOrder, common || s.self}
	for i := range c.times {
		c.times[i] = Unknown
	}
	return c
}

// see takes in the time of a record, and gives the time of the operator.
func (c *joinClock) see(x *party) int64 {
	for i := range c.times {
		if c.common || i == x.input {
			c.times[i] = max(c.times[i], x.at-c.outOfOrder)
		}
	}
	return slices.Min(c.times)
}

// play runs the compiled rule over records in the order in which they come. A record of a self join is one of each input.
func (s *joinSpec) play(t testing.TB, rule *rules.Rule, ps []*party, m manner, common bool) *player {
	code, err := newCodec(rule)
	if err != nil {
		t.Fatal(err)
	}
	p, clock := newPlayer(t, rule), newJoinClock(s, common)
	promised := newPromise(p)
	for i, x := range ps {
		context := schemas.Context{
			EventID: x.event, CorrelationID: x.related, Entity: x.user, Confidence: x.confidence, Version: x.version, Lineage: x.lineage,
			Region: "eu-west", Priority: schemas.PriorityStandard, OccurredAt: x.at,
		}
		clock.see(x)
		if i%m.every == 0 {
			for input, at := range clock.times {
				p.due(input, at)
			}
		}
		promised.check(t, p, m.honest)
		for _, input := range s.inputs(x) {
			e, err := code.event(input, []any{x.user, x.text, x.value, x.at}, context)
			if err != nil {
				t.Fatal(err)
			}
			p.record(e)
			if m.restart > 0 && i%m.restart == 0 {
				p.restart()
				p.offer(&offered{e, Position{Time: e.Time, Input: input, Offset: int64(p.read)}}, true) // read again
			}
		}
	}
	if m.ends {
		for input := range clock.times {
			p.due(input, Ended)
		}
	}
	promised.check(t, p, m.honest)
	if len(p.dead) > 0 {
		t.Fatalf("dead letters: %v", p.dead)
	}
	return p
}

// promise is what the task says of the event times of results to come.
type promise struct {
	at   int64
	seen int // results so far
}

func newPromise(p *player) *promise { return &promise{p.task.OutputTime(), 0} }

// check holds the results since the last check to the promise. Records that come out of order beyond what their stream declares
// may break it.
func (x *promise) check(t testing.TB, p *player, honest bool) {
	for _, o := range p.played[x.seen:] {
		if honest && o.Time < x.at && !IsIdle(x.at) {
			t.Fatalf("a result at %d, promised was %d", o.Time, x.at)
		}
	}
	x.at, x.seen = p.task.OutputTime(), len(p.played)
}

// inputs are those that a record is one of.
func (s *joinSpec) inputs(x *party) []int {
	if !s.self {
		return []int{x.input}
	}
	all := make([]int, len(s.within))
	for i := range all {
		all[i] = i
	}
	return all
}

func (s *joinSpec) lines(p *player) []string {
	var lines []string
	for i := range p.played {
		lines = append(lines, s.line(&p.played[i]))
	}
	return lines
}

// TestJoinAnyOrderGivesTheSame compares a join of streams that come in disorder within what they declare, with time that moves in
// steps and with the partition handed over in between, with the definition over all records, whatever their order.
func TestJoinAnyOrderGivesTheSame(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := anyJoin(rt)
		s.outOfOrder = rapid.SampledFrom([]int64{0, 7, 40}).Draw(rt, "out of order")
		s.self = rapid.IntRange(0, 3).Draw(rt, "self") == 0
		rule, err := s.compile()
		if err != nil {
			rt.Fatal(err)
		}
		ps := anyParties(rt, len(s.within), rapid.SampledFrom([]int{20, 20, 120}).Draw(rt, "most"))
		ref := newJoinReference(s)
		for _, x := range ps {
			for _, input := range s.inputs(x) {
				y := *x
				y.input = input
				ref.take(&y, Unknown) // nothing is ever over
			}
		}
		ref.advance(Ended)
		common := rapid.Bool().Draw(rt, "common")
		m := manner{every: rapid.IntRange(1, 5).Draw(rt, "every"), restart: rapid.SampledFrom([]int{0, 1, 2, 17}).Draw(rt, "restart"), ends: true, honest: true}
		p := s.play(t, rule, disordered(rt, ps, s.outOfOrder), m, common)
		plain := s.play(t, rule, ps, manner{every: 1, ends: true}, true)
		if d := gocmp.Diff(sortedLines(ref.lines), sortedLines(s.lines(p))); d != "" {
			rt.Fatalf("%s\n-want +got:\n%s", s.yaml(), d)
		}
		if d := gocmp.Diff(resultIDs(plain), resultIDs(p)); d != "" {
			rt.Fatalf("event ids: %s", d)
		}
		joinAccounted(rt, ref, p, ps)
	})
}

// TestLateJoin compares with the reference while records come in any order and time moves with the latest: what is late, what
// finds no other any more, and what comes out alone although it might have matched.
func TestLateJoin(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := anyJoin(rt)
		rule, err := s.compile()
		if err != nil {
			rt.Fatal(err)
		}
		ps := anyParties(rt, len(s.within), rapid.SampledFrom([]int{20, 20, 120}).Draw(rt, "most"))
		ps = disordered(rt, ps, rapid.SampledFrom([]int64{0, 10, 60}).Draw(rt, "disorder"))
		common := rapid.Bool().Draw(rt, "common")
		ref, clock := newJoinReference(s), newJoinClock(&s, common)
		for _, x := range ps {
			y := *x
			ref.take(&y, clock.see(x))
		}
		ref.advance(Ended)
		p := s.play(t, rule, ps, manner{every: 1, restart: rapid.SampledFrom([]int{0, 1, 2, 17}).Draw(rt, "restart"), ends: true}, common)
		if d := gocmp.Diff(sortedLines(ref.lines), sortedLines(s.lines(p))); d != "" {
			rt.Fatalf("%s\n-want +got:\n%s", s.yaml(), d)
		}
		joinAccounted(rt, ref, p, ps)
	})
}

// joinAccounted checks that every record that takes part has matched, or came out alone, or was late, or, on a side of which none
// comes out alone, has gone; that no event id comes twice, and that no state outlives what waits.
func joinAccounted(rt *rapid.T, ref *joinReference, p *player, ps []*party) {
	matched, alone, takePart := map[string]bool{}, map[string]bool{}, 0
	for _, id := range ref.paired {
		matched[id] = true
	}
	for _, id := range ref.alone {
		if !ref.self && (matched[id] || alone[id]) {
			rt.Fatalf("%s came out alone, and before that, too", id)
		}
		alone[id] = true
	}
	for _, x := range ps {
		for _, input := range ref.inputs(x) {
			y := *x
			if y.input = input; ref.takesPart(&y) {
				takePart++
			}
		}
	}
	if p.late != ref.late || p.matched != takePart {
		rt.Fatalf("%d late and %d that take part, want %d and %d", p.late, p.matched, ref.late, takePart)
	}
	if all := resultIDs(p); len(slices.Compact(all)) < len(p.played) {
		rt.Fatal("an event id comes twice")
	}
	if left := p.left(); left > 0 {
		rt.Fatalf("%d cells are left at the end of time", left)
	}
}

// TestJoinWritesOneChunk: what a record writes does not depend on how many wait.
func TestJoinWritesOneChunk(t *testing.T) {
	s := joinSpec{typ: rules.OuterJoin, within: []rules.Within{{}, {Before: 1 << 30, After: 1 << 30}}, rising: true}
	rule, err := s.compile()
	if err != nil {
		t.Fatal(err)
	}
	perRecord := func(n int) int {
		var ps []*party
		for i := range n {
			ps = append(ps, &party{input: i % 2, user: "u", text: "t", value: int64(-i % 2), at: int64(i), event: fmt.Sprint("e", i), related: "c", confidence: 1})
		}
		p := s.play(t, rule, ps, manner{every: 1}, true)
		p.quiet, p.count = true, true
		code, err := newCodec(rule)
		if err != nil {
			t.Fatal(err)
		}
		const more = 100
		for i := range more {
			at := int64(n + i)
			e, err := code.event(i%2, []any{"u", "t", int64(-i % 2), at}, schemas.Context{EventID: fmt.Sprint("e", at), CorrelationID: "c", Confidence: 1})
			if err != nil {
				t.Fatal(err)
			}
			p.record(e)
		}
		return p.written / more
	}
	few, many := perRecord(400), perRecord(4000)
	if many > 2*few || many > 1000 {
		t.Errorf("a record writes %d bytes among 400, %d among 4000", few, many)
	}
}

// TestMutedDeadlines: where results cannot be written time goes on, and they do not come later.
func TestMutedDeadlines(t *testing.T) {
	s, rule, _ := outerJoin(t, 10, 10)
	p := s.play(t, rule, []*party{{user: "u", text: "l", at: 100, event: "e", related: "c", confidence: 1}}, manner{every: 1}, true)
	row, err := p.Row("u", "j0")
	if err != nil {
		t.Fatal(err)
	}
	r := &Result{Mute: true}
	if err := p.op.(Timed).Fire(p, row, 111, r); err != nil || len(r.Outputs) > 0 {
		t.Fatalf("%d results, %v", len(r.Outputs), err)
	}
	p.apply(r)
	if p.left() > 0 {
		t.Error("the record still waits")
	}
}

// TestFailingPairChangesNothing: a record that fails against one that waits is a dead letter, and leaves no trace on others that
// it would have matched.
func TestFailingPairChangesNothing(t *testing.T) {
	rule := movedThenSpent(t, "{type: left, within: {after: 100ms}}", "int(m.country) < int(p.amount)")
	code, err := newCodec(rule)
	if err != nil {
		t.Fatal(err)
	}
	p := newPlayer(t, rule)
	record := func(input int, id string, fields ...any) {
		t.Helper()
		e, err := code.event(input, fields, schemas.Context{EventID: id, CorrelationID: id, Confidence: 1})
		if err != nil {
			t.Fatal(err)
		}
		for i := range rule.Inputs {
			p.due(i, e.Time)
		}
		p.record(e)
	}
	record(0, "good", "u", "1", 0.0, int64(1000))
	record(0, "bad", "u", "no number", 0.0, int64(1001))
	record(1, "payment", "u", 5.0, int64(1002))
	for i := range rule.Inputs {
		p.due(i, Ended)
	}
	if len(p.dead) != 1 || p.matched != 2 || len(p.played) != 2 || p.played[0].Fields["amount"] != nil || p.played[1].Fields["amount"] != nil || p.left() > 0 {
		t.Errorf("dead letters %v, %d records, results %+v", p.dead, p.matched, p.played)
	}
}

// TestJoinAllocations: a record that takes no part costs nothing, one that waits its own memory.
func TestJoinAllocations(t *testing.T) {
	rule := movedThenSpent(t, "{within: {after: 30m}}", "p.amount > 500")
	code, err := newCodec(rule)
	if err != nil {
		t.Fatal(err)
	}
	x := newEngine(t, rule)
	at := int64(1_000_000)
	e, err := code.event(1, []any{"u", 5.0, at}, schemas.Context{EventID: "e", CorrelationID: "c", Confidence: 1})
	if err != nil {
		t.Fatal(err)
	}
	step := func(e *Event) func() {
		return func() {
			e.Time = at
			at += 100_000 // about 18 wait at a time
			if err := x.step(e); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := testing.AllocsPerRun(100, step(e)); n != 0 {
		t.Errorf("%v allocations for a record that takes no part", n)
	}
	if e, err = code.event(0, []any{"u", "NO", 0.5, at}, schemas.Context{EventID: "e", CorrelationID: "c", Confidence: 1}); err != nil {
		t.Fatal(err)
	}
	for range 200 {
		step(e)()
	}
	if n := testing.AllocsPerRun(1000, step(e)); n > 1 {
		t.Errorf("%v allocations for a record that waits", n)
	}
}

// TestGoneRecordsMatchNone: a record that has stopped waiting matches none, whether or not it has been taken out yet.
func TestGoneRecordsMatchNone(t *testing.T) {
	s := joinSpec{typ: rules.InnerJoin, within: []rules.Within{{}, {After: 20}}}
	rule, err := s.compile()
	if err != nil {
		t.Fatal(err)
	}
	for clock, want := range map[int64]int{10: 1, 11: 0, 25: 0, 26: 0} {
		p := s.play(t, rule, []*party{
			{input: 1, user: "u", at: 10, event: "r", related: "c", confidence: 1},
			{input: 1, user: "v", at: clock, event: "x", related: "c", confidence: 1},
			{input: 0, user: "u", at: 5, event: "l", related: "c", confidence: 1},
		}, manner{every: 1}, true)
		late := 0
		if clock > 25 {
			late = 1
		}
		if len(p.played) != want || p.late != late {
			t.Errorf("at %d: %d results and %d late, want %d and %d", clock, len(p.played), p.late, want, late)
		}
	}
}
