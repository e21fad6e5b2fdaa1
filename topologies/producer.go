package topologies

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

// member is what fences a worker by its consumer group (KIP-447).
type member struct {
	group      string
	id         string
	instance   string
	generation int32
}

// producer writes a group's records and commits its offsets. Records of the transaction and, with at_least_once,
// records that go out at once have a client each.
type producer struct {
	txn      *kgo.Client
	now      *kgo.Client // nil: everything goes into the transaction
	id       string      // transactional id
	fail     func(error)
	ctx      context.Context // of every Produce
	options  *Options
	inTxn    atomic.Int64 // records produced into the running transaction
	implicit bool         // transactions v2: what is written in a transaction joins it without being added; the committer's own
	lost     atomic.Int64 // connections of the transactional client that were lost
	onFailed func(*kgo.Record, error)
}

// OnBrokerDisconnect implements kgo.HookBrokerDisconnect.
func (p *producer) OnBrokerDisconnect(kgo.BrokerMetadata, net.Conn) { p.lost.Add(1) }

// newProducer fences whoever held the transactional id before, ends its open transaction, and begins one. When
// producing ends, buffered records fail.
func newProducer(ctx, producing context.Context, o *Options, id string, fail func(error)) (*producer, error) {
	p := &producer{id: id, options: o, fail: fail, ctx: producing}
	p.onFailed = func(r *kgo.Record, err error) {
		if err != nil {
			p.fail(fmt.Errorf("produce to %s/%d: %w", r.Topic, r.Partition, err))
		}
	}
	if err := p.open(ctx); err != nil {
		p.close()
		return nil, err
	}
	var err error
	if o.Guarantee == AtLeastOnce {
		if p.now, err = kgo.NewClient(o.producerOptions()...); err != nil {
			p.close()
			return nil, fmt.Errorf("producer: %w", err)
		}
	}
	return p, nil
}

// byName are the versions of requests in which groups' offsets go by the names of topics; later ones take ids.
func byName() *kversion.Versions {
	v := kversion.Stable()
	v.SetMaxKeyVersion(int16(kmsg.OffsetCommit), 9)
	v.SetMaxKeyVersion(int16(kmsg.TxnOffsetCommit), 5)
	v.SetMaxKeyVersion(int16(kmsg.OffsetFetch), 9)
	return v
}

// transactionLinger lets batches fill. It delays nobody: records of a transaction are not visible before its end, and
// the commit's flush does not linger.
const transactionLinger = 50 * time.Millisecond

// open makes the transactional client, with a new epoch, and begins a transaction.
func (p *producer) open(ctx context.Context) (err error) {
	opts := append(p.options.producerOptions(), kgo.TransactionalID(p.id), kgo.TransactionTimeout(p.options.TransactionTimeout),
		kgo.MaxVersions(byName()), kgo.WithHooks(p),
		kgo.ProducerLinger(transactionLinger))
	if p.txn, err = kgo.NewClient(append(opts, faultTransactions()...)...); err != nil {
		return fmt.Errorf("transactional producer: %w", err)
	}
	if _, _, err := p.txn.ProducerID(ctx); err != nil {
		return fmt.Errorf("producer id of %s: %w", p.id, err)
	}
	if err := p.txn.BeginTransaction(); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	return nil
}

// add writes r in the running transaction. acked, if set, gets the record with its offset.
func (p *producer) add(r *kgo.Record, acked func(*kgo.Record)) {
	p.inTxn.Add(1)
	p.txn.Produce(p.ctx, r, p.promise(acked))
}

// emit writes a derived record as the guarantee says.
func (p *producer) emit(r *kgo.Record, acked func(*kgo.Record)) {
	if p.now == nil {
		p.add(r, acked)
		return
	}
	p.now.Produce(p.ctx, r, p.promise(acked))
}

func (p *producer) promise(acked func(*kgo.Record)) func(*kgo.Record, error) {
	if acked == nil {
		return p.onFailed
	}
	return func(r *kgo.Record, err error) {
		if err != nil {
			p.onFailed(r, err)
			return
		}
		acked(r)
	}
}

// commit waits for every acknowledgement, writes the records of tail after them, adds the offsets under the member's
// generation and ends the transaction. After an error its outcome is unknown: the caller must forget the state of the
// incarnation and begin a new one.
func (p *producer) commit(ctx context.Context, offsets map[topicPartition]int64, m member, tail func() ([]*kgo.Record, error), failed func() error) error {
	if p.now != nil {
		if err := p.now.Flush(ctx); err != nil {
			return fmt.Errorf("flush: %w", err)
		}
	}
	wrote := p.inTxn.Swap(0) > 0 || tail != nil
	if wrote {
		// Before the records: while the broker still writes the markers of the last transaction it refuses the next one,
		// and only this request is tried again within a millisecond. A refused produce costs a metadata refresh.
		if err := p.addOffsets(ctx, offsets, m); err != nil {
			return err
		}
	}
	if err := p.txn.Flush(ctx); err != nil {
		return fmt.Errorf("flush: %w", err)
	}
	if err := p.finish(ctx, tail, failed); err != nil {
		return err
	}
	if err := failed(); err != nil { // an acknowledgement was an error
		return err
	}
	if !wrote {
		// Nothing was written: the offsets alone are atomic, and the group's generation fences them.
		return p.commitOffsets(ctx, offsets, m)
	}
	return p.end(ctx)
}

// finish writes what has to know the offsets of everything before it.
func (p *producer) finish(ctx context.Context, tail func() ([]*kgo.Record, error), failed func() error) error {
	if tail == nil {
		return nil
	}
	if err := failed(); err != nil {
		return err
	}
	rs, err := tail()
	if err != nil {
		return err
	}
	for _, r := range rs {
		p.txn.Produce(p.ctx, r, p.onFailed)
	}
	if err := p.txn.Flush(ctx); err != nil {
		return fmt.Errorf("flush: %w", err)
	}
	return nil
}

// end ends the transaction and begins the next. With transactions v2 (KIP-890) each transaction has an epoch of its
// own, and an EndTxn that arrives late can not touch the next one. A broker without it keeps the epoch; there, after
// any lost connection, a new producer id epoch has to keep a late EndTxn off.
func (p *producer) end(ctx context.Context) error {
	lost := p.lost.Load()
	_, before, err := p.txn.ProducerID(ctx)
	if err != nil {
		return fmt.Errorf("producer id: %w", err)
	}
	if err := p.txn.EndTransaction(ctx, kgo.TryCommit); err != nil {
		return fmt.Errorf("end transaction: %w", err)
	}
	_, after, err := p.txn.ProducerID(ctx)
	if err != nil {
		return fmt.Errorf("producer id: %w", err)
	}
	p.implicit = before != after
	if before == after && p.lost.Load() != lost && !fault("endtxn") {
		p.txn.Close()
		return p.open(ctx)
	}
	if err := p.txn.BeginTransaction(); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	return nil
}

// addGroup makes the group's offsets part of the transaction that begins.
func (p *producer) addGroup(ctx context.Context, m member) error {
	id, epoch, err := p.txn.ProducerID(ctx)
	if err != nil {
		return fmt.Errorf("producer id: %w", err)
	}
	add := kmsg.NewPtrAddOffsetsToTxnRequest()
	add.TransactionalID, add.ProducerID, add.ProducerEpoch, add.Group = p.id, id, epoch, m.group
	err = retry(ctx, func() error {
		a, err := add.RequestWith(ctx, p.txn)
		if err != nil {
			return err
		}
		return kerr.ErrorForCode(a.ErrorCode)
	})
	if err != nil {
		return fmt.Errorf("add offsets to the transaction: %w", err)
	}
	return nil
}

// addOffsets writes the offsets in the transaction.
func (p *producer) addOffsets(ctx context.Context, offsets map[topicPartition]int64, m member) error {
	if !p.implicit {
		if err := p.addGroup(ctx, m); err != nil {
			return err
		}
	}
	id, epoch, err := p.txn.ProducerID(ctx)
	if err != nil {
		return fmt.Errorf("producer id: %w", err)
	}
	q := kmsg.NewPtrTxnOffsetCommitRequest()
	q.TransactionalID, q.Group, q.ProducerID, q.ProducerEpoch = p.id, m.group, id, epoch
	q.Generation, q.MemberID = m.generation, m.id
	if m.instance != "" {
		q.InstanceID = &m.instance
	}
	for topic, ps := range byTopic(offsets) {
		t := kmsg.NewTxnOffsetCommitRequestTopic()
		t.Topic = topic
		for part, off := range ps {
			x := kmsg.NewTxnOffsetCommitRequestTopicPartition()
			x.Partition, x.Offset = part, off
			t.Partitions = append(t.Partitions, x)
		}
		q.Topics = append(q.Topics, t)
	}
	err = retry(ctx, func() error {
		a, err := q.RequestWith(ctx, p.txn)
		if err != nil {
			return err
		}
		for _, t := range a.Topics {
			for _, x := range t.Partitions {
				if err := kerr.ErrorForCode(x.ErrorCode); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("commit offsets in the transaction: %w", err)
	}
	return nil
}

// commitOffsets commits offsets without a transaction.
func (p *producer) commitOffsets(ctx context.Context, offsets map[topicPartition]int64, m member) error {
	q := kmsg.NewPtrOffsetCommitRequest()
	q.Group, q.Generation, q.MemberID = m.group, m.generation, m.id
	if m.instance != "" {
		q.InstanceID = &m.instance
	}
	for topic, ps := range byTopic(offsets) {
		t := kmsg.NewOffsetCommitRequestTopic()
		t.Topic = topic
		for part, off := range ps {
			x := kmsg.NewOffsetCommitRequestTopicPartition()
			x.Partition, x.Offset = part, off
			t.Partitions = append(t.Partitions, x)
		}
		q.Topics = append(q.Topics, t)
	}
	err := retry(ctx, func() error {
		a, err := q.RequestWith(ctx, p.txn)
		if err != nil {
			return err
		}
		for _, t := range a.Topics {
			for _, x := range t.Partitions {
				if err := kerr.ErrorForCode(x.ErrorCode); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("commit offsets: %w", err)
	}
	return nil
}

// abort gives the running transaction up.
func (p *producer) abort(ctx context.Context) error {
	if err := p.txn.AbortBufferedRecords(ctx); err != nil {
		return fmt.Errorf("abort: %w", err)
	}
	if err := p.txn.EndTransaction(ctx, kgo.TryAbort); err != nil {
		return fmt.Errorf("abort: %w", err)
	}
	return nil
}

func (p *producer) close() {
	if p.txn != nil {
		p.txn.Close()
	}
	if p.now != nil {
		p.now.Close()
	}
}

func byTopic(offsets map[topicPartition]int64) map[string]map[int32]int64 {
	out := map[string]map[int32]int64{}
	for k, o := range offsets {
		if out[k.topic] == nil {
			out[k.topic] = map[int32]int64{}
		}
		out[k.topic][k.partition] = o
	}
	return out
}

// retry repeats f while the broker asks for it. CONCURRENT_TRANSACTIONS, which franz-go does not count among those
// errors, means that the end of a transaction is still being written: that is what InitProducerId answers when it has
// just aborted one.
func retry(ctx context.Context, f func() error) error {
	for wait := time.Millisecond; ; wait = min(2*wait, 100*time.Millisecond) {
		err := f()
		var ke *kerr.Error
		if err == nil || !errors.As(err, &ke) || !ke.Retriable && ke != kerr.ConcurrentTransactions {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(wait):
		}
	}
}
