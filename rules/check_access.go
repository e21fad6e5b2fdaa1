package rules

import (
	"fmt"

	"github.com/expr-lang/expr/ast"

	"github.com/millrace-io/millrace/schemas"
)

// member types base.name, base?.name, base["name"] and base[index].
func (c *checker) member(n *ast.MemberNode, f *facts) *term {
	if n.Method {
		return c.errorAt(n, codeNotInRules, "functions are called as name(value)", "values have no methods")
	}
	if id, ok := n.Node.(*ast.IdentifierNode); ok && id.Value == "row" && c.scope.columns != nil {
		return c.column(n)
	}
	if id, ok := n.Node.(*ast.IdentifierNode); ok && id.Value == "window" && len(c.scope.inputs) > 0 {
		return c.window(n)
	}
	base := c.check(n.Node, f)
	if base == nil {
		c.check(n.Property, f)
		return nil
	}
	if name, ok := n.Property.(*ast.StringNode); ok {
		return c.proven(c.named(n, base, name), f)
	}
	index := c.check(n.Property, f)
	if index == nil {
		return nil
	}
	return c.proven(c.indexed(n, base, index), f)
}

func (c *checker) column(n *ast.MemberNode) *term {
	name, ok := n.Property.(*ast.StringNode)
	if !ok {
		return c.errorAt(n, codeOperands, "", "a column is named: row.%s", c.scope.columns[0])
	}
	for i, col := range c.scope.columns {
		if col == name.Value {
			return c.at(n, term{op: opColumn, typ: kindType(schemas.String), name: col, n: i})
		}
	}
	return c.errorAt(n, codeNoField, suggest(name.Value, c.scope.columns), "the file has no column %q", name.Value)
}

// guarded reports whether a field of base may be read: base is not null, or
// the access is a ?., or a ?. before it in the chain has stopped already.
func (c *checker) guarded(n *ast.MemberNode, base *term) bool {
	if !mayBeNull(base.typ) || n.Optional || base.short {
		return true
	}
	help := "read it with ?. or test it first with != nil"
	if base.op == opAlias {
		alias, why := c.scope.inputs[base.input].alias, "the rule has several inputs"
		switch {
		case c.scope.stages != nil:
			why = "there may be none of " + alias + " in what is captured here"
		case c.scope.join != 0:
			why = "the join is " + c.scope.join.String() + ", so a record may come out alone"
		}
		help = fmt.Sprintf("%s: use %s?. or test it first with %s != nil", why, alias, alias)
	}
	c.errorIn(base, codeNull, help, "%s may be null here", c.describe(base))
	return false
}

// describe names a term in messages: its text if it is short.
func (c *checker) describe(t *term) string {
	from, to := t.extent()
	r := []rune(t.src.text)
	if from >= 0 && to <= len(r) && to-from <= 40 && from < to {
		return "`" + string(r[from:to]) + "`"
	}
	return "the value"
}

func (c *checker) named(n *ast.MemberNode, base *term, name *ast.StringNode) *term {
	if !c.guarded(n, base) {
		return nil
	}
	opens := mayBeNull(base.typ)
	result := func(t term, typ *schemas.Type) *term {
		t.typ = typ
		if opens && !typ.Nullable {
			t.typ = nullable(typ)
			t.short = true
		}
		r := c.at(n, t)
		if base.op == opAlias || base.op == opField {
			r.from = base.from // the caret of later errors covers the path
		}
		return r
	}
	switch base.typ.Kind {
	case schemas.Struct:
		fd, ok := field(base.typ, name.Value)
		if !ok {
			return c.noField(n, base, name.Value)
		}
		switch base.op {
		case opAlias:
			return result(term{op: opField, input: base.input, name: name.Value}, fd.Type)
		case opField:
			return result(term{op: opField, input: base.input, name: base.name + "." + name.Value}, fd.Type)
		default:
			return result(term{op: opMember, args: []*term{base}, name: name.Value}, fd.Type)
		}
	case schemas.Map:
		return result(term{op: opMember, args: []*term{base}, name: name.Value}, nullable(base.typ.Elem))
	case schemas.List:
		return c.errorAt(n, codeOperands, "take an element: first(list), list[0]; or map(list, ."+name.Value+")", "%s is a %s and has no field %q", c.describe(base), base.typ, name.Value)
	default:
		return c.errorAt(n, codeOperands, "", "%s is %s and has no field %q", c.describe(base), base.typ, name.Value)
	}
}

func (c *checker) noField(n ast.Node, base *term, name string) *term {
	help := suggest(name, fieldNames(base.typ))
	if base.op == opAlias && base.input == eventInput && len(c.scope.inputs) > 1 {
		if owners := c.ownersOf(name); len(owners) > 0 {
			return c.errorAt(n, codeInputs, "event has the fields that all inputs have with the same type", "not all inputs have a field %q of one type", name)
		}
	}
	what := base.typ.Name
	if what == "" {
		what = "the record"
	}
	return c.errorAt(n, codeNoField, help, "no field %q in %s", name, what)
}

func (c *checker) indexed(n *ast.MemberNode, base, index *term) *term {
	if !c.guarded(n, base) {
		return nil
	}
	var typ *schemas.Type
	want := schemas.Int
	switch base.typ.Kind {
	case schemas.List:
		if base.typ.Elem == nil {
			return c.errorIn(base, codeOperands, "", "the list is always empty")
		}
		typ = base.typ.Elem
	case schemas.Map:
		typ, want = base.typ.Elem, schemas.String
	case schemas.Struct:
		return c.errorIn(index, codeOperands, "", "the fields of a record are named by constants")
	default:
		return c.errorIn(base, codeOperands, "", "%s is %s; only lists and maps have elements", c.describe(base), base.typ)
	}
	if index.typ.Kind != want || mayBeNull(index.typ) {
		return c.errorIn(index, codeOperands, "", "the index of a %s has to be %s, not %s", base.typ.Kind, want, index.typ)
	}
	// An element that is not there is null: no record fails for it.
	return c.at(n, term{op: opAt, typ: nullable(typ), args: []*term{base, index}})
}

func (c *checker) slice(n *ast.SliceNode, f *facts) *term {
	base := c.check(n.Node, f)
	t := term{op: opSlice, args: []*term{base, nil, nil}}
	ok := base != nil
	for i, bound := range []ast.Node{n.From, n.To} {
		if bound == nil {
			continue
		}
		b := c.check(bound, f)
		if b == nil {
			ok = false
			continue
		}
		if b.typ.Kind != schemas.Int || mayBeNull(b.typ) {
			c.errorIn(b, codeOperands, "", "the bounds of a slice have to be int, not %s", b.typ)
			ok = false
		}
		t.args[i+1] = b
	}
	if !ok {
		return nil
	}
	if !c.notNullArg(base, "a slice") {
		return nil
	}
	if base.typ.Kind != schemas.List && base.typ.Kind != schemas.String {
		return c.errorIn(base, codeOperands, "", "%s is %s; only lists and strings have slices", c.describe(base), base.typ)
	}
	t.typ = base.typ
	if base.typ.Kind == schemas.String {
		t.typ = kindType(schemas.String)
	}
	return c.fold(c.at(n, t))
}

// proves lists the paths that are not null if the condition turns out as
// result says.
func proves(t *term, result bool, s *scope) []string {
	switch t.op {
	case opNot:
		return proves(t.args[0], !result, s)
	case opCond:
		return nil
	case opConst:
		return nil
	case opBinary:
	default:
		return nil
	}
	a, b := t.args[0], t.args[1]
	switch t.name {
	case "&&", "||":
		if (t.name == "&&") == result {
			return append(proves(a, result, s), proves(b, result, s)...)
		}
	case "==", "!=":
		equal := (t.name == "==") == result
		if a.typ.Kind == schemas.Null {
			a, b = b, a
		}
		if b.typ.Kind == schemas.Null {
			if !equal {
				return paths(a)
			}
			return others(a, s)
		}
		if equal { // equal to something that is not null
			var out []string
			if !mayBeNull(b.typ) {
				out = append(out, paths(a)...)
			}
			if !mayBeNull(a.typ) {
				out = append(out, paths(b)...)
			}
			return out
		}
	case "in":
		if result && b.typ.Elem != nil && !mayBeNull(b.typ.Elem) {
			return paths(a)
		}
	}
	return nil
}

func paths(t *term) []string {
	if p := t.path(); p != "" {
		return []string{p}
	}
	return nil
}

// others: at least one record is there, so with two inputs, if one is null, the
// other is not.
func others(t *term, s *scope) []string {
	if t.op == opAlias && t.input != eventInput && len(s.inputs) == 2 {
		return []string{(&term{op: opAlias, input: 1 - t.input}).path()}
	}
	return nil
}
