package rules

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/millrace-io/millrace/schemas"
)

// route types the selected values against one output schema.
func (r *ruleChecker) route(out *checkedRoute, d routeDecl, selected map[string]*term, s *scope, f *facts) {
	stream := out.decl.stream
	schema := stream.Schema.Type()
	var missing []string
	for i := range schema.Fields {
		fd := &schema.Fields[i]
		o := checkedField{name: fd.Name}
		t, chosen := selected[fd.Name]
		switch {
		case chosen && t == nil: // reported
		case chosen:
			o.term = r.fit(t, fd, stream)
		case r.decl.selNode == nil && contextField(fd) == NoContext:
			if t := r.copied(fd, d, s, f); t != nil {
				o.term = t
			} else if !fd.HasDefault {
				missing = append(missing, fd.Name)
			}
		default:
			o.context = contextField(fd)
			if o.context == NoContext && !fd.HasDefault {
				missing = append(missing, fd.Name)
			}
		}
		if fd.Name == stream.Key {
			r.key(out, &o, chosen && t == nil, d)
		}
		if fd.Name == stream.Time {
			r.time(&o, stream, chosen, d)
		}
		out.fields = append(out.fields, o)
	}
	r.names(schema)
	missing = slices.DeleteFunc(missing, func(name string) bool { return name == stream.Key || name == stream.Time })
	if len(missing) > 0 {
		at := r.decl.selNode
		if at == nil {
			at = d.stream
		} else {
			at = r.keyNode("select", at)
		}
		what := "field"
		if len(missing) > 1 {
			what = "fields"
		}
		r.file.at(at, r.rule, codeMissing, "", "%s needs the %s %s, and select does not set it", schema.Name, what, strings.Join(missing, ", "))
	}
}

// keyNode returns the node of a key of the rule: a better place for a caret
// than the first entry below it.
func (r *ruleChecker) keyNode(name string, otherwise *yaml.Node) *yaml.Node {
	for i := 0; i+1 < len(r.decl.node.Content); i += 2 {
		if r.decl.node.Content[i].Value == name {
			return r.decl.node.Content[i]
		}
	}
	return otherwise
}

// names refuses selected names that the schema does not have, or that only
// millrace sets.
func (r *ruleChecker) names(schema *schemas.Type) {
	for _, p := range r.decl.sel {
		name := p.name.Value
		switch name {
		case "event_id", "lineage", "version":
			r.file.at(p.name, r.rule, codeReserved, "", "%s is set by millrace and cannot be selected", name)
		default:
			if _, ok := field(schema, name); !ok {
				r.file.at(p.name, r.rule, codeNoOutput, suggest(name, fieldNames(schema)), "no field %q in %s", name, schema.Name)
			}
		}
	}
}

// copied is the field of the same name of the record that came in: what a
// rule without select writes.
func (r *ruleChecker) copied(fd *schemas.Field, d routeDecl, s *scope, f *facts) *term {
	if s.event == nil {
		return nil
	}
	in, ok := field(s.event, fd.Name)
	if !ok || !assignable(in.Type, fd.Type, 0) || in.Type.Nullable && !fd.Type.Nullable {
		return nil
	}
	input := 0
	if len(s.inputs) > 1 {
		input = eventInput
	}
	src := &source{file: r.file, node: d.stream, rule: r.rule, text: fd.Name, inputs: r.aliases}
	return convert(&term{op: opField, typ: in.Type, input: input, name: fd.Name, src: src, to: 1}, fd.Type)
}

// fit checks that a value can be written to a field, and converts ints where
// the field is a float.
func (r *ruleChecker) fit(t *term, fd *schemas.Field, stream *Stream) *term {
	from, to := t.extent()
	report := func(code, help, format string, args ...any) *term {
		t.src.report(from, to, code, help, format, args...)
		return nil
	}
	where := fd.Name + " of " + stream.Schema.Name()
	if !assignable(t.typ, fd.Type, 0) {
		if t.typ.Kind == schemas.Null {
			return report(codeNullable, "", "%s cannot be null", where)
		}
		help := convertHelp(t.typ, fd.Type)
		if isEnum(fd.Type) {
			help = symbolHelp("", fd.Type)
		}
		return report(codeSelect, help, "%s is %s, not %s", where, fd.Type, t.typ)
	}
	if t.typ.Nullable && !fd.Type.Nullable {
		return report(codeNullable, nullableHelp(t, fd.Type), "%s cannot be null, and the value may be", where)
	}
	if isEnum(fd.Type) {
		ok := true
		constants(t, func(c *term) {
			if s, isText := c.text(); isText && !slices.Contains(fd.Type.Symbols, s) {
				f, u := c.extent()
				c.src.report(f, u, codeSymbol, symbolHelp(s, fd.Type), "%s cannot be %q", where, s)
				ok = false
			}
		})
		if !ok {
			return nil
		}
	}
	return convert(t, fd.Type)
}

// constants visits what a value can be when it is one of several constants.
func constants(t *term, f func(*term)) {
	switch t.op {
	case opConst:
		f(t)
	case opCond:
		constants(t.args[1], f)
		constants(t.args[2], f)
	case opCoalesce:
		constants(t.args[0], f)
		constants(t.args[1], f)
	default:
	}
}

func convertHelp(from, to *schemas.Type) string {
	switch {
	case to.Kind == schemas.Time && from.Kind == schemas.Int:
		return "make a time with from_millis(...)"
	case to.Kind == schemas.Time && from.Kind == schemas.String:
		return "make a time with parse_time(text, layout)"
	case to.Kind == schemas.Int && from.Kind == schemas.Time:
		return "make an int with to_millis(...)"
	case to.Kind == schemas.Int && from.Kind == schemas.Float:
		return "make an int with int(...), or int(round(...))"
	case to.Kind == schemas.String && (isNumber(from) || from.Kind == schemas.Bool || from.Kind == schemas.Time):
		return "make text with string(...)"
	case isNumber(to) && from.Kind == schemas.String:
		return "convert text with " + to.Kind.String() + "(...)"
	}
	return ""
}

func nullableHelp(t *term, to *schemas.Type) string {
	from, end := t.extent()
	text := "..."
	if r := []rune(t.src.text); from >= 0 && end <= len(r) && end-from <= 40 && from < end {
		text = string(r[from:end])
	}
	if t.op == opCond || t.op == opBinary {
		text = "(" + text + ")"
	}
	value := "default"
	switch to.Kind {
	case schemas.String:
		value = `""`
	case schemas.Int, schemas.Float:
		value = "0"
	case schemas.Bool:
		value = "false"
	default:
	}
	return "give a default: " + text + " ?? " + value
}

// key checks the field that becomes the record's key.
func (r *ruleChecker) key(out *checkedRoute, o *checkedField, reported bool, d routeDecl) {
	if reported {
		return
	}
	if o.term == nil {
		if _, chosen := selectedNode(r.decl, o.name); chosen {
			return // fit has reported
		}
		at := d.stream
		if r.decl.selNode != nil {
			at = r.keyNode("select", d.stream)
		}
		r.file.at(at, r.rule, codeMissing, "select "+o.name, "%s is keyed by %s, and select does not set it", out.decl.stream.Name, o.name)
		return
	}
	if mayBeNull(o.term.typ) {
		from, to := o.term.extent()
		o.term.src.report(from, to, codeKeyType, nullableHelp(o.term, o.term.typ), "%s is the key of %s and cannot be null", o.name, out.decl.stream.Name)
		return
	}
	out.key = r.keyTerm(o.term)
}

// time checks the field that readers of the stream take for the event time.
func (r *ruleChecker) time(o *checkedField, stream *Stream, chosen bool, d routeDecl) {
	switch {
	case o.term != nil && mayBeNull(o.term.typ):
		from, to := o.term.extent()
		o.term.src.report(from, to, codeNullable, "give a default: now() is the event time of what is selected", "%s is the event time of %s and cannot be null", o.name, stream.Name)
	case o.term == nil && o.context == NoContext && !chosen:
		at := d.stream
		if r.decl.selNode != nil {
			at = r.keyNode("select", d.stream)
		}
		r.file.at(at, r.rule, codeMissing, "select "+o.name, "%s is the event time of %s, and select does not set it", o.name, stream.Name)
	}
}

func selectedNode(d *ruleDecl, name string) (*yaml.Node, bool) {
	for _, p := range d.sel {
		if p.name.Value == name {
			return p.value, true
		}
	}
	return nil, false
}

// contextField returns the context field that fits an output field by name
// and type, or NoContext.
func contextField(fd *schemas.Field) ContextField {
	for c := CtxEventID; c <= CtxLineage; c++ {
		if c.Name() == fd.Name && contextFits(c, fd.Type) {
			return c
		}
	}
	return NoContext
}

func contextFits(c ContextField, t *schemas.Type) bool {
	switch c {
	case CtxCausationID: // there is not always a cause
		return t.Kind == schemas.String && !isEnum(t)
	case CtxOccurredAt, CtxRecordedAt:
		return t.Kind == schemas.Time || t.Kind == schemas.Int
	case CtxConfidence:
		return t.Kind == schemas.Float
	case CtxPriority:
		if !isEnum(t) {
			return t.Kind == schemas.String
		}
		for _, p := range []string{PriorityCritical, PriorityStandard, PriorityBulk} {
			if !slices.Contains(t.Symbols, p) {
				return false
			}
		}
		return true
	case CtxVersion:
		return t.Kind == schemas.Map && t.Elem.Kind == schemas.Int
	case CtxLineage:
		if t.Kind != schemas.List || t.Elem.Kind != schemas.Struct {
			return false
		}
		for _, name := range []string{"rule", "rule_version", "domain", "event_ids", "at"} {
			if _, ok := field(t.Elem, name); !ok {
				return false
			}
		}
		return true
	default:
		return t.Kind == schemas.String && !isEnum(t)
	}
}
