package rules

import "go.yaml.in/yaml/v3"

// table reads `table: true` or {history, ttl}; nil for none.
func (p *parser) table(n *yaml.Node) *Table {
	if n.Kind == yaml.ScalarNode {
		if p.flag(n, "table") {
			return &Table{}
		}
		return nil
	}
	t := &Table{}
	p.mapping(n, "a table", []key{
		{"history", func(_, v *yaml.Node) { t.History = p.lasting(v, "history") }},
		{"ttl", func(_, v *yaml.Node) { t.TTL = p.lasting(v, "ttl") }},
	})
	return t
}

// lasting reads a time that is longer than nothing and no longer than time can be computed with; 0 after an error.
func (p *parser) lasting(n *yaml.Node, what string) int64 {
	ms, ok := p.span(n, what)
	switch {
	case !ok || !p.short(n, what, ms):
		return 0
	case ms == 0:
		p.file.at(n, p.rule, codeValue, "leave it out", "%s is longer than nothing", what)
	}
	return ms
}

// tableStream settles what a record without a value is in the stream: of a table it deletes the row of its key.
func (p *parser) tableStream(d *streamDecl, known bool) {
	s := d.stream
	if s.Table == nil {
		return
	}
	if known && s.Tombstones == TombstonesDead {
		p.file.at(d.nulls, s.Name, codeClauses, "leave tombstones out", "a record without a value deletes a row of a table: it is no dead letter")
	}
	s.Tombstones = TombstonesIgnore
	if d.key == nil {
		p.file.at(d.name, s.Name, codeMissingKey, "add `key:` with the field that tells rows apart", "a table needs a key")
	}
}

// lookups reads the tables of a lookup: {alias: {table, key, as_of, type}}.
func (p *parser) lookups(k, n *yaml.Node) []lookupDecl {
	const form = "write `lookup: {name: {table: domain.stream, key: order.user_id}}`"
	if n.Kind != yaml.MappingNode || len(n.Content) == 0 {
		p.file.at(n, p.rule, codeForm, form, "lookup has to be a mapping of names to tables, not %s", formOf(n))
		return nil
	}
	out := make([]lookupDecl, 0, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		d := lookupDecl{alias: n.Content[i]}
		name := p.alias(d.alias)
		ok := p.mapping(n.Content[i+1], "a lookup", []key{
			{"table", func(_, v *yaml.Node) {
				if _, ok := p.text(v, "a stream"); ok {
					d.table = v
				}
			}},
			{"key", func(_, v *yaml.Node) { d.key = p.expression(v, "key") }},
			{"as_of", func(_, v *yaml.Node) { d.asOf = p.expression(v, "as_of") }},
			{"type", func(_, v *yaml.Node) {
				word, _ := p.word(v, "type", InnerJoin.String(), LeftJoin.String())
				d.left = word == LeftJoin.String()
			}},
		}, "table")
		if name && ok && d.table != nil {
			out = append(out, d)
		}
	}
	if len(out) >= maxInputs {
		p.file.at(k, p.rule, codeValue, "", "%d tables; at most %d", len(out), maxInputs-1)
	}
	return out
}
