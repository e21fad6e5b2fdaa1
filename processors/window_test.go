package processors

import (
	"fmt"
	"math/big"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/schemas"
)

// TestManySlices compares windows of so many slices that they lie in chunks and are folded one after the other with the
// reference: in order, out of order and late, with the partition handed over in between, and with functions that can be
// undone and others.
func TestManySlices(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := spec{
			emit:     rapid.SampledFrom([]rules.Emit{rules.EmitFinal, rules.EmitFinal, rules.EmitChanges, rules.EmitEvery}).Draw(rt, "emit"),
			lateness: rapid.SampledFrom([]int64{0, 5, 90}).Draw(rt, "lateness"),
			having:   rapid.IntRange(0, 3).Draw(rt, "having") == 0,
			selects:  rapid.SampledFrom([][]string{{"n", "total"}, {"n", "total", "most"}, {"start", "first", "last", "texts"}}).Draw(rt, "selects"),
		}
		hop := rapid.SampledFrom([]int64{1, 3}).Draw(rt, "hop")
		s.window = rules.Window{Kind: rules.Hopping, Hop: hop, Size: hop * rapid.Int64Range(9, 90).Draw(rt, "hops")}
		if s.emit == rules.EmitEvery {
			s.window.Every = rapid.SampledFrom([]int64{4, 33}).Draw(rt, "every")
		}
		vs := make([]visit, rapid.IntRange(1, 150).Draw(rt, "n"))
		now := int64(0)
		for i := range vs {
			now += rapid.SampledFrom([]int64{0, 1, 1, 1, 2, 3, 40}).Draw(rt, "pause")
			vs[i] = visit{user: "u", text: fmt.Sprint(i % 4), value: float64(i%7) / 2, at: now, confidence: 1 - float64(i%2)/2}
		}
		vs = number(shuffled(rt, vs, rapid.SampledFrom([]int64{0, 10, 200}).Draw(rt, "disorder")))
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
		p := s.play(t, rule, vs, manner{every: 1, restart: rapid.SampledFrom([]int{0, 1, 7}).Draw(rt, "restart"), ends: true})
		if d := gocmp.Diff(sortedLines(ref.lines), sortedLines(s.lines(p))); d != "" {
			rt.Fatalf("%s%v\n-want +got:\n%s", s.yaml(), vs, d)
		}
		accounted(rt, &s, p, len(vs))
	})
}

// TestRunningFold compares final results of functions that can be undone, kept in a running fold while records of older slices
// come in between, with sums over lists.
func TestRunningFold(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		hop, lateness := rapid.SampledFrom([]int64{1, 3}).Draw(rt, "hop"), rapid.SampledFrom([]int64{0, 20}).Draw(rt, "lateness")
		size := hop * rapid.Int64Range(1, 90).Draw(rt, "hops")
		rule := spendRule(t, fmt.Sprintf(`    window: {size: %dms, hop: %dms}
    lateness: %dms
    select: {user_id: key, n: count(), sum: sum(p.amount), avg: avg(p.amount), deviation: stddev(p.amount), window_start: window.start, window_end: window.end}
    to: pay.spend
`, size, hop, lateness))
		p, code := newPlayer(t, rule), mustCodec(t, rule)
		windows := map[int64][]float64{}
		now, latest, late := int64(0), int64(0), 0
		for i := range rapid.IntRange(1, 150).Draw(rt, "n") {
			now += rapid.SampledFrom([]int64{0, 1, 1, 2, 3, 40}).Draw(rt, "pause")
			at := max(now-rapid.SampledFrom([]int64{0, 0, 0, 5, 30, 200}).Draw(rt, "behind"), 0)
			amount := rapid.SampledFrom([]float64{0.1, 1e16, -1e16, 3, 1.0 / 3}).Draw(rt, "amount")
			latest = max(latest, at)
			accepted := false
			for start := int64(0); start <= at; start += hop {
				if at < start+size && start+size+lateness > latest {
					windows[start], accepted = append(windows[start], amount), true
				}
			}
			if !accepted {
				late++
			}
			e, err := code.event(0, []any{"u", amount, at}, schemas.Context{Entity: "u"})
			if err != nil {
				rt.Fatal(err)
			}
			p.due(0, latest)
			p.record(e)
			if i%20 == 19 && rapid.Bool().Draw(rt, "restart") {
				p.restart()
			}
		}
		p.due(0, Ended)
		if len(p.played) != len(windows) || p.late != late || p.left() > 0 {
			rt.Fatalf("%d results, %d late, %d cells left; want %d, %d and none", len(p.played), p.late, p.left(), len(windows), late)
		}
		for _, o := range p.played {
			values := windows[o.Fields["window_start"].(int64)]
			sum := exact(values)
			want := []any{int64(len(values)), sum, sum / float64(len(values)), deviation(values)}
			if d := gocmp.Diff(want, []any{o.Fields["n"], o.Fields["sum"], o.Fields["avg"], o.Fields["deviation"]}); d != "" {
				rt.Fatalf("window %v of %v: %s", o.Fields["window_start"], values, d)
			}
		}
	})
}

// deviation is the standard deviation by rational arithmetic.
func deviation(values []float64) float64 {
	n := new(big.Float).SetPrec(2000).SetInt64(int64(len(values)))
	mean, squares := new(big.Float).SetPrec(2000), new(big.Float).SetPrec(2000)
	for _, x := range values {
		mean.Add(mean, big.NewFloat(x))
	}
	mean.Quo(mean, n)
	for _, x := range values {
		d := new(big.Float).SetPrec(2000).Sub(big.NewFloat(x), mean)
		squares.Add(squares, d.Mul(d, d))
	}
	out, _ := squares.Sqrt(squares.Quo(squares, n)).Float64()
	return out
}

func mustCodec(t testing.TB, rule *rules.Rule) *codec {
	c, err := newCodec(rule)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func payment(t testing.TB, rule *rules.Rule, user string, amount float64, at int64) *Event {
	t.Helper()
	e, err := mustCodec(t, rule).event(0, []any{user, amount, at}, schemas.Context{Entity: user})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// TestWindowWithoutItsResult: a window whose result cannot be worked out fails, and is passed over when the runtime asks for
// the changes alone; the other windows are not touched.
func TestWindowWithoutItsResult(t *testing.T) {
	rule := spendRule(t, `    window: {size: 20ms, hop: 10ms}
    select: {user_id: key, n: 'int(count() == 2 ? 1e300 : 1.0)', sum: sum(p.amount), window_start: window.start, window_end: window.end}
    to: pay.spend
`)
	op, err := New(rule)
	if err != nil {
		t.Fatal(err)
	}
	state := newCells(op.Decode)
	step := func(f func(r *Result) error) (*Result, error) {
		var r Result
		err := f(&r)
		if err == nil {
			state.apply(t, r.Changes)
		}
		return &r, err
	}
	for _, at := range []int64{1, 12} {
		if _, err := step(func(r *Result) error { return op.Step(state, payment(t, rule, "u", 1, at), r) }); err != nil {
			t.Fatal(err)
		}
	}
	row, err := state.Row("u", cellWindows)
	if err != nil {
		t.Fatal(err)
	}
	results := 0
	for fired := int64(0); ; {
		at := int64(Never)
		if row.Value != nil {
			at = row.Value.(DueCell).Due(fired)
		}
		if at == Never {
			break
		}
		r, err := step(func(r *Result) error { return op.(Timed).Fire(state, row, at, r) })
		if (err != nil) != (at == 20) {
			t.Fatalf("at %d: %v", at, err)
		}
		if err != nil {
			if r, err = step(func(r *Result) error { r.Mute = true; return op.(Timed).Fire(state, row, at, r) }); err != nil || len(r.Outputs) > 0 {
				t.Fatalf("muted: %v, %v", r.Outputs, err)
			}
		}
		for _, o := range r.Outputs {
			if lag := at - o.Time; o.Due != at || o.Cause != "u" || lag > op.(Timed).Lag() {
				t.Errorf("at %d: %+v", at, o)
			}
		}
		results, fired = results+len(r.Outputs), at
	}
	if results != 1 || row.Value != nil {
		t.Errorf("%d results, the cell is %v", results, row.Value)
	}
}

// TestLagOfWindows is how long a result may be on its way after the latest of its records.
func TestLagOfWindows(t *testing.T) {
	for emit, want := range map[string]int64{"final": 420, "{every: 30ms}": 420, "changes": -1} {
		op, err := New(spendRule(t, "    window: {size: 400ms, hop: 40ms}\n    lateness: 20ms\n    emit: "+emit+"\n"+spendSelect))
		if err != nil {
			t.Fatal(err)
		}
		if got := op.(Timed).Lag(); got != want {
			t.Errorf("%s: %d, want %d", emit, got, want)
		}
	}
}

// TestRecordBeforeTheEpoch belongs to no window.
func TestRecordBeforeTheEpoch(t *testing.T) {
	rule := spendRule(t, "    window: {size: 20ms, hop: 10ms}\n"+spendSelect)
	p := newPlayer(t, rule)
	p.record(payment(t, rule, "u", 1, -1))
	if p.late != 1 || p.left() > 0 {
		t.Errorf("%d late, %d cells", p.late, p.left())
	}
}

// TestWarmChangesNothing, whatever the rows hold.
func TestWarmChangesNothing(t *testing.T) {
	rule := spendRule(t, "    window: {size: 20ms, hop: 10ms}\n"+spendSelect)
	p := newPlayer(t, rule)
	rows := []*Row{{}, {Value: &group{}}}
	for i := range 100 {
		p.record(payment(t, rule, fmt.Sprint(i%40), 1, int64(i)))
	}
	for _, row := range p.rows {
		rows = append(rows, row)
	}
	before := fmt.Sprint(encodedRows(p))
	p.op.(*windows).Warm(rows)
	if after := fmt.Sprint(encodedRows(p)); after != before {
		t.Errorf("%s, before %s", after, before)
	}
}

func encodedRows(p *player) map[string][]byte {
	out := map[string][]byte{}
	for key, row := range p.rows {
		out[key] = row.Value.Append(nil)
	}
	return out
}

func FuzzDecodeSlices(f *testing.F) {
	l := everything()
	s := newSeries(sliceCodec{l, 1000}, cellWindows, 1, func(*head[slice], int64) int64 { return Never })
	h := s.newHead()
	h.inline.entries = append(h.inline.entries, entry[slice]{1000, slice{pane: goldenPane(l, 3)}}, entry[slice]{2000, slice{sent: &emission{n: 2, selected: []byte("abc")}}})
	f.Add(h.Append(nil))
	f.Add((&chunk[slice]{of: s, entries: h.inline.entries}).Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := s.decode(b)
		if err != nil || c == nil {
			return
		}
		if len(c.Append(nil)) > c.Size() {
			t.Fatal("Size says less")
		}
		if h, ok := c.(*head[slice]); ok {
			var sum pane
			for i := range h.inline.entries {
				l.merge(&sum, &h.inline.entries[i].item.pane)
			}
			results(l, &sum)
		}
		if _, err := s.decode(c.Append(nil)); err != nil {
			t.Fatal(err)
		}
	})
}

// TestLossySketchesDoNotShowWhatWasInMemory: past its limit topk depends on how slices are merged, which must not depend on
// where the partition was handed over.
func TestLossySketchesDoNotShowWhatWasInMemory(t *testing.T) {
	rule, err := load(map[string]string{"case/Visit.avsc": visitSchema, "case/Out.avsc": visitResult}, `domain: case
streams:
  visits: {topic: case.visits, schema: case.Visit, key: user, time: at}
  out: {topic: case.out, schema: case.Out, key: user}
`, `domain: case
rules:
  - name: r
    from: {v: case.visits}
    by: v.user
    window: {size: 60ms, hop: 1ms}
    select: {user: key, texts: 'topk(v.text, 500)', n: distinct(v.text)}
    to: case.out
`)
	if err != nil {
		t.Fatal(err)
	}
	s := spec{}
	var vs []visit
	for i := range 3000 {
		r := mix(uint64(i))
		vs = append(vs, visit{user: "u", text: fmt.Sprint(r % (1 + r>>32%3000)), at: int64(i / 30), confidence: 1})
	}
	number(vs)
	want, got := s.play(t, rule, vs, manner{every: 1, ends: true}), s.play(t, rule, vs, manner{every: 1, restart: 300, ends: true})
	for i := range want.played {
		if d := gocmp.Diff(want.played[i].Fields, got.played[i].Fields); d != "" {
			t.Fatalf("result %d: %s", i, d)
		}
	}
}

// TestWindowsOfTheSameRecords: a window that has the records of the one before is closed without a look at them when having
// said no then, and no other is.
func TestWindowsOfTheSameRecords(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := spec{emit: rules.EmitFinal, outOfOrder: rapid.SampledFrom([]int64{0, 7, 40}).Draw(rt, "out of order"), selects: []string{"n", "total", "start"}}
		s.having = rapid.Bool().Draw(rt, "having")
		s.lonely = !s.having
		hop := rapid.SampledFrom([]int64{1, 5, 7}).Draw(rt, "hop")
		s.window = rules.Window{Kind: rules.Hopping, Hop: hop, Size: hop * rapid.Int64Range(2, 12).Draw(rt, "hops")}
		vs := number(shuffled(rt, anyVisits(rt), s.outOfOrder))
		rule, err := s.compile()
		if err != nil {
			rt.Fatal(err)
		}
		ref := newEvaluator(s)
		for _, v := range vs {
			ref.visit(v, Unknown)
		}
		ref.advance(Ended)
		p := s.play(t, rule, vs, manner{every: 1, restart: rapid.SampledFrom([]int{0, 0, 3}).Draw(rt, "restart"), ends: true})
		if d := gocmp.Diff(sortedLines(ref.lines), sortedLines(s.lines(p))); d != "" {
			rt.Fatalf("%s%v\n-want +got:\n%s", s.yaml(), vs, d)
		}
		accounted(rt, &s, p, len(vs))
	})
}
