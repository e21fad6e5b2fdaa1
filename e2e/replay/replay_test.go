package replay

import (
	"slices"
	"testing"
	"time"

	"github.com/millrace-io/millrace/schemas"
)

func TestRules(t *testing.T) {
	set, err := Rules()
	if err != nil {
		t.Fatal(err)
	}
	want := Expect(Day(1, 500, 2*time.Hour))
	for _, s := range set.Streams {
		if !s.Source && s.Name != "replay.late" && len(want[s.Name]) == 0 {
			t.Errorf("nothing is expected in %s", s.Name)
		}
		for _, f := range Fields(s.Name) {
			if !slices.ContainsFunc(s.Schema.Type().Fields, func(x schemas.Field) bool { return x.Name == f }) {
				t.Errorf("%s has no field %s", s.Name, f)
			}
		}
	}
}

// The day is only worth its name while it holds what makes time difficult.
func TestDay(t *testing.T) {
	const length = 2 * time.Hour
	day := Day(7, 2000, length)
	found := map[string]int{}
	orders := map[string]int64{}
	newest, last := int64(0), map[int32]int64{}
	for i, e := range day {
		if e.At > e.Arrives || e.At < e.Arrives-OutOfOrder || e.At < newest-OutOfOrder {
			t.Fatalf("event %d arrives at %d and is of %d, after one of %d", i, e.Arrives, e.At, newest)
		}
		if i > 0 && e.Arrives < day[i-1].Arrives {
			t.Fatalf("event %d arrives before the one that precedes it", i)
		}
		if e.At < newest {
			found["out of order"]++
		}
		if i > 0 && e.At == day[i-1].At {
			found["tie"]++
		}
		if at, ok := orders[e.Order]; ok && e.Order != "" {
			switch {
			case e.At < at:
				found["copy of an earlier time"]++
			case e.At >= at+10*minute:
				found["copy after dedupe has forgotten"]++
			default:
				found["copy"]++
			}
		}
		orders[e.Order] = e.At
		newest = max(newest, e.At)
		last[schemas.Partition([]byte(e.User), 12)] = e.At
	}
	t.Log(found, last)
	for _, what := range []string{"out of order", "tie", "copy of an earlier time", "copy", "copy after dedupe has forgotten"} {
		if found[what] == 0 {
			t.Errorf("no %s", what)
		}
	}
	if len(last) != 9 || last[1] > Start+length.Milliseconds()/2 {
		t.Errorf("last events by partition: %v", last)
	}
	for i, e := range Day(7, 2000, length) {
		if e.Arrives != day[i].Arrives || e.User != day[i].User {
			t.Fatal("the seed does not determine the day")
		}
	}
	if slices.EqualFunc(day, Day(8, 2000, length), func(a, b Event) bool { return a.Arrives == b.Arrives && a.User == b.User }) {
		t.Error("another seed gives the same day")
	}
}
