package rules

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/millrace-io/millrace/schemas"
)

// by types the group's key, once per input.
func (r *ruleChecker) by(out *checkedRule, s *scope, f *facts) {
	terms := r.perInput(r.decl.by, "by", s, f)
	for i, t := range terms {
		if terms[i] = r.keyTerm(t); terms[i] == nil {
			return
		}
	}
	if terms != nil && len(out.inputs) == len(terms) {
		out.by = terms
		r.nameKey(out)
	}
}

// perInput types what a clause makes of the records of each input, of one type for all. It returns nil after an error.
func (r *ruleChecker) perInput(d *byDecl, clause string, s *scope, f *facts) []*term {
	terms := make([]*term, len(s.inputs))
	switch {
	case d.pairs != nil:
		r.byMapping(d, clause, s, f, terms)
	case isIdentifier(d.node.Value) && !slices.Contains(r.aliases, d.node.Value):
		r.byField(d.node, s, f, terms)
	default:
		if len(s.inputs) > 1 {
			r.file.at(d.node, r.rule, codeClauses, "name a field that all have, or write {input: expression, ...}", "one expression cannot be the key of several inputs")
			return nil
		}
		terms[0] = r.expression(d.node, s, f)
	}
	kinds := map[schemas.Kind]bool{}
	for _, t := range terms {
		if t == nil {
			return nil
		}
		kinds[t.typ.Kind] = true
	}
	if len(kinds) > 1 {
		r.file.at(d.node, r.rule, codeInputs, "convert with string(...)", "the keys of the inputs have different types")
		return nil
	}
	return terms
}

func (r *ruleChecker) byMapping(d *byDecl, clause string, s *scope, f *facts, terms []*term) {
	for _, p := range d.pairs {
		i := slices.Index(r.aliases, p.name.Value)
		if i < 0 {
			r.file.at(p.name, r.rule, codeUnknownName, suggest(p.name.Value, r.aliases), "the rule has no input %q", p.name.Value)
			continue
		}
		// The key of an input is made of that input, which is there.
		one := *s
		one.inputs = slices.Clone(s.inputs)
		if one.inputs[i].typ != nil {
			one.inputs[i].typ = notNull(one.inputs[i].typ)
		}
		t := r.expression(p.value, &one, f)
		if t == nil {
			continue
		}
		if t.uses(func(t *term) bool {
			return (t.op == opField || t.op == opAlias) && t.input != i && t.input != eventInput
		}) {
			r.file.at(p.value, r.rule, codeInputs, "", "the key of %s can only be made of its own fields", p.name.Value)
			continue
		}
		terms[i] = t
	}
	for i, alias := range r.aliases {
		if terms[i] == nil && !slices.ContainsFunc(d.pairs, func(p pair) bool { return p.name.Value == alias }) {
			r.file.at(d.node, r.rule, codeMissingKey, "", "%s has no key for the input %s", clause, alias)
		}
	}
}

// byField reads a bare name: that field of every input.
func (r *ruleChecker) byField(n *yaml.Node, s *scope, f *facts, terms []*term) {
	src := &source{file: r.file, node: n, rule: r.rule, text: n.Value, inputs: r.aliases}
	for i, in := range s.inputs {
		if in.typ == nil {
			continue
		}
		fd, ok := field(in.typ, n.Value)
		if !ok {
			r.file.at(n, r.rule, codeNoField, suggest(n.Value, fieldNames(in.typ)), "no field %q in %s", n.Value, in.typ.Name)
			continue
		}
		terms[i] = fieldTerm(i, fd, src, f)
	}
}

// fieldTerm is a field of an input, read apart from an expression: src holds its name.
func fieldTerm(input int, fd *schemas.Field, src *source, f *facts) *term {
	t := &term{op: opField, typ: fd.Type, input: input, name: fd.Name, src: src, to: max(1, len([]rune(src.text)))}
	if f.has(t.path()) {
		t.typ = notNull(t.typ)
	}
	return t
}

// keyTerm makes the text form of a key.
func (r *ruleChecker) keyTerm(t *term) *term {
	from, to := t.extent()
	switch {
	case !isKey(t.typ):
		t.src.report(from, to, codeKeyType, "convert it with string(...)", "a key has to be string, int or bool, not %s", t.typ)
		return nil
	case t.typ.Nullable:
		help := "give a default with ??, or drop such records with where"
		if r.decl.detect != nil {
			help = "give a default with ??, or drop such records in a rule of its own"
		}
		t.src.report(from, to, codeKeyType, help, "a key cannot be null, and this may be")
		return nil
	}
	return textTerm(t)
}

// textTerm is the text of a value, null for null.
func textTerm(t *term) *term {
	typ := kindType(schemas.String)
	if t.typ.Nullable {
		typ = nullable(typ)
	}
	return &term{op: opText, typ: typ, args: []*term{t}, src: t.src, from: t.from, to: t.to}
}

// nameKey names the key of each input, and that of the group: as the streams'
// key field, if all are keyed by it, else after the expressions.
func (r *ruleChecker) nameKey(out *checkedRule) {
	names, texts := []string{}, []string{}
	anonymous := make([]string, len(out.aliases))
	for i, t := range out.by {
		a := t.args[0]
		own := a.op == opField && (a.input == i || a.input == eventInput) && a.name == out.inputs[i].stream.Key
		out.rekey = append(out.rekey, !own)
		names = append(names, a.name)
		if !own {
			names[i] = ""
		}
		texts = append(texts, canonical(t, anonymous))
		out.keys = append(out.keys, names[i])
		if !own {
			out.keys[i] = rekeyName(texts[i])
		}
	}
	if names[0] != "" && len(slices.Compact(slices.Clone(names))) == 1 {
		out.keyName = names[0]
		return
	}
	out.keyName = rekeyName(slices.Compact(texts)...)
}

func rekeyName(texts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(texts, "|")))
	return "rekey" + hex.EncodeToString(sum[:4])
}
