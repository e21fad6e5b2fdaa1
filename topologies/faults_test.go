package topologies

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/syndtr/goleveldb/leveldb"
	"github.com/syndtr/goleveldb/leveldb/util"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/schemas"
)

// failures collects why incarnations ended.
type failures struct {
	mu   sync.Mutex
	errs []error
}

func (f *failures) note(e Event) {
	if e.Kind == Failed {
		f.mu.Lock()
		f.errs = append(f.errs, e.Err)
		f.mu.Unlock()
	}
}

func (f *failures) list() []error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]error(nil), f.errs...)
}

// clicks produces the clicks from to, of ten users.
func (c *cluster) clicks(from, to int) {
	c.t.Helper()
	for i := from; i < to; i++ {
		user := fmt.Sprintf("u%d", i%10)
		c.produce("web.clicks", user, 2, fmt.Sprintf("e%d", i), user, "p", 1.0, int64(1_700_000_000_000+i))
	}
	if err := c.client.Flush(c.t.Context()); err != nil {
		c.t.Fatal(err)
	}
}

// counted checks that the counts of each user go 1, 2, 3 … up to n in all.
func (c *cluster) counted(n int) {
	c.t.Helper()
	last := map[string]int64{}
	got := c.read("web.counts")
	for _, r := range got {
		_, body, err := schemas.Frame(r.Value)
		if err != nil {
			c.t.Fatal(err)
		}
		m, err := c.set.Stream("web.counts").Schema.DecodeAny(body)
		if err != nil {
			c.t.Fatal(err)
		}
		if m["n"].(int64) != last[string(r.Key)]+1 {
			c.t.Fatalf("count of %s is %d after %d", r.Key, m["n"], last[string(r.Key)])
		}
		last[string(r.Key)]++
	}
	if len(got) != n {
		c.t.Errorf("%d counts, want %d", len(got), n)
	}
}

// TestDamagedStore: cells of the local copy that can not be read cost a rebuild from the changelog, in the middle of a
// batch whose first records have been processed already, and neither a count nor a result.
func TestDamagedStore(t *testing.T) {
	c := newCluster(t, webSet(t), 2)
	c.clicks(0, 500)
	o := c.options("w0")
	stop := c.running(o)
	c.await("counts", func() bool { return len(c.read("web.counts")) >= 500 })
	stop()
	paths, err := filepath.Glob(filepath.Join(o.StateDir, "millrace.web.user_id-table.*"))
	if err != nil || len(paths) != 2 {
		t.Fatal(paths, err)
	}
	for _, path := range paths {
		db, err := leveldb.OpenFile(path, nil)
		if err != nil {
			t.Fatal(err)
		}
		it := db.NewIterator(util.BytesPrefix([]byte(cellPrefix)), nil)
		for n := 0; it.Next(); n++ {
			if n%3 == 2 {
				if err := db.Put(it.Key(), []byte{255}, nil); err != nil {
					t.Fatal(err)
				}
			}
		}
		it.Release()
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	c.clicks(500, 1000)
	var f failures
	o.OnEvent = f.note
	stop = c.running(o)
	c.await("counts", func() bool { return len(c.read("web.counts")) >= 1000 })
	stop()
	c.counted(1000)
	if n := len(f.list()); n == 0 || n > 4 {
		t.Errorf("%d failures: %v", n, f.list())
	}
}

// TestOffsetOutOfRange: a committed offset that the log does not have is an error that everybody sees.
func TestOffsetOutOfRange(t *testing.T) {
	c := newCluster(t, webSet(t), 2)
	c.clicks(0, 10)
	q := kmsg.NewPtrOffsetCommitRequest()
	q.Version, q.Group, q.Generation = 8, "millrace.web.user_id", -1
	x := kmsg.NewOffsetCommitRequestTopic()
	x.Topic = "web.clicks"
	p := kmsg.NewOffsetCommitRequestTopicPartition()
	p.Partition, p.Offset = 0, 1_000_000
	x.Partitions = append(x.Partitions, p)
	q.Topics = append(q.Topics, x)
	id, err := topicID(t.Context(), c.client, "web.clicks")
	if err != nil {
		t.Fatal(err)
	}
	q.Topics[0].TopicID = id
	if _, err := q.RequestWith(t.Context(), c.client); err != nil {
		t.Fatal(err)
	}
	var f failures
	o := c.options("w0")
	o.OnEvent = f.note
	stop := c.running(o)
	defer stop()
	c.await("the failure", func() bool { return len(f.list()) > 0 })
	if err := f.list()[0]; !strings.Contains(err.Error(), "committed offset") {
		t.Error(err)
	}
}

// TestLostOffsets: state whose offsets the broker has forgotten is not fed from the start again.
func TestLostOffsets(t *testing.T) {
	c := newCluster(t, webSet(t), 2)
	c.clicks(0, 100)
	o := c.options("w0")
	stop := c.running(o)
	c.await("counts", func() bool { return len(c.read("web.counts")) >= 100 })
	stop()
	const group = "millrace.web.user_id"
	c.await("the group to be empty and deleted", func() bool {
		q := kmsg.NewPtrDeleteGroupsRequest()
		q.Groups = []string{group}
		a, err := q.RequestWith(t.Context(), c.client)
		return err == nil && a.Groups[0].ErrorCode == 0
	})
	var f failures
	o.OnEvent = f.note
	stop = c.running(o)
	c.await("the failure", func() bool { return len(f.list()) > 0 })
	stop()
	if err := f.list()[0]; !strings.Contains(err.Error(), "no offset in partition") {
		t.Error(err)
	}
	c.counted(100)
}

// fixedClaim is a claim of partition 0 of a topic.
type fixedClaim struct{ sarama.ConsumerGroupClaim }

func (fixedClaim) Topic() string    { return "t" }
func (fixedClaim) Partition() int32 { return 0 }

// TestFailedBatchIsNotCommitted: a commit that waits for the end of a batch that fails finds the failure. Otherwise it
// would commit the batch's first outputs without its offset.
func TestFailedBatchIsNotCommitted(t *testing.T) {
	_, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	g := &runner{options: &Options{TransactionTimeout: time.Minute}, plan: &Group{}}
	x := &incarnation{runner: g, cancel: cancel, stopProducing: func() {}}
	x.parts = map[int32]*partition{0: {run: x}} // it has no such input: the step panics
	found := make(chan error)
	inside := sync.OnceFunc(func() {
		go func() {
			x.barrier.Lock()
			defer x.barrier.Unlock()
			found <- x.failure()
		}()
		time.Sleep(50 * time.Millisecond)
	})
	g.now = func() time.Time { inside(); return time.Now() } // it is asked while the batch holds the barrier
	b := &batch{claim: &claim{ConsumerGroupClaim: fixedClaim{}, in: &Input{}}, records: []*sarama.ConsumerMessage{{}}}
	go func() {
		if err := x.process(b); err == nil {
			t.Error("the batch does not fail")
		}
	}()
	if err := <-found; err == nil {
		t.Error("a commit after the batch does not know that it failed")
	}
}
