package nfa

import (
	"cmp"
	"encoding/binary"
	"errors"
	"math"
	"slices"
)

// What a capture, a run or a waiting match takes when it is written, and an event beside its body, at most.
const captureSize, runSize, eventBytes = 30, 30 + 5*maxRegisters, 40

func eventSize(e *Event) int { return eventBytes + len(e.Body) }

// ErrState says that bytes are not what Append wrote.
var ErrState = errors.New("damaged state of a pattern")

// Size is what Append appends at most. It is cheap, and may be more than that by what has been forgotten since the state was
// read or last written.
func (s *State) Size() int { return 64 + s.bytes }

// writer numbers what a state refers to.
type writer struct {
	events   map[int64]*Event
	captures map[int64]*Capture
}

func (w *writer) note(c *Capture) {
	for ; c != nil && w.captures[c.id] == nil; c = c.Prev {
		w.captures[c.id], w.events[c.Seq] = c, c.Event
	}
}

// Append appends the encoded form of the state: events, captures, runs by place, and matches that wait.
func (s *State) Append(b []byte) []byte {
	w := writer{map[int64]*Event{}, map[int64]*Capture{}}
	for i := range s.queues {
		for j := range s.queues[i].runs {
			w.note(s.queues[i].runs[j].last)
		}
	}
	for i := range s.held {
		w.note(s.held[i].Last)
	}
	b = binary.AppendUvarint(binary.AppendUvarint(b, uint64(s.events)), uint64(s.captures))
	b = binary.AppendVarint(b, s.moved)
	b = w.appendEvents(b)
	b = w.appendCaptures(b)
	b = binary.AppendUvarint(b, uint64(len(s.queues)))
	for i := range s.queues {
		b = s.queues[i].append(b)
	}
	b = binary.AppendUvarint(b, uint64(len(s.held)))
	for _, x := range s.held {
		b = binary.AppendUvarint(b, uint64(x.Last.id))
		b = append(binary.AppendVarint(b, x.At), byte(x.Kind))
	}
	return b
}

func (w *writer) appendEvents(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(w.events)))
	var seq, time int64
	for _, e := range ordered(w.events) {
		b = binary.AppendVarint(binary.AppendUvarint(b, uint64(e.Seq-seq)), e.Time-time)
		b = append(binary.AppendUvarint(b, uint64(len(e.Body))), e.Body...)
		seq, time = e.Seq, e.Time
	}
	return b
}

func (w *writer) appendCaptures(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(w.captures)))
	var id int64
	for _, c := range ordered(w.captures) {
		b = binary.AppendUvarint(binary.AppendUvarint(b, uint64(c.id-id)), uint64(c.Seq))
		b = binary.AppendUvarint(b, uint64(c.Stage))
		before := int64(0)
		if c.Prev != nil {
			before = c.id - c.Prev.id
		}
		b = binary.AppendUvarint(b, uint64(before))
		id = c.id
	}
	return b
}

// ordered are the values of the map by their keys.
func ordered[T any](m map[int64]T) []T {
	keys := make([]int64, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	out := make([]T, len(keys))
	for i, k := range keys {
		out[i] = m[k]
	}
	return out
}

func (q *queue) append(b []byte) []byte {
	b = binary.AppendUvarint(binary.AppendUvarint(b, uint64(q.place)), uint64(len(q.runs)))
	for i := range q.runs {
		r := &q.runs[i]
		b = binary.AppendUvarint(b, uint64(r.last.id))
		n := maxRegisters
		for n > 0 && r.registers[n-1] == 0 {
			n--
		}
		b = append(b, byte(n))
		for _, v := range r.registers[:n] {
			b = binary.AppendUvarint(b, uint64(v))
		}
	}
	return b
}

// reader reads from b, and gives zero values once it was bad.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) unsigned() uint64 {
	v, n := binary.Uvarint(r.b)
	if r.bad || n <= 0 {
		r.bad = true
		return 0
	}
	r.b = r.b[n:]
	return v
}

// number is one that is not negative.
func (r *reader) number() int64 {
	v := r.unsigned()
	if v > math.MaxInt64/4 {
		r.bad = true
		return 0
	}
	return int64(v)
}

func (r *reader) signed() int64 {
	v := r.unsigned()
	return int64(v>>1) ^ -int64(v&1)
}

func (r *reader) bytes() []byte {
	n := r.unsigned()
	if r.bad || n > uint64(len(r.b)) {
		r.bad = true
		return nil
	}
	v := r.b[:n:n]
	r.b = r.b[n:]
	return v
}

// each calls f for as many things as the next number says, of which each takes a byte at least.
func (r *reader) each(f func()) {
	n := r.unsigned()
	if n > uint64(len(r.b)) {
		r.bad = true
	}
	for ; n > 0 && !r.bad; n-- {
		f()
	}
}

func (r *reader) byte() byte {
	if r.bad || len(r.b) == 0 {
		r.bad = true
		return 0
	}
	v := r.b[0]
	r.b = r.b[1:]
	return v
}

// Read reads what Append wrote. check says what is wrong with the body of a record captured in a stage. The state shares memory
// with b.
func (m *Machine) Read(b []byte, check func(stage int, body []byte) error) (*State, error) {
	r := &reader{b: b}
	s := &State{}
	s.events, s.captures, s.moved = r.number(), r.number(), r.signed()
	events, captures := r.events(s), map[int64]*Capture{}
	if err := r.captures(s, events, captures, len(m.auto.Stages), check); err != nil {
		return nil, err
	}
	r.each(func() { m.readQueue(r, s, captures) })
	r.each(func() {
		x := Match{Last: captures[r.number()], At: r.signed(), Kind: Kind(r.byte())}
		s.held = append(s.held, x)
		s.bytes += runSize
		r.bad = r.bad || x.Last == nil || x.Kind != Completed && x.Kind != Absent
	})
	if r.bad || len(r.b) > 0 {
		return nil, ErrState
	}
	m.state = *s
	s.due = m.due()
	return s, nil
}

func (r *reader) events(s *State) map[int64]*Event {
	events := map[int64]*Event{}
	var seq, time int64
	r.each(func() {
		seq, time = seq+r.number(), time+r.signed()
		e := &Event{Seq: seq, Time: time, Body: r.bytes()}
		r.bad = r.bad || seq > s.events || events[seq] != nil
		events[seq] = e
		s.bytes += eventSize(e)
	})
	return events
}

func (r *reader) captures(s *State, events map[int64]*Event, captures map[int64]*Capture, stages int, check func(int, []byte) error) error {
	var id int64
	var err error
	r.each(func() {
		id += r.number()
		c := &Capture{Event: events[r.number()], id: id}
		stage := r.number()
		if before := r.number(); before > 0 {
			c.Prev = captures[id-before]
			r.bad = r.bad || c.Prev == nil
		}
		if r.bad = r.bad || c.Event == nil || id > s.captures || id <= 0 || captures[id] != nil || stage >= int64(stages); r.bad {
			return
		}
		c.Stage, c.Start = int(stage), c.Event
		if c.Prev != nil {
			c.Start = c.Prev.Start
			r.bad = c.Prev.Seq >= c.Seq
		}
		captures[id] = c
		s.bytes += captureSize
		err = cmp.Or(err, check(c.Stage, c.Body))
	})
	return err
}

func (m *Machine) readQueue(r *reader, s *State, captures map[int64]*Capture) {
	place := r.number()
	if r.bad = r.bad || place >= int64(len(m.auto.places)) || len(s.queues) > 0 && int64(s.queues[len(s.queues)-1].place) >= place; r.bad {
		return
	}
	q := queue{place: int(place), soon: math.MaxInt64}
	r.each(func() {
		x := run{last: captures[r.number()]}
		n := r.byte()
		if r.bad = r.bad || x.last == nil || n > maxRegisters; r.bad {
			return
		}
		for i := range n {
			v := r.number()
			r.bad = r.bad || v > math.MaxInt32
			x.registers[i] = int32(v)
		}
		if k := len(q.runs); k > 0 && q.runs[k-1].start() > x.start() {
			r.bad = true
		}
		if gap := m.auto.places[place].gap; gap > 0 {
			q.soon = min(q.soon, x.last.Time+gap)
		}
		q.runs = append(q.runs, x)
		s.bytes += runSize
	})
	r.bad = r.bad || len(q.runs) == 0
	s.queues = append(s.queues, q)
}
