package topologies

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// simPace is how often things happen in a seed, and how fast the clock goes.
type simPace struct {
	weights []int
	moment  int64 // ms that pass between two actions at most
	batch   int   // records of a step at most
	tardy   int   // one answer in so many is lost
}

// simAction is something that may happen next. It reports false if it could not.
type simAction struct {
	weight int
	do     func(*simulation) bool
}

// simActions are what goes on all the time, and then what goes wrong.
func simActions() []simAction {
	return []simAction{
		{40, (*simulation).actStep},
		{12, (*simulation).actAsk},
		{12, (*simulation).actTick},
		{10, (*simulation).actCommit},
		{10, (*simulation).actFollow},
		{6, (*simulation).actDeliver},
		{10, (*simulation).actWait},
		{30, (*simulation).actJoin},
		{1, (*simulation).actSleep},
		{1, (*simulation).actRebalance},
		{1, (*simulation).actCrash},
		{1, (*simulation).actFreeze},
		{4, (*simulation).actThaw},
		{1, (*simulation).actOutage},
		{1, (*simulation).actStop},
		{2, (*simulation).actStart},
		{1, (*simulation).actEvict},
		{2, (*simulation).actReach},
	}
}

func newSimPace(chance *rand.Rand) simPace {
	p := simPace{moment: pick[int64](chance, 2, 10, 40), batch: pick(chance, 1, 3, 10, 64), tardy: pick(chance, 3, 10, 1000)}
	for _, a := range simActions() {
		p.weights = append(p.weights, max(1, 4*a.weight*(1+chance.IntN(8))/(1+chance.IntN(8))))
	}
	return p
}

// play has things happen by chance until the input is there, and for a while after.
func (s *simulation) play() {
	actions, sum := simActions(), 0
	for _, w := range s.pace.weights {
		sum += w
	}
	more := s.chance.IntN(300)
	for i := 0; s.failed == "" && i < 3000 && (len(s.todo) > 0 || more > 0); i++ {
		if len(s.todo) == 0 {
			more--
		}
		s.pass(s.chance.Int64N(s.pace.moment + 1))
		at := s.chance.IntN(sum)
		for n, w := range s.pace.weights {
			if at -= w; at < 0 {
				actions[n].do(s)
				break
			}
		}
	}
}

// pass has time go by.
func (s *simulation) pass(ms int64) {
	s.now = s.now.Add(time.Duration(ms) * time.Millisecond)
	s.produce()
	for _, id := range s.log.timeOut(10 * time.Second) {
		s.note("the broker gives the transaction of %s up", id)
	}
}

// members are those that can do something.
func (s *simulation) members() (out []*simMember) {
	for _, w := range s.workers {
		for _, m := range w.members {
			if m.ready() {
				out = append(out, m)
			}
		}
	}
	return out
}

// member is one of them that f accepts, nil for none.
func (s *simulation) member(f func(*simMember) bool) *simMember {
	ms := slices.DeleteFunc(s.members(), func(m *simMember) bool { return !f(m) })
	if len(ms) == 0 {
		return nil
	}
	return ms[s.chance.IntN(len(ms))]
}

func (s *simulation) actStep() bool {
	m := s.member(func(m *simMember) bool { return len(m.claims) > 0 })
	if m == nil {
		return false
	}
	c := m.claims[s.chance.IntN(len(m.claims))]
	for _, x := range m.claims { // mostly one with records
		if m.readable(x) > 0 && (m.readable(c) <= 0 || s.chance.IntN(3) == 0) {
			c = x
		}
	}
	if !c.begun {
		m.begin(c)
		return true
	}
	return m.readable(c) > 0 && m.step(c, 1+s.chance.IntN(s.pace.batch))
}

func (s *simulation) actAsk() bool {
	m := s.member(func(m *simMember) bool { return m.asked == nil && m.timed() })
	if m == nil {
		return false
	}
	m.ask()
	if s.chance.IntN(s.pace.tardy) == 0 {
		m.asked.quiet = nil
	}
	return true
}

// timed reports whether the member has a pulse.
func (m *simMember) timed() bool {
	return m.runner.board != nil && (m.group.plan.Stateful || m.group.plan.Announces)
}

func (s *simulation) actTick() bool {
	m := s.member(func(m *simMember) bool { return m.asked != nil })
	if m != nil {
		m.tick()
	}
	return m != nil
}

func (s *simulation) actCommit() bool {
	m := s.member(func(m *simMember) bool { return m.x.committer.work.Load() > 0 })
	return m != nil && m.commit()
}

func (s *simulation) actFollow() bool {
	if len(s.workers) == 0 {
		return false
	}
	w := s.workers[s.chance.IntN(len(s.workers))]
	if w.frozen {
		return false
	}
	for i := range s.log.topics[Progress(s.options.App)] {
		if s.chance.IntN(2) == 0 {
			s.follow(w, int32(i), w.next[int32(i)]+1+s.chance.Int64N(20))
		}
	}
	return true
}

func (s *simulation) follow(w *simWorker, partition int32, to int64) {
	if err := w.follow(partition, to); err != nil {
		s.failf("%s: board: %v", w.name, err)
	}
}

// actDeliver has some records on their way arrive.
func (s *simulation) actDeliver() bool {
	m := s.member(func(m *simMember) bool { return len(m.journal.queues) > 0 })
	if m == nil {
		return false
	}
	tps := m.journal.waiting()
	tp := tps[s.chance.IntN(len(tps))]
	if s.down(tp) {
		return false
	}
	if m.journal.deliver(tp, 1+s.chance.IntN(5)) != nil {
		m.fallen()
	}
	return true
}

// actWait lets a moment go by.
func (s *simulation) actWait() bool {
	s.pass(s.chance.Int64N(8 * s.pace.moment))
	return true
}

// actJoin has members that wait get into their groups.
func (s *simulation) actJoin() bool {
	for _, w := range s.workers {
		for _, m := range w.members {
			if m.x == nil && !w.frozen && s.chance.IntN(2) == 0 {
				m.incarnate()
				return true
			}
		}
	}
	for _, g := range s.plan.Groups {
		if g := s.groups[g.Name]; len(g.due) > 0 && s.chance.IntN(2) == 0 {
			g.admit(s.chance.IntN(len(g.due)))
			return true
		} else if g.unrest && s.chance.IntN(4) == 0 {
			g.rebalance()
			return true
		}
	}
	return false
}

// admit gives a member that is due its session.
func (g *simGroup) admit(i int) {
	m := g.due[i]
	g.due = slices.Delete(g.due, i, i+1)
	if m.x != nil && m.session == nil && m.running == nil && !m.worker.frozen {
		m.setup()
	} else if m.worker.frozen {
		g.unrest = true
	}
}

// inject reports whether one more thing may go wrong.
func (s *simulation) inject(one int) bool {
	if s.faults <= 0 || s.chance.IntN(one) > 0 {
		return false
	}
	s.faults--
	return true
}

// fault decides what goes wrong at a step of a commit.
func (s *simulation) fault(j *simJournal, step simStep) simFault {
	if !s.inject(40) {
		return 0
	}
	f := simFault(1 + s.chance.IntN(int(simFaults)-1))
	s.note("%s: the commit %v %v", j.member, f, step)
	return f
}

// actSleep has nobody do anything for a while, although records come.
func (s *simulation) actSleep() bool {
	s.pass(s.chance.Int64N(4000))
	s.note("after a sleep")
	return true
}

func (s *simulation) actRebalance() bool {
	if !s.inject(8) {
		return false
	}
	s.groups[s.plan.Groups[s.chance.IntN(len(s.plan.Groups))].Name].unrest = true
	return true
}

func (s *simulation) actCrash() bool {
	if len(s.workers) == 0 || !s.inject(8) {
		return false
	}
	s.workers[s.chance.IntN(len(s.workers))].crash()
	return true
}

func (s *simulation) actFreeze() bool {
	if len(s.workers) == 0 || !s.inject(8) {
		return false
	}
	w := s.workers[s.chance.IntN(len(s.workers))]
	w.frozen = true
	s.note("%s freezes", w.name)
	for _, m := range w.members {
		m.group.unrest = m.group.unrest || s.chance.IntN(2) == 0 // the coordinator misses it
	}
	return true
}

// actThaw lets somebody go on who was frozen, hung in a commit, or has missed a generation.
func (s *simulation) actThaw() bool {
	for _, w := range s.workers {
		if w.frozen && s.chance.IntN(4) == 0 {
			s.note("%s goes on", w.name)
			w.frozen = false
			return true
		}
		for _, m := range w.members {
			switch {
			case w.frozen:
			case m.running != nil && s.chance.IntN(4) == 0:
				m.resume()
				return true
			case m.ready() && m.session.generation != m.group.generation && s.chance.IntN(4) == 0:
				m.end()
				return true
			}
		}
	}
	return false
}

// actOutage has brokers not answer, and producers not get through to them.
func (s *simulation) actOutage() bool {
	if !s.inject(8) {
		return false
	}
	until := s.now.Add(time.Duration(1600+s.chance.IntN(8000)) * time.Millisecond)
	if broker := s.chance.Int32N(5); broker < 3 {
		s.broken[broker] = until
		s.note("broker %d is away for %v", broker, until.Sub(s.now))
	} else {
		s.outage = until
		s.note("all brokers are away for %v", until.Sub(s.now))
	}
	return true
}

// actStop ends a worker in good order.
func (s *simulation) actStop() bool {
	if len(s.workers) == 0 || !s.inject(8) {
		return false
	}
	w := s.workers[s.chance.IntN(len(s.workers))]
	if w.frozen || slices.ContainsFunc(w.members, func(m *simMember) bool { return m.running != nil }) {
		return false
	}
	s.note("%s stops", w.name)
	for _, m := range w.members {
		if m.ready() {
			m.end()
		}
	}
	if slices.Contains(s.workers, w) {
		w.crash()
	}
	return true
}

// actStart starts a worker: one that is gone, or another.
func (s *simulation) actStart() bool {
	if len(s.workers) >= 4 || len(s.workers) > 0 && s.chance.IntN(8) > 0 {
		return false
	}
	if len(s.gone) > 0 && s.chance.IntN(3) > 0 {
		s.restart()
		return true
	}
	s.names++
	s.start(fmt.Sprintf("w%d", s.names), nil)
	return true
}

// restart starts a worker that is gone again, with or without what its disk held.
func (s *simulation) restart() {
	w := s.gone[0]
	s.gone = s.gone[1:]
	disk := w.disk
	if s.chance.IntN(3) == 0 {
		disk = nil
	}
	s.start(w.name, disk)
}

// actEvict drops decoded rows, as a store does that holds many.
func (s *simulation) actEvict() bool {
	m := s.member(func(m *simMember) bool { return len(m.x.stores) > 0 })
	if m == nil {
		return false
	}
	for _, st := range m.x.stores {
		if err := st.settle(); err != nil {
			s.failf("%s: %v", m, err)
		}
		st.evict(0)
	}
	return true
}

// actReach says of the source topics up to which event time they hold everything.
func (s *simulation) actReach() bool {
	if len(s.todo) == 0 {
		return false
	}
	return false
}
