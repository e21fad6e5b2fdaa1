package topologies

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/IBM/sarama"
	"github.com/syndtr/goleveldb/leveldb"
	lstorage "github.com/syndtr/goleveldb/leveldb/storage"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/schemas"
)

// bed is a group with one partition on a log and a clock of its own, without a cluster: records go in by hand, and what the
// group writes and commits lies open.
type bed struct {
	t       *testing.T
	set     *rules.Set
	plan    *Plan
	run     *incarnation
	metrics *metrics
	at      time.Time // the wall clock
	written []*kgo.Record
	offsets map[topicPartition]int64 // committed
	next    map[topicPartition]int64 // of what is written
	read    map[string]int64         // next offset of what goes in, by stream
}

// newBed lays rules over the streams of web out and takes partition 0 of a group.
func newBed(t *testing.T, group, body string, edit func(*Options)) *bed {
	t.Helper()
	b := &bed{t: t, at: time.UnixMilli(1_700_000_000_000), offsets: map[topicPartition]int64{}, next: map[topicPartition]int64{}, read: map[string]int64{}}
	b.set = webRulesSet(t, body)
	var err error
	if b.plan, err = NewPlan("millrace", b.set, func(string) int32 { return 1 }, 1); err != nil {
		t.Fatal(err)
	}
	o := Options{Set: b.set, Logger: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))}.withDefaults()
	if edit != nil {
		edit(&o)
	}
	m, err := newMetrics(nil)
	if err != nil {
		t.Fatal(err)
	}
	b.metrics = m
	for _, g := range b.plan.Groups {
		if g.Name != group {
			continue
		}
		r := &runner{
			options: &o, plan: g, logger: o.Logger, metrics: m.group(g.Name), decoders: newDecoders(nil, o.Logger, m.group(g.Name)), targets: map[*rules.Stream]*target{},
			topics: Topics{}, constants: newConstants(&o, g), board: newBoard(b.plan, o.Logger), now: func() time.Time { return b.at },
			reached: func() int64 { return math.MinInt64 },
		}
		for _, s := range b.set.Streams {
			enc, err := schemas.NewEncoder(s.Schema)
			if err != nil {
				t.Fatal(err)
			}
			r.targets[s] = newTarget("millrace", s, enc, 1, topicInfo{1, defaultMaxBytes}, false)
			r.decoders.known[decoderKey{s, 1}] = newDecoder(s, s.Schema)
		}
		_, cancel := context.WithCancelCause(t.Context())
		b.run = r.newIncarnation(cancel, func() {})
		b.run.journal = &bedJournal{b, sync.Mutex{}, 0}
		b.take(nil)
		return b
	}
	t.Fatalf("no group %s", group)
	return nil
}

// take makes the partition anew, as a new owner does, with what the last owner has said.
func (b *bed) take(last *progress) {
	b.t.Helper()
	x := b.run
	var st *store
	if x.runner.plan.Stateful {
		db, err := leveldb.Open(lstorage.NewMemStorage(), nil)
		if err != nil {
			b.t.Fatal(err)
		}
		if st, err = x.storeOver(db, x.runner.plan.Table(), 0); err != nil {
			b.t.Fatal(err)
		}
		b.t.Cleanup(func() {
			if err := st.shut(); err != nil {
				b.t.Error(err)
			}
		})
		x.stores[0] = st
	}
	p, err := newPartition(x, 0, st)
	if err != nil {
		b.t.Fatal(err)
	}
	p.restore(last)
	x.parts[0], x.active = p, true
}

// begin says where reading begins, of every input.
func (b *bed) begin() *bed {
	for _, s := range b.run.parts[0].inputs {
		s.clock.begin(b.offsets[topicPartition{s.Topic, 0}])
	}
	return b
}

// give steps records of a stream.
func (b *bed) give(topic string, ms ...*sarama.ConsumerMessage) {
	b.t.Helper()
	for len(ms) > 0 {
		n, err := b.run.step(b.run.runner.input(topic), topic, 0, ms, b.run.runner.now())
		if err != nil {
			b.t.Fatal(err)
		}
		ms = ms[n:]
	}
}

// tick lets the group look at its time; the named topics are known to hold nothing more.
func (b *bed) tick(silent ...string) {
	b.t.Helper()
	a := b.run.asking()
	b.run.questions(a)
	a.quiet = map[topicPartition]bool{}
	for _, topic := range silent {
		a.quiet[topicPartition{topic, 0}] = true
	}
	if err := b.run.tick(b.run.parts[0], a); err != nil {
		b.t.Fatal(err)
	}
}

// commit ends the transaction and gives what the partition has said in it, as a reader gets it.
func (b *bed) commit() *progress {
	b.t.Helper()
	n := len(b.written)
	if err := b.run.commit(); err != nil {
		b.t.Fatal(err)
	}
	for _, r := range b.written[n:] {
		if r.Topic == Progress("millrace") {
			p, err := parseProgress(r.Value)
			if err != nil {
				b.t.Fatal(err)
			}
			return p
		}
	}
	return nil
}

// record encodes a record of a stream, with the next offset of its topic.
func (b *bed) record(stream, key string, fields ...any) *sarama.ConsumerMessage {
	b.t.Helper()
	s := b.set.Stream(stream)
	enc, err := schemas.NewEncoder(s.Schema)
	if err != nil {
		b.t.Fatal(err)
	}
	v, err := enc.Append(schemas.AppendFrame(nil, 1), fields)
	if err != nil {
		b.t.Fatal(err)
	}
	m := &sarama.ConsumerMessage{Topic: s.Topic, Key: []byte(key), Value: v, Offset: b.read[stream]}
	b.read[stream]++
	return m
}

// click is a record of web.clicks at so many ms after the start of the wall clock.
func (b *bed) click(user string, at int64) *sarama.ConsumerMessage {
	b.t.Helper()
	return b.record("web.clicks", user, fmt.Sprintf("e%d", b.read["web.clicks"]), user, "p", 1.0, 1_700_000_000_000+at)
}

// results lists the records of a stream's topic, as key and time.
func (b *bed) results(topic string) string {
	var out []string
	for _, r := range b.written {
		if r.Topic == topic {
			out = append(out, fmt.Sprintf("%s@%d", r.Key, r.Timestamp.UnixMilli()-1_700_000_000_000))
		}
	}
	return strings.Join(out, " ")
}

// bedJournal writes at once, and every commit succeeds.
type bedJournal struct {
	bed *bed
	mu  sync.Mutex
	txn int64
}

func (j *bedJournal) add(r *kgo.Record, acked func(*kgo.Record)) {
	j.mu.Lock()
	defer j.mu.Unlock()
	tp := topicPartition{r.Topic, r.Partition}
	r.Offset = j.bed.next[tp]
	j.bed.next[tp]++
	j.bed.written = append(j.bed.written, r)
	j.txn++
	if acked != nil {
		acked(r)
	}
}

func (j *bedJournal) emit(r *kgo.Record, acked func(*kgo.Record)) { j.add(r, acked) }
func (j *bedJournal) written() int64                              { return j.txn }

func (j *bedJournal) commit(_ context.Context, offsets map[topicPartition]int64, _ member, tail func() ([]*kgo.Record, error), failed func() error) error {
	if tail != nil {
		rs, err := tail()
		if err != nil {
			return err
		}
		for _, r := range rs {
			j.add(r, nil)
		}
	}
	maps.Copy(j.bed.offsets, offsets)
	j.txn = 0
	return failed()
}

func (j *bedJournal) abort(context.Context) error { return nil }
func (j *bedJournal) close()                      {}
func (j *bedJournal) extent(context.Context, topicPartition) (id [16]byte, oldest, newest int64, err error) {
	return id, 0, 0, nil
}

func (j *bedJournal) readDecided(context.Context, topicPartition, int64, int64, func([]*kgo.Record, int64) error) error {
	return nil
}
func (j *bedJournal) positioned(context.Context, string, int32) (bool, error) { return true, nil }
func (j *bedJournal) announced(context.Context, int32) error                  { return nil }

// webRulesSet loads rules over the streams of web, and those that follow the rules behind the key streams.
func webRulesSet(t *testing.T, body string) *rules.Set {
	t.Helper()
	body, streams, _ := strings.Cut(body, "streams:\n")
	catalog, err := schemas.LoadCatalog(fstest.MapFS{
		"web/Click.avsc": {Data: []byte(schemaClick)}, "web/Count.avsc": {Data: []byte(schemaCount)}, "web/Big.avsc": {Data: []byte(schemaBig)},
	})
	if err != nil {
		t.Fatal(err)
	}
	set, err := rules.Load(fstest.MapFS{
		"web/streams.yaml": {Data: []byte(webStreams + "  visits: {topic: web.visits, schema: web.Click, key: user_id, time: occurred_at}\n" + streams)}, "web/rules.yaml": {Data: []byte("domain: web\nrules:\n" + body)},
	}, rules.Options{Catalog: catalog})
	if err != nil {
		t.Fatal(err)
	}
	return set
}
