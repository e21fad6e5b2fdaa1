package rules

import (
	"strconv"
	"strings"
)

// String returns the contiguity as patterns write it; "" for none.
func (c Contiguity) String() string {
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
	return q.contiguity.String()
}

// quantifier writes how often the part matches, "" for once.
func (p *part) quantifier() string {
	return (&Pattern{Min: p.min, Max: p.max, Optional: p.optional, Greedy: p.greedy, Inner: p.inner}).Quantifier()
}

// Quantifier returns how often the part matches as patterns write it, "" for once.
func (p *Pattern) Quantifier() string {
	var s string
	optional := p.Optional
	switch {
	case p.Min == 1 && p.Max == 1 && p.Optional:
		s, optional = "?", false
	case p.Min == 1 && p.Max == 1 && !p.Greedy:
	case p.Min == 1 && p.Max == 0 && p.Optional:
		s, optional = "*", false
	case p.Min == 1 && p.Max == 0:
		s = "+"
	case p.Max == 0:
		s = "{" + strconv.FormatInt(p.Min, 10) + ",}"
	case p.Min == p.Max:
		s = "{" + strconv.FormatInt(p.Min, 10) + "}"
	default:
		s = "{" + strconv.FormatInt(p.Min, 10) + "," + strconv.FormatInt(p.Max, 10) + "}"
	}
	if p.Greedy {
		s += "+"
	}
	if optional {
		s += "?"
	}
	if p.Inner != Relaxed && p.Max != 1 {
		s += "[" + p.Inner.String() + "]"
	}
	return s
}
