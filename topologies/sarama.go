package topologies

import (
	"sync"
	"time"

	"github.com/IBM/sarama"
	"github.com/lovoo/goka"
	"github.com/twmb/franz-go/pkg/kgo"
)

// limitBatches bounds what one compressed batch may unpack to. sarama keeps that in a package variable whose default
// is unlimited.
var limitBatches = sync.OnceFunc(func() { sarama.MaxDecompressedBatchSize = 64 << 20 })

// saramaConfig holds every setting of sarama that millrace depends on: groups and reading; nothing is produced
// through it.
func (o *Options) saramaConfig() *sarama.Config {
	limitBatches()
	c := sarama.NewConfig()
	c.ClientID = o.App
	c.Version = sarama.V3_0_0_0 // below 2.5 nothing would fence a zombie by its generation
	c.ChannelBufferSize = maxBatch
	c.Metadata.Retry.Max, c.Metadata.Retry.Backoff = 240, 100*time.Millisecond // UNSTABLE_OFFSET_COMMIT is retried with it
	c.Consumer.IsolationLevel = sarama.ReadCommitted                           // asks for stable offsets, too
	c.Consumer.Offsets.AutoCommit.Enable = false                               // offsets go through the transaction only
	c.Consumer.Offsets.Initial = sarama.OffsetOldest
	c.Consumer.Group.ResetInvalidOffsets = false // an offset out of range is an operator's decision, never a silent loss
	c.Consumer.Group.InstanceId = o.Instance
	c.Consumer.Group.Rebalance.GroupStrategies = []sarama.BalanceStrategy{goka.CopartitioningStrategy}
	c.Consumer.Group.Session.Timeout = o.SessionTimeout
	c.Consumer.Group.Heartbeat.Interval = o.SessionTimeout / 5
	c.Consumer.Group.Rebalance.Timeout = 20 * time.Second
	c.Consumer.Group.Rebalance.Retry.Backoff = 200 * time.Millisecond
	c.Consumer.MaxWaitTime = 250 * time.Millisecond // stopping takes as long as a running fetch
	c.Consumer.MaxProcessingTime = 5 * time.Second
	c.Consumer.Return.Errors = true
	c.Consumer.Fetch.Default = 1 << 20
	return c
}

// maxBuffered bounds the bytes of a producer's records that are not acknowledged yet.
const maxBuffered = 256 << 20

// producerOptions are the settings of franz-go that both producers share.
func (o *Options) producerOptions() []kgo.Opt {
	return []kgo.Opt{
		kgo.SeedBrokers(o.Brokers...),
		kgo.ClientID(o.App),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.ProducerBatchMaxBytesFn(o.batchBytes),
		kgo.BrokerMaxWriteBytes(128 << 20),
		kgo.MaxBufferedRecords(100_000),
		kgo.MaxBufferedBytes(maxBuffered),
		kgo.ProducerLinger(0),
		// The first write after a commit is often refused with CONCURRENT_TRANSACTIONS while the markers are being
		// written; the wait is pure delay, and a refused produce waits for a metadata refresh.
		kgo.ConcurrentTransactionsBackoff(2 * time.Millisecond),
		kgo.MetadataMinAge(10 * time.Millisecond),
		kgo.RetryBackoffFn(func(n int) time.Duration { return min(5*time.Millisecond<<min(n, 6), 250*time.Millisecond) }),
	}
}

// batchBytes bounds a batch by what its topic takes: max.message.bytes is about batches. Beyond a megabyte, larger
// batches gain nothing; a single large record may be as large as the topic takes.
func (o *Options) batchBytes(topic string) int32 {
	if info, ok := o.topics[topic]; ok {
		return int32(min(info.maxBytes, 1<<30))
	}
	return defaultMaxBytes
}
