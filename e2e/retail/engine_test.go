package retail_test

import (
	"bytes"
	"cmp"
	"encoding/csv"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"

	"github.com/millrace-io/millrace/e2e/retail"
	"github.com/millrace-io/millrace/processors"
	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/schemas"
	"github.com/millrace-io/millrace/schemas/avsc"
)

// engine runs rules one after the other, each over all that its streams hold: in event time, in one partition.
type engine struct {
	set     *rules.Set
	enc     map[string]*schemas.Encoder
	records map[string][]arrival       // by stream, in the order in which they were written
	out     map[string][]retail.Record // by stream
	random  *rand.Rand
}

// arrival is a record as a rule gets it.
type arrival struct {
	value    []byte
	key      string
	position processors.Position // as far as the stream tells
}

func newEngine(t *testing.T) *engine {
	catalog, err := schemas.LoadCatalog(avsc.FS)
	if err != nil {
		t.Fatal(err)
	}
	set, err := rules.Load(os.DirFS(ruleFolder), rules.Options{Catalog: catalog})
	if err != nil {
		t.Fatal(err)
	}
	e := &engine{
		set: set, enc: map[string]*schemas.Encoder{}, records: map[string][]arrival{}, out: map[string][]retail.Record{},
		random: rand.New(rand.NewPCG(1, 2)),
	}
	for _, s := range set.Streams {
		if e.enc[s.Name], err = schemas.NewEncoder(s.Schema); err != nil {
			t.Fatal(err)
		}
	}
	return e
}

// feed writes the rows of a file to the feed's stream.
func (e *engine) feed(t *testing.T, file []byte) {
	feed, err := rules.LoadFeed(os.DirFS(dataFolder), "feed.yaml", e.set)
	if err != nil {
		t.Fatal(err)
	}
	lines, err := csv.NewReader(bytes.NewReader(file)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if err := feed.CheckHeader(lines[0]); err != nil {
		t.Fatal(err)
	}
	var env rules.Env
	for i, line := range lines[1:] {
		id := schemas.EventID("retail", strconv.Itoa(i))
		stream, fields, key, at, err := feed.Row(&env, line, id, 0)
		if err != nil || stream == nil {
			t.Fatalf("row %d: becomes %v, %v", i+1, stream, err)
		}
		e.write(t, stream, key, fields, processors.Position{Time: at, Stream: stream.Name, Key: key, Offset: int64(i), Event: id})
	}
}

// write encodes a record and keeps what a reader of its stream sees.
func (e *engine) write(t *testing.T, s *rules.Stream, key string, fields []any, p processors.Position) {
	value, err := e.enc[s.Name].Append(nil, fields)
	if err != nil {
		t.Fatalf("%s: %v", s.Name, err)
	}
	seen, err := s.Schema.DecodeAny(value)
	if err != nil {
		t.Fatalf("%s: %v", s.Name, err)
	}
	if seen["occurred_at"] != p.Time || seen[s.Key] != key {
		t.Fatalf("%s: key %q at %d, the event says %v at %v", s.Name, key, p.Time, seen[s.Key], seen["occurred_at"])
	}
	delete(seen, "lineage") // the largest part of an event, and no part of what is expected
	e.out[s.Name] = append(e.out[s.Name], retail.Record{Key: key, Fields: seen})
	e.records[s.Name] = append(e.records[s.Name], arrival{value, key, p})
}

// run runs every rule once those are done that write its streams.
func (e *engine) run(t *testing.T) {
	left := slices.Clone(e.set.Rules)
	for len(left) > 0 {
		before := len(left)
		left = slices.DeleteFunc(left, func(r *rules.Rule) bool {
			ready := !slices.ContainsFunc(r.Inputs, func(in rules.Input) bool { return writes(left, in.Stream) })
			if ready {
				e.runRule(t, r)
			}
			return ready
		})
		if len(left) == before {
			t.Fatalf("%d rules wait for each other", len(left))
		}
	}
}

func writes(of []*rules.Rule, s *rules.Stream) bool {
	return slices.ContainsFunc(of, func(r *rules.Rule) bool {
		return slices.ContainsFunc(r.Routes, func(rt rules.Route) bool { return rt.Stream == s })
	})
}

// hop is one rule while it runs.
type hop struct {
	*engine
	rule    *rules.Rule
	op      processors.Operator
	task    *processors.Task
	state   state
	inputs  []*input
	waiting map[int]waiting // by what the task calls them
	result  processors.Result
}

// input is one stream of a rule.
type input struct {
	decode *schemas.Decoder
	record schemas.Record
	source *schemas.ContextDecoder
}

// waiting is a record with its place in the order of a rule.
type waiting struct {
	arrival
	place processors.Position
}

func (e *engine) runRule(t *testing.T, rule *rules.Rule) {
	op, err := processors.New(rule)
	if err != nil {
		t.Fatal(err)
	}
	h := &hop{engine: e, rule: rule, op: op, state: state{}, waiting: map[int]waiting{}}
	var all []waiting
	var sources []bool
	for i, in := range rule.Inputs {
		x := &input{record: in.Stream.Projection.New()}
		if x.decode, err = in.Stream.Projection.Decoder(in.Stream.Schema); err != nil {
			t.Fatal(err)
		}
		if x.source, err = schemas.NewContextDecoder(in.Stream.Schema); err != nil {
			t.Fatal(err)
		}
		h.inputs = append(h.inputs, x)
		moved := rule.By != nil && rule.Rekey[i]
		sources = append(sources, in.Stream.Source && !moved)
		all = append(all, e.arrivals(i, in.Stream, moved)...)
	}
	slices.SortStableFunc(all, func(a, b waiting) int { return cmp.Compare(a.place.Time, b.place.Time) })
	h.task = processors.NewTask(op, sources)
	for i := range all {
		h.time(t, all[i].place.Time)
		h.offer(t, i, all[i])
	}
	h.time(t, processors.Ended)
	if len(h.waiting) > 0 {
		t.Errorf("%s: %d records wait for ever", rule.ID, len(h.waiting))
	}
}

// arrivals are the records of a stream. Where several writers share it, those of one time may come in any order.
func (e *engine) arrivals(number int, s *rules.Stream, moved bool) []waiting {
	out := make([]waiting, len(e.records[s.Name]))
	for i, a := range e.records[s.Name] {
		place := a.position
		if s.Source && !moved {
			place = processors.Position{Time: place.Time, Offset: place.Offset}
		}
		place.Input = number
		out[i] = waiting{a, place}
	}
	if !s.Source || moved {
		e.random.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	}
	return out
}

// time lets the time of all inputs go on and does what is due then.
func (h *hop) time(t *testing.T, at int64) {
	for i := range h.inputs {
		h.task.SetTime(i, at)
	}
	var due processors.Due
	for h.task.Next(&due) {
		if due.Row == nil {
			id := due.Record.Ref.(int)
			w := h.waiting[id]
			delete(h.waiting, id)
			h.step(t, w, w.place.Time)
			continue
		}
		h.result.Reset()
		if err := h.op.(processors.Timed).Fire(h.state, due.Row, due.At, &h.result); err != nil {
			t.Fatal(err)
		}
		h.finish(t, processors.Position{})
		h.task.FiredRow(due.Row, due.At)
	}
}

func (h *hop) offer(t *testing.T, id int, w waiting) {
	switch h.task.Offer(&w.place, false, id) {
	case processors.Run:
		h.step(t, w, h.task.Frontier())
	case processors.Wait:
		h.waiting[id] = w
	case processors.Skip:
		t.Errorf("%s: a record is skipped", h.rule.ID)
	}
}

func (h *hop) step(t *testing.T, w waiting, clock int64) {
	in := h.inputs[w.place.Input]
	if err := in.decode.Decode(w.value, in.record); err != nil {
		t.Fatal(err)
	}
	h.result.Reset()
	event := processors.Event{
		Input: w.place.Input, Record: in.record, Key: w.key, Time: w.place.Time, Clock: clock, Source: source{in.source, w.value},
	}
	if err := h.op.Step(h.state, &event, &h.result); err != nil {
		t.Fatal(err)
	}
	h.finish(t, w.position)
}

// finish applies what a step did, and writes what came out of it. cause is where the record stands that was stepped.
func (h *hop) finish(t *testing.T, cause processors.Position) {
	r := &h.result
	if r.Dropped+r.Late+r.Partly > 0 {
		t.Errorf("%s: %d results dropped, %d records late, %d partly", h.rule.ID, r.Dropped, r.Late, r.Partly)
	}
	for i := range r.Changes {
		r.Changes[i].Apply()
	}
	h.task.Applied(r.Changes)
	for _, o := range r.Outputs {
		p := cause
		p.Ordinal = o.Place(cause.Input, cause.Ordinal)
		if o.Cause != "" {
			p = processors.Position{Stream: h.rule.ID, Key: o.Cause, Offset: o.Due, Ordinal: o.Ordinal}
		}
		p.Time, p.Rule, p.Event = o.Time, h.rule.ID, o.ID
		if o.Stamp >= 0 {
			o.Fields[o.Stamp] = int64(0)
		}
		h.write(t, o.Stream, o.Key, o.Fields, p)
	}
}

// state holds the rows of one rule by entity and cell.
type state map[string]*processors.Row

func (s state) Row(entity, cell string) (*processors.Row, error) {
	key := entity + "\x00" + cell
	if s[key] == nil {
		s[key] = &processors.Row{Key: key}
	}
	return s[key], nil
}

// source gives the context of an encoded event.
type source struct {
	decoder *schemas.ContextDecoder
	value   []byte
}

func (s source) Context() (*schemas.Context, error) {
	var c schemas.Context
	return &c, s.decoder.Decode(s.value, &c)
}
