package chaos

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/topologies/kafka"
)

// TestProxy holds that clients see nothing but the proxy, that transactions go through it although some of their ends
// come late or are not answered, and that late ones are harmless with transactions v2.
func TestProxy(t *testing.T) {
	const n = 60
	fake, err := kfake.NewCluster(kfake.NumBrokers(3), kfake.SeedTopics(3, "t"))
	if err != nil {
		t.Fatal(err)
	}
	defer fake.Close()
	p, err := NewProxy(fake.ListenAddrs(), 4)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cl, err := kgo.NewClient(kgo.SeedBrokers(p.Addrs()[0]), kgo.TransactionalID("x"), kgo.DefaultProduceTopic("t"), kgo.ConcurrentTransactionsBackoff(2*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	for i := range n {
		if err := cl.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			cl.Produce(ctx, kgo.KeyStringRecord(time.Duration(i).String(), "v"), nil)
		}
		if err := cl.Flush(ctx); err != nil {
			t.Fatal(err)
		}
		if err := cl.EndTransaction(ctx, kgo.TryCommit); err != nil {
			t.Fatalf("transaction %d: %v", i, err)
		}
	}
	if p.Late() < n/8 || p.Lost() < n/8 {
		t.Errorf("of %d transactions %d ended late and %d without an answer", n, p.Late(), p.Lost())
	}
	a, err := kmsg.NewPtrMetadataRequest().RequestWith(ctx, cl)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range a.Brokers {
		if !slices.ContainsFunc(p.Addrs(), func(addr string) bool { return addr == hostPort(b.Host, b.Port) }) {
			t.Errorf("clients are sent to %s", hostPort(b.Host, b.Port))
		}
	}
	direct, err := kafka.Connect(ctx, fake.ListenAddrs(), "test", 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer direct.Close()
	got := 0
	if err := readAll(ctx, direct, []string{"t"}, func(*kgo.Record) { got++ }); err != nil {
		t.Fatal(err)
	}
	if got != 3*n {
		t.Errorf("%d committed records, want %d", got, 3*n)
	}
}
