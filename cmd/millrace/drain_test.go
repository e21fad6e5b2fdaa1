package main

import (
	"errors"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/topologies"
	"github.com/millrace-io/millrace/topologies/kafka"
)

// drained is a broker with two topics of two partitions and a group that reads the first and writes the second.
type drained struct {
	t      *testing.T
	client *kafka.Client
	txn    *kgo.Client
	drain  *drain
}

func newDrained(t *testing.T) *drained {
	t.Helper()
	b, err := startBroker(t.Context(), "127.0.0.1:0", "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.close)
	c, err := kafka.Connect(t.Context(), []string{b.address}, "test", 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	if err := topologies.Create(t.Context(), c.Kgo(), []topologies.Creation{{Name: "in", Partitions: 2}, {Name: "out", Partitions: 2}}, 1); err != nil {
		t.Fatal(err)
	}
	txn, err := kgo.NewClient(kgo.SeedBrokers(b.address), kgo.TransactionalID("g/0"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(txn.Close)
	plan := &topologies.Plan{
		Groups: []*topologies.Group{
			{Name: "g", Inputs: []*topologies.Input{{Topic: "in"}}},
			{Name: "h", Inputs: []*topologies.Input{{Topic: "out"}}},
		},
		Topics: []topologies.Topic{{Name: "in"}, {Name: "out"}, {Name: "absent"}},
	}
	return &drained{t, c, txn, newDrain(c, plan)}
}

func (d *drained) begin() {
	d.t.Helper()
	if err := d.txn.BeginTransaction(); err != nil {
		d.t.Fatal(err)
	}
}

func (d *drained) write(topic string) {
	d.t.Helper()
	if err := d.txn.ProduceSync(d.t.Context(), &kgo.Record{Topic: topic, Partition: 1, Value: []byte("v")}).FirstErr(); err != nil {
		d.t.Fatal(err)
	}
}

func (d *drained) end(how kgo.TransactionEndTry) {
	d.t.Helper()
	if err := d.txn.EndTransaction(d.t.Context(), how); err != nil {
		d.t.Fatal(err)
	}
}

func (d *drained) commit(group, topic string, offset int64) {
	d.t.Helper()
	q := kmsg.NewPtrOffsetCommitRequest()
	q.Group = group
	t := kmsg.NewOffsetCommitRequestTopic()
	t.Topic = topic
	p := kmsg.NewOffsetCommitRequestTopicPartition()
	p.Partition, p.Offset = 1, offset
	t.Partitions = append(t.Partitions, p)
	q.Topics = append(q.Topics, t)
	a, err := q.RequestWith(d.t.Context(), d.client.Kgo())
	if err != nil {
		d.t.Fatal(err)
	}
	if code := a.Topics[0].Partitions[0].ErrorCode; code != 0 {
		d.t.Fatal(kerr.ErrorForCode(code))
	}
}

func (d *drained) want(settled bool, when string) {
	d.t.Helper()
	b, err := d.drain.look(d.t.Context())
	if err != nil {
		d.t.Fatal(err)
	}
	if b.settled != settled {
		d.t.Errorf("%s: settled is %v (%+v)", when, b.settled, b)
	}
}

func TestDrain(t *testing.T) {
	d := newDrained(t)
	d.want(true, "empty topics")
	d.begin()
	d.write("in")
	d.want(false, "open transaction")
	d.end(kgo.TryCommit)
	d.want(false, "a record that nobody took in")
	d.commit("g", "in", 1)
	d.want(true, "only the marker lies behind the offset")
	d.begin()
	d.write("out")
	d.want(false, "an output in an open transaction")
	d.end(kgo.TryAbort)
	d.want(true, "an output that was taken back")
	d.begin()
	d.write("out")
	d.end(kgo.TryCommit)
	d.want(false, "an output that the next group has not taken in")
	d.commit("h", "out", 3)
	d.want(true, "everything taken in")
}

func TestDrainTellsTrouble(t *testing.T) {
	d := newDrained(t)
	d.begin()
	d.write("in")
	d.end(kgo.TryCommit)
	told := false
	ctx := t.Context()
	reason := errors.New("broken for good")
	done := make(chan error, 1)
	go func() {
		done <- d.drain.wait(ctx, func(b backlog) { told = b.records == 2 && b.where != "" }, func() error { return reason })
	}()
	select {
	case err := <-done:
		t.Fatalf("ended early: %v", err)
	case <-time.After(200 * time.Millisecond):
	}
	d.commit("g", "in", 1)
	if err := <-done; err != nil || !told {
		t.Fatal(err, told)
	}
}
