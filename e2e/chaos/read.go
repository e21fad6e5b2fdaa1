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
			var lost *kgo.ErrDataLoss
			if errors.As(e.Err, &lost) {
				return fmt.Errorf("read %s/%d: %w", e.Topic, e.Partition, e.Err)
			}
		}
	}
	return nil
}

// readAll gives f every committed record up to the end of topics where no transaction is open.
func readAll(ctx context.Context, c *kafka.Client, topics []string, f func(*kgo.Record)) error {
	ends, err := c.Ends(ctx, topics...)
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

// awaitDecided waits until no transaction is open on the topics.
func awaitDecided(ctx context.Context, c *kafka.Client, topics []string) error {
	for {
		open, err := undecided(ctx, c, topics)
		if err == nil && open == "" {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("a transaction on %s is not decided: %w", open, errors.Join(err, ctx.Err()))
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func undecided(ctx context.Context, c *kafka.Client, topics []string) (string, error) {
	ends, err := c.Ends(ctx, topics...)
	if err != nil {
		return "", err
	}
	stable, err := c.StableEnds(ctx, topics...)
	if err != nil {
		return "", err
	}
	for p, end := range ends {
		if stable[p] < end {
			return p.String(), nil
		}
	}
	return "", nil
}
