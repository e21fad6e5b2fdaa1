package topologies

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kgo"
)

// simLog is Kafka in memory, as far as a worker can tell: partitions with transactions and their markers, and transactional
// ids with their epochs. One goroutine uses it.
type simLog struct {
	now       func() time.Time
	chance    *rand.Rand
	topics    map[string][]*simPartition
	producers map[string]*simProducer // by transactional id
	grown     int                     // records and markers so far
}

// simPartition is the log of one partition.
type simPartition struct {
	entries []simEntry
	decided int // every transaction below is
}

// simEntry is what lies at one offset.
type simEntry struct {
	record  *kgo.Record             // nil for a marker
	message *sarama.ConsumerMessage // the same, as consumers get it
	txn     *simTxn                 // nil: none
}

func (e *simEntry) visible() bool {
	return e.record != nil && (e.txn == nil || e.txn.outcome == simCommitted)
}

type simProducer struct {
	id    string
	epoch int
	open  *simTxn
}

// simTxn is a transaction from its first record or offset on.
type simTxn struct {
	producer *simProducer
	group    *simGroup
	began    time.Time
	wrote    []*simPartition
	offsets  map[topicPartition]int64
	outcome  simOutcome
	ending   bool // the request to commit it is on its way, and may get through before one to abort it
}

type simOutcome uint8

const (
	simOpen simOutcome = iota
	simCommitted
	simAborted
)

var (
	errSimFenced = errors.New("simulation: fenced")
	errSimFault  = errors.New("simulation: injected fault")
)

func newSimLog(now func() time.Time, chance *rand.Rand, topics []Topic) *simLog {
	l := &simLog{now: now, chance: chance, topics: map[string][]*simPartition{}, producers: map[string]*simProducer{}}
	for _, t := range topics {
		for range max(1, t.Partitions) {
			l.topics[t.Name] = append(l.topics[t.Name], &simPartition{})
		}
	}
	return l
}

func (l *simLog) partition(tp topicPartition) *simPartition { return l.topics[tp.topic][tp.partition] }

// append writes a record and gives it its offset.
func (l *simLog) append(tp topicPartition, r *kgo.Record, txn *simTxn) {
	p := l.partition(tp)
	r.Offset = int64(len(p.entries))
	m := &sarama.ConsumerMessage{Topic: tp.topic, Partition: tp.partition, Offset: r.Offset, Key: r.Key, Value: r.Value, Timestamp: r.Timestamp}
	for _, h := range r.Headers {
		m.Headers = append(m.Headers, &sarama.RecordHeader{Key: []byte(h.Key), Value: h.Value})
	}
	p.entries = append(p.entries, simEntry{record: r, message: m, txn: txn})
	l.grown++
	if txn != nil && !slices.Contains(txn.wrote, p) {
		txn.wrote = append(txn.wrote, p)
	}
}

// end is the high watermark.
func (p *simPartition) end() int64 { return int64(len(p.entries)) }

// stable is the last stable offset: every transaction below it is decided.
func (p *simPartition) stable() int64 {
	for p.decided < len(p.entries) {
		if x := p.entries[p.decided].txn; x != nil && x.outcome == simOpen {
			break
		}
		p.decided++
	}
	return int64(p.decided)
}

// read gives at most most committed records of [from, to) and the offset behind what was read; to is the last stable offset
// or less.
func (p *simPartition) read(from, to int64, most int) (out []*simEntry, next int64) {
	for next = from; next < to && len(out) < most; next++ {
		if e := &p.entries[next]; e.visible() {
			out = append(out, e)
		}
	}
	return out, next
}

// empty reports whether no record lies at from or beyond, as a broker and one fetch say it: open transactions are none of
// their silence.
func (p *simPartition) empty(from int64) bool {
	for i := from; i < p.end(); i++ {
		e := &p.entries[i]
		if e.visible() || e.txn != nil && e.txn.outcome == simOpen {
			return false
		}
	}
	return true
}

// open gives the transactions that are not decided and have records below to.
func (p *simPartition) open(to int64) (out []*simTxn) {
	for i := p.stable(); i < to; i++ {
		if x := p.entries[i].txn; x != nil && x.outcome == simOpen && !slices.Contains(out, x) {
			out = append(out, x)
		}
	}
	return out
}

// producer fences whoever had the transactional id, and ends its transaction.
func (l *simLog) producer(id string) *simProducer {
	p := l.producers[id]
	if p == nil {
		p = &simProducer{id: id}
		l.producers[id] = p
	}
	if p.open != nil {
		l.decide(p.open, simAborted)
	}
	p.epoch++
	return p
}

// transaction is the producer's open one; the first record or offset begins it.
func (l *simLog) transaction(p *simProducer, epoch int, g *simGroup) (*simTxn, error) {
	if p.epoch != epoch {
		return nil, fmt.Errorf("%w: %s has epoch %d, not %d", errSimFenced, p.id, p.epoch, epoch)
	}
	if p.open == nil {
		p.open = &simTxn{producer: p, group: g, began: l.now(), offsets: map[topicPartition]int64{}}
	}
	return p.open, nil
}

// decide ends a transaction: markers are written, and the group's offsets are those of a committed one.
func (l *simLog) decide(x *simTxn, o simOutcome) {
	if x.ending && l.chance.IntN(2) == 0 {
		o = simCommitted
	}
	x.outcome = o
	x.producer.open = nil
	for _, p := range x.wrote {
		p.entries = append(p.entries, simEntry{txn: x})
		l.grown++
	}
	if o == simCommitted {
		maps.Copy(x.group.offsets, x.offsets)
	}
}

// timeOut has the broker give up transactions that are open for longer than limit.
func (l *simLog) timeOut(limit time.Duration) (out []string) {
	for _, p := range l.producers {
		if p.open != nil && l.now().Sub(p.open.began) > limit {
			out = append(out, p.id)
		}
	}
	slices.Sort(out)
	for _, id := range out {
		l.producer(id)
	}
	return out
}

// names lists the transactional ids.
func (l *simLog) names() []string { return slices.Sorted(maps.Keys(l.producers)) }
