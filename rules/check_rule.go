package rules

import (
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/millrace-io/millrace/schemas"
)

// checkedRule is a rule between check and compile: names resolved, every
// expression typed.
type checkedRule struct {
	decl      *ruleDecl
	kind      Kind
	inputs    []*streamDecl
	aliases   []string
	where     *term
	eachAlias string
	each      *term
	eachWhere *term
	by        []*term
	keyName   string
	rekey     []bool
	keys      []string
	dedupe    []*term
	groups    *aggregates
	within    []Within
	alone     []*term // of a join, per input: which records take part
	on        *term   // of a join: which records match
	detect    *checkedDetect
	having    *term
	emit      Emit
	routes    []checkedRoute
	late      *streamDecl
}

type checkedRoute struct {
	decl   *streamDecl
	when   *term
	fields []checkedField
	key    *term
}

type checkedField struct {
	name    string
	term    *term
	context ContextField
}

// ruleChecker checks one rule.
type ruleChecker struct {
	set     *setChecker
	file    *file
	rule    string
	decl    *ruleDecl
	lang    *language
	aliases []string
	failed  bool
}

func (r *ruleChecker) check() *checkedRule {
	d := r.decl
	out := &checkedRule{decl: d, kind: Transform}
	before := len(r.file.diags.list)
	s := r.inputs(out)
	r.outputs(out)
	r.lateTo(out)
	r.deadTo()
	switch {
	case d.detect != nil:
		out.kind = Detection
	case d.join != nil:
		out.kind = Joining
	case d.by != nil || d.unbounded || d.window != nil || d.having != nil || d.emit != nil:
		out.kind = Aggregation
	}
	// What a rule of a later version means cannot be said.
	if !d.later {
		r.clauses(out)
		switch {
		case s == nil:
		case d.detect != nil:
			r.detecting(out, s)
		case d.join != nil && d.each != nil: // refused, and the element's name would mean nothing
		case d.join != nil:
			r.joining(out, s)
		default:
			r.expressions(out, s)
		}
	}
	if d.faulty || len(r.file.diags.list) > before {
		return nil
	}
	return out
}

// inputs resolves `from` and returns the scope that it makes, nil if none can
// be made.
func (r *ruleChecker) inputs(out *checkedRule) *scope {
	s := &scope{}
	if r.decl.join != nil {
		s.join = r.decl.join.kind
	}
	read := map[string]string{}
	for _, in := range r.decl.from {
		d := r.stream(in.stream)
		alias := in.alias.Value
		r.aliases = append(r.aliases, alias)
		si := scopeInput{alias: alias, decl: d}
		if d != nil && d.stream.Schema != nil {
			si.typ = d.stream.Schema.Type()
			if len(r.decl.from) > 1 && s.join == 0 {
				si.typ = nullable(si.typ)
			}
		}
		if d != nil {
			if other := read[d.stream.Name]; other != "" && s.join == 0 {
				r.file.at(in.stream, r.rule, codeTwice, "", "the stream is already the input %s", other)
			}
			read[d.stream.Name] = alias
			out.inputs = append(out.inputs, d)
		}
		s.inputs = append(s.inputs, si)
	}
	out.aliases = r.aliases
	if len(s.inputs) == 0 {
		return nil
	}
	if s.join == 0 {
		s.event = sharedFields(s.inputs)
	}
	return s
}

// stream finds a declared stream by its full name.
func (r *ruleChecker) stream(n *yaml.Node) *streamDecl {
	if d := r.set.streams[n.Value]; d != nil {
		return d
	}
	domain, _, dotted := strings.Cut(n.Value, ".")
	if r.set.dir.broken[domain] {
		r.failed = true
		return nil
	}
	help := suggest(n.Value, r.set.names)
	if !dotted {
		help = "a stream is written domain.stream"
		if r.set.streams[r.decl.domain+"."+n.Value] != nil {
			help = "write " + r.decl.domain + "." + n.Value
		}
	}
	r.file.at(n, r.rule, codeStream, help, "no stream %q is declared", n.Value)
	return nil
}

// outputs resolves `to` and checks who may write where.
func (r *ruleChecker) outputs(out *checkedRule) {
	for _, rt := range r.decl.routes {
		d := r.stream(rt.stream)
		out.routes = append(out.routes, checkedRoute{decl: d})
		if d == nil {
			continue
		}
		if d.domain != r.decl.domain {
			r.file.at(rt.stream, r.rule, codeForeign, "", "rules of %s cannot write the streams of %s", r.decl.domain, d.domain)
		}
		for _, in := range out.inputs {
			if in == d {
				r.file.at(rt.stream, r.rule, codeOwnInput, "", "the rule writes its own input")
			}
		}
		if d.key == nil && !d.faulty {
			r.file.at(rt.stream, r.rule, codeNoKey, "declare `key:` in "+d.file.name, "the stream %s has no key, so no rule can write it", d.stream.Name)
		}
	}
}

// expressions types all expressions of the rule.
func (r *ruleChecker) expressions(out *checkedRule, s *scope) {
	d := r.decl
	if out.kind == Aggregation {
		out.groups = &aggregates{inputs: r.aliases}
	}
	before := *s
	before.why = "where looks at single records, before anything is aggregated; use having"
	if out.kind != Aggregation {
		before.why = "an aggregate needs `by`, and `window` or `unbounded: true`"
	}
	before.noWindow = r.noWindow()
	item := before
	if d.each != nil {
		r.each(out, &before, &item)
	}
	proven := r.where(out, &item)
	if d.by != nil {
		r.by(out, &before, proven)
	}
	if d.dedupe != nil {
		r.dedupe(out, &before, proven)
	}
	after := item
	after.windowed = d.window != nil && d.window.Kind != Counting
	after.groups = out.groups
	after.keyed = out.kind == Aggregation
	r.results(out, &after, proven)
}

// results types what is written: select, having and the routes.
func (r *ruleChecker) results(out *checkedRule, after *scope, proven *facts) {
	d := r.decl
	selected, names := map[string]*term{}, map[string]*term{}
	for _, p := range d.sel {
		t := r.result(r.expression(p.value, after, proven), out)
		selected[p.name.Value] = t
		names[p.name.Value] = t
	}
	// Conditions after select may use its names, unless an alias has them.
	late := *after
	late.selects = names
	if d.having != nil {
		out.having = r.result(r.condition(d.having, &late, proven, "having"), out)
	}
	for i, rt := range d.routes {
		if rt.when != nil {
			out.routes[i].when = r.result(r.condition(rt.when, &late, proven, "when"), out)
		}
		if decl := out.routes[i].decl; decl != nil && decl.stream.Schema != nil && (d.selNode != nil || out.kind == Transform) {
			r.route(&out.routes[i], rt, selected, after, proven)
		}
	}
}

// expression checks an expression; its value has to be one that can be
// written, so a whole input is none.
func (r *ruleChecker) expression(n *yaml.Node, s *scope, f *facts) *term {
	t := r.checkExpr(n, s, f)
	if t == nil || !r.wholeRecords(t, false) {
		return nil
	}
	return t
}

// wholeRecords refuses inputs as values: they can be compared with nil only.
func (r *ruleChecker) wholeRecords(t *term, compared bool) bool {
	if t.op == opAlias && !compared {
		name := "event"
		if t.input != eventInput {
			name = r.aliases[t.input]
		}
		t.src.report(t.from, t.to, codeOperands, "name a field: "+name+".field", "a whole record is no value here")
		return false
	}
	compared = t.op == opBinary && (t.name == "==" || t.name == "!=") && (t.args[0].typ.Kind == schemas.Null || t.args[1].typ.Kind == schemas.Null)
	ok := true
	for _, a := range t.args {
		if a != nil && !r.wholeRecords(a, compared) {
			ok = false
		}
	}
	return ok
}

// condition checks an expression that has to be bool.
func (r *ruleChecker) condition(n *yaml.Node, s *scope, f *facts, what string) *term {
	t := r.expression(n, s, f)
	if t == nil || !r.boolean(t, what) {
		return nil
	}
	return t
}

func (r *ruleChecker) boolean(t *term, what string) bool {
	if t.typ.Kind == schemas.Bool && !t.typ.Nullable {
		return true
	}
	help := ""
	if t.typ.Kind == schemas.Bool {
		help = "say what null counts as: (...) ?? false"
	}
	from, to := t.extent()
	t.src.report(from, to, codeCondition, help, "%s has to be bool, not %s", what, t.typ)
	return false
}

func (r *ruleChecker) each(out *checkedRule, outer, item *scope) {
	d := r.decl
	out.eachAlias = d.each.name.Value
	item.each = out.eachAlias
	for _, in := range r.aliases {
		if in == out.eachAlias {
			r.file.at(d.each.name, r.rule, codeTwice, "", "%q is already an input", in)
		}
	}
	t := r.expression(d.each.value, outer, nil)
	if t == nil {
		return
	}
	from, to := t.extent()
	switch {
	case t.typ.Kind != schemas.List || t.typ.Elem == nil:
		t.src.report(from, to, codeOperands, "", "each needs a list, not %s", t.typ)
	case t.typ.Nullable:
		t.src.report(from, to, codeNull, "give a default: (...) ?? []", "the list may be null")
	default:
		out.each, item.item = t, t.typ.Elem
	}
}

// where checks the filter and splits it at the first condition that looks at
// the element of `each`. It returns what a record that passed has proven.
func (r *ruleChecker) where(out *checkedRule, s *scope) *facts {
	if r.decl.where == nil {
		return nil
	}
	t := r.condition(r.decl.where, s, nil, "where")
	if t == nil {
		return nil
	}
	var head, tail *term
	for _, c := range conjuncts(t, nil) {
		if tail == nil && !c.uses(func(t *term) bool { return t.op == opItem }) {
			head = conjunction(head, c)
		} else {
			tail = conjunction(tail, c)
		}
	}
	out.where, out.eachWhere = head, tail
	return (*facts)(nil).with(proves(t, true, s))
}

func conjuncts(t *term, list []*term) []*term {
	if t.op == opBinary && t.name == "&&" {
		return conjuncts(t.args[1], conjuncts(t.args[0], list))
	}
	return append(list, t)
}

func conjunction(a, b *term) *term {
	if a == nil {
		return b
	}
	return &term{op: opBinary, name: "&&", typ: kindType(schemas.Bool), args: []*term{a, b}, src: a.src, from: a.from, to: a.to}
}
