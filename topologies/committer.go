package topologies

import (
	"context"
	"sync/atomic"
	"time"
)

// commitShare bounds what commits may cost under load: the time between two commits is at least this many times the
// length of the last one.
const commitShare = 10

// urgentShare and urgentPause are the same for commits that somebody waits for, of what time has brought; duePause is the
// pause when records are among it and there is nothing else to do.
const (
	urgentShare = 4
	urgentPause = 10 * time.Millisecond
	duePause    = 2 * time.Millisecond
)

// committer decides when to commit. As soon as the input is drained it commits at once, so that a single event waits
// for nothing; while records wait behind the processed ones it stretches the interval, so that commits cost at most a
// tenth of the time. A timer is set anew after each commit: with a ticker, commits as long as the interval would run
// back to back.
type committer struct {
	run     *incarnation
	wake    chan struct{} // capacity 1
	records atomic.Int64  // taken in since the last commit
	work    atomic.Int64  // these, and outputs and announcements that time brought
	urgent  atomic.Bool   // somebody waits for what time brought
	due     atomic.Bool   // and it is more than announcements
}

func newCommitter(x *incarnation) *committer {
	return &committer{run: x, wake: make(chan struct{}, 1)}
}

// took counts records that the transaction has taken in.
func (c *committer) took(n int) {
	c.records.Add(int64(n))
	c.work.Add(int64(n))
}

// worked counts what time brought.
func (c *committer) worked(n int) { c.work.Add(int64(n)) }

// urge asks for a commit now, because of announcements or, with due, of what was due.
func (c *committer) urge(due bool) {
	if due {
		c.due.Store(true)
	}
	c.urgent.Store(true)
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// processed has a batch committed if nothing waits behind it.
func (c *committer) processed() {
	if c.run.drained() {
		c.nudge()
	}
}

// backlog is how many records since the last commit make the end of the input worth a commit that nobody waits for.
const backlog = 1000

// nudge asks for a commit when somebody may wait for it. With at_least_once derived records are out already: only what
// went into the transaction all the same has to become visible, and a backlog that is worked off is better not repeated.
func (c *committer) nudge() {
	n := c.records.Load()
	if n == 0 || n < backlog && c.run.runner.options.Guarantee == AtLeastOnce && c.run.journal.written() == 0 {
		return
	}
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// taken returns and resets the number of records since the last commit.
func (c *committer) taken() int64 {
	c.work.Store(0)
	c.urgent.Store(false)
	c.due.Store(false)
	return c.records.Swap(0)
}

// rest is how long after the last commit, which took that long, an urgent one may come. Announcements alone must not keep
// the broker busy.
func (c *committer) rest(took time.Duration) time.Duration {
	switch {
	case !c.run.drained():
		return max(urgentPause, urgentShare*took)
	case c.due.Load():
		return duePause
	}
	return max(urgentPause, took)
}

// loop commits until ctx ends; the session's Cleanup commits the rest.
func (c *committer) loop(ctx context.Context) {
	longest := c.run.runner.options.MaxCommitInterval
	shortest, idle := 10*time.Millisecond, longest
	if c.run.runner.options.Guarantee == AtLeastOnce {
		shortest = min(longest, 100*time.Millisecond) // nobody waits for it, and batches wait while it runs
		idle = shortest
	}
	timer := time.NewTimer(longest)
	defer timer.Stop()
	var last time.Time // end of the last commit
	var took time.Duration
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.wake:
			if c.urgent.Load() {
				if rest := c.rest(took) - time.Since(last); rest > 0 {
					timer.Reset(min(rest, longest))
					continue
				}
			} else if !c.run.drained() {
				continue // more has come in meanwhile: the timer decides
			}
		case <-timer.C:
		}
		if c.work.Load() == 0 {
			timer.Reset(idle)
			continue
		}
		start := time.Now()
		if err := c.run.commit(); err != nil {
			c.run.fail(err)
			return
		}
		last = time.Now()
		took = last.Sub(start)
		timer.Reset(min(longest, max(shortest, commitShare*took)))
	}
}
