package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/schemas"
)

// Record is a record of a topic.
type Record struct {
	Partition
	Offset    int64
	Timestamp time.Time
	Key       []byte // nil: none
	Value     []byte // nil: a tombstone
	Headers   []schemas.Header
	Control   bool // a transaction marker; only Scan hands those over
}

// Header returns the value of the last header of that name, nil without one.
func (r *Record) Header(name string) []byte {
	for _, v := range slices.Backward(r.Headers) {
		if v.Key == name {
			return v.Value
		}
	}
	return nil
}

// ErrStop ends reading without an error when the function that gets the records returns it.
var ErrStop = errors.New("stop reading")

// Scan hands over the committed records, and the markers, of [from, to), partition by partition in order. Partitions
// that are not in both maps are not read. to must not be above the last stable offset, or Scan waits for it.
func (c *Client) Scan(ctx context.Context, from, to Offsets, each func(*Record) error) error {
	left := Offsets{}
	for p, end := range to {
		if start, ok := from[p]; ok && start < end {
			left[p] = end
		}
	}
	if len(left) == 0 {
		return nil
	}
	return c.read(ctx, from, left, func(r *Record) (bool, error) {
		end, open := left[r.Partition]
		if !open {
			return false, nil
		}
		if r.Offset >= end-1 {
			delete(left, r.Partition)
		}
		if r.Offset < end {
			if err := each(r); err != nil {
				return true, err
			}
		}
		return len(left) == 0, nil
	})
}

// Follow hands over the committed records from the offsets on, until ctx ends, which is no error, or each returns one.
func (c *Client) Follow(ctx context.Context, from Offsets, each func(*Record) error) error {
	err := c.read(ctx, from, from, func(r *Record) (bool, error) {
		if r.Control {
			return false, nil
		}
		return false, each(r)
	})
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return nil
	}
	return err
}

// read consumes the partitions of which from the offsets of from, until each says that it is done.
func (c *Client) read(ctx context.Context, from, which Offsets, each func(*Record) (done bool, err error)) error {
	assigned := map[string]map[int32]kgo.Offset{}
	for p := range which {
		if assigned[p.Topic] == nil {
			assigned[p.Topic] = map[int32]kgo.Offset{}
		}
		assigned[p.Topic][p.Number] = kgo.NewOffset().At(from[p])
	}
	cl, err := kgo.NewClient(
		kgo.SeedBrokers(c.brokers...), kgo.ClientID(c.name), kgo.ConsumePartitions(assigned),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(), kgo.FetchMaxWait(250*time.Millisecond),
	)
	if err != nil {
		return err
	}
	defer cl.Close()
	for {
		fetches := cl.PollFetches(ctx)
		if err := ctx.Err(); err != nil {
			return err
		}
		for _, e := range fetches.Errors() {
			return fmt.Errorf("read %s/%d: %w", e.Topic, e.Partition, e.Err)
		}
		for iter := fetches.RecordIter(); !iter.Done(); {
			done, err := each(plain(iter.Next()))
			if errors.Is(err, ErrStop) {
				return nil
			}
			if done || err != nil {
				return err
			}
		}
	}
}

func plain(k *kgo.Record) *Record {
	r := &Record{
		Partition: Partition{k.Topic, k.Partition}, Offset: k.Offset, Timestamp: k.Timestamp,
		Key: k.Key, Value: k.Value, Control: k.Attrs.IsControl(),
	}
	if len(k.Headers) > 0 {
		r.Headers = make([]schemas.Header, len(k.Headers))
		for i, h := range k.Headers {
			r.Headers[i] = schemas.Header{Key: h.Key, Value: h.Value}
		}
	}
	return r
}
