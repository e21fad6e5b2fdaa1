package topologies

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/processors"
	"github.com/millrace-io/millrace/schemas"
)

const visitsPer100ms = `  - name: counts
    from: {v: web.visits}
    by: v.user_id
    window: {size: 100ms}
    select: {user_id: key, n: count(), total: sum(v.amount)}
    to: web.counts
`

// TestPulseIsInTime: the brokers are asked when silence brings time to what is due, not much later, even if a record has
// made it due while nobody was about to look.
func TestPulseIsInTime(t *testing.T) {
	b := newBed(t, byUser, visitsPer100ms, nil).begin()
	x := b.run
	soon := func(want time.Duration) {
		t.Helper()
		if got := x.pause(b.at, processors.Unknown); got != want {
			t.Errorf("%v after the start the pulse sleeps for %v; want %v", b.at.Sub(time.UnixMilli(1_700_000_000_000)), got, want)
		}
	}
	woken := func() bool {
		select {
		case <-x.wake:
			return true
		default:
			return false
		}
	}
	visit := func(at int64) {
		b.give("web.visits", b.record("web.visits", "u", "", "u", "p", 1.0, 1_700_000_000_000+at))
	}
	x.asleep.Store(b.at.Add(longestPulse).UnixNano())
	visit(30)
	if !woken() {
		t.Error("a record that is due in 70 ms does not wake the pulse, which sleeps for 200")
	}
	soon(95 * time.Millisecond) // due at 100, which silence reaches half of idle_after later
	b.at = b.at.Add(60 * time.Millisecond)
	b.tick("web.visits")
	soon(35 * time.Millisecond)
	b.at = b.at.Add(35 * time.Millisecond)
	b.tick("web.visits")
	if got, want := b.results("web.counts"), "u@30"; got != want {
		t.Errorf("results %q, want %q", got, want)
	}
	soon(longestPulse) // nothing is due
	x.asleep.Store(b.at.Add(longestPulse).UnixNano())
	visit(950) // nothing is due for long
	visit(901)
	if woken() != true {
		t.Error("a record that is due in 50 ms does not wake the pulse")
	}
	b.at = b.at.Add(60 * time.Millisecond)
	if len(x.questions(x.asking())) != 0 {
		t.Error("a question before silence can have brought time on")
	}
	b.at = b.at.Add(15 * time.Millisecond)
	if len(x.questions(x.asking())) != 1 {
		t.Error("no question although something is due")
	}
	soon(shortPulse) // no answer has come
}

// TestNeverWrittenIsAskedInTime: an input that was never written is asked together with the others: it does not
// hold back what is due once they have come that far.
func TestNeverWrittenIsAskedInTime(t *testing.T) {
	b := newBed(t, byUser, `  - name: alone
    from: {v: web.visits, o: web.others}
    by: user_id
    join: {type: left, within: {after: 300ms}}
    having: o == nil
    select: {user_id: key, page: 'v.page ?? ""', amount: v.amount}
    to: web.big
streams:
  others: {topic: web.others, schema: web.Click, key: user_id, time: occurred_at}
`, nil).begin()
	began := b.at
	b.give("web.visits", b.record("web.visits", "u", "e", "u", "p", 1.0, began.UnixMilli()))
	asked := began
	for ; b.results("web.big") == ""; b.at = b.at.Add(b.run.pause(b.at, processors.Unknown)) {
		if b.at.Sub(began) > time.Second {
			t.Fatal("nothing comes")
		}
		a := b.run.asking()
		a.quiet = map[topicPartition]bool{}
		for tp := range b.run.questions(a) {
			a.quiet[tp] = true
		}
		if err := b.run.tick(b.run.parts[0], a); err != nil {
			t.Fatal(err)
		}
		asked = b.at
	}
	// Due at 301, which silence reaches half of idle_after later.
	if took := asked.Sub(began); took > 301*time.Millisecond+25*time.Millisecond {
		t.Errorf("it comes after %v", took)
	}
}

// TestOpenTransactionIsNoSilence: what a producer has written and not committed yet may be older than everything that
// comes after. A partition with such a transaction is not silent.
func TestOpenTransactionIsNoSilence(t *testing.T) {
	c := newCluster(t, webRulesSet(t, visitsPer100ms), 1)
	w, stop := c.worker(c.options("w0"))
	s := c.set.Stream("web.visits")
	enc, err := schemas.NewEncoder(s.Schema)
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now().UnixMilli() / 100 * 100
	visit := func(cl *kgo.Client, at int64) {
		v, err := enc.Append(schemas.AppendFrame(nil, c.ids[s]), []any{"", "u", "p", 1.0, at})
		if err != nil {
			t.Fatal(err)
		}
		if err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: s.Topic, Key: []byte("u"), Value: v}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	visit(c.client, begin)
	c.await("the first record", func() bool { return w.Rules()["web.counts"].In == 1 })
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.brokers...), kgo.TransactionalID("other"))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	if err := cl.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	visit(cl, begin+50)
	held := w.Time()[0].Inputs[0].Time
	time.Sleep(600 * time.Millisecond) // silence would bring the time far beyond the window
	if at := w.Time()[0].Inputs[0].Time; at != held {
		t.Errorf("the time went on by %d ms while a transaction was open", at-held)
	}
	if err := cl.EndTransaction(t.Context(), kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
	c.await("the result", func() bool { return len(c.read("web.counts")) == 1 })
	stop()
	if st := w.Rules()["web.counts"]; st.In != 2 || st.Late != 0 {
		t.Errorf("%+v", st)
	}
}

// worker starts one worker.
func (c *cluster) worker(o Options) (w *Worker, stop func()) {
	c.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	w, err := NewWorker(ctx, o)
	if err != nil {
		cancel()
		c.t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	return w, func() {
		c.t.Helper()
		cancel()
		if err := <-done; err != nil {
			c.t.Error(fmt.Errorf("the worker: %w", err))
		}
	}
}
