//go:build unix

package e2e_test

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/bench/topics"
	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/schemas"
)

// alarm is a topology whose results are due when nothing happens.
var alarm = map[string]string{
	"alarm/streams.yaml": `domain: alarm
streams:
  beats: {topic: alarm.beats, schema: alarm.Beat, key: device, time: at}
  spans: {topic: alarm.spans, schema: alarm.Count, key: device, time: at}
  gaps: {topic: alarm.gaps, schema: alarm.Count, key: device, time: at}
  once: {topic: alarm.once, schema: alarm.Beat, key: device, time: at}
  latest: {topic: alarm.latest, schema: alarm.Count, key: device, time: at}
  late: {topic: alarm.late, schema: alarm.Beat, key: device, time: at}
  answers: {topic: alarm.answers, schema: alarm.Beat, key: device, time: at}
  unanswered: {topic: alarm.unanswered, schema: alarm.Count, key: device, time: at}
  absent: {topic: alarm.absent, schema: alarm.Count, key: device, time: at}
`,
	"alarm/rules.yaml": `domain: alarm
rules:
  - name: span
    from: {beat: alarm.beats}
    where: int(beat.text) >= 0
    by: beat.device
    window: {size: 5s}
    late_to: alarm.late
    select: {device: key, at: now(), n: count()}
    to: alarm.spans
  - name: gap
    from: {beat: alarm.beats}
    by: beat.device
    window: {gap: 1500ms}
    select: {device: key, at: now(), n: count()}
    to: alarm.gaps
  - name: once
    from: {beat: alarm.beats}
    dedupe: {by: beat.text, within: 2s}
    to: alarm.once
  - name: latest
    from: {beat: alarm.beats}
    by: beat.device
    unbounded: true
    emit: changes
    select: {device: key, at: now(), n: count()}
    to: alarm.latest
  - name: unanswered
    from: {beat: alarm.beats, answer: alarm.answers}
    by: device
    join: {type: left, within: {after: 1200ms}}
    having: answer == nil
    select: {device: key, at: now(), n: 1}
    to: alarm.unanswered
  - name: absent
    from: {beat: alarm.beats}
    by: device
    detect: {pattern: beat -> !again, define: {again: {on: beat}}, within: 1800ms, skip: none}
    select: {device: key, at: now(), n: 1}
    to: alarm.absent
`,
	"schemas/alarm/Beat.avsc": `{"type": "record", "namespace": "alarm", "name": "Beat", "fields": [
  {"name": "device", "type": "string"}, {"name": "text", "type": "string"},
  {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}}]}`,
	"schemas/alarm/Count.avsc": `{"type": "record", "namespace": "alarm", "name": "Count", "fields": [
  {"name": "device", "type": "string"}, {"name": "n", "type": "long"},
  {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}}]}`,
}

// spanMS is the length of the windows of alarm's rule span.
const spanMS = 5000

// alarmed is a worker that runs alarm.
type alarmed struct {
	servers
	*player
	*worker
}

func startAlarm(t *testing.T, s servers) *alarmed {
	t.Helper()
	dir := writeRules(t, alarm)
	ids := s.prepare(t, dir, 4)
	catalog, err := schemas.LoadCatalog(os.DirFS(filepath.Join(dir, "schemas")))
	if err != nil {
		t.Fatal(err)
	}
	set, err := rules.Load(os.DirFS(dir), rules.Options{Catalog: catalog})
	if err != nil {
		t.Fatal(err)
	}
	a := &alarmed{servers: s, player: s.player(t, set, ids), worker: s.worker(t, "worker", dir, "exactly_once")}
	a.ready(t)
	return a
}

// beat sends a beat of a device.
func (a *alarmed) beat(ctx context.Context, device, text string, at int64) {
	a.send(ctx, "alarm.beats", device, at, []any{device, text, at})
}

// calm waits until there is time left in the running window of five seconds.
func calm() {
	if into := time.Now().UnixMilli() % spanMS; into > 1500 {
		time.Sleep(time.Duration(spanMS-into+100) * time.Millisecond)
	}
}

// arrival is a record as a read_committed consumer gets it.
type arrival struct {
	*kgo.Record
	at int64 // wall clock
}

// watch notes when records of topics arrive, until done says of what has come that it is all. It reads by the time that
// it returns.
func watch(ctx context.Context, t *testing.T, s servers, names []string, done func([]arrival) bool) (wait func() []arrival) {
	t.Helper()
	client, err := topics.Client(strings.Split(s.Kafka, ","), kgo.ConsumeTopics(names...), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(time.Second))
	if err != nil {
		t.Fatal(err)
	}
	var came []arrival
	ended := make(chan error, 1)
	go func() {
		defer client.Close()
		for !done(came) {
			fetches := client.PollFetches(ctx)
			now := time.Now().UnixMilli()
			if err := fetches.Err(); err != nil {
				ended <- err
				return
			}
			fetches.EachRecord(func(r *kgo.Record) { came = append(came, arrival{r, now}) })
		}
		ended <- nil
	}()
	return func() []arrival {
		if err := <-ended; err != nil {
			t.Errorf("%d records came: %v", len(came), err)
		}
		return came
	}
}

// delays are how long after they were due things came, in ms.
type delays []int64

// check reports whether all are within 100 ms. None may be early, and none missing.
func (d delays) check(t *testing.T, what string, n int) bool {
	t.Helper()
	if len(d) != n {
		t.Errorf("%s: %d came, want %d", what, len(d), n)
	}
	if len(d) == 0 {
		return false
	}
	slices.Sort(d)
	t.Logf("%s: from %d to %d ms after they were due, half of them within %d", what, d[0], d[len(d)-1], d[len(d)/2])
	if d[0] < 0 {
		t.Errorf("%s: one comes %d ms before it is due", what, -d[0])
	}
	return d[len(d)-1] <= 100
}

// What is due in silence can be read within 100 ms: 1,000 windows that close at one moment, 1,000 sessions that end one
// after the other, as many beats that nothing answers and devices that do not beat again, and as many ids that are forgotten,
// which only the changelog shows. One of three rounds has to show it: the machine may have other things to do.
func onTimeInSilence(t *testing.T, s servers) {
	a := startAlarm(t, s)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for round := range 3 {
		if a.silence(ctx, t, fmt.Sprintf("device-%d-", round)) {
			noDead(t, s)
			a.stop(t)
			return
		}
	}
	t.Error("something comes more than 100 ms after it is due, in each of three rounds")
}

// silence sends a beat of each of 1,000 devices, and then nothing until all that follows has come. It reports whether that
// came in time.
func (a *alarmed) silence(ctx context.Context, t *testing.T, name string) bool {
	const devices, table = 1000, "millrace.alarm.device-table"
	forgets := func(r *kgo.Record) bool {
		return r.Value == nil && strings.Contains(string(r.Key), "\x00alarm.once\x00")
	}
	ours := func(r *kgo.Record) bool {
		return strings.HasPrefix(string(r.Key), name) && (r.Topic != table || forgets(r))
	}
	wait := watch(ctx, t, a.servers, []string{"alarm.spans", "alarm.gaps", "alarm.unanswered", "alarm.absent", table}, func(came []arrival) bool {
		n := 0
		for _, x := range came {
			if ours(x.Record) {
				n++
			}
		}
		return n >= 5*devices
	})
	calm()
	sent := map[string]int64{}
	for i := range devices {
		device, now := fmt.Sprint(name, i), time.Now().UnixMilli()
		sent[device] = now
		a.beat(ctx, device, fmt.Sprint(i), now)
		if i%10 == 9 {
			time.Sleep(5 * time.Millisecond) // half a second for all
		}
	}
	if err := a.flush(ctx); err != nil {
		t.Fatal(err)
	}
	var spans, gaps, unanswered, absent, forgotten delays
	for _, x := range wait() {
		device, _, _ := strings.Cut(string(x.Key), "\x00")
		switch at := sent[device]; {
		case !ours(x.Record):
		case x.Topic == "alarm.spans":
			spans = append(spans, x.at-(at/spanMS+1)*spanMS)
		case x.Topic == "alarm.gaps":
			gaps = append(gaps, x.at-at-1501)
		case x.Topic == "alarm.unanswered":
			unanswered = append(unanswered, x.at-at-1201)
		case x.Topic == "alarm.absent":
			absent = append(absent, x.at-at-1800)
		default:
			forgotten = append(forgotten, x.at-at-2000)
		}
	}
	windows := spans.check(t, "windows", devices)
	sessions := gaps.check(t, "sessions", devices)
	sides := unanswered.check(t, "unmatched sides", devices)
	absences := absent.check(t, "absences", devices)
	ids := forgotten.check(t, "ids", devices)
	return windows && sessions && sides && absences && ids
}

func TestOnTimeInSilence(t *testing.T) {
	t.Run("embedded", func(t *testing.T) { onTimeInSilence(t, embeddedServers(t)) })
	t.Run("Kafka", func(t *testing.T) {
		long(t)
		onTimeInSilence(t, realServers(t))
	})
}

// tally is what rule span has made of beats.
type tally struct {
	onTime int64 // beats in windows
	late   int64 // records in late_to
	dead   map[string]int64
	once   int64 // records of rule once
}

// tally reads what came out, and waits until it accounts for all beats.
func (a *alarmed) tally(ctx context.Context, t *testing.T, beats int64) *tally {
	t.Helper()
	c := &tally{dead: map[string]int64{}}
	f := follow(t, a.servers, []string{"alarm.spans", "alarm.late", "alarm.once", "millrace.alarm.dead"}, func(e *event) error {
		switch e.Topic {
		case "alarm.spans":
			c.onTime += e.value["n"].(int64)
		case "alarm.late":
			c.late++
		case "alarm.once":
			c.once++
		default:
			c.dead[e.header("millrace-rule")+" "+e.header("millrace-error-code")]++
		}
		return nil
	})
	// Beats that no rule takes, or not this one.
	gone := func() int64 { return c.dead["alarm.span E704"] + c.dead[" implausible_time"] }
	if err := f.until(ctx, func() bool { return c.onTime+c.late+gone() >= beats }); err != nil {
		whoWaits(t, []*worker{a.worker})
		t.Fatalf("%d beats in windows, %d late, dead %v, of %d: %v", c.onTime, c.late, c.dead, beats, err)
	}
	if err := f.toEnd(ctx); err != nil {
		t.Fatal(err)
	}
	if c.onTime+c.late+gone() != beats {
		t.Errorf("%d beats in windows, %d late, dead %v, of %d", c.onTime, c.late, c.dead, beats)
	}
	return c
}

// A record of the year 2099 is a dead letter. It moves no time: what comes after it is not late.
func TestYear2099(t *testing.T) {
	a := startAlarm(t, embeddedServers(t))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	const devices = 40
	round := func(text string) {
		for i := range devices {
			a.beat(ctx, fmt.Sprint("device-", i), text, time.Now().UnixMilli())
		}
		if err := a.flush(ctx); err != nil {
			t.Fatal(err)
		}
	}
	round("1")
	a.beat(ctx, "device-0", "2", time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli())
	round("3")
	time.Sleep(time.Second) // were time in 2099 by now, the next ones would be late
	round("4")
	c := a.tally(ctx, t, 3*devices+1)
	if c.late > 0 || len(c.dead) != 1 || c.dead[" implausible_time"] != 1 {
		t.Errorf("%d late, dead %v", c.late, c.dead)
	}
	nothingLate(t, []*worker{a.worker})
	a.stop(t)
}

// Every record that comes too late is counted, and written to late_to: on time, late and dead together are what came in.
func TestLateIsNeverSilent(t *testing.T) {
	a := startAlarm(t, embeddedServers(t))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	const devices, lateOnes, deadOnes = 200, 70, 30
	calm()
	for i := range devices {
		a.beat(ctx, fmt.Sprint("device-", i), fmt.Sprint(i), time.Now().UnixMilli())
	}
	if err := a.flush(ctx); err != nil {
		t.Fatal(err)
	}
	for i := range lateOnes {
		a.beat(ctx, fmt.Sprint("device-", i), fmt.Sprint("1000", i), time.Now().UnixMilli()-int64(60_000+i*1000))
	}
	for i := range deadOnes {
		a.beat(ctx, fmt.Sprint("device-", i), fmt.Sprint("no number ", i), time.Now().UnixMilli())
	}
	if err := a.flush(ctx); err != nil {
		t.Fatal(err)
	}
	c := a.tally(ctx, t, devices+lateOnes+deadOnes)
	if want := map[string]int64{"alarm.span E704": deadOnes}; c.onTime != devices || c.late != lateOnes || !maps.Equal(c.dead, want) {
		t.Errorf("%d on time, %d late, dead %v", c.onTime, c.late, c.dead)
	}
	late := map[string]float64{}
	for labels, n := range a.metric(t, "millrace_rule_late_total") {
		_, rule, _ := strings.Cut(labels, `rule="`)
		rule, _, _ = strings.Cut(rule, `"`)
		late[rule] = n
	}
	// Sessions and ids are over after 60 s, too; a table without an end takes all.
	if late["alarm.span"] != lateOnes || late["alarm.gap"] != lateOnes || late["alarm.once"] != lateOnes || late["alarm.latest"] != 0 {
		t.Errorf("late by rule: %v", late)
	}
	if c.once != devices+deadOnes {
		t.Errorf("%d records in alarm.once", c.once)
	}
	a.stop(t)
}

// While the broker stands still for a while under load, and its clients' records wait somewhere, no time passes that
// makes them late.
func brokerStands(t *testing.T, s servers, pid int, length time.Duration) {
	a := startAlarm(t, s)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var beats int64
	load, stop := context.WithCancel(ctx)
	var loading sync.WaitGroup
	loading.Go(func() {
		for tick := time.NewTicker(5 * time.Millisecond); load.Err() == nil; <-tick.C {
			a.beat(ctx, fmt.Sprint("device-", beats%50), fmt.Sprint(beats), time.Now().UnixMilli())
			beats++
		}
	})
	// The moments are what the test is about: a broker that answers, one that does not, one that answers again.
	time.Sleep(4 * time.Second)
	for _, signal := range []syscall.Signal{syscall.SIGSTOP, syscall.SIGCONT} {
		if err := syscall.Kill(pid, signal); err != nil {
			t.Error(err)
		}
		time.Sleep(length)
	}
	stop()
	loading.Wait()
	if err := a.flush(ctx); err != nil {
		t.Fatal(err)
	}
	c := a.tally(ctx, t, beats)
	if c.late > 0 || len(c.dead) > 0 || c.once != beats {
		t.Errorf("of %d beats %d late, dead %v, %d in alarm.once", beats, c.late, c.dead, c.once)
	}
	nothingLate(t, []*worker{a.worker})
	a.stop(t)
}

func TestBrokerStands(t *testing.T) {
	t.Run("embedded", func(t *testing.T) {
		s, pid := separateServers(t)
		brokerStands(t, s, pid, 3*time.Second)
	})
	t.Run("embedded, long", func(t *testing.T) {
		long(t)
		s, pid := separateServers(t)
		brokerStands(t, s, pid, 10*time.Second)
	})
	t.Run("Kafka", func(t *testing.T) {
		long(t)
		s, pid := realServersPid(t)
		brokerStands(t, s, pid, 10*time.Second)
	})
}
