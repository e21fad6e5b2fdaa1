package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"runtime"
	"text/tabwriter"

	"github.com/millrace-io/millrace/bench/workload"
	"github.com/millrace-io/millrace/processors"
	"github.com/millrace-io/millrace/rules"
)

// curve says how what an event costs depends on one number.
type curve struct {
	name   string
	points []int
	make   func(x int) point
}

// point is one place on a curve.
type point struct {
	rule  string // clauses between `from` and `select`
	copy  int    // so many rules like it on the stream; 0 is one
	late  string // out_of_order of the stream
	join  bool   // with changes, which every other event is
	warm  int    // events before the measured ones
	event func(i int, r *rand.Rand) (key int, at int64)
}

// curves: 1,000 events a second of few keys, if not said otherwise.
func curves() []curve {
	dense := []int{10, 100, 1_000, 10_000}
	return []curve{
		{"open windows of a key, tumbling 1 s", dense, func(x int) point {
			return point{rule: fmt.Sprintf("window: {size: 1s}\n    lateness: %ds", x), warm: 2 * x, event: anywhere(x, 1000)}
		}},
		{"open windows of a key, hopping 1 s", dense, func(x int) point {
			return point{rule: fmt.Sprintf("window: {size: %ds, hop: 1s}", x), warm: 2 * 100 * x, event: steady(1, 10)}
		}},
		{"open sessions of a key", dense, func(x int) point {
			return point{rule: fmt.Sprintf("window: {gap: 400ms}\n    lateness: %ds", x), warm: 2 * x, event: anywhere(x, 1000)}
		}},
		{"records of a key in a sliding window", dense, func(x int) point {
			return point{rule: fmt.Sprintf("window: {sliding: %dms}", 10*x), warm: 2 * x, event: steady(1, 10)}
		}},
		{"records of a key that wait for a match", dense, func(x int) point {
			return point{join: true, rule: fmt.Sprintf("join: {within: {before: 10ms, after: 10ms}}\n    lateness: %dms", 10*x), warm: 2 * x, event: steady(1, 10)}
		}},
		{"ids of a key that dedupe knows", dense, func(x int) point {
			return point{rule: fmt.Sprintf("dedupe: {by: payment.event_id, within: %dms}\n    window: {size: 10s}", 10*x), warm: 2 * x, event: steady(1, 10)}
		}},
		{"records of a key that wait for older ones", dense, func(x int) point {
			return point{rule: "unbounded: true\n    emit: each", late: fmt.Sprintf("%dms", 10*x), warm: 2 * x, event: func(i int, r *rand.Rand) (int, int64) {
				return 0, int64(10*(i+x)) - r.Int64N(int64(10*x))
			}}
		}},
		{"keys, tumbling 60 s", []int{1_000, 10_000, 100_000, 1_000_000}, func(x int) point {
			return point{rule: "window: {size: 60s}", warm: x, event: func(i int, r *rand.Rand) (int, int64) {
				return r.IntN(x), int64(i) * 30_000 / int64(x)
			}}
		}},
		{"rules on one stream, hopping 1 s of 60 s", []int{1, 10, 100}, func(x int) point {
			return point{rule: "window: {size: 60s, hop: 1s}", copy: x, warm: 10_000, event: steady(10, 1)}
		}},
		{"hop of a 60 s window, in ms", []int{60_000, 10_000, 1_000}, func(x int) point {
			return point{rule: fmt.Sprintf("window: {size: 60s, hop: %dms}", x), warm: 120_000, event: steady(10, 1)}
		}},
	}
}

// steady has events of so many keys in turn, one every ms milliseconds.
func steady(keys int, ms int64) func(int, *rand.Rand) (int, int64) {
	return func(i int, _ *rand.Rand) (int, int64) { return i % keys, int64(i) * ms }
}

// anywhere has every other event a step later than all before it, and the rest at any of the last x steps.
func anywhere(x int, step int64) func(int, *rand.Rand) (int, int64) {
	return func(i int, r *rand.Rand) (int, int64) {
		at := int64(i/2+x) * step
		if i%2 == 1 {
			at -= r.Int64N(int64(x)) * step
		}
		return 0, at
	}
}

// cost is what an event costs at a point.
type cost struct {
	ns, bytes float64 // CPU time, and bytes in the changelog
	outputs   int
	cells     int // that are left when all windows have closed
}

// manyEvents is how many events a commit has under load, where a cell that is touched often is written once. A curve is
// measured with a commit for every event, too: then its bytes are what an event touches, and its time has them encoded.
const manyEvents = 100

// printCurves measures all curves with n events for each point.
func printCurves(ctx context.Context, w io.Writer, c config, n int) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "\t\tevery event committed\t\t\t\tevery 100 events\t\t\t\t")
	fmt.Fprintln(table, "curve\tx\tCPU ns/event\t\tchangelog bytes/event\t\tCPU ns/event\t\tbytes/event\toutputs/event\tcells at the end")
	for _, one := range curves() {
		var firstAlone, firstMany *cost
		for _, x := range one.points {
			if err := ctx.Err(); err != nil {
				return err
			}
			alone, err := one.make(x).best(c.seed, n, 1)
			if err != nil {
				return fmt.Errorf("%s, %d: %w", one.name, x, err)
			}
			many, err := one.make(x).best(c.seed, n, manyEvents)
			if err != nil {
				return fmt.Errorf("%s, %d: %w", one.name, x, err)
			}
			firstAlone, firstMany = cmp.Or(firstAlone, alone), cmp.Or(firstMany, many)
			fmt.Fprintf(table, "%s\t%d\t%.0f\t%s\t%.0f\t%s\t%.0f\t%s\t%.1f\t%.3f\t%d\n", one.name, x, alone.ns, ratio(alone.ns, firstAlone.ns),
				alone.bytes, ratio(alone.bytes, firstAlone.bytes), many.ns, ratio(many.ns, firstMany.ns), many.bytes, float64(many.outputs)/float64(n), many.cells)
		}
	}
	return table.Flush()
}

// best is the fastest of three runs.
func (p point) best(seed uint64, n, every int) (*cost, error) {
	var best *cost
	for range 3 {
		now, err := p.measure(seed, n, every)
		if err != nil {
			return nil, err
		}
		if best == nil || now.ns < best.ns {
			best = now
		}
	}
	return best, nil
}

// measure runs the point's rules over its events, with a commit after every so many.
func (p point) measure(seed uint64, n, every int) (*cost, error) {
	set, err := p.load()
	if err != nil {
		return nil, err
	}
	events, err := decodeAll(set.Rules[0], p.warm+n, p.events(seed, p.warm+n))
	if err != nil {
		return nil, err
	}
	result := &cost{}
	var all []*solo
	for _, r := range set.Rules {
		s, err := newSolo(r, func(*processors.Output) error {
			result.outputs++
			return nil
		})
		if err != nil {
			return nil, err
		}
		s.commit = &commits{every: every}
		all = append(all, s)
	}
	if err := take(all, events[:p.warm]); err != nil {
		return nil, err
	}
	runtime.GC()
	*result = cost{bytes: -written(all)}
	began := ownCPU() // the machine may have other things to do
	if err := take(all, events[p.warm:]); err != nil {
		return nil, err
	}
	result.ns = float64((ownCPU() - began).Nanoseconds()) / float64(n)
	result.bytes = (result.bytes + written(all)) / float64(n)
	outputs := result.outputs
	for _, s := range all {
		if err := s.end(); err != nil {
			return nil, err
		}
		result.cells += len(s.rows.rows)
	}
	result.outputs = outputs
	return result, nil
}

// take has all rules take events in.
func take(all []*solo, events []decoded) error {
	for i := range events {
		for _, s := range all {
			if err := s.take(&events[i].event); err != nil {
				return err
			}
			s.commit.event()
		}
	}
	return nil
}

func written(all []*solo) (bytes float64) {
	for _, s := range all {
		bytes += float64(s.commit.bytes)
	}
	return bytes
}

func (p point) load() (*rules.Set, error) {
	d := definition{output: definitions["w2"].output}
	d.input = "  payments: {topic: bench.payments, schema: commerce.Payment, key: user_id, time: occurred_at, out_of_order: " + cmp.Or(p.late, "0s") + "}\n"
	if p.join {
		return p.loadJoin(d)
	}
	for i := range max(1, p.copy) {
		d.rule += fmt.Sprintf(`
  - name: rule-%d
    from: {payment: bench.payments}
    by: payment.user_id
    %s
    select: {user_id: key, window_start: 0, window_end: 0, n: count(), sum: sum(payment.amount), avg: 0.0}
    having: sum(payment.amount) > %d
    to: bench.spend
`, i, p.rule, i)
	}
	return d.load()
}

// loadJoin compiles a join of payments with changes, which half of the records match.
func (p point) loadJoin(d definition) (*rules.Set, error) {
	d.input += changes
	d.rule = fmt.Sprintf(`
  - name: rule
    from: {payment: bench.payments, change: bench.changes}
    by: user_id
    %s
    where: payment.amount > 100
    select: {user_id: key, window_start: 0, window_end: 0, n: 1, sum: payment.amount, avg: change.score}
    to: bench.spend
`, p.rule)
	return d.load()
}

// events makes n payments, or payments and changes in turn.
func (p point) events(seed uint64, n int) iter.Seq[*workload.Event] {
	return func(yield func(*workload.Event) bool) {
		r := rand.New(rand.NewPCG(seed, 4))
		e := workload.Event{Kind: workload.Payment, CorrelationID: "c", Source: "bench", Region: "eu", Confidence: 1, Priority: "standard"}
		for i := range n {
			key, at := p.event(i, r)
			e.EventID, e.UserID = fmt.Sprintf("00000000-0000-4000-0000-%012d", i), fmt.Sprintf("u%06d", key)
			e.OccurredAt, e.Amount = workload.Start+at, float64(4+r.IntN(797))/4
			if e.Kind = workload.Payment; p.join && i%2 == 1 {
				e.Kind, e.Attribute = workload.Change, "country"
			}
			if !yield(&e) {
				return
			}
		}
	}
}
