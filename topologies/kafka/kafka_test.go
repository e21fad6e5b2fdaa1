package kafka

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/schemas"
)

func cluster(t *testing.T, topics ...string) *Client {
	t.Helper()
	fake, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(2, topics...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(fake.Close)
	c, err := Connect(t.Context(), fake.ListenAddrs(), "test", 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// transact writes n records into both partitions of a topic in one transaction.
func transact(t *testing.T, c *Client, topic string, n int, how kgo.TransactionEndTry) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.Brokers()...), kgo.TransactionalID("t"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	if err := cl.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		cl.Produce(t.Context(), &kgo.Record{Topic: topic, Partition: int32(i % 2), Value: fmt.Append(nil, i)}, nil)
	}
	if err := cl.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := cl.EndTransaction(t.Context(), how); err != nil {
		t.Fatal(err)
	}
}

func TestReadBack(t *testing.T) {
	c := cluster(t, "a")
	p, err := c.NewProducer()
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	at := time.UnixMilli(1_320_000_000_000)
	for i := range 10 {
		r := &Record{
			Partition: Partition{"a", int32(i % 2)}, Timestamp: at.Add(time.Duration(i) * time.Second),
			Key: fmt.Append(nil, i), Value: []byte("v"), Headers: []schemas.Header{{Key: "h", Value: []byte("1")}, {Key: "h", Value: []byte("2")}},
		}
		if err := p.Send(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Flush(t.Context()); err != nil || p.Acked() != 10 {
		t.Fatal(err, p.Acked())
	}
	starts, err := c.Starts(t.Context(), "a", "none")
	if err != nil {
		t.Fatal(err)
	}
	ends, err := c.StableEnds(t.Context(), "a", "none")
	if err != nil || len(ends) != 2 || ends[Partition{"a", 1}] != 5 {
		t.Fatal(ends, err)
	}
	n := 0
	err = c.Scan(t.Context(), starts, ends, func(r *Record) error {
		n++
		if string(r.Header("h")) != "2" || r.Header("x") != nil || r.Timestamp.Before(at) {
			t.Errorf("got %+v", r)
		}
		return nil
	})
	if err != nil || n != 10 {
		t.Fatal(n, err)
	}
	since, err := c.Since(t.Context(), at.Add(8500*time.Millisecond), "a")
	// The embedded broker answers with the start of the batch, a real one with the record itself.
	if one := since[Partition{"a", 1}]; err != nil || since[Partition{"a", 0}] != 5 || one < 1 || one > 4 {
		t.Fatal(since, err)
	}
	seen := 0
	err = c.Follow(t.Context(), starts, func(*Record) error {
		if seen++; seen == 10 {
			return ErrStop
		}
		return nil
	})
	if err != nil || seen != 10 {
		t.Fatal(seen, err)
	}
}

func TestScanEndsAtMarkers(t *testing.T) {
	c := cluster(t, "a")
	transact(t, c, "a", 4, kgo.TryCommit)
	transact(t, c, "a", 4, kgo.TryAbort)
	ends, err := c.StableEnds(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	data, markers := 0, 0
	err = c.Scan(ctx, Offsets{{"a", 0}: 0, {"a", 1}: 0}, ends, func(r *Record) error {
		if r.Control {
			markers++
		} else {
			data++
		}
		return nil
	})
	if err != nil || data != 4 || markers != 4 {
		t.Fatalf("%d records, %d markers, %v", data, markers, err)
	}
}

func TestUnreachable(t *testing.T) {
	_, err := Connect(t.Context(), []string{"127.0.0.1:1"}, "test", 300*time.Millisecond)
	if _, ok := errors.AsType[*UnreachableError](err); !ok {
		t.Fatal(err)
	}
}

func TestSendToMissingTopic(t *testing.T) {
	c := cluster(t, "a")
	p, err := c.NewProducer()
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := p.Send(ctx, &Record{Partition: Partition{"none", 0}}); err != nil {
		t.Fatal(err)
	}
	if err := p.Flush(ctx); err == nil {
		t.Fatal("no error")
	}
}
