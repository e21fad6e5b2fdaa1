package processors

import (
	"errors"
	"slices"
	"testing"
	"testing/fstest"

	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/schemas"
)

// player runs one rule over the records of one partition as the runtime does: a Task says what is due and what runs, and
// changes are applied when a step has succeeded.
type player struct {
	t       testing.TB
	rule    *rules.Rule
	op      Operator
	task    *Task
	rows    map[string]*Row
	key     []byte     // scratch
	read    int        // records read so far
	waiting []*offered // read and not yet run, in the order of reading
	played  []played
	late    int
	partly  int
	doubles int
	matched int
	missing int
	fired   int      // rows
	dead    []string // codes
	vain    bool     // every step is made in vain once, before it is made

	quiet   bool // outputs are not kept
	count   bool // what is written is counted
	written int  // bytes of changed rows
	scratch []byte
	result  Result
}

// played is an output, and how many records had been read when it came.
type played struct {
	Output
	Fields map[string]any
	After  int
	Early  bool // it came with a deadline, before the next record
}

// offered is a record in its place.
type offered struct {
	*Event
	position Position
}

func newPlayer(t testing.TB, rule *rules.Rule) *player {
	op, err := New(rule)
	if err != nil {
		t.Fatal(err)
	}
	p := &player{t: t, rule: rule, op: op, rows: map[string]*Row{}}
	p.task = NewTask(op, p.sources())
	return p
}

func (p *player) sources() []bool {
	out := make([]bool, len(p.rule.Inputs))
	for i := range out {
		out[i] = true
	}
	return out
}

// Row implements State.
func (p *player) Row(entity, cell string) (*Row, error) {
	p.key = append(append(append(append(append(p.key[:0], entity...), 0), p.rule.ID...), 0), cell...)
	row := p.rows[string(p.key)]
	if row == nil {
		row = &Row{Key: string(p.key)}
		p.rows[row.Key] = row
	}
	return row, nil
}

// record takes in the next record of the partition.
func (p *player) record(e *Event) {
	p.read++
	p.offer(&offered{e, Position{Time: e.Time, Input: e.Input, Offset: int64(p.read)}}, false)
}

func (p *player) offer(x *offered, reread bool) {
	switch v := p.task.Offer(&x.position, reread, x); v {
	case Run:
		p.step(x, p.task.Frontier())
	case Wait:
		p.waiting = append(p.waiting, x)
	case Skip:
		if !reread {
			p.t.Fatalf("the record at %d is skipped", x.Time)
		}
	}
}

// due sets the time of an input and does what is due.
func (p *player) due(input int, at int64) {
	p.task.SetTime(input, at)
	var due Due
	for p.task.Next(&due) {
		if due.Row == nil {
			p.step(due.Record.Ref.(*offered), due.At)
		} else {
			p.fire(due.Row, due.At)
		}
	}
}

func (p *player) step(x *offered, clock int64) {
	for i, w := range p.waiting {
		if w == x {
			p.waiting = append(p.waiting[:i:i], p.waiting[i+1:]...)
			break
		}
	}
	x.Clock = clock
	r := &p.result
	if r.Reset(); p.vain {
		_ = p.op.Step(p, x.Event, r)
		r.Reset()
	}
	if err := p.op.Step(p, x.Event, r); err != nil {
		bad, ok := errors.AsType[*StepError](err)
		if !ok {
			p.t.Fatal(err)
		}
		p.dead = append(p.dead, bad.Code)
		return
	}
	p.apply(r)
	p.late, p.partly, p.doubles, p.matched, p.missing = p.late+r.Late, p.partly+r.Partly, p.doubles+r.Duplicates, p.matched+r.Matched, p.missing+r.Missing
	p.keep(r)
}

func (p *player) fire(row *Row, at int64) {
	r := &p.result
	if r.Reset(); p.vain {
		_ = p.op.(Timed).Fire(p, row, at, r)
		r.Reset()
	}
	if err := p.op.(Timed).Fire(p, row, at, r); err != nil {
		p.t.Fatal(err)
	}
	p.apply(r)
	p.task.FiredRow(row, at)
	p.fired++
	before := len(p.played)
	p.keep(r)
	for i := range p.played[before:] {
		p.played[before+i].Early = true
	}
}

func (p *player) apply(r *Result) {
	for i := range r.Changes {
		r.Changes[i].Apply()
	}
	p.task.Applied(r.Changes)
	for i := range r.Changes {
		if row := r.Changes[i].Row; p.count && !r.Changes[i].Kept {
			p.written += len(row.Key)
			if row.Value != nil {
				p.scratch = row.Value.Append(p.scratch[:0])
				p.written += len(p.scratch)
			}
		}
	}
}

// keep keeps the outputs, which are good until the next step, as long as the test runs.
func (p *player) keep(r *Result) {
	if p.quiet {
		return
	}
	for _, o := range r.Outputs {
		x := played{Output: o, Fields: map[string]any{}, After: p.read}
		fields := o.Stream.Schema.Type().Fields
		for i := range o.Fields { // a deletion has none
			x.Fields[fields[i].Name] = o.Fields[i]
		}
		p.played = append(p.played, x)
	}
}

// restart hands the partition over: only what a commit would have written is left.
func (p *player) restart() {
	if !p.task.Divisible() {
		p.t.Fatal("a deadline is half fired")
	}
	state, times := p.task.State(), make([]int64, len(p.rule.Inputs))
	for i := range times {
		if times[i] = p.task.Time(i); times[i] != Unknown && times[i] != Ended {
			times[i] += p.task.delay
		}
	}
	op, err := New(p.rule)
	if err != nil {
		p.t.Fatal(err)
	}
	rows := p.rows
	p.op, p.task, p.rows = op, NewTask(op, p.sources()), map[string]*Row{}
	p.task.Restore(state)
	for key, row := range rows {
		if row.Value == nil {
			continue
		}
		b := row.Value.Append(nil)
		if n := row.Value.Size(); len(b) > n {
			p.t.Fatalf("%d bytes, Size says %d", len(b), n)
		}
		cell, err := op.Decode(b)
		if err != nil || cell == nil {
			p.t.Fatalf("the cell %q: %v, %v", key, cell, err)
		}
		p.rows[key] = &Row{Key: key, Value: cell}
		p.task.Restored(p.rows[key])
	}
	again := p.waiting
	p.waiting = nil
	for _, x := range again {
		p.offer(x, true)
	}
	for i, at := range times {
		p.due(i, at)
	}
}

// left counts the cells that hold something.
func (p *player) left() int {
	n := 0
	for _, row := range p.rows {
		if row.Value != nil {
			n++
		}
	}
	return n
}

// load compiles the one rule of a rule file over streams and schemas that are given as text.
func load(schemaTexts map[string]string, streams, body string) (*rules.Rule, error) {
	set, err := loadSet(schemaTexts, streams, body)
	if err != nil {
		return nil, err
	}
	own := slices.IndexFunc(set.Rules, func(r *rules.Rule) bool { return r.Kind != rules.Keeping })
	return set.Rules[own], nil
}

// loadSet compiles rules of the domain case.
func loadSet(schemaTexts map[string]string, streams, body string) (*rules.Set, error) {
	files := fstest.MapFS{}
	for name, text := range schemaTexts {
		files[name] = &fstest.MapFile{Data: []byte(text)}
	}
	catalog, err := schemas.LoadCatalog(files)
	if err != nil {
		return nil, err
	}
	return rules.Load(fstest.MapFS{
		"case/streams.yaml": {Data: []byte(streams)},
		"case/rules.yaml":   {Data: []byte(body)},
	}, rules.Options{Catalog: catalog})
}

// codec makes events of values, as records come: encoded by the stream's schema and decoded into what rules read.
type codec struct {
	rule     *rules.Rule
	encoders []*schemas.Encoder
	decoders []*schemas.Decoder
}

func newCodec(rule *rules.Rule) (*codec, error) {
	c := &codec{rule: rule}
	for _, in := range rule.Inputs {
		enc, err := schemas.NewEncoder(in.Stream.Schema)
		if err != nil {
			return nil, err
		}
		dec, err := in.Stream.Projection.Decoder(in.Stream.Schema)
		if err != nil {
			return nil, err
		}
		c.encoders, c.decoders = append(c.encoders, enc), append(c.decoders, dec)
	}
	return c, nil
}

// event encodes and decodes the fields of a record of an input.
func (c *codec) event(input int, fields []any, context schemas.Context) (*Event, error) {
	s := c.rule.Inputs[input].Stream
	b, err := c.encoders[input].Append(nil, fields)
	if err != nil {
		return nil, err
	}
	e := &Event{Input: input, Record: s.Projection.New(), Source: (*fixed)(&context)}
	if err := c.decoders[input].Decode(b, e.Record); err != nil {
		return nil, err
	}
	e.Key, e.Time = context.Entity, context.OccurredAt
	if s.HasTime {
		e.Time, _ = s.TimeField.Int(e.Record)
	}
	return e, nil
}
