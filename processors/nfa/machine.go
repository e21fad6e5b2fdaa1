package nfa

import (
	"slices"

	"github.com/millrace-io/millrace/rules"
)

// Record is the record at hand.
type Record interface {
	// Where reports whether the record can be one of the stage in a run that has captured c and what is before it; c is nil
	// for a condition that reads nothing captured, and for a run that begins.
	Where(stage int, c *Capture) bool
	// Until reports whether the record ends the repetition of the stage.
	Until(stage int, c *Capture) bool
	// Keep gives what is kept of the record, which is captured.
	Keep() []byte
}

// Match is what a run has become.
type Match struct {
	Last *Capture
	At   int64 // event time: of the record that completed it, when its time was over, or when what held it back had ended
	Kind Kind
	Held int64 // ms that it was held back, because a run that began before it was left
}

// Kind says how a run has ended.
type Kind uint8

// The kinds of ends.
const (
	Completed Kind = iota + 1 // by its last capture, or the record after it
	Absent                    // by time: what must not come has not come
	TimedOut                  // by time: it is no match
)

// Outcome is what a step brings. The machine adds to it.
type Outcome struct {
	Matches []Match // in the order in which they come out
	Dropped int     // runs beyond Config.MaxPartial
	Cut     int     // matches beyond Config.MaxMatches
}

// Reset forgets what a step has brought.
func (o *Outcome) Reset() {
	clear(o.Matches)
	*o = Outcome{Matches: o.Matches[:0]}
}

// Machine takes records through an automaton. It has scratch memory only: one goroutine uses it at a time.
type Machine struct {
	auto *Automaton

	// The step.
	state    State
	at       int64
	record   Record
	event    *Event
	verdicts []verdict // per stage, of conditions that read nothing captured
	added    []arrival
	matches  []Match
	out      *Outcome
	changed  bool
	tell     func(Note) // see Observe

	// Scratch memory.
	order [2][]*Capture
	queue []queue
}

type verdict struct{ where, until truth }

type truth uint8

const (
	unknown truth = iota
	yes
	no
)

// arrival is a run that comes to a place.
type arrival struct {
	place int
	run   run
}

// New returns a machine.
func New(a *Automaton) *Machine { return &Machine{auto: a, verdicts: make([]verdict, len(a.Stages))} }

// Touches reports whether the record can change any state at all.
func (m *Machine) Touches(r Record) bool {
	if m.auto.alert {
		return true
	}
	m.record = r
	clear(m.verdicts)
	for i := range m.auto.Stages {
		if m.where(i, nil) || m.auto.Stages[i].Until && m.until(i, nil) {
			return true
		}
	}
	return false
}

// Step takes a record of event time at, which is no less than those before it, and returns the state after it, and whether that
// is another one. Runs whose time is over at that time are gone by then.
func (m *Machine) Step(s *State, at int64, r Record, out *Outcome) (next State, changed bool) {
	m.open(s, at, out)
	m.record, m.event = r, nil
	clear(m.verdicts)
	for i, n := 0, len(m.state.queues); i < n; i++ {
		m.feed(&m.state.queues[i])
	}
	m.begin()
	m.arrive()
	m.settle()
	if next = m.close(); !m.changed {
		next = *s
	}
	return next, m.changed
}

// open begins a step: it takes over the lists of the state, which it must not write to.
func (m *Machine) open(s *State, at int64, out *Outcome) {
	queues := append(m.queue[:0], s.queues...)
	m.state, m.queue = *s, queues
	if m.state.queues = queues; s.events == 0 {
		m.state.due = Never
	}
	m.at, m.out, m.changed = at, out, false
	m.added, m.matches = m.added[:0], m.matches[:0]
}

// close ends a step.
func (m *Machine) close() State {
	clear(m.added)
	clear(m.matches)
	next := m.state
	next.moved = m.at
	next.queues = slices.DeleteFunc(m.state.queues, func(q queue) bool { return len(q.runs) == 0 })
	m.queue = next.queues[:0]
	next.queues, next.due = slices.Clone(next.queues), m.due()
	return next
}

func truly(b bool) truth {
	if b {
		return yes
	}
	return no
}

func (m *Machine) where(stage int, c *Capture) bool {
	if m.auto.Stages[stage].Dependent {
		return m.record.Where(stage, c)
	}
	v := &m.verdicts[stage].where
	if *v == unknown {
		*v = truly(m.record.Where(stage, nil))
	}
	return *v == yes
}

func (m *Machine) until(stage int, c *Capture) bool {
	if m.auto.Stages[stage].UntilDependent {
		return m.record.Until(stage, c)
	}
	v := &m.verdicts[stage].until
	if *v == unknown {
		*v = truly(m.record.Until(stage, nil))
	}
	return *v == yes
}

// idle reports whether the record can do nothing to any run in the place.
func (m *Machine) idle(p *place) bool {
	if p.fleeting() {
		return false
	}
	hit := func(stage int, until bool) bool {
		s := &m.auto.Stages[stage]
		return s.Dependent || m.where(stage, nil) || until && s.Until && (s.UntilDependent || m.until(stage, nil))
	}
	for _, o := range p.takes {
		if hit(m.auto.takes[o.take].stage, o.again) {
			return false
		}
	}
	for _, stage := range p.bans {
		if hit(stage, false) {
			return false
		}
	}
	for i := range p.guards {
		if hit(p.guards[i].stage, p.guards[i].until) {
			return false
		}
	}
	return true
}

// feed gives the record to the runs of a place.
func (m *Machine) feed(q *queue) {
	if m.tell == nil && m.idle(&m.auto.places[q.place]) {
		return
	}
	kept, whole := q.runs, true
	for i := range q.runs {
		r := &q.runs[i]
		switch to := m.try(q.place, r); {
		case to == q.place && whole:
		case to == q.place:
			kept = append(kept, *r)
		default:
			if whole {
				kept, whole = slices.Grow([]run(nil), len(q.runs)-1)[:0], false
				kept = append(kept, q.runs[:i]...)
			}
			if to >= 0 {
				m.added = append(m.added, arrival{to, *r})
			}
		}
	}
	if !whole {
		q.runs, m.changed = kept, true
	}
}

// nowhere is where runs go that have ended.
const nowhere = -1

// try gives the record to a run, and says where it waits now.
func (m *Machine) try(at int, r *run) int {
	p := &m.auto.places[at]
	for i := 0; i < len(p.guards); i++ {
		g := &p.guards[i]
		if g.until && m.until(g.stage, r.last) {
			at = g.lifted
			p, i = &m.auto.places[at], -1
		} else if m.where(g.stage, r.last) {
			m.note(Guarded, r.last, g.stage)
			return nowhere
		}
	}
	met, over := false, false
	for _, o := range p.takes {
		hit, ended := m.offer(o, r)
		met, over = met || hit, over || ended
	}
	switch {
	case over || m.banned(p.bans, r) || m.banned(p.firsts, r):
		return nowhere
	case p.next:
		m.match(Match{Last: r.last, At: m.at, Kind: Completed})
		return nowhere
	case p.absence:
	case p.contiguity == rules.Strict, p.contiguity == rules.Relaxed && met:
		m.note(Broken, r.last, 0)
		return nowhere
	}
	if len(p.firsts) > 0 {
		return p.settled
	}
	return at
}

// offer offers the record to one way out of a place: whether it meets the condition, and whether it ends the repetition that the
// run is in.
func (m *Machine) offer(o option, r *run) (met, ended bool) {
	t := &m.auto.takes[o.take]
	s := &m.auto.Stages[t.stage]
	bounded := t.loop != nil && s.Until
	if bounded && o.again && m.until(t.stage, r.last) {
		m.note(Closed, r.last, t.stage)
		return false, true
	}
	if !m.where(t.stage, r.last) {
		m.note(Refused, r.last, t.stage)
		return false, false
	}
	switch late := s.Gap > 0 && m.at-r.last.Time >= s.Gap; {
	case late:
		m.note(TooLate, r.last, t.stage)
	case bounded && m.until(t.stage, r.last):
		m.note(Closed, r.last, t.stage)
	default:
		m.capture(o.take, r)
	}
	return true, false
}

func (m *Machine) banned(stages []int, r *run) bool {
	for _, s := range stages {
		if m.where(s, r.last) {
			m.note(Banned, r.last, s)
			return true
		}
	}
	return false
}

// begin gives the record to the run that always waits at the start.
func (m *Machine) begin() {
	for i := range m.auto.start.edges {
		e := &m.auto.start.edges[i]
		p := &m.auto.places[e.place]
		if m.guarded(p) {
			continue
		}
		r := run{registers: e.apply(registers{})}
		for _, o := range p.takes {
			t := &m.auto.takes[o.take]
			switch {
			case !m.where(t.stage, nil):
				m.note(Refused, nil, t.stage)
			case t.loop == nil || !m.auto.Stages[t.stage].Until || !m.until(t.stage, nil):
				m.capture(o.take, &r)
			}
		}
	}
}

// guarded reports whether a greedy repetition at the start of the pattern can take the record.
func (m *Machine) guarded(p *place) bool {
	for i := range p.guards {
		if g := &p.guards[i]; m.where(g.stage, nil) && (!g.until || !m.until(g.stage, nil)) {
			return true
		}
	}
	return false
}

// capture adds the record to a run.
func (m *Machine) capture(t int, r *run) {
	c := m.captured()
	c.Stage, c.Prev, c.Start = m.auto.takes[t].stage, r.last, m.event
	if r.last != nil {
		c.Start = r.last.Start
	}
	m.changed = true
	if m.tell != nil {
		m.tell(Note{Took, r.last, c, c.Stage})
	}
	m.follow(t, c, r)
}

// captured makes a capture of the record. Most records are captured once: both are one piece of memory then.
func (m *Machine) captured() *Capture {
	m.state.captures++
	m.state.tailBytes += captureSize
	if m.event != nil {
		c := &Capture{Event: m.event, id: m.state.captures}
		m.state.tail = append(m.state.tail, c)
		return c
	}
	m.state.events++
	x := &struct {
		Capture
		event Event
	}{event: Event{Seq: m.state.events, Time: m.at, Body: m.record.Keep(), first: m.state.captures}}
	x.Event, x.id, m.event = &x.event, m.state.captures, &x.event
	m.state.tailBytes += eventSize + len(x.event.Body)
	m.state.tail = append(m.state.tail, &x.Capture)
	return &x.Capture
}

// follow has a run that has captured c go on to where the automaton leads.
func (m *Machine) follow(t int, c *Capture, r *run) {
	for i := range m.auto.after[t] {
		b := &m.auto.after[t][i]
		if !b.holds(&r.registers) {
			continue
		}
		if b.match {
			m.match(Match{Last: c, At: m.at, Kind: Completed})
		}
		for j := range b.edges {
			m.added = append(m.added, arrival{b.edges[j].place, run{c, b.edges[j].apply(r.registers)}})
		}
		return
	}
}

func (m *Machine) match(x Match) {
	m.changed = true
	if most := m.auto.MaxMatches; most > 0 && int64(len(m.matches)) >= most {
		m.out.Cut++
		m.note(Cut, x.Last, 0)
		return
	}
	m.note(Matched, x.Last, 0)
	m.matches = append(m.matches, x)
}
