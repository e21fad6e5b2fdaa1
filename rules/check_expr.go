package rules

import (
	"strings"

	"github.com/expr-lang/expr/ast"
	"go.yaml.in/yaml/v3"

	"github.com/millrace-io/millrace/schemas"
)

// checker types one expression. Every method that meets an error reports it
// and returns nil; a nil operand silences what depends on it, so that one
// mistake is one message.
type checker struct {
	src   *source
	scope *scope
	lang  *language
	elems []*schemas.Type // types of # in the predicates around, outermost first

	terms int
}

// checkExpr checks the expression in a YAML scalar. Numbers and bools are
// themselves; text is parsed.
func (r *ruleChecker) checkExpr(n *yaml.Node, s *scope, f *facts) *term {
	c, root := r.parseExpr(n, s)
	if c == nil {
		return nil
	}
	t := c.check(root, f)
	if t != nil && c.terms > maxExpanded {
		c.src.report(0, 1, codeNodes, "select shorter values", "the condition has %d parts with the selected values it names; at most %d", c.terms, maxExpanded)
		return nil
	}
	return t
}

// parseExpr parses the expression in a YAML scalar, and makes the checker of its parts. It returns none after an error.
func (r *ruleChecker) parseExpr(n *yaml.Node, s *scope) (*checker, ast.Node) {
	src := &source{file: r.file, node: n, rule: r.rule, text: n.Value, inputs: r.aliases}
	quoted := n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0
	if reads, write, ok := misread(n); !ok && !quoted {
		help := ""
		switch {
		case write != "":
			help = "write " + write
		case n.ShortTag() == "!!timestamp":
			help = `a time is parse_time("2011-12-01", "2006-01-02")`
		case n.ShortTag() == "!!null":
			help = "null is written nil"
		}
		r.file.at(n, r.rule, codeMisread, help, "YAML reads %s as %s", shown(n.Value), reads)
		return nil, nil
	}
	root, err := r.lang.parse(n.Value)
	if err != nil {
		if n.LineComment != "" && !quoted && err.code == codeSyntax {
			err.help = "in YAML, # after a blank starts a comment: put the expression in quotes"
		}
		src.report(err.from, err.to, err.code, err.help, "%s", err.msg)
		return nil, nil
	}
	return &checker{src: src, scope: s, lang: r.lang}, root
}

// at makes a term that stands where the node does.
func (c *checker) at(n ast.Node, t term) *term {
	l := n.Location()
	t.src, t.from, t.to = c.src, l.From, max(l.To, l.From+1)
	switch t.op {
	case opCall, opPredicate:
		t.to = c.src.closing(&t, ')')
	case opAt, opSlice, opList:
		t.to = c.src.closing(&t, ']')
	case opRecord:
		t.to = c.src.closing(&t, '}')
	default:
	}
	c.terms++
	return &t
}

func (c *checker) errorAt(n ast.Node, code, help, format string, args ...any) *term {
	l := n.Location()
	c.src.report(l.From, l.To, code, help, format, args...)
	return nil
}

// errorIn reports at a whole term.
func (c *checker) errorIn(t *term, code, help, format string, args ...any) *term {
	from, to := t.extent()
	t.src.report(from, to, code, help, format, args...)
	return nil
}

// extent is the stretch of text that a term and its parts cover.
func (t *term) extent() (from, to int) {
	from, to = t.from, t.to
	for _, a := range t.args {
		if a != nil && a.src == t.src {
			f, u := a.extent()
			from, to = min(from, f), max(to, u)
		}
	}
	return from, to
}

// check types a node under what is known not to be null.
func (c *checker) check(n ast.Node, f *facts) *term {
	switch n := n.(type) {
	case *ast.NilNode:
		return c.at(n, term{op: opConst, typ: kindType(schemas.Null)})
	case *ast.BoolNode:
		return c.at(n, term{op: opConst, typ: kindType(schemas.Bool), value: n.Value})
	case *ast.IntegerNode:
		return c.at(n, term{op: opConst, typ: kindType(schemas.Int), value: int64(n.Value)})
	case *ast.FloatNode:
		return c.at(n, term{op: opConst, typ: kindType(schemas.Float), value: n.Value})
	case *ast.StringNode:
		return c.at(n, term{op: opConst, typ: kindType(schemas.String), value: n.Value})
	case *ast.BytesNode:
		return c.at(n, term{op: opConst, typ: kindType(schemas.Bytes), value: n.Value})
	case *ast.IdentifierNode:
		return c.identifier(n, f)
	case *ast.ChainNode:
		t := c.check(n.Node, f)
		if t != nil {
			t.short = false
		}
		return t
	case *ast.MemberNode:
		return c.member(n, f)
	case *ast.SliceNode:
		return c.slice(n, f)
	case *ast.UnaryNode:
		return c.unary(n, f)
	case *ast.BinaryNode:
		return c.binary(n, f)
	case *ast.ConditionalNode:
		return c.conditional(n, f)
	case *ast.ArrayNode:
		return c.list(n, f)
	case *ast.MapNode:
		return c.record(n, f)
	case *ast.CallNode:
		return c.call(n, f)
	case *ast.BuiltinNode:
		return c.builtin(n, f)
	case *ast.PointerNode:
		return c.pointer(n)
	case *ast.VariableDeclaratorNode:
		return c.errorAt(n, codeNotInRules, "write the value where it is used", "`let` is not part of the rule language")
	case *ast.SequenceNode:
		return c.errorAt(n, codeNotInRules, "", "`;` is not part of the rule language")
	case *ast.PredicateNode:
		return c.check(n.Node, f)
	}
	return c.errorAt(n, codeNotInRules, "", "this is not part of the rule language")
}

func (c *checker) identifier(n *ast.IdentifierNode, f *facts) *term {
	s := c.scope
	for i, in := range s.inputs {
		if in.alias == n.Value {
			if s.stages != nil && s.stages[i].hidden != "" {
				return c.errorAt(n, codeStage, s.stages[i].hidden, "%s cannot be read here", in.alias)
			}
			if in.typ == nil {
				return nil
			}
			t := c.at(n, term{op: opAlias, typ: in.typ, input: i})
			return c.proven(t, f)
		}
	}
	switch {
	case n.Value == "event" && s.join != 0:
		return c.errorAt(n, codeWhichRecord, "name the input: "+s.inputs[0].alias+"."+"field", "a join has a record of every input, and `event` is none of them")
	case n.Value == "event" && s.stages != nil:
		return c.errorAt(n, codeWhichRecord, "name the stage: "+s.example()+".field", "a detection has a record of every stage, and `event` is none of them")
	case n.Value == "event" && len(s.inputs) > 0:
		if s.event == nil {
			return nil
		}
		return c.at(n, term{op: opAlias, typ: s.event, input: eventInput})
	case n.Value == s.each && s.each != "":
		if s.item == nil {
			return nil
		}
		return c.proven(c.at(n, term{op: opItem, typ: s.item}), f)
	case n.Value == "key":
		if !s.keyed {
			return c.errorAt(n, codeKeyName, "use the field that holds the key", "`key` is the key of a group; this rule has no `by`")
		}
		return c.at(n, term{op: opKey, typ: kindType(schemas.String)})
	case n.Value == "window" && len(s.inputs) > 0:
		return c.errorAt(n, codeWindowName, "write window.start or window.end", "a window is no value of its own")
	case n.Value == "row" && s.columns != nil:
		return c.errorAt(n, codeOperands, "name a column: row."+s.columns[0], "row is not a value of its own")
	}
	if t, ok := s.selects[n.Value]; ok {
		if t != nil {
			c.terms += t.size(true)
		}
		return t
	}
	help := suggest(n.Value, s.names())
	if taker := s.takers[n.Value]; taker != "" {
		help = "expressions name stages, and a stage that takes its records is " + taker
	}
	if help == "" {
		if fields := c.ownersOf(n.Value); len(fields) > 0 {
			help = "fields are written with their input: " + strings.Join(fields, ", ")
		} else if c.lang.funcs[n.Value] != nil {
			help = "a function is called with parentheses: " + n.Value + "(...)"
		} else {
			help = "a text constant needs quotes of its own: " + `'"` + n.Value + `"'`
		}
	}
	return c.errorAt(n, codeUnknownName, help, "unknown name %q", n.Value)
}

// ownersOf lists the inputs that have a field of that name.
func (c *checker) ownersOf(name string) []string {
	var out []string
	for _, in := range c.scope.inputs {
		if in.typ != nil {
			if _, ok := field(in.typ, name); ok {
				out = append(out, in.alias+"."+name)
			}
		}
	}
	return out
}

// proven drops null from the type of a path that is known not to be null.
func (c *checker) proven(t *term, f *facts) *term {
	if t != nil && t.typ.Nullable && f.has(t.path()) {
		t.typ = notNull(t.typ)
		t.short = false
	}
	return t
}

func (c *checker) pointer(n *ast.PointerNode) *term {
	depth := len(c.elems) - 1
	if depth < 0 {
		return c.errorAt(n, codePointer, "", "# has a meaning inside of predicates only")
	}
	switch n.Name {
	case "":
		if c.elems[depth] == nil {
			return nil
		}
		return c.at(n, term{op: opElem, typ: c.elems[depth], n: depth})
	case "index":
		return c.at(n, term{op: opIndex, typ: kindType(schemas.Int), n: depth})
	}
	return c.errorAt(n, codeNotInRules, "", "#%s is not part of the rule language", n.Name)
}

func (c *checker) unary(n *ast.UnaryNode, f *facts) *term {
	a := c.check(n.Node, f)
	if a == nil {
		return nil
	}
	switch n.Operator {
	case "!", "not":
		if !c.wantBool(a) {
			return nil
		}
		return c.fold(c.at(n, term{op: opNot, typ: kindType(schemas.Bool), args: []*term{a}}))
	case "-", "+":
		if !c.wantNumber(a, n.Operator) {
			return nil
		}
		if n.Operator == "+" {
			return a
		}
		return c.fold(c.at(n, term{op: opNeg, typ: a.typ, args: []*term{a}}))
	}
	return c.errorAt(n, codeNotInRules, "", "the operator %q is not part of the rule language", n.Operator)
}

func (c *checker) conditional(n *ast.ConditionalNode, f *facts) *term {
	cond := c.check(n.Cond, f)
	ok := cond != nil && c.wantBool(cond)
	yes, no := f, f
	if ok {
		yes, no = f.with(proves(cond, true, c.scope)), f.with(proves(cond, false, c.scope))
	}
	a, b := c.check(n.Exp1, yes), c.check(n.Exp2, no)
	if !ok || a == nil || b == nil {
		return nil
	}
	t := unify(a.typ, b.typ)
	if t == nil {
		return c.errorIn(b, codeOperands, "", "the branches of ?: are %s and %s", a.typ, b.typ)
	}
	out := term{op: opCond, typ: t, args: []*term{cond, convert(a, t), convert(b, t)}}
	r := c.at(n.Cond, out)
	r.src = c.src
	return c.fold(r)
}

// convert makes an int a float where the wanted type is float.
func convert(t *term, to *schemas.Type) *term {
	if t.typ.Kind != schemas.Int || to.Kind != schemas.Float {
		return t
	}
	typ := kindType(schemas.Float)
	if t.typ.Nullable {
		typ = nullable(typ)
	}
	if v, ok := t.value.(int64); ok && t.isConst() {
		c := *t
		c.typ, c.value = typ, float64(v)
		return &c
	}
	return &term{op: opFloat, typ: typ, args: []*term{t}, src: t.src, from: t.from, to: t.to}
}

func (c *checker) list(n *ast.ArrayNode, f *facts) *term {
	t := term{op: opList, typ: &schemas.Type{Kind: schemas.List}}
	ok := true
	var elem *schemas.Type
	for _, x := range n.Nodes {
		a := c.check(x, f)
		if a == nil {
			ok = false
			continue
		}
		t.args = append(t.args, a)
		if elem == nil {
			elem = a.typ
		} else if u := unify(elem, a.typ); u != nil {
			elem = u
		} else {
			c.errorIn(a, codeOperands, "", "the elements of a list need one type, not %s and %s", elem, a.typ)
			ok = false
		}
	}
	if !ok {
		return nil
	}
	for i, a := range t.args {
		t.args[i] = convert(a, elem)
	}
	t.typ = listOf(elem)
	return c.fold(c.at(n, t))
}

func (c *checker) record(n *ast.MapNode, f *facts) *term {
	t := term{op: opRecord, typ: &schemas.Type{Kind: schemas.Struct}}
	ok := true
	for _, x := range n.Pairs {
		pair, isPair := x.(*ast.PairNode)
		if !isPair {
			return c.errorAt(n, codeNotInRules, "", "this is not part of the rule language")
		}
		key, isText := pair.Key.(*ast.StringNode)
		if !isText {
			c.errorAt(pair.Key, codeNotInRules, "", "the keys of {...} have to be constants")
			ok = false
			continue
		}
		if _, twice := field(t.typ, key.Value); twice {
			c.errorAt(key, codeTwice, "", "the key %q is here twice", key.Value)
			ok = false
			continue
		}
		a := c.check(pair.Value, f)
		if a == nil {
			ok = false
			continue
		}
		t.names = append(t.names, key.Value)
		t.args = append(t.args, a)
		t.typ.Fields = append(t.typ.Fields, schemas.Field{Name: key.Value, Type: a.typ})
	}
	if !ok {
		return nil
	}
	return c.at(n, t)
}
