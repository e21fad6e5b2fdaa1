package kafka

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

// Partition is one partition of a topic.
type Partition struct {
	Topic  string
	Number int32
}

func (p Partition) String() string { return fmt.Sprintf("%s/%d", p.Topic, p.Number) }

// Offsets are offsets by partition.
type Offsets map[Partition]int64

// Client is a connection to a cluster. It is safe for concurrent use.
type Client struct {
	brokers []string
	name    string
	kgo     *kgo.Client
}

// UnreachableError says that no broker answered.
type UnreachableError struct {
	Brokers []string
	Err     error
}

func (e *UnreachableError) Error() string {
	return fmt.Sprintf("no Kafka broker answers at %s: %v", strings.Join(e.Brokers, ", "), e.Err)
}

func (e *UnreachableError) Unwrap() error { return e.Err }

// Connect makes a client and asks the cluster for a sign of life. The error is an *UnreachableError when none came
// within the time. The caller closes the client.
func Connect(ctx context.Context, brokers []string, name string, within time.Duration) (*Client, error) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.ClientID(name), kgo.MaxVersions(versions()))
	if err != nil {
		return nil, fmt.Errorf("brokers %s: %w", strings.Join(brokers, ","), err)
	}
	alive, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	if err := sign(alive, cl); err != nil {
		cl.Close()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, &UnreachableError{brokers, err}
	}
	return &Client{brokers: brokers, name: name, kgo: cl}, nil
}

// versions keeps to requests about groups that name topics: newer ones know them by id alone.
func versions() *kversion.Versions {
	v := kversion.Stable()
	v.SetMaxKeyVersion(int16(kmsg.OffsetCommit), 9)
	v.SetMaxKeyVersion(int16(kmsg.OffsetFetch), 9)
	return v
}

// sign waits for a broker's answer. What the last attempt failed of tells more than that time ran out.
func sign(ctx context.Context, cl *kgo.Client) error {
	var last error
	for {
		attempt, cancel := context.WithTimeout(ctx, 2*time.Second)
		err := cl.Ping(attempt)
		cancel()
		if err == nil {
			return nil
		}
		if last == nil || ctx.Err() == nil {
			last = err
		}
		select {
		case <-ctx.Done():
			return last
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// Kgo is the client as package topologies takes it.
func (c *Client) Kgo() *kgo.Client { return c.kgo }

// Brokers are the bootstrap servers that the client was made with.
func (c *Client) Brokers() []string { return c.brokers }

// Close ends the connections.
func (c *Client) Close() { c.kgo.Close() }

// Partitions gives the number of partitions of topics; those that do not exist are left out.
func (c *Client) Partitions(ctx context.Context, topics ...string) (map[string]int32, error) {
	out := map[string]int32{}
	if len(topics) == 0 {
		return out, nil
	}
	q := kmsg.NewPtrMetadataRequest()
	for _, name := range topics {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = new(name)
		q.Topics = append(q.Topics, t)
	}
	a, err := q.RequestWith(ctx, c.kgo)
	if err != nil {
		return nil, fmt.Errorf("metadata: %w", err)
	}
	for _, t := range a.Topics {
		switch err := kerr.ErrorForCode(t.ErrorCode); {
		case err == nil && t.Topic != nil:
			out[*t.Topic] = int32(len(t.Partitions))
		case err != nil && t.ErrorCode != kerr.UnknownTopicOrPartition.Code:
			return nil, fmt.Errorf("metadata of %s: %w", *t.Topic, err)
		}
	}
	return out, nil
}
