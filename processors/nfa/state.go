package nfa

import "math"

// Event is a record that runs have captured. It is immutable.
type Event struct {
	Seq  int64  // its place among the captured records of the key, from 1 on
	Time int64  // event time in ms
	Body []byte // what Record.Keep gave

	first int64 // id of the first capture that has it
}

// Capture is a record in a run, and what the run had captured before. Runs share captures: a run points to its last one. It is
// immutable but for Memo.
type Capture struct {
	*Event
	Stage int
	Prev  *Capture // nil: the first
	Start *Event   // of the first
	Memo  any      // of who gives conditions: what it has found out about the captures so far

	id int64 // in the order in which they were made, from 1 on
}

// State is what the machine keeps of one key. It is immutable: a step makes another one, which shares memory with it and takes
// over what is behind the end of its lists. So of the states that are made of one only one can be used further.
type State struct {
	queues    []queue    // not empty, by place
	held      []Match    // wait for runs that began before them
	events    int64      // Seq of the last event
	captures  int64      // id of the last capture
	moved     int64      // when it was last changed
	due       int64      // see Due
	segments  []segment  // captures that are written apart, by their ids
	tail      []*Capture // the others, by their ids, and some whose runs have ended
	tailBytes int        // what writes them, at most
	packed    int64      // captures in segments
	made      uint64     // number of the last segment
	kept      int64      // captures in segments when they were last made anew
}

// queue are the runs that wait at a place, by the record that began them.
type queue struct {
	place int
	runs  []run
	soon  int64 // no gap of a run ends before it
}

type run struct {
	last      *Capture
	registers registers
}

// Runs counts the runs.
func (s *State) Runs() int {
	n := 0
	for i := range s.queues {
		n += len(s.queues[i].runs)
	}
	return n
}

// Held counts the matches that wait for runs that began before them.
func (s *State) Held() int { return len(s.held) }

// Empty reports whether the state is that of a key that nothing is known of.
func (s *State) Empty() bool { return len(s.queues) == 0 && len(s.held) == 0 }

// Time is that of the last record captured, or of the last time that the state was made to forget something; the least one if
// neither has been.
func (s *State) Time() int64 {
	if s.events == 0 {
		return math.MinInt64
	}
	return s.moved
}

// TouchDepth is how many steps Touch takes to the first run.
const TouchDepth = 3

// Touch reads a little of the memory of the state, so that it is near when a step needs it: what it gives means nothing. Each depth
// reads what the one before has found the way to.
func (s *State) Touch(depth int) int64 {
	switch {
	case depth == 0 || len(s.queues) == 0:
		return s.due
	case depth == 1 || len(s.queues[0].runs) == 0:
		return int64(s.queues[0].place)
	}
	return int64(s.queues[0].runs[0].registers[0])
}
