package topologies

import (
	"testing"

	"github.com/IBM/sarama"
)

// fullest gives a bed on which some records may wait, and a function that lists the inputs that are held back.
func fullest(t *testing.T, group, body string) (*bed, func() string) {
	b := newBed(t, group, body, func(o *Options) { o.MaxWaiting = 3 }).begin()
	return b, func() string {
		out := ""
		for _, s := range b.run.parts[0].inputs {
			if s.full.Load() {
				out += s.Topic + " "
			}
		}
		return out
	}
}

const clicksAndVisits = `  - name: counts
    from: {a: web.clicks, b: web.visits}
    by: {a: a.user_id, b: b.user_id}
    unbounded: true
    emit: each
    select: {user_id: key, n: count(), total: 0.0}
    to: web.counts
`

func (b *bed) visit(at int64) *sarama.ConsumerMessage {
	b.t.Helper()
	return b.record("web.visits", "u", "", "u", "p", 1.0, 1_700_000_000_000+at)
}

// TestThrottleAhead: the input that others are waited for is held back, and let go when they have come.
func TestThrottleAhead(t *testing.T) {
	b, full := fullest(t, byUser, clicksAndVisits)
	b.give("web.visits", b.visit(1), b.visit(2), b.visit(3))
	if got := full(); got != "" {
		t.Errorf("three records wait, and %s is held back", got)
	}
	b.give("web.visits", b.visit(4))
	if got := full(); got != "web.visits " {
		t.Errorf("four records wait, and %q is held back", got)
	}
	b.give("web.clicks", b.click("u", 5003))
	if got := full(); got != "" {
		t.Errorf("two records wait, and %s is held back", got)
	}
}

// TestThrottleNotWhatIsWaitedFor: an input whose own records are waited for is not held back, however far ahead of others it
// is; nor one while records are read again.
func TestThrottleNotWhatIsWaitedFor(t *testing.T) {
	b, full := fullest(t, byUser, clicksAndVisits)
	b.give("web.visits", b.visit(9000))
	b.give("web.clicks", b.click("u", 0), b.click("u", 1), b.click("u", 2), b.click("u", 3), b.click("u", 4))
	if got := full(); got != "web.visits " { // of clicks, later ones bring time on
		t.Errorf("%q is held back", got)
	}
	said := b.commit()
	b.take(said)
	b.read["web.clicks"], b.read["web.visits"] = 0, 0
	b.begin()
	b.give("web.visits", b.visit(9000))
	b.give("web.clicks", b.click("u", 0), b.click("u", 1), b.click("u", 2), b.click("u", 3))
	if got := full(); got != "" {
		t.Errorf("%q is held back while records are read again", got)
	}
	b.give("web.clicks", b.click("u", 4))
	b.tick()
	if got := full(); got != "web.visits " {
		t.Errorf("%q is held back after that", got)
	}
}

// TestThrottleNotWhatLeadsThere: an input is not held back when another one, for which its records wait, is written by rules
// of the same group that read it.
func TestThrottleNotWhatLeadsThere(t *testing.T) {
	b, full := fullest(t, byUser, runningCounts+readBack)
	leads := map[string]int{}
	for _, in := range b.run.runner.plan.Inputs {
		leads[in.Topic] = len(in.Leads)
	}
	if leads["web.clicks"] != 1 || leads["web.counts"] != 0 {
		t.Fatalf("%v", leads)
	}
	for i := range int64(10) {
		b.give("web.clicks", b.click("u", i*1000))
	}
	if n := len(b.run.parts[0].inputs[0].clock.holds); n <= 3 || full() != "" {
		t.Errorf("%d records wait, and %q is held back", n, full())
	}
}

// TestThrottleWriters: a stream of which one writer is far behind is held back until that one says something of what was not
// read yet.
func TestThrottleWriters(t *testing.T) {
	b, full := fullest(t, byUser, bigClicks+countsOfBig+`  - name: more
    from: {visit: web.visits}
    select: {user_id: visit.user_id, page: 'visit.page ?? "none"', amount: visit.amount}
    to: web.big
`)
	in := b.run.parts[0].inputs[0].clock.announced
	quick, slow := groupPartition{"millrace.web.web.clicks.flow", 0}, groupPartition{"millrace.web.web.visits.flow", 0}
	in.progress(slow, map[string]int64{"web.more": 10}, false, 0)
	for i := range int64(5) {
		m := b.record("web.big", "u", "u", "p", 1.0)
		m.Timestamp = timeOf(1_700_000_000_000 + i)
		b.give("web.big", m)
		in.progress(quick, map[string]int64{"web.big": 1_700_000_000_000 + i}, false, i+1)
	}
	if got := full(); got != "web.big " {
		t.Errorf("%q is held back", got)
	}
	in.progress(slow, map[string]int64{"web.more": 1_700_000_000_003}, false, 9)
	b.tick()
	if got := full(); got != "" {
		t.Errorf("%q is held back although the slow writer has something to be read", got)
	}
}
