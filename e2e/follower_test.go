//go:build unix

package e2e_test

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/avro"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sr"

	"github.com/millrace-io/millrace/bench/topics"
)

// event is a committed record, decoded with the schema that the registry has for it.
type event struct {
	*kgo.Record
	value map[string]any // times are milliseconds
}

func (e *event) header(name string) string {
	for _, h := range e.Headers {
		if h.Key == name {
			return string(h.Value)
		}
	}
	return ""
}

// text is all of the event that has to be the same in every run: key, time, value without recorded_at, headers without
// trace and writer.
func (e *event) text() (string, error) {
	value := maps.Clone(e.value)
	delete(value, "recorded_at")
	var headers []string
	for _, h := range e.Headers {
		if h.Key != "traceparent" && h.Key != "millrace-writer" {
			headers = append(headers, h.Key+"="+string(h.Value))
		}
	}
	slices.Sort(headers)
	b, err := json.Marshal([]any{string(e.Key), e.Timestamp.UnixMilli(), value, headers}) // sorts the names
	return string(b), err
}

// follower is a read_committed consumer of topics, from their beginning.
type follower struct {
	client   *kgo.Client
	registry *sr.Client
	schemas  map[uint32]*avro.Schema
	topics   []string
	position map[string]map[int32]int64
	each     func(*event) error
}

// follow makes a follower that hands each record over, those of a partition in their order.
func follow(t *testing.T, s servers, names []string, each func(*event) error) *follower {
	t.Helper()
	f := &follower{schemas: map[uint32]*avro.Schema{}, topics: names, position: map[string]map[int32]int64{}, each: each}
	for _, name := range names {
		f.position[name] = map[int32]int64{}
	}
	var err error
	if f.registry, err = sr.NewClient(sr.URLs(s.Registry)); err != nil {
		t.Fatal(err)
	}
	// The sizes let no fetch be cut off: the embedded broker forgets to name aborted transactions in an answer that was.
	f.client, err = topics.Client(strings.Split(s.Kafka, ","), kgo.ConsumeTopics(names...), kgo.KeepControlRecords(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.FetchMaxBytes(1<<30-1<<20), kgo.FetchMaxPartitionBytes(1<<30-1<<20), kgo.BrokerMaxReadBytes(1<<30),
		kgo.FetchMaxWait(50*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.client.Close)
	return f
}

// poll takes in what comes next.
func (f *follower) poll(ctx context.Context) error {
	fetches := f.client.PollFetches(ctx)
	if err := fetches.Err(); err != nil {
		return err
	}
	var failed error
	fetches.EachRecord(func(r *kgo.Record) {
		f.position[r.Topic][r.Partition] = r.Offset + 1
		if r.Attrs.IsControl() || failed != nil {
			return
		}
		if failed = f.take(ctx, r); failed != nil {
			failed = fmt.Errorf("%s/%d, offset %d: %w", r.Topic, r.Partition, r.Offset, failed)
		}
	})
	return failed
}

// until polls until done says so.
func (f *follower) until(ctx context.Context, done func() bool) error {
	for !done() {
		if err := f.poll(ctx); err != nil {
			return err
		}
	}
	return nil
}

// toEnd polls until it has everything that is committed by now.
func (f *follower) toEnd(ctx context.Context) error {
	ends := map[string]map[int32]int64{}
	for _, name := range f.topics {
		var err error
		if ends[name], err = topics.Ends(ctx, f.client, name, true); err != nil {
			return err
		}
	}
	return f.until(ctx, func() bool {
		for name, partitions := range ends {
			for p, end := range partitions {
				if f.position[name][p] < end {
					return false
				}
			}
		}
		return true
	})
}

func (f *follower) take(ctx context.Context, r *kgo.Record) error {
	if len(r.Value) < 5 || r.Value[0] != 0 {
		return errors.New("the value is not in Confluent's wire format")
	}
	id := binary.BigEndian.Uint32(r.Value[1:])
	if f.schemas[id] == nil {
		found, err := f.registry.SchemaByID(ctx, int(id))
		if err != nil {
			return err
		}
		if f.schemas[id], err = avro.Parse(found.Schema); err != nil {
			return err
		}
	}
	var value any
	rest, err := f.schemas[id].Decode(r.Value[5:], &value)
	if err != nil {
		return err
	}
	if len(rest) > 0 {
		return fmt.Errorf("%d bytes behind the value", len(rest))
	}
	fields, ok := plain(value).(map[string]any)
	if !ok {
		return fmt.Errorf("the value is %T, no record", value)
	}
	return f.each(&event{r, fields})
}

// plain turns times into milliseconds, all through a value.
func plain(v any) any {
	switch v := v.(type) {
	case time.Time:
		return v.UnixMilli()
	case []any:
		for i := range v {
			v[i] = plain(v[i])
		}
	case map[string]any:
		for name := range v {
			v[name] = plain(v[name])
		}
	}
	return v
}

// allTopics lists the topics of a cluster.
func allTopics(ctx context.Context, s servers) ([]string, error) {
	client, err := topics.Client(strings.Split(s.Kafka, ","))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	a, err := kmsg.NewPtrMetadataRequest().RequestWith(ctx, client) // no topics named: all
	if err != nil {
		return nil, err
	}
	var names []string
	for _, t := range a.Topics {
		if err := kerr.ErrorForCode(t.ErrorCode); err != nil {
			return nil, err
		}
		names = append(names, *t.Topic)
	}
	slices.Sort(names)
	return names, nil
}
