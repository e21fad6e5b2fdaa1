package topologies

import (
	"context"
	"encoding/binary"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"
)

const (
	maxBatch = 1024 // records of one batch; sarama's channel holds as many
	// A partition's input counts as drained, although its log goes on, when its channel has been empty for a while: for a
	// moment when so little lies behind that it may be transaction markers, for long enough to fetch when it is a backlog.
	markers      = 8
	quietMarkers = 2 * time.Millisecond
	quietBacklog = 200 * time.Millisecond
)

// batch is what one carrier stands for: consecutive records of one partition, untouched.
type batch struct {
	claim   *claim
	records []*sarama.ConsumerMessage
	came    time.Time // by then, all of them had been fetched
}

// carriers hands batches to goka's callback: goka sees a message of eight bytes, the batch lies beside it.
type carriers struct {
	next    atomic.Uint64
	waiting sync.Map // uint64 -> *batch
}

var errCarrier = errors.New("carrier without a batch")

// Encode implements goka.Codec; goka never encodes a carrier.
func (c *carriers) Encode(any) ([]byte, error) { return nil, errCarrier }

// Decode implements goka.Codec. It must not panic: goka decodes before it counts the message as running, and its
// recover would end the process.
func (c *carriers) Decode(b []byte) (any, error) {
	if len(b) == 8 {
		if v, ok := c.waiting.LoadAndDelete(binary.BigEndian.Uint64(b)); ok {
			return v, nil
		}
	}
	return nil, errCarrier
}

// carry makes the message that stands for b. It has the batch's last offset, so that goka's statistics are right.
func (c *carriers) carry(b *batch) (*sarama.ConsumerMessage, uint64) {
	id := c.next.Add(1)
	last := b.records[len(b.records)-1]
	c.waiting.Store(id, b)
	return &sarama.ConsumerMessage{
		Topic: last.Topic, Partition: last.Partition, Offset: last.Offset, Timestamp: b.records[0].Timestamp,
		Value: binary.BigEndian.AppendUint64(nil, id),
	}, id
}

// claim wraps sarama's claim of one partition: Messages is ours.
type claim struct {
	sarama.ConsumerGroupClaim
	run    *incarnation
	in     *Input
	step   *stepper
	out    chan *sarama.ConsumerMessage
	behind atomic.Bool // records wait behind what was handed over
	gap    int64       // offsets behind what was handed over, as of the last fetch; the pump's own
	seen   int         // records that waited in sarama's channel at seenAt, while a batch could not be handed over
	seenAt time.Time
}

// Messages implements sarama.ConsumerGroupClaim: carriers, not records.
func (c *claim) Messages() <-chan *sarama.ConsumerMessage { return c.out }

// pump cuts the partition's records into batches until the session or the input ends. goka leaves a claim on its own
// when the session ends and then closes done, so that a send never hangs.
func (c *claim) pump(ctx context.Context, done <-chan struct{}) {
	defer close(c.out)
	input := c.ConsumerGroupClaim.Messages()
	idle := time.NewTimer(time.Hour)
	defer idle.Stop()
	var pending []*sarama.ConsumerMessage
	for {
		if len(pending) == 0 {
			m := c.await(input, idle, done)
			if m == nil {
				return
			}
			pending = append(make([]*sarama.ConsumerMessage, 0, min(len(input)+1, maxBatch)), m)
		}
		had := len(pending)
		pending = fill(pending, input)
		came := c.came(len(pending) - had + 1)
		n := c.run.runner.decoders.ready(c.in, pending)
		if n == 0 { // the registry must answer first; only this partition waits
			if err := c.run.runner.decoders.wait(ctx, c.in, pending[0]); err != nil {
				return
			}
			continue
		}
		b := &batch{claim: c, records: pending[:n:n], came: came}
		pending = append([]*sarama.ConsumerMessage(nil), pending[n:]...)
		c.gap = c.HighWaterMarkOffset() - b.records[n-1].Offset - 1
		c.behind.Store(len(pending) > 0 || len(input) > 0 || c.gap > 0)
		if !c.send(b, done) {
			return
		}
	}
}

// await waits for the next record; nil means that the claim is over. When none comes for a moment the input is
// drained, and the committer need not wait for more.
func (c *claim) await(input <-chan *sarama.ConsumerMessage, idle *time.Timer, done <-chan struct{}) *sarama.ConsumerMessage {
	if c.behind.Load() {
		quiet := quietBacklog
		if c.gap <= markers {
			quiet = quietMarkers
		}
		idle.Reset(quiet)
	}
	for {
		select {
		case <-done:
			return nil
		case m := <-input: // nil when closed
			return m
		case <-idle.C:
			c.behind.Store(false)
			c.run.committer.nudge()
		}
	}
}

func fill(pending []*sarama.ConsumerMessage, input <-chan *sarama.ConsumerMessage) []*sarama.ConsumerMessage {
	for len(pending) < maxBatch {
		select {
		case m := <-input:
			if m == nil { // closed: await finds out
				return pending
			}
			pending = append(pending, m)
		default:
			return pending
		}
	}
	return pending
}

// came is the moment by which the next n records at most had been fetched: now, unless they were seen to wait before. The
// silence of a source begins with it, and must not seem shorter because a commit was under way.
func (c *claim) came(n int) time.Time {
	known := n <= c.seen
	if c.seen = 0; known {
		return c.seenAt
	}
	return c.run.runner.now()
}

// fullPause is how long a claim that is held back waits until it looks again.
const fullPause = 5 * time.Millisecond

func (c *claim) send(b *batch, done <-chan struct{}) bool {
	for c.step.full.Load() {
		select {
		case <-done:
			return false
		case <-time.After(fullPause):
		}
	}
	m, id := c.run.carriers.carry(b)
	select {
	case c.out <- m:
		return true
	default:
	}
	look := time.NewTicker(fullPause)
	defer look.Stop()
	for {
		select {
		case c.out <- m:
			return true
		case <-look.C:
			if n := len(c.ConsumerGroupClaim.Messages()); n != c.seen {
				c.seen, c.seenAt = n, c.run.runner.now()
			}
		case <-done:
			c.run.carriers.waiting.Delete(id)
			return false
		}
	}
}
