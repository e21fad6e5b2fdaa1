package rules

import (
	"strconv"
	"strings"

	"github.com/millrace-io/millrace/schemas"
)

// op says what a term is.
type op uint8

const (
	opConst     op = iota + 1 // value
	opAlias                   // a whole record: input, or opEvent for `event`
	opField                   // field of input (or of whichever it is): path
	opItem                    // element of `each`
	opElem                    // # of the predicate at depth n
	opIndex                   // #index of the predicate at depth n
	opColumn                  // column n of a feed's row
	opKey                     // the group's key
	opGroup                   // result of aggregate n
	opWindow                  // the window's start or end: name
	opMember                  // args[0].name, on a record value or a map
	opAt                      // args[0][args[1]]
	opSlice                   // args[0][args[1]:args[2]], with nil args for open ends
	opNot                     // !args[0]
	opNeg                     // -args[0]
	opBinary                  // args[0] name args[1]
	opCoalesce                // args[0] ?? args[1]
	opCond                    // args[0] ? args[1] : args[2]
	opList                    // [args...]
	opRecord                  // {names[i]: args[i]}
	opCall                    // fn(args...)
	opPredicate               // name(args[0], args[1]), args[1] per element at depth n
	opFloat                   // int args[0] as float
	opText                    // args[0] as text, for keys
)

// eventInput is the input of opAlias and opField for `event`: whichever
// record it is.
const eventInput = -1

// term is a type-checked expression.
type term struct {
	op    op
	typ   *schemas.Type
	args  []*term
	name  string   // path, member, operator or predicate
	names []string // opRecord
	n     int      // column, aggregate, predicate depth
	input int
	value any
	fn    *function
	// short marks a value that is null only because a ?. before it stopped:
	// within the same chain its fields need no further ?.
	short    bool
	src      *source
	from, to int // characters of src
}

// size counts the terms of the tree; predicates' bodies are left out when
// they are charged apart.
func (t *term) size(bodies bool) int {
	n := 1
	for i, a := range t.args {
		if a == nil || t.op == opPredicate && i == 1 && !bodies {
			continue
		}
		n += a.size(bodies)
	}
	return n
}

// isConst reports whether the term is a constant.
func (t *term) isConst() bool { return t.op == opConst }

// text returns the constant text of a term.
func (t *term) text() (string, bool) {
	if t.op != opConst {
		return "", false
	}
	s, ok := t.value.(string)
	return s, ok
}

// uses reports whether any part of the term satisfies f.
func (t *term) uses(f func(*term) bool) bool {
	if f(t) {
		return true
	}
	for _, a := range t.args {
		if a != nil && a.uses(f) {
			return true
		}
	}
	return false
}

// path names what the term reads, if it is a chain of fields: two terms with
// one path have the same value. "" for anything else.
func (t *term) path() string {
	switch t.op {
	case opAlias:
		return "$" + strconv.Itoa(t.input)
	case opField:
		return "$" + strconv.Itoa(t.input) + "." + t.name
	case opItem:
		return "$item"
	case opElem:
		return "$#" + strconv.Itoa(t.n)
	case opColumn:
		return "$row" + strconv.Itoa(t.n)
	case opGroup:
		return "$group" + strconv.Itoa(t.n)
	case opMember:
		if p := t.args[0].path(); p != "" {
			return p + "." + t.name
		}
	case opAt:
		if p := t.args[0].path(); p != "" && t.args[1].isConst() {
			return p + ".[" + constText(t.args[1].value) + "]"
		}
	default:
	}
	return ""
}

// canon writes the term without layout and redundant parentheses. names
// stands for the inputs. Equal canonical forms have equal meaning.
func (t *term) canon(b *strings.Builder, inputs []string) {
	list := func(args []*term) {
		for i, a := range args {
			if i > 0 {
				b.WriteByte(',')
			}
			if a != nil {
				a.canon(b, inputs)
			}
		}
	}
	switch t.op {
	case opConst:
		b.WriteString(constText(t.value))
		if t.typ.Kind == schemas.Time {
			b.WriteByte('t')
		}
	case opAlias, opField:
		if t.input == eventInput {
			b.WriteString("event")
		} else {
			b.WriteString(inputs[t.input])
		}
		if t.op == opField {
			b.WriteByte('.')
			b.WriteString(t.name)
		}
	case opItem:
		b.WriteString("$item")
	case opElem:
		b.WriteString("#" + strconv.Itoa(t.n))
	case opIndex:
		b.WriteString("#index" + strconv.Itoa(t.n))
	case opColumn:
		b.WriteString("row." + t.name)
	case opKey:
		b.WriteString("key")
	case opGroup:
		b.WriteString("$" + strconv.Itoa(t.n))
	case opWindow:
		b.WriteString("window." + t.name)
	case opMember:
		list(t.args)
		b.WriteByte('.')
		b.WriteString(strconv.Quote(t.name))
	case opAt, opSlice:
		t.args[0].canon(b, inputs)
		if t.op == opSlice {
			b.WriteByte(':')
		}
		b.WriteByte('[')
		list(t.args[1:])
		b.WriteByte(']')
	case opRecord:
		b.WriteByte('{')
		for i, a := range t.args {
			b.WriteString(strconv.Quote(t.names[i]))
			b.WriteByte(':')
			a.canon(b, inputs)
			b.WriteByte(',')
		}
		b.WriteByte('}')
	case opList:
		b.WriteByte('[')
		list(t.args)
		b.WriteByte(']')
	case opFloat:
		list(t.args)
	default:
		b.WriteString(t.verb())
		b.WriteByte('(')
		list(t.args)
		b.WriteByte(')')
	}
}

// verb names an operation in canonical forms.
func (t *term) verb() string {
	switch t.op {
	case opNot:
		return "!"
	case opNeg:
		return "-"
	case opCoalesce:
		return "??"
	case opCond:
		return "?"
	case opCall:
		return t.fn.name
	case opText:
		return "string"
	default:
		return t.name
	}
}

// constText writes a constant so that different ones look different.
func constText(v any) string {
	switch v := v.(type) {
	case nil:
		return "nil"
	case bool:
		return strconv.FormatBool(v)
	case int64:
		return strconv.FormatInt(v, 10)
	case float64:
		return "f" + strconv.FormatFloat(v, 'g', -1, 64)
	case string:
		return strconv.Quote(v)
	case []byte:
		return "b" + strconv.Quote(string(v))
	case []any:
		parts := make([]string, len(v))
		for i, x := range v {
			parts[i] = constText(x)
		}
		return "[" + strings.Join(parts, ",") + "]"
	case map[string]any:
		var parts []string
		for _, k := range sortedKeys(v) {
			parts = append(parts, strconv.Quote(k)+":"+constText(v[k]))
		}
		return "{" + strings.Join(parts, ",") + "}"
	}
	return "?"
}
