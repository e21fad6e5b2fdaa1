package topologies

import (
	"cmp"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"time"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/processors"
)

// partitionTime is what a partition knows and says of event time, beside its inputs' clocks.
type partitionTime struct {
	budget   int       // deadlines that may still be fired in this hold of the barrier
	worked   int       // outputs and changes since the last commit was asked for
	unsaid   bool      // some of them are not in a progress record yet
	pressing bool      // somebody waits for what was not said yet
	behind   bool      // something that is due was left for after a commit, or for after what is read again
	seen     int64     // changes of the board that were taken in
	wanted   int64     // earliest event time that readers of the partition's streams wait for
	since    time.Time // when the partition was taken over

	said     map[string]int64 // output times as last committed
	saidWant int64
	saidEnd  bool
	saidAt   time.Time
	taken    bool // others do not know yet that the partition, whose tables they may ask for, is here

	mu      sync.Mutex                 // acknowledgements come from the producer
	written map[string]map[int32]int64 // by topic: the offset behind the last record written
	acks    map[string]func(*kgo.Record)
}

// firingBudget is how many deadlines are fired before a commit may come between.
const firingBudget = 20_000

// acknowledge gives the function that takes the offsets of records written to a topic whose readers have to know them, nil
// for other topics.
func (t *partitionTime) acknowledge(x *incarnation, topic string) func(*kgo.Record) {
	if !x.runner.plan.Announces {
		return nil
	}
	if f := t.acks[topic]; f != nil {
		return f
	}
	if t.acks == nil {
		t.acks = map[string]func(*kgo.Record){}
	}
	f := func(r *kgo.Record) {
		t.mu.Lock()
		defer t.mu.Unlock()
		if t.written == nil {
			t.written = map[string]map[int32]int64{}
		}
		if t.written[topic] == nil {
			t.written[topic] = map[int32]int64{}
		}
		t.written[topic][r.Partition] = max(t.written[topic][r.Partition], r.Offset+1)
	}
	t.acks[topic] = f
	return f
}

// passed takes a record's event time in, before the record: what is due by then comes first. It reports false when a
// commit had better come before the rest.
func (p *partition) passed(s *stepper, at int64) (bool, error) {
	if moved := s.clock.source != nil && s.clock.source.record(at); !moved && !p.time.behind {
		return true, nil
	}
	return p.catchUp()
}

// arrived takes in what a record of an announced topic says of its writer, after the record.
func (p *partition) arrived(s *stepper, m *sarama.ConsumerMessage) (bool, error) {
	if s.clock.announced == nil {
		return true, nil
	}
	before := s.clock.at()
	if w, ok := writerOf(m); ok && w.OutputTime > 0 {
		s.clock.announced.record(writerID{w.Name, w.Partition}, w.OutputTime)
	}
	s.clock.announced.read(m.Offset + 1)
	if s.clock.at() == before && !p.time.behind {
		return true, nil
	}
	_, err := p.catchUp() // what is left is done before the next record
	return true, err
}

// catchUp tells the rules the times of their inputs, and does what is due. It reports false when the budget ends before.
func (p *partition) catchUp() (bool, error) {
	again := p.rereading()
	p.time.behind = true
	for _, t := range p.tasks {
		if t.Hold(again); again {
			continue // time stands still, too: what it would make due is not fired
		}
		for i, s := range t.inputs {
			t.SetTime(i, t.time(i, s))
		}
		for t.Next(&p.due) {
			if err := p.fall(t); err != nil {
				return false, err
			}
			if p.time.budget--; p.time.budget <= 0 && t.Divisible() {
				return false, nil
			}
		}
	}
	p.time.behind = again
	return true, nil
}

// time is the time of an input as the rule takes it: that of a table at rest is behind nobody's.
func (t *ruleTask) time(i int, s *stepper) int64 {
	at := s.clock.at()
	if !s.clock.resting() || !t.rule.Keeps(i) {
		return at
	}
	others := processors.Ended
	for _, x := range t.inputs {
		if !x.clock.resting() {
			others = processors.Slower(others, x.clock.at())
		}
	}
	if others == processors.Ended || others == processors.Unknown || processors.IsIdle(others) {
		return at
	}
	return max(at, others+1)
}

// rereading reports whether some input still reads what was taken in before: until then nothing may run that could sort
// after a record that waits.
func (p *partition) rereading() bool {
	for _, s := range p.inputs {
		if s.clock.rereading() {
			return true
		}
	}
	return false
}

// fall does the one thing that Next gave.
func (p *partition) fall(t *ruleTask) error {
	if p.due.Row != nil {
		return p.fire(t, p.due.Row, p.due.At)
	}
	w := p.due.Record.Ref.(*holding)
	if _, err := p.read(&p.held, w.stepper, w.message); err != nil {
		return fmt.Errorf("offset %d was readable and is not any more: %w", w.message.Offset, err)
	}
	w.tasks--
	p.held.event.Clock = p.due.At
	u := use{t.rule, p.due.Record.Position.Input}
	err := p.rule(u, t, t.op, t.counts, &p.held)
	w.stepper.clock.release()
	p.time.worked++ // the committed offset goes on
	return err
}

// fire fires a row's deadline. Results that can not be written are a dead letter without a record; time goes on.
func (p *partition) fire(t *ruleTask, row *processors.Row, at int64) error {
	if row.Gone {
		entity, cell, ok := splitRow(row.Key, t.rule.ID)
		if !ok {
			return fmt.Errorf("row %q is none of %s", row.Key, t.rule.ID)
		}
		var err error
		if row, err = t.state.Row(entity, cell); err != nil {
			return err
		}
		if !t.IsDue(row, at) {
			t.FiredRow(row, at)
			return nil
		}
	}
	err := p.fired(t, row, at, false)
	if bad, ok := asStepError(err); ok {
		entity, _, _ := splitRow(row.Key, t.rule.ID)
		t.counts.dead++
		p.out.dead(deadLetter{
			topic: p.run.runner.ruleDeadTopic(t.rule), stream: t.rule.Inputs[0].Stream, rule: t.rule, code: bad.Code,
			err:     fmt.Errorf("what is due at %s: %w", time.UnixMilli(at).UTC().Format(time.RFC3339), bad.Err),
			message: &sarama.ConsumerMessage{Topic: p.run.runner.plan.Table(), Partition: p.number, Offset: -1, Key: []byte(entity), Timestamp: timeOf(at)},
			at:      p.clock,
		})
		err = p.fired(t, row, at, true)
	}
	if err != nil {
		return err
	}
	t.FiredRow(row, at)
	return nil
}

// fired is one try at a deadline; mute makes the changes alone.
func (p *partition) fired(t *ruleTask, row *processors.Row, at int64, mute bool) error {
	r := &p.result
	r.Reset()
	r.Mute = mute
	err := func() (err error) {
		defer recovered(t.op, &err)
		return t.op.(processors.Timed).Fire(t.state, row, at, r)
	}()
	if err == nil {
		err = p.out.encode(p, t.rule, r, nil, p.promise(nil, t))
	}
	if err != nil {
		return err
	}
	p.applied(t, r)
	p.dropped(t.rule, t.counts, r)
	p.sendOutputs(t.rule, t.counts, r)
	return nil
}

// splitRow takes the entity and the cell out of a row's key.
func splitRow(key, rule string) (entity, cell string, ok bool) {
	entity, rest, ok := strings.Cut(key, "\x00")
	if !ok {
		return "", "", false
	}
	id, cell, ok := strings.Cut(rest, "\x00")
	return entity, cell, ok && id == rule
}

// promise is the output time of a writer: of the rule's task, or of the input of a rule without state.
func (p *partition) promise(s *stepper, t *ruleTask) int64 {
	if fault("output") {
		return p.clock
	}
	if t != nil {
		return t.OutputTime()
	}
	return s.clock.at()
}

// outputTimes are the promises of all writers of the partition, by name.
func (p *partition) outputTimes() map[string]int64 {
	out := map[string]int64{}
	least := func(name string, t int64) {
		if had, ok := out[name]; !ok || t < had {
			out[name] = t
		}
	}
	again := p.rereading()
	for _, t := range p.tasks {
		if out, ok := p.time.said[t.rule.ID]; again && ok {
			least(t.rule.ID, out) // what waits is not all here
			continue
		}
		least(t.rule.ID, p.promise(nil, t))
	}
	for _, s := range p.inputs {
		for i, u := range s.Rules {
			if s.tasks[i] == nil {
				least(writerName(u.Rule, s.Stream), p.promise(s, nil))
			}
		}
		for _, mv := range s.moves {
			least(mv.Name, s.clock.promise())
		}
	}
	return out
}

// ended reports whether the input was bounded and everything of it is processed.
func (p *partition) ended() bool {
	for _, s := range p.inputs {
		if s.clock.at() != processors.Ended {
			return false
		}
	}
	for _, t := range p.tasks {
		if t.Waiting() > 0 || t.Deadline() != processors.Never {
			return false
		}
	}
	return true
}

// want is the earliest event time that the partition's rules, or the readers of what they write, wait for.
func (p *partition) want() int64 {
	w := p.time.wanted
	for _, t := range p.tasks {
		w = min(w, t.Wanted())
	}
	return w
}

// look takes the board's news in: what the writers of the partition's inputs announce, and what its readers want.
func (p *partition) look(now time.Time) {
	b, plan := p.run.runner.board, p.run.runner.plan
	if b == nil {
		return
	}
	seen := p.time.seen
	p.time.seen = b.since(seen, func(gp groupPartition, a *progress) {
		for _, s := range p.inputs {
			if s.clock.announced != nil && len(s.clock.announced.groups[gp]) > 0 {
				s.clock.announced.progress(gp, a.Times, a.Ended, a.Written[s.Topic][p.number])
			}
		}
	})
	if p.time.seen != seen || seen == 0 {
		p.time.wanted = b.wanted(plan.Readers)
	}
	if p.time.since.IsZero() {
		p.time.since = now
	}
	if now.Sub(p.time.since) < p.run.runner.options.WaitForWriters {
		return
	}
	for _, s := range p.inputs {
		if s.clock.announced == nil {
			continue
		}
		for _, id := range s.clock.announced.leave() {
			p.run.runner.logger.Warn("a writer is taken as not running: nothing was heard of it", "writer", id.name, "partition", id.partition, "stream", s.Stream.Name, "wait", p.run.runner.options.WaitForWriters)
		}
	}
}

// announcePause is the time between two commits that are made for announcements alone: where records come, their commits
// bring them soon enough.
const announcePause = 20 * time.Millisecond

// announce decides whether a commit is needed for what the partition has to say: at once for a time that readers want, or
// one that it wants itself; and every second for whatever has changed.
func (p *partition) announce(now time.Time) (due bool) {
	plan := p.run.runner.plan
	if p.run.runner.board == nil || !plan.Announces && !plan.Stateful {
		return false
	}
	since := now.Sub(p.time.saidAt)
	moved := false
	moved, p.time.pressing = p.news()
	return p.time.pressing && since >= announcePause || moved && since >= time.Second
}

// news reports whether the partition has something to say that it has not said yet, and whether somebody waits for it.
func (p *partition) news() (moved, pressing bool) {
	if p.ended() != p.time.saidEnd {
		return true, true
	}
	moved = p.time.taken
	for name, t := range p.outputTimes() {
		said, ok := p.time.said[name]
		if ok && said == t {
			continue
		}
		moved = true
		if p.run.runner.plan.Announces && (!ok || processors.IsIdle(t) != processors.IsIdle(said) || p.wanted(said, t)) {
			return true, true
		}
	}
	if w := p.want(); w != p.time.saidWant {
		return true, w != processors.Never && p.listens() && (w < p.time.saidWant || p.time.saidWant <= p.slowest())
	}
	return moved, false
}

// wanted reports whether readers wait for a time that lies between two promises.
func (p *partition) wanted(said, now int64) bool {
	return processors.Level(said) < p.time.wanted && processors.Level(now) >= p.time.wanted
}

// listens reports whether some input's time is announced.
func (p *partition) listens() bool {
	for _, s := range p.inputs {
		if s.clock.announced != nil {
			return true
		}
	}
	return false
}

func (p *partition) slowest() int64 {
	least := processors.Ended
	for _, s := range p.inputs {
		least = min(least, processors.Level(s.clock.at()))
	}
	return least
}

// progress is what the partition says of itself in the commit that runs. Written is filled in when everything is
// acknowledged.
func (p *partition) progress() *progress {
	a := &progress{
		Version: progressVersion, Group: p.run.runner.plan.Name, Partition: p.number, Table: p.table(), Wanted: p.want(),
		Inputs: map[string]inputProgress{}, Tasks: map[string]taskProgress{},
	}
	if p.run.runner.plan.Announces {
		a.Times = p.outputTimes()
	}
	a.Ended = p.ended()
	if p.keeps() {
		a.Instance, a.Address = p.run.runner.options.Instance, p.run.runner.options.Address
	}
	for _, s := range p.inputs {
		a.Inputs[s.Topic] = s.clock.progress()
	}
	for _, t := range p.tasks {
		a.Tasks[t.rule.ID] = newTaskProgress(t.rule.Fingerprint, t.State())
	}
	return a
}

// wrote copies the offsets of what was written.
func (p *partition) wrote() map[string]map[int32]int64 {
	p.time.mu.Lock()
	defer p.time.mu.Unlock()
	out := map[string]map[int32]int64{}
	for topic, offsets := range p.time.written {
		out[topic] = maps.Clone(offsets)
	}
	return out
}

// said notes what was committed.
func (p *partition) said(a *progress, now time.Time) {
	p.time.said, p.time.saidWant, p.time.saidEnd, p.time.saidAt, p.time.taken = a.Times, a.Wanted, a.Ended, now, false
	if a.Times == nil {
		p.time.said = p.outputTimes() // nobody reads them: there is nothing to be held to
	}
}

// restore goes on where the partition's last owner stood.
func (p *partition) restore(a *progress) {
	p.time.saidWant, p.time.wanted, p.time.behind = processors.Never, processors.Never, true
	o := p.run.runner.options
	p.time.taken = p.keeps() && o.Instance != "" && (a == nil || a.Instance != o.Instance || a.Address != o.Address)
	if a == nil {
		return
	}
	p.time.said, p.time.written = a.Times, map[string]map[int32]int64{}
	for topic, offsets := range a.Written { // the board's are not ours to change
		p.time.written[topic] = maps.Clone(offsets)
	}
	if a.Table != p.table() { // the state was deleted, so that it is built anew
		p.run.runner.logger.Info("the table is another one: the partition begins without the time of the former one", "partition", p.number)
		p.time.said = nil
		return
	}
	for _, s := range p.inputs {
		if in, ok := a.Inputs[s.Topic]; ok {
			s.clock.restore(in, p.run.runner.lastAnswer())
		}
	}
	for _, t := range p.tasks {
		if state, ok := a.Tasks[t.rule.ID]; ok && state.State == t.rule.Fingerprint {
			t.Restore(state.state())
		}
	}
}

// table identifies the changelog topic that holds the partition's state, "" without state.
func (p *partition) table() string {
	if p.store == nil {
		return ""
	}
	return hex.EncodeToString(p.store.meta.topic[:])
}

// hold begins what is done in one hold of the barrier, and gives the moment.
func (p *partition) hold() time.Time {
	now := p.run.runner.now()
	p.clock, p.time.budget = now.UnixMilli(), cmp.Or(p.run.runner.options.firing, firingBudget)
	return now
}

// tick goes on in time without a record: by what the board says, and by proven silence of source partitions.
func (p *partition) tick(a *answers) (done bool, err error) {
	p.hold()
	p.heard(a, func(c *sourceClock) bool { return c.time != processors.Unknown })
	p.heard(a, func(c *sourceClock) bool { return c.time == processors.Unknown }) // these follow the others
	p.look(a.sent)
	p.stuck(a.sent)
	done, err = p.catchUp()
	p.throttle()
	return done, err
}

// heard takes in what was answered about some of the source partitions.
func (p *partition) heard(a *answers, some func(*sourceClock) bool) {
	for _, s := range p.inputs {
		c := s.clock.source
		if c == nil || !some(c) {
			continue
		}
		tp := topicPartition{s.Topic, p.number}
		if quiet, answered := a.quiet[tp]; quiet {
			p.silence(c, a)
		} else if _, asked := a.asked[tp]; asked && !answered {
			c.unanswered()
		}
		if c.time == processors.Unknown {
			continue
		}
		if p.run.runner.board != nil {
			p.run.runner.board.heard(s.Topic, c.time)
		}
		if a.quiet[tp] && s.clock.taken == a.asked[tp] { // the time is that of the moment of asking
			a.present = max(a.present, c.time+c.outOfOrder)
		}
	}
}

func (p *partition) silence(c *sourceClock, a *answers) {
	if a.reached >= 0 && a.reached <= maxTime {
		c.time = max(c.time, a.reached)
	}
	if p.run.runner.options.Time == TimeEvents {
		c.ended = a.reached == processors.Ended
		return
	}
	c.silent(a.sent, a.present)
}

// index registers the deadlines of everything that the store holds.
func (p *partition) index() error {
	ops, tasks := map[string]processors.Operator{}, map[string]*ruleTask{}
	for _, t := range p.tasks {
		if _, ok := t.op.(processors.Timed); ok {
			ops[t.rule.ID], tasks[t.rule.ID] = t.op, t
		}
	}
	if len(ops) == 0 || p.store == nil {
		return nil
	}
	return p.store.scan(ops, func(rule string, r *processors.Row) { tasks[rule].Restored(r) })
}

func asStepError(err error) (*processors.StepError, bool) {
	return errors.AsType[*processors.StepError](err)
}
