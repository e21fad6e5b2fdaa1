package baseline

import (
	"context"
	"io"
	"log"
	"time"

	"github.com/IBM/sarama"
	"github.com/lovoo/goka"
	"github.com/lovoo/goka/codec"
	"github.com/lovoo/goka/storage"
)

// GokaFilter is w1 in goka.
func GokaFilter(ctx context.Context, h Hop, ready func()) error {
	in, err := newAvroCodec(h.Events, 0)
	if err != nil {
		return err
	}
	out, err := newAvroCodec(RiskSchema, h.ID)
	if err != nil {
		return err
	}
	output := goka.Stream(h.Output)
	return gokaRun(ctx, h, ready,
		goka.Input(goka.Stream(h.Input), in, func(ctx goka.Context, message any) {
			change := message.(map[string]any)
			confidence := change["confidence"].(float64)
			if change["attribute"] != "country" || confidence < 0.6 {
				return
			}
			ctx.Emit(output, ctx.Key(), map[string]any{
				"cause_id":    change["event_id"],
				"user_id":     change["user_id"],
				"occurred_at": change["occurred_at"].(time.Time).UnixMilli(),
				"region":      change["region"],
				"previous":    change["old_value"],
				"current":     change["new_value"],
				"confidence":  confidence,
				"risk":        confidence*80 + change["score"].(float64)*20,
			})
		}),
		goka.Output(output, out))
}

// GokaCount counts the events of each key in a group table on LevelDB and says the number after every event. The event
// itself is not decoded.
func GokaCount(ctx context.Context, h Hop, ready func()) error {
	out, err := newAvroCodec(CountSchema, h.ID)
	if err != nil {
		return err
	}
	output := goka.Stream(h.Output)
	return gokaRun(ctx, h, ready,
		goka.Input(goka.Stream(h.Input), new(codec.Bytes), func(ctx goka.Context, _ any) {
			var n int64
			if value := ctx.Value(); value != nil {
				n = value.(int64)
			}
			n++
			ctx.SetValue(n)
			ctx.Emit(output, ctx.Key(), map[string]any{"user_id": ctx.Key(), "n": n})
		}),
		goka.Output(output, out),
		goka.Persist(new(codec.Int64)))
}

// gokaRun runs a processor with goka's own configuration but for what is needed here: old records, one replica.
func gokaRun(ctx context.Context, h Hop, ready func(), edges ...goka.Edge) error {
	config := goka.DefaultConfig()
	config.Version = sarama.V2_8_0_0
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	topics := goka.NewTopicManagerConfig()
	topics.Table.Replication, topics.Stream.Replication = 1, 1

	p, err := goka.NewProcessor(h.Brokers, goka.DefineGroup(goka.Group(h.Group), edges...),
		goka.WithHasher(h.Hasher),
		goka.WithStorageBuilder(storage.DefaultBuilder(h.Dir)),
		goka.WithTopicManagerBuilder(goka.TopicManagerBuilderWithConfig(config, topics)),
		goka.WithConsumerGroupBuilder(goka.ConsumerGroupBuilderWithConfig(config)),
		goka.WithConsumerSaramaBuilder(goka.SaramaConsumerBuilderWithConfig(config)),
		goka.WithProducerBuilder(goka.ProducerBuilderWithConfig(config)),
		goka.WithLogger(log.New(io.Discard, "", 0)))
	if err != nil {
		return err
	}
	watching, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		for !p.Recovered() {
			select {
			case <-watching.Done():
				return
			case <-time.After(time.Millisecond):
			}
		}
		ready()
	}()
	return p.Run(ctx)
}
