package rules

import (
	"slices"
	"strings"
	"time"

	"github.com/millrace-io/millrace/schemas"
)

// Unmet is a part of a condition that does not hold, and why.
type Unmet struct {
	Text     string    `json:"condition"` // as the rule file has it
	Operands []Operand `json:"operands,omitempty"`
}

// Operand is a value that a condition reads.
type Operand struct {
	Text  string `json:"operand"` // as the rule file has it
	Value any    `json:"value"`   // nil for null; of a time a time.Time in UTC
}

// Unmet lists the parts of a Bool expression, at its top-level &&, that are false or null, each with the values of what it reads but
// constants. Parts that fail are left out, as those behind a test for null do. It is slow, and for people to read; it uses up e's
// budgets and resets it.
func (x *Expr) Unmet(e *Env) []Unmet {
	var out []Unmet
	for _, t := range conjuncts(x.term, nil) {
		e.Reset()
		holds, known := x.by.compile(t).b(e)
		if holds && known || e.err != nil {
			continue
		}
		u := Unmet{Text: t.sourceText()}
		for _, o := range t.operands(nil) {
			text := o.sourceText()
			if slices.ContainsFunc(u.Operands, func(p Operand) bool { return p.Text == text }) {
				continue
			}
			e.Reset()
			if v := x.by.compile(o).v(e); e.err == nil {
				u.Operands = append(u.Operands, Operand{text, shownValue(o.typ, v)})
			}
		}
		out = append(out, u)
	}
	e.Reset()
	return out
}

// operands adds the parts of a term whose values say what its value comes of: fields, aggregates, calls that are no conditions.
func (t *term) operands(list []*term) []*term {
	switch t.op {
	case opConst, opAlias, opElem, opIndex:
		return list
	case opField, opItem, opColumn, opKey, opGroup, opWindow, opMember, opAt, opSlice:
		return append(list, t)
	case opPredicate:
		return t.args[0].operands(list) // the others are about its elements
	case opCall, opCoalesce:
		if t.typ.Kind != schemas.Bool {
			return append(list, t)
		}
	default:
	}
	for _, a := range t.args {
		if a != nil {
			list = a.operands(list)
		}
	}
	return list
}

// sourceText is the term as the rule file has it, on one line.
func (t *term) sourceText() string {
	from, to := t.extent()
	text := []rune(t.src.text)
	if from < 0 || to > len(text) || from >= to {
		from, to = 0, len(text)
	}
	from, to = balanced(text, from, to)
	return strings.Join(strings.Fields(string(text[from:to])), " ")
}

// balanced widens a stretch of a text by the brackets at its ends that belong to those in it: where terms end, the parser does not tell.
func balanced(text []rune, from, to int) (int, int) {
	open, missing := 0, 0
	for _, r := range text[from:to] {
		if open += bracket(r); open < 0 {
			open, missing = 0, missing+1
		}
	}
	for at := from - 1; missing > 0 && at >= 0; at-- {
		missing -= bracket(text[at])
		from = at
	}
	for ; open > 0 && to < len(text); to++ {
		open += bracket(text[to])
	}
	return from, to
}

// bracket is 1 for an opening one, -1 for a closing one.
func bracket(r rune) int {
	switch r {
	case '(', '[', '{':
		return 1
	case ')', ']', '}':
		return -1
	}
	return 0
}

// shownValue is a value as people read it.
func shownValue(typ *schemas.Type, v any) any {
	if ms, ok := v.(int64); ok && typ.Kind == schemas.Time {
		return time.UnixMilli(ms).UTC()
	}
	return v
}
