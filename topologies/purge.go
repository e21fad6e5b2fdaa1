package topologies

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// purgeInterval is the time between two deletions of what a group has taken in of its repartition topics, as in Kafka
// Streams (repartition.purge.interval.ms).
const purgeInterval = 30 * time.Second

// purger deletes records of repartition topics that the one group that reads them has committed. Their retention can
// not go by time: records carry event times, and a year that is replayed would vanish before it is read.
type purger struct {
	upTo map[topicPartition]int64 // the committer's own
	last time.Time
	busy atomic.Bool
}

// purge notes committed offsets and now and then deletes below them, in the background. A failure only delays: the
// next purge deletes the more.
func (g *runner) purge(committed map[topicPartition]int64) {
	p := &g.purger
	for tp, offset := range committed {
		if in := g.input(tp.topic); in != nil && in.Rekeyed && in.Sole {
			if p.upTo == nil {
				p.upTo, p.last = map[topicPartition]int64{}, time.Now()
			}
			p.upTo[tp] = offset
		}
	}
	if len(p.upTo) == 0 || time.Since(p.last) < purgeInterval || !p.busy.CompareAndSwap(false, true) {
		return
	}
	todo := p.upTo
	p.upTo, p.last = map[topicPartition]int64{}, time.Now()
	go func() {
		defer p.busy.Store(false)
		ctx, cancel := context.WithTimeout(context.Background(), g.options.TransactionTimeout)
		defer cancel()
		if err := g.deleteRecords(ctx, todo); err != nil {
			g.logger.Warn("repartition topics were not purged", "error", err)
		}
	}()
}

// deleteRecords moves the start of partitions up.
func (g *runner) deleteRecords(ctx context.Context, upTo map[topicPartition]int64) error {
	q := kmsg.NewPtrDeleteRecordsRequest()
	q.TimeoutMillis = int32(g.options.TransactionTimeout.Milliseconds())
	for topic, ps := range byTopic(upTo) {
		t := kmsg.NewDeleteRecordsRequestTopic()
		t.Topic = topic
		for part, offset := range ps {
			x := kmsg.NewDeleteRecordsRequestTopicPartition()
			x.Partition, x.Offset = part, offset
			t.Partitions = append(t.Partitions, x)
		}
		q.Topics = append(q.Topics, t)
	}
	for _, shard := range g.client.RequestSharded(ctx, q) {
		if shard.Err != nil {
			return shard.Err
		}
		for _, t := range shard.Resp.(*kmsg.DeleteRecordsResponse).Topics {
			for _, p := range t.Partitions {
				if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
					return fmt.Errorf("%s/%d: %w", t.Topic, p.Partition, err)
				}
			}
		}
	}
	return nil
}
