package topologies

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/schemas"
)

// simRecord is a record of a source, with the moment at which the broker gets it.
type simRecord struct {
	topicPartition
	stream int
	event  *simEvent
	due    time.Time
	absurd bool // from a future that nobody can have meant
}

// simMode says when the input comes.
type simMode uint8

const (
	simLive    simMode = iota // as its event times go by
	simBacklog                // before the workers start
	simHalf                   // half of it before, the rest live
	simModes
)

func (m simMode) String() string { return [...]string{"live", "backlog", "half live"}[m] }

// simInputs makes the records of all sources, by the moment at which the broker gets them. Within a partition none comes
// later than out_of_order after its event time.
type simInputs struct {
	sim    *simulation
	chance *rand.Rand
	keys   int
	round  int64 // event times are multiples of it, ms
	pause  int64 // mean time between records, ms
	skew   int64 // event time less wall time, ms
	out    []*simRecord
}

func (s *simulation) makeInput(chance *rand.Rand) {
	in := &simInputs{
		sim: s, chance: chance, keys: 1 + chance.IntN(6), round: pick[int64](chance, 1, 1, 50, 500), pause: pick[int64](chance, 20, 100, 300),
		skew: pick[int64](chance, 0, 0, -3_600_000, -400_000_000_000),
	}
	n := 10 + chance.IntN(40)
	sources := 0
	for i := range s.shape.streams {
		if s.shape.streams[i].source {
			sources++
		}
	}
	for i := range s.shape.streams {
		if s.shape.streams[i].source {
			in.source(i, n/sources)
		}
	}
	slices.SortStableFunc(in.out, func(a, b *simRecord) int { return a.due.Compare(b.due) })
	s.todo = in.out
}

// source makes the records of one source stream.
func (in *simInputs) source(stream, n int) {
	st := &in.sim.shape.streams[stream]
	at := in.sim.now.UnixMilli()
	if in.chance.IntN(2) == 0 {
		at += in.chance.Int64N(6000) // the source begins later
	}
	waking := in.chance.IntN(2) == 0 // and so do most of its keys
	last := map[topicPartition]time.Time{}
	for i := range n {
		keys := in.keys
		if waking {
			keys = 1 + in.keys*i/n
		}
		if in.chance.IntN(4) > 0 {
			at += in.chance.Int64N(2 * in.pause)
		}
		if in.chance.IntN(12) == 0 {
			at += in.chance.Int64N(6000) // everybody is silent
		}
		wall := at - at%in.round
		e := &simEvent{
			id: fmt.Sprintf("e%d-%d", stream, i), a: fmt.Sprintf("k%d", in.chance.IntN(keys)), b: fmt.Sprintf("g%d", in.chance.IntN(in.keys)),
			v: in.chance.Int64N(10), at: wall + in.skew,
		}
		if in.chance.IntN(3) > 0 {
			x := fmt.Sprintf("x%d", in.chance.IntN(8))
			e.x = &x
		}
		e.gone = st.table != nil && in.chance.IntN(5) == 0
		in.record(st, stream, e, wall, last)
		if in.chance.IntN(8) == 0 { // the producer sends it twice
			twin := *e
			in.record(st, stream, &twin, wall, last)
		}
	}
	if in.sim.options.WallClock && in.chance.IntN(2) == 0 {
		in.absurd(st, stream, at)
	}
}

func (in *simInputs) record(st *simStream, stream int, e *simEvent, wall int64, last map[topicPartition]time.Time) {
	r := &simRecord{stream: stream, event: e, topicPartition: topicPartition{topic: st.name}}
	if st.keyless {
		r.partition = in.chance.Int32N(st.partitions)
	} else {
		e.key = e.a
		r.partition = schemas.Partition([]byte(e.key), st.partitions)
	}
	if st.outOfOrder > 0 {
		r.due = time.UnixMilli(wall + in.chance.Int64N(st.outOfOrder+1))
	} else { // in order, and hardly delayed
		r.due = time.UnixMilli(wall + in.chance.Int64N(st.idleAfter/2+1))
		if before := last[r.topicPartition]; r.due.Before(before) {
			r.due = before
		}
		last[r.topicPartition] = r.due
	}
	in.out = append(in.out, r)
}

// absurd adds a record of ten years later.
func (in *simInputs) absurd(st *simStream, stream int, until int64) {
	e := &simEvent{id: "absurd", a: "k0", b: "g0", at: in.sim.now.AddDate(10, 0, 0).UnixMilli()}
	r := &simRecord{stream: stream, event: e, topicPartition: topicPartition{topic: st.name}, absurd: true}
	if !st.keyless {
		e.key = e.a
		r.partition = schemas.Partition([]byte(e.key), st.partitions)
	}
	began := in.sim.now.UnixMilli()
	r.due = time.UnixMilli(began + in.chance.Int64N(until-began+1))
	in.out = append(in.out, r)
}

// produce has the broker take what is due.
func (s *simulation) produce() {
	rest := s.todo[:0]
	for i, r := range s.todo {
		if r.due.After(s.now) {
			rest = append(rest, s.todo[i:]...)
			break
		}
		if s.down(r.topicPartition) {
			rest = append(rest, r)
			continue
		}
		s.write(r)
	}
	s.todo = rest
}

// write appends a source record and notes for the reference what its place in the log makes of it.
func (s *simulation) write(r *simRecord) {
	st, e := &s.shape.streams[r.stream], r.event
	k := &kgo.Record{Timestamp: time.UnixMilli(e.at)}
	if !st.keyless {
		k.Key = []byte(e.key)
	}
	fields := []any{e.id, e.a, e.b, e.v, nil, e.at}
	if e.x != nil {
		fields[4] = *e.x
	}
	if st.bare {
		fields = fields[1:]
	}
	if !e.gone {
		k.Value = s.encode(st, fields)
	}
	s.log.append(r.topicPartition, k, nil)
	if st.bare || e.gone {
		e.id = schemas.InputID(r.topic, r.partition, k.Offset)
	}
	e.origin = schemas.Origin{Stream: st.name, Key: e.key, Offset: k.Offset}
	if st.keyless {
		e.origin.EventID = e.id
	}
	if r.absurd {
		s.absurd++
		return
	}
	s.input[r.stream] = append(s.input[r.stream], e)
}
