package kafka

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Producer writes records, idempotently and with all acknowledgements. It is safe for concurrent use.
type Producer struct {
	kgo   *kgo.Client
	acked atomic.Int64

	mu  sync.Mutex
	err error // the first
}

// NewProducer connects to the cluster of c. The caller closes the producer.
func (c *Client) NewProducer() (*Producer, error) {
	cl, err := kgo.NewClient(
		kgo.SeedBrokers(c.brokers...), kgo.ClientID(c.name), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerLinger(5*time.Millisecond), kgo.ProducerBatchMaxBytes(900_000), kgo.MaxBufferedRecords(20_000),
		kgo.ProducerBatchCompression(kgo.NoCompression()),
	)
	if err != nil {
		return nil, err
	}
	return &Producer{kgo: cl}, nil
}

// Send writes r into its partition in the background; it blocks only while many records wait. Records of one partition
// keep their order. An error of an earlier record is returned here or by Flush. The record's bytes must not change.
func (p *Producer) Send(ctx context.Context, r *Record) error {
	if err := p.failure(); err != nil {
		return err
	}
	k := &kgo.Record{Topic: r.Topic, Partition: r.Number, Timestamp: r.Timestamp, Key: r.Key, Value: r.Value}
	k.Headers = make([]kgo.RecordHeader, len(r.Headers))
	for i, h := range r.Headers {
		k.Headers[i] = kgo.RecordHeader{Key: h.Key, Value: h.Value}
	}
	p.kgo.Produce(ctx, k, p.done)
	return nil
}

func (p *Producer) done(r *kgo.Record, err error) {
	if err == nil {
		p.acked.Add(1)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil {
		p.err = fmt.Errorf("write to %s/%d: %w", r.Topic, r.Partition, err)
	}
}

func (p *Producer) failure() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// Flush waits until every record is acknowledged.
func (p *Producer) Flush(ctx context.Context) error {
	if err := p.kgo.Flush(ctx); err != nil {
		return fmt.Errorf("flush: %w", err)
	}
	return p.failure()
}

// Acked counts the acknowledged records.
func (p *Producer) Acked() int64 { return p.acked.Load() }

// Close gives up what is not acknowledged; call Flush before.
func (p *Producer) Close() { p.kgo.Close() }
