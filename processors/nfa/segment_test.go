package nfa

import (
	"math"
	"testing"

	"github.com/millrace-io/millrace/rules"
)

// TestGarbageGoes: what runs that have ended had captured does not pile up behind one that waits for ever.
func TestGarbageGoes(t *testing.T) {
	take := func(stage int, c rules.Contiguity) *rules.Pattern {
		return &rules.Pattern{Op: rules.Take, Stage: stage, Contiguity: c, Min: 1, Max: 1}
	}
	// A first record of kind 0 waits for one of kind 2 that never comes; each of kind 1 begins a run that the next one ends.
	p := &problem{
		Config: Config{
			Stages: make([]Stage, 4), Skip: rules.SkipNone,
			Pattern: &rules.Pattern{Op: rules.Choice, Min: 1, Max: 1, Parts: []*rules.Pattern{
				{Op: rules.Sequence, Min: 1, Max: 1, Parts: []*rules.Pattern{take(0, 0), take(1, rules.Relaxed)}},
				{Op: rules.Sequence, Min: 1, Max: 1, Parts: []*rules.Pattern{take(2, 0), take(3, rules.Strict)}},
			}},
		},
		trials: []trial{{kinds: 1}, {kinds: 4}, {kinds: 2}, {kinds: 8}},
		stream: []letter{{kind: 0}, {kind: 1}},
	}
	auto, err := Compile(p.Config)
	if err != nil {
		t.Fatal(err)
	}
	m, s := New(auto), &State{}
	cells, most, written := map[uint64]int{}, 0, 0
	const records = 50_000
	for i := range records {
		next, _ := m.Step(s, int64(i), at{p, min(i, 1)}, &Outcome{})
		made, gone := next.Split()
		for _, n := range gone {
			delete(cells, n)
		}
		for _, x := range made {
			cells[x.Number] = len(x.Body)
			written += len(x.Body)
		}
		s, most = &next, max(most, len(cells))
	}
	if s.Runs() != 2 || s.Due() != math.MaxInt64 {
		t.Fatalf("%d runs, due at %d", s.Runs(), s.Due())
	}
	if most > 200 || s.Size() > 16<<10 {
		t.Errorf("%d segments, %d bytes beside", most, s.Size())
	}
	if written > 100*records {
		t.Errorf("%d bytes written of %d records", written, records)
	}
}
