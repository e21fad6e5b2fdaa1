package topologies

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/processors"
	"github.com/millrace-io/millrace/schemas"
)

const (
	byUser = "millrace.web.user_id"

	// runningCounts keeps its records in order; web.clicks may be 5 s out of order.
	runningCounts = `  - name: counts
    from: {click: web.clicks}
    by: click.user_id
    unbounded: true
    emit: each
    select: {user_id: key, n: count(), total: sum(click.amount)}
    to: web.counts
`
	// bigClicks writes what countsOfBig reads.
	bigClicks = `  - name: big
    from: {click: web.clicks}
    select: {user_id: click.user_id, page: 'click.page ?? "none"', amount: click.amount}
    to: web.big
`
	countsOfBig = `  - name: counts
    from: {click: web.big}
    by: click.user_id
    unbounded: true
    emit: each
    select: {user_id: key, n: count(), total: sum(click.amount)}
    to: web.counts
`
	// readBack reads what counts writes in the same group.
	readBack = `  - name: back
    from: {a: web.clicks, b: web.counts}
    by: {a: a.user_id, b: b.user_id}
    unbounded: true
    emit: each
    select: {user_id: key, page: '"x"', amount: count() * 1.0}
    to: web.big
`
)

// TestWrittenIsNotTheBoards: what a partition writes is none of what the board shows, which readers read meanwhile.
func TestWrittenIsNotTheBoards(t *testing.T) {
	b := newBed(t, "millrace.web.web.clicks.flow", bigClicks+countsOfBig, nil).begin()
	b.give("web.clicks", b.click("u", 0))
	said := b.commit()
	if n := said.Written["web.big"][0]; n != 1 {
		t.Fatalf("written up to %d", n)
	}
	b.take(said)
	b.begin()
	b.give("web.clicks", b.click("u", 1))
	if n := said.Written["web.big"][0]; n != 1 {
		t.Errorf("the last owner's word has changed: written up to %d", n)
	}
	if n := b.commit().Written["web.big"][0]; n != 2 {
		t.Errorf("written up to %d", n)
	}
}

// TestOffsetsSetForward: offsets that were set behind what was taken in stay there.
func TestOffsetsSetForward(t *testing.T) {
	b := newBed(t, byUser, runningCounts, nil).begin()
	b.give("web.clicks", b.click("u", 0))
	b.take(b.commit())
	b.offsets[topicPartition{"web.clicks", 0}] = 7
	b.begin()
	b.run.parts[0].time.unsaid = true
	b.commit()
	if at := b.offsets[topicPartition{"web.clicks", 0}]; at != 7 {
		t.Errorf("the offset has been set back to %d", at)
	}
}

// TestWaitingRecordsAreReadAgain: what waits is not lost with its owner; what ran is not run again.
func TestWaitingRecordsAreReadAgain(t *testing.T) {
	b := newBed(t, byUser, runningCounts, nil).begin()
	b.give("web.clicks", b.click("u", 0), b.click("u", 9000), b.click("v", 3000), b.click("u", 5000), b.click("v", 7000))
	said := b.commit()
	if got, want := b.results("web.counts"), "u@0 v@3000"; got != want {
		t.Fatalf("results %q, want %q", got, want)
	}
	if at, taken := b.offsets[topicPartition{"web.clicks", 0}], said.Inputs["web.clicks"].Taken; at != 1 || taken != 5 {
		t.Fatalf("committed up to %d, taken in up to %d", at, taken)
	}
	b.take(said)
	b.read["web.clicks"] = 1
	b.begin()
	if out := b.run.parts[0].tasks[0].OutputTime(); out > 1_700_000_004_000 {
		t.Errorf("before anything is read again, the output time is %d", out)
	}
	b.give("web.clicks", b.click("u", 9000), b.click("v", 3000), b.click("u", 5000), b.click("v", 7000), b.click("u", 20000))
	b.commit()
	if got, want := b.results("web.counts"), "u@0 v@3000 u@5000 v@7000 u@9000"; got != want {
		t.Errorf("results %q, want %q", got, want)
	}
	if at := b.offsets[topicPartition{"web.clicks", 0}]; at != 5 {
		t.Errorf("committed up to %d", at)
	}
}

// TestIDsThatAreNoText: the last record that ran is known again when it is read again, whatever bytes its producer has put
// into its headers.
func TestIDsThatAreNoText(t *testing.T) {
	b := newBed(t, byUser, bigClicks+countsOfBig, nil).begin()
	give := func() {
		w := schemas.Writer{Name: "web.big", OutputTime: 1_700_000_000_050, Origin: schemas.Origin{Stream: "web.clicks", Key: "u"}}
		for _, at := range []int64{30, 40, 60} {
			m := b.record("web.big", "u", "u", "p", 1.0)
			m.Timestamp = timeOf(1_700_000_000_000 + at)
			m.Headers = []*sarama.RecordHeader{{Key: []byte(schemas.HeaderID), Value: []byte{0xff}}, {Key: []byte(schemas.HeaderWriter), Value: w.Append(nil)}}
			b.give("web.big", m)
		}
	}
	give()
	b.take(b.commit())
	b.read["web.big"] = 0
	b.offsets[topicPartition{"web.big", 0}] = 0
	b.begin()
	give()
	if got, want := b.results("web.counts"), "u@30 u@40"; got != want {
		t.Errorf("results %q, want %q", got, want)
	}
}

// TestCopiesOfAKeylessRecord: of two copies of a record without a key, which nothing tells apart but where they lie, the one
// that has not run yet when the partition is handed over is not taken for the other.
func TestCopiesOfAKeylessRecord(t *testing.T) {
	b := newBed(t, byUser, bigClicks+countsOfBig, func(o *Options) { o.firing = 1 }).begin()
	give := func() {
		for _, at := range []int64{30, 30, 60} {
			id := fmt.Sprint("e", at)
			w := schemas.Writer{Name: "web.big", OutputTime: 1_700_000_000_000 + at - 10, Origin: schemas.Origin{Stream: "web.clicks", EventID: id}}
			m := b.record("web.big", "u", "u", "p", 1.0)
			m.Timestamp = timeOf(1_700_000_000_000 + at)
			m.Headers = []*sarama.RecordHeader{{Key: []byte(schemas.HeaderID), Value: []byte(id)}, {Key: []byte(schemas.HeaderWriter), Value: w.Append(nil)}}
			b.give("web.big", m)
		}
	}
	give()
	b.take(b.commit())
	if got, want := b.results("web.counts"), "u@30"; got != want {
		t.Fatalf("results %q before the partition is handed over, want %q", got, want)
	}
	b.read["web.big"] = 0
	b.offsets[topicPartition{"web.big", 0}] = 0
	b.begin()
	give()
	b.commit()
	b.tick()
	if got, want := b.results("web.counts"), "u@30 u@30"; got != want {
		t.Errorf("results %q, want %q", got, want)
	}
}

// TestLateRecordWhileReadingAgain: a late record of one input that comes while another one is read again does not get into
// a window whose result is out.
func TestLateRecordWhileReadingAgain(t *testing.T) {
	b := newBed(t, byUser, `  - name: counts
    from: {a: web.clicks, b: web.visits}
    by: {a: a.user_id, b: b.user_id}
    window: {size: 1s}
    emit: {every: 10s}
    select: {user_id: key, n: count(), total: 0.0}
    to: web.counts
`, nil).begin()
	visit := func(at int64) *sarama.ConsumerMessage {
		return b.record("web.visits", "u", "", "u", "p", 1.0, 1_700_000_000_000+at)
	}
	b.give("web.visits", visit(9000))
	b.give("web.clicks", b.click("u", 0), b.click("u", 9000))
	said := b.commit()
	if got, want := b.results("web.counts"), "u@0"; got != want {
		t.Fatalf("results %q, want %q", got, want)
	}
	b.take(said)
	b.read["web.clicks"] = 1
	b.begin()
	b.give("web.visits", visit(500))
	b.give("web.clicks", b.click("u", 9000), b.click("u", 30_000))
	b.give("web.visits", visit(30_000))
	b.commit()
	if got, want := b.results("web.counts"), "u@0 u@9000"; got != want {
		t.Errorf("results %q, want %q", got, want)
	}
	if n := b.metrics.rules["web.counts"].Late; n != 1 {
		t.Errorf("%d records are late", n)
	}
}

// TestEndIsForgottenAtStart: a word from before the worker started says nothing of the end of what is read now.
func TestEndIsForgottenAtStart(t *testing.T) {
	b := newBed(t, byUser, bigClicks+countsOfBig, nil).begin()
	p := &progress{
		Version: progressVersion, Group: "millrace.web.web.clicks.flow", Times: map[string]int64{"web.big": processors.Ended}, Ended: true, Wanted: processors.Never,
	}
	for _, starting := range []bool{true, false} {
		r, err := p.record("millrace.progress", 1)
		if err != nil {
			t.Fatal(err)
		}
		if err := b.run.runner.board.take([]*kgo.Record{r}, 0, 1, starting); err != nil {
			t.Fatal(err)
		}
		b.tick()
		want := processors.Ended
		if starting {
			want = processors.Unknown
		}
		if at := b.run.parts[0].inputs[0].clock.at(); at != want {
			t.Errorf("starting %v: the time of the input is %d", starting, at)
		}
	}
}

// TestLookingBesideCommits: who looks at a partition without the barrier does not meet a commit.
func TestLookingBesideCommits(t *testing.T) {
	b := newBed(t, byUser, runningCounts, nil).begin()
	b.run.runner.ready, b.run.runner.alive = true, b.run
	look := func(f func()) (stop func()) {
		over, done := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(done)
			for {
				select {
				case <-over:
					return
				default:
					f()
				}
			}
		}()
		return func() { close(over); <-done }
	}
	defer look(func() { b.run.runner.ended() })()
	defer look(func() { b.run.questions(b.run.asking()) })()
	defer look(func() { b.run.parts[0].status() })()
	for i := range 300 {
		b.give("web.clicks", b.click("u", int64(i)))
		b.commit()
	}
}

// TestSilenceBetweenBadRecords: records that nobody can read, or that are of the year 2099, move no time and do not keep it
// from going on either.
func TestSilenceBetweenBadRecords(t *testing.T) {
	b := newBed(t, byUser, runningCounts, func(o *Options) { o.WallClock = true }).begin()
	b.give("web.clicks", b.click("u", 0), b.click("u", 4000))
	for range 100 {
		b.at = b.at.Add(100 * time.Millisecond)
		bad := b.click("u", 0)
		bad.Value = []byte("bad")
		b.give("web.clicks", bad, b.click("u", 75*365*24*3600*1000))
		b.tick("web.clicks")
	}
	if at := b.run.parts[0].tasks[0].Clock() - 1_700_000_000_000; at < 8000 || at > 9000 {
		t.Errorf("10 s after a record at 4 s, the time is %d", at)
	}
	if got, want := b.results("web.counts"), "u@0 u@4000"; got != want {
		t.Errorf("results %q, want %q", got, want)
	}
}

// TestRefusedRecordsAreBounded: however many implausible records come while an offset is held back, the progress record
// stays small, and none of them is taken in when it is read again.
func TestRefusedRecordsAreBounded(t *testing.T) {
	b := newBed(t, byUser, runningCounts, func(o *Options) { o.WallClock = true }).begin()
	b.give("web.clicks", b.click("u", 0), b.click("u", 4000)) // they wait
	for range 110 {
		for range 100 {
			b.give("web.clicks", b.click("u", 75*365*24*3600*1000))
		}
		b.give("web.clicks", b.click("u", 400*1000)) // a bit too far
	}
	said := b.commit()
	if n := len(said.Inputs["web.clicks"].Refused); n > mostRefused {
		t.Errorf("%d offsets in the progress record", n)
	}
	b.take(said)
	b.begin()
	b.at = b.at.Add(time.Hour)
	b.read["web.clicks"] = 0
	b.give("web.clicks", b.click("u", 0), b.click("u", 4000))
	for range 110 {
		for range 100 {
			b.give("web.clicks", b.click("u", 75*365*24*3600*1000))
		}
		b.give("web.clicks", b.click("u", 400*1000))
	}
	b.give("web.clicks", b.click("u", 500*1000))
	if got, want := b.results("web.counts"), "u@0 u@4000"; got != want {
		t.Errorf("results %q, want %q", got, want)
	}
	if at := b.run.parts[0].inputs[0].clock.source.latest; at != 1_700_000_500_000 {
		t.Errorf("the largest event time is %d", at)
	}
}

// TestStartAnew: a table that was deleted, or a rule that keeps another state, begins without the clock of what was before.
func TestStartAnew(t *testing.T) {
	b := newBed(t, byUser, runningCounts, nil).begin()
	b.give("web.clicks", b.click("u", 0), b.click("u", 9000))
	said := b.commit()
	clock := func() int64 { return b.run.parts[0].tasks[0].Clock() }
	if b.take(said); clock() != 1_700_000_004_000 {
		t.Fatalf("the clock of the next owner is %d", clock())
	}
	changed := *said
	changed.Tasks = map[string]taskProgress{"web.counts": said.Tasks["web.counts"]}
	x := changed.Tasks["web.counts"]
	x.State = "another"
	changed.Tasks["web.counts"] = x
	if b.take(&changed); clock() != math.MinInt64 {
		t.Errorf("the clock of another rule is %d", clock())
	}
	deleted := *said
	deleted.Table = "another"
	if b.take(&deleted); clock() != math.MinInt64 || b.run.parts[0].inputs[0].clock.restored {
		t.Errorf("the clock over another table is %d", clock())
	}
}

// TestMemoryIsForWhatIsThere: rows that were looked for and are not there, and rows that are deleted, leave memory; so does
// what time has closed.
func TestMemoryIsForWhatIsThere(t *testing.T) {
	b := newBed(t, byUser, visitsPer100ms, nil).begin()
	p := b.run.parts[0]
	b.give("web.visits", b.visit(10))
	if _, err := p.tasks[0].state.Row("nobody", "w"); err != nil {
		t.Fatal(err)
	}
	b.commit()
	b.give("web.visits", b.record("web.visits", "v", "", "v", "p", 1.0, 1_700_000_000_500))
	for range 3 {
		p.time.unsaid = true
		b.commit()
	}
	if n, gone := len(p.store.rows), len(p.store.gone); n != 1 || gone != 0 {
		t.Errorf("%d rows in memory, %d deadlines of others", n, gone)
	}
}
