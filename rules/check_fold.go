package rules

import (
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"

	"github.com/millrace-io/millrace/schemas"
)

// foldNames are the aggregates over what a stage has captured.
const foldNames = "count, sum, avg, min, max, first, last and collect"

// foldFunc returns the aggregate over captures of a name, 0 if there is none.
func foldFunc(name string) AggFunc {
	if name == "collect" {
		return List
	}
	if fn := aggregateNamed(name); slices.Contains([]AggFunc{Count, Sum, Min, Max, Avg, First, Last}, fn) {
		return fn
	}
	return 0
}

// foldCall types calls of aggregates over captures, some of them with a default. false: it is no such call.
func (c *checker) foldCall(n ast.Node, name string, nodes []ast.Node, f *facts) (*term, bool) {
	fn := foldFunc(name)
	withDefault := len(nodes) == 2 && (fn == Avg || fn == First || fn == Last)
	switch {
	case fn == 0 && aggregateNamed(name) != 0 && c.lang.funcs[name] == nil:
		return c.errorAt(n, codeAggregate, "collect(x) is the list of the values", "over captures there are %s, not %s", foldNames, name), true
	case fn == 0 || len(nodes) != 1 && !withDefault:
		return nil, false
	}
	reads := c.scope.reads(nodes[0])
	if len(reads) != 1 {
		return c.foldOver(n, fn, nodes, reads, f), true
	}
	arg, last := c.foldArg(nodes[0], reads[0])
	switch {
	case last == nil:
		return nil, true
	case arg == nil && fn != Count:
		return c.errorIn(last, codeOperands, "name a field: "+name+"("+c.scope.inputs[reads[0]].alias+".field)", "%s needs a value, and a whole record is none", name), true
	case arg != nil && arg.typ.Kind == schemas.List && fn != List && !withDefault:
		return c.ofList(n, fn, nodes, f), true
	}
	t := c.fold1(n, fn, reads[0], arg, last)
	if t == nil || !withDefault {
		return t, true
	}
	d := c.check(nodes[1], f)
	if d == nil {
		return nil, true
	}
	return c.coalesce(n, t, d), true
}

// ofList types a function of a list: of the record at hand or of the last one captured.
func (c *checker) ofList(n ast.Node, fn AggFunc, nodes []ast.Node, f *facts) *term {
	t, _ := c.overList(n, fn, nodes, f)
	return t
}

// foldOver types a call whose argument reads no stage, or several: it can only be the function of a list.
func (c *checker) foldOver(n ast.Node, fn AggFunc, nodes []ast.Node, reads []int, f *facts) *term {
	a := c.check(nodes[0], f)
	switch {
	case a == nil:
		return nil
	case a.typ.Kind == schemas.List && fn != List:
		return c.ofList(n, fn, nodes[:1], f)
	case len(reads) == 0:
		return c.errorIn(a, codeStage, "name a stage", "an aggregate ranges over the captures of a stage, and this reads none")
	}
	var names []string
	for _, i := range reads {
		names = append(names, c.scope.inputs[i].alias)
	}
	return c.errorIn(a, codeStage, "aggregate each of them, and compute with the results", "an aggregate ranges over the captures of one stage, and this reads %s", strings.Join(names, " and "))
}

// foldArg types what is aggregated: it is read of each captured record, which is there. arg is nil for the record as a
// whole, last for an error.
func (c *checker) foldArg(n ast.Node, stage int) (arg, last *term) {
	k := c.scope.stages[stage]
	id, whole := n.(*ast.IdentifierNode)
	if k.own && k.negated {
		return nil, c.errorAt(n, codeStage, "", "%s is negated and captures nothing", c.scope.inputs[stage].alias)
	}
	s := *c.scope
	s.groups, s.why = nil, "an aggregate of an aggregate has no meaning"
	s.inputs = slices.Clone(s.inputs)
	s.inputs[stage].typ = k.typ
	inner := *c
	inner.scope = &s
	t := inner.check(n, (*facts)(nil).with(k.proven))
	c.terms = inner.terms
	switch {
	case t == nil:
		return nil, nil
	case whole && id.Value == s.inputs[stage].alias:
		return nil, t
	case t.uses(func(t *term) bool { return t.op == opCall && t.fn.name == "now" }):
		return nil, c.errorIn(t, codeAggregate, "name the field with the time", "an aggregate over captures cannot use now()")
	case t.uses(func(t *term) bool { return t.op == opAlias }):
		return nil, c.errorIn(t, codeOperands, "name a field", "a captured record is never null, and a whole record is no value here")
	}
	return t, t
}

// fold1 types an aggregate over the captures of a stage and gives it its number.
func (c *checker) fold1(n ast.Node, fn AggFunc, stage int, arg, last *term) *term {
	g := aggregateTerm{fn: fn, arg: arg, stage: stage}
	if arg == nil {
		g.of = c.scope.inputs[stage].alias
	}
	if fn == List {
		g.n = maxListed
	}
	t := c.aggregate(n, g, last)
	if t == nil {
		return nil
	}
	switch fn {
	case Avg, Min, Max, First, Last:
		if !c.scope.stages[stage].sure {
			t.typ = nullable(t.typ)
		}
	default: // never null
	}
	return t
}
