package topologies

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/processors"
)

// board is what all groups of the application have announced, as far as this worker has read the progress topic.
type board struct {
	logger *slog.Logger
	loaded map[string]bool  // groups of the plan; others' announcements are ignored
	delays map[string]int64 // out_of_order of the source topics, ms

	mu      sync.Mutex
	latest  map[groupPartition]*progress
	version map[groupPartition]int64 // when the announcement came, by changes
	changes int64
	next    map[int32]int64 // by partition of the progress topic: everything below was read
	grown   chan struct{}   // closed at the next change
	now     int64           // the largest event time of a source, as far as its clock tells; Unknown for none
}

func newBoard(plan *Plan, logger *slog.Logger) *board {
	b := &board{
		logger: logger, loaded: map[string]bool{}, delays: map[string]int64{}, latest: map[groupPartition]*progress{}, version: map[groupPartition]int64{},
		next: map[int32]int64{}, grown: make(chan struct{}), now: processors.Unknown,
	}
	for _, g := range plan.Groups {
		b.loaded[g.Name] = true
		for _, in := range g.Inputs {
			if in.Writers == nil {
				b.delays[in.Topic] = in.Stream.OutOfOrder
			}
		}
	}
	return b
}

// take takes records of the progress topic in. What is on the board when the worker starts may speak of the end of an
// input that goes on now.
func (b *board) take(rs []*kgo.Record, partition int32, next int64, starting bool) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range rs {
		if r.Value == nil {
			continue
		}
		p, err := parseProgress(r.Value)
		if err != nil {
			return err
		}
		if !b.loaded[p.Group] {
			continue
		}
		if starting {
			p.Ended = false
			maps.DeleteFunc(p.Times, func(_ string, t int64) bool { return t == processors.Ended })
		}
		b.changes++
		gp := groupPartition{p.Group, p.Partition}
		b.latest[gp], b.version[gp] = p, b.changes
		for topic, in := range p.Inputs {
			b.raise(topic, in.Time)
		}
	}
	b.next[partition] = max(b.next[partition], next)
	close(b.grown)
	b.grown = make(chan struct{})
	return nil
}

func (b *board) raise(topic string, time int64) {
	if delay, ok := b.delays[topic]; ok && time >= 0 && time <= maxTime {
		b.now = max(b.now, time+delay)
	}
}

// heard notes the time of a partition of a source topic.
func (b *board) heard(topic string, time int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.raise(topic, time)
}

// present is the event time that the sources have reached: Unknown before anything was heard.
func (b *board) present() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.now
}

// since calls f with the announcements that came after seen, and returns what to give next time.
func (b *board) since(seen int64, f func(groupPartition, *progress)) int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.changes == seen {
		return seen
	}
	for gp, p := range b.latest {
		if b.version[gp] > seen {
			f(gp, p)
		}
	}
	return b.changes
}

// of gives the last announcement of a group's partition, nil for none.
func (b *board) of(group string, partition int32) *progress {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.latest[groupPartition{group, partition}]
}

// wanted is the earliest event time that a partition of the groups waits for: processors.Never for none.
func (b *board) wanted(groups []string) int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	least := int64(processors.Never)
	for gp, p := range b.latest {
		if slices.Contains(groups, gp.group) {
			least = min(least, p.Wanted)
		}
	}
	return least
}

// changed is closed when something new is on the board.
func (b *board) changed() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.grown
}

// await waits until everything of the partition below end was read.
func (b *board) await(ctx context.Context, partition int32, end int64) error {
	for {
		b.mu.Lock()
		read, grown := b.next[partition] >= end, b.grown
		b.mu.Unlock()
		if read {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-grown:
		}
	}
}

// follow reads the progress topic until ctx ends. Transactions that are open hold it back, never records that were given
// up.
func (b *board) follow(ctx context.Context, o *Options, topic string, partitions int32) error {
	from := map[int32]kgo.Offset{}
	ends := map[int32]int64{}
	for p := range partitions {
		from[p] = kgo.NewOffset().AtStart()
	}
	cl, err := kgo.NewClient(
		kgo.SeedBrokers(o.Brokers...), kgo.ClientID(o.App), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(), kgo.FetchMaxWait(250*time.Millisecond), kgo.MetadataMinAge(50*time.Millisecond),
	)
	if err != nil {
		return fmt.Errorf("read %s: %w", topic, err)
	}
	defer cl.Close()
	for p := range partitions {
		_, end, err := bounds(ctx, cl, topicPartition{topic, p})
		if err != nil {
			return err
		}
		ends[p] = end
	}
	for {
		fs := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			return nil
		}
		fs.EachError(func(t string, p int32, err error) {
			b.logger.Warn("reading announcements fails", "topic", t, "partition", p, "error", err)
		})
		var errs []error
		fs.EachPartition(func(f kgo.FetchTopicPartition) {
			if len(f.Records) == 0 {
				return
			}
			var rs []*kgo.Record
			for _, r := range f.Records {
				if !r.Attrs.IsControl() {
					rs = append(rs, r)
				}
			}
			next := f.Records[len(f.Records)-1].Offset + 1
			errs = append(errs, b.take(rs, f.Partition, next, next <= ends[f.Partition]))
		})
		if err := errors.Join(errs...); err != nil {
			return err
		}
	}
}
