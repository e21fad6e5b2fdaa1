package rules

import (
	"slices"

	"go.yaml.in/yaml/v3"
)

func (p *parser) rules(dir *folder, root *yaml.Node) {
	if root.Kind == yaml.MappingNode && lookup(root, "streams") != nil && lookup(root, "rules") == nil {
		p.file.at(root.Content[0], "", codeClauses, "move them to "+streamsFile, "streams are declared in files named %s only", streamsFile)
		return
	}
	p.head(root, "a rule file", key{"rules", func(_, v *yaml.Node) {
		if v.Kind != yaml.SequenceNode {
			p.file.at(v, "", codeForm, "start every rule with `- name: ...`", "rules has to be a list, not %s", formOf(v))
			return
		}
		if len(v.Content) > maxRules {
			p.file.at(v, "", codeManyRules, "split the file", "%d rules in one file; at most %d", len(v.Content), maxRules)
			return
		}
		for _, n := range v.Content {
			dir.rules = append(dir.rules, p.ruleEntry(n))
		}
	}})
}

func (p *parser) ruleEntry(n *yaml.Node) *ruleDecl {
	r := &ruleDecl{
		file: p.file, node: n, domain: p.domain, owner: p.owner,
		enabled: true, priority: PriorityStandard, order: OrderEvent,
	}
	if n.Kind == yaml.MappingNode {
		if name := lookup(n, "name"); name != nil {
			if _, ok := p.name(name, "a rule's name"); ok {
				r.name = name
				p.rule = r.id()
			}
		}
	}
	defer func() { p.rule = "" }()
	before := len(p.file.diags.list)
	p.later = false
	p.mapping(n, "a rule", []key{
		{"name", func(_, _ *yaml.Node) {}},
		{"description", func(_, v *yaml.Node) { r.description, _ = p.text(v, "description") }},
		{"owner", func(_, v *yaml.Node) { r.owner, _ = p.text(v, "owner") }},
		{"priority", func(_, v *yaml.Node) {
			r.priority, _ = p.word(v, "priority", PriorityCritical, PriorityStandard, PriorityBulk)
		}},
		{"enabled", func(_, v *yaml.Node) { r.enabled = p.flag(v, "enabled") }},
		{"shadow", func(_, v *yaml.Node) { r.shadow = p.flag(v, "shadow") }},
		{"order", func(_, v *yaml.Node) { r.order, _ = p.word(v, "order", OrderEvent, OrderArrival) }},
		{"tags", func(_, v *yaml.Node) { r.tags = p.tags(v) }},
		{"lateness", func(_, v *yaml.Node) { r.lateness, r.lateNode = p.lateness(v) }},
		{"late_to", func(_, v *yaml.Node) {
			if _, ok := p.text(v, "late_to"); ok {
				r.lateTo = v
			}
		}},
		{"dead_to", func(_, v *yaml.Node) {
			if _, ok := p.text(v, "dead_to"); ok {
				r.deadTo = v
			}
		}},
		{"from", func(_, v *yaml.Node) { r.from = p.from(v) }},
		{"where", func(_, v *yaml.Node) { r.where = p.expression(v, "where") }},
		{"each", func(_, v *yaml.Node) { r.each = p.each(v) }},
		{"by", func(_, v *yaml.Node) { r.by = p.by(v, "by") }},
		{"unbounded", func(_, v *yaml.Node) { r.unbounded = p.flag(v, "unbounded") }},
		{"select", func(_, v *yaml.Node) { r.selNode = v; r.sel = p.pairs(v, "select") }},
		{"having", func(_, v *yaml.Node) { r.having = p.expression(v, "having") }},
		{"emit", func(_, v *yaml.Node) { r.emit = p.emit(v) }},
		{"window", func(k, v *yaml.Node) { r.window = p.window(k, v) }},
		{"dedupe", func(k, v *yaml.Node) { r.dedupe = p.dedupe(k, v) }},
		{"join", func(k, v *yaml.Node) { r.join = p.join(k, v) }},
		{"detect", func(k, v *yaml.Node) { r.detect = p.detect(k, v) }},
		{"to", func(_, v *yaml.Node) { r.routes = p.to(v) }},
		// Clauses of later versions: their place in the language is taken.
		{"lookup", nil},
		{"on_change", nil},
		{"within", p.below("`join`, `dedupe` or `detect`")},
		{"skip", p.below("`detect`")},
		{"on_timeout", p.below("`detect`")},
		{"max_partial", p.below("`detect`")},
		{"max_matches", p.below("`detect`")},
	}, "name", "from", "to")
	r.faulty = len(p.file.diags.list) > before
	r.later = p.later
	return r
}

// below refuses a key of a rule that belongs to one of its clauses.
func (p *parser) below(clause string) func(k, v *yaml.Node) {
	return func(k, _ *yaml.Node) {
		p.file.at(k, p.rule, codeUnknownKey, "write it below "+clause, "a rule has no key %q", k.Value)
	}
}

// expression keeps a scalar node; what it says is the checker's matter.
func (p *parser) expression(n *yaml.Node, what string) *yaml.Node {
	if !p.scalar(n, what) {
		return nil
	}
	return n
}

// pairs reads a mapping of names to expressions.
func (p *parser) pairs(n *yaml.Node, what string) []pair {
	if n.Kind != yaml.MappingNode {
		p.file.at(n, p.rule, codeForm, "", "%s has to be a mapping of names to expressions, not %s", what, formOf(n))
		return nil
	}
	out := make([]pair, 0, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if p.scalar(v, what+"."+k.Value) {
			out = append(out, pair{k, v})
		}
	}
	return out
}

func (p *parser) from(n *yaml.Node) []inputDecl {
	if n.Kind != yaml.MappingNode {
		p.file.at(n, p.rule, codeForm, "write `from: {name: domain.stream}`", "from has to be a mapping of names to streams, not %s", formOf(n))
		return nil
	}
	if len(n.Content) == 0 {
		p.file.at(n, p.rule, codeMissingKey, "write `from: {name: domain.stream}`", "from names no stream")
		return nil
	}
	var out []inputDecl
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		okName := p.alias(k)
		if _, ok := p.text(v, "a stream"); ok && okName {
			out = append(out, inputDecl{k, v})
		}
	}
	if len(out) > maxInputs {
		p.file.at(n, p.rule, codeValue, "", "%d inputs; at most %d", len(out), maxInputs)
	}
	return out
}

// maxInputs bounds the streams one rule reads.
const maxInputs = 16

// alias checks a name that expressions will use.
func (p *parser) alias(n *yaml.Node) bool {
	switch {
	case slices.Contains(reservedNames(), n.Value):
		p.file.at(n, p.rule, codeName, "take another name", "%q is a word of the language", n.Value)
	case !isIdentifier(n.Value):
		p.file.at(n, p.rule, codeName, "letters, digits and _, not starting with a digit, at most 64", "a name in expressions cannot be %q", n.Value)
	default:
		return true
	}
	return false
}

// reservedNames are identifiers that mean something in every expression.
func reservedNames() []string {
	return []string{
		"event", "key", "window", "true", "false", "nil", "null", "not", "and", "or", "in", "matches", "contains", "startsWith",
		"endsWith", "let", "if", "else",
	}
}

func (p *parser) each(n *yaml.Node) *pair {
	if n.Kind != yaml.MappingNode || len(n.Content) != 2 {
		p.file.at(n, p.rule, codeForm, "write `each: {line: order.lines}`", "each has to be one name and one list")
		return nil
	}
	if !p.alias(n.Content[0]) || !p.scalar(n.Content[1], "each") {
		return nil
	}
	return &pair{n.Content[0], n.Content[1]}
}

func (p *parser) by(n *yaml.Node, what string) *byDecl {
	switch n.Kind {
	case yaml.ScalarNode:
		return &byDecl{node: n}
	case yaml.MappingNode:
		return &byDecl{node: n, pairs: p.pairs(n, what)}
	case yaml.DocumentNode, yaml.SequenceNode, yaml.AliasNode:
	}
	p.file.at(n, p.rule, codeForm, "", "%s has to be a field, an expression, or a mapping of inputs to expressions, not %s", what, formOf(n))
	return nil
}

func (p *parser) to(n *yaml.Node) []routeDecl {
	if n.Kind == yaml.ScalarNode {
		if _, ok := p.text(n, "to"); !ok {
			return nil
		}
		return []routeDecl{{node: n, stream: n}}
	}
	if n.Kind != yaml.SequenceNode || len(n.Content) == 0 {
		p.file.at(n, p.rule, codeForm, "write `to: domain.stream`, or a list of {when, stream}", "to has to be a stream or a list of routes, not %s", formOf(n))
		return nil
	}
	if len(n.Content) > maxRoutes {
		p.file.at(n, p.rule, codeValue, "", "%d routes; at most %d", len(n.Content), maxRoutes)
		return nil
	}
	var out []routeDecl
	for i, c := range n.Content {
		r := routeDecl{node: c}
		ok := p.mapping(c, "a route", []key{
			{"when", func(_, v *yaml.Node) { r.when = p.expression(v, "when") }},
			{"stream", func(_, v *yaml.Node) {
				if _, ok := p.text(v, "stream"); ok {
					r.stream = v
				}
			}},
		}, "stream")
		if !ok || r.stream == nil {
			continue
		}
		if r.when == nil && i+1 < len(n.Content) {
			p.file.at(c, p.rule, codeRoute, "put the route without `when` last", "the routes after this one are never taken")
		}
		out = append(out, r)
	}
	return out
}

// maxRoutes bounds the routes of one rule.
const maxRoutes = 64

func (p *parser) tags(n *yaml.Node) []string {
	if n.Kind != yaml.SequenceNode {
		p.file.at(n, p.rule, codeForm, "", "tags has to be a list of names, not %s", formOf(n))
		return nil
	}
	var out []string
	for _, c := range n.Content {
		if v, ok := p.name(c, "a tag"); ok {
			out = append(out, v)
		}
	}
	return out
}
