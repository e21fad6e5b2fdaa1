package rules

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/millrace-io/millrace/schemas"
)

// isTable refuses a stream that is not declared as a table where one has to be.
func (r *ruleChecker) isTable(d *streamDecl, node *yaml.Node) {
	if d != nil && !d.faulty && d.stream.Table == nil {
		r.file.at(node, r.rule, codeTable, "declare `table: true` for it in "+d.file.name, "%s is no table", d.stream.Name)
	}
}

// lookupClauses checks what a lookup needs and what does not go together with it.
func (r *ruleChecker) lookupClauses(out *checkedRule) {
	d := r.decl
	if d.selNode == nil {
		r.file.at(r.clause("name"), r.rule, codeMissingKey, "", "a lookup needs the key \"select\"")
	}
	refuse := func(there bool, clause, help, format string, args ...any) {
		if there {
			r.file.at(r.clause(clause), r.rule, codeClauses, help, format, args...)
		}
	}
	refuse(d.by != nil, "by", "leave it out", "what a lookup goes by is the `key` of its tables")
	refuse(d.window != nil, "window", "aggregate what the lookup writes in a rule of its own", "a lookup has no window")
	refuse(d.unbounded, "unbounded", "leave it out; how long a row holds is said by the table's `ttl`", "a lookup keeps the rows of its tables")
	refuse(d.emit != nil, "emit", "leave it out", "emit belongs to aggregates: a lookup writes one result for each record")
	refuse(d.dedupe != nil, "dedupe", "drop duplicates in a rule of its own first", "`dedupe` together with `lookup` is not supported")
	refuse(d.each != nil, "each", "write the elements to a stream first", "`each` together with `lookup` is not supported")
	refuse(d.detect != nil, "detect", "look up in a rule of its own what the detection writes", "`lookup` and `detect` do not go together in one rule")
	refuse(len(d.from) > 1, "from", "write a rule for each", "a lookup has one input and its tables, not %d", len(d.from))
	for i, l := range d.lookups {
		if i >= len(out.inputs) {
			break
		}
		in := out.inputs[i]
		r.isTable(in, l.table)
		if t := in.stream.Table; l.asOf != nil && t != nil && t.History == 0 {
			r.file.at(l.asOf, r.rule, codeTable, "declare `table: {history: 1d}` for it in "+in.file.name, "%s keeps no former versions, and as_of asks for them", in.stream.Name)
		}
	}
}

// lookingUp types the expressions of a lookup.
func (r *ruleChecker) lookingUp(out *checkedRule, s *scope) {
	d := r.decl
	if len(d.from) != 1 || len(s.inputs) != len(d.lookups)+1 {
		return
	}
	for i, l := range d.lookups {
		if l.left && s.inputs[i].typ != nil {
			s.inputs[i].typ = nullable(s.inputs[i].typ)
		}
	}
	s.why = "a lookup has no groups: aggregate what it writes in a rule of its own"
	s.noWindow = r.noWindow()
	proven := r.found(out, s)
	r.byLookups(out, s, proven)
	after := *s
	after.keyed = true
	out.asOf = make([]*term, len(d.lookups))
	for i, l := range d.lookups {
		if l.asOf != nil {
			out.asOf[i] = r.asOf(l, &after, proven)
		}
	}
	r.results(out, &after, proven)
	if out.having == nil {
		out.having = out.on
	} else {
		out.having = conjunction(out.on, out.having)
	}
	out.on = nil
}

// found types `where`. What it asks of the record alone decides whether anything is looked up for it; from the first
// condition on a row it is asked afterwards.
func (r *ruleChecker) found(out *checkedRule, s *scope) *facts {
	if r.decl.where == nil {
		return nil
	}
	t := r.condition(r.decl.where, s, nil, "where")
	if t == nil {
		return nil
	}
	stream := len(s.inputs) - 1
	for _, c := range conjuncts(t, nil) {
		reads := c.uses(func(t *term) bool { return (t.op == opField || t.op == opAlias) && t.input != stream })
		if out.on == nil && !reads {
			out.where = conjunction(out.where, c)
		} else {
			out.on = conjunction(out.on, c)
		}
	}
	return (*facts)(nil).with(proves(t, true, s))
}

// byLookups makes the key of a lookup: what the record says for all of its tables, and the key of every table.
func (r *ruleChecker) byLookups(out *checkedRule, s *scope, f *facts) {
	d, stream := r.decl, len(s.inputs)-1
	var first *term
	text := ""
	for i, l := range d.lookups {
		t := r.lookupKey(l, s, f)
		if t == nil {
			return
		}
		if t.uses(func(t *term) bool { return (t.op == opField || t.op == opAlias) && t.input != stream }) {
			r.file.at(l.key, r.rule, codeTable, "look the one table up in a rule of its own, and the other in what that writes", "the key can only be made of %s", s.inputs[stream].alias)
			return
		}
		if i == 0 {
			first, text = t, canonical(t, r.aliases)
		} else if canonical(t, r.aliases) != text {
			at := l.key
			if at == nil {
				at = l.alias
			}
			r.file.at(at, r.rule, codeTable, "look the one table up in a rule of its own, and the other in what that writes",
				"all tables of a lookup go by one key: %s has another one than %s", l.alias.Value, d.lookups[0].alias.Value)
			return
		}
	}
	terms := r.tableKeys(s, stream)
	if terms == nil {
		return
	}
	r.keyed(out, append(terms, first), d.lookups[0].alias)
}

// lookupKey is what the record says that a table is looked up by: its own key, if nothing else is written.
func (r *ruleChecker) lookupKey(l lookupDecl, s *scope, f *facts) *term {
	if l.key != nil {
		return r.expression(l.key, s, f)
	}
	i := len(s.inputs) - 1
	in := s.inputs[i]
	if in.typ == nil || in.decl == nil {
		return nil
	}
	fd, ok := field(in.typ, in.decl.stream.Key)
	if !ok {
		r.file.at(l.alias, r.rule, codeMissingKey, "add `key: "+in.alias+".field`", "%s has no key of its own to look up by", in.decl.stream.Name)
		return nil
	}
	return fieldTerm(i, fd, &source{file: r.file, node: l.alias, rule: r.rule, text: fd.Name, inputs: r.aliases}, f)
}

// byTables makes the key of a table join: that of both tables.
func (r *ruleChecker) byTables(out *checkedRule, s *scope) {
	if d := r.decl.by; d != nil {
		r.file.at(r.clause("by"), r.rule, codeClauses, "leave it out", "tables are joined by their keys")
		return
	}
	if terms := r.tableKeys(s, len(s.inputs)); terms != nil {
		r.keyed(out, terms, r.clause("join"))
	}
}

// tableKeys are the keys of the first n inputs, which are tables; nil after an error.
func (r *ruleChecker) tableKeys(s *scope, n int) []*term {
	inputs := r.decl.read()
	var out []*term
	for i, in := range s.inputs[:n] {
		if in.typ == nil || in.decl == nil {
			return nil
		}
		fd, ok := field(in.typ, in.decl.stream.Key)
		if !ok {
			return nil // of a table without a key, which is reported where it is declared
		}
		out = append(out, fieldTerm(i, fd, &source{file: r.file, node: inputs[i].stream, rule: r.rule, text: fd.Name, inputs: r.aliases}, nil))
		out[i].typ = notNull(fd.Type) // a row has the key of its record
	}
	return out
}

// keyed settles the key of every input.
func (r *ruleChecker) keyed(out *checkedRule, terms []*term, at *yaml.Node) {
	kinds := map[schemas.Kind]bool{}
	for i, t := range terms {
		kinds[t.typ.Kind] = true
		if terms[i] = r.keyTerm(t); terms[i] == nil {
			return
		}
	}
	if len(kinds) > 1 {
		r.file.at(at, r.rule, codeInputs, "convert with string(...)", "the keys of the inputs have different types")
		return
	}
	if len(out.inputs) == len(terms) {
		out.by = terms
		r.nameKey(out)
	}
}

// asOf types the moment for which a row is looked up, as ms.
func (r *ruleChecker) asOf(l lookupDecl, s *scope, f *facts) *term {
	t := r.expression(l.asOf, s, f)
	if t == nil {
		return nil
	}
	from, to := t.extent()
	switch {
	case t.typ.Kind != schemas.Time && t.typ.Kind != schemas.Int:
		t.src.report(from, to, codeOperands, "", "as_of has to be a time, or an int of milliseconds since 1970, not %s", t.typ)
	case t.typ.Nullable:
		t.src.report(from, to, codeNull, "give a default with ??: now() is the record's event time", "as_of cannot be null, and this may be")
	case t.uses(func(t *term) bool {
		return (t.op == opField || t.op == opAlias) && t.input != len(s.inputs)-1
	}):
		r.file.at(l.asOf, r.rule, codeTable, "", "as_of can only be made of %s", s.inputs[len(s.inputs)-1].alias)
	default:
		return t
	}
	return nil
}

// keeps reports whether the rule takes the input as a table.
func (r *checkedRule) keeps(input int) bool {
	return r.kind == TableJoining || r.kind == Lookup && input < len(r.decl.lookups)
}

// rowFields are the fields that are kept of a row whether or not a rule reads them: all but the context fields, so that a rule
// that reads another one tomorrow finds it in the rows of today.
func rowFields(s *Stream) []string {
	var out []string
	typ := s.Schema.Type()
	for i := range typ.Fields {
		if f := &typ.Fields[i]; contextField(f) == NoContext {
			out = append(out, f.Name)
		}
	}
	return out
}

// readRow notes that rows are kept.
func (d *streamDecl) readRow() {
	for _, f := range rowFields(d.stream) {
		d.read(f)
	}
}

// rows lists per table what is kept of its rows: the paths that are read, and rowFields.
func (r *checkedRule) rows() [][]string {
	out := r.pairs()
	for i, in := range r.inputs {
		if !r.keeps(i) {
			continue
		}
		all := map[string]bool{}
		for _, path := range append(out[i], rowFields(in.stream)...) {
			all[path] = true
		}
		for path := range all { // what lies in a field that is kept is kept
			if top, _, nested := strings.Cut(path, "."); nested && all[top] {
				delete(all, path)
			}
		}
		out[i] = sortedKeys(all)
	}
	return out
}

// timeless refuses now() where a join of tables decides whether there is a result, and which: what was decided when it was
// written is asked again when a row changes, at another time.
func (r *ruleChecker) timeless(out *checkedRule) {
	deciding := []*term{out.on, out.having}
	for i := range out.routes {
		deciding = append(deciding, out.routes[i].when, out.routes[i].key)
	}
	for _, t := range deciding {
		if t == nil {
			continue
		}
		if now := t.impure(); now != nil {
			from, to := now.extent()
			now.src.report(from, to, codeTable, "ask for the times that the rows have, or declare a `ttl` for a table", "what the rows of tables say together cannot depend on now(): time that goes on changes no row")
		}
	}
}

// impure returns a call in the term whose value is not decided by its arguments, nil for none.
func (t *term) impure() (found *term) {
	t.uses(func(part *term) bool {
		if part.op == opCall && !part.fn.pure {
			found = part
		}
		return found != nil
	})
	return found
}

// lookups is what the rule looks up, nil for none.
func (r *checkedRule) lookups(c *compiler) []Found {
	if r.kind != Lookup {
		return nil
	}
	reads := r.rows()
	out := make([]Found, len(r.decl.lookups))
	for i, l := range r.decl.lookups {
		out[i] = Found{AsOf: c.expr(r.asOf[i]), Left: l.left, Reads: slices.Clone(reads[i])}
	}
	return out
}

// form lists what a lookup is, for fingerprints.
func (l *Found) form(table *Stream) []string {
	parts := append([]string{"lookup"}, table.Table.form()...)
	if l.AsOf != nil {
		parts = append(parts, "as of", l.AsOf.canon)
	}
	if l.Left {
		parts = append(parts, LeftJoin.String())
	}
	return parts
}
