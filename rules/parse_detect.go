package rules

import (
	"strings"

	"go.yaml.in/yaml/v3"
)

// Limits of detections.
const (
	defaultPartial = 1_000
	defaultMatches = 1_000
	maxKept        = 1_000_000 // of max_partial and max_matches
	maxStages      = 64
)

// detect reads a detection.
func (p *parser) detect(k, n *yaml.Node) *detectDecl {
	d := &detectDecl{key: k, node: n, skip: SkipPastLast, maxPartial: defaultPartial, maxMatches: defaultMatches}
	if n.Kind != yaml.MappingNode {
		p.file.at(n, p.rule, codeForm, "write `detect: {pattern: a -> b, within: 30m}`", "detect has to be a mapping of pattern, within and others, not %s", formOf(n))
		return d
	}
	p.mapping(n, "a detection", []key{
		{"pattern", func(_, v *yaml.Node) {
			if _, ok := p.text(v, "pattern"); ok {
				d.pattern = v
			}
		}},
		{"define", func(_, v *yaml.Node) { d.define = p.define(v) }},
		{"within", func(_, v *yaml.Node) { d.within, d.withinNode = p.bound(v) }},
		{"skip", func(_, v *yaml.Node) { d.skipNode = v; d.skip, d.skipTo = p.skip(v) }},
		{"max_partial", func(_, v *yaml.Node) { d.maxPartial, _ = p.number(v, "max_partial", 1, maxKept) }},
		{"max_matches", func(_, v *yaml.Node) { d.maxMatches, _ = p.number(v, "max_matches", 1, maxKept) }},
		{"on_timeout", func(_, v *yaml.Node) { d.timeout = p.timeout(v) }},
	}, "pattern")
	return d
}

// bound reads the `within` of a detection or of a stage.
func (p *parser) bound(n *yaml.Node) (int64, *yaml.Node) {
	ms, _ := p.length(n, "within")
	return ms, n
}

// define reads a mapping of stages to conditions, or to more than that.
func (p *parser) define(n *yaml.Node) []stageDecl {
	if n.Kind != yaml.MappingNode {
		p.file.at(n, p.rule, codeForm, "write `define: {stage: condition}`, or `{on: input, where: condition}` for the condition",
			"define has to be a mapping of stages to conditions, not %s", formOf(n))
		return nil
	}
	out := make([]stageDecl, 0, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		ok := p.alias(k)
		s := p.stage(k, v)
		if ok {
			out = append(out, s)
		}
	}
	return out
}

// stage reads a condition, or {on, where, within, until}.
func (p *parser) stage(k, n *yaml.Node) stageDecl {
	s := stageDecl{name: k}
	what := "define." + k.Value
	if n.Kind == yaml.ScalarNode {
		s.where = n
		return s
	}
	if n.Kind != yaml.MappingNode {
		p.file.at(n, p.rule, codeForm, "", "%s has to be a condition, or a mapping of on, where, within and until, not %s", what, formOf(n))
		return s
	}
	p.mapping(n, what, []key{
		{"on", func(_, v *yaml.Node) {
			if _, ok := p.text(v, "on"); ok {
				s.on = v
			}
		}},
		{"where", func(_, v *yaml.Node) { s.where = p.expression(v, what+".where") }},
		{"until", func(_, v *yaml.Node) { s.until = p.expression(v, what+".until") }},
		{"within", func(_, v *yaml.Node) { s.gap, s.gapNode = p.bound(v) }},
	})
	return s
}

// skip reads a strategy, and the stage that to_first and to_last name.
func (p *parser) skip(n *yaml.Node) (Skip, string) {
	const help = "none, next, past_last, to_first(stage) or to_last(stage)"
	text, ok := p.text(n, "skip")
	if !ok {
		return SkipPastLast, ""
	}
	word, stage, called := strings.Cut(text, "(")
	stage, closed := strings.CutSuffix(stage, ")")
	word, stage = strings.TrimSpace(word), strings.TrimSpace(stage)
	for s := SkipNone; s <= SkipToLast; s++ {
		if s.String() == word && called == s.toStage() && closed == s.toStage() {
			return s, stage
		}
	}
	p.file.at(n, p.rule, codeValue, help, "skip cannot be %q", text)
	return SkipPastLast, ""
}

// timeout reads where runs go that time has ended.
func (p *parser) timeout(n *yaml.Node) *timeoutDecl {
	t := &timeoutDecl{node: n}
	if n.Kind != yaml.MappingNode {
		p.file.at(n, p.rule, codeForm, "write `on_timeout: {to: domain.stream, select: {field: expression}}`",
			"on_timeout has to be a mapping of to and select, not %s", formOf(n))
		return t
	}
	p.mapping(n, "on_timeout", []key{
		{"to", func(_, v *yaml.Node) { t.routes = p.to(v) }},
		{"select", func(_, v *yaml.Node) { t.selNode = v; t.sel = p.pairs(v, "on_timeout.select") }},
	}, "to", "select")
	return t
}
