package topologies

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/millrace-io/millrace/processors"
)

// TestSourceClock drives a clock by words with wall times and event times in ms:
//
//	record 900 at 10      records up to the event time 900 were taken in at 10
//	quiet 50              the broker said, to a question sent at 50, that nothing lies beyond
//	mute                  it gives no answer
//	owner 900 400         restored: the largest event time and the promise of the former owner
//	owner 900 400 at 50   the same, in a worker that had the last answer of a broker at 50
//	= 400                 the promise by now; idle:7 and unknown are others
//	reaches 500 at 175    silence would bring it to 500 at 175
func TestSourceClock(t *testing.T) {
	for name, c := range map[string]struct {
		outOfOrder int64
		pace       float64
		script     string
	}{
		"records": {500, 1, `= unknown
			record 900 at 10
			= 400
			record 700 at 20
			= 400
			record 1000 at 30
			= 500`},
		"silence counts after idle_after, and lags by half of it": {500, 1, `record 900 at 10
			quiet 40
			quiet 59
			= 400
			quiet 60
			= 425
			quiet 260
			= 625
			record 950 at 300
			= 625
			quiet 350
			= 650`},
		"silence goes on from where time stands, not to the wall clock": {0, 1, `record 5 at 1000000
			quiet 1000075
			= 55`},
		"pace": {0, 3600, `record 0 at 0
			quiet 125
			= 360000
			reaches 360000 at 125`},
		"slow pace": {0, 0.5, `record 0 at 0
			quiet 225
			= 100
			reaches 200 at 425`},
		"an answer to an older question": {0, 1, `record 0 at 0
			record 10 at 100
			quiet 90
			= 10
			quiet 150
			= 35`},
		"never heard of": {100, 1, `quiet 10
			= unknown
			quiet 59
			= unknown
			quiet 60
			= idle:900
			record 950 at 100
			= 850`},
		"a worker that looks rarely is no outage": {0, 1, `record 0 at 0
			quiet 5000
			= 4975
			quiet 10000
			= 9975`},
		"an outage has the silence last as much longer": {0, 1, `record 0 at 0
			quiet 100
			= 75
			mute
			mute
			quiet 2100
			= 75
			quiet 4100
			= 75
			quiet 4150
			= 100
			quiet 5100
			= 1050`},
		"records after an outage do not end the patience": {0, 1, `record 0 at 0
			mute
			record 10 at 3000
			quiet 3100
			= 10
			quiet 6049
			= 10
			quiet 6050
			= 35
			reaches 100 at 6115`},
		"patience has an end": {0, 1, `record 0 at 0
			mute
			quiet 100000
			quiet 110049
			= 0
			quiet 110050
			= 25`},
		"a second outage is one, too": {0, 1, `record 0 at 0
			mute
			quiet 20000
			mute
			quiet 100000
			= 0
			quiet 110050
			= 25`},
		"a new owner waits for what may have been held up": {100, 1, `owner 900 850
			= 850
			quiet 0
			quiet 1549
			= 850
			quiet 1550
			= 875`},
		"a record that waited for an outage to be over has come before it": {0, 1, `record 0 at 0
			mute
			record 10 at 3000 came 20
			quiet 3100
			= 10
			quiet 6049
			= 10
			quiet 6050
			= 35`},
		"a record that waited for a commit": {0, 1, `record 0 at 0
			record 10 at 100 came 20
			quiet 105
			= 70`},
		"a new owner that has seen the outage": {100, 1, `owner 900 850 at -8000
			= 850
			record 960 at 0
			quiet 8049
			= 860
			quiet 8050
			= 885`},
		"a new owner that has just had an answer": {100, 1, `owner 900 850 at -10
			quiet 0
			quiet 1549
			= 850
			quiet 1550
			= 875`},
		"a new owner that reads first": {100, 1, `owner 900 850
			record 960 at 0
			= 860
			quiet 1549
			= 860
			quiet 1550
			= 885`},
		"a new owner of what was never heard of": {100, 1, `owner unknown unknown
			quiet 0
			quiet 50
			= idle:900`},
	} {
		t.Run(name, func(t *testing.T) {
			clock := newSourceClock(c.outOfOrder, 50*time.Millisecond, c.pace)
			start := time.UnixMilli(1_700_000_000_000)
			wall := func(s string) time.Time { return start.Add(time.Duration(number(t, s)) * time.Millisecond) }
			for line := range strings.SplitSeq(c.script, "\n") {
				w := strings.Fields(line)
				switch w[0] {
				case "record":
					clock.record(number(t, w[1]))
					now := wall(w[3])
					came := now
					if len(w) > 4 {
						came = wall(w[5])
					}
					clock.hear(came, now)
				case "quiet":
					clock.silent(wall(w[1]), 1000)
				case "mute":
					clock.unanswered()
				case "owner":
					var answered time.Time
					if len(w) > 3 {
						answered = wall(w[4])
					}
					clock.restore(number(t, w[1]), number(t, w[2]), answered)
				case "=":
					if got := said(clock.at()); got != w[1] {
						t.Errorf("%s: got %s", strings.TrimSpace(line), got)
					}
				case "reaches":
					if got := clock.reaches(number(t, w[1])).Sub(start); got != time.Duration(number(t, w[3]))*time.Millisecond {
						t.Errorf("%s: got %v", strings.TrimSpace(line), got)
					}
				default:
					t.Fatal(line)
				}
			}
		})
	}
}

func number(t *testing.T, s string) int64 {
	t.Helper()
	if s == "unknown" {
		return processors.Unknown
	}
	var n int64
	if _, err := fmt.Sscan(s, &n); err != nil {
		t.Fatal(s, err)
	}
	return n
}

func said(at int64) string {
	switch {
	case at == processors.Unknown:
		return "unknown"
	case processors.IsIdle(at):
		return fmt.Sprintf("idle:%d", processors.Level(at))
	}
	return fmt.Sprint(at)
}

// TestSourceClockNeverGoesBack: whatever comes, a promise stands, and time never runs ahead of the records and the wall time
// that went by since.
func TestSourceClockNeverGoesBack(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		pace := rapid.SampledFrom([]float64{0.1, 1, 1, 60, 1e6}).Draw(rt, "pace")
		c := newSourceClock(rapid.Int64Range(0, 1000).Draw(rt, "out of order"), 50*time.Millisecond, pace)
		now := time.UnixMilli(1_700_000_000_000)
		began := now.Add(-500 * time.Millisecond) // records may have come then, and answers are as old as 200 ms
		latest, last := processors.Unknown, processors.Unknown
		check := func() {
			at := c.at()
			if last != processors.Unknown && !processors.IsIdle(last) && (at < last || processors.IsIdle(at)) {
				rt.Fatalf("time went from %d back to %d", last, at)
			}
			if last = at; at == processors.Unknown || processors.IsIdle(at) {
				return
			}
			if most := float64(latest) + pace*float64(now.Sub(began).Milliseconds()); float64(at) > most+1 {
				rt.Fatalf("the time %d is ahead of everything: %f", at, most)
			}
			if r := c.reaches(at + 100); r.Before(c.heard) {
				rt.Fatal("silence would have been over before it began")
			}
			if r := c.reaches(math.MaxInt64); r.Before(c.heard) || r.After(c.since().Add(2*longestWait)) {
				rt.Fatalf("the end of time is reached at %v", r)
			}
		}
		rt.Repeat(map[string]func(*rapid.T){
			"": func(*rapid.T) { check() },
			"wait": func(*rapid.T) {
				now = now.Add(time.Duration(rapid.IntRange(0, 3000).Draw(rt, "ms")) * time.Millisecond)
			},
			"record": func(*rapid.T) {
				at := max(0, max(0, latest)+rapid.Int64Range(-2000, 2000).Draw(rt, "event time"))
				latest = max(latest, at)
				c.record(at)
				c.hear(now.Add(-time.Duration(rapid.IntRange(0, 500).Draw(rt, "ago"))*time.Millisecond), now)
			},
			"quiet": func(*rapid.T) {
				c.silent(now.Add(-time.Duration(rapid.IntRange(0, 200).Draw(rt, "ago"))*time.Millisecond), max(0, latest))
			},
			"mute": func(*rapid.T) { c.unanswered() },
		})
	})
}
