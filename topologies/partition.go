package topologies

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/IBM/sarama"

	"github.com/millrace-io/millrace/processors"
	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/schemas"
	"github.com/millrace-io/millrace/schemas/registry"
)

// maxTime is the last event time that is taken: the end of the year 9999.
const maxTime = 253402300799999

// partition steps the records of one partition number of a group. One goroutine uses it at a time: mu is held, and the
// barrier for reading; or the barrier for writing.
type partition struct {
	run    *incarnation
	number int32
	store  *store // nil without state
	inputs []*stepper
	tasks  []*ruleTask
	result processors.Result
	out    writer
	clock  int64   // wall clock of the batch, ms
	live   arrival // the record that was read
	held   arrival // a record that waited
	due    processors.Due
	spare  *holding // for the next record that has to wait
	counts counts
	limit  int // largest row of the changelog, bytes
	time   partitionTime

	overfull map[*rules.Rule]bool // detections that had too much to remember

	mu sync.Mutex
}

// stepper is one input of a partition with the operators that its records go through.
type stepper struct {
	*Input
	records   [2]schemas.Record     // of the live and the held arrival
	operators []processors.Operator // by position in Rules
	tasks     []*ruleTask           // the same, nil for rules without state
	counts    []*ruleCounts
	moves     []*mover
	clock     stepClock
	keeps     bool        // some rule takes it as a table, or it is moved for one that does
	heard     bool        // a record that moves time, or could have, has come in this batch
	awaited   bool        // some record waits for it
	full      atomic.Bool // enough waits already, and not for it: its claim pauses

	// The decoder of the last record's schema id: records of one schema come in long runs.
	schemaID int32
	decoder  *decoder
}

// ruleTask is a rule with state in this partition.
type ruleTask struct {
	*processors.Task
	rule   *rules.Rule
	op     processors.Operator
	state  *ruleState
	counts *ruleCounts
	inputs []*stepper // by position in the rule
	warmer processors.Warmer
	reads  int64 // what the warmer returned: so that its reads are made

	stood   int64 // the task's time when it was last seen to move, at stoodAt
	stoodAt time.Time
}

// ruleState is an operator's view of the store.
type ruleState struct {
	store *store
	op    processors.Operator
	id    string
}

// Row implements processors.State.
func (s *ruleState) Row(entity, cell string) (*processors.Row, error) {
	return s.store.row(s.op, s.id, entity, cell)
}

func newPartition(x *incarnation, number int32, st *store) (*partition, error) {
	p := &partition{run: x, number: number, store: st, counts: newCounts(x.runner.plan), limit: x.runner.limit(x.runner.plan.Table())}
	p.out = writer{run: x, counts: &p.counts}
	p.held.slot = 1
	for _, a := range []*arrival{&p.live, &p.held} {
		a.source.partition = p
		a.event.Source = &a.source
	}
	tasks := map[*rules.Rule]*ruleTask{} // one for all inputs of a rule: its operator takes up memory of its own state
	for _, in := range x.runner.plan.Inputs {
		s := &stepper{Input: in, records: [2]schemas.Record{in.Stream.Projection.New(), in.Stream.Projection.New()}}
		s.clock = newStepClock(in, x.runner.options)
		for _, u := range in.Rules {
			op, t := processors.Operator(nil), tasks[u.Rule]
			if t != nil {
				op = t.op
			} else {
				var err error
				if op, err = processors.New(u.Rule); err != nil {
					return nil, err
				}
				if u.Rule.By != nil {
					t = &ruleTask{Task: processors.NewTask(op, x.runner.plan.sources(u.Rule)), rule: u.Rule, op: op, state: &ruleState{st, op, u.Rule.ID}, counts: p.counts.rule(u.Rule), inputs: make([]*stepper, len(u.Rule.Inputs))}
					t.warmer, _ = op.(processors.Warmer)
					t.Large = cmp.Or(x.runner.options.large, t.Large)
					tasks[u.Rule] = t
					p.tasks = append(p.tasks, t)
				}
			}
			if t != nil {
				t.inputs[u.Input] = s
			}
			s.operators, s.tasks = append(s.operators, op), append(s.tasks, t)
			s.keeps = s.keeps || u.Rule.Keeps(u.Input)
			s.counts = append(s.counts, p.counts.rule(u.Rule))
		}
		for _, m := range in.Moves {
			s.moves = append(s.moves, newMover(m))
			s.keeps = s.keeps || m.keeps()
		}
		p.inputs = append(p.inputs, s)
	}
	return p, nil
}

// step processes records, which had come by the moment came, in their order and returns how many: fewer than given when so
// much fell due that a commit had better come between. Its error concerns the worker; what is wrong with a record goes to the dead letters.
func (p *partition) step(in *Input, records []*sarama.ConsumerMessage, came time.Time) (int, error) {
	now := p.hold()
	s := p.stepper(in.Topic)
	p.ahead(s, records)
	for i, m := range records {
		done, err := p.record(s, m)
		if err != nil {
			return i, fmt.Errorf("offset %d: %w", m.Offset, err)
		}
		if !done {
			p.counts.add(in, int64(i))
			return i, nil
		}
	}
	if s.heard { // what nobody can read does not end a silence
		s.clock.hear(came, now)
		s.heard = false
	}
	p.throttle()
	p.counts.add(in, int64(len(records)))
	return len(records), nil
}

// ahead has the rows read that the records need: those of their keys, which is what the rules of a group go by.
func (p *partition) ahead(s *stepper, records []*sarama.ConsumerMessage) {
	if len(records) < aheadLeast {
		return
	}
	for _, t := range s.tasks {
		if t == nil || t.warmer == nil {
			continue
		}
		var rows [processors.WarmMost]*processors.Row
		n := 0
		for _, m := range records[:min(len(records), len(rows))] {
			if r := p.store.peek(t.rule.ID, m.Key, t.warmer.Head()); r != nil {
				rows[n] = r
				n++
			}
		}
		t.reads += t.warmer.Warm(rows[:n])
	}
}

// aheadLeast is how many records are worth it.
const aheadLeast = 8

func (p *partition) stepper(topic string) *stepper {
	for _, s := range p.inputs {
		if s.Topic == topic {
			return s
		}
	}
	return nil // not reached: every input of the group is there
}

// record processes one record. It reports false when something that is due has to be finished first.
func (p *partition) record(s *stepper, m *sarama.ConsumerMessage) (done bool, err error) {
	reread := m.Offset < s.clock.taken
	defer func() {
		if done && err == nil {
			s.clock.took(m.Offset)
		}
	}()
	if m.Value == nil && s.Stream.Tombstones == rules.TombstonesIgnore && !s.keeps {
		return p.arrived(s, m)
	}
	code, err := p.read(&p.live, s, m)
	if err == nil && !reread {
		if code, err = p.plausible(s, p.live.event.Time); err != nil {
			s.clock.refuse(m.Offset)
		}
	}
	if err != nil {
		if s.Guard && !reread {
			p.out.dead(deadLetter{topic: p.run.runner.deadTopic(s.Stream.Domain), stream: s.Stream, message: m, code: code, err: err, at: p.clock})
		}
		return p.arrived(s, m)
	}
	if reread && s.clock.refused(m.Offset, p.live.event.Time) {
		return true, nil
	}
	if done, err := p.passed(s, p.live.event.Time); err != nil || !done {
		return done, err
	}
	s.heard = true
	if err := p.offer(s, m, reread); err != nil {
		return false, err
	}
	if !reread {
		for _, mv := range s.moves {
			if m.Value == nil && !mv.keeps() {
				continue
			}
			if err := p.move(s, mv, m); err != nil {
				return false, err
			}
		}
	}
	return p.arrived(s, m)
}

// offer gives the record that was read to the rules: those that keep their records in order may have it wait.
func (p *partition) offer(s *stepper, m *sarama.ConsumerMessage, reread bool) error {
	waits := &p.spare
	for i, op := range s.operators {
		t := s.tasks[i]
		if m.Value == nil && !s.Rules[i].keeps() {
			continue // a deletion is nothing to rules that take records for themselves
		}
		if t == nil {
			if !reread {
				if err := p.rule(s.Rules[i], nil, op, s.counts[i], &p.live); err != nil {
					return err
				}
			}
			continue
		}
		pos := p.live.position(s, s.Rules[i].Input)
		if *waits == nil {
			*waits = &holding{}
		}
		switch t.Offer(&pos, reread && !fault("reread"), *waits) {
		case processors.Wait:
			(*waits).tasks++
		case processors.Run:
			p.live.event.Clock = t.Frontier()
			if err := p.rule(s.Rules[i], t, op, s.counts[i], &p.live); err != nil {
				return err
			}
		case processors.Skip:
		}
	}
	if w := *waits; w != nil && w.tasks > 0 {
		w.stepper, w.message = s, m
		s.clock.hold(w)
		*waits = nil
	}
	return nil
}

// read decodes a record into an arrival. The code names what is wrong with it, as the dead letter's.
func (p *partition) read(a *arrival, s *stepper, m *sarama.ConsumerMessage) (code string, err error) {
	record := s.records[a.slot]
	if m.Value == nil && !s.keeps {
		return "null_value", errors.New("the value is null, and the stream is no table")
	}
	if len(m.Key) > processors.MaxKey {
		return "bad_key", fmt.Errorf("the key has %d bytes; %d are the most", len(m.Key), processors.MaxKey)
	}
	if !utf8.Valid(m.Key) {
		return "bad_key", errors.New("the key is no UTF-8")
	}
	if slices.Contains(m.Key, 0) {
		return "bad_key", errors.New("the key holds a NUL byte")
	}
	if m.Value == nil {
		return p.deletion(a, s, m)
	}
	dec, body, err := s.decode(p.run.runner.decoders, m.Value)
	if err != nil {
		return deadCode(err), err
	}
	if s.Stream.Format == rules.FormatJSON {
		if body, err = s.Stream.Schema.FromJSON(m.Value); err != nil {
			return deadCode(err), err
		}
	}
	if err := dec.fields.Decode(body, record); err != nil {
		return deadCode(err), err
	}
	at := m.Timestamp.UnixMilli()
	if s.Stream.HasTime {
		ok := false
		if at, ok = s.Stream.TimeField.Int(record); !ok {
			return "null_time", fmt.Errorf("%s is null", s.Stream.Time)
		}
	}
	return a.place(s, m, dec, body, record, at)
}

// plausible refuses an event time too far ahead of the wall clock: taken in, it would make everything after it late.
func (p *partition) plausible(s *stepper, at int64) (code string, err error) {
	if !p.run.runner.options.WallClock || s.Stream.MaxLead <= 0 || s.Rekeyed || !s.Stream.Source {
		return "", nil
	}
	if lead := at - p.clock; lead > s.Stream.MaxLead {
		return "implausible_time", fmt.Errorf("event time is %v ahead of the wall clock; max_lead is %v", time.Duration(lead)*time.Millisecond, time.Duration(s.Stream.MaxLead)*time.Millisecond)
	}
	return "", nil
}

// decode finds the decoder and the body of a value.
func (s *stepper) decode(d *decoders, value []byte) (*decoder, []byte, error) {
	if s.decoder != nil && s.Stream.Like == nil && len(value) >= schemas.FrameSize {
		if id, body, err := schemas.Frame(value); err == nil && id == s.schemaID {
			return s.decoder, body, nil
		}
	}
	dec, id, body, err := d.get(s.Stream, value)
	if err == nil && id > 0 {
		s.schemaID, s.decoder = id, dec
	}
	return dec, body, err
}

// deadCode is the dead letter's code for an error of package schemas or the registry.
func deadCode(err error) string {
	var frame *schemas.FramingError
	var compat *schemas.CompatibilityError
	var schema *schemas.SchemaError
	switch {
	case errors.As(err, &frame):
		return "bad_framing"
	case errors.As(err, &compat):
		return "incompatible_schema"
	case errors.As(err, &schema) || errors.Is(err, registry.ErrNotFound):
		return "unknown_schema"
	}
	return "undecodable"
}

// rule runs one rule on a record that read has decoded; t is nil for a rule without state. All of the step's outputs are
// encoded before anything of it is applied: a failing rule leaves no trace of the record, and other rules are not touched.
func (p *partition) rule(u use, t *ruleTask, op processors.Operator, c *ruleCounts, a *arrival) error {
	a.event.Input, a.source.input = u.Input, u.Input
	r := &p.result
	r.Reset()
	s, m := a.source.stepper, a.source.message
	err := p.guarded(op, t, a)
	if err == nil {
		err = p.fits(u.Rule, r)
	}
	if err == nil {
		err = p.out.encode(p, u.Rule, r, &a.source, p.promise(s, t))
	}
	if err != nil {
		var bad *processors.StepError
		if !errors.As(err, &bad) {
			return err
		}
		c.dead++
		c.in++
		p.out.dead(deadLetter{topic: p.run.runner.ruleDeadTopic(u.Rule), stream: s.Stream, rule: u.Rule, message: m, code: bad.Code, err: bad.Err, at: p.clock})
		return nil
	}
	p.applied(t, r)
	c.in += int64(r.Looked)
	c.matched += int64(r.Matched)
	c.duplicates += int64(r.Duplicates)
	c.partly += int64(r.Partly)
	c.missing += int64(r.Missing)
	p.dropped(u.Rule, c, r)
	if r.Late > 0 {
		c.late++
		if u.Rule.Late != nil && !u.Rule.Shadow && !u.keeps() {
			p.out.late(u.Rule.Late, m)
		}
	}
	p.sendOutputs(u.Rule, c, r)
	return nil
}

// dropped counts what a detection has given up because there was too much of it, and says so once.
func (p *partition) dropped(rule *rules.Rule, c *ruleCounts, r *processors.Result) {
	if r.Forgotten+r.Cut == 0 {
		return
	}
	c.forgotten += int64(r.Forgotten)
	c.cut += int64(r.Cut)
	if p.overfull[rule] {
		return
	}
	if p.overfull == nil {
		p.overfull = map[*rules.Rule]bool{}
	}
	p.overfull[rule] = true
	p.run.runner.logger.Warn("a detection has more to remember of a key than it may: the oldest partial matches, or matches beyond max_matches, are dropped and counted from here on",
		"rule", rule.ID, "partition", p.number, "partial_matches", r.Forgotten, "matches", r.Cut)
}

// applied makes a step's changes part of the state.
func (p *partition) applied(t *ruleTask, r *processors.Result) {
	if t == nil || len(r.Changes) == 0 {
		return
	}
	p.store.apply(r.Changes)
	t.Applied(r.Changes)
	p.time.worked++
	p.time.unsaid = true
}

func (p *partition) sendOutputs(rule *rules.Rule, c *ruleCounts, r *processors.Result) {
	if rule.Shadow {
		return
	}
	c.out += int64(len(r.Outputs))
	p.time.worked += len(r.Outputs)
	p.time.unsaid = p.time.unsaid || len(r.Outputs) > 0
	p.out.send()
}

// fits refuses changes that the changelog topic does not take.
func (p *partition) fits(rule *rules.Rule, r *processors.Result) error {
	for _, c := range r.Changes {
		if c.Value == nil {
			continue
		}
		if size := 32 + len(c.Row.Key) + c.Value.Size(); size > p.limit {
			return &processors.StepError{Rule: rule.ID, Code: "state_too_large", Err: fmt.Errorf("up to %d bytes for a row of %s, which takes %d", size, p.run.runner.plan.Table(), p.limit)}
		}
	}
	return nil
}

// guarded steps the operator; a panic in it is the record's fault, not the worker's end.
func (p *partition) guarded(op processors.Operator, t *ruleTask, a *arrival) (err error) {
	defer recovered(op, &err)
	var st processors.State
	if t != nil {
		st = t.state
		if !a.source.stepper.Rekeyed {
			if key, bad := p.misplaced(a); bad {
				return &processors.StepError{Rule: op.Rule().ID, Code: "wrong_partition", Err: fmt.Errorf("key %q belongs to partition %d under murmur2; declare `partitioner: any` for producers with another partitioner", key, schemas.Partition([]byte(key), p.run.runner.plan.Partitions))}
			}
		}
	}
	return op.Step(st, &a.event, &p.result)
}

// recovered makes a panic of an operator an error of its step.
func recovered(op processors.Operator, err *error) {
	if x := recover(); x != nil {
		*err = &processors.StepError{Rule: op.Rule().ID, Code: "panic", Err: fmt.Errorf("%v", x)}
	}
}

// misplaced reports whether the record lies in a partition that its key, or the key field that state goes by, does
// not hash to: the key's state is not here.
func (p *partition) misplaced(a *arrival) (key string, bad bool) {
	n, s, m := p.run.runner.plan.Partitions, a.source.stepper, a.source.message
	if schemas.Partition([]byte(a.event.Key), n) != m.Partition {
		return a.event.Key, true
	}
	if !s.Stream.HasKey || a.event.Record.IsNull() {
		return "", false
	}
	if s.Stream.KeyField.Type().Kind == schemas.String {
		key, _ = s.Stream.KeyField.String(a.event.Record)
	} else {
		key = keyText(s.Stream.KeyField.Value(a.event.Record))
	}
	return key, key != a.event.Key && schemas.Partition([]byte(key), n) != m.Partition
}

// stepCode is the dead letter's code for a failing rule.
func stepCode(err error) string {
	if e, ok := errors.AsType[*processors.StepError](err); ok {
		return e.Code
	}
	return "failed"
}

// committed adds the partition's counts to the group's: what is counted has happened.
func (p *partition) committed() { p.run.runner.metrics.take(&p.counts) }
