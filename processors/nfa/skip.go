package nfa

import (
	"cmp"
	"math"
	"slices"

	"github.com/millrace-io/millrace/rules"
)

// release lets matches out. With a skip strategy a match waits until no run is left that began before it, for the match of that
// run might drop it.
func (m *Machine) release() {
	if m.auto.Skip == rules.SkipNone {
		m.out.Matches = append(m.out.Matches, m.matches...)
		return
	}
	if len(m.matches) == 0 && len(m.state.held) == 0 {
		return
	}
	m.hold()
	for len(m.state.held) > 0 {
		first := m.state.held[0]
		if q := m.oldest(); q != nil && q.runs[0].start() < first.Last.Start.Seq && !m.crowded() {
			return
		}
		m.changed = true
		m.state.held = m.state.held[1:]
		first.At, first.Held = m.at, m.at-first.At
		m.out.Matches = append(m.out.Matches, first)
		m.prune(first.Last)
	}
}

// crowded reports whether more matches wait than may.
func (m *Machine) crowded() bool {
	return m.auto.MaxMatches > 0 && int64(len(m.state.held)) > m.auto.MaxMatches
}

// hold adds the matches of the step to those that wait.
func (m *Machine) hold() {
	if len(m.matches) == 0 {
		return
	}
	m.changed = true
	m.state.held = append(slices.Clip(m.state.held), m.matches...)
	slices.SortStableFunc(m.state.held, func(a, b Match) int { return cmp.Compare(a.Last.Start.Seq, b.Last.Start.Seq) })
}

// prune drops the runs and waiting matches that a match leaves no room for.
func (m *Machine) prune(match *Capture) {
	bound := m.bound(match)
	if bound == math.MinInt64 {
		return
	}
	for i := range m.state.queues {
		q := &m.state.queues[i]
		n := q.upTo(q.runs, bound)
		m.skipped(q.runs[:n])
		q.runs = q.runs[n:]
	}
	m.state.held = slices.DeleteFunc(slices.Clone(m.state.held), func(x Match) bool { return x.Last.Start.Seq < bound })
}

// bound says which runs a match leaves no room for: those that began before it.
func (m *Machine) bound(match *Capture) int64 {
	switch m.auto.Skip {
	case rules.SkipNext:
		return skipNext(match)
	case rules.SkipPastLast:
		return skipPastLast(match)
	case rules.SkipToFirst:
		return skipToFirst(match, m.auto.SkipTo)
	case rules.SkipToLast:
		return skipToLast(match, m.auto.SkipTo)
	default: // rules.SkipNone
		return math.MinInt64
	}
}

// skipNext drops those that began with the same record.
func skipNext(match *Capture) int64 { return match.Start.Seq + 1 }

// skipPastLast drops those that began up to the last record of the match.
func skipPastLast(match *Capture) int64 { return match.Seq + 1 }

// skipToFirst drops those that began before the first record of the stage.
func skipToFirst(match *Capture, stage int) int64 {
	first := int64(math.MinInt64)
	for c := match; c != nil; c = c.Prev {
		if c.Stage == stage {
			first = c.Seq
		}
	}
	return first
}

// skipToLast drops those that began before the last record of the stage.
func skipToLast(match *Capture, stage int) int64 {
	for c := match; c != nil; c = c.Prev {
		if c.Stage == stage {
			return c.Seq
		}
	}
	return math.MinInt64
}
