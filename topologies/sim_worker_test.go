package topologies

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/IBM/sarama"
	"github.com/syndtr/goleveldb/leveldb"
	"github.com/syndtr/goleveldb/leveldb/opt"
	lstorage "github.com/syndtr/goleveldb/leveldb/storage"
	"github.com/twmb/franz-go/pkg/kgo"
)

// simWorker is a process: what the groups of a worker share.
type simWorker struct {
	sim     *simulation
	name    string
	board   *board
	next    map[int32]int64 // of the progress topic: what the board has read
	started map[int32]int64 // its ends when the process began
	disk    map[string]lstorage.Storage
	members []*simMember
	frozen  bool
}

// simMember is a group in a worker.
type simMember struct {
	sim    *simulation
	worker *simWorker
	group  *simGroup
	runner *runner

	x       *incarnation // nil: it has failed, and the next one has not begun
	journal *simJournal
	handler *handler
	session *simSession // nil: it waits for one
	claims  []*simClaim
	asked   *answers      // on their way
	running chan struct{} // closed when the call that hangs has returned
	then    func()        // what comes after that
}

// simSession stands in for sarama's.
type simSession struct {
	ctx        context.Context //nolint:containedctx // sarama's sessions have one
	cancel     context.CancelFunc
	id         string
	generation int32
	claims     map[string][]int32
}

func (s *simSession) Claims() map[string][]int32                  { return s.claims }
func (s *simSession) MemberID() string                            { return s.id }
func (s *simSession) GenerationID() int32                         { return s.generation }
func (s *simSession) MarkOffset(string, int32, int64, string)     {}
func (s *simSession) Commit()                                     {}
func (s *simSession) ResetOffset(string, int32, int64, string)    {}
func (s *simSession) MarkMessage(*sarama.ConsumerMessage, string) {}
func (s *simSession) Context() context.Context                    { return s.ctx }

// simClaim is a partition that a member reads.
type simClaim struct {
	topicPartition
	initial int64
	next    int64 // what is fetched next
	begun   bool
}

func (c *simClaim) Topic() string                            { return c.topic }
func (c *simClaim) Partition() int32                         { return c.partition }
func (c *simClaim) InitialOffset() int64                     { return c.initial }
func (c *simClaim) HighWaterMarkOffset() int64               { return 0 }
func (c *simClaim) Messages() <-chan *sarama.ConsumerMessage { return nil }

// simGoka stands in for goka: in a session it opens the stores of its partitions, and closes them.
type simGoka struct{ member *simMember }

// Setup implements sarama.ConsumerGroupHandler.
func (g *simGoka) Setup(s sarama.ConsumerGroupSession) error {
	if !g.member.group.plan.Stateful {
		return nil
	}
	for _, part := range claimed(s.Claims()) {
		st, err := g.member.store(part)
		if err != nil {
			return err
		}
		if err := st.Open(); err != nil {
			return err
		}
	}
	return nil
}

// Cleanup implements sarama.ConsumerGroupHandler.
func (g *simGoka) Cleanup(sarama.ConsumerGroupSession) error {
	x := g.member.x
	for _, part := range claimed(g.member.session.claims) {
		if st := x.stores[part]; st != nil {
			if err := st.Close(); err != nil {
				return err
			}
		}
	}
	return nil
}

// ConsumeClaim implements sarama.ConsumerGroupHandler.
func (*simGoka) ConsumeClaim(sarama.ConsumerGroupSession, sarama.ConsumerGroupClaim) error {
	return errNotUsed
}

// simLevel keeps local copies small in memory.
var simLevel = opt.Options{WriteBuffer: 8 << 10, DisableBlockCache: true, DisableBufferPool: true, NoSync: true}

// store opens the local copy of a partition: what is left of an older one of this process, or nothing.
func (m *simMember) store(part int32) (*store, error) {
	table := m.group.plan.Table()
	name := fmt.Sprintf("%s/%d", table, part)
	if m.worker.disk[name] == nil {
		m.worker.disk[name] = lstorage.NewMemStorage()
	}
	o := simLevel
	db, err := leveldb.Open(m.worker.disk[name], &o)
	if err != nil {
		return nil, err
	}
	st, err := m.x.storeOver(db, table, part)
	if err != nil {
		return nil, err
	}
	m.x.stores[part] = st
	return st, nil
}

func (s *simulation) newWorker(name string, disk map[string]lstorage.Storage) *simWorker {
	w := &simWorker{sim: s, name: name, board: newBoard(s.plan, s.options.Logger), next: map[int32]int64{}, started: map[int32]int64{}, disk: disk}
	for i, p := range s.log.topics[Progress(s.options.App)] {
		w.started[int32(i)] = p.end()
	}
	o := *s.options
	o.Instance = name
	for _, g := range s.plan.Groups {
		m := &simMember{sim: s, worker: w, group: s.groups[g.Name]}
		m.runner = &runner{
			options: &o, plan: g, logger: o.Logger, metrics: s.metrics.group(g.Name), decoders: s.decoders, targets: s.targets,
			topics: o.topics, constants: newConstants(&o, g), now: s.clock, reached: func() int64 { return s.reached },
		}
		if s.plan.Timed() {
			m.runner.board = w.board
		}
		w.members = append(w.members, m)
	}
	return w
}

// follow reads announcements up to an offset.
func (w *simWorker) follow(partition int32, to int64) error {
	p := w.sim.log.partition(topicPartition{Progress(w.sim.options.App), partition})
	to = min(to, p.stable())
	es, next := p.read(w.next[partition], to, 1<<30)
	if next <= w.next[partition] {
		return nil
	}
	rs := make([]*kgo.Record, len(es))
	for i, e := range es {
		rs[i] = e.record
	}
	w.next[partition] = next
	return w.board.take(rs, partition, next, next <= w.started[partition])
}

// incarnate begins a new life of the group in this process: it fences the one before.
func (m *simMember) incarnate() {
	_, cancel := context.WithCancelCause(context.Background())
	m.x = m.runner.newIncarnation(cancel, func() {})
	m.journal = newSimJournal(m, m.x.fail)
	m.x.journal = m.journal
	m.handler = &handler{goka: &simGoka{m}, run: m.x}
	m.runner.alive = m.x
	m.group.knock(m)
}

// setup begins a session with what the group has assigned.
func (m *simMember) setup() {
	g := m.group
	ctx, cancel := context.WithCancel(context.Background())
	g.joins++
	m.session = &simSession{ctx: ctx, cancel: cancel, id: fmt.Sprintf("%s-%d", m.worker.name, g.joins), generation: g.generation, claims: map[string][]int32{}}
	g.ids[m.worker.name] = m.session.id
	m.claims, m.asked = nil, nil
	for n := range g.plan.Partitions {
		if g.owners[n] != m.worker.name {
			continue
		}
		for _, in := range g.plan.Inputs {
			tp := topicPartition{in.Topic, n}
			m.session.claims[in.Topic] = append(m.session.claims[in.Topic], n)
			m.claims = append(m.claims, &simClaim{topicPartition: tp, initial: g.position(tp)})
		}
	}
	m.sim.note("%s: session %s of generation %d with %v", m, m.session.id, g.generation, claimed(m.session.claims))
	if err := m.handler.Setup(m.session); err != nil {
		m.x.fail(err)
		m.fallen()
	}
}

// begin begins to read a claim.
func (m *simMember) begin(c *simClaim) {
	if err := m.x.begin(m.session.ctx, c); err != nil {
		m.x.fail(err)
		m.fallen()
		return
	}
	c.begun, c.next = true, c.initial
}

// ready reports whether the member can do anything.
func (m *simMember) ready() bool {
	return m.x != nil && m.session != nil && m.running == nil && !m.worker.frozen
}

// readable counts what lies before the member in a claim.
func (m *simMember) readable(c *simClaim) int64 {
	if !c.begun || m.sim.down(c.topicPartition) || m.full(c) {
		return 0
	}
	return m.sim.log.partition(c.topicPartition).stable() - c.next
}

// full reports whether the runtime holds the claim back.
func (m *simMember) full(c *simClaim) bool {
	p := m.x.parts[c.partition]
	return p != nil && p.stepper(c.topic).full.Load()
}

// step steps up to n records of a claim and reports whether anything was done.
func (m *simMember) step(c *simClaim, n int) bool {
	p := m.sim.log.partition(c.topicPartition)
	es, next := p.read(c.next, p.stable(), n)
	if len(es) == 0 {
		c.next = next
		return false
	}
	ms := make([]*sarama.ConsumerMessage, len(es))
	for i, e := range es {
		ms[i] = e.message
	}
	took, err := m.x.step(m.runner.input(c.topic), c.topic, c.partition, ms, m.runner.now())
	m.sim.note("%s: %d of %d records of %s/%d from %d on", m, took, len(ms), c.topic, c.partition, c.next)
	switch {
	case err != nil || m.x.failure() != nil:
		m.fallen()
		return true
	case took == len(ms):
		c.next = next
	case took > 0:
		c.next = ms[took].Offset
	}
	return true
}

// ask asks about the partitions that the runtime wants to know of; the answer is what the brokers know now.
func (m *simMember) ask() {
	a := m.x.asking()
	a.quiet = map[topicPartition]bool{}
	for tp, taken := range m.x.questions(a) {
		if !m.sim.down(tp) {
			a.quiet[tp] = m.sim.log.partition(tp).empty(taken)
		}
	}
	m.asked = a
}

// tick has time go on by the answer.
func (m *simMember) tick() {
	a := m.asked
	m.asked = nil
	ps := m.x.partitions()
	slices.SortFunc(ps, func(p, q *partition) int { return int(p.number - q.number) })
	if len(a.quiet) > 0 {
		m.sim.note("%s: answers about %d of %d partitions, %v old", m, len(a.quiet), len(a.asked), m.sim.now.Sub(a.sent))
	}
	for _, p := range ps {
		if err := m.x.tick(p, a); err != nil || m.x.failure() != nil {
			m.fallen()
			return
		}
	}
}

// commit commits, if there is anything that the committer would commit.
func (m *simMember) commit() bool {
	if m.x.committer.work.Load() == 0 {
		return false
	}
	x := m.x
	m.call(func() {
		if err := x.commit(); err != nil {
			x.fail(err)
		}
	}, func() {
		m.sim.note("%s: commit: %v", m, x.failure())
		if x.failure() != nil {
			m.fallen()
		}
	})
	return true
}

// call runs f, which may hang in a commit: the simulation then goes on without it, until resume.
func (m *simMember) call(f, then func()) {
	done := make(chan struct{})
	m.running, m.then = done, then
	go func() {
		defer close(done)
		f()
	}()
	m.wait()
}

func (m *simMember) wait() {
	select {
	case step := <-m.journal.hung:
		m.sim.note("%s hangs %v", m, step)
	case <-m.running:
		m.running = nil
		m.then()
	}
}

// resume lets the call that hangs go on.
func (m *simMember) resume() {
	m.sim.note("%s goes on", m)
	m.journal.resume <- struct{}{}
	m.wait()
}

// end ends the session, as a rebalance or a shutdown does: the last commit, or an abort.
func (m *simMember) end() {
	m.session.cancel()
	x := m.x
	var err error
	m.call(func() { err = m.handler.Cleanup(m.session) }, func() {
		m.session, m.claims, m.asked = nil, nil, nil
		m.sim.note("%s: session ended: %v", m, err)
		if x.failure() != nil {
			m.lost()
		} else {
			m.group.knock(m)
		}
	})
}

// fallen ends an incarnation that has failed.
func (m *simMember) fallen() {
	if m.session != nil {
		m.end()
		return
	}
	m.lost()
}

// lost drops the incarnation. Nothing but injected faults may have led to it.
func (m *simMember) lost() {
	if err := m.x.failure(); !errors.Is(err, errSimFault) && !errors.Is(err, errSimFenced) {
		m.sim.failf("%s failed: %v", m, err)
	}
	crashed := m.journal.dead
	m.x, m.session, m.claims = nil, nil, nil
	if crashed {
		m.worker.crash()
	}
}

// crash ends the process on the spot.
func (w *simWorker) crash() {
	w.sim.note("%s crashes", w.name)
	w.sim.workers = slices.DeleteFunc(w.sim.workers, func(x *simWorker) bool { return x == w })
	w.sim.gone = append(w.sim.gone, w)
	for _, m := range w.members {
		m.drop()
	}
}

// drop forgets a member without a word to anybody.
func (m *simMember) drop() {
	m.group.leave(m)
	if m.x == nil {
		return
	}
	m.journal.dead = true
	m.then = func() {}
	for m.running != nil {
		m.resume()
	}
	for _, st := range append(m.x.closing, storesOf(m.x)...) {
		if err := st.shut(); err != nil {
			m.sim.failf("%s: %v", m, err)
		}
	}
	m.x, m.session = nil, nil
}

func storesOf(x *incarnation) (out []*store) {
	for _, st := range x.stores {
		out = append(out, st)
	}
	return out
}

func (m *simMember) String() string { return m.worker.name + " " + m.group.plan.Name }
