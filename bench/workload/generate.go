package workload

import (
	"fmt"
	"iter"
	"slices"
)

const (
	// Start is the event time of the first event, in ms: 2026-01-01T00:00:00Z.
	Start int64 = 1767225600000
	// OutOfOrder is the declared bound of w2 and w3, in ms: no event lies so far behind one before it.
	OutOfOrder int64 = 5000
	// CountKeys is the number of users of the set count.
	CountKeys = 10_000

	users = 100_000
	// flushAfter is how far after the last event the flush events lie, in ms: past all windows and deadlines.
	flushAfter = 3_600_000
)

// Sets are the names of the data sets: w1 to w4 are the four of the published results, count feeds the counting hop.
var Sets = []string{"w1", "w2", "w3", "w4", "count"}

// FlushUsers are keys that murmur2 puts into eight different partitions of eight, in the order of these: their events make
// time pass in each.
var FlushUsers = [8]string{"flush-0", "flush-3", "flush-2", "flush-6", "flush-4", "flush-17", "flush-13", "flush-1"}

// generator makes events; every draw from random has its place in the order of draws, which is part of the format.
type generator struct {
	random splitmix
	event  Event
	yield  func(*Event) bool
}

// Events makes the n events of a data set in order of arrival, w2 and w4 with their flush events on top. The event is
// used again for the next one; its strings may be kept.
//
// Take seeds that lie far apart: those of one size are offsets into one sequence of draws, and the events of 1 and 5 fall
// into step after a few.
func Events(set string, seed uint64, n int) (iter.Seq[*Event], error) {
	if !slices.Contains(Sets, set) {
		return nil, fmt.Errorf("no data set %q; there are %v", set, Sets)
	}
	return func(yield func(*Event) bool) {
		g := &generator{random: splitmix(seed*golden + uint64(set[len(set)-1])), yield: yield}
		switch set {
		case "w1":
			g.changes(n)
		case "w2":
			g.payments(n)
		case "w3":
			g.changesAndPayments(n)
		case "w4":
			g.sessions(n)
		case "count":
			g.changesOfFew(n)
		}
	}, nil
}

// changes: 200 a second.
func (g *generator) changes(n int) {
	for i := range n {
		who, what := g.random.skewed(2), g.random.of(attributes)
		if !g.yield(g.change(who, Start+5*int64(i), what)) {
			return
		}
	}
}

// changesOfFew: 200 a second, of CountKeys users that are equally frequent.
func (g *generator) changesOfFew(n int) {
	for i := range n {
		who, what := user(g.random.below(CountKeys)), g.random.of(attributes)
		if !g.yield(g.change(who, Start+5*int64(i), what)) {
			return
		}
	}
}

// payments: 500 a second, some late, then a flush event for each partition.
func (g *generator) payments(n int) {
	for i := range n {
		at := g.delayed(Start + 2*int64(i))
		who, amount := g.random.skewed(3), g.amount()
		if !g.yield(g.payment(who, at, amount)) {
			return
		}
	}
	for _, who := range FlushUsers {
		if !g.yield(g.payment(who, Start+2*int64(n)+flushAfter, 0)) {
			return
		}
	}
}

// changesAndPayments: 200 a second, three of ten are changes, at even times; payments have odd ones. Some are late.
func (g *generator) changesAndPayments(n int) {
	for i := range n {
		at := g.delayed(Start + 5*int64(i))
		isChange := g.random.below(10) < 3
		who := g.random.skewed(2)
		var e *Event
		if isChange {
			e = g.change(who, at&^1, g.random.of(attributes))
		} else {
			e = g.payment(who, at|1, g.amount())
		}
		if !g.yield(e) {
			return
		}
	}
}

// followUp is an event that an earlier one entails.
type followUp struct {
	due  int64
	kind Kind
	who  string
}

// sessions: 200 a second, in order, no two at one time: logins at even times, all else at odd ones. A login from a new
// device may entail a second factor, and a change of the e-mail address with a large payment after it. Whatever is due
// takes the place of a random event. Then four flush events for each partition.
func (g *generator) sessions(n int) {
	var pending []followUp // by due time; equals in the order of their planning
	plan := func(due int64, kind Kind, who string) {
		at, _ := slices.BinarySearchFunc(pending, due, func(f followUp, due int64) int {
			if f.due <= due {
				return -1
			}
			return 1
		})
		pending = slices.Insert(pending, at, followUp{due, kind, who})
	}
	// seconds draws a time span in ms.
	seconds := func(from, to int) int64 { return int64(from*1000 + g.random.below((to-from)*1000)) }

	for i := range n {
		at := Start + 5*int64(i)
		var e *Event
		if len(pending) > 0 && pending[0].due <= at {
			f := pending[0]
			pending = pending[1:]
			e = g.entailed(f, at|1)
		} else {
			who := g.random.skewed(2)
			switch dice := g.random.below(100); {
			case dice < 30:
				fresh := g.random.oneIn(5)
				if fresh {
					switch dice := g.random.below(10); {
					case dice < 6: // soon enough
						plan(at+seconds(10, 240), Mfa, who)
					case dice < 7: // too late
						plan(at+seconds(300, 600), Mfa, who)
					}
					if g.random.oneIn(4) {
						change := at + seconds(10, 600)
						plan(change, Change, who)
						plan(change+seconds(10, 2000), Payment, who)
					}
				}
				e = g.login(who, at&^1, fresh)
			case dice < 45:
				e = g.mfa(who, at|1, !g.random.oneIn(10))
			case dice < 70:
				e = g.change(who, at|1, g.random.of(attributes))
			default:
				e = g.payment(who, at|1, g.amount())
			}
		}
		if !g.yield(e) {
			return
		}
	}
	for i, who := range FlushUsers {
		at := Start + 5*int64(n) + flushAfter + 10*int64(i)
		if !g.yield(g.login(who, at, false)) || !g.yield(g.mfa(who, at+1, false)) ||
			!g.yield(g.change(who, at+3, "flush")) || !g.yield(g.payment(who, at+5, 0)) {
			return
		}
	}
}

func (g *generator) entailed(f followUp, at int64) *Event {
	switch f.kind {
	case Mfa:
		return g.mfa(f.who, at, true)
	case Change:
		return g.change(f.who, at, "email")
	default:
		return g.payment(f.who, at, g.largeAmount())
	}
}

// delayed moves one time in five back, by less than OutOfOrder.
func (g *generator) delayed(at int64) int64 {
	if g.random.oneIn(5) {
		at -= int64(g.random.below(int(OutOfOrder)))
	}
	return max(at, Start)
}
