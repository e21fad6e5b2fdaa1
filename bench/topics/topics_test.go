package topics_test

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/bench/topics"
	"github.com/millrace-io/millrace/bench/workload"
)

// TestRoundTrip: what is loaded is read back, in murmur2's partitions, and a group that consumed it all is seen to.
func TestRoundTrip(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	brokers := cluster.ListenAddrs()
	client, err := topics.Client(brokers)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := topics.Create(ctx, client, "in", 8); err != nil {
		t.Fatal(err)
	}
	n, err := topics.Load(ctx, brokers, func(workload.Kind) string { return "in" }, "w2", 3, 2000, func(k workload.Kind) uint32 { return uint32(k) + 10 })
	if err != nil || n != 2008 {
		t.Fatalf("loaded %d, %v", n, err)
	}
	if err := topics.WaitRecords(ctx, client, "in", n); err != nil {
		t.Fatal(err)
	}

	flush := map[string]int32{}
	var read int64
	err = topics.Read(ctx, brokers, "in", func(r *kgo.Record) error {
		read++
		if r.Value[0] != 0 || r.Value[4] != 11 {
			t.Errorf("frame %x", r.Value[:5])
		}
		if string(r.Key[:1]) == "f" {
			flush[string(r.Key)] = r.Partition
		}
		return nil
	})
	if err != nil || read != n {
		t.Fatalf("read %d, %v", read, err)
	}
	for want, who := range workload.FlushUsers {
		if flush[who] != int32(want) {
			t.Errorf("%s lies in partition %d, want %d", who, flush[who], want)
		}
	}

	group, err := topics.Client(brokers, kgo.ConsumerGroup("g"), kgo.ConsumeTopics("in"), kgo.DisableAutoCommit(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer group.Close()
	for left := n; left > 0; {
		fetches := group.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		left -= int64(fetches.NumRecords())
	}
	short, stop := context.WithTimeout(ctx, 50*time.Millisecond)
	defer stop()
	if err := topics.WaitGroup(short, client, "g", "in"); err == nil {
		t.Error("a group that committed nothing is taken as done")
	}
	if err := group.CommitUncommittedOffsets(ctx); err != nil {
		t.Fatal(err)
	}
	if err := topics.WaitGroup(ctx, client, "g", "in"); err != nil {
		t.Error(err)
	}
}
