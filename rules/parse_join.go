package rules

import (
	"slices"

	"go.yaml.in/yaml/v3"
)

// join reads {type, within}, or {type, tables}.
func (p *parser) join(k, n *yaml.Node) *joinDecl {
	j := &joinDecl{key: k, kind: InnerJoin}
	if n.Kind != yaml.MappingNode {
		p.file.at(n, p.rule, codeForm, "write `join: {within: {after: 30m}}`", "join has to be a mapping of type and within, not %s", formOf(n))
		return j
	}
	known := p.mapping(n, "a join", []key{
		{"type", func(_, v *yaml.Node) { j.kind, j.kindNode = p.joinType(v), v }},
		{"within", func(k, v *yaml.Node) { j.within, j.bounds = k, p.within(v) }},
		{"tables", func(_, v *yaml.Node) { j.tables = p.flag(v, "tables") }},
		{"on", func(_, v *yaml.Node) { j.on = p.expression(v, "on") }},
	})
	switch {
	case !known:
	case j.tables && j.within != nil:
		p.file.at(j.within, p.rule, codeClauses, "leave it out, or join streams: without `tables`", "rows of tables match whenever they were written: a table join has no `within`")
	case !j.tables && j.on != nil:
		p.file.at(j.on, p.rule, codeClauses, "say what the records have in common with `by`", "on belongs to joins of tables")
	case !j.tables && j.within == nil:
		p.file.at(k, p.rule, codeMissingKey, "add `within: {after: 30m}`; tables are joined with `tables: true`", "a join needs the key \"within\"")
	}
	return j
}

// joinType reads the type of a join, InnerJoin after an error.
func (p *parser) joinType(n *yaml.Node) JoinType {
	kinds := []JoinType{InnerJoin, LeftJoin, RightJoin, OuterJoin}
	var words []string
	for _, t := range kinds {
		words = append(words, t.String())
	}
	v, ok := p.word(n, "type", words...)
	if !ok {
		return InnerJoin
	}
	return kinds[slices.Index(words, v)]
}

// within reads {before, after}, or a mapping of inputs to those.
func (p *parser) within(n *yaml.Node) []boundsDecl {
	if n.Kind != yaml.MappingNode {
		p.file.at(n, p.rule, codeForm, "write `within: {before: 0s, after: 30m}`, or such bounds for each input",
			"within has to be a mapping of before and after, not %s", formOf(n))
		return nil
	}
	nested := false
	for i := 1; i < len(n.Content); i += 2 {
		nested = nested || n.Content[i].Kind == yaml.MappingNode
	}
	if !nested {
		return []boundsDecl{{Within: p.bounds(n, "within")}}
	}
	var out []boundsDecl
	for i := 0; i+1 < len(n.Content); i += 2 {
		k := n.Content[i]
		out = append(out, boundsDecl{alias: k, Within: p.bounds(n.Content[i+1], "within."+k.Value)})
	}
	return out
}

// bounds reads {before, after}. Both may be nothing, but only if both are written: it is more often a mistake.
func (p *parser) bounds(n *yaml.Node, what string) Within {
	var w Within
	ok := true
	read := func(to *int64, what string) key {
		return key{what, func(_, v *yaml.Node) {
			ms, good := p.span(v, what)
			good = good && p.short(v, what, ms)
			*to, ok = ms, ok && good
		}}
	}
	known := p.mapping(n, what, []key{read(&w.Before, "before"), read(&w.After, "after")})
	both := lookup(n, "before") != nil && lookup(n, "after") != nil
	if known && ok && w == (Within{}) && !both {
		p.file.at(n, p.rule, codeJoin, "{after: 30m}, {before: 5m, after: 30m}; {before: 0s, after: 0s} is the same millisecond",
			"%s needs before, after or both, longer than nothing", what)
	}
	return w
}
