package nfa

import (
	"fmt"
	"slices"
	"strings"

	"github.com/millrace-io/millrace/rules"
)

// letter is a record of the tests.
type letter struct {
	kind  int
	value int
	time  int64
}

// trial is what a stage looks at.
type trial struct {
	kinds      int  // set of bits
	rising     bool // the value is no less than that of the last capture
	until      int  // set of bits; 0 for no end
	untilLater bool // only when two or more are captured
}

// problem is a pattern over a stream.
type problem struct {
	Config
	trials []trial
	stream []letter

	weight  int // bytes kept of a record
	written map[uint64][]byte
}

// taken is a capture of the reference.
type taken struct{ stage, at int }

func (p *problem) where(stage, at int, caps []taken) bool {
	x, e := &p.trials[stage], p.stream[at]
	if x.kinds&(1<<e.kind) == 0 {
		return false
	}
	return !x.rising || len(caps) == 0 || e.value >= p.stream[caps[len(caps)-1].at].value
}

func (p *problem) until(stage, at int, caps []taken) bool {
	x := &p.trials[stage]
	return x.until&(1<<p.stream[at].kind) != 0 && (!x.untilLater || len(caps) >= 2)
}

// waiting is a place in the pattern by definition: what is captured, and what the next capture has to obey.
type waiting struct {
	caps       []taken
	contiguity rules.Contiguity
	rivals     []int // stages of which the first that fits counts, in a choice
	bans       []int // no such record up to the next capture
	firsts     []int // nor as the very next record
	guards     []int // no such record up to the next capture, nor as that, until the end of that stage
	again      int   // stage that repeats itself, -1 for none
}

// following are the negated stages that stand directly behind a part.
type following struct{ bans, firsts []int }

// reference finds all matches by trying everything that the pattern allows: it knows no runs, only the whole stream.
type reference struct {
	*problem
	found map[string]bool
	lines []found
}

type found struct {
	caps []taken
	kind Kind
	at   int64 // event time
	end  int   // position of the record that completes it, len(stream) for none
}

func (r *reference) run() []found {
	r.found = map[string]bool{}
	r.part(r.Pattern, waiting{contiguity: rules.RelaxedAny, again: -1}, following{}, true, func(w waiting) { r.complete(w) })
	return r.lines
}

func (r *reference) complete(w waiting) {
	if len(w.caps) > 0 {
		last := w.caps[len(w.caps)-1].at
		r.add(found{w.caps, Completed, r.stream[last].time, last})
	}
}

func (r *reference) add(x found) {
	if key := fmt.Sprint(x); !r.found[key] {
		r.found[key] = true
		x.caps = slices.Clone(x.caps)
		r.lines = append(r.lines, x)
	}
}

// part matches a part of the pattern with its quantifier; last says that nothing follows in the whole pattern.
func (r *reference) part(p *rules.Pattern, w waiting, after following, last bool, next func(waiting)) {
	if p.Min == 1 && p.Max == 1 {
		r.once(p, w, after, last, next)
		if p.Optional {
			next(r.skipped(w))
		}
		return
	}
	if p.Optional || p.Min == 0 {
		out := r.skipped(w)
		if p.Greedy {
			out.guards = append(slices.Clip(w.guards), firstStages(p)...)
		}
		next(out)
	}
	r.repeat(p, w, after, 1, last, next)
}

// skipped is w when an optional part is left out: a choice is over.
func (r *reference) skipped(w waiting) waiting {
	w.rivals = nil
	return w
}

// repeat matches the n-th iteration and what may follow it.
func (r *reference) repeat(p *rules.Pattern, w waiting, after following, n int64, last bool, next func(waiting)) {
	least := max(p.Min, 1)
	inside := following{}
	if n >= least {
		inside.firsts = after.firsts
	}
	r.once(p, w, inside, false, func(done waiting) {
		more := p.Max == 0 || n < p.Max
		if more {
			again := done
			again.contiguity, again.rivals, again.again = p.Inner, nil, -1
			again.bans = append(slices.Clip(done.bans), after.bans...)
			if n >= least {
				again.firsts = append(slices.Clip(done.firsts), after.firsts...)
			}
			if p.Op == rules.Take {
				again.again = p.Stage
			}
			r.repeat(p, again, after, n+1, last, next)
		}
		if n >= least {
			out := done
			out.rivals, out.again = nil, -1
			if more && p.Greedy {
				out.guards = append(slices.Clip(done.guards), firstStages(p)...)
			}
			next(out)
		}
	})
}

// once matches one iteration.
func (r *reference) once(p *rules.Pattern, w waiting, after following, last bool, next func(waiting)) {
	switch p.Op {
	case rules.Take:
		r.take(p, w, next)
	case rules.Choice:
		if w.rivals == nil {
			w.rivals = firstStages(&rules.Pattern{Op: rules.Choice, Parts: p.Parts})
		}
		for _, part := range p.Parts {
			r.part(part, w, after, last, next)
		}
	case rules.AnyOrder:
		r.anyOrder(p, w, after, last, 0, next)
	default:
		r.sequence(p.Parts, w, after, last, next)
	}
}

func (r *reference) anyOrder(p *rules.Pattern, w waiting, after following, last bool, done int, next func(waiting)) {
	if done == 1<<len(p.Parts)-1 {
		next(w)
		return
	}
	var left []*rules.Pattern
	for i, part := range p.Parts {
		if done&(1<<i) == 0 {
			left = append(left, part)
		}
	}
	if w.rivals == nil || done > 0 {
		w.rivals = firstStages(&rules.Pattern{Op: rules.Choice, Parts: left})
	}
	for i, part := range p.Parts {
		if done&(1<<i) != 0 {
			continue
		}
		inside := following{}
		if len(left) == 1 {
			inside = after
		}
		r.part(part, w, inside, last && len(left) == 1, func(x waiting) {
			if x.contiguity, x.again = rules.Relaxed, -1; len(left) == 1 {
				x.rivals = nil
			}
			r.anyOrder(p, x, after, last, done|1<<i, next)
		})
	}
}

func (r *reference) sequence(parts []*rules.Pattern, w waiting, after following, last bool, next func(waiting)) {
	if len(parts) == 0 {
		next(w)
		return
	}
	p, rest := parts[0], parts[1:]
	if p.Negated {
		if p.Contiguity == rules.Strict {
			w.firsts = append(slices.Clip(w.firsts), p.Stage)
		} else {
			w.bans = append(slices.Clip(w.bans), p.Stage)
		}
		if len(rest) == 0 && last {
			r.absence(p, w)
			return
		}
	} else if p.Contiguity != 0 {
		w.contiguity, w.rivals, w.again = p.Contiguity, nil, -1
	}
	then := func(w waiting) { r.sequence(rest, w, after, last, next) }
	if p.Negated {
		then(w)
		return
	}
	inside := after
	if len(rest) > 0 {
		inside = leading(rest)
	}
	r.part(p, w, inside, last && len(rest) == 0, then)
}

// leading are the negated stages that parts begin with.
func leading(parts []*rules.Pattern) (out following) {
	relaxed := true
	for _, p := range parts {
		if !p.Negated {
			break
		}
		if p.Contiguity == rules.Strict {
			out.firsts, relaxed = append(out.firsts, p.Stage), false
		} else if relaxed {
			out.bans = append(out.bans, p.Stage)
		}
	}
	return out
}

// firstStages are those that a part can begin with.
func firstStages(p *rules.Pattern) []int {
	switch p.Op {
	case rules.Take:
		return []int{p.Stage}
	case rules.Choice, rules.AnyOrder:
		var out []int
		for _, part := range p.Parts {
			out = append(out, firstStages(part)...)
		}
		return out
	default:
		var out []int
		for _, part := range p.Parts {
			out = append(out, firstStages(part)...)
			if !part.Optional && part.Min > 0 {
				break
			}
		}
		return out
	}
}

// take tries every record as the next capture.
func (r *reference) take(p *rules.Pattern, w waiting, next func(waiting)) {
	from := 0
	if len(w.caps) > 0 {
		from = w.caps[len(w.caps)-1].at + 1
	}
	for at := from; at < len(r.stream); at++ {
		if len(w.caps) > 0 && !r.inTime(p.Stage, at, w.caps) {
			return
		}
		if r.takes(p, w, at, from) {
			x := waiting{caps: append(slices.Clip(w.caps), taken{p.Stage, at}), contiguity: rules.Relaxed, again: -1}
			next(x)
		}
		if len(w.caps) > 0 && !r.waits(p, &w, at, from) {
			return
		}
	}
}

func (r *reference) inTime(stage, at int, caps []taken) bool {
	t := r.stream[at].time
	return (r.Within == 0 || t-r.stream[caps[0].at].time < r.Within) &&
		(r.Stages[stage].Gap == 0 || t-r.stream[caps[len(caps)-1].at].time < r.Stages[stage].Gap)
}

// takes reports whether the record at is captured.
func (r *reference) takes(p *rules.Pattern, w waiting, at, from int) bool {
	looped := p.Min != 1 || p.Max != 1
	if !r.where(p.Stage, at, w.caps) || looped && r.until(p.Stage, at, w.caps) {
		return false
	}
	return !slices.ContainsFunc(w.guards, func(s int) bool { return r.guarding(s, at, w.caps) })
}

// guarding reports whether the greedy stage could take the record.
func (r *reference) guarding(s, at int, caps []taken) bool {
	return r.where(s, at, caps) && !r.until(s, at, caps)
}

// waits reports whether a run that has not captured the record at, or stays beside one that has, goes on waiting.
func (r *reference) waits(p *rules.Pattern, w *waiting, at, from int) bool {
	w.guards = slices.DeleteFunc(slices.Clone(w.guards), func(s int) bool { return r.until(s, at, w.caps) })
	hit := func(s int) bool { return r.where(s, at, w.caps) }
	switch {
	case slices.ContainsFunc(w.guards, hit), slices.ContainsFunc(w.bans, hit), at == from && slices.ContainsFunc(w.firsts, hit):
		return false
	case w.again == p.Stage && r.until(p.Stage, at, w.caps), w.contiguity == rules.Strict:
		return false
	case w.contiguity == rules.RelaxedAny:
		return true
	}
	return !hit(p.Stage) && !slices.ContainsFunc(w.rivals, hit)
}

// absence ends a pattern that ends with a negated stage.
func (r *reference) absence(p *rules.Pattern, w waiting) {
	last := w.caps[len(w.caps)-1].at
	if p.Contiguity == rules.Strict {
		if last+1 < len(r.stream) && (r.Within == 0 || r.stream[last+1].time-r.stream[w.caps[0].at].time < r.Within) && r.waits(&rules.Pattern{Stage: p.Stage}, &waiting{
			caps: w.caps, contiguity: rules.RelaxedAny, firsts: w.firsts, bans: w.bans, guards: w.guards, again: -1,
		}, last+1, last+1) {
			r.add(found{w.caps, Completed, r.stream[last+1].time, last + 1})
		}
		return
	}
	due := r.stream[w.caps[0].at].time + r.Within
	if gap := r.Stages[p.Stage].Gap; r.Within == 0 || gap > 0 && r.stream[last].time+gap < due {
		due = r.stream[last].time + gap
	}
	end := last + 1
	for ; end < len(r.stream) && r.stream[end].time < due; end++ {
		x := waiting{caps: w.caps, contiguity: rules.RelaxedAny, bans: w.bans, firsts: w.firsts, guards: w.guards, again: -1}
		if !r.waits(&rules.Pattern{Stage: p.Stage}, &x, end, last+1) {
			return
		}
		w.guards = x.guards
	}
	r.add(found{w.caps, Absent, due, end})
}

// skipping is what a skip strategy leaves of all matches.
func (r *reference) skipping(all []found) []found {
	byStage := func(caps []taken) []taken {
		caps = slices.Clone(caps)
		slices.SortStableFunc(caps, func(a, b taken) int { return a.stage - b.stage })
		return caps
	}
	slices.SortStableFunc(all, func(a, b found) int {
		if d := a.caps[0].at - b.caps[0].at; d != 0 {
			return d
		}
		if a.at != b.at {
			return int(a.at - b.at)
		}
		if a.end != b.end {
			return a.end - b.end
		}
		x, y := byStage(a.caps), byStage(b.caps)
		for i := range min(len(x), len(y)) {
			if d := x[i].stage - y[i].stage; d != 0 {
				return d
			}
			if d := x[i].at - y[i].at; d != 0 {
				return d
			}
		}
		return len(y) - len(x)
	})
	var left []found
	bound := 0
	for _, x := range all {
		if x.caps[0].at < bound {
			continue
		}
		left = append(left, x)
		switch first, last := -1, -1; r.Skip {
		case rules.SkipNext:
			bound = max(bound, x.caps[0].at+1)
		case rules.SkipPastLast:
			bound = max(bound, x.caps[len(x.caps)-1].at+1)
		case rules.SkipToFirst, rules.SkipToLast:
			for _, c := range x.caps {
				if c.stage == r.SkipTo {
					if last = c.at; first < 0 {
						first = c.at
					}
				}
			}
			if r.Skip == rules.SkipToLast {
				first = last
			}
			bound = max(bound, first)
		default:
		}
	}
	return left
}

func (x found) String() string {
	var b strings.Builder
	for _, c := range x.caps {
		fmt.Fprintf(&b, "%d:%d ", c.stage, c.at)
	}
	return fmt.Sprintf("%s%d", b.String(), x.kind)
}
