package processors

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/millrace-io/millrace/rules"
)

func TestRunSurvivesEncoding(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := manual(anyAggregates.Draw(t, "aggregates")...)
		c := &counting{rule: l.rule, layout: l, shape: rapid.Uint64().Draw(t, "shape")}
		want := &run{layout: l, shape: c.shape, number: rapid.Int64Min(1).Draw(t, "number"), pane: anyPane(t, l)}
		b := want.Append(nil)
		if len(b) > want.Size() {
			t.Fatalf("%d bytes, Size says %d", len(b), want.Size())
		}
		got, err := c.Decode(b)
		if err != nil || got.(*run).number != want.number || string(got.Append(nil)) != string(b) {
			t.Fatalf("%x reads as %+v, %v", b, got, err)
		}
		c.shape++
		if got, err := c.Decode(b); got != nil || err != nil {
			t.Fatalf("the run of another shape is %v, %v", got, err)
		}
	})
}

func FuzzDecodeRun(f *testing.F) {
	l := everything()
	c := &counting{rule: l.rule, layout: l, shape: 1}
	f.Add((&run{layout: l, shape: 1, number: 3, pane: goldenPane(l, 4)}).Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		x, err := c.Decode(b)
		if err != nil || x == nil {
			return
		}
		if len(x.Append(nil)) > x.Size() {
			t.Fatal("Size says less")
		}
		if _, err := c.Decode(x.Append(nil)); err != nil {
			t.Fatal(err)
		}
	})
}

// TestCountingWindowWithoutItsResult: when the result of a full window cannot be worked out, the record that filled it leaves
// no trace.
func TestCountingWindowWithoutItsResult(t *testing.T) {
	rule := spendRule(t, `    window: {count: 2}
    select: {user_id: key, n: 'int(sum(p.amount) < 1 ? 1e300 : 1.0)', sum: sum(p.amount), window_start: from_millis(0), window_end: from_millis(0)}
    to: pay.spend
`)
	p := newPlayer(t, rule)
	for i, amount := range []float64{0, 0, 3, 1} {
		p.record(payment(t, rule, "u", amount, int64(i)))
		p.due(0, int64(i))
	}
	p.due(0, Ended)
	if len(p.dead) != 1 || len(p.played) != 1 || p.played[0].Fields["sum"] != 3.0 {
		t.Fatalf("dead %v, results %+v", p.dead, p.played)
	}
	if got := p.op.(*counting).rule.Window.Kind; got != rules.Counting {
		t.Fatal(got)
	}
}
