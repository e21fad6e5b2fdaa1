package chaos

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// FaultKind says what happens.
type FaultKind uint8

const (
	// Kill ends a worker with SIGKILL; it is started again at once.
	Kill FaultKind = iota + 1
	// Freeze stops a worker with SIGSTOP, for longer than its session.
	Freeze
	// Thaw lets a frozen worker go on: a zombie, until it has noticed.
	Thaw
	// Crash ends the broker with SIGKILL; it is started again after For.
	Crash
)

// String names the kind in logs.
func (k FaultKind) String() string {
	return [...]string{"?", "kill", "freeze", "thaw", "crash"}[min(int(k), 4)]
}

// Fault is one fault of a plan.
type Fault struct {
	At     time.Duration // since the start of the plan
	Kind   FaultKind
	Worker int           // of Kill, Freeze, Thaw
	Node   int           // of Crash, from 1
	For    time.Duration // of Crash: how long the broker stays away; of Freeze: until the Thaw
}

func (f Fault) String() string {
	switch f.Kind {
	case Crash:
		return fmt.Sprintf("%v crash of node %d for %v", f.At, f.Node, f.For)
	case Freeze:
		return fmt.Sprintf("%v freeze w%d for %v", f.At, f.Worker, f.For)
	case Kill, Thaw:
	}
	return fmt.Sprintf("%v %v w%d", f.At, f.Kind, f.Worker)
}

// Schedule says how many faults a plan has, and how dense they are.
type Schedule struct {
	Workers, Kills, Freezes, Crashes int
	Nodes                            int           // brokers to crash, one at a time
	Gap                              time.Duration // mean time between two kills or freezes
	Session                          time.Duration // of the workers: freezes last 1.2 to 3 times as long
	Down                             time.Duration // longest absence of a broker
}

// Plan lays faults out in time: the same for the same seed. At most all workers but one are frozen at a time, and a
// frozen worker is left alone.
func (s Schedule) Plan(seed uint64) []Fault {
	rnd := rand.New(rand.NewPCG(seed, 2))
	between := func(a, b time.Duration) time.Duration {
		return (a + time.Duration(rnd.Int64N(int64(b-a)+1))).Round(time.Millisecond)
	}
	kinds := append(slices.Repeat([]FaultKind{Kill}, s.Kills), slices.Repeat([]FaultKind{Freeze}, s.Freezes)...)
	rnd.Shuffle(len(kinds), func(i, j int) { kinds[i], kinds[j] = kinds[j], kinds[i] })
	var plan []Fault
	frozen := make([]time.Duration, s.Workers) // until when
	var now time.Duration
	for _, kind := range kinds {
		now += between(s.Gap/2, s.Gap*3/2)
		var free []int
		for {
			free = free[:0]
			for w, until := range frozen {
				if until < now {
					free = append(free, w)
				}
			}
			if len(free) > 1 || len(free) == 1 && kind == Kill {
				break
			}
			now += s.Gap / 2
		}
		w := free[rnd.IntN(len(free))]
		f := Fault{At: now, Kind: kind, Worker: w}
		if kind == Freeze {
			f.For = between(s.Session*6/5, s.Session*3)
			frozen[w] = now + f.For
			plan = append(plan, Fault{At: frozen[w], Kind: Thaw, Worker: w})
		}
		plan = append(plan, f)
	}
	for i := range s.Crashes {
		slot := now / time.Duration(s.Crashes)
		plan = append(plan, Fault{At: slot*time.Duration(i) + between(slot/5, slot*4/5), Kind: Crash, Node: 1 + rnd.IntN(max(1, s.Nodes)), For: between(0, s.Down)})
	}
	slices.SortStableFunc(plan, func(a, b Fault) int { return cmp.Compare(a.At, b.At) })
	return plan
}
