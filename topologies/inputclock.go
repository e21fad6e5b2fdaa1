package topologies

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/IBM/sarama"

	"github.com/millrace-io/millrace/processors"
	"github.com/millrace-io/millrace/schemas"
)

// stepClock is how far one input of a partition has come: in event time and in offsets.
type stepClock struct {
	source    *sourceClock // of a topic that goes by its records; else
	announced *announced   // of a topic whose writers announce their times
	taken     int64        // next offset to take in
	next      int64        // next offset to read: below taken while records are read again
	known     bool         // taken and next are positions, not only nothing
	restored  bool         // taken is known from the last owner, next not yet
	odd       []int64      // refused offsets that are not committed yet
	holds     []*holding   // records that wait, by offset
	committed int64        // as of the last commit, or where the group began
}

// holding is a record that some rules have not run yet.
type holding struct {
	stepper *stepper
	message *sarama.ConsumerMessage
	tasks   int // that have not
}

func newStepClock(in *Input, o *Options) stepClock {
	if in.Writers != nil {
		return stepClock{announced: newAnnounced(in.Writers)}
	}
	out := in.Stream.OutOfOrder
	if fault("order") {
		out = 0
	}
	c := newSourceClock(out, time.Duration(in.Stream.IdleAfter)*time.Millisecond, o.Pace)
	if in.Stream.Table != nil {
		c.rest = cmp.Or(o.rest, restAfter)
	}
	return stepClock{source: c}
}

// at is the input's time.
func (c *stepClock) at() int64 {
	if c.source != nil {
		return c.source.at()
	}
	return c.announced.time
}

// resting reports whether nothing has come for long.
func (c *stepClock) resting() bool { return c.source != nil && c.source.resting }

// promise is what readers of moved records are told: those of a table at rest hold nobody back, either.
func (c *stepClock) promise() int64 {
	if c.resting() {
		return max(c.at(), c.source.level)
	}
	return c.at()
}

func (c *stepClock) hear(came, now time.Time) {
	if c.source != nil {
		c.source.hear(came, now)
	}
}

// begin sets the offset at which the group reads on.
func (c *stepClock) begin(offset int64) {
	if c.known {
		return
	}
	if !c.restored || c.taken < offset { // an operator may have set the group's offset forward
		c.taken = offset
	}
	c.next, c.known, c.committed = offset, true, offset
	if c.announced != nil {
		c.announced.read(offset)
	}
}

// rereading reports whether records come that were taken in before: some of them waited, and which is not known until
// the last one is here.
func (c *stepClock) rereading() bool { return c.restored && (!c.known || c.next < c.taken) }

// took says that the record was taken in.
func (c *stepClock) took(offset int64) {
	c.next, c.known = offset+1, true
	c.taken = max(c.taken, c.next)
	if c.announced != nil {
		c.announced.read(c.next)
	}
}

// mostRefused bounds the refused offsets that are kept: they are in every progress record.
const mostRefused = 10_000

// refuse notes a record that was not taken in although rules could have read it.
func (c *stepClock) refuse(offset int64) {
	if c.odd = append(c.odd, offset); len(c.odd) > mostRefused {
		c.odd = c.odd[1:]
	}
}

// refused reports whether a record that is read again was refused: what was taken in is not beyond the largest event time.
func (c *stepClock) refused(offset, at int64) bool {
	return c.source != nil && at > c.source.latest || slices.Contains(c.odd, offset)
}

// hold keeps the committed offset before the record.
func (c *stepClock) hold(w *holding) { c.holds = append(c.holds, w) }

// release lets go of records that every rule has run.
func (c *stepClock) release() {
	n := 0
	for n < len(c.holds) && c.holds[n].tasks == 0 {
		c.holds[n] = nil
		n++
	}
	c.holds = c.holds[n:]
}

// commitable is the offset that may be committed: that of the oldest record that waits, else the next to be taken in.
func (c *stepClock) commitable() int64 {
	switch {
	case fault("offsets"):
		return c.taken
	case len(c.holds) > 0:
		return c.holds[0].message.Offset
	}
	return min(c.next, c.taken)
}

// settled notes that an offset is committed.
func (c *stepClock) settled(offset int64) {
	c.committed = offset
	c.odd = slices.DeleteFunc(c.odd, func(o int64) bool { return o < offset })
}

func (c *stepClock) progress() inputProgress {
	p := inputProgress{Taken: c.taken, Refused: c.odd, Latest: processors.Unknown, Time: c.at()}
	if c.source != nil {
		p.Latest, p.Time = c.source.latest, c.source.time
	}
	return p
}

func (c *stepClock) restore(p inputProgress, answered time.Time) {
	c.odd = slices.Clone(p.Refused)
	c.taken, c.restored = p.Taken, true
	if c.source != nil {
		c.source.restore(p.Latest, p.Time, answered)
	}
}

// position is the place of the arrival in the total order of a rule that reads it as its input number i.
func (a *arrival) position(s *stepper, i int) processors.Position {
	p := processors.Position{Time: a.event.Time, Input: i}
	if s.clock.source != nil {
		p.Offset = a.source.message.Offset
		return p
	}
	o := a.source.origin()
	w := &a.source.writer
	p.Stream, p.Key, p.ID, p.Offset, p.Rule, p.Ordinal = o.Stream, o.Key, o.EventID, o.Offset, w.Rule, w.Ordinal
	if p.Rule == "" && !s.Rekeyed {
		p.Rule = w.Name
	}
	if p.ID != "" { // keyless origins compare by their event id: their place in the topic depends on the partitions
		p.Offset = 0
	}
	p.Local = a.source.message.Offset
	p.Event = strings.ToValidUTF8(string(header(a.source.message, schemas.HeaderID)), "?") // as progress records have it
	return p
}
