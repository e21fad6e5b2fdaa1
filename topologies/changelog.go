package topologies

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// recoveryStall is how long a changelog may give nothing although there must be more.
const recoveryStall = 30 * time.Second

type topicPartition struct {
	topic     string
	partition int32
}

// listOffset asks the partition's leader: at -2 for the oldest offset, -1 for the newest. With committed the newest
// is the last stable offset, below which every transaction is decided; without it is the high watermark.
func listOffset(ctx context.Context, cl *kgo.Client, tp topicPartition, at int64, committed bool) (int64, error) {
	q := kmsg.NewPtrListOffsetsRequest()
	q.ReplicaID = -1
	if committed {
		q.IsolationLevel = 1
	}
	t := kmsg.NewListOffsetsRequestTopic()
	t.Topic = tp.topic
	p := kmsg.NewListOffsetsRequestTopicPartition()
	p.Partition, p.Timestamp = tp.partition, at
	t.Partitions = append(t.Partitions, p)
	q.Topics = append(q.Topics, t)
	var out int64
	err := retry(ctx, func() error {
		for _, shard := range cl.RequestSharded(ctx, q) {
			if shard.Err != nil {
				return shard.Err
			}
			for _, t := range shard.Resp.(*kmsg.ListOffsetsResponse).Topics {
				for _, p := range t.Partitions {
					if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
						return err
					}
					out = p.Offset
				}
			}
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("offsets of %s/%d: %w", tp.topic, tp.partition, err)
	}
	return out, nil
}

// bounds gives the oldest offset and the high watermark of a partition.
func bounds(ctx context.Context, cl *kgo.Client, tp topicPartition) (oldest, newest int64, err error) {
	if oldest, err = listOffset(ctx, cl, tp, -2, false); err != nil {
		return 0, 0, err
	}
	newest, err = listOffset(ctx, cl, tp, -1, false)
	return oldest, newest, err
}

// topicID is the id that the cluster gave the topic: another one means another topic under the same name.
func topicID(ctx context.Context, cl *kgo.Client, topic string) ([16]byte, error) {
	q := kmsg.NewPtrMetadataRequest()
	t := kmsg.NewMetadataRequestTopic()
	t.Topic = &topic
	q.Topics = append(q.Topics, t)
	a, err := q.RequestWith(ctx, cl)
	if err != nil {
		return [16]byte{}, fmt.Errorf("metadata of %s: %w", topic, err)
	}
	if len(a.Topics) != 1 {
		return [16]byte{}, fmt.Errorf("metadata of %s: %d topics in the answer", topic, len(a.Topics))
	}
	if err := kerr.ErrorForCode(a.Topics[0].ErrorCode); err != nil {
		return [16]byte{}, fmt.Errorf("metadata of %s: %w", topic, err)
	}
	return a.Topics[0].TopicID, nil
}

// hasOffset reports whether a group has committed an offset in some topic's partition of that number.
func hasOffset(ctx context.Context, cl *kgo.Client, group string, partition int32) (bool, error) {
	q := kmsg.NewPtrOffsetFetchRequest() // no topics: all
	q.Group, q.RequireStable = group, true
	one := kmsg.NewOffsetFetchRequestGroup()
	one.Group = group
	q.Groups = append(q.Groups, one)
	found := false
	look := func(number int32, offset int64, code int16) error {
		found = found || number == partition && offset >= 0
		return kerr.ErrorForCode(code)
	}
	err := retry(ctx, func() error {
		a, err := q.RequestWith(ctx, cl)
		if err != nil {
			return err
		}
		errs := []error{kerr.ErrorForCode(a.ErrorCode)}
		for _, t := range a.Topics { // of brokers that answer for one group at a time
			for _, p := range t.Partitions {
				errs = append(errs, look(p.Partition, p.Offset, p.ErrorCode))
			}
		}
		for _, g := range a.Groups {
			errs = append(errs, kerr.ErrorForCode(g.ErrorCode))
			for _, t := range g.Topics {
				for _, p := range t.Partitions {
					errs = append(errs, look(p.Partition, p.Offset, p.ErrorCode))
				}
			}
		}
		if found {
			return nil
		}
		return errors.Join(errs...)
	})
	if err != nil {
		return false, fmt.Errorf("offsets of group %s: %w", group, err)
	}
	return found, nil
}

// readDecided gives the committed records of [from, to) to apply, in order, with the next offset after each piece.
// It waits until every transaction below to is decided: a frozen owner's open transaction holds the last stable
// offset back, and committed records of the owner after it may lie beyond. It ends such transactions itself.
func (g *runner) readDecided(ctx context.Context, tp topicPartition, from, to int64, apply func([]*kgo.Record, int64) error) error {
	if from >= to {
		return nil
	}
	if err := g.awaitDecided(ctx, tp, to); err != nil {
		return err
	}
	cl, err := kgo.NewClient(
		kgo.SeedBrokers(g.options.Brokers...), kgo.ClientID(g.options.App),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{tp.topic: {tp.partition: kgo.NewOffset().At(from)}}),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(),
		kgo.FetchMaxWait(250*time.Millisecond), kgo.FetchMaxPartitionBytes(8<<20), kgo.FetchMaxBytes(64<<20),
	)
	if err != nil {
		return err
	}
	defer cl.Close()
	for from < to {
		poll, cancel := context.WithTimeout(ctx, recoveryStall)
		fs := cl.PollFetches(poll)
		silent := poll.Err() != nil
		cancel()
		if err := ctx.Err(); err != nil {
			return err
		}
		if silent {
			return fmt.Errorf("%s/%d ends at %d, but nothing comes from %d on for %v", tp.topic, tp.partition, to, from, recoveryStall)
		}
		if errs := fs.Errors(); len(errs) > 0 {
			return fmt.Errorf("read %s/%d: %w", tp.topic, tp.partition, errs[0].Err)
		}
		var rs []*kgo.Record
		fs.EachRecord(func(r *kgo.Record) {
			from = r.Offset + 1 // control records count: they may be the last
			if !r.Attrs.IsControl() && r.Offset < to {
				rs = append(rs, r)
			}
		})
		if err := apply(rs, min(from, to)); err != nil {
			return err
		}
	}
	return nil
}

// awaitDecided waits for the last stable offset to reach to, and ends the open transactions that hold it back.
func (g *runner) awaitDecided(ctx context.Context, tp topicPartition, to int64) error {
	start := time.Now()
	var asked time.Time
	for {
		stable, err := listOffset(ctx, g.client, tp, -1, true)
		if err != nil || stable >= to {
			return err
		}
		if time.Since(start) > 100*time.Millisecond && time.Since(asked) > time.Second {
			asked = time.Now()
			if err := g.fence(ctx, tp); err != nil {
				return err
			}
		}
		if time.Since(start) > 2*time.Minute {
			return fmt.Errorf("a transaction that is open on %s/%d since offset %d is not being decided", tp.topic, tp.partition, stable)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// fence ends other members' open transactions on a partition that this member now owns. The generation is fixed, and
// a member that took part in the rebalance has committed or aborted: whoever still has a transaction open here is
// dead or frozen. InitProducerId with its transactional id aborts that transaction and fences its holder, which is
// always safe (KIP-664 finds them).
func (g *runner) fence(ctx context.Context, tp topicPartition) error {
	if fault("fencing") {
		return nil
	}
	q := kmsg.NewPtrDescribeProducersRequest()
	t := kmsg.NewDescribeProducersRequestTopic()
	t.Topic, t.Partitions = tp.topic, []int32{tp.partition}
	q.Topics = append(q.Topics, t)
	open := map[int64]bool{}
	for _, shard := range g.client.RequestSharded(ctx, q) {
		if shard.Err != nil {
			return fmt.Errorf("producers of %s/%d: %w", tp.topic, tp.partition, shard.Err)
		}
		for _, t := range shard.Resp.(*kmsg.DescribeProducersResponse).Topics {
			for _, p := range t.Partitions {
				for _, a := range p.ActiveProducers {
					if a.CurrentTxnStartOffset >= 0 {
						open[a.ProducerID] = true
					}
				}
			}
		}
	}
	l := kmsg.NewPtrListTransactionsRequest()
	for id := range open {
		l.ProducerIDFilters = append(l.ProducerIDFilters, id)
	}
	// What is being ended already decides itself, and its producer may be a member that has just given the partition
	// away and goes on with others: a new epoch would end it.
	l.StateFilters = []string{"Ongoing"}
	if len(open) == 0 {
		return nil
	}
	var errs []error
	for _, shard := range g.client.RequestSharded(ctx, l) {
		if shard.Err != nil {
			errs = append(errs, shard.Err)
			continue
		}
		for _, t := range shard.Resp.(*kmsg.ListTransactionsResponse).TransactionStates {
			if open[t.ProducerID] && t.TransactionalID != g.transactionalID() && strings.HasPrefix(t.TransactionalID, g.transactionalPrefix()) {
				g.logger.Warn("ending the open transaction of a former owner", "transactional_id", t.TransactionalID, "topic", tp.topic, "partition", tp.partition)
				g.metrics.fenced.Inc()
				errs = append(errs, g.endTransaction(ctx, t.TransactionalID))
			}
		}
	}
	return errors.Join(errs...)
}

func (g *runner) endTransaction(ctx context.Context, id string) error {
	q := kmsg.NewPtrInitProducerIDRequest()
	q.TransactionalID, q.TransactionTimeoutMillis = &id, int32(g.options.TransactionTimeout.Milliseconds())
	q.ProducerID, q.ProducerEpoch = -1, -1
	return retry(ctx, func() error {
		a, err := q.RequestWith(ctx, g.client)
		if err != nil {
			return err
		}
		return kerr.ErrorForCode(a.ErrorCode)
	})
}
