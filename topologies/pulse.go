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
	shortPulse    = 20 * time.Millisecond
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
		if a.quiet = l.ask(ctx, x.questions(a)); len(a.quiet) > 0 {
			x.runner.answer(a.sent)
		}
		for _, p := range x.partitions() {
			if err := x.tick(p, a); err != nil {
				return // the incarnation has failed
			}
		}
		x.urge(a)
		pause := x.pause(x.runner.now(), a.reached)
		x.asleep.Store(x.runner.now().Add(pause).UnixNano())
		timer.Reset(pause)
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			continue
		case <-x.wake:
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
	present int64                    // event time that the sources had reached, as far as the board showed it
	reached int64                    // what had been said of the source topics: see Worker.Reach
	asked   map[topicPartition]int64 // what the question is about: offsets up to which was taken in
	quiet   map[topicPartition]bool  // whether nothing lies beyond that; partitions whose broker did not answer are not there
	urgent  bool                     // the ticks so far have brought something that somebody waits for
	due     bool                     // and it is more than announcements
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

// questions notes the source partitions that the brokers have to be asked about now, and gives them.
func (x *incarnation) questions(a *answers) map[topicPartition]int64 {
	a.asked = map[topicPartition]int64{}
	for _, p := range x.partitions() {
		p.mu.Lock()
		want, before := p.want(), len(a.asked)
		for _, s := range p.inputs {
			if at := x.question(s, want, a.reached); !at.IsZero() && !at.After(a.sent) {
				a.ask(s, p.number)
			}
		}
		for _, s := range p.inputs { // inputs that were never heard of follow the others
			if c := s.clock.source; c != nil && c.idle && c.level < want && len(a.asked) > before {
				a.ask(s, p.number)
			}
		}
		p.mu.Unlock()
	}
	return a.asked
}

func (a *answers) ask(s *stepper, partition int32) {
	a.asked[topicPartition{s.Topic, partition}] = s.clock.taken
	s.clock.source.posed = a.sent
}

// question is when the broker has to be asked about an input next: when silence may have brought its time to the one that
// is wanted, and now and then, because an outage has to be noticed and readers want to hear something. The zero time means
// never.
func (x *incarnation) question(s *stepper, want, reached int64) (at time.Time) {
	c := s.clock.source
	switch {
	case c == nil || !s.clock.known || c.ended:
		return time.Time{}
	case reached > c.time:
		return c.posed.Add(shortPulse)
	case x.runner.options.Time == TimeEvents:
		return time.Time{}
	case c.heard.IsZero() || c.time == processors.Unknown:
		pause := longestPulse / 4
		if b := x.runner.board; b != nil && c.level < want && want <= b.present()-c.outOfOrder {
			pause = shortestPulse // it alone holds back what is due
		}
		return latest(c.since().Add(c.idleAfter), c.posed.Add(pause))
	}
	at = latest(c.posed, c.heard).Add(longestPulse)
	if soon := latest(c.reaches(want), c.posed.Add(shortPulse)); want > c.time && soon.Before(at) {
		return soon
	}
	return at
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// question is when the brokers have to be asked about some input of the partition next; the zero time means never.
func (p *partition) question(reached int64) (at time.Time) {
	want := p.want()
	for _, s := range p.inputs {
		if next := p.run.question(s, want, reached); at.IsZero() || !next.IsZero() && next.Before(at) {
			at = next
		}
	}
	return at
}

// pause is how long it is until somebody has to look at time again.
func (x *incarnation) pause(now time.Time, reached int64) time.Duration {
	pause := longestPulse
	if x.runner.options.Time == TimeEvents {
		pause = shortPulse // to notice how far sources have been filled
	}
	for _, p := range x.partitions() {
		p.mu.Lock()
		if at := p.question(reached); !at.IsZero() {
			pause = min(pause, at.Sub(now))
		}
		if p.time.pressing {
			pause = min(pause, announcePause/2)
		}
		p.mu.Unlock()
	}
	return max(shortestPulse, pause)
}

// hurry wakes the pulse if records have brought something that is due before it would look.
func (x *incarnation) hurry(p *partition) {
	at := p.question(x.runner.reached())
	if at.IsZero() || at.Add(shortestPulse).UnixNano() > x.asleep.Load() {
		return
	}
	select {
	case x.wake <- struct{}{}:
	default:
	}
}

// ask asks the brokers how far partitions go and says which of them hold nothing beyond what was taken in. It says nothing
// of partitions whose broker does not answer.
func (l *pulse) ask(ctx context.Context, questions map[topicPartition]int64) map[topicPartition]bool {
	if len(questions) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	quiet, open := map[topicPartition]bool{}, map[topicPartition]int64{}
	for tp, end := range l.ends(ctx, questions, false) {
		if quiet[tp] = end <= questions[tp] || end <= l.markers[tp]; !quiet[tp] {
			open[tp] = end
		}
	}
	for tp, stable := range l.ends(ctx, open, true) { // an open transaction is no silence
		quiet[tp] = stable >= open[tp] && l.nothing(ctx, tp, questions[tp], open[tp])
	}
	return quiet
}

// ends asks for the ends of partitions: their last stable offsets or their high watermarks.
func (l *pulse) ends(ctx context.Context, partitions map[topicPartition]int64, stable bool) map[topicPartition]int64 {
	if len(partitions) == 0 {
		return nil
	}
	q := kmsg.NewPtrListOffsetsRequest()
	if q.ReplicaID = -1; stable {
		q.IsolationLevel = 1
	}
	for topic, ps := range byTopic(partitions) {
		t := kmsg.NewListOffsetsRequestTopic()
		t.Topic = topic
		for part := range ps {
			p := kmsg.NewListOffsetsRequestTopicPartition()
			p.Partition, p.Timestamp = part, -1
			t.Partitions = append(t.Partitions, p)
		}
		q.Topics = append(q.Topics, t)
	}
	out := map[topicPartition]int64{}
	for _, shard := range l.run.runner.client.RequestSharded(ctx, q) {
		if shard.Err != nil {
			l.run.runner.logger.Debug("no answer about silent partitions", "error", shard.Err)
			continue
		}
		for _, t := range shard.Resp.(*kmsg.ListOffsetsResponse).Topics {
			for _, p := range t.Partitions {
				if kerr.ErrorForCode(p.ErrorCode) == nil {
					out[topicPartition{t.Topic, p.Partition}] = p.Offset
				}
			}
		}
	}
	return out
}

// nothing reports whether no record lies in [from, to): a transaction's marker takes an offset, too.
func (l *pulse) nothing(ctx context.Context, tp topicPartition, from, to int64) bool {
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
