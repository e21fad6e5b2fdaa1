package rules

import (
	"github.com/expr-lang/expr/ast"

	"github.com/millrace-io/millrace/schemas"
)

// maxListed bounds the values that one topk or list keeps.
const maxListed = 1000

// aggregateNames are the functions that aggregate, whatever else they are.
func aggregateNames() []string {
	var names []string
	for fn := Count; fn <= StdDev; fn++ {
		names = append(names, fn.String())
	}
	return names
}

func aggregateNamed(name string) AggFunc {
	for fn := Count; fn <= StdDev; fn++ {
		if fn.String() == name {
			return fn
		}
	}
	return 0
}

// aggregateCall types the calls of aggregate functions. false: it is no such call.
func (c *checker) aggregateCall(n ast.Node, name string, nodes []ast.Node, f *facts) (*term, bool) {
	if c.scope.stages != nil {
		return c.foldCall(n, name, nodes, f)
	}
	fn := aggregateNamed(name)
	switch fn {
	case 0:
		return nil, false
	case Quantile, TopK, List:
		return c.parametric(n, fn, nodes, f), true
	case Variance, StdDev:
		if len(nodes) != 1 {
			return c.errorAt(n, codeArguments, name+"(x number) float", "%s takes 1 argument", name), true
		}
		a := c.check(nodes[0], f)
		if a == nil {
			return nil, true
		}
		return c.aggregate(n, aggregateTerm{fn: fn, arg: a}, a), true
	default:
		return c.overList(n, fn, nodes, f)
	}
}

// overList types the functions of one argument that are list functions over a list and aggregates over anything else.
// false: it is no such call.
func (c *checker) overList(n ast.Node, fn AggFunc, nodes []ast.Node, f *facts) (*term, bool) {
	if len(nodes) != 1 {
		return nil, false
	}
	a := c.check(nodes[0], f)
	switch {
	case a == nil:
		return nil, true
	case a.typ.Kind != schemas.List:
		return c.aggregate(n, aggregateTerm{fn: fn, arg: a}, a), true
	case fn != Count:
		return c.apply(n, c.lang.funcs[fn.String()], []*term{a}), true
	}
	// count(list): how many of its bools are true.
	if !c.notNullList(a, "count") {
		return nil, true
	}
	if a.typ.Elem != nil && a.typ.Elem.Kind != schemas.Bool {
		return c.errorAt(n, codeOperands, "the length of a list is len(list)", "count of a list needs a predicate"), true
	}
	body := &term{op: opConst, typ: kindType(schemas.Bool), value: false, src: c.src, from: a.from, to: a.to}
	if a.typ.Elem != nil {
		body = &term{op: opElem, typ: a.typ.Elem, n: len(c.elems), src: c.src, from: a.from, to: a.to}
	}
	if len(c.elems) >= maxNesting {
		return c.errorAt(n, codePredicate, "split the rule in two", "predicates nested deeper than %d", maxNesting), true
	}
	return c.at(n, term{op: opPredicate, name: "count", typ: kindType(schemas.Int), args: []*term{a, body}, n: len(c.elems)}), true
}

// parametric types the functions whose second argument is a constant: a quantile, or how many values.
func (c *checker) parametric(n ast.Node, fn AggFunc, nodes []ast.Node, f *facts) *term {
	signature := fn.String() + "(x, n): n is a constant from 1 to 1000"
	if fn == Quantile {
		signature = "quantile(x number, q) float: q is a constant from 0 to 1, 0.5 is the median"
	}
	args := make([]*term, len(nodes))
	ok := true
	for i, x := range nodes {
		args[i] = c.check(x, f)
		ok = ok && args[i] != nil
	}
	if len(args) != 2 {
		return c.errorAt(n, codeArguments, signature, "%s takes 2 arguments", fn)
	}
	if !ok {
		return nil
	}
	g := aggregateTerm{fn: fn, arg: args[0]}
	p := args[1]
	switch {
	case !p.isConst():
		return c.errorIn(p, codeOperands, signature, "the second argument of %s has to be a constant", fn)
	case fn == Quantile && !isNumber(p.typ), fn != Quantile && p.typ.Kind != schemas.Int:
		return c.errorIn(p, codeOperands, signature, "the second argument of %s cannot be %s", fn, p.typ)
	case fn == Quantile:
		g.q, ok = convert(p, kindType(schemas.Float)).value.(float64)
		ok = ok && g.q >= 0 && g.q <= 1
	default:
		g.n, ok = p.value.(int64)
		ok = ok && g.n >= 1 && g.n <= maxListed
	}
	if !ok {
		return c.errorIn(p, codeConstant, signature, "%s is out of the range of %s", c.describe(p), fn)
	}
	return c.aggregate(n, g, p)
}

// aggregate types an aggregate call and gives it its number in the group. Its arg is nil for count(); last is the call's
// last argument.
func (c *checker) aggregate(n ast.Node, g aggregateTerm, last *term) *term {
	call := g.fn.String() + "(...)"
	if g.arg == nil {
		call = g.fn.String() + "()"
	}
	switch {
	case c.scope.groups == nil:
		return c.errorAt(n, codeAggregate, c.scope.why, "the aggregate %s cannot stand here", call)
	case len(c.elems) > 0:
		return c.errorAt(n, codeAggregate, "", "the aggregate %s cannot stand inside of a predicate", call)
	case g.arg == nil:
		g.typ = kindType(schemas.Int)
	case g.arg.uses(func(t *term) bool { return t.op == opGroup }):
		return c.errorAt(n, codeAggregate, "", "an aggregate of an aggregate has no meaning")
	case g.arg.uses(func(t *term) bool { return t.op == opWindow }):
		return c.errorAt(n, codeWindowName, "compute with the result: max(x) - window.start", "a record may be in several windows: an aggregate cannot use its window")
	case g.arg.uses(func(t *term) bool { return t.op == opKey }):
		return c.errorAt(n, codeAggregate, "", "`key` is the same for all records of the group: it belongs outside of aggregates")
	default:
		if g.typ = c.aggregateType(&g); g.typ == nil {
			return nil
		}
	}
	t := c.at(n, term{op: opGroup, typ: g.typ, n: c.scope.groups.add(g)})
	whole := *t
	if last != nil {
		whole.args = []*term{last}
	}
	t.to = c.src.closing(&whole, ')')
	return t
}

// aggregateType is the type of the result, nil after an error. Where all arguments can be null there may be no result.
func (c *checker) aggregateType(g *aggregateTerm) *schemas.Type {
	arg := g.arg
	typ := notNull(arg.typ)
	switch g.fn {
	case Count:
		return kindType(schemas.Int)
	case Sum, Avg, Quantile, Variance, StdDev:
		if !isNumber(arg.typ) {
			c.errorIn(arg, codeOperands, numberHelp(arg), "%s of %s: it needs numbers", g.fn, arg.typ)
			return nil
		}
		if g.fn == Sum {
			return kindType(arg.typ.Kind)
		}
		typ = kindType(schemas.Float)
	case Min, Max:
		if !isOrdered(arg.typ) {
			c.errorIn(arg, codeOperands, "", "%s of %s: it needs numbers, times or strings", g.fn, arg.typ)
			return nil
		}
	case First, Last, Distinct, TopK, List:
		if !isOrdered(arg.typ) && arg.typ.Kind != schemas.Bool {
			c.errorIn(arg, codeOperands, "", "%s of %s: it needs a string, number, time or bool", g.fn, arg.typ)
			return nil
		}
		switch g.fn {
		case Distinct:
			return kindType(schemas.Int)
		case TopK, List:
			return listOf(typ)
		default:
		}
	}
	if mayBeNull(arg.typ) {
		return nullable(typ)
	}
	return typ
}
