package topologies

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/millrace-io/millrace/processors"
	"github.com/millrace-io/millrace/schemas"
)

// drain lets everything that was begun come to its end: nothing goes wrong any more, and nobody but the clock brings news.
func (s *simulation) drain() {
	s.note("nothing goes wrong any more")
	s.quiet = *simSeed == 0
	s.faults = 0
	for len(s.todo) > 0 && s.failed == "" {
		s.pass(500)
		s.round()
	}
	for s.now.Before(s.outage) || slices.ContainsFunc(simBrokers, func(b int32) bool { return s.now.Before(s.broken[b]) }) {
		s.pass(500)
	}
	s.settle()
	want := make([][]string, len(s.input))
	for i, es := range s.shape.expected(s.input) {
		want[i] = s.texts(es)
	}
	if s.shape.vague {
		s.note("a count of distinct values is an estimate: there is nothing to compare")
		return
	}
	before, still, extra := 0, 0, 0
	for s.failed == "" && extra < 4 {
		s.round()
		if s.done(want) {
			extra++
		}
		still++
		if n := s.size(); n > before {
			before, still = n, 0
			s.pass(2)
		} else {
			s.pass(1000)
		}
		if still > 300 {
			s.failf("nothing happens any more:\n%s", s.compare(want))
		}
	}
	if s.failed == "" {
		if wrong := s.compare(want); wrong != "" {
			s.failf("%s", wrong)
		}
	}
}

// size counts what lies in the topics that rules read or others do.
func (s *simulation) size() (n int) {
	for _, t := range s.plan.Topics {
		if t.Kind == DerivedTopic || t.Kind == MoveTopic {
			for _, p := range s.log.topics[t.Name] {
				n += len(p.entries)
			}
		}
	}
	return n
}

var simBrokers = []int32{0, 1, 2}

// settle has everybody there.
func (s *simulation) settle() {
	s.reached = max(s.reached, processors.Unknown)
	if s.options.Time == TimeEvents {
		s.reached = processors.Ended
	}
	for _, w := range s.workers {
		w.frozen = false
		for _, m := range w.members {
			for m.running != nil {
				m.resume()
			}
		}
	}
	for len(s.workers) == 0 || len(s.gone) > 0 && len(s.workers) < 2 {
		s.restart()
	}
	for _, g := range s.groups {
		g.unrest = true
	}
}

// round has everybody do once what there is to do.
func (s *simulation) round() {
	for _, g := range s.plan.Groups {
		s.rejoin(s.groups[g.Name])
	}
	for _, w := range s.workers {
		for i, p := range s.log.topics[Progress(s.options.App)] {
			s.follow(w, int32(i), p.end())
		}
	}
	for _, m := range s.members() {
		for _, c := range m.claims {
			for !c.begun || m.ready() && m.readable(c) > 0 {
				if !c.begun {
					m.begin(c)
				} else {
					m.step(c, 64)
				}
			}
			if !m.ready() {
				break
			}
		}
		if m.ready() && m.timed() {
			m.ask()
			m.tick()
		}
		if m.ready() {
			m.commit()
		}
	}
}

func (s *simulation) rejoin(g *simGroup) {
	for _, m := range s.membersOf(g) {
		if m.ready() && m.session.generation != g.generation {
			m.end()
		}
		if m.x == nil {
			m.incarnate()
		}
	}
	if g.unrest {
		g.rebalance()
	}
	for len(g.due) > 0 {
		g.admit(0)
	}
}

// done reports whether as much came out as there has to be.
func (s *simulation) done(want [][]string) bool {
	for _, p := range s.log.producers {
		if p.open != nil { // of somebody who is gone: it hides what lies behind
			return false
		}
	}
	if s.options.Time == TimeEvents {
		for _, m := range s.members() {
			if !m.runner.ended() {
				return false
			}
		}
		return true
	}
	for i := range s.shape.streams {
		if x := &s.shape.streams[i]; !x.source && len(s.derived(x)) < len(want[i]) {
			return false
		}
	}
	return true
}

// texts gives the records that the reference has for a stream as derived gives those of the log.
func (s *simulation) texts(es []*simEvent) (out []string) {
	for _, e := range es {
		out = append(out, e.text())
	}
	return s.sorted(out)
}

// sorted sorts what a stream holds. With at_least_once a record may be there more than once.
func (s *simulation) sorted(out []string) []string {
	slices.Sort(out)
	if s.options.Guarantee == AtLeastOnce {
		out = slices.Compact(out)
	}
	return out
}

// derived gives the committed records of a stream, as texts in the order of the reference's.
func (s *simulation) derived(x *simStream) (out []string) {
	for _, p := range s.log.topics[x.name] {
		es, _ := p.read(0, p.stable(), 1<<30)
		for _, e := range es {
			out = append(out, s.text(x, e))
		}
	}
	return s.sorted(out)
}

// text shows a record as simEvent.text does.
func (s *simulation) text(x *simStream, e *simEntry) string {
	out := simEvent{key: string(e.record.Key), id: string(header(e.message, schemas.HeaderID)), gone: e.record.Value == nil, at: e.time()}
	if !out.gone {
		_, body, err := schemas.Frame(e.record.Value)
		if err != nil {
			return err.Error()
		}
		m, err := s.shape.set.Stream(x.name).Schema.DecodeAny(body)
		if err != nil {
			return err.Error()
		}
		out.a, out.b, out.v, out.at = m["a"].(string), m["b"].(string), m["v"].(int64), m["occurred_at"].(int64)
		if t, ok := m["x"].(string); ok {
			out.x = &t
		}
		if out.id != m["event_id"] {
			return fmt.Sprintf("%s has the event id %v in its value", out.text(), m["event_id"])
		}
		if at := string(header(e.message, schemas.HeaderTime)); at != string(new(stamp).append(nil, out.at)) || e.record.Timestamp.UnixMilli() != out.at && !s.shape.far {
			return fmt.Sprintf("%s has the time %s in its header and %v as timestamp", out.text(), at, e.record.Timestamp)
		}
	}
	return out.text()
}

// time is the event time of a derived record; its timestamp is another one if that is in the far future.
func (e *simEntry) time() int64 {
	t, err := time.Parse(time.RFC3339, string(header(e.message, schemas.HeaderTime)))
	if err != nil {
		return e.record.Timestamp.UnixMilli()
	}
	return t.UnixMilli()
}

// compare says how the derived streams differ from those of the reference, "" if they do not.
func (s *simulation) compare(want [][]string) string {
	var b strings.Builder
	for i := range s.shape.streams {
		x := &s.shape.streams[i]
		if x.source {
			continue
		}
		texts := want[i]
		missing, extra := difference(texts, s.derived(x)), difference(s.derived(x), texts)
		if len(missing)+len(extra) == 0 {
			continue
		}
		fmt.Fprintf(&b, "%s: %d records, want %d\n", x.name, len(s.derived(x)), len(texts))
		for _, t := range missing[:min(6, len(missing))] {
			fmt.Fprintf(&b, "  missing %s\n", t)
		}
		for _, t := range extra[:min(6, len(extra))] {
			fmt.Fprintf(&b, "  extra   %s\n", t)
		}
	}
	return b.String()
}

// difference gives what sorted a has and sorted b has not.
func difference(a, b []string) (out []string) {
	for _, x := range a {
		for len(b) > 0 && b[0] < x {
			b = b[1:]
		}
		if len(b) > 0 && b[0] == x {
			b = b[1:]
		} else {
			out = append(out, x)
		}
	}
	return out
}

// check holds what has to be true of the logs beside the derived records themselves.
func (s *simulation) check() {
	s.checkDead()
	s.checkPromises()
}

// checkDead: the records of the far future are dead letters once, and nothing else is.
func (s *simulation) checkDead() {
	n := 0
	for _, t := range s.plan.Topics {
		if t.Kind != DeadTopic {
			continue
		}
		for _, p := range s.log.topics[t.Name] {
			es, _ := p.read(0, p.stable(), 1<<30)
			for _, e := range es {
				n++
				if code := string(header(e.message, HeaderDeadCode)); code != "implausible_time" {
					s.failf("dead letter of %s: %s: %s", header(e.message, HeaderDeadRule), code, header(e.message, HeaderDeadError))
				}
			}
		}
	}
	if n != s.absurd {
		s.failf("%d dead letters of %d records of the far future", n, s.absurd)
	}
}

// simPromise is that from an offset on a writer writes nothing older to a partition.
type simPromise struct {
	writer writerID
	from   int64
	time   int64
	of     string
}

// checkPromises: no record of a writer is older than what it has announced before, in a header or in its group's progress.
func (s *simulation) checkPromises() {
	announced := s.announcements()
	for topic, in := range s.written() {
		for i, p := range s.log.topics[topic] {
			promises := announced[topicPartition{topic, int32(i)}]
			slices.SortFunc(promises, func(a, b simPromise) int { return cmp.Compare(a.from, b.from) })
			s.checkPartition(in, topicPartition{topic, int32(i)}, p, promises)
		}
	}
}

func (s *simulation) checkPartition(in *Input, tp topicPartition, p *simPartition, promises []simPromise) {
	best := map[writerID]simPromise{}
	keep := func(x simPromise) {
		if had, ok := best[x.writer]; !ok || had.time < x.time {
			best[x.writer] = x
		}
	}
	es, _ := p.read(0, p.stable(), 1<<30)
	for _, e := range es {
		for len(promises) > 0 && promises[0].from <= e.record.Offset {
			keep(promises[0])
			promises = promises[1:]
		}
		w, ok := writerOf(e.message)
		if !ok {
			s.failf("%s/%d@%d has no writer header", tp.topic, tp.partition, e.record.Offset)
			return
		}
		id := writerID{w.Name, w.Partition}
		if x, ok := best[id]; ok && e.time() < x.time {
			s.failf("%s/%d@%d of %v is of %d, although %s says at %d that nothing older than %d comes", tp.topic, tp.partition, e.record.Offset, id, e.time(), x.of, x.from, x.time)
			return
		}
		if w.OutputTime > 0 {
			keep(simPromise{id, e.record.Offset, w.OutputTime, "its header"})
		}
	}
}

// written gives the topics whose writers are waited for.
func (s *simulation) written() map[string]*Input {
	out := map[string]*Input{}
	for _, g := range s.plan.Groups {
		for _, in := range g.Inputs {
			if in.Writers != nil {
				out[in.Topic] = in
			}
		}
	}
	return out
}

// announcements reads the progress topic.
func (s *simulation) announcements() map[topicPartition][]simPromise {
	out := map[topicPartition][]simPromise{}
	names := s.written()
	for _, p := range s.log.topics[Progress(s.options.App)] {
		es, _ := p.read(0, p.stable(), 1<<30)
		for _, e := range es {
			a, err := parseProgress(e.record.Value)
			if err != nil {
				s.failf("%v", err)
				return nil
			}
			for topic := range names {
				for i := range s.log.topics[topic] {
					for name, at := range a.Times {
						if at != processors.Unknown && !processors.IsIdle(at) {
							out[topicPartition{topic, int32(i)}] = append(out[topicPartition{topic, int32(i)}], simPromise{writerID{name, a.Partition}, a.Written[topic][int32(i)], at, "its progress"})
						}
					}
				}
			}
		}
	}
	return out
}
