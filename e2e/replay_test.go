//go:build unix

package e2e_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/bench/topics"
	"github.com/millrace-io/millrace/e2e/replay"
	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/schemas"
)

// way is how a day goes through the topology of e2e/replay.
type way struct {
	workers, partitions int
	pace                float64       // of the workers' time; of the player, too, unless the day is there before
	backlog             bool          // the day is there before the workers start
	later               time.Duration // the last worker starts so much after the others
	kills               int
}

func (w way) String() string {
	s := fmt.Sprintf("%d workers, %d partitions, played", w.workers, w.partitions)
	if w.backlog {
		s = strings.TrimSuffix(s, "played") + "backlog"
	}
	if w.later > 0 {
		s += fmt.Sprintf(", one %v later", w.later)
	}
	if w.kills > 0 {
		s += fmt.Sprintf(", %d kills", w.kills)
	}
	return s
}

// outcome is what a day has led to.
type outcome struct {
	texts map[string]map[string]int // by stream: all that has to be the same in every run
	plain map[string]map[string]int // by stream: what replay.Expect speaks of
	ids   map[string]bool
	read  int
	fault error
}

func newOutcome() *outcome {
	return &outcome{texts: map[string]map[string]int{}, plain: map[string]map[string]int{}, ids: map[string]bool{}}
}

func (o *outcome) add(e *event) error {
	text, err := e.text()
	if err != nil {
		return err
	}
	stream := e.Topic // topics are called as their streams
	if o.texts[stream] == nil {
		o.texts[stream], o.plain[stream] = map[string]int{}, map[string]int{}
	}
	o.read++
	o.texts[stream][text]++
	var fields []any
	for _, f := range replay.Fields(stream) {
		fields = append(fields, e.value[f])
	}
	o.plain[stream][replay.Text(string(e.Key), e.Timestamp.UnixMilli(), fields...)]++
	if id := stream + e.header("ce_id"); o.ids[id] && o.fault == nil {
		o.fault = fmt.Errorf("%s: more than one event has the id of %s", stream, text)
	} else {
		o.ids[id] = true
	}
	return nil
}

// right holds the outcome against plain counting.
func (o *outcome) right(t *testing.T, want map[string]map[string]int) {
	t.Helper()
	if o.fault != nil {
		t.Error(o.fault)
	}
	for _, stream := range slices.Sorted(maps.Keys(want)) {
		differ(t, stream, o.plain[stream], want[stream])
	}
	for stream := range o.plain {
		if want[stream] == nil {
			t.Errorf("%d records in %s", len(o.plain[stream]), stream)
		}
	}
}

// differ says where two multisets of texts differ.
func differ(t *testing.T, stream string, got, want map[string]int) {
	t.Helper()
	if maps.Equal(got, want) {
		return
	}
	all := slices.AppendSeq(slices.Collect(maps.Keys(want)), maps.Keys(got))
	slices.Sort(all)
	all = slices.Compact(all)
	differing := slices.DeleteFunc(slices.Clone(all), func(text string) bool { return got[text] == want[text] })
	for _, text := range differing[:min(4, len(differing))] {
		t.Errorf("%s: %d times, want %d: %s", stream, got[text], want[text], text)
	}
	t.Errorf("%s: %d of %d texts differ", stream, len(differing), len(all))
}

// player writes a day's events to their topics.
type player struct {
	*kgo.Client
	set     *rules.Set
	ids     map[string]uint32
	encoder map[string]*schemas.Encoder
	failed  chan error
}

func (s servers) player(t *testing.T, set *rules.Set, ids map[string]uint32) *player {
	t.Helper()
	client, err := topics.Client(strings.Split(s.Kafka, ","), kgo.ProducerLinger(0), kgo.MaxBufferedRecords(1_000_000))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return &player{client, set, ids, map[string]*schemas.Encoder{}, make(chan error, 1)}
}

// send writes one record, with its event time as timestamp, unless brokers would refuse that.
func (p *player) send(ctx context.Context, stream, key string, at int64, fields []any) {
	s := p.set.Stream(stream)
	if p.encoder[stream] == nil {
		e, err := schemas.NewEncoder(s.Schema)
		p.fail(err)
		p.encoder[stream] = e
	}
	value, err := p.encoder[stream].Append(schemas.AppendFrame(nil, int32(p.ids[stream])), fields)
	p.fail(err)
	p.Produce(ctx, &kgo.Record{Topic: s.Topic, Key: []byte(key), Value: value, Timestamp: time.UnixMilli(min(at, time.Now().UnixMilli()))}, func(_ *kgo.Record, err error) { p.fail(err) })
}

func (p *player) fail(err error) {
	if err == nil {
		return
	}
	select {
	case p.failed <- err:
	default: // one is enough
	}
}

// flush waits until everything sent is written.
func (p *player) flush(ctx context.Context) error {
	err := p.Flush(ctx)
	select {
	case failed := <-p.failed:
		return errors.Join(err, failed)
	default:
		return err
	}
}

// day writes the events of a day; with a pace, each when it arrives, so many times as fast as in the day.
func (p *player) day(ctx context.Context, day []replay.Event, pace float64) error {
	began := time.Now()
	for _, e := range day {
		if pace > 0 {
			due := began.Add(time.Duration(float64(e.Arrives-replay.Start) / pace * float64(time.Millisecond)))
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(time.Until(due)):
			}
		}
		p.send(ctx, e.Stream(), e.User, e.At, e.Fields())
	}
	return p.flush(ctx)
}

// run lets a day go this way and holds what comes out against want, and against another run's outcome unless that is nil.
func (w way) run(t *testing.T, s servers, day []replay.Event, want map[string]map[string]int, first *outcome) *outcome {
	t.Helper()
	begin := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	set, err := replay.Rules()
	if err != nil {
		t.Fatal(err)
	}
	p := s.player(t, set, s.prepare(t, replay.Folder, w.partitions))
	playing := make(chan error, 1)
	if w.backlog {
		playing <- p.day(ctx, day, 0)
	}
	var workers []*worker
	start := func() {
		workers = append(workers, s.worker(t, fmt.Sprint("worker-", len(workers)), replay.Folder, "exactly_once", "--pace", fmt.Sprint(w.pace)))
	}
	for range w.workers - 1 {
		start()
	}
	if w.later == 0 || w.workers == 1 {
		start()
	}
	if !w.backlog {
		for _, x := range workers {
			x.ready(t)
		}
		go func() { playing <- p.day(ctx, day, w.pace) }()
	}
	if len(workers) < w.workers {
		time.Sleep(w.later) // it is what is tested
		start()
	}
	o := newOutcome()
	f := follow(t, s, derivedTopics(set), o.add)
	total := 0
	for _, texts := range want {
		for _, n := range texts {
			total += n
		}
	}
	for i := range w.kills {
		middle := total * (i + 1) / (w.kills + 1)
		if err := f.until(ctx, func() bool { return o.read >= middle }); err != nil {
			whoWaits(t, workers)
			t.Fatalf("%d of %d records, after %d kills: %v", o.read, total, i, err)
		}
		x := workers[i%w.workers]
		x.kill()
		x.start(t)
	}
	err = f.until(ctx, func() bool { return o.read >= total })
	if err := errors.Join(err, <-playing); err != nil {
		whoWaits(t, workers)
		t.Errorf("%d of %d records came: %v", o.read, total, err)
	}
	nothingLate(t, workers)
	for _, x := range workers {
		if code := x.stop(t); code != 0 {
			t.Errorf("exit code %d after an interrupt", code)
		}
	}
	rest, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := f.toEnd(rest); err != nil {
		t.Fatal(err)
	}
	noDead(t, s)
	o.right(t, want)
	if first != nil {
		for _, stream := range derivedTopics(set) {
			differ(t, stream+", beside the first run", o.texts[stream], first.texts[stream])
		}
	}
	t.Logf("%d records in %.1f s", o.read, time.Since(begin).Seconds())
	return o
}

// whoWaits logs the rules with something pending, and who holds them back.
func whoWaits(t *testing.T, workers []*worker) {
	t.Helper()
	for i, w := range workers {
		_, body := w.get(t, "/api/time")
		var status []struct {
			Partitions []struct {
				Group     string
				Partition int
				Rules     []map[string]any
			}
		}
		if err := json.Unmarshal([]byte(body), &status); err != nil {
			t.Logf("worker %d: %v in %s", i, err, body)
			continue
		}
		for _, p := range status[0].Partitions {
			for _, r := range p.Rules {
				if r["waiting"] != 0.0 || r["next_deadline"] != nil {
					t.Logf("worker %d, %s, partition %d: %v", i, p.Group, p.Partition, r)
				}
			}
		}
	}
}

// derivedTopics are the topics that rules write.
func derivedTopics(set *rules.Set) (names []string) {
	for _, s := range set.Streams {
		if !s.Source {
			names = append(names, s.Topic)
		}
	}
	return names
}

// nothingLate holds that no rule has counted a late record.
func nothingLate(t *testing.T, workers []*worker) {
	t.Helper()
	for _, w := range workers {
		for _, name := range []string{"millrace_rule_late_total", "millrace_rule_partly_late_total"} {
			for labels, n := range w.metric(t, name) {
				if n > 0 {
					t.Errorf("%s%s %v", name, labels, n)
				}
			}
		}
	}
}

// One day gives the same derived records whatever way it goes: live with a clock that runs N times as fast, or replayed,
// with any number of workers and partitions, with kills.
func TestReplay(t *testing.T) {
	const length = 2 * time.Hour
	day := replay.Day(5, 900, length)
	want := replay.Expect(day)
	first := way{workers: 1, partitions: 1, pace: 1e5, backlog: true}
	var o *outcome
	if !t.Run(first.String(), func(t *testing.T) { o = first.run(t, embeddedServers(t), day, want, nil) }) {
		return
	}
	const live = 900 // two hours in eight seconds
	for _, w := range []way{
		{workers: 2, partitions: 4, pace: live, kills: 2},
		{workers: 2, partitions: 12, pace: 1e5, backlog: true, later: 2 * time.Second},
	} {
		t.Run(w.String(), func(t *testing.T) { w.run(t, embeddedServers(t), day, want, o) })
	}
}

func TestReplayDay(t *testing.T) {
	long(t)
	const (
		length = 24 * time.Hour
		live   = 2880 // a day in half a minute
		fast   = 1e6
	)
	day := replay.Day(6, 9000, length)
	want := replay.Expect(day)
	embedded := []way{
		{workers: 1, partitions: 1, pace: fast, backlog: true},
		{workers: 2, partitions: 4, pace: fast, backlog: true},
		{workers: 4, partitions: 12, pace: fast, backlog: true},
		{workers: 4, partitions: 12, pace: fast, backlog: true, kills: 6},
		{workers: 2, partitions: 12, pace: fast, backlog: true, later: 10 * time.Second},
		{workers: 1, partitions: 1, pace: live},
		{workers: 1, partitions: 12, pace: live},
		{workers: 2, partitions: 4, pace: live},
		{workers: 4, partitions: 12, pace: live},
		{workers: 4, partitions: 1, pace: live},
		{workers: 2, partitions: 12, pace: live, later: 10 * time.Second},
		{workers: 2, partitions: 4, pace: live, kills: 6},
	}
	kafka := []way{
		{workers: 1, partitions: 1, pace: fast, backlog: true},
		{workers: 4, partitions: 12, pace: fast, backlog: true, kills: 6},
		{workers: 2, partitions: 4, pace: live},
		{workers: 4, partitions: 12, pace: live, kills: 6},
		{workers: 2, partitions: 12, pace: live, later: 10 * time.Second},
	}
	var first *outcome
	for _, w := range embedded {
		t.Run("embedded, "+w.String(), func(t *testing.T) {
			o := w.run(t, embeddedServers(t), day, want, first)
			if first == nil {
				first = o
			}
		})
	}
	for _, w := range kafka {
		t.Run("Kafka, "+w.String(), func(t *testing.T) { w.run(t, realServers(t), day, want, first) })
	}
}
