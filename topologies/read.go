package topologies

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// ReadCommitted gives the committed records of a topic, by partition and offset, up to the last stable offsets at the
// time of the call.
func ReadCommitted(ctx context.Context, brokers []string, topic string) ([]*kgo.Record, error) {
	var out []*kgo.Record
	err := EachCommitted(ctx, brokers, topic, nil, func(r *kgo.Record) error {
		out = append(out, r)
		return nil
	})
	return out, err
}

// EachCommitted calls f for the committed records of a topic up to the last stable offsets at the time of the call,
// in order within each partition. from gives first offsets by partition; others are read from their start.
func EachCommitted(ctx context.Context, brokers []string, topic string, from map[int32]int64, f func(*kgo.Record) error) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(brokers...))
	if err != nil {
		return err
	}
	defer cl.Close()
	have, err := ListTopics(ctx, cl, nil)
	if err != nil {
		return err
	}
	left := map[int32]int64{} // end by partition, of those not read to it
	start := map[int32]kgo.Offset{}
	for p := range have[topic].partitions {
		tp := topicPartition{topic, p}
		at, err := listOffset(ctx, cl, tp, -2, false)
		if err != nil {
			return err
		}
		end, err := listOffset(ctx, cl, tp, -1, true)
		if err != nil {
			return err
		}
		if at = max(at, from[p]); at < end {
			left[p], start[p] = end, kgo.NewOffset().At(at)
		}
	}
	if len(left) == 0 {
		return nil
	}
	rd, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: start}),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(), kgo.FetchMaxWait(100*time.Millisecond))
	if err != nil {
		return err
	}
	defer rd.Close()
	for len(left) > 0 {
		fs := rd.PollFetches(ctx)
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("read %s: %w", topic, err)
		}
		if errs := fs.Errors(); len(errs) > 0 {
			return fmt.Errorf("read %s: %w", topic, errs[0].Err)
		}
		var failed error
		fs.EachRecord(func(r *kgo.Record) {
			end, ok := left[r.Partition]
			if !ok || failed != nil {
				return
			}
			if !r.Attrs.IsControl() && r.Offset < end {
				failed = f(r)
			}
			if r.Offset+1 >= end { // a control record may be the last
				delete(left, r.Partition)
			}
		})
		if failed != nil {
			return failed
		}
	}
	return nil
}
