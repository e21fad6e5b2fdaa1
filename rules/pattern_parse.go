package rules

import (
	"fmt"
	"strconv"
)

// Limits of one pattern.
const (
	maxPatternDepth = 16    // brackets in brackets
	maxRepeat       = 1_000 // of one quantifier
)

// part is a part of a pattern as it is written. Offsets are in characters of the pattern.
type part struct {
	op         PatternOp
	name       string // Take
	stage      int    // Take, once names are resolved
	parts      []*part
	contiguity Contiguity
	negated    bool
	min, max   int64
	optional   bool
	greedy     bool
	inner      Contiguity
	from, to   int
	end        int // where the quantifier starts, to if there is none
}

// quantified reports whether anything is said about how often the part matches.
func (p *part) quantified() bool { return p.min != 1 || p.max != 1 || p.optional || p.greedy }

// loops reports whether the part can match more than once.
func (p *part) loops() bool { return p.max != 1 }

// patternParser parses one pattern by recursive descent. It stops at the first error of syntax.
type patternParser struct {
	src    *source
	tokens []patternToken
	at     int
	failed bool
}

// parsePattern parses the text of a pattern; nil after an error.
func parsePattern(src *source) *part {
	if len(src.text) > maxExprBytes {
		src.report(0, 1, codeLength, "", "pattern of %d bytes; at most %d", len(src.text), maxExprBytes)
		return nil
	}
	tokens, ok := lexPattern(src)
	if !ok {
		return nil
	}
	p := &patternParser{src: src, tokens: tokens}
	root := p.operands(0)
	if t := p.peek(); !p.failed && t.kind != patternEnd {
		p.fail(t, "", "%q has no opening bracket", t.text)
	}
	if p.failed {
		return nil
	}
	root.contiguity = 0
	return root
}

func (p *patternParser) peek() patternToken { return p.tokens[p.at] }

func (p *patternParser) next() patternToken {
	t := p.tokens[p.at]
	if t.kind != patternEnd {
		p.at++
	}
	return t
}

// accept takes the sign if it is there.
func (p *patternParser) accept(sign string) bool {
	if !p.peek().is(sign) {
		return false
	}
	p.next()
	return true
}

// fail reports an error at a token. Later ones are consequences.
func (p *patternParser) fail(t patternToken, help, format string, args ...any) *part {
	if !p.failed {
		p.src.report(t.from, t.to, codePatternText, help, format, args...)
	}
	p.failed = true
	return nil
}

// refuse reports what is well-formed and means nothing; parsing goes on.
func (p *patternParser) refuse(from, to int, help, format string, args ...any) {
	p.src.report(from, to, codeShape, help, format, args...)
}

// operands reads parts with operators between them, up to a closing bracket or the end.
func (p *patternParser) operands(depth int) *part {
	first := p.part(depth)
	if first == nil {
		return nil
	}
	parts, signs := []*part{first}, []patternToken{}
	for {
		t := p.peek()
		switch {
		case t.kind == patternEnd || t.is(")"):
			return p.combine(parts, signs)
		case t.contiguity() != 0 || t.is("|") || t.is("&"):
			p.next()
		case t.kind == patternName || t.is("(") || t.is("!"):
			return p.fail(t, "`->` skips records in between, `,` does not, `|` is one or the other, `&` both in any order",
				"there has to be an operator before this part")
		default:
			return p.fail(t, "a quantifier is ?, +, *, {2}, {2,} or {2,5}, then + for greedy or ? for optional, then [,], [->] or [->>]", "%q has no place here", t.text)
		}
		next := p.part(depth)
		if next == nil {
			return nil
		}
		next.contiguity = t.contiguity()
		parts, signs = append(parts, next), append(signs, t)
	}
}

// combine makes one part of several with one kind of operator between them.
func (p *patternParser) combine(parts []*part, signs []patternToken) *part {
	if len(parts) == 1 {
		return parts[0]
	}
	whole := joinParts(parts, operation(signs[0]))
	for i, t := range signs {
		if operation(t) != whole.op {
			tail := joinParts(parts[i:], operation(t))
			if i+2 < len(parts) { // the rest may hold operators of other kinds
				tail = joinParts(parts[i:i+2], operation(t))
			}
			head := joinParts(parts[:i+1], whole.op)
			return p.fail(t, fmt.Sprintf("write `(%s) %s …` or `… %s (%s)`", head, t.text, signs[i-1].text, tail),
				"`%s` and `%s` side by side need brackets", signs[0].text, t.text)
		}
	}
	return whole
}

// operation is what an operator makes of the parts beside it.
func operation(t patternToken) PatternOp {
	switch {
	case t.is("|"):
		return Choice
	case t.is("&"):
		return AnyOrder
	}
	return Sequence
}

func joinParts(parts []*part, op PatternOp) *part {
	if len(parts) == 1 {
		return parts[0]
	}
	last := parts[len(parts)-1]
	return &part{op: op, parts: parts, min: 1, max: 1, inner: Relaxed, from: parts[0].from, to: last.to, end: last.to}
}

// part reads a name or a group with what stands before and after it.
func (p *patternParser) part(depth int) *part {
	start := p.peek()
	negated := p.accept("!")
	t := p.next()
	var out *part
	switch {
	case t.kind == patternName:
		out = &part{op: Take, name: t.text, min: 1, max: 1, inner: Relaxed, from: t.from, to: t.to, end: t.to}
	case t.is("("):
		out = p.group(t, depth)
	case t.kind == patternEnd && p.at == 0:
		return p.fail(t, "write something like `login -> payment`", "the pattern is empty")
	case t.kind == patternEnd:
		return p.fail(t, "", "the pattern ends where a stage is missing")
	default:
		return p.fail(t, "", "a stage is missing before %q", t.text)
	}
	if out == nil {
		return nil
	}
	p.quantifier(out)
	if len(out.parts) == 1 && !out.quantified() { // brackets without a meaning
		in := out.parts[0]
		in.to = out.to
		out = in
	}
	out.from = start.from
	if negated {
		p.negate(out)
	}
	if p.failed {
		return nil
	}
	return out
}

// group reads what is in brackets. Brackets around one part mean nothing of their own unless both it and they are quantified.
func (p *patternParser) group(open patternToken, depth int) *part {
	if depth == maxPatternDepth {
		p.failed = true
		p.src.report(open.from, open.to, codeStages, "split the rule in two, over a stream in between", "brackets nested deeper than %d", maxPatternDepth)
		return nil
	}
	in := p.operands(depth + 1)
	if in == nil {
		return nil
	}
	end := p.peek()
	if !p.accept(")") {
		return p.fail(open, "", "the bracket is not closed")
	}
	in.contiguity = 0
	out := in
	if in.quantified() || in.negated {
		out = &part{op: Sequence, parts: []*part{in}, min: 1, max: 1, inner: Relaxed}
	}
	out.from, out.to, out.end = open.from, end.to, end.to
	return out
}

// negate marks a part as one that may not come.
func (p *patternParser) negate(out *part) {
	switch {
	case out.op != Take:
		p.refuse(out.from, out.end, "negate each stage: `!a -> !b`", "only a stage can be negated, not a group")
	case out.quantified():
		p.refuse(out.end, out.to, "leave the quantifier out: one such record is enough", "a negated stage cannot be repeated or optional")
	case out.negated:
		p.refuse(out.from, out.to, "write ! once", "the stage is negated already")
	}
	out.negated = true
}

// quantifier reads how often a part matches.
func (p *patternParser) quantifier(out *part) {
	t := p.peek()
	out.end = t.from
	if !p.count(out) || p.failed {
		out.end = out.to
		return
	}
	if p.accept("+") {
		out.greedy = true
	}
	if q := p.peek(); p.accept("?") {
		if out.optional {
			p.fail(q, "leave the `?` out", "the part is optional already")
		}
		out.optional = true
	}
	if open := p.peek(); p.accept("[") {
		out.inner = p.next().contiguity()
		if out.inner == 0 || !p.accept("]") {
			p.fail(open, "", "brackets after a quantifier hold one of `,`, `->` and `->>`: what may lie between repetitions")
		} else if !out.loops() {
			p.refuse(open.from, p.tokens[p.at-1].to, "leave the brackets out", "the part does not repeat, so nothing lies between repetitions")
		}
	}
	out.to = p.tokens[p.at-1].to
}

// count reads the head of a quantifier; false: there is none.
func (p *patternParser) count(out *part) bool {
	switch t := p.peek(); {
	case t.is("?"):
		p.next()
		out.optional = true
	case t.is("+"):
		p.next()
		out.max = 0
	case t.is("*"):
		p.next()
		out.max, out.optional = 0, true
	case t.is("{"):
		p.next()
		p.braces(out, t)
	case t.is("["):
		p.fail(t, "write `+[,]`, `*[,]` or `{2,}[,]`", "only a part with a quantifier has repetitions")
	default:
		return false
	}
	return true
}

// braces reads {n}, {n,} or {n,m} after the opening one.
func (p *patternParser) braces(out *part, open patternToken) {
	const help = "{2}, {2,}, {2,5}, or {0,5} for at most 5"
	low, high := p.next(), patternToken{}
	out.min = p.number(low)
	out.max = out.min
	if p.accept(",") {
		out.max = 0
		if high = p.peek(); high.kind == patternNumber {
			out.max = p.number(p.next())
		}
	}
	if low.kind != patternNumber || !p.accept("}") {
		p.fail(open, help, "this is no quantifier")
		return
	}
	end := p.tokens[p.at-1].to
	switch {
	case out.max == 0 && (high.kind == patternNumber || high.kind == patternEnd):
		p.refuse(open.from, end, "leave the part out, or write !", "the part never matches")
	case out.max > 0 && out.min > out.max:
		p.refuse(open.from, end, fmt.Sprintf("{%d,%d}", out.max, out.min), "at least %d and at most %d cannot be", out.min, out.max)
	}
	if out.min == 0 {
		out.min, out.optional = 1, true
	}
}

// number reads a count of repetitions.
func (p *patternParser) number(t patternToken) int64 {
	n, err := strconv.ParseInt(t.text, 10, 64)
	if t.kind == patternNumber && (err != nil || n > maxRepeat) {
		p.failed = true
		p.src.report(t.from, t.to, codeStages, "", "%s repetitions; at most %d", t.text, maxRepeat)
	}
	return n
}
