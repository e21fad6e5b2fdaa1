package rules

import (
	"github.com/expr-lang/expr/ast"

	"github.com/millrace-io/millrace/schemas"
)

// noWindow says why no window is known before records are in one, or in a rule that has none.
func (r *ruleChecker) noWindow() string {
	switch w := r.decl.window; {
	case w == nil:
		return "the rule has no `window`"
	case w.Kind == Counting:
		return "a count window has no bounds in time: take min and max of the records' times"
	}
	return "the window is known in select, having and when, outside of aggregates"
}

// window types window.start and window.end.
func (c *checker) window(n *ast.MemberNode) *term {
	from, to := n.Node.Location().From, n.Location().To
	name, ok := n.Property.(*ast.StringNode)
	switch {
	case !ok || name.Value != "start" && name.Value != "end":
		help := ""
		if ok {
			help = suggest(name.Value, []string{"start", "end"})
		}
		c.src.report(from, to, codeWindowName, help, "a window has window.start and window.end")
		return nil
	case !c.scope.windowed:
		c.src.report(from, to, codeWindowName, c.scope.noWindow, "window.%s cannot stand here", name.Value)
		return nil
	}
	t := c.at(n, term{op: opWindow, typ: kindType(schemas.Time), name: name.Value})
	t.from = from
	return t
}

// closes reports whether results are written without a record at hand: when time passes, or a window is full.
func (r *ruleChecker) closes(out *checkedRule) bool {
	return r.decl.window != nil && (out.emit == EmitFinal || out.emit == EmitEvery)
}

// result refuses records in what is made of a window that closes. It returns nil after an error.
func (r *ruleChecker) result(t *term, out *checkedRule) *term {
	if t == nil || !r.closes(out) {
		return t
	}
	if bad := t.record(); bad != nil {
		from, to := bad.extent()
		help := "take it from the window's records: last(...), first(...), max(...)"
		for _, by := range out.by {
			if by != nil && canonical(by.args[0], r.aliases) == canonical(bad, r.aliases) {
				help = "the key of the group is `key`"
			}
		}
		bad.src.report(from, to, codeNoRecord, help, "there is no record when a window closes")
		return nil
	}
	return t
}

// record finds a part of the term that reads the record, nil for none. Arguments of aggregates are no parts.
func (t *term) record() *term {
	switch t.op {
	case opAlias, opField, opItem:
		return t
	default:
	}
	for _, a := range t.args {
		if a != nil {
			if bad := a.record(); bad != nil {
				return bad
			}
		}
	}
	return nil
}

// dedupe types what duplicates have in common. A rule without `by` keeps its state by the keys of its streams.
func (r *ruleChecker) dedupe(out *checkedRule, s *scope, f *facts) {
	d := r.decl.dedupe
	if out.kind == Transform {
		r.ownKeys(out, s, f)
	}
	if d.by == nil {
		return
	}
	terms := r.perInput(d.by, "dedupe.by", s, f)
	for i, t := range terms {
		if !isKey(t.typ) {
			from, to := t.extent()
			t.src.report(from, to, codeKeyType, "convert it with string(...)", "duplicates are known by a string, int or bool, not %s", t.typ)
			return
		}
		terms[i] = textTerm(t)
	}
	out.dedupe = terms
}

// ownKeys groups the records of each input by the key of its stream.
func (r *ruleChecker) ownKeys(out *checkedRule, s *scope, f *facts) {
	terms := make([]*term, len(s.inputs))
	for i, in := range s.inputs {
		if in.typ == nil || in.decl.faulty {
			return
		}
		stream := in.decl.stream
		fd, ok := field(in.typ, stream.Key)
		if !ok {
			r.file.at(r.decl.from[i].stream, r.rule, codeClauses, "declare `key:` for it in "+in.decl.file.name,
				"dedupe knows duplicates among the records of one key, and the stream %s has no key", stream.Name)
			return
		}
		src := &source{file: r.file, node: r.decl.dedupe.key, rule: r.rule, text: stream.Key, inputs: r.aliases}
		t := fieldTerm(i, fd, src, f)
		if t.typ.Nullable {
			r.file.at(r.decl.from[i].stream, r.rule, codeKeyType, "drop records without a key: where: "+in.alias+"."+stream.Key+" != nil",
				"dedupe knows duplicates among the records of one key, and %s, the key of %s, may be null", stream.Key, stream.Name)
			return
		}
		terms[i] = textTerm(t)
	}
	if len(out.inputs) == len(terms) {
		out.by = terms
		r.nameKey(out)
	}
}
