package kafka

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Special times of ListOffsets.
const (
	atEnd   = -1
	atStart = -2
)

// Ends gives the high watermarks of topics: the offset of the next record, whether what lies below it is decided or
// not. Topics that do not exist are left out, here and below.
func (c *Client) Ends(ctx context.Context, topics ...string) (Offsets, error) {
	return c.list(ctx, topics, atEnd, false)
}

// StableEnds gives the last stable offsets of topics: below them every transaction is decided.
func (c *Client) StableEnds(ctx context.Context, topics ...string) (Offsets, error) {
	return c.list(ctx, topics, atEnd, true)
}

// Starts gives the oldest offsets of topics.
func (c *Client) Starts(ctx context.Context, topics ...string) (Offsets, error) {
	return c.list(ctx, topics, atStart, false)
}

// Since gives the offsets of the first records with a timestamp of at or later, or somewhat before them; the end where
// there is none.
func (c *Client) Since(ctx context.Context, at time.Time, topics ...string) (Offsets, error) {
	out, err := c.list(ctx, topics, at.UnixMilli(), true)
	if err != nil {
		return nil, err
	}
	ends, err := c.StableEnds(ctx, topics...)
	for p, o := range out {
		if o < 0 {
			out[p] = ends[p]
		}
	}
	return out, err
}

func (c *Client) list(ctx context.Context, topics []string, at int64, stable bool) (Offsets, error) {
	counts, err := c.Partitions(ctx, topics...)
	if err != nil {
		return nil, err
	}
	out := Offsets{}
	if len(counts) == 0 {
		return out, nil
	}
	q := kmsg.NewPtrListOffsetsRequest()
	q.ReplicaID = -1
	if stable {
		q.IsolationLevel = 1
	}
	for name, n := range counts {
		t := kmsg.NewListOffsetsRequestTopic()
		t.Topic = name
		for i := range n {
			p := kmsg.NewListOffsetsRequestTopicPartition()
			p.Partition, p.Timestamp = i, at
			t.Partitions = append(t.Partitions, p)
		}
		q.Topics = append(q.Topics, t)
	}
	for _, shard := range c.kgo.RequestSharded(ctx, q) {
		if shard.Err != nil {
			return nil, fmt.Errorf("list offsets: %w", shard.Err)
		}
		for _, t := range shard.Resp.(*kmsg.ListOffsetsResponse).Topics {
			for _, p := range t.Partitions {
				if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
					return nil, fmt.Errorf("offsets of %s/%d: %w", t.Topic, p.Partition, err)
				}
				out[Partition{t.Topic, p.Partition}] = p.Offset
			}
		}
	}
	return out, nil
}

// Committed gives the offsets that a group has committed. Partitions without one are left out. While a transaction
// with offsets of the group is open, the broker refuses to answer for its partitions: those are left out, too.
func (c *Client) Committed(ctx context.Context, group string) (Offsets, error) {
	q := kmsg.NewPtrOffsetFetchRequest()
	q.Group, q.RequireStable = group, true // for brokers that answer for one group at a time
	g := kmsg.NewOffsetFetchRequestGroup()
	g.Group = group
	q.Groups = append(q.Groups, g)
	a, err := q.RequestWith(ctx, c.kgo)
	if err != nil {
		return nil, fmt.Errorf("offsets of group %s: %w", group, err)
	}
	out := Offsets{}
	add := func(topic string, partition int32, offset int64, code int16) error {
		switch err := kerr.ErrorForCode(code); {
		case code == kerr.UnstableOffsetCommit.Code:
		case err != nil:
			return fmt.Errorf("offset of group %s in %s/%d: %w", group, topic, partition, err)
		case offset >= 0:
			out[Partition{topic, partition}] = offset
		}
		return nil
	}
	if err := groupError(a); err != nil {
		return nil, fmt.Errorf("offsets of group %s: %w", group, err)
	}
	for _, g := range a.Groups {
		for _, t := range g.Topics {
			for _, p := range t.Partitions {
				if err := add(t.Topic, p.Partition, p.Offset, p.ErrorCode); err != nil {
					return nil, err
				}
			}
		}
	}
	for _, t := range a.Topics {
		for _, p := range t.Partitions {
			if err := add(t.Topic, p.Partition, p.Offset, p.ErrorCode); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

// groupError is what the broker has against the group as a whole. A group that nobody has joined yet has no offsets.
func groupError(a *kmsg.OffsetFetchResponse) error {
	code := a.ErrorCode
	for _, g := range a.Groups {
		if code == 0 {
			code = g.ErrorCode
		}
	}
	if code == kerr.GroupIDNotFound.Code || code == kerr.UnstableOffsetCommit.Code {
		return nil
	}
	return kerr.ErrorForCode(code)
}
