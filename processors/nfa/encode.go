package nfa

import (
	"encoding/binary"
	"errors"
	"math"
	"slices"
)

// What things take when they are written, at most: a capture, an event beside its body, a run or a waiting match, a segment in the
// directory.
const (
	captureSize = 40
	eventSize   = 30
	runSize     = 15 + 5*maxRegisters
	partSize    = 25
)

// ErrState says that bytes are not what Append or Split wrote.
var ErrState = errors.New("damaged state of a pattern")

// Size is what Append appends at most.
func (s *State) Size() int {
	return 100 + s.tailBytes + partSize*len(s.segments) + runSize*(s.Runs()+len(s.held)) + partSize*len(s.queues)
}

// Append appends the encoded form of the state but for its segments: their directory, the captures that lie in none, runs by place,
// and matches that wait.
func (s *State) Append(b []byte) []byte {
	b = binary.AppendUvarint(binary.AppendUvarint(b, uint64(s.events)), uint64(s.captures))
	b = binary.AppendVarint(binary.AppendVarint(b, s.moved), s.Due())
	b = binary.AppendUvarint(binary.AppendUvarint(b, s.made), uint64(s.kept))
	b = binary.AppendUvarint(b, uint64(len(s.segments)))
	for _, x := range s.segments {
		b = binary.AppendUvarint(binary.AppendUvarint(b, x.number), uint64(x.last))
		b = binary.AppendUvarint(b, uint64(x.captures))
	}
	b = appendCaptures(b, s.tail)
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

// appendCaptures appends captures by their ids, each record with the first of those that have it.
func appendCaptures(b []byte, list []*Capture) []byte {
	b = binary.AppendUvarint(b, uint64(len(list)))
	var id, seq, time int64
	for _, c := range list {
		before := int64(0)
		if c.Prev != nil {
			before = c.id - c.Prev.id
		}
		b = binary.AppendUvarint(binary.AppendUvarint(b, uint64(c.id-id)), uint64(before))
		b = binary.AppendUvarint(binary.AppendUvarint(b, uint64(c.Stage)), uint64(c.Seq-seq))
		if c.Seq != seq {
			b = binary.AppendVarint(b, c.Time-time)
			b = append(binary.AppendUvarint(b, uint64(len(c.Body))), c.Body...)
		}
		id, seq, time = c.id, c.Seq, c.Time
	}
	return b
}

func (q *queue) append(b []byte) []byte {
	b = binary.AppendUvarint(binary.AppendUvarint(b, uint64(q.place)), uint64(len(q.runs)))
	last := int64(0)
	for i := range q.runs {
		r := &q.runs[i]
		b = binary.AppendVarint(b, r.last.id-last)
		last = r.last.id
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

// head is what stands in front of the captures.
func (r *reader) head() *State {
	s := &State{events: r.number(), captures: r.number(), moved: r.signed(), due: r.signed(), made: r.unsigned(), kept: r.number()}
	r.each(func() {
		x := segment{r.unsigned(), r.number(), r.number()}
		if n := len(s.segments); x.number > s.made || n > 0 && x.last <= s.segments[n-1].last {
			r.bad = true
		}
		s.segments, s.packed = append(s.segments, x), s.packed+x.captures
	})
	return s
}

// Segments gives the numbers of the segments of a state that Append wrote, and when it is due.
func Segments(b []byte) (numbers []uint64, due int64, err error) {
	r := &reader{b: b}
	s := r.head()
	if r.bad {
		return nil, 0, ErrState
	}
	for _, x := range s.segments {
		numbers = append(numbers, x.number)
	}
	return numbers, s.Due(), nil
}

// Read reads what Append wrote, and the segments that it names. check says what is wrong with the body of a record captured in a
// stage. The state shares memory with the bytes.
func (m *Machine) Read(b []byte, segments [][]byte, check func(stage int, body []byte) error) (*State, error) {
	k := &keeper{captures: map[int64]*Capture{}, stages: len(m.auto.Stages), check: check}
	r := &reader{b: b}
	s := r.head()
	if len(segments) != len(s.segments) {
		return nil, ErrState
	}
	k.most = s.captures
	for _, x := range segments {
		part := &reader{b: x}
		if part.captures(k); part.bad || len(part.b) > 0 {
			return nil, ErrState
		}
	}
	s.tail = r.captures(k)
	for i, c := range s.tail {
		if s.tailBytes += captureSize; i == 0 || c.Seq != s.tail[i-1].Seq {
			s.tailBytes += eventSize + len(c.Body)
		}
	}
	r.each(func() { m.readQueue(r, s, k) })
	r.each(func() {
		x := Match{Last: k.captures[r.number()], At: r.signed(), Kind: Kind(r.byte())}
		s.held = append(s.held, x)
		r.bad = r.bad || x.Last == nil || x.Kind != Completed && x.Kind != Absent
	})
	if k.err != nil {
		return nil, k.err
	}
	if r.bad || len(r.b) > 0 {
		return nil, ErrState
	}
	m.state = *s
	s.due = min(s.due, m.due())
	return s, nil
}

// keeper collects captures while they are read.
type keeper struct {
	captures map[int64]*Capture
	last     int64 // id
	seq      int64
	most     int64 // id
	stages   int
	check    func(stage int, body []byte) error
	err      error
}

// captures reads a list of captures. Those whose run has ended may follow one that is gone: they are left out.
func (r *reader) captures(k *keeper) (list []*Capture) {
	var id, seq, time int64
	var event *Event
	r.each(func() {
		id += r.number()
		before, stage := r.number(), r.number()
		if more := r.number(); more > 0 {
			seq, time = seq+more, time+r.signed()
			event = &Event{Seq: seq, Time: time, Body: r.bytes(), first: id}
		}
		if r.bad = r.bad || event == nil || id <= k.last || id > k.most || event.Seq < k.seq || stage >= int64(k.stages) || before >= id; r.bad {
			return
		}
		k.last, k.seq = id, event.Seq
		c := &Capture{Event: event, Stage: int(stage), Start: event, id: id}
		if before > 0 {
			if c.Prev = k.captures[id-before]; c.Prev == nil {
				return
			}
			c.Start = c.Prev.Start
			r.bad = c.Prev.Seq >= c.Seq
		}
		k.captures[id] = c
		list = append(list, c)
		if err := k.check(c.Stage, c.Body); err != nil && k.err == nil {
			k.err = err
		}
	})
	return list
}

func (m *Machine) readQueue(r *reader, s *State, k *keeper) {
	place := r.number()
	if r.bad = r.bad || place >= int64(len(m.auto.places)) || len(s.queues) > 0 && int64(s.queues[len(s.queues)-1].place) >= place; r.bad {
		return
	}
	q := queue{place: int(place), soon: math.MaxInt64}
	last := int64(0)
	r.each(func() {
		last += r.signed()
		x := run{last: k.captures[last]}
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
	})
	r.bad = r.bad || len(q.runs) == 0
	s.queues = append(s.queues, q)
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

// live are the captures from the id on that a run or a waiting match has, by their ids.
func (s *State) live(from int64) []*Capture {
	seen := map[*Capture]bool{}
	var list []*Capture
	note := func(c *Capture) {
		for ; c != nil && c.id >= from && !seen[c]; c = c.Prev {
			seen[c] = true
			list = append(list, c)
		}
	}
	for i := range s.queues {
		for j := range s.queues[i].runs {
			note(s.queues[i].runs[j].last)
		}
	}
	for i := range s.held {
		note(s.held[i].Last)
	}
	slices.SortFunc(list, func(a, b *Capture) int { return int(a.id - b.id) })
	return list
}
