package rules

import (
	"slices"
	"strings"

	"github.com/millrace-io/millrace/schemas"
)

// captured is what an expression knows of the captures of one stage.
type captured struct {
	hidden  string // why it cannot be read here; "" = it can
	sure    bool   // it has captured something in any case
	own     bool   // it is the stage whose record is at hand
	negated bool
	typ     *schemas.Type // of its records; nil if unknown because of an error
	proven  []string      // paths of its records that are not null
}

// captures types the expressions of a detection. In those of a stage names are what the run captured before it; in results,
// what the match did.
func (r *ruleChecker) captures(c *checkedDetect, out *checkedRule, inputs *scope) {
	stage := *r
	stage.aliases = c.names()
	c.folds = &aggregates{inputs: stage.aliases}
	before, end := reaches(c.root, len(c.stages))
	for i := range c.stages {
		stage.conditions(c, i, stage.scope(c, inputs, i, before[i]))
	}
	after := stage.scope(c, inputs, -1, end)
	stage.results(out, after, c.facts(after))
	if c.decl.timeout != nil {
		stage.timeouts(c, out, inputs, end)
	}
}

// scope makes the scope of expressions at one stage, or of results if it is -1.
func (r *ruleChecker) scope(c *checkedDetect, inputs *scope, at int, reached reach) *scope {
	s := &scope{keyed: true, groups: c.folds, noWindow: r.noWindow(), takers: map[string]string{}}
	for i, stage := range c.stages {
		k := captured{sure: reached.sure[i], own: i == at, negated: stage.take.negated, proven: stage.proven}
		in := scopeInput{alias: stage.name, decl: stage.stream}
		if stage.stream != nil && stage.stream.stream.Schema != nil {
			k.typ = notNull(stage.stream.stream.Schema.Type())
			in.typ = k.typ
		}
		switch {
		case k.own:
			k.sure = false // aggregates over it are over what was captured before
		case stage.take.negated:
			k.hidden = "the stage is negated: its records are in no match, and only its own condition reads them"
		case !reached.maybe[i]:
			k.hidden = "the stage comes later in the pattern: nothing of it is captured yet"
		case !k.sure && in.typ != nil:
			in.typ = nullable(in.typ)
		}
		s.takers[r.decl.from[stage.input].alias.Value] = stage.name
		s.inputs = append(s.inputs, in)
		s.stages = append(s.stages, k)
	}
	return s
}

// example names a stage that can be read, for help: that of the record at hand if there is one.
func (s *scope) example() string {
	name := s.inputs[0].alias
	for i, k := range s.stages {
		if k.own {
			name = s.inputs[i].alias
		}
	}
	return name
}

// facts returns what the conditions of stages have proven about the records that they captured.
func (c *checkedDetect) facts(s *scope) *facts {
	var f *facts
	for i, k := range s.stages {
		switch {
		case k.hidden != "" || k.own:
		case k.sure:
			f = f.with(k.proven)
		default:
			f = f.where([]string{(&term{op: opAlias, input: i}).path()}, k.proven)
		}
	}
	return f
}

// conditions types what a record has to meet at a stage, and what ends its repetition.
func (r *ruleChecker) conditions(c *checkedDetect, i int, s *scope) {
	stage := &c.stages[i]
	if stage.decl == nil {
		return
	}
	if n := stage.decl.where; n != nil {
		stage.where = r.condition(n, s, c.facts(s), "where")
		r.possible(stage)
		stage.proven = ownPaths(stage.where, i, s)
	}
	if n := stage.decl.until; n != nil {
		if !stage.take.loops() {
			r.file.at(n, r.rule, codeDetect, "write "+stage.name+"+ in the pattern, or leave `until` out", "`until` ends the repetition of a stage, and %s does not repeat", stage.name)
		}
		stage.until = r.condition(n, s, c.facts(s), "until")
	}
}

// possible refuses conditions that no record can meet.
func (r *ruleChecker) possible(s *checkedStage) {
	if s.where == nil {
		return
	}
	for _, t := range conjuncts(s.where, nil) {
		if t.isConst() && t.value == false {
			from, to := t.extent()
			t.src.report(from, to, codeShape, "", "no record can meet this condition, so the stage %s never matches", s.name)
		}
	}
}

// ownPaths lists what a condition proves about the record at hand.
func ownPaths(t *term, stage int, s *scope) []string {
	if t == nil {
		return nil
	}
	own := (&term{op: opAlias, input: stage}).path() + "."
	return slices.DeleteFunc(proves(t, true, s), func(path string) bool { return !strings.HasPrefix(path, own) })
}

// timeouts types what is written when time ends a run: it has captured something, but only the first stage for sure.
func (r *ruleChecker) timeouts(c *checkedDetect, out *checkedRule, inputs *scope, end reach) {
	t := c.decl.timeout
	d := *r.decl
	d.node, d.sel, d.selNode, d.routes, d.having = t.node, t.sel, t.selNode, t.routes, nil
	inner := *r
	inner.decl = &d
	c.timeouts = &checkedRule{decl: &d, kind: Detection, inputs: out.inputs, aliases: out.aliases}
	inner.outputs(c.timeouts)
	reached := reach{make([]bool, len(c.stages)), end.maybe}
	if first := c.root.leading(); first != nil {
		reached.sure[first.stage] = true
	}
	s := r.scope(c, inputs, -1, reached)
	inner.results(c.timeouts, s, c.facts(s))
	if c.decl.withinNode == nil && !slices.ContainsFunc(c.stages, func(s checkedStage) bool { return s.gap > 0 }) {
		r.file.at(t.node, r.rule, codeDetect, "add `within: 30m`", "no run times out: the detection has no `within`")
	}
}
