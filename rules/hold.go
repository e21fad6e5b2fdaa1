package rules

import "slices"

// noticeableHold is the time, in ms, from which people should know what to do about matches that are held back.
const noticeableHold = 1000

// Hold returns the longest time, in ms, that a match can be held back by the skip strategy, until runs that began before it
// have ended; 0 if none is, -1 if there is no bound.
func (d *Detect) Hold() int64 {
	switch {
	case d.Skip == SkipNone || d.keepsOrder():
		return 0
	case d.Within == 0:
		return -1
	}
	return d.Within
}

// keepsOrder reports whether runs are completed in the order in which they began, so that none waits for another: all of
// them meet the same conditions, and one that began earlier is never behind.
func (d *Detect) keepsOrder() bool {
	for _, s := range d.Stages {
		if !s.WhereReads.None() || !s.UntilReads.None() {
			return false
		}
	}
	last := d.Pattern
	for last.Op == Sequence {
		last = last.Parts[len(last.Parts)-1]
	}
	return d.Pattern.inStep(last, d.Skip == SkipPastLast || d.Skip == SkipNext)
}

// inStep reports whether what a part takes depends on nothing but how far a run has come. The last stage may go on after it
// has completed a match, if that ends the run.
func (p *Pattern) inStep(last *Pattern, ends bool) bool {
	if p.Op == Choice || p.Op == AnyOrder || p.Optional || p.Contiguity == RelaxedAny {
		return false
	}
	if p.Min != p.Max && (p != last || !ends) || p.Max != 1 && (p.Op != Take || p.Inner == RelaxedAny) {
		return false
	}
	return !slices.ContainsFunc(p.Parts, func(q *Pattern) bool { return !q.inStep(last, ends) })
}

// heldBack returns the warning that matches of a rule may be held back, nil if they are not.
func (r *checkedRule) heldBack(d *Detect) *Error {
	hold := d.Hold()
	if hold == 0 {
		return nil
	}
	f, at := r.decl.file, r.decl.detect.key
	if n := r.decl.detect.skipNode; n != nil {
		at = n
	}
	limit, help := "for up to "+FormatDuration(hold), ""
	if hold < 0 {
		limit = "for ever"
	}
	if hold < 0 || hold > noticeableHold {
		help = "`skip: none` writes each match at once; drop repetitions in a rule behind it, with `dedupe`"
	}
	return f.finding(f.span(at), r.decl.id(), codeHold, help, "`skip: %s` may hold a match back %s, until runs that began before it have ended", d.Skip, limit)
}
