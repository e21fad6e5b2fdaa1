package processors

import (
	"slices"

	"github.com/millrace-io/millrace/processors/nfa"
	"github.com/millrace-io/millrace/rules"
)

// tell makes effects of the notes of a step.
func (w *Watched) tell() {
	took := map[*nfa.Capture]int{}
	for _, n := range w.notes {
		if n.Deed == nfa.Took {
			w.took(n, took[n.Run] > 0)
			took[n.Run]++
		}
	}
	for _, c := range w.before {
		switch {
		case took[c] > 0:
		case w.after[c] != nil:
			w.add(Effect{Kind: Ignored, Lacks: w.lacks[c]}, c)
		default:
			w.ended(c)
		}
	}
	for _, n := range w.notes {
		if n.Deed == nfa.Took && w.after[n.Next] == nil {
			w.ended(n.Next)
		}
	}
	w.matches()
	if took[nil] == 0 && len(w.lacks[nil]) > 0 {
		w.effects = append(w.effects, Effect{Kind: Refused, Lacks: w.lacks[nil]})
	}
}

func (w *Watched) add(e Effect, c *nfa.Capture) {
	e.Run = w.numbers[c]
	w.effects = append(w.effects, e)
}

// took tells that a run has captured the record. A run that also goes on without it, or with it in another way, has a branch.
func (w *Watched) took(n nfa.Note, before bool) {
	e := Effect{Kind: Captured, Stage: w.stages[n.Stage].Name, Waits: w.after[n.Next]}
	switch {
	case n.Run != nil && w.after[n.Run] == nil && !before:
		w.numbers[n.Next] = w.numbers[n.Run]
	default:
		w.count++
		w.numbers[n.Next] = w.count
		e.Branch = w.numbers[n.Run]
	}
	w.add(e, n.Next)
}

// ended tells why a run has ended: of several reasons, for it could go on in several ways, the one that says most. That it is a match is
// told elsewhere.
func (w *Watched) ended(c *nfa.Capture) {
	deeds := map[nfa.Deed]int{} // with their stages
	for _, n := range w.notes {
		if n.Run == c {
			deeds[n.Deed] = n.Stage
		}
	}
	killed := func(cause string, stage int) {
		w.add(Effect{Kind: Killed, Cause: cause, Stage: w.stages[stage].Name, Lacks: w.lacks[c]}, c)
	}
	has := func(d nfa.Deed) bool { _, ok := deeds[d]; return ok }
	switch {
	case has(nfa.Matched):
	case has(nfa.Dropped):
		w.add(Effect{Kind: Dropped}, c)
	case has(nfa.Skipped):
		w.add(Effect{Kind: Skipped}, c)
	case has(nfa.Cut):
		w.add(Effect{Kind: Cut}, c)
	case has(nfa.Banned):
		killed(CauseNegated, deeds[nfa.Banned])
	case has(nfa.Closed):
		killed(CauseUntil, deeds[nfa.Closed])
	case has(nfa.Guarded):
		killed(CauseGreedy, deeds[nfa.Guarded])
	case has(nfa.TooLate):
		killed(CauseGap, deeds[nfa.TooLate])
	case has(nfa.Broken):
		w.add(Effect{Kind: Killed, Cause: CauseStrict, Lacks: w.lacks[c]}, c)
	}
}

// matches tells what has become of matches, and of runs whose time is over.
func (w *Watched) matches() {
	out := w.outcome.Matches
	among := func(list []nfa.Match, c *nfa.Capture) bool {
		return slices.ContainsFunc(list, func(m nfa.Match) bool { return m.Last == c })
	}
	for i := range out {
		m := &out[i]
		e := Effect{Kind: Matched, At: m.At, Held: m.Held}
		if m.Kind == nfa.TimedOut {
			if e.Kind, e.Cause = Expired, CauseGap; w.within(m) {
				e.Cause = CauseWithin
			}
		}
		if o := w.written[m.Last]; o != nil {
			e.ID, e.Stream = o.ID, o.Stream.Name
		}
		w.add(e, m.Last)
	}
	for _, n := range w.notes {
		switch {
		case n.Deed != nfa.Matched || among(out, n.Run):
		case among(w.pending, n.Run):
			w.add(Effect{Kind: HeldBack}, n.Run)
		case w.rule.Detect.Skip != rules.SkipNone:
			w.add(Effect{Kind: Skipped}, n.Run)
		}
	}
	for _, m := range w.held {
		if !among(out, m.Last) && !among(w.pending, m.Last) {
			w.add(Effect{Kind: Skipped}, m.Last)
		}
	}
}

// within reports whether a run has ended because of the bound on the whole.
func (w *Watched) within(m *nfa.Match) bool {
	bound := w.rule.Detect.Within
	return bound > 0 && m.Last.Start.Time+bound <= m.At
}
