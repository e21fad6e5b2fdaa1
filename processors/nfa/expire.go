package nfa

import (
	"cmp"
	"math"
	"slices"
)

// Never is the deadline of a state in which no time is ever over.
const Never = math.MaxInt64

// Due is when the time of a run is over next, or may be: Never if that of none ever is.
func (s *State) Due() int64 {
	if s.events == 0 {
		return Never
	}
	return s.due
}

// due is Due of the state at hand.
func (m *Machine) due() int64 {
	due := int64(Never)
	for i := range m.state.queues {
		due = min(due, m.queueDue(&m.state.queues[i]))
	}
	return due
}

func (m *Machine) queueDue(q *queue) int64 {
	if len(q.runs) == 0 {
		return Never
	}
	due := int64(Never)
	if m.auto.Within > 0 {
		due = q.runs[0].last.Start.Time + m.auto.Within
	}
	if m.auto.places[q.place].gap > 0 {
		due = min(due, q.soon)
	}
	return due
}

// Expire ends the runs whose time is over at the time at, in the order in which it was, and returns the state after it, and
// whether that is another one. Runs that have timed out are among the matches.
func (m *Machine) Expire(s *State, at int64, out *Outcome) (next State, changed bool) {
	next = *s
	for due := s.Due(); due <= at && due != Never; due = next.Due() {
		last := next
		m.open(&last, due, out)
		before := len(out.Matches)
		for i := range m.state.queues {
			m.expire(&m.state.queues[i])
		}
		out.distinct(before)
		m.settle()
		m.changed, changed = true, true
		next = m.close()
	}
	return next, changed
}

// expire ends the runs of a queue whose time is over.
func (m *Machine) expire(q *queue) {
	p := &m.auto.places[q.place]
	n := 0
	if m.auto.Within > 0 {
		for n < len(q.runs) && q.runs[n].last.Start.Time+m.auto.Within <= m.at {
			m.end(p, &q.runs[n])
			n++
		}
	}
	if n > 0 {
		q.runs, m.changed = q.runs[n:], true
	}
	if p.gap == 0 || q.soon > m.at {
		return
	}
	var kept []run
	q.soon, m.changed = math.MaxInt64, true
	for i := range q.runs {
		r := &q.runs[i]
		if due := r.last.Time + p.gap; due <= m.at {
			m.end(p, r)
		} else {
			kept, q.soon = append(kept, *r), min(q.soon, due)
		}
	}
	q.runs = kept
}

// end ends a run whose time is over.
func (m *Machine) end(p *place, r *run) {
	if p.absence {
		m.match(Match{Last: r.last, At: m.at, Kind: Absent})
	} else {
		m.note(Expired, r.last, 0)
		m.out.Matches = append(m.out.Matches, Match{Last: r.last, At: m.at, Kind: TimedOut})
	}
}

// distinct sorts the runs that have timed out since there were n matches by the records that began them, and makes one of those
// that could go on in several ways.
func (o *Outcome) distinct(n int) {
	late := o.Matches[n:]
	if len(late) < 2 {
		return
	}
	slices.SortStableFunc(late, func(a, b Match) int {
		return cmp.Or(cmp.Compare(a.Last.Start.Seq, b.Last.Start.Seq), cmp.Compare(a.Last.id, b.Last.id))
	})
	o.Matches = o.Matches[:n+len(slices.CompactFunc(late, func(a, b Match) bool { return a.Last == b.Last }))]
}
