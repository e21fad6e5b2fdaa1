package topologies

import (
	"time"

	"github.com/millrace-io/millrace/processors"
)

// sourceClock is the time of one partition of a source topic (DESIGN §6): the largest event time less the stream's
// out_of_order, and in proven silence the wall time that goes by. It promises that no record below it will come. It
// reads no clock itself: moments of the wall clock are given to it.
type sourceClock struct {
	outOfOrder int64         // ms
	idleAfter  time.Duration // silence before time goes on by itself
	pace       float64       // event time per wall time

	latest  int64     // largest event time taken in; Unknown before
	time    int64     // the promise
	heard   time.Time // when the last record was taken in, or silence began to count
	stood   int64     // the promise then
	asked   time.Time // when the broker was last asked
	patient time.Duration
	idle    bool  // never heard of, and empty
	level   int64 // event time that others had reached when it was last empty, less outOfOrder
	ended   bool
}

// at is the time as tasks and readers see it.
func (c *sourceClock) at() int64 {
	switch {
	case c.ended:
		return processors.Ended
	case c.idle && c.time == processors.Unknown:
		return processors.IdleAt(c.level)
	}
	return c.time
}

// outage is how long the broker may leave a question unanswered before the silence does not count any more; what may
// have been held up by then arrives first, so that the silence has to last that much longer (at most longestPatience).
const (
	outage          = 1500 * time.Millisecond
	longestPatience = 10 * time.Second
)

func newSourceClock(outOfOrder int64, idleAfter time.Duration, pace float64) *sourceClock {
	return &sourceClock{outOfOrder: outOfOrder, idleAfter: idleAfter, pace: pace, latest: processors.Unknown, time: processors.Unknown}
}

// restore goes on from the promise that the partition's last owner gave.
func (c *sourceClock) restore(latest, promise int64) {
	c.latest, c.time, c.stood = latest, promise, promise
}

// record takes the event time of a record in and reports whether the promise goes on.
func (c *sourceClock) record(at int64) bool {
	if at <= c.latest {
		return false
	}
	c.latest = at
	if at -= c.outOfOrder; at <= c.time {
		return false
	}
	c.time = at
	return true
}

// hear notes that records were taken in at the moment now.
func (c *sourceClock) hear(now time.Time) {
	c.heard, c.stood, c.asked, c.patient = now, c.time, now, 0
}

// silent takes the broker's answer that nothing lies beyond what was taken in, to a question sent at the moment sent, when
// others had reached the event time present. Only what had been appended before is known, so that time goes on to that
// moment, less half of idle_after: what was on its way then is not late.
func (c *sourceClock) silent(sent time.Time, present int64) {
	if c.heard.IsZero() {
		c.hear(sent)
		if c.time != processors.Unknown {
			c.patient = outage // whatever ended the former owner may have held records up, too
		}
		return
	}
	if gap := sent.Sub(c.asked); gap > outage && c.patient < longestPatience {
		patient := min(gap, longestPatience)
		c.hear(sent)
		c.patient = patient
		return
	}
	c.asked = sent
	elapsed := sent.Sub(c.heard) - c.patient
	if elapsed < c.idleAfter {
		return
	}
	if c.idle = c.time == processors.Unknown; c.idle {
		if present != processors.Unknown {
			c.level = max(c.level, present-c.outOfOrder)
		}
		return
	}
	c.time = max(c.time, c.stood+int64(float64(elapsed-c.idleAfter/2)/float64(time.Millisecond)*c.pace))
}

// reaches is when time gets to at by silence alone: the moment to ask the broker. The zero time means at once.
func (c *sourceClock) reaches(at int64) time.Time {
	if c.heard.IsZero() || c.time == processors.Unknown {
		return time.Time{}
	}
	wait := time.Duration(float64(at-c.stood) / c.pace * float64(time.Millisecond))
	return c.heard.Add(c.patient + max(c.idleAfter, wait+c.idleAfter/2))
}
