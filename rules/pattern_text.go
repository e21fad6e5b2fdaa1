package rules

import (
	"strconv"
	"strings"
)

// sign is how patterns write the contiguity.
func (c Contiguity) sign() string {
	switch c {
	case Strict:
		return ","
	case Relaxed:
		return "->"
	case RelaxedAny:
		return "->>"
	}
	return ""
}

// String writes the part in the one way in which parts that are equal are written.
func (p *part) String() string {
	var b strings.Builder
	p.write(&b, false)
	return b.String()
}

// write writes the part, in brackets if it is a group and nested or quantified.
func (p *part) write(b *strings.Builder, nested bool) {
	if p.negated {
		b.WriteByte('!')
	}
	group := p.op != Take && (nested || p.quantified())
	if group {
		b.WriteByte('(')
	}
	switch p.op {
	case Take:
		b.WriteString(p.name)
	case Sequence, Choice, AnyOrder:
		for i, q := range p.parts {
			if i > 0 {
				b.WriteString(" " + p.operator(q) + " ")
			}
			q.write(b, true)
		}
	}
	if group {
		b.WriteByte(')')
	}
	b.WriteString(p.quantifier())
}

// operator is what stands before a part of this one.
func (p *part) operator(q *part) string {
	switch p.op {
	case Choice:
		return "|"
	case AnyOrder:
		return "&"
	case Take, Sequence:
	}
	return q.contiguity.sign()
}

// quantifier writes how often the part matches, "" for once.
func (p *part) quantifier() string {
	var s string
	optional := p.optional
	switch {
	case p.min == 1 && p.max == 1 && p.optional:
		s, optional = "?", false
	case p.min == 1 && p.max == 1 && !p.greedy:
	case p.min == 1 && p.max == 0 && p.optional:
		s, optional = "*", false
	case p.min == 1 && p.max == 0:
		s = "+"
	case p.max == 0:
		s = "{" + strconv.FormatInt(p.min, 10) + ",}"
	case p.min == p.max:
		s = "{" + strconv.FormatInt(p.min, 10) + "}"
	default:
		s = "{" + strconv.FormatInt(p.min, 10) + "," + strconv.FormatInt(p.max, 10) + "}"
	}
	if p.greedy {
		s += "+"
	}
	if optional {
		s += "?"
	}
	if p.inner != Relaxed && p.loops() {
		s += "[" + p.inner.sign() + "]"
	}
	return s
}
