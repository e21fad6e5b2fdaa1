package rules

import (
	"slices"

	"github.com/expr-lang/expr/ast"
)

// joinClauses checks what a join needs and what does not go together with it.
func (r *ruleChecker) joinClauses(out *checkedRule) {
	d := r.decl
	if lookup(d.node, "by") == nil && !d.join.tables {
		r.file.at(d.join.key, r.rule, codeMissingKey, "add `by:` with the field that records of all inputs have in common", "a join pairs the records of one key, and the rule has no `by`")
	}
	if d.selNode == nil {
		r.file.at(r.clause("name"), r.rule, codeMissingKey, "", "a join needs the key \"select\"")
	}
	refuse := func(there bool, clause, code, help, format string, args ...any) {
		if there {
			r.file.at(r.clause(clause), r.rule, code, help, format, args...)
		}
	}
	refuse(d.window != nil, "window", codeClauses, "aggregate what the join writes in a rule of its own", "a join has no window: `within` says how far records are apart")
	refuse(d.lookups != nil, "lookup", codeClauses, "look up in a rule of its own what the join writes", "`lookup` and `join` do not go together in one rule")
	refuse(d.unbounded && !d.join.tables, "unbounded", codeClauses, "leave it out", "a join keeps nothing for ever: `within` says how long")
	refuse(d.unbounded && d.join.tables, "unbounded", codeClauses, "leave it out; how long a row holds is said by the table's `ttl`", "a table join keeps the rows of its tables")
	refuse(d.lateNode != nil && d.join.tables, "lateness", codeClauses, "leave it out; `history` of a table says how old an update may be", "a table join waits for nothing")
	refuse(d.lateTo != nil && d.join.tables, "late_to", codeClauses, "leave it out", "updates that come out of order are ignored by tables with `history`, and taken by others")
	refuse(d.emit != nil, "emit", codeClauses, "leave it out", "emit belongs to aggregates: a join writes each result when it is found")
	refuse(d.dedupe != nil, "dedupe", codeUnsupported, "drop duplicates in a rule of its own first, and join what it writes", "`dedupe` together with `join` is not supported yet")
	refuse(d.each != nil, "each", codeUnsupported, "write the elements to a stream first, and join that", "`each` together with `join` is not supported yet")
	if !d.inputsRead() {
		return
	}
	switch n := len(d.from); {
	case n == 1:
		r.file.at(r.clause("from"), r.rule, codeJoin, "name a second one; it may be the same stream under another name", "a join needs two inputs or more")
	case n > 2 && d.join.tables:
		r.file.at(r.clause("from"), r.rule, codeTable, "join two of them here, and what comes out with the others in rules of their own", "a table join has two inputs, not %d", n)
	case n > 2 && d.join.kind != InnerJoin:
		r.file.at(d.join.kindNode, r.rule, codeJoin, "join two of them here, and what comes out with the others in rules of their own",
			"a join of %d inputs is inner: a %s join has two", n, d.join.kind)
	}
	if !d.join.tables {
		out.within = r.within()
		return
	}
	for i, in := range out.inputs {
		if i < len(d.from) {
			r.isTable(in, d.from[i].stream)
		}
	}
	if d.join.on != nil {
		r.foreignClauses(out)
	}
}

// inputsRead reports whether every entry of `from` could be read.
func (r *ruleDecl) inputsRead() bool {
	from := lookup(r.node, "from")
	return from != nil && len(r.from) > 0 && 2*len(r.from) == len(from.Content)
}

// within gives every input its bounds, those of the first being zero.
func (r *ruleChecker) within() []Within {
	j := r.decl.join
	out := make([]Within, len(r.aliases))
	if len(j.bounds) == 1 && j.bounds[0].alias == nil {
		if len(out) > 2 {
			r.file.at(j.within, r.rule, codeJoin, "write within: {"+r.aliases[1]+": {after: 5m}, "+r.aliases[2]+": {before: 1m, after: 1m}}",
				"with %d inputs, within has bounds for each but the first", len(out))
		}
		out[len(out)-1] = j.bounds[0].Within
		return out
	}
	bounded := make([]bool, len(out))
	for _, b := range j.bounds {
		switch i := slices.Index(r.aliases, b.alias.Value); i {
		case -1:
			r.file.at(b.alias, r.rule, codeUnknownName, suggest(b.alias.Value, r.aliases[1:]), "the rule has no input %q", b.alias.Value)
		case 0:
			r.file.at(b.alias, r.rule, codeJoin, "leave it out; which input is the first, is said by `from`", "%s is the first input, and the bounds of the others are relative to it", b.alias.Value)
		default:
			out[i], bounded[i] = b.Within, true
		}
	}
	for i := 1; i < len(out) && j.bounds != nil; i++ {
		if !bounded[i] {
			r.file.at(j.within, r.rule, codeMissingKey, "add "+r.aliases[i]+": {after: 5m}", "within has no bounds for the input %s", r.aliases[i])
		}
	}
	return out
}

// joining types the expressions of a join.
func (r *ruleChecker) joining(out *checkedRule, s *scope) {
	d := r.decl
	before := *s
	before.why = "a join has no groups: aggregate what it writes in a rule of its own"
	before.noWindow = r.noWindow()
	proven := r.pairs(out, &before)
	switch {
	case d.join.tables && d.join.on != nil:
		r.foreignKey(out, &before, proven.alone())
	case d.join.tables:
		r.byTables(out, &before)
	case d.by != nil:
		r.by(out, &before, proven.alone())
	}
	if d.join.tables && d.join.kind == OuterJoin && out.on != nil {
		r.file.at(d.where, r.rule, codeTable, "decide it in `having`, or write two rules", "an outer join of tables writes one row for a key, so that rows of both tables always match")
	}
	after := before
	after.keyed = true
	after.windowed = d.window != nil
	after.inputs = slices.Clone(s.inputs)
	for i, in := range after.inputs {
		if in.typ != nil && d.join.unmatched(i) {
			after.inputs[i].typ = nullable(in.typ)
		}
	}
	r.results(out, &after, proven.result(d.join))
	if d.join.tables {
		r.timeless(out)
	}
}

// unmatched reports whether results may lack a record of the input: those of an unmatched record of the other side.
func (j *joinDecl) unmatched(input int) bool {
	return j.kind == OuterJoin || j.kind == LeftJoin && input == 1 || j.kind == RightJoin && input == 0
}

// pairFacts is what the conditions of a join prove about records: about those that take part, per input, and about those
// that match.
type pairFacts struct {
	inputs [][]string
	on     []string
}

// alone returns what is known of a record that takes part, before it has met another.
func (p *pairFacts) alone() *facts {
	var f *facts
	for _, paths := range p.inputs {
		f = f.with(paths)
	}
	return f
}

// pair returns what is known of records that match.
func (p *pairFacts) pair() *facts { return p.alone().with(p.on) }

// result returns what is known in results: of a side that may be missing, where it is there; what matching proves, where
// all are.
func (p *pairFacts) result(j *joinDecl) *facts {
	var f *facts
	var missing []string
	for i, paths := range p.inputs {
		var record []string
		if j.unmatched(i) {
			record = []string{(&term{op: opAlias, input: i}).path()}
		}
		f = f.where(record, paths)
		missing = append(missing, record...)
	}
	return f.where(missing, p.on)
}

// pairs types `where` and splits it at its top-level `&&`: what reads records of one input alone decides whether such a
// record takes part, what reads several whether they match, and what reads none is asked of every record. Each part is
// typed with what those before it prove, if they are evaluated before it: matching comes last.
func (r *ruleChecker) pairs(out *checkedRule, s *scope) *pairFacts {
	proven := &pairFacts{inputs: make([][]string, len(s.inputs))}
	out.alone = make([]*term, len(s.inputs))
	if r.decl.where == nil {
		return proven
	}
	c, root := r.parseExpr(r.decl.where, s)
	if c == nil {
		return proven
	}
	for _, n := range conjunctNodes(root, nil) {
		reads := s.reads(n)
		matching := len(reads) > 1
		f := proven.alone()
		if matching {
			f = proven.pair()
		}
		t := r.pairCondition(c.check(n, f))
		switch {
		case t == nil:
		case matching:
			out.on = conjunction(out.on, t)
			proven.on = append(proven.on, proves(t, true, s)...)
		default:
			r.takesPart(out, t, reads)
			for _, i := range reads {
				proven.inputs[i] = append(proven.inputs[i], proves(t, true, s)...)
			}
		}
	}
	return proven
}

// takesPart adds a condition on single records to the input that it reads, or to all if it reads none.
func (r *ruleChecker) takesPart(out *checkedRule, t *term, reads []int) {
	for i := range out.alone {
		if len(reads) == 0 || reads[0] == i {
			out.alone[i] = conjunction(out.alone[i], t)
		}
	}
}

// pairCondition checks one part of `where`. It refuses tests for a record: each condition is asked of records that are there.
func (r *ruleChecker) pairCondition(t *term) *term {
	if t == nil || !r.wholeRecords(t, false) || !r.boolean(t, "where") {
		return nil
	}
	if a := t.find(opAlias); a != nil {
		from, to := a.extent()
		a.src.report(from, to, codeWhichRecord, "whether a side is unmatched is known in `select`, `having` and `when`",
			"`%s` is never null in where", r.aliases[a.input])
		return nil
	}
	return t
}

// find returns a part of the term with that op, nil for none.
func (t *term) find(o op) *term {
	var found *term
	t.uses(func(part *term) bool {
		if part.op == o {
			found = part
		}
		return found != nil
	})
	return found
}

func conjunctNodes(n ast.Node, list []ast.Node) []ast.Node {
	if b, ok := n.(*ast.BinaryNode); ok && (b.Operator == "&&" || b.Operator == "and") {
		return conjunctNodes(b.Right, conjunctNodes(b.Left, list))
	}
	return append(list, n)
}

// reads lists the inputs whose records an expression reads.
func (s *scope) reads(n ast.Node) []int {
	used := &identifiers{}
	ast.Walk(&n, used)
	var out []int
	for i, in := range s.inputs {
		if slices.ContainsFunc(used.nodes, func(n *ast.IdentifierNode) bool { return n.Value == in.alias }) {
			out = append(out, i)
		}
	}
	return out
}

// identifiers collects the identifiers of an expression but for the names of functions.
type identifiers struct{ nodes []*ast.IdentifierNode }

// Visit is called for the parts of a node before the node.
func (v *identifiers) Visit(n *ast.Node) {
	switch n := (*n).(type) {
	case *ast.IdentifierNode:
		v.nodes = append(v.nodes, n)
	case *ast.CallNode:
		v.nodes = slices.DeleteFunc(v.nodes, func(id *ast.IdentifierNode) bool { return ast.Node(id) == n.Callee })
	default:
	}
}
