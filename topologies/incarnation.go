package topologies

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"
	"github.com/lovoo/goka"
	"github.com/lovoo/goka/storage"
	"github.com/twmb/franz-go/pkg/kgo"
)

// incarnation is one life of a group in this process: one producer and one goka processor. It ends with the worker or
// with the first error; nothing in memory outlives it, because after an error the outcome of its last transaction is
// unknown.
type incarnation struct {
	runner    *runner
	journal   journal
	carriers  carriers
	committer *committer
	cancel    context.CancelCauseFunc
	// stopProducing fails what is buffered and whoever waits for room in the buffer.
	stopProducing context.CancelFunc

	// barrier: a batch holds it for reading, a commit for writing, so that no batch is half way in a transaction.
	barrier sync.RWMutex

	wake   chan struct{} // of the pulse; capacity 1
	asleep atomic.Int64  // until when it sleeps, in ns

	mu      sync.Mutex
	session sarama.ConsumerGroupSession
	member  member                   // of the session
	active  bool                     // the session is on: between its setup and its last commit
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
	x := g.newIncarnation(cancel, stopProducing)
	producer, err := newProducer(ctx, producing, g.options, g.transactionalID(), x.fail)
	if err != nil {
		return err
	}
	x.journal = &kafkaJournal{producer, g}
	defer x.journal.close()
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
	g.mu.Lock()
	g.alive = x
	g.mu.Unlock()
	stopped := make(chan struct{})
	go func() { defer close(stopped); x.committer.loop(ctx) }()
	ticked := make(chan struct{})
	go func() { defer close(ticked); newPulse(x).loop(ctx) }()
	err = p.Run(ctx)
	cancel(nil)
	<-stopped
	<-ticked
	return errors.Join(x.failure(), err)
}

// newIncarnation makes an incarnation without a journal.
func (g *runner) newIncarnation(cancel context.CancelCauseFunc, stopProducing context.CancelFunc) *incarnation {
	x := &incarnation{
		runner: g, cancel: cancel, stopProducing: stopProducing, marks: map[topicPartition]int64{},
		stores: map[int32]*store{}, parts: map[int32]*partition{}, claims: map[*claim]bool{}, wake: make(chan struct{}, 1),
	}
	x.committer = newCommitter(x)
	return x
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

// assign makes what steps the records of the partitions that the member has got, and restores what their last owners
// knew of time.
func (x *incarnation) assign(ctx context.Context, partitions []int32) error {
	plan, board := x.runner.plan, x.runner.board
	timed := board != nil && (plan.Stateful || plan.Announces)
	if timed {
		if err := x.journal.announced(ctx, progressPartition(plan.Name, x.runner.partitionsOf(Progress(x.runner.options.App)))); err != nil {
			return fmt.Errorf("read the progress of the partitions' last owners: %w", err)
		}
	}
	for _, n := range partitions {
		x.mu.Lock()
		st := x.stores[n]
		x.mu.Unlock()
		p, err := newPartition(x, n, st)
		if err != nil {
			return err
		}
		if timed {
			p.restore(board.of(plan.Name, n))
		}
		if err := p.index(); err != nil {
			return err
		}
		x.mu.Lock()
		x.parts[n] = p
		x.mu.Unlock()
	}
	return nil
}

// partition is what steps the records of a partition.
func (x *incarnation) partition(part int32) (*partition, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if p := x.parts[part]; p != nil {
		return p, nil
	}
	return nil, fmt.Errorf("partition %d of %s is not assigned", part, x.runner.plan.Name)
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
		n, err := x.step(b.claim.in, b.claim.Topic(), b.claim.Partition(), rest[:min(len(rest), slice)], b.came)
		if err != nil {
			return err
		}
		if rest = rest[n:]; n == 0 && x.failure() != nil {
			return nil
		}
	}
	x.committer.processed()
	return nil
}

// step steps records that had come by the moment came, under the barrier, and returns how many; fewer than given when a
// commit may come between.
func (x *incarnation) step(in *Input, topic string, part int32, records []*sarama.ConsumerMessage, came time.Time) (n int, err error) {
	x.barrier.RLock()
	defer x.barrier.RUnlock()
	defer x.failing(fmt.Sprintf("batch of %s/%d", topic, part), &err)
	if x.failure() != nil {
		return 0, nil // the incarnation ends; nothing more is marked
	}
	p, err := x.partition(part)
	if err != nil {
		return 0, err
	}
	if fault("barrier") {
		x.mark(topic, part, records)
		x.barrier.RUnlock()
		defer x.barrier.RLock()
	}
	defer x.deadline(fmt.Sprintf("processing %d records of %s/%d", len(records), topic, part))()
	p.mu.Lock()
	defer p.mu.Unlock()
	if n, err = p.step(in, records, came); err != nil {
		return n, fmt.Errorf("%s/%d: %w", topic, part, err)
	}
	if n > 0 {
		x.mark(topic, part, records[:n])
		x.committer.took(n)
	}
	x.committer.worked(p.time.worked)
	p.time.worked = 0
	x.hurry(p)
	return n, nil
}

// tick goes on in time in one partition without a record, by what the brokers have answered.
func (x *incarnation) tick(p *partition, a *answers) (err error) {
	for done := false; !done && err == nil; {
		done, err = x.tickOnce(p, a)
	}
	return err
}

// tickOnce goes on until a commit may come between. Others are urged to make it only when all partitions have been ticked:
// what is due in one would wait for the commit of another.
func (x *incarnation) tickOnce(p *partition, a *answers) (done bool, err error) {
	x.barrier.RLock()
	defer x.barrier.RUnlock()
	defer x.failing(fmt.Sprintf("time of partition %d", p.number), &err)
	x.mu.Lock()
	active := x.active && x.parts[p.number] == p
	x.mu.Unlock()
	if !active || x.failure() != nil {
		return true, nil
	}
	defer x.deadline(fmt.Sprintf("what is due in partition %d", p.number))()
	p.mu.Lock()
	defer p.mu.Unlock()
	if done, err = p.tick(a); err != nil {
		return done, err
	}
	if due := p.time.worked > 0; due || p.announce(x.runner.now()) {
		x.committer.worked(max(1, p.time.worked))
		p.time.worked = 0
		a.urgent, a.due = true, a.due || due
	}
	if !done {
		x.urge(a)
	}
	return done, nil
}

// urge has committed what the ticks with these answers have brought.
func (x *incarnation) urge(a *answers) {
	if a.urgent {
		x.committer.urge(a.due)
	}
	a.urgent, a.due = false, false
}

// failing makes a panic an error, and has the incarnation fail by any error before the barrier opens: what was stepped so
// far is in the transaction, but not its offsets.
func (x *incarnation) failing(what string, err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("%s: panic: %v", what, p)
	}
	if *err != nil {
		x.fail(*err)
	}
}

// mark notes that the running transaction has taken records in.
func (x *incarnation) mark(topic string, part int32, records []*sarama.ConsumerMessage) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.marks[topicPartition{topic, part}] = records[len(records)-1].Offset + 1
}

// commit ends the running transaction: state, offsets and, with exactly_once, outputs become visible together. After
// an error the outcome is unknown and the incarnation must end.
func (x *incarnation) commit() error {
	x.barrier.Lock()
	defer x.barrier.Unlock()
	return x.commitLocked()
}

// finish commits for the last time in a session: nothing is stepped after it.
func (x *incarnation) finish() error {
	x.barrier.Lock()
	defer x.barrier.Unlock()
	err := x.commitLocked()
	x.mu.Lock()
	x.active = false
	x.mu.Unlock()
	return err
}

func (x *incarnation) commitLocked() error {
	start := time.Now()
	x.mu.Lock()
	failed, active := x.failed, x.active
	stores := append([]*store(nil), x.closing...)
	for _, st := range x.stores {
		stores = append(stores, st)
	}
	parts := make([]*partition, 0, len(x.parts))
	for _, p := range x.parts {
		parts = append(parts, p)
	}
	offsets := x.offsets()
	x.mu.Unlock()
	if failed != nil {
		return failed
	}
	announcing := x.announcing(parts, offsets)
	if !active || len(offsets) == 0 {
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
	m := x.member
	if fault("fencing") {
		m = member{group: m.group, generation: -1}
	}
	if err := x.journal.commit(ctx, offsets, m, x.tail(announcing), x.failure); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	x.settle(parts, offsets, announcing)
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
	x.runner.purge(offsets)
	x.runner.committed(n, time.Since(start))
	return nil
}

// offsets are what is to be committed: behind what was taken in, but not behind a record that waits.
func (x *incarnation) offsets() map[topicPartition]int64 {
	out := maps.Clone(x.marks)
	for n, p := range x.parts {
		for _, s := range p.inputs {
			if !s.clock.known {
				continue
			}
			tp := topicPartition{s.Topic, n}
			if at := s.clock.commitable(); at != s.clock.committed && !fault("barrier") || len(s.clock.holds) > 0 && out[tp] > at {
				out[tp] = at
			}
		}
	}
	return out
}

// announcing makes the progress of the partitions that have some to tell. What has no offset to commit beside it commits
// where it stands, so that the group's generation fences it.
func (x *incarnation) announcing(parts []*partition, offsets map[topicPartition]int64) map[*partition]*progress {
	plan := x.runner.plan
	if x.runner.board == nil || !plan.Stateful && !plan.Announces {
		return nil
	}
	out := map[*partition]*progress{}
	now := x.runner.now()
	for _, p := range parts {
		if a := p.telling(now, offsets); a != nil {
			out[p] = a
		}
	}
	return out
}

// telling gives the partition's progress if it has some to tell, and adds the offsets that go with it. The barrier keeps
// steps off, and the lock those who look without it.
func (p *partition) telling(now time.Time, offsets map[topicPartition]int64) *progress {
	p.mu.Lock()
	defer p.mu.Unlock()
	due := p.announce(now) || p.time.unsaid
	for _, s := range p.inputs {
		_, ok := offsets[topicPartition{s.Topic, p.number}]
		due = due || ok
	}
	if !due {
		return nil
	}
	for _, s := range p.inputs {
		tp := topicPartition{s.Topic, p.number}
		if _, ok := offsets[tp]; !ok && s.clock.known {
			offsets[tp] = s.clock.commitable()
		}
	}
	return p.progress()
}

// tail gives the progress records of a commit, once everything before them is acknowledged; nil for none.
func (x *incarnation) tail(announcing map[*partition]*progress) func() ([]*kgo.Record, error) {
	if len(announcing) == 0 {
		return nil
	}
	topic := Progress(x.runner.options.App)
	return func() ([]*kgo.Record, error) {
		rs := make([]*kgo.Record, 0, len(announcing))
		for p, a := range announcing {
			a.Written = p.wrote()
			r, err := a.record(topic, x.runner.partitionsOf(topic))
			if err != nil {
				return nil, err
			}
			rs = append(rs, r)
		}
		return rs, nil
	}
}

// settle notes what was committed.
func (x *incarnation) settle(parts []*partition, offsets map[topicPartition]int64, announcing map[*partition]*progress) {
	x.mu.Lock()
	x.marks = map[topicPartition]int64{}
	x.mu.Unlock()
	now := x.runner.now()
	for _, p := range parts {
		p.settle(offsets, announcing[p], now)
	}
}

// settle notes the offsets that were committed, and the progress, if there was some.
func (p *partition) settle(offsets map[topicPartition]int64, a *progress, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.inputs {
		if at, ok := offsets[topicPartition{s.Topic, p.number}]; ok {
			s.clock.settled(at)
		}
	}
	if a != nil {
		p.said(a, now)
		p.time.unsaid = false
	}
}
