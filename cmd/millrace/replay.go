package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/millrace-io/millrace/processors"
	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/topologies/lineage"
)

// replayPrinter prints what a rule has done with the records of a key.
type replayPrinter struct {
	lineagePrinter
	rule   *rules.Rule
	whyNot bool
}

func (p *replayPrinter) print(a *lineage.Replayed) error {
	p.line("", fmt.Sprintf("%s (%s, %s) with the key %s", a.Rule, a.Kind, p.place(&lineage.Made{File: a.File, Line: a.Line}), a.Key))
	if d := p.rule.Detect; d != nil {
		p.line("  ", p.pattern(d))
	}
	for i := range a.Steps {
		p.line("", "")
		p.step(&a.Steps[i])
	}
	p.line("", "")
	p.summary(a)
	if a.Limited {
		p.line("", "not everything was read: --records says how much may be")
	}
	return p.err
}

// pattern is what is looked for.
func (p *replayPrinter) pattern(d *rules.Detect) string {
	text := strings.Join(strings.Fields(d.Text), " ")
	if d.Within > 0 {
		text += ", within " + rules.FormatDuration(d.Within)
	}
	return text + ", skip " + skip(d)
}

// skip is the skip strategy as rule files have it.
func skip(d *rules.Detect) string {
	if d.Skip == rules.SkipToFirst || d.Skip == rules.SkipToLast {
		return d.Skip.String() + "(" + d.Stages[d.SkipTo].Name + ")"
	}
	return d.Skip.String()
}

// step prints a record, or a deadline, and what it has done.
func (p *replayPrinter) step(s *lineage.Played) {
	if s.Event == nil {
		p.line("", at(s.At)+"  time alone")
	} else {
		p.line("", head(s.Event))
		p.values(s.Event, "  ")
	}
	if s.Problem != "" {
		p.line("  ", "it can't be processed, and does nothing: "+s.Problem)
		return
	}
	switch {
	case s.Passed != nil && *s.Passed:
		p.line("  ", "passes `where`")
	case s.Passed != nil:
		p.line("  ", "does not pass `where`:")
		p.unmet(s.Unmet, "    ")
	default:
		p.effects(s.Effects)
	}
}

// effects prints what was done to each run.
func (p *replayPrinter) effects(all []processors.Effect) {
	var ignored []string
	for i := range all {
		e := &all[i]
		switch {
		case e.Kind == processors.Refused:
			p.refused(e, len(all) == 1)
		case e.Kind == processors.Ignored && !p.whyNot:
			ignored = append(ignored, strconv.Itoa(e.Run))
		default:
			p.line("  ", fmt.Sprintf("run %d: %s", e.Run, p.effect(e)))
			p.lacks(e.Lacks, "    ")
		}
	}
	switch {
	case len(ignored) == 1:
		p.line("  ", "ignored by run "+ignored[0])
	case len(ignored) > 1:
		p.line("  ", "ignored by the runs "+strings.Join(ignored, ", "))
	case len(all) == 0:
		p.line("  ", "does nothing")
	}
}

// refused says that a record has begun no run, if it could have, or if it did nothing else.
func (p *replayPrinter) refused(e *processors.Effect, alone bool) {
	able := slices.ContainsFunc(e.Lacks, func(l processors.Lack) bool { return l.Input == "" })
	if alone || able && p.whyNot {
		p.line("  ", "begins no run")
		p.lacks(e.Lacks, "    ")
	}
}

// effect says what was done to a run.
func (p *replayPrinter) effect(e *processors.Effect) string {
	switch e.Kind {
	case processors.Captured:
		text := "captured " + e.Stage
		if e.Branch > 0 {
			text = fmt.Sprintf("a branch of run %d, captured %s", e.Branch, e.Stage)
		}
		if e.Waits != nil {
			text += "; " + waits(e.Waits)
		}
		return text
	case processors.Ignored:
		return "ignored it"
	case processors.HeldBack:
		return "is a match, held back until no run is left that began before it"
	case processors.Matched:
		return p.match(e)
	case processors.Killed:
		return "killed: " + p.killed(e)
	case processors.Expired:
		return p.expired(e)
	case processors.Skipped:
		return "dropped by skip: " + skip(p.rule.Detect) + ": a match leaves no room for it"
	case processors.Dropped:
		return fmt.Sprintf("dropped: it was the oldest of more than max_partial: %d runs", p.rule.Detect.MaxPartial)
	case processors.Cut:
		return fmt.Sprintf("cut: the record completes more than max_matches: %d", p.rule.Detect.MaxMatches)
	case processors.Refused:
	}
	return string(e.Kind)
}

// waits says what a run waits for.
func waits(w *processors.Waits) string {
	var parts []string
	if len(w.Stages) > 0 {
		next := "waits for "
		if w.Next {
			next = "the next record has to be "
		}
		parts = append(parts, next+strings.Join(w.Stages, " or "))
	}
	if len(w.Not) > 0 {
		parts = append(parts, strings.Join(w.Not, " or ")+" must not come")
	}
	if w.Absence && len(w.Stages) == 0 {
		parts = append(parts, "then it is a match")
	}
	text := strings.Join(parts, ", ")
	if w.Until != processors.Never {
		text += ", until " + short(time.UnixMilli(w.Until))
	}
	return text
}

func (p *replayPrinter) match(e *processors.Effect) string {
	if e.ID == "" {
		return "match, but `having` or `to` leaves it out"
	}
	text := fmt.Sprintf("match: %s %s", e.Stream, e.ID)
	if e.Held > 0 {
		text += ", held back for " + rules.FormatDuration(e.Held)
	}
	return text
}

func (p *replayPrinter) killed(e *processors.Effect) string {
	switch e.Cause {
	case processors.CauseNegated:
		return "it is " + e.Stage + ", which must not come there (!" + e.Stage + ")"
	case processors.CauseUntil:
		return "it meets `until` of " + e.Stage
	case processors.CauseGreedy:
		return "it could still be " + e.Stage + ", which is greedy, so it can't be what follows"
	case processors.CauseGap:
		return "it comes too late for " + e.Stage + ": `within` of that stage is over"
	}
	return "nothing else may come there (strict contiguity)"
}

func (p *replayPrinter) expired(e *processors.Effect) string {
	text := "timed out: `within` of the stage that it waited for is over"
	if e.Cause == processors.CauseWithin {
		text = "timed out: it began " + rules.FormatDuration(p.rule.Detect.Within) + " before (`within`)"
	}
	if e.ID != "" {
		text += fmt.Sprintf("; on_timeout: %s %s", e.Stream, e.ID)
	}
	return text
}

// lacks prints why stages have not taken a record, which only --why-not asks for.
func (p *replayPrinter) lacks(all []processors.Lack, prefix string) {
	if !p.whyNot {
		return
	}
	for i := range all {
		l := &all[i]
		switch {
		case l.Input != "":
			p.line(prefix, fmt.Sprintf("no %s: that has to be a record of %s", l.Stage, l.Input))
		case l.TooLate:
			p.line(prefix, "no "+l.Stage+": it comes after `within` of that stage")
		default:
			p.unmet(l.Unmet, prefix+"no "+l.Stage+": ")
		}
	}
}

// unmet prints conditions that do not hold, with the values that they read.
func (p *replayPrinter) unmet(all []rules.Unmet, prefix string) {
	for _, u := range all {
		var operands []string
		for _, o := range u.Operands {
			operands = append(operands, o.Text+" is "+operand(o.Value))
		}
		text := u.Text + " does not hold"
		if len(operands) > 0 {
			text += ": " + strings.Join(operands, ", ")
		}
		p.line(prefix, text)
	}
}

// operand is a value as text.
func operand(v any) string {
	if t, ok := v.(time.Time); ok {
		return at(t)
	}
	if b, err := json.Marshal(v); err == nil {
		return value(b)
	}
	return fmt.Sprint(v)
}

// summary prints how it ended, and which run came furthest.
func (p *replayPrinter) summary(a *lineage.Replayed) {
	n := 0
	for i := range a.Steps {
		if a.Steps[i].Event != nil {
			n++
		}
	}
	if p.rule.Detect == nil {
		p.line("", count(n, "record")+"; the rule is no detection, so there are no runs to be shown")
		return
	}
	matches := "1 match"
	if a.Matches != 1 {
		matches = fmt.Sprintf("%d matches", a.Matches)
	}
	p.line("", fmt.Sprintf("%s up to %s, %s, %s", count(n, "record"), short(a.Until), count(len(a.Runs), "run"), matches))
	if best := a.Furthest(); best != nil && p.whyNot {
		p.furthest(best)
	}
}

// mostMisses bounds the records that are shown which a run could have taken but for a condition: the last ones.
const mostMisses = 5

// furthest says how far a run came and what it lacked.
func (p *replayPrinter) furthest(r *lineage.Run) {
	var captured []string
	for _, c := range r.Captured {
		captured = append(captured, c.Stage+" "+c.Event)
	}
	p.line("", fmt.Sprintf("run %d came furthest of those without a match: %s", r.Number, strings.Join(captured, ", ")))
	if r.Waits != nil {
		p.line("  ", waits(r.Waits))
	}
	for _, m := range r.Misses[max(0, len(r.Misses)-mostMisses):] {
		p.line("  ", short(m.At)+" "+m.Input+" "+m.Event)
		p.lacks(m.Lacks, "    ")
	}
	if r.End == nil {
		p.line("  ", "it is still open")
		return
	}
	p.line("  ", short(r.EndAt)+" "+p.effect(r.End))
	if m := r.After; m != nil {
		p.line("  ", short(m.At)+" "+m.Input+" "+m.Event+" is the first that came after that")
	}
}

// replayJSON is a replay for programs.
type replayJSON struct {
	*lineage.Replayed
	File     string       `json:"file"`
	Steps    []playedJSON `json:"steps"`
	Furthest int          `json:"furthest,omitempty"` // number of the run that came furthest without a match
}

type playedJSON struct {
	*lineage.Played
	Event *eventJSON `json:"event,omitempty"`
}

func (p *replayPrinter) json(a *lineage.Replayed) replayJSON {
	out := replayJSON{Replayed: a, File: strings.SplitN(p.place(&lineage.Made{File: a.File}), ":", 2)[0]}
	for i := range a.Steps {
		s := playedJSON{Played: &a.Steps[i]}
		if e := a.Steps[i].Event; e != nil {
			s.Event = &eventJSON{Event: e, Fields: fieldsJSON(p.shown(e))}
		}
		out.Steps = append(out.Steps, s)
	}
	if best := a.Furthest(); best != nil {
		out.Furthest = best.Number
	}
	return out
}
