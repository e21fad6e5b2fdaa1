package nfa

import (
	"cmp"
	"math"
	"slices"
)

// arrive puts the runs that go on into the queues of their places.
func (m *Machine) arrive() {
	if len(m.added) == 0 {
		return
	}
	m.changed = true
	if len(m.added) > 1 {
		slices.SortStableFunc(m.added, func(a, b arrival) int {
			return cmp.Or(cmp.Compare(a.place, b.place), cmp.Compare(a.run.last.Start.Seq, b.run.last.Start.Seq))
		})
	}
	for from := 0; from < len(m.added); {
		to := from + 1
		for to < len(m.added) && m.added[to].place == m.added[from].place {
			to++
		}
		m.place(m.added[from].place).insert(m.added[from:to], m.auto)
		from = to
	}
	if cap(m.added) > 4096 {
		m.added = nil
	}
}

// place is the queue of a place.
func (m *Machine) place(n int) *queue {
	at, found := slices.BinarySearchFunc(m.state.queues, n, func(q queue, n int) int { return cmp.Compare(q.place, n) })
	if !found {
		m.state.queues = slices.Insert(m.state.queues, at, queue{place: n, soon: math.MaxInt64})
	}
	return &m.state.queues[at]
}

// insert merges runs into the queue, behind those that began with the same record.
func (q *queue) insert(some []arrival, a *Automaton) {
	if gap := a.places[q.place].gap; gap > 0 {
		for i := range some {
			q.soon = min(q.soon, some[i].run.last.Time+gap)
		}
	}
	if n := len(q.runs); n == 0 || q.runs[n-1].start() <= some[0].run.start() {
		for i := range some {
			q.runs = append(q.runs, some[i].run)
		}
		return
	}
	merged := make([]run, 0, len(q.runs)+len(some)+8)
	old := q.runs
	for i := range some {
		n := q.upTo(old, some[i].run.start()+1)
		merged = append(append(merged, old[:n]...), some[i].run)
		old = old[n:]
	}
	q.runs = append(merged, old...)
}

// start is the place of the record that began the run.
func (r *run) start() int64 { return r.last.Start.Seq }

// upTo counts the leading runs that began before start.
func (q *queue) upTo(runs []run, start int64) int {
	n, _ := slices.BinarySearchFunc(runs, start, func(r run, start int64) int { return cmp.Compare(r.start(), start) })
	return n
}

// settle drops runs beyond the limit and lets matches out.
func (m *Machine) settle() {
	m.limit()
	m.sort()
	m.release()
}

// limit drops the oldest runs of too many.
func (m *Machine) limit() {
	most := m.auto.MaxPartial
	if most <= 0 || len(m.added) == 0 {
		return
	}
	for over := m.state.Runs() - int(most); over > 0; over-- {
		q := m.oldest()
		m.note(Dropped, q.runs[0].last, 0)
		q.runs = q.runs[1:]
		m.out.Dropped++
	}
}

// oldest is the queue of the run that began first, nil if there is none.
func (m *Machine) oldest() (first *queue) {
	for i := range m.state.queues {
		if q := &m.state.queues[i]; len(q.runs) > 0 && (first == nil || q.runs[0].start() < first.runs[0].start()) {
			first = q
		}
	}
	return first
}

// sort puts the matches of the step in order: those that began first, then by their captures stage by stage, the earliest first.
// What several runs have found that went on in different ways is one match.
func (m *Machine) sort() {
	if len(m.matches) < 2 {
		return
	}
	slices.SortStableFunc(m.matches, func(a, b Match) int { return m.compare(a.Last, b.Last) })
	m.matches = slices.CompactFunc(m.matches, func(a, b Match) bool { return m.compare(a.Last, b.Last) == 0 })
}

func (m *Machine) compare(a, b *Capture) int {
	if c := cmp.Compare(a.Start.Seq, b.Start.Seq); c != 0 || a == b {
		return c
	}
	x, y := m.byStage(0, a), m.byStage(1, b)
	for i := range min(len(x), len(y)) {
		if c := cmp.Or(cmp.Compare(x[i].Stage, y[i].Stage), cmp.Compare(x[i].Seq, y[i].Seq)); c != 0 {
			return c
		}
	}
	return cmp.Compare(len(y), len(x))
}

// byStage are the captures up to c, stage by stage.
func (m *Machine) byStage(n int, c *Capture) []*Capture {
	list := m.order[n][:0]
	for ; c != nil; c = c.Prev {
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b *Capture) int { return cmp.Or(cmp.Compare(a.Stage, b.Stage), cmp.Compare(a.Seq, b.Seq)) })
	m.order[n] = list
	return list
}
