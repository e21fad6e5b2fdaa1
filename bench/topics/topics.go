// Package topics makes, fills, watches and reads the topics of a benchmark.
package topics

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/bench/workload"
)

// pause between two looks at offsets: the precision of what is measured.
const pause = 10 * time.Millisecond

// Client connects to the brokers. The caller closes it.
func Client(brokers []string, options ...kgo.Opt) (*kgo.Client, error) {
	return kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(brokers...)}, options...)...)
}

// Create makes a topic with one replica whose records are kept: event times lie far enough back that retention would
// delete them.
func Create(ctx context.Context, client *kgo.Client, topic string, partitions int) error {
	forever := "-1"
	request := kmsg.NewPtrCreateTopicsRequest()
	request.TimeoutMillis = 30_000
	one := kmsg.NewCreateTopicsRequestTopic()
	one.Topic, one.NumPartitions, one.ReplicationFactor = topic, int32(partitions), 1
	for _, name := range []string{"retention.ms", "retention.bytes"} {
		config := kmsg.NewCreateTopicsRequestTopicConfig()
		config.Name, config.Value = name, &forever
		one.Configs = append(one.Configs, config)
	}
	request.Topics = append(request.Topics, one)
	response, err := request.RequestWith(ctx, client)
	if err != nil {
		return fmt.Errorf("create %s: %w", topic, err)
	}
	for _, t := range response.Topics {
		if err := kerr.ErrorForCode(t.ErrorCode); err != nil {
			return fmt.Errorf("create %s: %w", topic, err)
		}
	}
	return nil
}

// Load fills topics with the events of a data set: key = user, murmur2, timestamp = event time, uncompressed. Events go into
// the topic that topic gives for their kind, "" for one that nobody reads, framed with the id that ids gives. It returns how many there are.
func Load(ctx context.Context, brokers []string, topic func(workload.Kind) string, set string, seed uint64, n int, ids func(workload.Kind) uint32) (int64, error) {
	events, err := workload.Events(set, seed, n)
	if err != nil {
		return 0, err
	}
	// kgo's default partitioner is murmur2 for records with a key.
	client, err := Client(brokers, kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.UnknownTopicRetries(-1), kgo.ProducerLinger(20*time.Millisecond), kgo.ProducerBatchMaxBytes(900_000), kgo.MaxBufferedRecords(100_000))
	if err != nil {
		return 0, err
	}
	defer client.Close()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var total int64
	for e := range events {
		to := topic(e.Kind)
		if to == "" {
			continue
		}
		record := &kgo.Record{
			Topic:     to,
			Key:       []byte(e.UserID),
			Value:     e.AppendFramed(make([]byte, 0, 256), ids(e.Kind)),
			Timestamp: time.UnixMilli(e.OccurredAt),
		}
		client.Produce(ctx, record, func(_ *kgo.Record, err error) {
			if err != nil {
				cancel(fmt.Errorf("load %s: %w", record.Topic, err))
			}
		})
		total++
		if ctx.Err() != nil {
			break
		}
	}
	err = client.Flush(ctx)
	return total, errors.Join(context.Cause(ctx), err)
}

// WaitRecords returns when a topic that is written without transactions holds n records.
func WaitRecords(ctx context.Context, client *kgo.Client, topic string, n int64) error {
	for {
		ends, err := Ends(ctx, client, topic, false)
		if err != nil {
			return err
		}
		if sum(ends) >= n {
			return nil
		}
		if err := sleep(ctx); err != nil {
			return fmt.Errorf("%s holds %d of %d records: %w", topic, sum(ends), n, err)
		}
	}
}

// WaitGroup returns when a group has committed the end of a topic in every partition: for runs with transactions, where
// offsets are committed together with outputs, and markers make offsets no count of records.
func WaitGroup(ctx context.Context, client *kgo.Client, group, topic string) error {
	ends, err := Ends(ctx, client, topic, false)
	if err != nil {
		return err
	}
	want := sum(ends)
	for {
		at, err := committed(ctx, client, group, topic)
		if err != nil && !kerr.IsRetriable(err) {
			return err
		}
		if at >= want {
			return nil
		}
		if err := sleep(ctx); err != nil {
			return fmt.Errorf("group %s is at %d of %d in %s: %w", group, at, want, topic, err)
		}
	}
}

// Read hands over the committed records of a topic, up to the end that it has now, partition by partition in order.
func Read(ctx context.Context, brokers []string, topic string, each func(*kgo.Record) error) error {
	client, err := Client(brokers, kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords())
	if err != nil {
		return err
	}
	defer client.Close()
	left, err := Ends(ctx, client, topic, true)
	if err != nil {
		return err
	}
	for partition, end := range left {
		if end == 0 {
			delete(left, partition)
		}
	}
	for len(left) > 0 {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return fmt.Errorf("read %s: %w", topic, err)
		}
		var failed error
		fetches.EachRecord(func(r *kgo.Record) {
			if r.Offset >= left[r.Partition]-1 {
				delete(left, r.Partition)
			}
			if !r.Attrs.IsControl() && failed == nil {
				failed = each(r)
			}
		})
		if failed != nil {
			return failed
		}
	}
	return nil
}

// Ends are the end offsets of a topic's partitions; stable ones end before the first open transaction.
func Ends(ctx context.Context, client *kgo.Client, topic string, stable bool) (map[int32]int64, error) {
	metadata := kmsg.NewPtrMetadataRequest()
	asked := kmsg.NewMetadataRequestTopic()
	asked.Topic = &topic
	metadata.Topics = append(metadata.Topics, asked)
	known, err := metadata.RequestWith(ctx, client)
	if err != nil {
		return nil, err
	}
	request := kmsg.NewPtrListOffsetsRequest()
	request.ReplicaID = -1
	if stable {
		request.IsolationLevel = 1
	}
	one := kmsg.NewListOffsetsRequestTopic()
	one.Topic = topic
	for _, t := range known.Topics {
		if err := kerr.ErrorForCode(t.ErrorCode); err != nil {
			return nil, fmt.Errorf("%s: %w", topic, err)
		}
		for _, p := range t.Partitions {
			partition := kmsg.NewListOffsetsRequestTopicPartition()
			partition.Partition, partition.Timestamp = p.Partition, -1
			one.Partitions = append(one.Partitions, partition)
		}
	}
	request.Topics = append(request.Topics, one)
	response, err := request.RequestWith(ctx, client)
	if err != nil {
		return nil, err
	}
	ends := map[int32]int64{}
	for _, t := range response.Topics {
		for _, p := range t.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return nil, fmt.Errorf("%s, partition %d: %w", topic, p.Partition, err)
			}
			ends[p.Partition] = p.Offset
		}
	}
	return ends, nil
}

// committed adds up the offsets that a group has committed for a topic.
func committed(ctx context.Context, client *kgo.Client, group, topic string) (int64, error) {
	request := kmsg.NewPtrOffsetFetchRequest()
	request.Group = group
	of := kmsg.NewOffsetFetchRequestGroup() // what newer brokers read
	of.Group = group
	request.Groups = append(request.Groups, of)
	response, err := request.RequestWith(ctx, client)
	if err != nil {
		return 0, err
	}
	var total int64
	add := func(name string, offset int64) {
		if name == topic && offset > 0 {
			total += offset
		}
	}
	for _, g := range response.Groups {
		if err := kerr.ErrorForCode(g.ErrorCode); err != nil {
			return 0, err
		}
		for _, t := range g.Topics {
			for _, p := range t.Partitions {
				add(t.Topic, p.Offset)
			}
		}
	}
	if len(response.Groups) > 0 {
		return total, nil
	}
	for _, t := range response.Topics {
		for _, p := range t.Partitions {
			add(t.Topic, p.Offset)
		}
	}
	return total, kerr.ErrorForCode(response.ErrorCode)
}

func sum(offsets map[int32]int64) int64 {
	var total int64
	for _, o := range offsets {
		total += o
	}
	return total
}

func sleep(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(pause):
		return nil
	}
}
