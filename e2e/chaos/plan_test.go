package chaos

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestPlan(t *testing.T) {
	s := Schedule{Workers: 3, Kills: 100, Freezes: 20, Crashes: 5, Gap: time.Second, Session: 2 * time.Second, Down: 3 * time.Second}
	plan := s.Plan(4)
	if d := cmp.Diff(plan, s.Plan(4)); d != "" {
		t.Error("another plan from the same seed:\n" + d)
	}
	if cmp.Equal(plan, s.Plan(5)) {
		t.Error("the seed does not matter")
	}
	count := map[FaultKind]int{}
	frozen := map[int]bool{}
	var last time.Duration
	for _, f := range plan {
		if f.At < last {
			t.Errorf("%v comes after %v", f, last)
		}
		last = f.At
		count[f.Kind]++
		switch f.Kind {
		case Kill, Freeze:
			if frozen[f.Worker] {
				t.Errorf("%v, but it is frozen", f)
			}
			if f.Kind == Freeze {
				frozen[f.Worker] = true
				if f.For <= s.Session {
					t.Errorf("%v: shorter than a session", f)
				}
			}
			if len(frozen) == s.Workers {
				t.Errorf("%v: all are frozen", f)
			}
		case Thaw:
			delete(frozen, f.Worker)
		case Crash:
		}
	}
	if want := map[FaultKind]int{Kill: 100, Freeze: 20, Thaw: 20, Crash: 5}; !cmp.Equal(count, want) {
		t.Errorf("faults %v, want %v", count, want)
	}
}
