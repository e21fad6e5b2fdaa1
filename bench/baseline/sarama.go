package baseline

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/IBM/sarama"
)

// Sarama gives a loop that forwards one of so many records unchanged, undecoded: the tenth for w1, every one for count.
func Sarama(every int64) Run {
	return func(ctx context.Context, h Hop, ready func()) error { return saramaRun(ctx, h, every, ready) }
}

func saramaRun(ctx context.Context, h Hop, every int64, ready func()) (err error) {
	config := sarama.NewConfig()
	config.Version = sarama.V2_8_0_0
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	config.Producer.Partitioner = sarama.NewCustomHashPartitioner(h.Hasher)
	config.Producer.RequiredAcks = sarama.WaitForLocal
	// goka's, so that the loops differ in nothing but what they do
	config.Producer.Flush.Frequency = 100 * time.Millisecond
	config.Producer.Flush.Bytes = 64 << 10
	config.Producer.Return.Successes = false

	producer, err := sarama.NewAsyncProducer(h.Brokers, config)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	failures := make(chan struct{})
	go func() {
		defer close(failures)
		for e := range producer.Errors() {
			cancel(e)
		}
	}()
	defer func() {
		producer.AsyncClose()
		<-failures
		if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
			err = errors.Join(err, cause)
		}
	}()

	group, err := sarama.NewConsumerGroup(h.Brokers, h.Group, config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, group.Close()) }()
	loop := &forward{producer: producer, output: h.Output, every: every, ready: sync.OnceFunc(ready)}
	for ctx.Err() == nil {
		if err := group.Consume(ctx, []string{h.Input}, loop); err != nil && ctx.Err() == nil {
			return err
		}
	}
	return nil
}

// forward is the consumer group's handler.
type forward struct {
	producer sarama.AsyncProducer
	output   string
	every    int64
	ready    func()
}

// Setup implements sarama.ConsumerGroupHandler.
func (f *forward) Setup(sarama.ConsumerGroupSession) error {
	f.ready()
	return nil
}

// Cleanup implements sarama.ConsumerGroupHandler.
func (f *forward) Cleanup(sarama.ConsumerGroupSession) error { return nil }

// ConsumeClaim implements sarama.ConsumerGroupHandler.
func (f *forward) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for m := range claim.Messages() {
		if m.Offset%f.every == 0 {
			select {
			case f.producer.Input() <- &sarama.ProducerMessage{
				Topic: f.output, Key: sarama.ByteEncoder(m.Key), Value: sarama.ByteEncoder(m.Value),
			}:
			case <-session.Context().Done():
				return nil
			}
		}
		session.MarkMessage(m, "")
	}
	return nil
}
