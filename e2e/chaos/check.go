package chaos

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/millrace-io/millrace/topologies"
)

// Report is what a comparison has found.
type Report struct {
	Inputs, Outputs int
	Lost            int // expected, and not there
	Doubled         int // there more often than expected
	Wrong           int // there with the wrong content, in the wrong order, under a wrong id, or wrong in a table
	Repeated        int // with at_least_once: same output, same id, again
	Notes           []string
}

// maxNotes bounds the descriptions in a report.
const maxNotes = 40

// Damaged reports whether anything is not as it must be.
func (r *Report) Damaged() bool { return r.Lost+r.Doubled+r.Wrong > 0 }

func (r *Report) String() string {
	return fmt.Sprintf("%d inputs, %d outputs: %d lost, %d doubled, %d wrong, %d repeated", r.Inputs, r.Outputs, r.Lost, r.Doubled, r.Wrong, r.Repeated)
}

func (r *Report) note(n *int, format string, args ...any) {
	*n++
	if len(r.Notes) < maxNotes {
		r.Notes = append(r.Notes, fmt.Sprintf(format, args...))
	}
}

// Check compares what was seen with what the ledger says, as the guarantee allows.
func Check(l *Ledger, o *Observed, g topologies.Guarantee) *Report {
	o.mu.Lock()
	defer o.mu.Unlock()
	want := l.expect()
	r := &Report{Inputs: l.Inputs()}
	for _, f := range o.faults {
		r.note(&r.Wrong, "%s", f)
	}
	for _, stream := range slices.Sorted(maps.Keys(want.streams)) {
		r.Outputs += len(o.outputs[stream])
		r.stream(stream, want.streams[stream], o.outputs[stream], g)
	}
	r.shops(want, o.outputs[streamShops])
	r.dead(want.poisons, o.dead)
	r.table("tally", want.tallies, o.cells)
	r.table("shop", want.shops, o.cells)
	return r
}

// stream holds that each expected output is there once, with its content, in its key's order, under an id of its own.
func (r *Report) stream(stream string, want map[string]string, got []output, g topologies.Guarantee) {
	first := map[string]output{}
	owner := map[string]string{} // identity by id
	last := map[string]int64{}   // order by key
	for _, out := range got {
		content, ok := want[out.identity]
		if !ok {
			r.note(&r.Wrong, "%s %s: nobody expects it: %s", stream, out.identity, out.content)
			continue
		}
		if content != "" && content != out.content {
			r.note(&r.Wrong, "%s %s: %s, want %s", stream, out.identity, out.content, content)
		}
		if before, ok := first[out.identity]; ok {
			switch {
			case g == topologies.ExactlyOnce:
				r.note(&r.Doubled, "%s %s: again", stream, out.identity)
			case before.id != out.id || before.content != out.content:
				r.note(&r.Wrong, "%s %s: %s (%s) and again as %s (%s)", stream, out.identity, before.content, before.id, out.content, out.id)
			default:
				r.Repeated++
			}
			continue
		}
		first[out.identity] = out
		if other, ok := owner[out.id]; ok {
			r.note(&r.Wrong, "%s %s and %s have the same id %s", stream, other, out.identity, out.id)
		}
		owner[out.id] = out.identity
		if out.order < last[out.key] {
			r.note(&r.Wrong, "%s %s: after %d", stream, out.identity, last[out.key])
		}
		last[out.key] = max(last[out.key], out.order)
	}
	for _, id := range slices.Sorted(maps.Keys(want)) {
		if _, ok := first[id]; !ok {
			r.note(&r.Lost, "%s %s: not there", stream, id)
		}
	}
}

// shops holds that the running counts of each shop have taken every event of the shop in exactly once, in whatever
// order: each count names its event, and each sum is the one before and that event's amount.
func (r *Report) shops(want *expected, got []output) {
	byShop := map[string][]output{}
	seen := map[string]bool{}
	for _, out := range got {
		if !seen[out.identity] { // repeated ones are compared elsewhere
			seen[out.identity] = true
			byShop[out.key] = append(byShop[out.key], out)
		}
	}
	taken := map[string]bool{}
	for _, shop := range slices.Sorted(maps.Keys(byShop)) {
		outs := byShop[shop]
		slices.SortFunc(outs, func(a, b output) int { return cmp.Compare(a.order, b.order) })
		var total, n int64
		for _, out := range outs {
			var now int64
			var event string
			if _, err := fmt.Sscanf(out.content, "total %d at %s", &now, &event); err != nil {
				r.note(&r.Wrong, "%s %s: %s: %v", streamShops, out.identity, out.content, err)
				continue
			}
			switch {
			case want.inShop[event] != shop:
				r.note(&r.Wrong, "%s %s: takes %s in, of shop %q", streamShops, out.identity, event, want.inShop[event])
			case taken[event]:
				r.note(&r.Wrong, "%s %s: takes %s in again", streamShops, out.identity, event)
			case out.order == n+1 && now != total+want.amounts[event]:
				r.note(&r.Wrong, "%s %s: total %d after %d and %s with %d", streamShops, out.identity, now, total, event, want.amounts[event])
			}
			taken[event] = true
			total, n = now, out.order
		}
	}
}

// dead holds that each poison record is among the dead letters once, byte for byte.
func (r *Report) dead(want map[string]string, got map[string][]string) {
	for _, at := range slices.Sorted(maps.Keys(want)) {
		letters := got[at]
		switch {
		case len(letters) == 0:
			r.note(&r.Lost, "dead letter of %s: not there", at)
			continue
		case len(letters) > 1:
			r.note(&r.Doubled, "dead letter of %s: %d times", at, len(letters))
		}
		if letters[0] != want[at] {
			r.note(&r.Wrong, "dead letter of %s: %q, want %q", at, letters[0], want[at])
		}
	}
	for _, at := range slices.Sorted(maps.Keys(got)) {
		if _, ok := want[at]; !ok {
			r.note(&r.Wrong, "dead letter of %s, which was no poison: %q", at, got[at])
		}
	}
}

// table holds that the last value of each key is what all inputs give.
func (r *Report) table(rule string, want map[string]Running, cells map[string][]byte) {
	got := map[string]Running{}
	for k, v := range cells {
		parts := strings.Split(k, "\x00") // entity, rule, cell
		if len(parts) != 3 || parts[1] != "chaos."+rule {
			continue
		}
		n, err := readCell(v)
		if err != nil {
			r.note(&r.Wrong, "table of %s: %s: %v", rule, parts[0], err)
			continue
		}
		got[parts[0]] = n
	}
	for _, k := range slices.Sorted(maps.Keys(want)) {
		if got[k] != want[k] {
			r.note(&r.Wrong, "table of %s: %s is %+v, want %+v", rule, k, got[k], want[k])
		}
	}
	if len(got) > len(want) {
		r.note(&r.Wrong, "table of %s: %d keys, want %d", rule, len(got), len(want))
	}
}
