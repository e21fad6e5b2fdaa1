package topologies

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"slices"
	"time"

	"github.com/IBM/sarama"
	"github.com/lovoo/goka"

	"github.com/millrace-io/millrace/schemas"
)

// consumerGroup is the group that goka consumes with. Its Consume loops over the generations itself: goka would sleep
// five seconds between them.
type consumerGroup struct {
	sarama.ConsumerGroup
	run *incarnation
}

func (x *incarnation) newConsumerGroup(brokers []string, name, clientID string) (sarama.ConsumerGroup, error) {
	c := x.runner.options.saramaConfig()
	c.ClientID = clientID
	cg, err := sarama.NewConsumerGroup(brokers, name, c)
	if err != nil {
		return nil, fmt.Errorf("consumer group: %w", err)
	}
	g := &consumerGroup{cg, x}
	go g.watch()
	return g, nil
}

// Errors implements sarama.ConsumerGroup: goka gets none, watch has them.
func (c *consumerGroup) Errors() <-chan error { return nil }

// watch reports what sarama meets while it reads, until the group is closed. A position that the log does not have
// ends the incarnation: sarama would give the claim up and join again, without end and without a word.
func (c *consumerGroup) watch() {
	for err := range c.ConsumerGroup.Errors() {
		if errors.Is(err, sarama.ErrOffsetOutOfRange) {
			c.run.fail(fmt.Errorf("the group's committed offset is not in the log any more, or not yet; set it to where reading shall go on: %w", err))
			continue
		}
		c.run.runner.logger.Warn("reading fails", "error", err)
	}
}

// Consume implements sarama.ConsumerGroup.
func (c *consumerGroup) Consume(ctx context.Context, topics []string, h sarama.ConsumerGroupHandler) error {
	for ctx.Err() == nil {
		began := time.Now()
		if err := c.ConsumerGroup.Consume(ctx, topics, &handler{h, c.run}); err != nil {
			return err
		}
		if err := c.run.failure(); err != nil {
			return err
		}
		if time.Since(began) < time.Second { // whatever ends sessions that fast must not make us join in a loop
			select {
			case <-ctx.Done():
			case <-time.After(drainPause):
			}
		}
	}
	return nil
}

// session hides goka's marks: a carrier's offset says nothing, the callbacks keep the positions.
type session struct{ sarama.ConsumerGroupSession }

func (*session) MarkOffset(string, int32, int64, string)     {}
func (*session) MarkMessage(*sarama.ConsumerMessage, string) {}
func (*session) ResetOffset(string, int32, int64, string)    {}
func (*session) Commit()                                     {}

// handler stands between sarama's sessions and goka's.
type handler struct {
	goka sarama.ConsumerGroupHandler
	run  *incarnation
}

// Setup begins a generation: goka builds its partitions in it, and the stores recover.
func (h *handler) Setup(s sarama.ConsumerGroupSession) error {
	x := h.run
	x.mu.Lock()
	x.session = s
	x.member = member{group: x.runner.plan.Name, id: s.MemberID(), instance: x.runner.options.Instance, generation: s.GenerationID()}
	x.marks = map[topicPartition]int64{}
	x.parts = map[int32]*partition{}
	x.claims = map[*claim]bool{}
	x.mu.Unlock()
	if err := h.goka.Setup(&session{s}); err != nil {
		if s.Context().Err() != nil { // another rebalance, or the end, while the stores recovered: no fault
			x.runner.logger.Info("the session ended during its setup", "error", err)
			return nil
		}
		return err
	}
	if err := x.assign(s.Context(), claimed(s.Claims())); err != nil {
		if s.Context().Err() != nil {
			x.runner.logger.Info("the session ended during its setup", "error", err)
			return nil
		}
		return err
	}
	x.mu.Lock()
	x.active = true
	x.mu.Unlock()
	x.runner.assigned(s.Claims())
	return nil
}

// claimed lists the partition numbers of a member's claims.
func claimed(claims map[string][]int32) []int32 {
	var out []int32
	for _, ps := range claims {
		out = append(out, ps...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// begin tells the partition where reading begins.
func (x *incarnation) begin(ctx context.Context, sc sarama.ConsumerGroupClaim) error {
	p, err := x.partition(sc.Partition())
	if err != nil {
		return err
	}
	at := sc.InitialOffset()
	if at < 0 { // nothing is committed: from the oldest record on
		if at, err = listOffset(ctx, x.runner.client, topicPartition{sc.Topic(), sc.Partition()}, -2, false); err != nil {
			return err
		}
	}
	x.barrier.RLock()
	defer x.barrier.RUnlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stepper(sc.Topic()).clock.begin(at)
	return nil
}

// ConsumeClaim gives goka our claim in place of sarama's.
func (h *handler) ConsumeClaim(s sarama.ConsumerGroupSession, sc sarama.ConsumerGroupClaim) error {
	in := h.run.runner.input(sc.Topic())
	if in == nil {
		return fmt.Errorf("claim of %s, which %s does not read", sc.Topic(), h.run.runner.plan.Name)
	}
	if err := h.run.begin(s.Context(), sc); err != nil {
		if s.Context().Err() == nil {
			h.run.fail(fmt.Errorf("begin %s/%d: %w", sc.Topic(), sc.Partition(), err))
		}
		return nil
	}
	p, err := h.run.partition(sc.Partition())
	if err != nil {
		return err
	}
	c := &claim{step: p.stepper(sc.Topic()), ConsumerGroupClaim: sc, run: h.run, in: in, out: make(chan *sarama.ConsumerMessage)}
	h.run.track(c, true)
	defer h.run.track(c, false)
	ctx, cancel := context.WithCancel(s.Context())
	defer cancel()
	done := make(chan struct{})
	go c.pump(ctx, done)
	err = h.goka.ConsumeClaim(&session{s}, c)
	close(done)
	cancel()
	for range c.out { // until the pump has gone
	}
	return err
}

// Cleanup ends a generation: goka stops its partitions, then the last transaction is committed or given up.
func (h *handler) Cleanup(s sarama.ConsumerGroupSession) error {
	x := h.run
	err := h.goka.Cleanup(&session{s})
	switch {
	case err != nil:
		x.fail(fmt.Errorf("stop the partitions: %w", err))
	default:
		if e := x.finish(); e != nil {
			x.fail(e)
		}
	}
	if err = x.failure(); err != nil {
		ctx, cancel := context.WithTimeout(context.Background(), x.runner.options.TransactionTimeout)
		x.barrier.Lock() // a commit of the committer may be on its way: it must not take the abort for its own end
		err = errors.Join(err, x.journal.abort(ctx))
		x.barrier.Unlock()
		cancel()
	}
	x.mu.Lock()
	x.session, x.active = nil, false
	closing := x.closing
	x.closing = nil
	x.mu.Unlock()
	x.carriers.waiting.Clear() // those that goka dropped
	x.runner.revoked()
	for _, s := range closing {
		err = errors.Join(err, s.shut())
	}
	return err
}

// What goka gets in place of its own parts.

func (x *incarnation) gokaOptions() []goka.ProcessorOption {
	return []goka.ProcessorOption{
		goka.WithClientID(x.runner.options.App),
		goka.WithLogger(gokaLog{x.runner.logger}),
		goka.WithHasher(schemas.NewHasher),
		goka.WithProducerBuilder(func([]string, string, func() hash.Hash32) (goka.Producer, error) { return noProducer{}, nil }),
		goka.WithConsumerGroupBuilder(x.newConsumerGroup),
		goka.WithConsumerSaramaBuilder(func([]string, string) (sarama.Consumer, error) { return &noConsumer{run: x}, nil }),
		goka.WithTopicManagerBuilder(x.newTopicManager),
		goka.WithStorageBuilder(x.buildStore),
		goka.WithPartitionChannelSize(0), // whole batches would queue in goka
	}
}

// noProducer is goka's producer: everything is produced by ours.
type noProducer struct{}

var errNotUsed = errors.New("goka's producer is not used")

// Emit implements goka.Producer.
func (p noProducer) Emit(topic, key string, value []byte) *goka.Promise {
	return p.EmitWithHeaders(topic, key, value, nil)
}

// EmitWithHeaders implements goka.Producer.
func (noProducer) EmitWithHeaders(string, string, []byte, goka.Headers) *goka.Promise {
	p, finish := goka.NewPromiseWithFinisher()
	finish(nil, errNotUsed)
	return p
}

func (noProducer) Close() error { return nil }

// noConsumer spares goka a second client: it has nothing to recover. Its high water marks are our claims', so that
// goka's statistics are right.
type noConsumer struct {
	sarama.Consumer
	run *incarnation
}

func (*noConsumer) ConsumePartition(string, int32, int64) (sarama.PartitionConsumer, error) {
	return nil, errors.New("goka must not read anything")
}
func (*noConsumer) Close() error { return nil }
func (c *noConsumer) HighWaterMarks() map[string]map[int32]int64 {
	out := map[string]map[int32]int64{}
	c.run.mu.Lock()
	defer c.run.mu.Unlock()
	for cl := range c.run.claims {
		if out[cl.Topic()] == nil {
			out[cl.Topic()] = map[int32]int64{}
		}
		out[cl.Topic()][cl.Partition()] = cl.HighWaterMarkOffset()
	}
	return out
}

// topicManager tells goka that the group's table is empty, because our store has recovered it in Open.
type topicManager struct {
	goka.TopicManager
	table string
}

func (x *incarnation) newTopicManager(brokers []string) (goka.TopicManager, error) {
	tm, err := goka.NewTopicManager(brokers, x.runner.options.saramaConfig(), goka.NewTopicManagerConfig())
	if err != nil {
		return nil, fmt.Errorf("topic manager: %w", err)
	}
	return &topicManager{tm, x.runner.plan.Table()}, nil
}

// GetOffset implements goka.TopicManager.
func (t *topicManager) GetOffset(topic string, partition int32, at int64) (int64, error) {
	if topic == t.table {
		return 0, nil
	}
	return t.TopicManager.GetOffset(topic, partition, at)
}

// EnsureTableExists implements goka.TopicManager: the worker has seen to it, with the right retention.
func (t *topicManager) EnsureTableExists(string, int) error { return nil }

// drainPause is how long an incarnation waits before the next one.
const drainPause = 200 * time.Millisecond
