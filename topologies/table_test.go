package topologies

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/schemas"
)

// tableOf declares web.people, a table over the schema of web.clicks that no rule reads.
func tableOf(table string) string {
	return "  []\nstreams:\n  people: {topic: web.people, schema: web.Click, key: user_id, time: occurred_at, table: " + table + "}\n"
}

// reader answers for the tables of a bed.
func (b *bed) reader() *Worker {
	b.run.runner.alive = b.run
	return &Worker{options: *b.run.runner.options, runners: []*runner{b.run.runner}, board: b.run.runner.board}
}

// person is a record of web.people.
func (b *bed) person(user, page string, at int64) *sarama.ConsumerMessage {
	b.t.Helper()
	return b.record("web.people", user, fmt.Sprintf("e%d", b.read["web.people"]), user, page, 1.5, 1_700_000_000_000+at)
}

// gone is a record that deletes a row of web.people.
func (b *bed) gone(user string, at int64) *sarama.ConsumerMessage {
	m := &sarama.ConsumerMessage{Topic: "web.people", Key: []byte(user), Offset: b.read["web.people"], Timestamp: time.UnixMilli(1_700_000_000_000 + at)}
	b.read["web.people"]++
	return m
}

// TestReadTable: a table that no rule reads is kept, and read before and after commits, from memory and from the local copy.
func TestReadTable(t *testing.T) {
	b := newBed(t, byUser, tableOf("true"), nil).begin()
	w := b.reader()
	want := func(key, page string, at int64) {
		t.Helper()
		row, err := w.Table(t.Context(), "web.people", key)
		if page == "" {
			if none, ok := errors.AsType[*NoRowError](err); !ok || *none != (NoRowError{"web.people", key, 0}) {
				t.Errorf("%q: %v, %v", key, row, err)
			}
			return
		}
		if err != nil {
			t.Errorf("%q: %v", key, err)
			return
		}
		text := fmt.Sprintf(`{"user_id":%q,"page":%q,"amount":1.5}`, key, page)
		if string(row.Value) != text || row.Time != 1_700_000_000_000+at {
			t.Errorf("%q: %s at %d; want %s at %d", key, row.Value, row.Time-1_700_000_000_000, text, at)
		}
	}
	want("u", "", 0)
	b.give("web.people", b.person("u", "a", 1000), b.person("v", "a", 0))
	want("u", "a", 1000)
	b.commit()
	b.give("web.people", b.person("u", "b", 500)) // the last one processed holds
	want("u", "b", 500)
	b.commit()
	b.commit()
	st := b.run.stores[0]
	if err := st.settle(); err != nil {
		t.Fatal(err)
	}
	st.epoch += 2
	st.evict(0)
	rows := len(st.rows)
	want("u", "b", 500)
	want("v", "a", 0)
	want("w", "", 0)
	for _, key := range []string{"", "\xff", "u\x00web.people.table\x00t0", string(make([]byte, 5000))} {
		want(key, "", 0)
	}
	if len(st.rows) != rows {
		t.Errorf("%d rows are in memory, %d were before reading", len(st.rows), rows)
	}
	b.give("web.people", b.gone("u", 2000))
	want("u", "", 0)
}

// TestReadTableInTime: with history the newest row by event time holds, and with ttl no longer than that.
func TestReadTableInTime(t *testing.T) {
	b := newBed(t, byUser, tableOf("{history: 1h, ttl: 10s}"), nil).begin()
	w := b.reader()
	at := func() int64 {
		row, err := w.Table(t.Context(), "web.people", "u")
		if errors.As(err, new(*NoRowError)) {
			return -1
		}
		if err != nil {
			t.Fatal(err)
		}
		return row.Time - 1_700_000_000_000
	}
	var got []int64
	for _, m := range []*sarama.ConsumerMessage{
		b.person("u", "a", 5000), b.person("u", "b", 1000), b.person("v", "c", 14_999), b.person("v", "c", 15_000), b.person("u", "d", 20_000), b.gone("u", 19_000), b.gone("u", 21_000),
	} {
		b.give("web.people", m)
		b.tick("web.people")
		got = append(got, at())
	}
	if d := cmp.Diff([]int64{5000, 5000, 5000, -1, 20_000, 20_000, -1}, got); d != "" {
		t.Error(d)
	}
}

// TestReadTableElsewhere: what is not here is said to be where the progress records have it.
func TestReadTableElsewhere(t *testing.T) {
	b := newBed(t, byUser, tableOf("true"), func(o *Options) { o.Instance, o.Address = "w-1", "w-1:80" }).begin()
	w := b.reader()
	if d := cmp.Diff([]TableStatus{{"web.people", "user_id", byUser, 1, []int32{0}}}, w.Tables()); d != "" {
		t.Error(d)
	}
	for name, stream := range map[string]bool{"web.none": false, "web.clicks": true} {
		_, err := w.Table(t.Context(), name, "u")
		if none, ok := errors.AsType[*NoTableError](err); !ok || *none != (NoTableError{name, stream}) {
			t.Errorf("%s: %v", name, err)
		}
	}
	b.tick()
	said := b.commit()
	if said == nil || said.Instance != "w-1" || said.Address != "w-1:80" {
		t.Fatalf("said %+v: nobody knows who has taken the partition over", said)
	}
	for last, news := range map[*progress]bool{said: false, {Instance: "w-2", Address: "w-1:80"}: true, {Instance: "w-1"}: true} {
		if b.take(last); b.run.parts[0].time.taken != news {
			t.Errorf("after %+v the partition has news: %v", last, !news)
		}
	}
	b.run.active = false
	board := b.run.runner.board
	for _, c := range []struct {
		last *progress
		want error
	}{
		{nil, &NotReadyError{byUser, 0}},
		{&progress{}, &NotReadyError{byUser, 0}},
		{said, &NotReadyError{byUser, 0}},
		{&progress{Instance: "w-2", Address: "w-2:80"}, &ElsewhereError{byUser, 0, Owner{"w-2", "w-2:80"}}},
	} {
		board.latest[groupPartition{byUser, 0}] = c.last
		_, err := w.Table(t.Context(), "web.people", "u")
		if d := cmp.Diff(c.want, err); d != "" {
			t.Error(d)
		}
	}
	if d := cmp.Diff([]int32{}, w.Tables()[0].Here); d != "" {
		t.Error(d)
	}
}

// TestReadTableBesideCommits: who reads waits for a commit as long as it wants to, and meets none.
func TestReadTableBesideCommits(t *testing.T) {
	b := newBed(t, byUser, tableOf("true"), nil).begin()
	w := b.reader()
	ctx, cancel := context.WithCancel(t.Context())
	b.run.barrier.Lock()
	cancel()
	if _, err := w.Table(ctx, "web.people", "u"); !errors.As(err, new(*NotReadyError)) {
		t.Error(err)
	}
	b.run.barrier.Unlock()
	over, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for last := int64(0); ; {
			row, err := w.Table(t.Context(), "web.people", "u")
			switch {
			case errors.As(err, new(*NoRowError)) && last == 0:
			case err != nil || row.Time < last:
				t.Errorf("%+v, %v after %d", row, err, last)
				return
			default:
				last = row.Time
			}
			select {
			case <-over:
				return
			default:
			}
		}
	}()
	for i := range 300 {
		b.give("web.people", b.person("u", "a", int64(i)))
		b.commit()
	}
	close(over)
	<-done
}

// TestReadTableOfTwoWorkers: of two workers one has a row, and the other knows where it is; also of a table whose records come by
// way of a repartition topic. When one has ended, the other has all rows.
func TestReadTableOfTwoWorkers(t *testing.T) {
	c := newCluster(t, webRulesSet(t, tableOf("true, partitioner: any")), 4)
	const keys = 20
	produce := func(i int, value []byte) {
		c.client.Produce(t.Context(), &kgo.Record{Topic: "web.people", Partition: int32(i % 3), Key: []byte(fmt.Sprint("u", i)), Value: value}, func(_ *kgo.Record, err error) {
			if err != nil {
				t.Error(err)
			}
		})
	}
	s := c.set.Stream("web.people")
	enc, err := schemas.NewEncoder(s.Schema)
	if err != nil {
		t.Fatal(err)
	}
	for i := range keys {
		v, err := enc.Append(schemas.AppendFrame(nil, c.ids[s]), []any{fmt.Sprint("e", i), fmt.Sprint("u", i), nil, float64(i), int64(1_700_000_000_000)})
		if err != nil {
			t.Fatal(err)
		}
		if produce(i, v); i%5 == 0 {
			produce(i, nil)
		}
	}
	if err := c.client.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	var workers []*Worker
	var stops []func()
	for i := range 2 {
		o := c.options(fmt.Sprint("w", i))
		o.Address = o.Instance + ":80"
		w, err := NewWorker(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- w.Run(ctx) }()
		workers = append(workers, w)
		stop := sync.OnceFunc(func() {
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
		stops = append(stops, stop)
		defer stop()
	}
	// right reports whether the answer is the row of the key, or that there is none.
	right := func(i int, row *TableRow, err error) bool {
		if i%5 == 0 {
			return errors.As(err, new(*NoRowError))
		}
		return err == nil && string(row.Value) == fmt.Sprintf(`{"user_id":"u%d","page":null,"amount":%d}`, i, i) && row.EventID == fmt.Sprint("e", i)
	}
	for i := range keys {
		key := fmt.Sprint("u", i)
		c.await(key, func() bool {
			for here, w := range workers {
				row, err := w.Table(t.Context(), "web.people", key)
				_, far := workers[1-here].Table(t.Context(), "web.people", key)
				away, ok := errors.AsType[*ElsewhereError](far)
				if right(i, row, err) && ok && away.Owner == (Owner{fmt.Sprint("w", here), fmt.Sprintf("w%d:80", here)}) {
					return true
				}
			}
			return false
		})
	}
	stops[0]()
	for i := range keys {
		key := fmt.Sprint("u", i)
		c.await(key, func() bool {
			row, err := workers[1].Table(t.Context(), "web.people", key)
			return right(i, row, err)
		})
	}
	if d := cmp.Diff([]int32{0, 1, 2, 3}, workers[1].Tables()[0].Here); d != "" {
		t.Error(d)
	}
}
