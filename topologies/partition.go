package topologies

import (
	"errors"
	"fmt"
	"slices"
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

// partition steps the records of one partition number of a group. One goroutine uses it at a time, under the barrier.
type partition struct {
	run    *incarnation
	number int32
	store  *store // nil without state
	inputs []*stepper
	result processors.Result
	out    writer
	clock  int64 // wall clock of the batch, ms
	source source
	event  processors.Event
	counts counts
	limit  int // largest row of the changelog, bytes
}

// stepper is one input of a partition with the operators that its records go through.
type stepper struct {
	*Input
	record    schemas.Record
	operators []processors.Operator // by position in Rules
	counts    []*ruleCounts
	states    []processors.State
	moves     []*mover
	latest    int64 // largest event time

	// The decoder of the last record's schema id: records of one schema come in long runs.
	schemaID int32
	decoder  *decoder
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
	p.source.partition = p
	p.event.Source = &p.source
	operators := map[*rules.Rule]processors.Operator{} // one for all inputs of a rule: it takes up memory of its own state
	for _, in := range x.runner.plan.Inputs {
		s := &stepper{Input: in, record: in.Stream.Projection.New()}
		for _, u := range in.Rules {
			op := operators[u.Rule]
			if op == nil {
				var err error
				if op, err = processors.New(u.Rule); err != nil {
					return nil, err
				}
				operators[u.Rule] = op
			}
			s.operators = append(s.operators, op)
			s.states = append(s.states, &ruleState{st, op, u.Rule.ID})
			s.counts = append(s.counts, p.counts.rule(u.Rule))
		}
		for _, m := range in.Moves {
			s.moves = append(s.moves, newMover(m))
		}
		p.inputs = append(p.inputs, s)
	}
	return p, nil
}

// step processes records in their order. Its error concerns the worker; what is wrong with a record goes to the dead
// letters.
func (p *partition) step(in *Input, records []*sarama.ConsumerMessage) error {
	p.clock = time.Now().UnixMilli()
	s := p.stepper(in)
	for _, m := range records {
		if err := p.record(s, m); err != nil {
			return fmt.Errorf("offset %d: %w", m.Offset, err)
		}
	}
	p.counts.add(in, int64(len(records)))
	return nil
}

func (p *partition) stepper(in *Input) *stepper {
	for _, s := range p.inputs {
		if s.Input == in {
			return s
		}
	}
	return nil // not reached: every input of the group is there
}

// record processes one record.
func (p *partition) record(s *stepper, m *sarama.ConsumerMessage) error {
	if m.Value == nil && s.Stream.Tombstones == rules.TombstonesIgnore {
		return nil
	}
	if code, err := p.read(s, m); err != nil {
		if s.Guard {
			p.out.dead(deadLetter{topic: p.run.runner.deadTopic(s.Stream.Domain), stream: s.Stream, message: m, code: code, err: err, at: p.clock})
		}
		return nil
	}
	for i, op := range s.operators {
		if err := p.rule(s, i, op, m); err != nil {
			return err
		}
	}
	for _, mv := range s.moves {
		if err := p.move(s, mv, m); err != nil {
			return err
		}
	}
	return nil
}

// read decodes a record into the partition's event. The code names what is wrong with it, as the dead letter's.
func (p *partition) read(s *stepper, m *sarama.ConsumerMessage) (code string, err error) {
	if m.Value == nil {
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
	dec, body, err := s.decode(p.run.runner.decoders, m.Value)
	if err != nil {
		return deadCode(err), err
	}
	if s.Stream.Format == rules.FormatJSON {
		if body, err = s.Stream.Schema.FromJSON(m.Value); err != nil {
			return deadCode(err), err
		}
	}
	if err := dec.fields.Decode(body, s.record); err != nil {
		return deadCode(err), err
	}
	at := m.Timestamp.UnixMilli()
	if s.Stream.HasTime {
		ok := false
		if at, ok = s.Stream.TimeField.Int(s.record); !ok {
			return "null_time", fmt.Errorf("%s is null", s.Stream.Time)
		}
	}
	if at < 0 || at > maxTime {
		return "bad_time", fmt.Errorf("event time %d ms is outside the years 1970 to 9999", at)
	}
	if lead := at - p.clock; p.run.runner.options.WallClock && s.Stream.MaxLead > 0 && lead > s.Stream.MaxLead && !s.Rekeyed && s.Stream.Source {
		return "implausible_time", fmt.Errorf("event time is %v ahead of the wall clock; max_lead is %v", time.Duration(lead)*time.Millisecond, time.Duration(s.Stream.MaxLead)*time.Millisecond)
	}
	p.source.reset(s, m, dec, body, at)
	s.latest = max(s.latest, at)
	p.event.Record, p.event.Key, p.event.Time = s.record, p.source.key(), at
	return "", nil
}

// decode finds the decoder and the body of a value.
func (s *stepper) decode(d *decoders, value []byte) (*decoder, []byte, error) {
	if s.decoder != nil && len(value) >= schemas.FrameSize {
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

// rule runs one rule on the record that read has decoded. All of the step's outputs are encoded before anything of it
// is applied: a failing rule leaves no trace of the record, and the other rules are not touched.
func (p *partition) rule(s *stepper, i int, op processors.Operator, m *sarama.ConsumerMessage) error {
	u := s.Rules[i]
	p.event.Input = u.Input
	r := &p.result
	r.Reset()
	err := p.guarded(op, s.states[i], m, s)
	if err == nil {
		err = p.fits(u.Rule, r)
	}
	if err == nil {
		err = p.out.encode(p, s, u.Rule, r)
	}
	if err != nil {
		var bad *processors.StepError
		if !errors.As(err, &bad) {
			return err
		}
		s.counts[i].dead++
		s.counts[i].in++
		p.out.dead(deadLetter{topic: p.run.runner.ruleDeadTopic(u.Rule), stream: s.Stream, rule: u.Rule, message: m, code: bad.Code, err: bad.Err, at: p.clock})
		return nil
	}
	if p.store != nil {
		p.store.apply(r.Changes)
	}
	c := s.counts[i]
	c.in += int64(r.Looked)
	c.matched += int64(r.Matched)
	if !u.Rule.Shadow {
		c.out += int64(len(r.Outputs))
		p.out.send()
	}
	return nil
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
func (p *partition) guarded(op processors.Operator, st processors.State, m *sarama.ConsumerMessage, s *stepper) (err error) {
	defer func() {
		if x := recover(); x != nil {
			err = &processors.StepError{Rule: op.Rule().ID, Code: "panic", Err: fmt.Errorf("%v", x)}
		}
	}()
	if !s.Rekeyed && op.Rule().By != nil {
		if key, bad := p.misplaced(s, m); bad {
			return &processors.StepError{Rule: op.Rule().ID, Code: "wrong_partition", Err: fmt.Errorf("key %q belongs to partition %d under murmur2; declare `partitioner: any` for producers with another partitioner", key, schemas.Partition([]byte(key), p.run.runner.plan.Partitions))}
		}
	}
	return op.Step(st, &p.event, &p.result)
}

// misplaced reports whether the record lies in a partition that its key, or the key field that state goes by, does
// not hash to: the key's state is not here.
func (p *partition) misplaced(s *stepper, m *sarama.ConsumerMessage) (key string, bad bool) {
	n := p.run.runner.plan.Partitions
	if schemas.Partition([]byte(p.event.Key), n) != m.Partition {
		return p.event.Key, true
	}
	if !s.Stream.HasKey {
		return "", false
	}
	if s.Stream.KeyField.Type().Kind == schemas.String {
		key, _ = s.Stream.KeyField.String(s.record)
	} else {
		key = keyText(s.Stream.KeyField.Value(s.record))
	}
	return key, key != p.event.Key && schemas.Partition([]byte(key), n) != m.Partition
}

// stepCode is the dead letter's code for a failing rule.
func stepCode(err error) string {
	if e, ok := errors.AsType[*processors.StepError](err); ok {
		return e.Code
	}
	return "failed"
}

// outputTime is a time that no later output of the partition's rules is older than, as far as its inputs keep within
// their declared disorder: the least of the inputs' times. 0 promises nothing: an input has not been heard of yet.
func (p *partition) outputTime() int64 {
	least := int64(maxTime)
	for _, s := range p.inputs {
		least = min(least, s.latest-s.Stream.OutOfOrder)
	}
	return max(0, least)
}

// committed adds the partition's counts to the group's: what is counted has happened.
func (p *partition) committed() { p.run.runner.metrics.take(&p.counts) }
