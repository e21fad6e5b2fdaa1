package rules

import "go.yaml.in/yaml/v3"

// Defaults of stream declarations, in ms.
const (
	defaultIdleAfter = 50
	defaultMaxLead   = 5 * 60_000
)

func (p *parser) streams(dir *folder, root *yaml.Node) {
	declared := false
	p.head(root, "a streams file", key{"streams", func(_, v *yaml.Node) {
		if v.Kind != yaml.MappingNode {
			p.file.at(v, "", codeForm, "write `name: {topic: ..., schema: ...}`", "streams has to be a mapping of names to declarations, not %s", formOf(v))
			return
		}
		declared = true
		for i := 0; i+1 < len(v.Content); i += 2 {
			dir.streams = append(dir.streams, p.stream(v.Content[i], v.Content[i+1]))
		}
	}})
	// What could not be read is no stream that somebody else misspelt.
	if !declared || p.domain == "" {
		dir.lost(p.file.name)
		dir.broken[p.domain] = true
	}
}

func (p *parser) stream(name, n *yaml.Node) *streamDecl {
	d := &streamDecl{file: p.file, name: name, domain: p.domain, paths: map[string]bool{}}
	s := &Stream{
		Domain: p.domain, Name: d.id(), IdleAfter: defaultIdleAfter, MaxLead: defaultMaxLead,
		Partitioner: PartitionerMurmur2, Format: FormatAvro, Tombstones: TombstonesDead,
		Source: true, Pos: p.file.position(name),
	}
	d.stream = s
	p.rule = s.Name
	defer func() { p.rule = "" }()
	if _, ok := p.name(name, "a stream's name"); !ok {
		d.faulty = true
	}
	before := len(p.file.diags.list)
	nulls := false
	p.mapping(n, "a stream", []key{
		{"topic", func(_, v *yaml.Node) { s.Topic, _ = p.text(v, "topic"); d.topic = v }},
		{"schema", func(_, v *yaml.Node) {
			if _, ok := p.text(v, "schema"); ok {
				d.schema = v
			}
		}},
		{"key", func(_, v *yaml.Node) { s.Key, _ = p.text(v, "key"); d.key = v }},
		{"time", func(_, v *yaml.Node) { s.Time, _ = p.text(v, "time"); d.time = v }},
		{"out_of_order", func(_, v *yaml.Node) { s.OutOfOrder, _ = p.span(v, "out_of_order") }},
		{"idle_after", func(_, v *yaml.Node) { s.IdleAfter, _ = p.span(v, "idle_after") }},
		{"max_lead", func(_, v *yaml.Node) { s.MaxLead, _ = p.span(v, "max_lead") }},
		{"partitioner", func(_, v *yaml.Node) {
			s.Partitioner, _ = p.word(v, "partitioner", PartitionerMurmur2, PartitionerAny)
		}},
		{"format", func(_, v *yaml.Node) { s.Format, _ = p.word(v, "format", FormatAvro, FormatJSON) }},
		{"tombstones", func(_, v *yaml.Node) {
			s.Tombstones, nulls = p.word(v, "tombstones", TombstonesDead, TombstonesIgnore)
			d.nulls = v
		}},
		{"table", func(_, v *yaml.Node) { s.Table = p.table(v) }},
		{"partitions", func(_, v *yaml.Node) { s.Partitions = p.partitions(v) }},
		{"description", func(_, v *yaml.Node) { s.Description, _ = p.text(v, "description") }},
	}, "topic", "schema")
	p.tableStream(d, nulls)
	if len(p.file.diags.list) > before {
		d.faulty = true
	}
	return d
}

func (p *parser) partitions(n *yaml.Node) int32 {
	var v int32
	if _, _, agree := misread(n); n.Kind != yaml.ScalarNode || n.ShortTag() != "!!int" || !agree || n.Decode(&v) != nil || v < 1 || v > 10_000 {
		if !agree {
			p.file.at(n, p.rule, codeMisread, "", "partitions has to be a number; YAML reads %s as %s", shown(n.Value), readsAs(n))
		} else {
			p.file.at(n, p.rule, codeValue, "", "partitions has to be a number from 1 to 10000")
		}
		return 0
	}
	return v
}
