package rules

import "go.yaml.in/yaml/v3"

// clauses checks which clauses go together.
func (r *ruleChecker) clauses(out *checkedRule) {
	switch out.kind {
	case Aggregation:
		r.aggregateClauses()
		out.emit = r.emit()
		r.retracts(out)
	case Joining, TableJoining:
		r.joinClauses(out)
		r.retracts(out)
	case Lookup:
		r.lookupClauses(out)
	case Detection:
		r.detectClauses()
	default: // a transform goes with everything
	}
	r.late()
}

// clause is where a clause of the rule stands: its key, or the rule's name.
func (r *ruleChecker) clause(name string) *yaml.Node {
	at := r.decl.name
	if at == nil {
		at = r.decl.node
	}
	return r.keyNode(name, at)
}

func (r *ruleChecker) aggregateClauses() {
	d := r.decl
	if d.by == nil && !d.faulty {
		clause := "emit"
		switch {
		case d.window != nil:
			clause = "window"
		case d.unbounded:
			clause = "unbounded"
		case d.having != nil:
			clause = "having"
		}
		r.file.at(r.clause(clause), r.rule, codeClauses, "add `by:` with the field that groups are made of", "%s belongs to aggregates, and the rule has no `by`", clause)
	}
	if d.by != nil && d.window == nil && !d.unbounded {
		r.file.at(d.by.node, r.rule, codeUnbounded, "add `window: {size: 5m}`, or `unbounded: true` if one row per key, kept for ever, is what you want",
			"the rule keeps state per key without a bound")
	}
	if d.window != nil && d.unbounded {
		r.file.at(r.clause("unbounded"), r.rule, codeClauses, "leave one of the two out", "a rule with a window keeps nothing for ever")
	}
	if d.selNode == nil {
		r.file.at(r.clause("name"), r.rule, codeMissingKey, "", "an aggregate needs the key \"select\"")
	}
	if d.each != nil {
		r.file.at(d.each.name, r.rule, codeUnsupported, "write the elements to a stream first, and aggregate that", "`each` together with `by` is not supported yet")
	}
}

// emit settles when the aggregate writes.
func (r *ruleChecker) emit() Emit {
	w, e := r.decl.window, r.decl.emit
	switch {
	case e == nil && w == nil:
		return EmitChanges
	case e == nil:
		return EmitFinal
	}
	refuse := func(help, format string, args ...any) {
		r.file.at(e.node, r.rule, codeClauses, help, format, args...)
	}
	switch {
	case w == nil && r.decl.by == nil: // aggregateClauses has said more
	case w == nil && (e.mode == EmitFinal || e.mode == EmitEvery):
		refuse("add `window: {size: 5m}`, or write `emit: changes` or `emit: each`", "`emit: %s` writes windows, and the rule has none", e.mode)
	case w != nil && w.Kind == Counting && e.mode != EmitFinal:
		refuse("leave emit out", "a count window is written once, when it is full")
	case w != nil && e.mode == EmitEach:
		refuse("`emit: changes` writes after every record that changes the result", "`emit: each` is for rules without a window")
	}
	return e.mode
}

// retracts refuses rules that take results back in streams whose readers take a record without a value for an error.
func (r *ruleChecker) retracts(out *checkedRule) {
	what := "a session that grows retracts what it wrote with a record without a value"
	help := ", or write `emit: final`"
	switch w := r.decl.window; {
	case out.kind == TableJoining:
		what, help = "a table join deletes a result that holds no more with a record without a value", ", or declare it a table: `table: true`"
	case w == nil || w.Kind != Session || out.emit != EmitChanges:
		return
	}
	for i, rt := range r.decl.routes {
		d := out.routes[i].decl
		if d != nil && !d.faulty && d.stream.Tombstones != TombstonesIgnore {
			r.file.at(rt.stream, r.rule, codeRetract, "declare `tombstones: ignore` for it in "+d.file.name+help,
				"%s, and those of %s are dead letters", what, d.stream.Name)
		}
	}
}

// late refuses lateness and late_to where no record is ever late.
func (r *ruleChecker) late() {
	d := r.decl
	if d.join != nil || d.lookups != nil || d.detect != nil {
		return
	}
	counting := d.window != nil && d.window.Kind == Counting
	if d.lateNode != nil && (d.window == nil || counting) {
		msg, help := "lateness is how long windows stay open for late records, and the rule has no window", "leave it out"
		switch {
		case counting:
			msg = "lateness is how long windows stay open for late records, and a count window closes when it is full"
		case d.dedupe != nil:
			help = "how long ids are known is said by `dedupe.within`"
		}
		r.file.at(r.clause("lateness"), r.rule, codeClauses, help, "%s", msg)
	}
	if d.lateTo != nil && (d.window == nil || counting) && d.dedupe == nil {
		r.file.at(r.clause("late_to"), r.rule, codeClauses, "leave it out", "no record is late in a rule with neither a window of time, nor a join, nor a detection, nor dedupe")
	}
}

// lateTo resolves late_to. Late records are written as they came.
func (r *ruleChecker) lateTo(out *checkedRule) {
	n := r.decl.lateTo
	if n == nil {
		return
	}
	d := r.stream(n)
	if d == nil {
		return
	}
	out.late = d
	if d.domain != r.decl.domain {
		r.file.at(n, r.rule, codeForeign, "", "rules of %s cannot write the streams of %s", r.decl.domain, d.domain)
	}
	late := d.stream
	for _, in := range out.inputs[min(len(r.decl.lookups), len(out.inputs)):] { // what comes too late for a table is only counted
		s := in.stream
		switch {
		case in == d:
			r.file.at(n, r.rule, codeOwnInput, "", "the rule writes its own input")
		case d.faulty || in.faulty || s.Schema == nil || late.Schema == nil:
		case s.Schema.Fingerprint() != late.Schema.Fingerprint():
			r.file.at(n, r.rule, codeLate, "", "late records keep their schema: %s, not %s", s.Schema.Name(), late.Schema.Name())
		case s.Key != late.Key:
			r.file.at(n, r.rule, codeLate, "declare the stream as "+s.Name+" is", "late records keep their key: %s, not %s", orNone(s.Key), orNone(late.Key))
		case s.Format != late.Format:
			r.file.at(n, r.rule, codeLate, "declare the stream as "+s.Name+" is", "late records keep their format: %s, not %s", s.Format, late.Format)
		}
	}
}

func orNone(field string) string {
	if field == "" {
		return "none"
	}
	return field
}

func (r *ruleChecker) deadTo() {
	if n := r.decl.deadTo; n != nil {
		if wrong := r.set.topicError(n.Value); wrong != "" {
			r.file.at(n, r.rule, codeTopic, "", "%s", wrong)
		}
	}
}
