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

	latest  int64         // largest event time taken in; Unknown before
	time    int64         // the promise
	heard   time.Time     // when the last record was taken in, or silence began to count
	stood   int64         // the promise then
	asked   time.Time     // when the broker was last asked, and has answered
	posed   time.Time     // when it was last asked at all
	silence time.Time     // when it was last asked and there was nothing: what was taken in later has come later
	away    bool          // it has not answered since
	owner   bool          // a new one, that has heard nothing yet
	resume  time.Time     // before that, silence does not count: what an outage held up comes first
	rest    time.Duration // of a table: the silence after which it rests; 0 = never
	resting bool          // nothing has come for that long, and nothing lies at the broker
	idle    bool          // never heard of, and empty
	level   int64         // event time that others had reached when it was last empty, less outOfOrder
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

// What an outage held up arrives when it is over: from then on silence does not count for as long as the broker gave no
// answers, at most longestPatience; and for takeover when the partition has a new owner, because nobody knows what ended the
// former one.
const (
	takeover        = 1500 * time.Millisecond
	longestPatience = 10 * time.Second
)

func newSourceClock(outOfOrder int64, idleAfter time.Duration, pace float64) *sourceClock {
	return &sourceClock{outOfOrder: outOfOrder, idleAfter: idleAfter, pace: pace, latest: processors.Unknown, time: processors.Unknown}
}

// restore goes on from the promise that the partition's last owner gave. answered is when this worker last had an answer of a
// broker, zero for never: what ended the last owner may be an outage that was there for all.
func (c *sourceClock) restore(latest, promise int64, answered time.Time) {
	c.latest, c.time, c.stood, c.asked = latest, promise, promise, answered
	c.away = promise != processors.Unknown
	c.owner = c.away
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

// hear notes that records were taken in at the moment now, which had come by the moment came.
func (c *sourceClock) hear(came, now time.Time) {
	if c.away {
		patience := takeover
		if !c.asked.IsZero() {
			patience = min(now.Sub(c.asked), longestPatience)
		}
		if c.owner {
			patience = max(patience, takeover)
		}
		c.away, c.owner, c.resume = false, false, now.Add(patience)
	}
	c.heard, c.stood, c.asked, c.resting = latest(came, c.silence), c.time, now, false
}

// unanswered notes that the broker did not answer.
func (c *sourceClock) unanswered() { c.away = true }

// since is when the silence began that counts.
func (c *sourceClock) since() time.Time {
	if c.resume.After(c.heard) {
		return c.resume
	}
	return c.heard
}

// silent takes the broker's answer that nothing lies beyond what was taken in, to a question sent at the moment sent, when
// others had reached the event time present. Only what had been appended before is known, so that time goes on to that
// moment, less half of idle_after: what was on its way then is not late.
func (c *sourceClock) silent(sent time.Time, present int64) {
	if c.heard.IsZero() || c.away {
		c.hear(sent, sent)
		return
	}
	c.asked, c.silence = sent, latest(sent, c.silence)
	elapsed := sent.Sub(c.since())
	if elapsed < c.idleAfter {
		return
	}
	c.resting = c.rest > 0 && elapsed >= c.rest
	if c.idle = c.time == processors.Unknown; c.idle {
		if present != processors.Unknown {
			c.level = max(c.level, present-c.outOfOrder)
		}
		return
	}
	if c.resting {
		c.level = max(c.level, present)
	}
	c.time = max(c.time, c.stood+int64(float64(elapsed-c.idleAfter/2)/float64(time.Millisecond)*c.pace))
}

// restAfter is the silence after which a table holds nobody back any more: what is written to it now and then, or was once, has
// an event time that the records that look it up have long passed.
const restAfter = time.Second

// longestWait is as long as a time that silence reaches some day is away.
const longestWait = 24 * time.Hour

// reaches is when time gets to at by silence alone: the moment to ask the broker. The zero time means at once.
func (c *sourceClock) reaches(at int64) time.Time {
	if c.heard.IsZero() || c.time == processors.Unknown {
		return time.Time{}
	}
	wait := min(float64(at-c.stood)/c.pace, float64(longestWait/time.Millisecond))
	if c.rest > 0 && !c.resting {
		wait = min(wait, float64(c.rest/time.Millisecond))
	}
	return c.since().Add(max(c.idleAfter, time.Duration(wait*float64(time.Millisecond))+c.idleAfter/2))
}
