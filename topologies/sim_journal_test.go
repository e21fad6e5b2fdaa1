package topologies

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
)

// simJournal is the journal on the simulated log: a producer whose records are on their way for a while.
type simJournal struct {
	sim      *simulation
	member   *simMember
	producer *simProducer
	epoch    int
	fail     func(error)
	dead     bool // its process has crashed: nothing of it reaches the log
	inTxn    int64

	mu     sync.Mutex // stores are flushed side by side
	queues map[topicPartition][]simQueued

	hung   chan simStep // a commit that hangs says so here
	resume chan struct{}
}

// simQueued is a record on its way.
type simQueued struct {
	record *kgo.Record
	acked  func(*kgo.Record)
	direct bool // no part of the transaction
}

// simStep is a place in a commit at which something may go wrong.
type simStep uint8

const (
	simBeforeOffsets simStep = iota
	simBeforeFlush
	simBeforeTail
	simAfterTail
	simBeforeEnd
	simAfterEnd
	simSteps
)

func (s simStep) String() string {
	return [...]string{"before the offsets", "before the flush", "between acknowledgements and progress", "after the progress", "before the end", "after the end"}[s]
}

// simFault is what goes wrong there.
type simFault uint8

const (
	simFails   simFault = iota + 1 // the request is an error, and does nothing
	simLost                        // of the end: it gets through later, or never
	simCrashes                     // the process ends
	simHangs                       // the process stops, and goes on later
	simFaults
)

func (f simFault) String() string {
	return [...]string{"", "fails", "gets lost", "crashes", "hangs"}[f]
}

func newSimJournal(m *simMember, fail func(error)) *simJournal {
	j := &simJournal{sim: m.sim, member: m, fail: fail, queues: map[topicPartition][]simQueued{}, hung: make(chan simStep), resume: make(chan struct{})}
	j.producer = m.sim.log.producer(m.runner.transactionalID())
	j.epoch = j.producer.epoch
	return j
}

func (j *simJournal) add(r *kgo.Record, acked func(*kgo.Record)) { j.queue(simQueued{r, acked, false}) }

func (j *simJournal) emit(r *kgo.Record, acked func(*kgo.Record)) {
	j.queue(simQueued{r, acked, j.sim.options.Guarantee == AtLeastOnce})
}

func (j *simJournal) queue(q simQueued) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if !q.direct {
		j.inTxn++
	}
	tp := topicPartition{q.record.Topic, q.record.Partition}
	j.queues[tp] = append(j.queues[tp], q)
}

func (j *simJournal) written() int64 { return j.inTxn }

// waiting lists the partitions to which records are on their way and whose broker answers.
func (j *simJournal) waiting() []topicPartition {
	return slices.SortedFunc(maps.Keys(j.queues), func(a, b topicPartition) int {
		return cmp.Or(strings.Compare(a.topic, b.topic), cmp.Compare(a.partition, b.partition))
	})
}

// deliver writes up to n records that are on their way to a partition.
func (j *simJournal) deliver(tp topicPartition, n int) error {
	q := j.queues[tp]
	n = min(n, len(q))
	for _, x := range q[:n] {
		var txn *simTxn
		if !x.direct {
			var err error
			if txn, err = j.sim.log.transaction(j.producer, j.epoch, j.member.group); err != nil {
				j.fail(err)
				return err
			}
		}
		j.sim.log.append(tp, x.record, txn)
		if x.acked != nil {
			x.acked(x.record)
		}
	}
	if j.queues[tp] = q[n:]; n == len(q) {
		delete(j.queues, tp)
	}
	return nil
}

// flush delivers everything, partition by partition in any order.
func (j *simJournal) flush() error {
	for len(j.queues) > 0 {
		tps := j.waiting()
		tp := tps[j.sim.chance.IntN(len(tps))]
		if j.sim.down(tp) {
			return fmt.Errorf("%w: flush: no answer", errSimFault)
		}
		if err := j.deliver(tp, 1+j.sim.chance.IntN(8)); err != nil {
			return err
		}
	}
	return nil
}

// at gives what goes wrong at a step.
func (j *simJournal) at(step simStep) error {
	f := j.sim.fault(j, step)
	switch f {
	case simHangs:
		j.late(step)
		j.hung <- step
		<-j.resume
	case simCrashes:
		j.dead = true
	case simLost:
		j.late(step)
		return fmt.Errorf("%w %v: no answer", errSimFault, step)
	case simFails:
		return fmt.Errorf("%w %v", errSimFault, step)
	default: // nothing
	}
	if j.dead {
		return fmt.Errorf("%w: crash %v", errSimFault, step)
	}
	return nil
}

// late has the end of the transaction on its way, whatever becomes of who sent it.
func (j *simJournal) late(step simStep) {
	if x := j.producer.open; x != nil && step == simBeforeEnd && j.producer.epoch == j.epoch {
		x.ending = true
	}
}

func (j *simJournal) commit(_ context.Context, offsets map[topicPartition]int64, m member, tail func() ([]*kgo.Record, error), failed func() error) error {
	wrote := j.inTxn > 0 || tail != nil
	j.inTxn = 0
	if err := j.at(simBeforeOffsets); err != nil {
		return err
	}
	if wrote {
		if err := j.addOffsets(offsets, m); err != nil {
			return err
		}
	}
	if err := j.at(simBeforeFlush); err != nil {
		return err
	}
	if err := j.flush(); err != nil {
		return err
	}
	if err := j.progress(tail, failed); err != nil {
		return err
	}
	if err := j.at(simBeforeEnd); err != nil {
		return err
	}
	if err := j.end(wrote, offsets, m); err != nil {
		return err
	}
	return j.at(simAfterEnd)
}

// progress writes the records that have to know the offsets of all others.
func (j *simJournal) progress(tail func() ([]*kgo.Record, error), failed func() error) error {
	if tail == nil {
		return failed()
	}
	if err := j.at(simBeforeTail); err != nil {
		return err
	}
	if err := failed(); err != nil {
		return err
	}
	rs, err := tail()
	if err != nil {
		return err
	}
	slices.SortFunc(rs, func(a, b *kgo.Record) int { return strings.Compare(string(a.Key), string(b.Key)) })
	for _, r := range rs {
		j.add(r, nil)
	}
	j.inTxn = 0
	if err := j.flush(); err != nil {
		return err
	}
	if err := j.at(simAfterTail); err != nil {
		return err
	}
	return failed()
}

// addOffsets puts the offsets into the transaction, if the member is one of the group's generation.
func (j *simJournal) addOffsets(offsets map[topicPartition]int64, m member) error {
	if err := j.member.group.admits(m); err != nil {
		return err
	}
	x, err := j.sim.log.transaction(j.producer, j.epoch, j.member.group)
	if err != nil {
		return err
	}
	maps.Copy(x.offsets, offsets)
	return nil
}

// end commits the transaction; without one it commits the offsets alone.
func (j *simJournal) end(wrote bool, offsets map[topicPartition]int64, m member) error {
	if !wrote {
		if err := j.member.group.admits(m); err != nil {
			return err
		}
		maps.Copy(j.member.group.offsets, offsets)
		return nil
	}
	x, err := j.sim.log.transaction(j.producer, j.epoch, j.member.group)
	if err != nil {
		return err
	}
	j.sim.log.decide(x, simCommitted)
	return nil
}

func (j *simJournal) abort(context.Context) error {
	clear(j.queues)
	if x := j.producer.open; x != nil && !j.dead && j.producer.epoch == j.epoch {
		j.sim.log.decide(x, simAborted)
	}
	return nil
}

func (j *simJournal) close() {}

func (j *simJournal) extent(_ context.Context, tp topicPartition) (id [16]byte, oldest, newest int64, err error) {
	return id, 0, j.sim.log.partition(tp).end(), nil
}

func (j *simJournal) readDecided(_ context.Context, tp topicPartition, from, to int64, apply func([]*kgo.Record, int64) error) error {
	j.settle(tp, to)
	p := j.sim.log.partition(tp)
	if p.stable() < to {
		return errors.New("simulation: a transaction is still open")
	}
	for from < to {
		es, next := p.read(from, to, 64)
		rs := make([]*kgo.Record, len(es))
		for i, e := range es {
			rs[i] = e.record
		}
		if err := apply(rs, next); err != nil {
			return err
		}
		from = next
	}
	return nil
}

// settle ends the open transactions of a partition: those of the group's former members at once, others' when the broker's
// patience with them ends.
func (j *simJournal) settle(tp topicPartition, to int64) {
	for _, x := range j.sim.log.partition(tp).open(to) {
		if x.producer == j.producer {
			continue
		}
		j.sim.note("%s ends the transaction of %s", j.producer.id, x.producer.id)
		j.sim.log.producer(x.producer.id)
	}
}

func (j *simJournal) positioned(_ context.Context, group string, partition int32) (bool, error) {
	for tp := range j.sim.groups[group].offsets {
		if tp.partition == partition {
			return true, nil
		}
	}
	return false, nil
}

func (j *simJournal) announced(_ context.Context, partition int32) error {
	tp := topicPartition{Progress(j.sim.options.App), partition}
	end := j.sim.log.partition(tp).end()
	j.settle(tp, end)
	return j.member.worker.follow(partition, end)
}
