package chaos

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/topologies/kafka"
)

// readerOptions read committed records from the start. The sizes let no fetch be cut off: the embedded broker forgets
// to name aborted transactions in an answer that was.
func readerOptions(brokers, topics []string) []kgo.Opt {
	return []kgo.Opt{
		kgo.SeedBrokers(brokers...), kgo.ConsumeTopics(topics...), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.KeepControlRecords(),
		kgo.FetchMaxBytes(1<<30 - 1<<20), kgo.FetchMaxPartitionBytes(1<<30 - 1<<20), kgo.BrokerMaxReadBytes(1 << 30),
		kgo.FetchMaxWait(10 * time.Millisecond), kgo.MetadataMinAge(50 * time.Millisecond),
	}
}

// follow gives f every committed record until ctx ends. Brokers may come and go meanwhile.
func follow(ctx context.Context, brokers, topics []string, f func(*kgo.Record)) error {
	cl, err := kgo.NewClient(readerOptions(brokers, topics)...)
	if err != nil {
		return err
	}
	defer cl.Close()
	for ctx.Err() == nil {
		fetches := cl.PollFetches(ctx)
		fetches.EachRecord(func(r *kgo.Record) {
			if !r.Attrs.IsControl() {
				f(r)
			}
		})
		for _, e := range fetches.Errors() {
			if _, ok := errors.AsType[*kgo.ErrDataLoss](e.Err); ok {
				return fmt.Errorf("read %s/%d: %w", e.Topic, e.Partition, e.Err)
			}
		}
	}
	return nil
}

// readAll gives f every committed record up to the first open transaction or the end.
func readAll(ctx context.Context, c *kafka.Client, topics []string, f func(*kgo.Record)) error {
	ends, err := c.StableEnds(ctx, topics...)
	if err != nil {
		return err
	}
	for p, end := range ends {
		if end == 0 {
			delete(ends, p)
		}
	}
	if len(ends) == 0 {
		return nil
	}
	cl, err := kgo.NewClient(readerOptions(c.Brokers(), topics)...)
	if err != nil {
		return err
	}
	defer cl.Close()
	for len(ends) > 0 {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			return err
		}
		if errs := fetches.Errors(); len(errs) > 0 {
			return fmt.Errorf("read %s/%d: %w", errs[0].Topic, errs[0].Partition, errs[0].Err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if !r.Attrs.IsControl() {
				f(r)
			}
			if p := (kafka.Partition{Topic: r.Topic, Number: r.Partition}); ends[p] > 0 && r.Offset+1 >= ends[p] {
				delete(ends, p)
			}
		})
	}
	return nil
}

// hangingError says that a transaction is open on a partition that nobody will end.
type hangingError struct {
	partition   kafka.Partition
	stable, end int64
}

func (e *hangingError) Error() string {
	return fmt.Sprintf("a transaction is open on %v: the last stable offset is %d of %d", e.partition, e.stable, e.end)
}

// awaitDecided waits until no transaction is open on the topics. The error is a *hangingError if one still is when time
// is up.
func awaitDecided(c *kafka.Client, topics []string, within time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), within+10*time.Second)
	defer cancel()
	for start := time.Now(); ; {
		err := undecided(ctx, c, topics)
		if err == nil || time.Since(start) > within {
			return err
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func undecided(ctx context.Context, c *kafka.Client, topics []string) error {
	ends, err := c.Ends(ctx, topics...)
	if err != nil {
		return err
	}
	stable, err := c.StableEnds(ctx, topics...)
	if err != nil {
		return err
	}
	for p, end := range ends {
		if stable[p] < end {
			return &hangingError{partition: p, stable: stable[p], end: end}
		}
	}
	return nil
}
