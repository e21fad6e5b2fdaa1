package rules

import (
	"fmt"
	"slices"

	"github.com/expr-lang/expr/ast"

	"github.com/millrace-io/millrace/schemas"
)

// call types name(args): one of our functions, or an aggregate.
func (c *checker) call(n *ast.CallNode, f *facts) *term {
	id, ok := n.Callee.(*ast.IdentifierNode)
	if !ok {
		return c.errorAt(n, codeNotInRules, "functions are called as name(value)", "values have no methods")
	}
	name := id.Value
	if name == bareCount && c.scope.stages != nil {
		return c.errorAt(n, codeStage, "name the stage: count("+c.scope.example()+")", "count() of which stage?")
	}
	if name == bareCount {
		return c.aggregate(n, aggregateTerm{fn: Count}, nil)
	}
	if t, ok := c.aggregateCall(n, name, n.Arguments, f); ok {
		return t
	}
	fn := c.lang.funcs[name]
	if fn == nil {
		for _, a := range n.Arguments {
			c.check(a, f)
		}
		help := suggest(name, slices.Concat(sortedKeys(c.lang.funcs), predicateNames(), aggregateNames()))
		switch name {
		case "duration_ms", "interval":
			help = `a duration is duration("5m")`
		case "avgIf", "countIf", "sumIf":
			help = "filter with where"
		}
		return c.errorAt(n, codeUnknownFunc, help, "unknown function %q", name)
	}
	args := make([]*term, len(n.Arguments))
	for i, x := range n.Arguments {
		args[i] = c.check(x, f)
	}
	return c.apply(n, fn, args)
}

// apply checks the arguments against the function's parameters; nil ones have
// been reported.
func (c *checker) apply(n ast.Node, fn *function, args []*term) *term {
	t := term{op: opCall, fn: fn, typ: fn.result, args: args}
	ok := !slices.Contains(args, nil)
	if len(args) < fn.minArgs() || len(args) > 0 && fn.param(len(args)-1) == nil {
		return c.errorAt(n, codeArguments, fn.signature, "%s takes %s", fn.name, fn.arity())
	}
	if !ok {
		return nil
	}
	for i, a := range t.args {
		p := fn.param(i)
		if p.typ.Nullable {
			continue
		}
		if p.typ.Kind == schemas.Map {
			a = asMap(a)
			t.args[i] = a
		}
		if !p.accepts(a.typ) && a.typ.Kind != schemas.Null {
			help := fn.signature
			if isNumber(p.typ) {
				if h := numberHelp(a); h != "" {
					help = h
				}
			}
			c.errorIn(a, codeOperands, help, "%s of %s has to be %s, not %s", p.name, fn.name, p.word(), a.typ)
			ok = false
			continue
		}
		if !c.notNullArg(a, fn.name) {
			ok = false
			continue
		}
		if p.typ.Kind == schemas.Float && !p.number {
			t.args[i] = convert(a, p.typ)
		}
	}
	if !ok {
		return nil
	}
	call := c.at(n, t)
	if fn.typed != nil {
		if call.typ = fn.typed(c, call); call.typ == nil {
			return nil
		}
	}
	return c.fold(call)
}

// asMap takes a record that an expression wrote as {...} for a map, if its
// values have one type.
func asMap(t *term) *term {
	if t.typ.Kind != schemas.Struct || t.typ.Name != "" || t.typ.Nullable || len(t.typ.Fields) == 0 {
		return t
	}
	elem := t.typ.Fields[0].Type
	for _, f := range t.typ.Fields[1:] {
		if isNumber(elem) && f.Type.Kind != elem.Kind {
			return t
		}
		if elem = unify(elem, f.Type); elem == nil {
			return t
		}
	}
	m := *t
	m.typ = &schemas.Type{Kind: schemas.Map, Elem: elem}
	return &m
}

// arity says how many arguments a function takes.
func (f *function) arity() string {
	least := f.minArgs()
	switch {
	case len(f.params) > 0 && f.params[len(f.params)-1].repeated:
		return "at least " + arguments(least)
	case least == len(f.params):
		return arguments(least)
	}
	return fmt.Sprintf("%d to %s", least, arguments(len(f.params)))
}

func arguments(n int) string {
	if n == 1 {
		return "1 argument"
	}
	return fmt.Sprintf("%d arguments", n)
}

// predicateNames are the functions with a predicate that rules have.
func predicateNames() []string {
	return []string{"all", "any", "count", "filter", "find", "map", "none", "one", "sum"}
}

// builtin types the calls that expr-lang's parser treats apart: those with a
// predicate.
func (c *checker) builtin(n *ast.BuiltinNode, f *facts) *term {
	if t, ok := c.aggregateCall(n, n.Name, n.Arguments, f); ok {
		return t
	}
	switch n.Name {
	case "reduce":
		return c.errorAt(n, codeNotInRules, "use sum, min, max, avg, join or count", "reduce is not part of the rule language")
	case "all", "any", "none", "one", "filter", "map", "count", "find", "sum":
	default:
		return c.errorAt(n, codeNotInRules, "", "%s is not part of the rule language", n.Name)
	}
	if len(n.Arguments) != 2 {
		return c.errorAt(n, codeArguments, "", "%s takes a list and a predicate", n.Name)
	}
	list := c.check(n.Arguments[0], f)
	if list != nil && list.typ.Kind != schemas.List {
		list = c.errorIn(list, codeOperands, "", "%s needs a list, not %s", n.Name, list.typ)
	}
	if list != nil && !c.notNullList(list, n.Name) {
		list = nil
	}
	if len(c.elems) >= maxNesting {
		return c.errorAt(n, codePredicate, "split the rule in two", "predicates nested deeper than %d", maxNesting)
	}
	var elem *schemas.Type
	if list != nil {
		if elem = list.typ.Elem; elem == nil {
			elem = kindType(schemas.Null)
		}
	}
	c.elems = append(c.elems, elem)
	body := c.check(n.Arguments[1], f)
	depth := len(c.elems) - 1
	c.elems = c.elems[:depth]
	if list == nil || body == nil {
		return nil
	}
	return c.predicate(n, list, body, depth)
}

// notNullList is notNullArg with the fix for lists.
func (c *checker) notNullList(t *term, what string) bool {
	if !mayBeNull(t.typ) {
		return true
	}
	c.errorIn(t, codeNull, "give a default, "+c.coalesced(t, "[]"), "%s may be null here, and %s needs a value", c.describe(t), what)
	return false
}

func (c *checker) predicate(n *ast.BuiltinNode, list, body *term, depth int) *term {
	t := term{op: opPredicate, name: n.Name, args: []*term{list, body}, n: depth}
	switch n.Name {
	case "map":
		t.typ = listOf(body.typ)
	case "sum":
		if !c.wantNumber(body, "sum") {
			return nil
		}
		t.typ = kindType(body.typ.Kind)
	default:
		if !c.wantBool(body) {
			return nil
		}
		switch n.Name {
		case "count":
			t.typ = kindType(schemas.Int)
		case "filter":
			t.typ = list.typ
			proven := (*facts)(nil).with(proves(body, true, c.scope))
			if list.typ.Elem != nil && list.typ.Elem.Nullable && proven.has((&term{op: opElem, n: depth}).path()) {
				t.typ = listOf(notNull(list.typ.Elem))
			}
		case "find":
			t.typ = kindType(schemas.Null)
			if list.typ.Elem != nil {
				t.typ = nullable(list.typ.Elem)
			}
		default:
			t.typ = kindType(schemas.Bool)
		}
	}
	return c.at(n, t)
}
