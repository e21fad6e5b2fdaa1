package processors

import (
	"bytes"
	"fmt"
	"math"
	"strconv"

	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/schemas"
)

// joining is the operator of joins. The records of an entity wait in one series per input, by event time, for as long as one that
// they match may come: whichever comes later finds the other. What they match is decided by their times alone, not by when they
// came, but for late ones.
type joining struct {
	rule   *rules.Rule
	env    rules.Env
	routes []route
	packer contextPacker
	sides  []side

	// The step.
	entity  string
	own     int // the input of the record at hand
	clock   int64
	body    []byte // of the record at hand, as it will wait
	touched [][]byte
	result  *Result

	// Scratch memory.
	reads int64 // what ahead has read: so that it does
	mix   mixture
	parts []string
}

// side is an input of a join.
type side struct {
	input     int
	alias     string
	series    *series[joined]
	codec     *joinedCodec
	where     *rules.Expr
	within    rules.Within
	bound     int64 // a record at t waits, and is not late, up to the clock t + bound
	unmatched bool  // records that match none come out

	member member // of the tuple at hand
}

// member is a record of a tuple.
type member struct {
	time    int64
	context []byte         // as contexts writes it
	record  schemas.Record // of one that has waited: memory of the side
}

// cellJoin is the head of the records of an input that wait; one character names the input, because chunks put a number behind it.
func cellJoin(input int) string { return "j" + strconv.FormatInt(int64(input), 36) }

func newJoin(rule *rules.Rule) (*joining, error) {
	w := &joining{rule: rule, env: newEnv(rule), routes: newRoutes(rule)}
	w.packer.kept = newKept(w.routes)
	w.sides = make([]side, len(rule.Inputs))
	for i := range rule.Inputs {
		if err := w.prepare(i); err != nil {
			return nil, fmt.Errorf("rule %s: %w", rule.ID, err)
		}
	}
	return w, nil
}

// prepare makes the side of an input.
func (w *joining) prepare(i int) error {
	x, in, of := &w.sides[i], &w.rule.Inputs[i], w.rule.Join
	x.input, x.alias, x.where, x.within, x.bound = i, in.Alias, of.Where[i], of.Within[i], joinBound(w.rule, i)
	x.unmatched = of.Type == rules.OuterJoin || of.Type == rules.LeftJoin && i == 0 || of.Type == rules.RightJoin && i == 1
	packing, err := in.Stream.Projection.Packing(of.Reads[i])
	if err != nil {
		return err
	}
	x.codec = &joinedCodec{packing, in.Stream.Projection.New()}
	x.member.record = in.Stream.Projection.New()
	shape := fnv(fmt.Appendf(nil, "%x %d %x", shapeOf(w.rule), i, packing.Fingerprint()))
	x.series = newSeries(x.codec, cellJoin(i), shape, x.due)
	x.series.large = 2 * headBytes / 5 // records are larger than what other series hold, and most come at the end
	return nil
}

// joinBound is how long after its event time a record of the input waits, at most: until no record that it matches can come
// on time. With three inputs and more, one that matches a first record may match a third one that comes long after it.
func joinBound(rule *rules.Rule, input int) int64 {
	longest := int64(0)
	for i, x := range rule.Join.Within {
		if i != input {
			longest = max(longest, x.After)
		}
	}
	return rule.Join.Within[input].Before + longest + rule.Lateness
}

// Rule implements Operator.
func (w *joining) Rule() *rules.Rule { return w.rule }

// Decode implements Operator.
func (w *joining) Decode(b []byte) (Cell, error) {
	for i := range w.sides {
		if c, err := w.sides[i].series.decode(b); c != nil || err != nil {
			return c, err
		}
	}
	return nil, nil
}

// Lag implements Timed.
func (w *joining) Lag() int64 {
	lag := int64(-1)
	for i := range w.sides {
		if x := &w.sides[i]; x.unmatched {
			lag = max(lag, x.bound+1)
		}
	}
	return lag
}

// live is the least time of records that still wait at the time clock.
func (x *side) live(clock int64) int64 {
	if clock < math.MinInt64+x.bound+1 {
		return math.MinInt64 + 1
	}
	return clock - x.bound
}

// deadline is when a record stops waiting.
func (x *side) deadline(time int64) int64 { return time + x.bound + 1 }

// Step implements Operator.
func (w *joining) Step(s State, e *Event, r *Result) error {
	enter(&w.env, e)
	r.Looked = 1
	x := &w.sides[e.Input]
	if x.where != nil && !x.where.Bool(&w.env) {
		return evalError(w.rule, &w.env)
	}
	r.Matched = 1
	entity, err := Entity(w.rule, e, &w.env)
	if err != nil {
		return err
	}
	if x.deadline(e.Time) <= e.Clock {
		r.Late = 1
		return nil
	}
	if err := w.begin(s, entity, e, r); err != nil {
		return err
	}
	matched, err := w.match(0)
	if err != nil {
		return err
	}
	if err := w.wait(x, matched); err != nil {
		return err
	}
	for i := range w.sides {
		if x := &w.sides[i]; i == e.Input || x.series.changed() {
			x.series.lazy = true
			x.series.expire(x.live(e.Clock))
			if err := x.series.commit(r, w); err != nil {
				return err
			}
		}
	}
	return nil
}

// begin begins the step of a record that takes part.
func (w *joining) begin(s State, entity string, e *Event, r *Result) error {
	c, err := keptContext(w.rule, e)
	if err != nil {
		return err
	}
	x := &w.sides[e.Input]
	w.body = x.codec.packing.Append(append(w.body[:0], 0), e.Record)
	at := len(w.body)
	w.body = w.packer.append(w.body, c)
	x.member.time, x.member.context = e.Time, w.body[at:]
	w.env.Key = entity
	w.entity, w.own, w.clock, w.result = entity, e.Input, e.Clock, r
	clear(w.touched)
	w.touched = w.touched[:0]
	for i := range w.sides {
		if err := w.sides[i].series.open(s, entity); err != nil {
			return err
		}
	}
	return nil
}

// match goes through the tuples of the record at hand and waiting ones, from the input on: those before have their members. It
// reports whether there is one that matches.
func (w *joining) match(input int) (some bool, err error) {
	switch input {
	case len(w.sides):
		return w.pair()
	case w.own:
		return w.match(input + 1)
	}
	x := &w.sides[input]
	low, high := w.reach(input)
	c, err := x.series.seek(low)
	var read *chunk[joined]
	for ; err == nil; err = x.series.next(&c) {
		e := c.entry()
		if e == nil || e.key > high {
			break
		}
		if c.chunk != read {
			read = c.chunk
			w.ahead(read.entries[c.at:], high)
		}
		if err := w.look(x, e); err != nil {
			return false, err
		}
		matches, err := w.match(input + 1)
		if err != nil {
			return false, err
		}
		if some = some || matches; matches && x.unmatched && !e.item.matched() {
			x.series.touch(c)
			w.touched = append(w.touched, e.item.body)
		}
	}
	return some, err
}

// ahead reads a little of the records up to the time high, which lie anywhere in memory: together, not one after the other.
func (w *joining) ahead(entries []entry[joined], high int64) {
	for i := 0; i < len(entries) && entries[i].key <= high; i++ {
		w.reads += int64(entries[i].item.body[0])
	}
}

// look makes a waiting record the member of its side.
func (w *joining) look(x *side, e *entry[joined]) (err error) {
	x.member.time = e.key
	x.member.context, err = x.codec.packing.Decode(e.item.body[1:], x.member.record)
	w.env.Records[x.input] = x.member.record
	return err
}

// reach is between which event times records of the input match the members of the inputs before it, both inclusive.
func (w *joining) reach(input int) (low, high int64) {
	x := &w.sides[input]
	if input == 0 {
		own := &w.sides[w.own]
		low, high = own.member.time-own.within.After, own.member.time+own.within.Before
	} else {
		first := w.sides[0].member.time
		low, high = first-x.within.Before, first+x.within.After
	}
	return max(low, x.live(w.clock)), high
}

// wait has the record at hand wait for others.
func (w *joining) wait(x *side, matched bool) error {
	at := x.member.time
	if x.unmatched && len(x.series.head.directory) > 0 {
		if err := x.series.foresee(at, x.live(w.clock)-1); err != nil {
			return err
		}
	}
	item, err := x.series.insert(at)
	if err != nil {
		return err
	}
	item.body = bytes.Clone(w.body)
	if matched {
		item.body[0] = bodyMatched
	}
	return nil
}

// Apply implements Edit: it marks the records that have waited and now match.
func (w *joining) Apply() {
	for _, body := range w.touched {
		body[0] = bodyMatched
	}
}
