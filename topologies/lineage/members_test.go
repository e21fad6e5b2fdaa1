package lineage

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/millrace-io/millrace/rules"
)

// Of many members, in whatever order they are found, the first ones and the last are listed, and all are counted.
func TestGatheringListsFirstAndLast(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := &gathering{rule: &rules.Rule{Window: &rules.Window{Kind: rules.Tumbling}}, most: rapid.IntRange(2, 6).Draw(t, "most")}
		var all []*entry
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		for i := range rapid.IntRange(1, 3*spare).Draw(t, "members") {
			e := &entry{id: fmt.Sprint(i), at: random.Int64N(50)}
			all = append(all, e)
			g.add(e)
		}
		g.shorten()
		slices.SortFunc(all, func(a, b *entry) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.id, b.id)) })
		want := all
		if len(all) > g.most {
			want = append(slices.Clone(all[:g.most-1]), all[len(all)-1])
		}
		if !slices.Equal(g.members, want) || g.count != int64(len(all)) {
			t.Fatalf("%d of %d, want %d", len(g.members), g.count, len(want))
		}
	})
}

// Windows that can hold a result's first and last record are found whatever their kind.
func TestCandidatesHoldTheWindow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		hop := rapid.Int64Range(1, 50).Draw(t, "hop")
		w := &rules.Window{Kind: rules.Hopping, Hop: hop, Size: hop * rapid.Int64Range(1, 5).Draw(t, "hops")}
		start := hop * rapid.Int64Range(-5, 50).Draw(t, "start")
		first := start + rapid.Int64Range(0, w.Size-1).Draw(t, "first")
		last := rapid.Int64Range(first, start+w.Size-1).Draw(t, "last")
		got := candidates(w, first, last, 0)
		if !slices.Contains(got, [2]int64{start, start + w.Size}) {
			t.Fatalf("%v lacks the window from %d", got, start)
		}
		for _, c := range got {
			if c[0] > first || c[1] <= last || floorMod(c[0], hop) != 0 {
				t.Fatalf("%v does not hold %d to %d", c, first, last)
			}
		}
	})
}
