package nfa

import (
	"math"
	"slices"

	"github.com/millrace-io/millrace/rules"
)

// Deed is what a step did to a run.
type Deed uint8

// The deeds.
const (
	Took    Deed = iota + 1 // it has captured the record
	Refused                 // the record does not meet the condition of the stage that the run waits for
	TooLate                 // it does, but the gap of the stage is over
	Banned                  // ended: the record is of the negated stage
	Guarded                 // ended: the greedy stage, which the run has left, can take the record
	Closed                  // ended: the record meets the until of the stage
	Broken                  // ended: the next record had to be another one
	Matched                 // it is a match, which may have to wait
	Expired                 // ended: its time is over
	Dropped                 // ended: Config.MaxPartial
	Skipped                 // ended, or no match any more: a match leaves no room for it
	Cut                     // it would be a match, but for Config.MaxMatches
)

// Note is one deed.
type Note struct {
	Deed  Deed
	Run   *Capture // what the run had captured last; nil for one that begins
	Next  *Capture // Took: the record, as a capture
	Stage int      // of Took, Refused, TooLate, Banned, Guarded and Closed
}

// Observe has the machine tell what steps do to runs, for people to read; it costs time. A record is then offered to runs that it can
// do nothing to as well. What is told of a step that fails has not happened.
func (m *Machine) Observe(tell func(Note)) { m.tell = tell }

func (m *Machine) note(d Deed, run *Capture, stage int) {
	if m.tell != nil {
		m.tell(Note{Deed: d, Run: run, Stage: stage})
	}
}

// Waiting is a run and what it waits for.
type Waiting struct {
	Last    *Capture
	Stages  []int // any of them is next
	Banned  []int // negated stages that end it
	Next    bool  // only the very next record counts
	Absence bool  // it is a match when its time is over
	Due     int64 // when its time is over, Never for none
}

// Waiting lists the runs of a state, those that began first first. One with several ways to go on is there for each.
func (m *Machine) Waiting(s *State) []Waiting {
	var out []Waiting
	for i := range s.queues {
		p := &m.auto.places[s.queues[i].place]
		for _, r := range s.queues[i].runs {
			w := Waiting{
				Last: r.last, Banned: slices.Concat(p.bans, p.firsts), Next: p.contiguity == rules.Strict, Absence: p.absence || p.next, Due: math.MaxInt64,
			}
			for _, o := range p.takes {
				w.Stages = append(w.Stages, m.auto.takes[o.take].stage)
			}
			if m.auto.Within > 0 {
				w.Due = r.last.Start.Time + m.auto.Within
			}
			if p.gap > 0 {
				w.Due = min(w.Due, r.last.Time+p.gap)
			}
			out = append(out, w)
		}
	}
	slices.SortStableFunc(out, func(a, b Waiting) int { return int(a.Last.id - b.Last.id) })
	return out
}

// Pending lists the matches that wait for runs that began before them.
func (s *State) Pending() []Match { return s.held }

// skipped notes the runs that a match leaves no room for.
func (m *Machine) skipped(some []run) {
	if m.tell != nil {
		for i := range some {
			m.note(Skipped, some[i].last, 0)
		}
	}
}
