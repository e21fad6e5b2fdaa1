package topologies

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/processors"
)

// The pulse of a group: how often time is looked at without a record, how often silent partitions are asked for at least,
// and how long an answer may take.
const (
	shortestPulse = 5 * time.Millisecond
	longestPulse  = 200 * time.Millisecond
	answerTimeout = time.Second
)

// pulse goes on in time in a group's partitions when no record does it: it asks the broker whether silent source
// partitions hold anything new, and looks at what other groups have announced.
type pulse struct {
	run     *incarnation
	markers map[topicPartition]int64 // only transaction markers lie between what was taken in and this offset
}

func newPulse(x *incarnation) *pulse {
	return &pulse{run: x, markers: map[topicPartition]int64{}}
}

// loop runs until ctx ends.
func (l *pulse) loop(ctx context.Context) {
	x := l.run
	if x.runner.board == nil || !x.runner.plan.Stateful && !x.runner.plan.Announces {
		return // no rule of the group, or behind it, has a time of its own
	}
	timer := time.NewTimer(longestPulse)
	defer timer.Stop()
	for ctx.Err() == nil {
		changed := x.runner.board.changed()
		a := x.asking()
		questions, next := x.questions(a)
		a.quiet = l.ask(ctx, questions)
		for _, p := range x.partitions() {
			if err := x.tick(p, a); err != nil {
				return // the incarnation has failed
			}
			p.mu.Lock()
			if p.time.pressing {
				next = min(next, announcePause/2)
			}
			p.mu.Unlock()
		}
		timer.Reset(max(shortestPulse, min(next, longestPulse)))
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			continue
		case <-changed:
		}
		select { // announcements come in swarms
		case <-ctx.Done():
			return
		case <-time.After(shortestPulse / 2):
		}
	}
}

// answers is what the brokers have said to one round of questions, and what was known when they were asked: what an answer
// proves is true of that moment only.
type answers struct {
	sent    time.Time
	present int64                   // event time that the sources had reached, as far as the board showed it
	reached int64                   // what had been said of the source topics: see Worker.Reach
	quiet   map[topicPartition]bool // nothing lies beyond what was taken in
}

// asking begins a round.
func (x *incarnation) asking() *answers {
	return &answers{sent: x.runner.now(), present: x.runner.board.present(), reached: x.runner.reached()}
}

func (x *incarnation) partitions() []*partition {
	x.mu.Lock()
	defer x.mu.Unlock()
	out := make([]*partition, 0, len(x.parts))
	for _, p := range x.parts {
		out = append(out, p)
	}
	return out
}

// questions gives the silent source partitions that the broker has to be asked about, with what was taken in of them, and
// how long it is to the next moment at which there may be some.
func (x *incarnation) questions(a *answers) (map[topicPartition]int64, time.Duration) {
	out, next := map[topicPartition]int64{}, longestPulse
	for _, p := range x.partitions() {
		p.mu.Lock()
		want := p.want()
		for _, s := range p.inputs {
			c := s.clock.source
			if c == nil || !s.clock.known || c.ended {
				continue
			}
			if reached := a.reached; reached > c.time || x.runner.options.Time == TimeEvents {
				if reached > c.time {
					out[topicPartition{s.Topic, p.number}] = s.clock.taken
				}
				next = min(next, 4*shortestPulse)
				continue
			}
			at := c.heard.Add(c.idleAfter)
			if idle := c.heard.IsZero() || c.time == processors.Unknown; !idle {
				if at = c.reaches(want); want == processors.Never || at.After(c.asked.Add(longestPulse)) {
					at = c.asked.Add(longestPulse) // an outage has to be noticed, and readers want to hear something
				}
			} else if !c.heard.IsZero() && c.asked.Add(longestPulse/4).After(at) {
				at = c.asked.Add(longestPulse / 4)
			}
			if wait := at.Sub(a.sent); wait > 0 {
				next = min(next, wait)
				continue
			}
			out[topicPartition{s.Topic, p.number}] = s.clock.taken
		}
		p.mu.Unlock()
	}
	return out, next
}

// ask asks the brokers for the last stable offsets of partitions and gives those that hold nothing beyond what was taken
// in. A broker that does not answer says nothing of its partitions.
func (l *pulse) ask(ctx context.Context, questions map[topicPartition]int64) map[topicPartition]bool {
	if len(questions) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	q := kmsg.NewPtrListOffsetsRequest()
	q.ReplicaID, q.IsolationLevel = -1, 1
	for topic, ps := range byTopic(questions) {
		t := kmsg.NewListOffsetsRequestTopic()
		t.Topic = topic
		for part := range ps {
			p := kmsg.NewListOffsetsRequestTopicPartition()
			p.Partition, p.Timestamp = part, -1
			t.Partitions = append(t.Partitions, p)
		}
		q.Topics = append(q.Topics, t)
	}
	quiet := map[topicPartition]bool{}
	for _, shard := range l.run.runner.client.RequestSharded(ctx, q) {
		if shard.Err != nil {
			l.run.runner.logger.Debug("no answer about silent partitions", "error", shard.Err)
			continue
		}
		for _, t := range shard.Resp.(*kmsg.ListOffsetsResponse).Topics {
			for _, p := range t.Partitions {
				tp := topicPartition{t.Topic, p.Partition}
				if kerr.ErrorForCode(p.ErrorCode) == nil && l.nothing(ctx, tp, questions[tp], p.Offset) {
					quiet[tp] = true
				}
			}
		}
	}
	return quiet
}

// nothing reports whether no record lies in [from, to): a transaction's marker takes an offset, too.
func (l *pulse) nothing(ctx context.Context, tp topicPartition, from, to int64) bool {
	if to <= from || l.markers[tp] >= to {
		return true
	}
	empty, err := l.run.runner.onlyMarkers(ctx, tp, max(from, l.markers[tp]), to)
	if err != nil {
		l.run.runner.logger.Debug("what lies between could not be read", "topic", tp.topic, "partition", tp.partition, "error", err)
		return false
	}
	if empty {
		l.markers[tp] = to
	}
	return empty
}

// onlyMarkers fetches once from the partition and reports whether what lies in [from, to) is transaction markers and
// records of transactions that were given up.
func (g *runner) onlyMarkers(ctx context.Context, tp topicPartition, from, to int64) (bool, error) {
	cl, err := kgo.NewClient(
		kgo.SeedBrokers(g.options.Brokers...), kgo.ClientID(g.options.App),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{tp.topic: {tp.partition: kgo.NewOffset().At(from)}}),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(), kgo.FetchMaxWait(50*time.Millisecond),
		kgo.FetchMaxPartitionBytes(64<<10),
	)
	if err != nil {
		return false, err
	}
	defer cl.Close()
	for from < to {
		fs := cl.PollFetches(ctx)
		if err := ctx.Err(); err != nil {
			return false, err
		}
		if errs := fs.Errors(); len(errs) > 0 {
			return false, errs[0].Err
		}
		for _, r := range fs.Records() {
			if r.Offset >= to {
				return true, nil
			}
			if !r.Attrs.IsControl() {
				return false, nil
			}
			from = r.Offset + 1
		}
	}
	return true, nil
}
