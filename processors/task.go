package processors

import (
	"container/heap"
	"math"

	"github.com/millrace-io/millrace/rules"
)

// Times that are none. A time T of an input promises that no record below T will come from it.
const (
	Unknown int64 = math.MinInt64 // nothing is promised
	idle    int64 = 1 << 62       // and more: see IdleAt
	Ended   int64 = math.MaxInt64 // no record will come any more
)

// IdleAt is the time of an input that was never heard of, and was still empty when others had reached the time at. It moves
// no time itself, but it holds back what others move beyond at: its first record may have come since.
func IdleAt(at int64) int64 { return idle + max(0, at) }

// IsIdle reports whether the time is that of an input that was never heard of.
func IsIdle(time int64) bool { return time >= idle && time != Ended }

// Level is the time up to which an input with that time holds nobody back.
func Level(time int64) int64 {
	if IsIdle(time) {
		return time - idle
	}
	return time
}

// Slower is the time of two inputs together. It is idle only if both are.
func Slower(a, b int64) int64 {
	if IsIdle(a) != IsIdle(b) && a != Ended && b != Ended {
		return min(Level(a), Level(b))
	}
	return min(a, b)
}

// Task runs one rule over one partition in event time: it keeps the operator's time, holds records back until those that
// sort before them have run, says what is due, and what is late (DESIGN §6). It steps nothing itself: who uses it steps the
// operator, writes the outputs, applies the changes and hands them to Applied.
//
//	task.SetTime(input, time)              // whenever an input's time changes
//	for task.Next(&due) { ... }            // until it is false: Fire or Step what is due, then Applied
//	switch task.Offer(position, ...) { ... } // for every record
type Task struct {
	Large int // a deadline with more rows is fired in parts, so that a transaction need not hold all of them; default 4096

	rule    *rules.Rule
	warmer  Warmer
	timed   Timed // nil: nothing comes due
	ordered bool
	sources []bool  // per input: a source topic, where records of equal time come in their order
	delay   int64   // ms that records wait longer than the order of time asks for
	times   []int64 // per input, less delay
	clock   int64
	before  int64    // the clock before all inputs ended
	last    Position // of the latest record that ran in order
	ran     bool
	waiting waitingHeap
	due     calendar
	fired   Fired
	cold    int      // rows until Warm has to be called again
	reads   int64    // what Warm returned: so that its reads are made
	firing  []*Row   // rows of the deadline fired.At that have to be fired yet
	parts   [][]*Row // the rest of a large deadline
	held    bool     // nothing runs or is fired
	running int64    // least event time of what comes of the record or row that Next gave, Never for none
}

// Fired is how far deadlines have been fired: all before At, and at At those of rows whose part is at most Part.
type Fired struct {
	At   int64
	Part int // 1 to lastPart
}

const (
	largeDeadline = 4096
	lastPart      = 255
)

func part(key string) int {
	h := uint32(2166136261)
	for i := range len(key) {
		h = (h ^ uint32(key[i])) * 16777619
	}
	return max(1, int(h>>24)) // 1 to lastPart
}

// through is the deadline up to which the row has been fired.
func (f Fired) through(key string) int64 {
	if f.Part == lastPart || part(key) <= f.Part {
		return f.At
	}
	return f.At - 1
}

// TaskState is what a task hands on to the next owner of its partition.
type TaskState struct {
	Clock    int64
	Fired    Fired
	Ran      bool
	Position Position // valid if Ran
}

// NewTask makes the task of an operator. sources says per input of the rule whether it is a source topic: there records
// of one event time come in their order, while those of several writers have to be waited for.
func NewTask(op Operator, sources []bool) *Task {
	t := &Task{Large: largeDeadline, rule: op.Rule(), ordered: op.Rule().Ordered(), sources: sources, clock: Unknown, before: Unknown, running: Never, fired: Fired{At: Unknown, Part: lastPart}}
	if t.rule.Kind == rules.Lookup || t.rule.Kind == rules.Detection { // their lateness is how long they wait for what is late
		t.delay = t.rule.Lateness
	}
	t.timed, _ = op.(Timed)
	t.warmer, _ = op.(Warmer)
	t.times = make([]int64, len(sources))
	for i := range t.times {
		t.times[i] = Unknown
	}
	return t
}

// Restore takes over what the last owner of the partition has handed on. Rows that are due have to be given to Restored.
func (t *Task) Restore(s TaskState) {
	t.clock, t.fired, t.ran, t.last = s.Clock, s.Fired, s.Ran, s.Position
	if t.fired.At > t.clock { // the end of bounded input fires what time has not reached
		t.clock = t.fired.At
	}
}

// State is what the next owner has to know. It may be taken when Divisible.
func (t *Task) State() TaskState {
	clock := t.clock
	if clock == Ended { // the end of a bounded input is not the end of time
		clock = max(t.before, t.fired.At)
	}
	return TaskState{Clock: min(clock, maxClock), Fired: t.fired, Ran: t.ran, Position: t.last}
}

// maxClock is the largest time that is handed on.
const maxClock = 253402300799999

// Restored registers a row that was read back. The runtime gives every row of the rule's state, in any order.
func (t *Task) Restored(r *Row) {
	if t.timed != nil {
		t.register(r, t.fired)
	}
}

func (t *Task) register(r *Row, fired Fired) {
	if c, ok := r.Value.(DueCell); ok {
		t.due.add(r, c.Due(fired.through(r.Key)))
	}
}

// SetTime sets the time of an input. The operator's time is the least of its inputs' and never goes back.
func (t *Task) SetTime(input int, time int64) {
	time = t.delayed(time)
	if t.times[input] == time {
		return
	}
	t.times[input] = time
	if least := t.slowest(); !IsIdle(least) && least > t.clock {
		if least == Ended {
			t.before = t.clock
		}
		t.clock = least
	}
}

// delayed is the time of an input as the task takes it.
func (t *Task) delayed(time int64) int64 {
	switch {
	case t.delay == 0, time == Unknown, time == Ended:
		return time
	case IsIdle(time):
		return IdleAt(Level(time) - t.delay)
	}
	return time - t.delay
}

func (t *Task) slowest() int64 {
	least := Ended
	for _, x := range t.times {
		least = Slower(least, x)
	}
	return least
}

// Hold keeps everything from running or being fired, but records without an order, until it is called with false: while
// records that waited under a former owner are read again.
func (t *Task) Hold(on bool) { t.held = on }

// Clock is the operator's time: Unknown before all inputs have one.
func (t *Task) Clock() int64 { return t.clock }

// Time is the time of an input, as last set, less what the rule waits for late rows.
func (t *Task) Time(input int) int64 { return t.times[input] }

// Waiting counts the records that wait.
func (t *Task) Waiting() int { return len(t.waiting) }

// Deadline is the earliest deadline, Never for none.
func (t *Task) Deadline() int64 {
	if len(t.firing) > 0 || len(t.parts) > 0 {
		return t.fired.At
	}
	return t.due.first()
}

// Wanted is the earliest event time of its inputs at which the task has something to do: Never for none.
func (t *Task) Wanted() int64 {
	d := t.Deadline()
	if len(t.waiting) > 0 {
		d = min(d, t.waiting[0].Position.Time+1) // it may wait for others at its own time
	}
	if d == Never {
		return Never
	}
	return d + t.delay
}

// OutputTime promises that no later output of the task has a smaller event time, unless a late record caused it.
func (t *Task) OutputTime() int64 {
	if t.held && t.ordered { // what else waits is not known yet
		return Unknown
	}
	out := t.clock
	if out == Unknown {
		return t.slowest() // Unknown, or idle
	}
	out = min(out, t.running)
	if len(t.waiting) > 0 {
		out = min(out, t.waiting[0].Position.Time)
	}
	if t.timed != nil {
		if lag, d := t.timed.Lag(), t.Deadline(); lag >= 0 && d != Never {
			out = min(out, d-lag)
		}
	}
	return out
}

// Verdict says what to do with a record that has come.
type Verdict uint8

// The verdicts.
const (
	Run  Verdict = iota + 1 // step it now
	Wait                    // Next will give it when those before it have run
	Skip                    // it was processed before: a record read again
)

// Offer takes a record that was read. reread says that the record was taken in before, by this or a former owner. ref is
// what Next hands back if the record has to wait.
func (t *Task) Offer(p *Position, reread bool, ref any) Verdict {
	if !t.ordered {
		if reread {
			return Skip
		}
		return Run
	}
	if t.ran && p.Compare(&t.last) <= 0 {
		if reread {
			return Skip
		}
		return Run // out of order: whether it is late is for the operator to say
	}
	if t.held || !t.runnable(p) || len(t.waiting) > 0 && t.waiting[0].Position.Compare(p) < 0 {
		heap.Push(&t.waiting, Waiting{*p, ref})
		return Wait
	}
	t.last, t.ran = *p, true
	return Run
}

// runnable reports whether nothing that sorts before p can still come.
func (t *Task) runnable(p *Position) bool {
	for i, at := range t.times {
		switch at := Level(at); {
		case at > p.Time:
		case at == p.Time && (i == p.Input && t.sources[i] || i > p.Input):
		default:
			return false
		}
	}
	return true
}

// Frontier is the time up to which everything has been fired and run: the Event.Clock of a record that Offer lets run.
func (t *Task) Frontier() int64 {
	at := t.clock
	if len(t.waiting) > 0 {
		at = min(at, t.waiting[0].Position.Time)
	}
	if d := t.Deadline(); d <= at { // it is held, or time goes on in steps
		at = d - 1
	}
	return max(t.fired.At, at)
}

// Waiting is a record that waited.
type Waiting struct {
	Position Position
	Ref      any
}

// Due is what Next gives: a row to be fired at its deadline, or, with Row nil, a record to be stepped.
type Due struct {
	Row    *Row
	At     int64 // the deadline; of a record the Event.Clock
	Record Waiting
}

// Next gives what is due at the operator's time, in the order of event time: deadlines come before records of their time.
// It reports false when nothing is.
func (t *Task) Next(d *Due) bool {
	t.running = Never
	if t.held {
		return false
	}
	for {
		if row := t.row(); row != nil {
			d.Row, d.At = row, t.fired.At
			if lag := t.timed.Lag(); lag >= 0 { // its next deadline is not registered yet
				t.running = t.fired.At - lag
			}
			return true
		}
		at := t.due.first()
		if len(t.waiting) > 0 && t.waiting[0].Position.Time < at {
			if !t.runnable(&t.waiting[0].Position) {
				t.pass()
				return false // a new owner has the time of the last one before its inputs have come there
			}
			d.Row, d.Record = nil, heap.Pop(&t.waiting).(Waiting)
			t.last, t.ran, t.running = d.Record.Position, true, d.Record.Position.Time
			d.At = max(t.running, t.fired.At) // a late record that had to wait does not open again what was closed
			return true
		}
		if at > t.clock || at == Never {
			t.pass()
			return false
		}
		t.begin(at)
	}
}

// pass notes that nothing is due up to the operator's time: what is registered later is due later. A new owner begins with
// the time of the last one, but knows only when its inputs have come there what waits.
func (t *Task) pass() {
	at := min(t.clock, t.slowest())
	if len(t.waiting) > 0 {
		at = min(at, t.waiting[0].Position.Time)
	}
	if at > t.fired.At && at != Ended {
		t.fired = Fired{At: at, Part: lastPart}
	}
}

// row takes the next row of the deadline that is being fired, nil for none.
func (t *Task) row() *Row {
	for {
		for len(t.firing) > 0 {
			if t.cold--; t.cold < 0 && t.warmer != nil {
				t.reads += t.warmer.Warm(t.firing)
				t.cold = WarmMost - 1
			}
			r := t.firing[0]
			t.firing = t.firing[1:]
			if !r.taken(t.fired.At) {
				continue // fired by another entry, or registered earlier since
			}
			if r.Gone || t.IsDue(r, t.fired.At) {
				return r
			}
			t.FiredRow(r, t.fired.At)
		}
		if len(t.parts) == 0 {
			return nil
		}
		t.firing, t.parts = t.parts[0], t.parts[1:]
		t.fired.Part++
	}
}

// begin takes up the deadline at.
func (t *Task) begin(at int64) {
	rows := t.due.take()
	t.fired = Fired{At: at, Part: lastPart}
	if len(rows) <= t.Large {
		t.firing = rows
		return
	}
	parts := make([][]*Row, lastPart+1)
	for _, r := range rows {
		parts[r.part] = append(parts[r.part], r)
	}
	t.fired.Part, t.firing, t.parts = 1, parts[1], parts[2:]
}

// Divisible reports whether State can be taken: no part of a deadline is half fired.
func (t *Task) Divisible() bool { return len(t.firing) == 0 }

// IsDue reports whether the deadline at is one of the row's. It has to be asked of a row that replaces one that is Gone.
func (t *Task) IsDue(r *Row, at int64) bool {
	c, ok := r.Value.(DueCell)
	return ok && c.Due(at-1) == at
}

// FiredRow says that the row that Next gave has been fired at its deadline, whether or not its results could be written:
// the row is registered for its next one.
func (t *Task) FiredRow(r *Row, at int64) {
	if c, ok := r.Value.(DueCell); ok {
		t.due.add(r, c.Due(at))
	}
}

// Applied registers the rows that a step has changed, after the changes have been applied.
func (t *Task) Applied(changes []Change) {
	if t.timed == nil {
		return
	}
	for i := range changes {
		t.register(changes[i].Row, t.fired)
	}
}

// waitingHeap has the record that sorts first in front.
type waitingHeap []Waiting

func (h waitingHeap) Len() int           { return len(h) }
func (h waitingHeap) Less(i, j int) bool { return h[i].Position.Compare(&h[j].Position) < 0 }
func (h waitingHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *waitingHeap) Push(x any)        { *h = append(*h, x.(Waiting)) }
func (h *waitingHeap) Pop() any {
	old := *h
	n := len(old) - 1
	x := old[n]
	old[n] = Waiting{}
	*h = old[:n]
	return x
}
