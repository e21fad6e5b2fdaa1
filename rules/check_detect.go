package rules

import (
	"cmp"
	"slices"
)

// checkedDetect is a detection between check and compile.
type checkedDetect struct {
	decl     *detectDecl
	src      *source // of the pattern
	root     *part
	stages   []checkedStage // in the order in which the pattern names them
	skipTo   int
	folds    *aggregates
	timeouts *checkedRule // only its routes; nil without on_timeout
}

// checkedStage is a stage of the pattern.
type checkedStage struct {
	name   string
	take   *part
	decl   *stageDecl // nil: it is an input and nothing else
	input  int
	stream *streamDecl // nil after an error
	gap    int64
	where  *term
	until  *term
	proven []string // paths of its records that are not null once where has passed
}

// names lists the stages as expressions call them.
func (d *checkedDetect) names() []string {
	out := make([]string, len(d.stages))
	for i, s := range d.stages {
		out[i] = s.name
	}
	return out
}

// detectClauses checks what a detection needs and what does not go together with it.
func (r *ruleChecker) detectClauses() {
	d := r.decl
	if lookup(d.node, "by") == nil {
		r.file.at(d.detect.key, r.rule, codeMissingKey, "add `by:` with the field that records of all inputs have in common", "a detection finds sequences of records of one key, and the rule has no `by`")
	}
	if d.selNode == nil {
		r.file.at(r.clause("name"), r.rule, codeMissingKey, "", "a detection needs the key \"select\"")
	}
	refuse := func(there bool, clause, code, help, format string, args ...any) {
		if there {
			r.file.at(r.clause(clause), r.rule, code, help, format, args...)
		}
	}
	refuse(d.where != nil, "where", codeClauses, "write it below `define`, as the condition of a stage", "each stage of a detection has a condition of its own, and the rule has none")
	refuse(d.window != nil, "window", codeClauses, "write `within` below `detect`", "a detection has no window: `within` says how long a match may take")
	refuse(d.join != nil, "join", codeClauses, "write a rule of its own that joins, and detect in what it writes", "a rule joins or detects, not both")
	refuse(d.emit != nil, "emit", codeClauses, "leave it out", "emit belongs to aggregates: a detection writes each match when it is found")
	refuse(d.dedupe != nil, "dedupe", codeUnsupported, "drop duplicates in a rule of its own first, and detect in what it writes", "`dedupe` together with `detect` is not supported yet")
	refuse(d.each != nil, "each", codeUnsupported, "write the elements to a stream first, and detect in that", "`each` together with `detect` is not supported yet")
	refuse(d.unbounded && d.detect.withinNode != nil, "unbounded", codeClauses, "leave one of the two out", "a detection with `within` keeps nothing for ever")
}

// detecting checks the pattern and types the expressions of a detection.
func (r *ruleChecker) detecting(out *checkedRule, s *scope) {
	d := r.decl
	before := *s
	before.why, before.noWindow = "aggregates are over what stages have captured", r.noWindow()
	if d.by != nil {
		r.by(out, &before, nil)
	}
	if d.detect.pattern == nil || !d.inputsRead() {
		return
	}
	src := &source{file: r.file, node: d.detect.pattern, rule: r.rule, text: d.detect.pattern.Value, inputs: r.aliases}
	c := &checkedDetect{decl: d.detect, src: src, root: parsePattern(src)}
	if c.root == nil || !r.stages(c, out) {
		return
	}
	r.unused(c)
	shape := &patternChecker{src: src, ends: d.detect.withinNode != nil, stages: c.stages}
	ok := shape.check(c.root)
	r.bounds(c)
	r.skip(c)
	if ok {
		r.captures(c, out, s)
		out.detect = c
	}
}

// stages resolves the names of the pattern. false: some mean nothing, and more cannot be said.
func (r *ruleChecker) stages(c *checkedDetect, out *checkedRule) bool {
	ok := true
	c.root.walk(func(p *part) {
		p.stage = len(c.stages)
		first := slices.IndexFunc(c.stages, func(s checkedStage) bool { return s.name == p.name })
		s := checkedStage{name: p.name, take: p, decl: r.defined(p.name)}
		s.input = r.stageInput(c, p, s.decl)
		switch {
		case first >= 0:
			c.src.report(p.from, p.to, codeShape, "declare a second stage: define: {"+p.name+"2: {on: "+r.onHelp(c.stages[first].input)+"}}", "the stage %q is in the pattern twice, and captures are told apart by their stage", p.name)
			ok = false
		case s.input < 0:
			ok = false
		case s.input < len(out.inputs) && len(out.inputs) == len(r.aliases):
			s.stream = out.inputs[s.input]
		}
		if s.decl != nil {
			s.gap = s.decl.gap
		}
		c.stages = append(c.stages, s)
	})
	if len(c.stages) > maxStages {
		c.src.report(c.root.from, c.root.to, codeStages, "split the rule in two, over a stream in between", "%d stages; at most %d", len(c.stages), maxStages)
		return false
	}
	return ok
}

func (r *ruleChecker) onHelp(input int) string {
	if input < 0 {
		return "..."
	}
	return r.aliases[input]
}

// defined returns what `define` says of a stage, nil for nothing.
func (r *ruleChecker) defined(name string) *stageDecl {
	define := r.decl.detect.define
	for i := range define {
		if define[i].name.Value == name {
			return &define[i]
		}
	}
	return nil
}

// stageInput returns the input whose records a stage takes, -1 after an error. Where there is one input, nothing has to say so.
func (r *ruleChecker) stageInput(c *checkedDetect, p *part, d *stageDecl) int {
	own := slices.Index(r.aliases, p.name)
	switch {
	case d != nil && d.on != nil && own >= 0 && d.on.Value != p.name:
		r.file.at(d.on, r.rule, codeDetect, "call the stage something else", "the stage %s is named like an input, and takes its records", p.name)
	case d != nil && d.on != nil:
		own = slices.Index(r.aliases, d.on.Value)
		if own < 0 {
			r.file.at(d.on, r.rule, codeUnknownName, suggest(d.on.Value, r.aliases), "the rule has no input %q", d.on.Value)
		}
	case own >= 0:
	case d != nil && len(r.aliases) == 1:
		return 0
	case d != nil:
		r.file.at(d.name, r.rule, codeDetect, "add `on: "+r.aliases[0]+"`, or another input", "whose records does the stage %s take?", p.name)
	default:
		known := slices.Clone(r.aliases)
		for _, s := range r.decl.detect.define {
			known = append(known, s.name.Value)
		}
		help := suggest(p.name, known)
		if help == "" {
			help = "declare it: define: {" + p.name + ": {on: " + r.aliases[0] + ", where: ...}}"
		}
		c.src.report(p.from, p.to, codeUnknownName, help, "%q is neither an input nor a stage of `define`", p.name)
	}
	return own
}

// unused refuses stages that the pattern does not name: they are forgotten or misspelt there.
func (r *ruleChecker) unused(c *checkedDetect) {
	for _, s := range r.decl.detect.define {
		if !slices.Contains(c.names(), s.name.Value) {
			r.file.at(s.name, r.rule, codeDetect, suggest(s.name.Value, c.names()), "the pattern has no stage %q", s.name.Value)
		}
	}
}

// bounds checks that runs end, and the times of stages.
func (r *ruleChecker) bounds(c *checkedDetect) {
	d := r.decl.detect
	before, _ := reaches(c.root, len(c.stages))
	endless := ""
	for i, s := range c.stages {
		switch follows := slices.Contains(before[i].maybe, true); {
		case s.gap == 0 && follows && !s.take.negated:
			endless = cmp.Or(endless, s.name)
		case s.gap == 0:
		case !follows:
			r.file.at(s.decl.gapNode, r.rule, codeDetect, "leave it out", "the `within` of a stage is the time since the record captured before, and nothing is captured before %s", s.name)
		case d.within > 0 && s.gap >= d.within:
			r.file.at(s.decl.gapNode, r.rule, codeDetect, "leave it out", "the whole match takes less than %s, so this says nothing", FormatDuration(d.within))
		}
	}
	if endless != "" && d.withinNode == nil && !r.decl.unbounded {
		r.file.at(d.pattern, r.rule, codeUnbounded, "add `within: 30m` to the detection, or `unbounded: true` to the rule if waiting for ever is what you want",
			"a run may wait for %s for ever", endless)
	}
}

// skip resolves the stage to which the search goes on.
func (r *ruleChecker) skip(c *checkedDetect) {
	d := r.decl.detect
	if !d.skip.toStage() {
		return
	}
	c.skipTo = slices.Index(c.names(), d.skipTo)
	switch {
	case c.skipTo < 0:
		r.file.at(d.skipNode, r.rule, codeDetect, suggest(d.skipTo, c.names()), "the pattern has no stage %q to skip to", d.skipTo)
	case c.stages[c.skipTo].take.negated:
		r.file.at(d.skipNode, r.rule, codeDetect, "name a stage that captures records", "%s is negated and captures nothing to skip to", d.skipTo)
	case len(c.stages) == 1 && d.skip == SkipToFirst:
		r.file.at(d.skipNode, r.rule, codeDetect, "skip: next, or skip: past_last", "every match begins with %s: skipping to it goes nowhere", d.skipTo)
	}
}
