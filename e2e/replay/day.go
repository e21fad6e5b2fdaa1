// Package replay is a day of events with disorder, the rules that it is played through in many ways, and what they must
// make of it, counted in plain Go.
package replay

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/millrace-io/millrace/schemas"
)

// Event is an order or a visit. Times are milliseconds since the epoch.
type Event struct {
	Arrives int64 // when it reaches its topic
	At      int64 // event time: at most OutOfOrder before that
	User    string
	Shop    string
	Order   string // "" for a visit
	Lines   []Line
	id      int
}

// Line is a line of an order.
type Line struct {
	Item  string
	Units int64
}

const (
	// OutOfOrder is what the topology declares, in ms.
	OutOfOrder int64 = 5000
	// Start is when the day begins: 2024-03-01T00:00:00Z.
	Start int64 = 1709251200000

	second = int64(1000)
	minute = 60 * second
	hour   = 60 * minute

	users, items, shops = 60, 25, 6
)

// Day makes n events in the order of their arrival, spread over length. The same seed gives the same day. Of twelve
// partitions, or four, some stay empty, and some have events in the first quarter of the day only.
func Day(seed uint64, n int, length time.Duration) []Event {
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 3)), length: length.Milliseconds(), step: length.Milliseconds() / int64(n)}
	for i := 0; len(g.users) < users; i++ {
		name := fmt.Sprintf("user-%d", i)
		switch schemas.Partition([]byte(name), 12) {
		case 3, 7, 11: // idle: the last of four partitions, and three of twelve
		case 1:
			g.early = append(g.early, name)
			g.users = append(g.users, name)
		default:
			g.users = append(g.users, name)
		}
	}
	for at := int64(0); len(g.events) < n; {
		if g.IntN(3) > 0 { // else at the same moment as the one before
			at = min(at+g.Int64N(3*g.step), g.length-1)
		}
		g.arrive(at)
	}
	slices.SortStableFunc(g.events, func(a, b Event) int { return cmp.Compare(a.Arrives, b.Arrives) })
	return g.events
}

type generator struct {
	*rand.Rand
	length, step int64
	users, early []string
	events       []Event
}

// arrive makes an event that arrives at a moment of the day.
func (g *generator) arrive(at int64) {
	e := Event{Arrives: Start + at, User: g.users[g.IntN(len(g.users))], Shop: "shop-" + strconv.Itoa(g.IntN(shops)), id: len(g.events)}
	if at > g.length/4 {
		for slices.Contains(g.early, e.User) {
			e.User = g.users[g.IntN(len(g.users))]
		}
	}
	e.At = g.behind(e.Arrives)
	if g.IntN(3) == 0 {
		g.events = append(g.events, e)
		return
	}
	e.Order = "order-" + strconv.Itoa(e.id)
	for i := range 1 + g.IntN(3) {
		e.Lines = append(e.Lines, Line{"item-" + strconv.Itoa((g.IntN(items)+i)%items), 1 + g.Int64N(9)})
	}
	g.events = append(g.events, e)
	if g.IntN(8) > 0 {
		return
	}
	// The order comes again: at once, or when dedupe just knows it and just does not.
	again := e
	again.id = len(g.events)
	again.At += []int64{0, second, -second, minute, 10*minute - 1, 10 * minute}[g.IntN(6)]
	again.Arrives = min(max(again.At+g.Int64N(OutOfOrder), e.Arrives-OutOfOrder/2), again.At+OutOfOrder)
	if again.At >= Start && again.Arrives < Start+g.length {
		g.events = append(g.events, again)
	}
}

// behind makes an event time of a moment of arrival: often the same full second as others.
func (g *generator) behind(at int64) int64 {
	if g.IntN(2) == 0 {
		at -= g.Int64N(OutOfOrder - second)
	}
	return max(Start, at/second*second)
}

// Fields gives the event in the order of its schema.
func (e *Event) Fields() []any {
	context := []any{e.ID(), e.ID(), nil, e.User, e.At, e.Arrives, 1.0, map[string]any{}, []any{}}
	if e.Order == "" {
		return append(context, e.User, e.Shop, "/"+e.Shop)
	}
	lines := make([]any, len(e.Lines))
	for i, l := range e.Lines {
		lines[i] = map[string]any{"item": l.Item, "units": l.Units}
	}
	return append(context, e.Order, e.User, e.Shop, lines)
}

// ID is the event's id.
func (e *Event) ID() string { return "event-" + strconv.Itoa(e.id) }

// Stream is where the event goes.
func (e *Event) Stream() string {
	if e.Order == "" {
		return "replay.visits"
	}
	return "replay.orders"
}
