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
	visitSchema = `{"type":"record","name":"Visit","namespace":"case","fields":[{"name":"user","type":"string"},{"name":"id","type":["null","string"],"default":null},
{"name":"text","type":"string"},{"name":"value","type":"double"},{"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}}]}`
	visitResult = `{"type":"record","name":"Out","namespace":"case","fields":[{"name":"user","type":"string"},{"name":"n","type":"long","default":0},
{"name":"total","type":"double","default":0},{"name":"most","type":"double","default":0},{"name":"first","type":"string","default":""},{"name":"last","type":"string","default":""},
{"name":"texts","type":{"type":"array","items":"string"},"default":[]},{"name":"start","type":{"type":"long","logicalType":"timestamp-millis"},"default":0},
{"name":"end","type":{"type":"long","logicalType":"timestamp-millis"},"default":0},{"name":"confidence","type":"double"},
{"name":"lineage","type":{"type":"array","items":{"type":"record","name":"LineageStep","fields":[{"name":"rule","type":"string"},{"name":"rule_version","type":"string"},{"name":"domain","type":"string"},{"name":"event_ids","type":{"type":"array","items":"string"}},{"name":"inputs","type":"long","default":0},{"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}}]}}}]}`
)

func (s *spec) compile() (*rules.Rule, error) {
	return load(map[string]string{"case/Visit.avsc": visitSchema, "case/Out.avsc": visitResult}, fmt.Sprintf(`domain: case
streams:
  visits: {topic: case.visits, schema: case.Visit, key: user, time: at, out_of_order: %dms}
  out: {topic: case.out, schema: case.Out, key: user, tombstones: ignore}
`, s.outOfOrder), "domain: case\nrules:\n  - name: r\n    from: {v: case.visits}\n"+s.yaml())
}

// anySpec draws a rule of any window, emit mode, lateness and dedupe.
func anySpec(rt *rapid.T, kinds ...rules.WindowKind) spec {
	s := spec{
		emit:     rapid.SampledFrom([]rules.Emit{rules.EmitFinal, rules.EmitChanges, rules.EmitEvery}).Draw(rt, "emit"),
		lateness: rapid.SampledFrom([]int64{0, 5, 30}).Draw(rt, "lateness"),
		within:   rapid.SampledFrom([]int64{0, 0, 8}).Draw(rt, "within"),
		having:   rapid.IntRange(0, 3).Draw(rt, "having") == 0,
	}
	w := &s.window
	w.Kind = rapid.SampledFrom(kinds).Draw(rt, "kind")
	switch w.Kind {
	case rules.Tumbling:
		w.Size = rapid.SampledFrom([]int64{1, 10, 25}).Draw(rt, "size")
		w.Hop = w.Size
	case rules.Hopping:
		w.Hop = rapid.SampledFrom([]int64{1, 5, 7}).Draw(rt, "hop")
		w.Size = w.Hop * rapid.Int64Range(2, 4).Draw(rt, "hops")
	case rules.Session:
		w.Gap = rapid.SampledFrom([]int64{1, 5, 10}).Draw(rt, "gap")
	case rules.Sliding:
		w.Size = rapid.SampledFrom([]int64{1, 5, 12}).Draw(rt, "sliding")
	case rules.Counting:
		w.N = rapid.Int64Range(1, 4).Draw(rt, "count")
		s.emit, s.lateness = rules.EmitFinal, 0
	}
	if s.emit == rules.EmitEvery {
		w.Every = rapid.SampledFrom([]int64{4, 10, 33}).Draw(rt, "every")
	}
	names := []string{"n", "total", "most", "first", "last", "texts", "start", "end"}
	if w.Kind == rules.Counting {
		names = names[:6]
	}
	for _, name := range names {
		if rapid.Bool().Draw(rt, name) {
			s.selects = append(s.selects, name)
		}
	}
	if len(s.selects) == 0 {
		s.selects = []string{"n"}
	}
	return s
}

// anyVisits draws visits whose times lie close together, with pauses; disordered ones come in any order.
func anyVisits(rt *rapid.T) []visit {
	pauses := rapid.SampledFrom([][]int64{{0, 1, 2, 5, 6}, {0, 4, 5, 6, 9, 10, 11, 12, 13, 50}}).Draw(rt, "pauses")
	users := rapid.SampledFrom([][]string{{"u"}, {"u", "v"}}).Draw(rt, "users")
	now := rapid.Int64Range(0, 20).Draw(rt, "start")
	vs := make([]visit, rapid.IntRange(1, 40).Draw(rt, "n"))
	for i := range vs {
		now += rapid.SampledFrom(pauses).Draw(rt, "pause")
		vs[i] = visit{
			user: rapid.SampledFrom(users).Draw(rt, "user"), id: rapid.SampledFrom([]string{"", "a", "b", "c"}).Draw(rt, "id"),
			text: fmt.Sprint(rapid.IntRange(0, 3).Draw(rt, "text")), value: float64(rapid.IntRange(-3, 3).Draw(rt, "value")) / 2, at: now,
			confidence: rapid.SampledFrom([]float64{1, 1, 0.5}).Draw(rt, "confidence"),
		}
	}
	return vs
}

// number gives the visits their event ids, in the order in which they come.
func number(vs []visit) []visit {
	for i := range vs {
		vs[i].event = fmt.Sprintf("e%03d", i)
	}
	return vs
}

// shuffled brings the visits into an order in which none comes more than most ms of event time after a later one.
func shuffled(rt *rapid.T, vs []visit, most int64) []visit {
	type arrival struct {
		visit
		at int64
	}
	as := make([]arrival, len(vs))
	for i, v := range vs {
		as[i] = arrival{v, v.at + rapid.Int64Range(0, most).Draw(rt, "delay")}
	}
	slices.SortStableFunc(as, func(a, b arrival) int { return cmp.Compare(a.at, b.at) })
	out := make([]visit, len(vs))
	for i, a := range as {
		out[i] = a.visit
	}
	return out
}

// manner is how records are handed to a rule: none of it may show in the results.
type manner struct {
	every   int  // time is set after every so many records
	restart int  // the partition is handed over after every so many records, 0: never
	ends    bool // time goes to its end after the last record
	honest  bool // of a join: no record is later than its stream declares
}

// play runs the compiled rule of the spec over visits in the order in which they come.
func (s *spec) play(t testing.TB, rule *rules.Rule, vs []visit, m manner) *player {
	code, err := newCodec(rule)
	if err != nil {
		t.Fatal(err)
	}
	p := newPlayer(t, rule)
	latest := Unknown
	for i, v := range vs {
		var id any
		if v.id != "" {
			id = v.id
		}
		context := schemas.Context{EventID: v.event, CorrelationID: "c", Entity: v.user, Confidence: v.confidence, OccurredAt: v.at}
		e, err := code.event(0, []any{v.user, id, v.text, v.value, v.at}, context)
		if err != nil {
			t.Fatal(err)
		}
		latest = max(latest, v.at-s.outOfOrder)
		if i%m.every == 0 {
			p.due(0, latest)
		}
		p.record(e)
		if m.restart > 0 && i%m.restart == 0 {
			p.restart()
		}
	}
	if m.ends {
		p.due(0, Ended)
	}
	if len(p.dead) > 0 {
		t.Fatalf("dead letters: %v", p.dead)
	}
	return p
}

func (s *spec) lines(p *player) []string {
	var lines []string
	for i := range p.played {
		lines = append(lines, s.line(&p.played[i]))
	}
	return lines
}

func resultIDs(p *player) []string {
	var ids []string
	for _, o := range p.played {
		ids = append(ids, o.ID)
	}
	slices.Sort(ids)
	return ids
}

func sortedLines(lines []string) []string {
	lines = slices.Clone(lines)
	slices.Sort(lines)
	return lines
}

// crowd makes a rule and its records ones that keep many items of a key in state at a time.
func crowd(rt *rapid.T, s *spec) []visit {
	s.lateness, s.within = rapid.SampledFrom([]int64{0, 100, 250}).Draw(rt, "long lateness"), 0
	switch w := &s.window; w.Kind {
	case rules.Sliding:
		w.Size = rapid.SampledFrom([]int64{40, 200}).Draw(rt, "long sliding")
	case rules.Session:
		w.Gap = rapid.SampledFrom([]int64{1, 2, 3}).Draw(rt, "short gap")
	case rules.Tumbling:
		w.Size = rapid.SampledFrom([]int64{1, 2}).Draw(rt, "short size")
		w.Hop = w.Size
	default:
		w.Hop = rapid.SampledFrom([]int64{1, 2}).Draw(rt, "short hop")
		w.Size = w.Hop * rapid.Int64Range(40, 80).Draw(rt, "many hops")
	}
	vs := make([]visit, rapid.IntRange(40, 160).Draw(rt, "many"))
	now := rapid.Int64Range(0, 20).Draw(rt, "start")
	for i := range vs {
		now += rapid.Int64Range(0, 5).Draw(rt, "pause")
		vs[i] = visit{user: "u", text: fmt.Sprint(i), value: float64(i%7) / 2, at: now, confidence: 1}
	}
	return vs
}

// TestManyRecords is TestLateRecords for keys whose state is large.
func TestManyRecords(t *testing.T) {
	for name, kind := range windowKinds() {
		if kind == rules.Counting {
			continue
		}
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				s := anySpec(rt, kind)
				vs := crowd(rt, &s)
				vs = number(shuffled(rt, vs, rapid.SampledFrom([]int64{0, 0, 100, 300}).Draw(rt, "disorder")))
				compareLate(t, rt, s, vs, rapid.SampledFrom([]int{0, 0, 40, 7}).Draw(rt, "restart"))
			})
		})
	}
}

// TestLateRecords compares with the reference while records come in any order and time moves with the latest: what is late,
// what is late for some of its windows, and what every record changes.
func TestLateRecords(t *testing.T) {
	for name, kind := range windowKinds() {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				s := anySpec(rt, kind)
				vs := number(shuffled(rt, anyVisits(rt), rapid.SampledFrom([]int64{0, 10, 60}).Draw(rt, "disorder")))
				compareLate(t, rt, s, vs, rapid.IntRange(0, 2).Draw(rt, "restart"))
			})
		})
	}
}

// compareLate compares a rule with the reference while time moves with the latest record.
func compareLate(t *testing.T, rt *rapid.T, s spec, vs []visit, restart int) {
	rule, err := s.compile()
	if err != nil {
		rt.Fatal(err)
	}
	ref, latest := newEvaluator(s), int64(0)
	for _, v := range vs {
		latest = max(latest, v.at)
		ref.visit(v, latest)
	}
	ref.advance(Ended)
	p := s.play(t, rule, vs, manner{every: 1, restart: restart, ends: true})
	if d := gocmp.Diff(sortedLines(ref.lines), sortedLines(s.lines(p))); d != "" {
		rt.Fatalf("%s%v\n-want +got:\n%s", s.yaml(), vs, d)
	}
	if got, want := [3]int{p.late, p.partly, p.doubles}, [3]int{ref.late, ref.partly, ref.doubles}; got != want {
		rt.Fatalf("%s%v\nlate, partly, duplicates: got %v, want %v", s.yaml(), vs, got, want)
	}
	accounted(rt, &s, p, len(vs))
}

// TestAnyOrderGivesTheSame compares the results of a stream that comes in disorder within what it declares, in groups, and with
// the partition handed over in between, with those of the reference over the records in their total order.
func TestAnyOrderGivesTheSame(t *testing.T) {
	for name, kind := range windowKinds() {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				s := anySpec(rt, kind)
				s.outOfOrder = rapid.SampledFrom([]int64{0, 7, 40}).Draw(rt, "out of order")
				rule, err := s.compile()
				if err != nil {
					rt.Fatal(err)
				}
				vs := number(shuffled(rt, anyVisits(rt), s.outOfOrder))
				inOrder := slices.Clone(vs)
				slices.SortStableFunc(inOrder, func(a, b visit) int { return cmp.Compare(a.at, b.at) })
				ref := newEvaluator(s)
				for _, v := range inOrder {
					ref.visit(v, v.at)
				}
				ref.advance(Ended)
				m := manner{every: rapid.IntRange(1, 5).Draw(rt, "every"), restart: rapid.IntRange(0, 3).Draw(rt, "restart"), ends: true}
				p, plain := s.play(t, rule, vs, m), s.play(t, rule, inOrder, manner{every: 1, ends: true})
				if d := gocmp.Diff(sortedLines(ref.lines), sortedLines(s.lines(p))); d != "" {
					rt.Fatalf("%s%v\n-want +got:\n%s", s.yaml(), vs, d)
				}
				if d := gocmp.Diff(resultIDs(plain), resultIDs(p)); d != "" {
					rt.Fatalf("event ids: %s", d)
				}
				if p.late+p.partly > 0 {
					rt.Fatalf("%d late, %d late for some windows", p.late, p.partly)
				}
				accounted(rt, &s, p, len(vs))
			})
		})
	}
}

func windowKinds() map[string]rules.WindowKind {
	return map[string]rules.WindowKind{
		"tumbling": rules.Tumbling, "hopping": rules.Hopping, "session": rules.Session, "sliding": rules.Sliding, "count": rules.Counting,
	}
}

// accounted checks that every record is accounted for, that no event id comes twice, and that no state outlives its windows.
func accounted(rt *rapid.T, s *spec, p *player, n int) {
	if p.matched+p.doubles != n {
		rt.Fatalf("%d on time or late and %d duplicates of %d records", p.matched, p.doubles, n)
	}
	if all := resultIDs(p); len(slices.Compact(all)) < len(p.played) {
		rt.Fatal("an event id comes twice")
	}
	if left := p.left(); left > 0 && s.window.Kind != rules.Counting {
		rt.Fatalf("%d cells are left at the end of time", left)
	}
}
