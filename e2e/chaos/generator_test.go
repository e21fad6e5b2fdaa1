package chaos

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestGeneratorRepeats(t *testing.T) {
	const n = 5000
	run := func(seed uint64) (events []*Event, poisons []*Poison) {
		g := NewGenerator(seed, 20, 5, 7)
		for range n {
			if e, p := g.Next(); e != nil {
				events = append(events, e)
			} else {
				poisons = append(poisons, p)
			}
		}
		return events, poisons
	}
	events, poisons := run(1)
	again, _ := run(1)
	if d := cmp.Diff(events, again); d != "" {
		t.Error("another load from the same seed:\n" + d)
	}
	if len(poisons) < n/200 || len(poisons) > n/50 {
		t.Errorf("%d of %d records are poison", len(poisons), n)
	}
	last := map[string]int64{}
	for _, e := range events {
		if e.Seq != last[e.Account]+1 {
			t.Fatalf("%s: %d after %d", e.Account, e.Seq, last[e.Account])
		}
		last[e.Account] = e.Seq
	}
	if other, _ := run(2); cmp.Equal(events, other) {
		t.Error("the seed does not matter")
	}
}
