package chaos

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"sync"
)

// Ledger knows what was sent, and so what must come out. It is safe for concurrent use.
type Ledger struct {
	mu      sync.Mutex
	events  []*Event
	poisons map[string]string // value by position in the events topic
	outputs int               // that must come out, dead letters included
	last    map[string]int64  // event time of the last event of an account
}

// NewLedger returns an empty ledger.
func NewLedger() *Ledger { return &Ledger{poisons: map[string]string{}, last: map[string]int64{}} }

// Sent notes an event before it is sent: the generator gives up on none.
func (l *Ledger) Sent(e *Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events = append(l.events, e)
	l.outputs += e.Lines + 5 // tally, shop, known, place, standing
	if passes(e.Amount) {
		l.outputs += 3 // passed, score, standing
	}
	if last, ok := l.last[e.Account]; ok && e.At <= last+linkSpan {
		l.outputs++
	}
	l.last[e.Account] = e.At
}

// Poisoned notes a poison record with the position that the broker gave it.
func (l *Ledger) Poisoned(p *Poison, partition int32, offset int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.poisons[position(partition, offset)] = string(p.Value)
	l.outputs++
}

// Inputs is how many records were sent; Outputs is how many must come out.
func (l *Ledger) Inputs() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.events) + len(l.poisons)
}

// Outputs is how many records must come out of all rules, with the dead letters.
func (l *Ledger) Outputs() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.outputs
}

// Running is a running count and sum.
type Running struct{ N, Total int64 }

// expected is what must come out.
type expected struct {
	streams map[string]map[string]string // content by identity by stream; that of shops is not known in advance
	tallies map[string]Running           // final, by account
	shops   map[string]Running
	amounts map[string]int64 // by account and seq
	inShop  map[string]string
	poisons map[string]string
}

func (l *Ledger) expect() *expected {
	l.mu.Lock()
	defer l.mu.Unlock()
	x := &expected{
		streams: map[string]map[string]string{},
		tallies: map[string]Running{}, shops: map[string]Running{},
		amounts: map[string]int64{}, inShop: map[string]string{}, poisons: l.poisons,
	}
	for _, stream := range []string{streamPassed, streamLines, streamTallies, streamShops, streamScores, streamLinks, streamKnown, streamPlaces, streamStands} {
		x.streams[stream] = map[string]string{}
	}
	scores, before := map[string]Running{}, map[string]*Event{}
	for _, e := range l.events {
		id := identity(e.Account, e.Seq)
		x.amounts[id], x.inShop[id] = e.Amount, e.Shop
		if passes(e.Amount) {
			x.streams[streamPassed][id] = strconv.FormatInt(e.Amount, 10)
		}
		for i := range e.Lines {
			x.streams[streamLines][id+"/"+item(i)] = strconv.FormatInt(e.Seq+int64(i), 10)
		}
		t := x.tallies[e.Account]
		t = Running{t.N + 1, t.Total + e.Amount}
		x.tallies[e.Account] = t
		x.streams[streamTallies][identity(e.Account, t.N)] = fmt.Sprintf("total %d at seq %d", t.Total, e.Seq)
		s := x.shops[e.Shop]
		s = Running{s.N + 1, s.Total + e.Amount}
		x.shops[e.Shop] = s
		x.streams[streamShops][identity(e.Shop, s.N)] = ""
		x.streams[streamKnown][id] = fmt.Sprintf("%d of %d", t.Total, t.N)
		score := scores[e.Account]
		x.stand(e.Account, t, score)
		if passes(e.Amount) {
			score = Running{score.N + 1, score.Total + e.Amount}
			scores[e.Account] = score
			x.streams[streamScores][identity(e.Account, score.N)] = fmt.Sprintf("total %d at seq %d", score.Total, e.Seq)
			x.stand(e.Account, t, score)
		}
		if b := before[e.Account]; b != nil && e.At <= b.At+linkSpan {
			x.streams[streamLinks][id] = fmt.Sprintf("%d after %d", e.Amount+b.Amount, b.Seq)
		}
		before[e.Account] = e
	}
	x.place(l.events)
	return x
}

// stand notes what the two totals of an account say together.
func (x *expected) stand(account string, tally, score Running) {
	x.streams[streamStands][fmt.Sprintf("%s/%d", identity(account, tally.N), score.N)] = fmt.Sprintf("%d and %d", tally.Total, score.Total)
}

// place notes what the total of each event's shop was at its time: with all events of that time, in whatever partition.
func (x *expected) place(events []*Event) {
	events = slices.Clone(events)
	slices.SortStableFunc(events, func(a, b *Event) int { return cmp.Compare(a.At, b.At) })
	shops := map[string]Running{}
	for from := 0; from < len(events); {
		to := from
		for ; to < len(events) && events[to].At == events[from].At; to++ {
			s := shops[events[to].Shop]
			shops[events[to].Shop] = Running{s.N + 1, s.Total + events[to].Amount}
		}
		for _, e := range events[from:to] {
			x.streams[streamPlaces][identity(e.Account, e.Seq)] = fmt.Sprintf("%d of %d", shops[e.Shop].Total, shops[e.Shop].N)
		}
		from = to
	}
}

func identity(key string, n int64) string { return fmt.Sprintf("%s/%d", key, n) }

func position(partition int32, offset int64) string { return fmt.Sprintf("%d@%d", partition, offset) }
