package rules

import "slices"

// Keeper gives the rule that answers for the rows of a table, and which of its inputs the table is: the first of All that keeps
// every row as it was written, under the table's own key. Every table of a Set has one; nil is for other streams.
func (s *Set) Keeper(table *Stream) (r *Rule, input int) {
	for _, r := range s.All() {
		for i, in := range r.Inputs {
			if in.Stream == table && r.keepsAll(i) {
				return r, i
			}
		}
	}
	return nil, 0
}

// keepsAll reports whether the rule keeps all rows of an input that it takes as a table: conditions of a table join on one side leave
// rows out, and who asks by a foreign key keeps no more than that.
func (r *Rule) keepsAll(input int) bool {
	return r.Keeps(input) && r.Kind != Asking && !r.Rekey[input] && (r.Join == nil || r.Join.Where[input] == nil)
}

// RowFields are the fields that are kept of every row of a table, in the order of the schema: all but the context fields.
func (s *Stream) RowFields() []string { return rowFields(s) }

// keepers makes a rule for each table that no rule keeps the rows of, so that every table can be read.
func (s *Set) keepers(streams map[string]*streamDecl) {
	for _, st := range s.Streams {
		if r, _ := s.Keeper(st); st.Table == nil || r != nil {
			continue
		}
		s.parts = append(s.parts, streams[st.Name].keeper())
	}
}

// keeper is a lookup in a table by nobody. A rule's name has no dot, so that its own is no rule's.
func (d *streamDecl) keeper() *Rule {
	s, alias := d.stream, d.name.Value
	fd, _ := field(s.Schema.Type(), s.Key) // the check has seen to it
	key := fieldTerm(0, fd, &source{file: d.file, node: d.key, rule: s.Name, text: fd.Name, inputs: []string{alias}}, nil)
	key.typ = notNull(fd.Type)
	c := &compiler{inputs: []*streamDecl{d}}
	r := &Rule{
		Domain: d.domain, Name: alias + ".table", ID: s.Name + ".table", Description: "Keeps the rows of " + s.Name + " to be read.",
		Kind: Keeping, Inputs: []Input{{Alias: alias, Stream: s}}, By: []*Expr{c.expr(textTerm(key))},
		KeyName: s.Key, Keys: []string{s.Key}, Rekey: []bool{false}, Lookups: []Found{{Left: true, Reads: slices.Sorted(slices.Values(rowFields(s)))}},
		Priority: PriorityStandard, Order: OrderEvent, Pos: s.Pos,
	}
	r.Version, r.Fingerprint = digest(r.canonical()), digest(r.stateForm())
	return r
}
