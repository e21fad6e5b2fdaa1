package topologies

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/IBM/sarama"
	"github.com/lovoo/goka"
	"github.com/lovoo/goka/storage"
)

// incarnation is one life of a group in this process: one producer and one goka processor. It ends with the worker or
// with the first error; nothing in memory outlives it, because after an error the outcome of its last transaction is
// unknown.
type incarnation struct {
	runner    *runner
	producer  *producer
	carriers  carriers
	committer *committer
	cancel    context.CancelCauseFunc
	// stopProducing fails what is buffered and whoever waits for room in the buffer.
	stopProducing context.CancelFunc

	// barrier: a batch holds it for reading, a commit for writing, so that no batch is half way in a transaction.
	barrier sync.RWMutex

	mu      sync.Mutex
	session sarama.ConsumerGroupSession
	marks   map[topicPartition]int64 // next offsets of what the open transaction took in
	parts   map[int32]*partition
	stores  map[int32]*store
	claims  map[*claim]bool
	closing []*store
	failed  error
}

// run lives until ctx ends or something fails.
func (g *runner) incarnate(ctx context.Context) (err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	producing, stopProducing := context.WithCancel(context.Background()) // outlives ctx: the last commit comes after its end
	defer stopProducing()
	x := &incarnation{
		runner: g, cancel: cancel, stopProducing: stopProducing, marks: map[topicPartition]int64{},
		stores: map[int32]*store{}, parts: map[int32]*partition{}, claims: map[*claim]bool{},
	}
	if x.producer, err = newProducer(ctx, producing, g.options, g.transactionalID(), x.fail); err != nil {
		return err
	}
	defer x.producer.close()
	edges := make([]goka.Edge, 0, len(g.plan.Inputs)+1)
	for _, in := range g.plan.Inputs {
		edges = append(edges, goka.Input(goka.Stream(in.Topic), &x.carriers, x.callback))
	}
	if g.plan.Stateful {
		edges = append(edges, goka.Persist(&x.carriers))
	}
	p, err := goka.NewProcessor(g.options.Brokers, goka.DefineGroup(goka.Group(g.plan.Name), edges...), x.gokaOptions()...)
	if err != nil {
		return fmt.Errorf("goka: %w", err)
	}
	x.committer = newCommitter(x)
	stopped := make(chan struct{})
	go func() { defer close(stopped); x.committer.loop(ctx) }()
	err = p.Run(ctx)
	cancel(nil)
	<-stopped
	return errors.Join(x.failure(), err)
}

// fail ends the incarnation: nothing of the open transaction will be committed.
func (x *incarnation) fail(err error) {
	x.mu.Lock()
	if x.failed == nil {
		x.failed = err
	}
	x.mu.Unlock()
	x.stopProducing()
	x.cancel(err)
}

// deadline ends the incarnation unless stop is called within the transaction timeout: by then the broker has given
// the transaction up. Without it, a producer that waits for room while a broker is away would hold the barrier, and
// with it commits and the shutdown, for as long.
func (x *incarnation) deadline(what string) (stop func() bool) {
	limit := x.runner.options.TransactionTimeout
	return time.AfterFunc(limit, func() { x.fail(fmt.Errorf("%s took more than %v", what, limit)) }).Stop
}

func (x *incarnation) failure() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.failed
}

func (x *incarnation) sessionContext() context.Context {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.session == nil {
		return context.Background()
	}
	return x.session.Context()
}

func (x *incarnation) track(c *claim, on bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if on {
		x.claims[c] = true
	} else {
		delete(x.claims, c)
	}
}

// drained reports whether no partition has records waiting.
func (x *incarnation) drained() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	for c := range x.claims {
		if c.behind.Load() {
			return false
		}
	}
	return true
}

func (x *incarnation) buildStore(topic string, part int32) (storage.Storage, error) {
	s, err := x.newStore(topic, part)
	if err != nil {
		return nil, err
	}
	x.mu.Lock()
	x.stores[part] = s
	x.mu.Unlock()
	return s, nil
}

// partition finds or makes what steps the records of a partition.
func (x *incarnation) partition(part int32) (*partition, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	p := x.parts[part]
	if p == nil {
		var err error
		if p, err = newPartition(x, part, x.stores[part]); err != nil {
			return nil, err
		}
		x.parts[part] = p
	}
	return p, nil
}

// callback is goka's: one call per batch.
func (x *incarnation) callback(ctx goka.Context, msg any) {
	if err := x.process(msg.(*batch)); err != nil {
		ctx.Fail(err) // panics, unless the session is over already
	}
}

// slice is how many records are stepped under one hold of the barrier: a commit can come between slices, so that
// slow rules do not make a transaction longer than the broker allows.
const slice = 64

// process steps a batch. After an error the incarnation has failed.
func (x *incarnation) process(b *batch) error {
	for rest := b.records; len(rest) > 0; {
		n := min(len(rest), slice)
		if err := x.step(b.claim, rest[:n]); err != nil {
			return err
		}
		rest = rest[n:]
	}
	x.committer.processed()
	return nil
}

// step steps records under the barrier.
func (x *incarnation) step(c *claim, records []*sarama.ConsumerMessage) (err error) {
	x.barrier.RLock()
	defer x.barrier.RUnlock()
	topic, part := c.Topic(), c.Partition()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("batch of %s/%d: panic: %v", topic, part, p)
		}
		if err != nil {
			// Before the barrier opens: the records stepped so far are in the transaction, but not their offsets.
			x.fail(err)
		}
	}()
	if x.failure() != nil {
		return nil // the incarnation ends; nothing more is marked
	}
	p, err := x.partition(part)
	if err != nil {
		return err
	}
	if fault("barrier") {
		x.mark(c, records)
		x.barrier.RUnlock()
		defer x.barrier.RLock()
	}
	defer x.deadline(fmt.Sprintf("processing %d records of %s/%d", len(records), topic, part))()
	if err := p.step(c.in, records); err != nil {
		return fmt.Errorf("%s/%d: %w", topic, part, err)
	}
	x.mark(c, records)
	x.committer.took(len(records))
	return nil
}

// mark notes that the running transaction has taken records in.
func (x *incarnation) mark(c *claim, records []*sarama.ConsumerMessage) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.marks[topicPartition{c.Topic(), c.Partition()}] = records[len(records)-1].Offset + 1
}

// commit ends the running transaction: state, offsets and, with exactly_once, outputs become visible together. After
// an error the outcome is unknown and the incarnation must end.
func (x *incarnation) commit() error {
	x.barrier.Lock()
	defer x.barrier.Unlock()
	start := time.Now()
	x.mu.Lock()
	s, failed, marks := x.session, x.failed, x.marks
	stores := append([]*store(nil), x.closing...)
	for _, st := range x.stores {
		stores = append(stores, st)
	}
	parts := make([]*partition, 0, len(x.parts))
	for _, p := range x.parts {
		parts = append(parts, p)
	}
	x.mu.Unlock()
	if failed != nil {
		return failed
	}
	if s == nil || len(marks) == 0 {
		return nil
	}
	flushed := x.deadline("writing the changed state")
	var flushing sync.WaitGroup
	for _, st := range stores {
		flushing.Go(st.flush)
	}
	flushing.Wait()
	flushed()
	o := x.runner.options
	ctx, cancel := context.WithTimeout(context.Background(), o.TransactionTimeout)
	defer cancel()
	m := member{group: x.runner.plan.Name, id: s.MemberID(), instance: o.Instance, generation: s.GenerationID()}
	if fault("fencing") {
		m = member{group: m.group, generation: -1}
	}
	if err := x.producer.commit(ctx, marks, m, x.failure); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	x.mu.Lock()
	x.marks = map[topicPartition]int64{}
	x.mu.Unlock()
	limit := max(1000, o.CacheRows/max(1, len(stores)))
	for _, st := range stores {
		if err := st.committed(limit); err != nil {
			return err
		}
	}
	n := x.committer.taken()
	for _, p := range parts {
		p.committed()
	}
	x.runner.purge(marks)
	x.runner.committed(n, time.Since(start))
	return nil
}
