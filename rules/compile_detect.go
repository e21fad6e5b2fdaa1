package rules

import (
	"slices"
	"strconv"
)

// recorded are the streams of the records that results are made of: the inputs, or one per stage of a detection.
func (r *checkedRule) recorded() []*streamDecl {
	if r.detect == nil {
		return r.inputs
	}
	out := make([]*streamDecl, len(r.detect.stages))
	for i, s := range r.detect.stages {
		out[i] = s.stream
	}
	return out
}

// conditions lists the expressions of the stages and of the aggregates over them.
func (d *checkedDetect) conditions() []*term {
	var out []*term
	for _, s := range d.stages {
		out = append(out, s.where, s.until)
	}
	for _, g := range d.folds.list {
		out = append(out, g.arg)
	}
	return out
}

// detection compiles the rule's detection, nil for none.
func (r *checkedRule) detection() *Detect {
	d := r.detect
	if d == nil {
		return nil
	}
	c := &compiler{inputs: r.recorded()}
	out := &Detect{
		Text: d.decl.pattern.Value, Pattern: d.pattern(d.root), Within: d.decl.within, Skip: d.decl.skip, SkipTo: d.skipTo,
		Result: captures(r.written(), -1), MaxPartial: d.decl.maxPartial, MaxMatches: d.decl.maxMatches, canon: d.root.String(),
	}
	packed := r.packed()
	for i, s := range d.stages {
		out.Stages = append(out.Stages, Stage{
			Name: s.name, Input: s.input, Gap: s.gap, Where: c.expr(s.where), Until: c.expr(s.until),
			WhereReads: captures([]*term{s.where}, i), UntilReads: captures([]*term{s.until}, i), Packed: packed[i],
		})
	}
	for _, g := range d.folds.list {
		f := Fold{Stage: g.stage, Aggregate: Aggregate{Func: g.fn, N: g.n, Arg: c.expr(g.arg), Type: g.typ}}
		switch g.fn {
		case Min, Max, Avg, First, Last:
			f.Type = nullable(g.typ)
		default: // never null
		}
		out.Folds = append(out.Folds, f)
	}
	if t := d.timeouts; t != nil {
		out.Timeouts = &TimedOut{Routes: r.compileRoutes(t.routes, c), Reads: captures(t.written(), -1)}
	}
	return out
}

// pattern compiles a part of the pattern.
func (d *checkedDetect) pattern(p *part) *Pattern {
	out := &Pattern{
		Op: p.op, Stage: p.stage, Contiguity: p.contiguity, Negated: p.negated, Min: p.min, Max: p.max,
		Optional: p.optional, Greedy: p.greedy, Inner: p.inner, Pos: d.src.position(p.from),
	}
	for _, q := range p.parts {
		out.Parts = append(out.Parts, d.pattern(q))
	}
	return out
}

// captures says what terms read of captures. own is the stage whose record is at hand, -1 for none.
func captures(terms []*term, own int) Captures {
	var out Captures
	for _, t := range terms {
		if t == nil {
			continue
		}
		t.uses(func(t *term) bool {
			switch {
			case t.op == opGroup:
				out.Folds = append(out.Folds, t.n)
			case (t.op == opField || t.op == opAlias) && t.input != own:
				out.Last = append(out.Last, t.input)
			}
			return false
		})
	}
	slices.Sort(out.Last)
	slices.Sort(out.Folds)
	return Captures{slices.Compact(out.Last), slices.Compact(out.Folds)}
}

// packed lists per stage, sorted, the paths that are read of its records once they are captured.
func (r *checkedRule) packed() [][]string {
	d := r.detect
	found := make([]map[string]bool, len(d.stages))
	for i := range found {
		found[i] = map[string]bool{}
	}
	note := func(own int, terms ...*term) {
		for _, t := range terms {
			if t != nil {
				t.uses(func(t *term) bool {
					if t.op == opField && t.input != own {
						found[t.input][t.name] = true
					}
					return false
				})
			}
		}
	}
	for i, s := range d.stages {
		note(i, s.where, s.until)
	}
	for _, g := range d.folds.list {
		note(-1, g.arg)
	}
	note(-1, r.written()...)
	if d.timeouts != nil {
		note(-1, d.timeouts.written()...)
	}
	out := make([][]string, len(found))
	for i := range found {
		out[i] = sortedKeys(found[i])
	}
	return out
}

// form lists what shapes the state of a detection, for fingerprints; durations are in ms.
func (d *Detect) form() []string {
	parts := []string{"detect", d.canon, "within", strconv.FormatInt(d.Within, 10), "skip", d.Skip.String(), strconv.Itoa(d.SkipTo)}
	add := func(what string, x *Expr) {
		if x != nil {
			parts = append(parts, what, x.canon)
		}
	}
	for _, s := range d.Stages {
		parts = append(parts, "stage", s.Name, strconv.Itoa(s.Input), strconv.FormatInt(s.Gap, 10))
		add("where", s.Where)
		add("until", s.Until)
		parts = append(parts, s.Packed...)
	}
	for _, f := range d.Folds {
		parts = append(parts, "fold", strconv.Itoa(f.Stage), f.Func.String(), f.Type.String())
		add("of", f.Arg)
	}
	return parts
}
