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
