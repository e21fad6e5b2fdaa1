package rules

import (
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"

	"github.com/millrace-io/millrace/schemas"
)

// Longest pattern of `matches`, in bytes and in instructions.
const (
	maxPattern     = 256
	maxPatternSize = 1000
)

// notNullArg reports a value that may be null where none may be.
func (c *checker) notNullArg(t *term, what string) bool {
	if !mayBeNull(t.typ) {
		return true
	}
	help := "give a default with ?? or test it first with != nil"
	switch t.typ.Kind {
	case schemas.String:
		help = `give a default, ` + c.coalesced(t, `""`) + `, or test it first with != nil`
	case schemas.Int, schemas.Float:
		help = `give a default, ` + c.coalesced(t, `0`) + `, or test it first with != nil`
	case schemas.Bool:
		help = `give a default, ` + c.coalesced(t, `false`)
	default:
	}
	c.errorIn(t, codeNull, help, "%s may be null here, and %s needs a value", c.describe(t), what)
	return false
}

// coalesced shows a term with a default.
func (c *checker) coalesced(t *term, value string) string {
	d := c.describe(t)
	if d == "the value" {
		d = "`value`"
	}
	return "`(" + strings.Trim(d, "`") + " ?? " + value + ")`"
}

func (c *checker) wantBool(t *term) bool {
	if t.typ.Kind != schemas.Bool {
		c.errorIn(t, codeOperands, "", "%s is %s, not bool", c.describe(t), t.typ)
		return false
	}
	return c.notNullArg(t, "a condition")
}

func (c *checker) wantNumber(t *term, operator string) bool {
	if !isNumber(t.typ) {
		c.errorIn(t, codeOperands, numberHelp(t), "%s is %s, and %s needs a number", c.describe(t), t.typ, operator)
		return false
	}
	return c.notNullArg(t, operator)
}

// numberHelp suggests the conversion of text.
func numberHelp(t *term) string {
	if t.typ.Kind == schemas.String {
		return "convert text with int(...) or float(...)"
	}
	return ""
}

func (c *checker) binary(n *ast.BinaryNode, f *facts) *term {
	operator := n.Operator
	switch operator {
	case "and":
		operator = "&&"
	case "or":
		operator = "||"
	case "^":
		operator = "**"
	}
	a := c.check(n.Left, f)
	right := f
	if a != nil && (operator == "&&" || operator == "||") {
		right = f.with(proves(a, operator == "&&", c.scope))
	}
	b := c.check(n.Right, right)
	if a == nil || b == nil {
		return nil
	}
	t := c.operation(n, operator, a, b)
	if t == nil {
		return nil
	}
	return c.fold(t)
}

func (c *checker) operation(n *ast.BinaryNode, operator string, a, b *term) *term {
	result := func(k schemas.Kind, args ...*term) *term {
		return c.at(n, term{op: opBinary, typ: kindType(k), name: operator, args: args})
	}
	switch operator {
	case "&&", "||":
		okA, okB := c.wantBool(a), c.wantBool(b)
		if !okA || !okB {
			return nil
		}
		return result(schemas.Bool, a, b)
	case "??":
		return c.coalesce(n, a, b)
	case "==", "!=":
		if !canCompare(a.typ, b.typ) {
			return c.mismatch(n, operator, a, b)
		}
		if !c.symbols(a, b) || !c.symbols(b, a) {
			return nil
		}
		return result(schemas.Bool, a, b)
	case "<", "<=", ">", ">=":
		if !isOrdered(a.typ) || !isOrdered(b.typ) || !canCompare(a.typ, b.typ) {
			return c.mismatch(n, operator, a, b)
		}
		okA, okB := c.notNullArg(a, operator), c.notNullArg(b, operator)
		if !okA || !okB {
			return nil
		}
		return result(schemas.Bool, a, b)
	case "+", "-", "*", "/", "%", "**":
		return c.arithmetic(n, operator, a, b)
	case "in":
		return c.in(n, a, b)
	case "contains":
		if a.typ.Kind == schemas.List {
			return c.in(n, b, a)
		}
		fallthrough
	case "startsWith", "endsWith", "matches":
		return c.textOperation(n, operator, a, b)
	case "..":
		if a.typ.Kind != schemas.Int || b.typ.Kind != schemas.Int {
			return c.mismatch(n, operator, a, b)
		}
		okA, okB := c.notNullArg(a, operator), c.notNullArg(b, operator)
		if !okA || !okB {
			return nil
		}
		t := result(schemas.List, a, b)
		t.typ = listOf(kindType(schemas.Int))
		return t
	}
	return c.errorAt(n, codeNotInRules, "", "the operator %q is not part of the rule language", operator)
}

func (c *checker) mismatch(n ast.Node, operator string, a, b *term) *term {
	help := ""
	switch {
	case a.typ.Kind == schemas.Null || b.typ.Kind == schemas.Null:
		help = "nil can only be compared with == and !="
	case isNumber(a.typ) && b.typ.Kind == schemas.String || a.typ.Kind == schemas.String && isNumber(b.typ):
		help = "convert text with int(...) or float(...), numbers with string(...)"
	case a.typ.Kind == schemas.Time && isNumber(b.typ) || isNumber(a.typ) && b.typ.Kind == schemas.Time:
		help = "a time as milliseconds since 1970 is to_millis(...)"
	case a.typ.Kind == schemas.Time && b.typ.Kind == schemas.String || a.typ.Kind == schemas.String && b.typ.Kind == schemas.Time:
		help = "a time from text is parse_time(text, layout)"
	case a.typ.Kind == schemas.Any || b.typ.Kind == schemas.Any:
		help = "say what the value is: int(...), float(...), string(...), bool(...)"
	}
	return c.errorAt(n, codeOperands, help, "%s does not work between %s and %s", operator, a.typ, b.typ)
}

// symbols checks the constants that an enum is compared with.
func (c *checker) symbols(enum, value *term) bool {
	if !isEnum(enum.typ) {
		return true
	}
	s, ok := value.text()
	if !ok || slices.Contains(enum.typ.Symbols, s) {
		return true
	}
	c.errorIn(value, codeSymbol, symbolHelp(s, enum.typ), "%s is never %q", c.describe(enum), s)
	return false
}

func symbolHelp(s string, enum *schemas.Type) string {
	if help := suggest(s, enum.Symbols); help != "" && s != "" {
		return help
	}
	if len(enum.Symbols) <= 12 {
		return "one of " + strings.Join(enum.Symbols, ", ")
	}
	return ""
}

func (c *checker) arithmetic(n *ast.BinaryNode, operator string, a, b *term) *term {
	k := schemas.Int
	x, y := a.typ.Kind, b.typ.Kind
	switch {
	case isNumber(a.typ) && isNumber(b.typ):
		if operator == "%" && (x == schemas.Float || y == schemas.Float) {
			return c.mismatch(n, operator, a, b)
		}
		if operator == "/" || operator == "**" || x == schemas.Float || y == schemas.Float {
			k = schemas.Float
		}
	case operator == "+" && x == schemas.String && y == schemas.String:
		k = schemas.String
	case operator == "+" && (x == schemas.Time && y == schemas.Int || x == schemas.Int && y == schemas.Time):
		k = schemas.Time
	case operator == "-" && x == schemas.Time && y == schemas.Int:
		k = schemas.Time
	case operator == "-" && x == schemas.Time && y == schemas.Time:
		k = schemas.Int
	case operator == "+" && x == schemas.List && y == schemas.List:
		return c.errorAt(n, codeOperands, "join lists with concat(a, b)", "+ does not work between lists")
	default:
		return c.mismatch(n, operator, a, b)
	}
	okA, okB := c.notNullArg(a, operator), c.notNullArg(b, operator)
	if !okA || !okB {
		return nil
	}
	to := kindType(k)
	return c.at(n, term{op: opBinary, typ: to, name: operator, args: []*term{convert(a, to), convert(b, to)}})
}

func (c *checker) coalesce(n ast.Node, a, b *term) *term {
	t := unify(a.typ, b.typ)
	if t == nil {
		return c.errorAt(n, codeOperands, "", "the value is %s, its default %s", a.typ, b.typ)
	}
	if !c.symbols(a, b) {
		return nil
	}
	if mayBeNull(b.typ) {
		t = nullable(t)
	} else {
		t = notNull(t)
	}
	return c.at(n, term{op: opCoalesce, typ: t, args: []*term{convert(a, t), convert(b, t)}})
}

func (c *checker) in(n *ast.BinaryNode, value, set *term) *term {
	result := func() *term {
		return c.at(n, term{op: opBinary, typ: kindType(schemas.Bool), name: "in", args: []*term{value, set}})
	}
	if !c.notNullArg(set, "in") {
		return nil
	}
	switch set.typ.Kind {
	case schemas.List:
		if set.typ.Elem == nil {
			return result()
		}
		if !canCompare(value.typ, set.typ.Elem) {
			return c.errorAt(n, codeOperands, "", "%s is never in a %s", value.typ, set.typ)
		}
		if isEnum(value.typ) && set.isConst() {
			values, _ := set.value.([]any)
			for _, v := range values {
				if s, ok := v.(string); ok && !slices.Contains(value.typ.Symbols, s) {
					return c.errorIn(set, codeSymbol, symbolHelp(s, value.typ), "%s is never %q", c.describe(value), s)
				}
			}
		}
		return result()
	case schemas.Map:
		if value.typ.Kind != schemas.String {
			return c.errorAt(n, codeOperands, "", "the keys of a map are strings, not %s", value.typ)
		}
		if !c.notNullArg(value, "in") {
			return nil
		}
		return result()
	default:
		return c.errorAt(n, codeOperands, "", "in needs a list or a map, not %s", set.typ)
	}
}

func (c *checker) textOperation(n *ast.BinaryNode, operator string, a, b *term) *term {
	if a.typ.Kind != schemas.String || b.typ.Kind != schemas.String {
		return c.mismatch(n, operator, a, b)
	}
	okA, okB := c.notNullArg(a, operator), c.notNullArg(b, operator)
	if !okA || !okB {
		return nil
	}
	t := c.at(n, term{op: opBinary, typ: kindType(schemas.Bool), name: operator, args: []*term{a, b}})
	if operator != "matches" {
		return t
	}
	pattern, ok := b.text()
	if !ok {
		return c.errorIn(b, codeNotInRules, "", "the pattern of matches has to be a constant")
	}
	if len(pattern) > maxPattern {
		return c.errorIn(b, codePattern, "", "a pattern of %d bytes; at most %d", len(pattern), maxPattern)
	}
	re, err := regexp.Compile(pattern)
	if err != nil {
		return c.errorIn(b, codeConstant, "", "not a pattern: %s", strings.TrimPrefix(err.Error(), "error parsing regexp: "))
	}
	size, err := patternSize(pattern)
	if err != nil || size > maxPatternSize {
		return c.errorIn(b, codePattern, "", "the pattern is too large: repetitions count by their number")
	}
	t.value, t.n = re, size
	return t
}

// patternSize is the number of instructions that a pattern compiles to, which
// bounds what matching one character can cost.
func patternSize(pattern string) (int, error) {
	re, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return 0, err
	}
	prog, err := syntax.Compile(re.Simplify())
	if err != nil {
		return 0, err
	}
	return len(prog.Inst), nil
}

// fold evaluates a term of constants, so that what can only fail fails in the
// check, and equal rules have equal canonical forms.
func (c *checker) fold(t *term) *term {
	if t == nil || t.op == opConst || t.op == opCall && !t.fn.pure {
		return t
	}
	for _, a := range t.args {
		if a != nil && !a.isConst() {
			return t
		}
	}
	compiled := (&compiler{}).compile(t)
	e := &Env{}
	v := compiled.v(e)
	if e.err != nil {
		return c.errorIn(t, codeConstant, "", "%s", e.err.Msg)
	}
	if s := constSize(v); s > maxConstant {
		return t
	}
	f := *t
	f.op, f.value, f.args, f.fn, f.names = opConst, v, nil, nil, nil
	f.from, f.to = t.extent()
	return &f
}

// Largest constant that is kept in place of what makes it.
const maxConstant = 4096

func constSize(v any) int {
	switch v := v.(type) {
	case string:
		return len(v)
	case []byte:
		return len(v)
	case []any:
		n := 16 * len(v)
		for _, x := range v {
			n += constSize(x)
		}
		return n
	case map[string]any:
		n := 32 * len(v)
		for k, x := range v {
			n += len(k) + constSize(x)
		}
		return n
	}
	return 8
}
