package rules

import (
	"fmt"
	"slices"
)

// Limits that keep the automaton of a pattern small.
const (
	maxTakes    = 10_000 // stages, each as often as it repeats at least
	maxAnyOrder = 8      // parts of one `&`: their orders are told apart by 2^n states
	maxOrders   = 2048   // stages, each as often as the orders of `&` need it
	maxCounts   = 4      // repetitions with a number in each other
)

// patternChecker checks that each part of a pattern can be where and as it is.
type patternChecker struct {
	src    *source
	ends   bool // time ends runs
	stages []checkedStage
	ok     bool
}

func (c *patternChecker) refuse(p *part, help, format string, args ...any) {
	c.src.report(p.from, p.to, codeShape, help, format, args...)
	c.ok = false
}

// check checks a whole pattern.
func (c *patternChecker) check(root *part) bool {
	c.ok = true
	if root.negated {
		c.first(root)
	} else {
		c.inside(root, true)
	}
	if takes(root) > maxTakes {
		c.src.report(root.from, root.to, codeStages, "split the rule in two, over a stream in between", "the pattern repeats its stages more than %d times", maxTakes)
		c.ok = false
	}
	if counts(root) > maxCounts {
		c.src.report(root.from, root.to, codeStages, "split the rule in two, over a stream in between", "repetitions with a number nested deeper than %d", maxCounts)
		c.ok = false
	}
	if orders(root) > maxOrders {
		c.src.report(root.from, root.to, codeStages, "split the rule in two, over a stream in between", "too many orders in which the parts of `&` can come")
		c.ok = false
	}
	return c.ok
}

func (c *patternChecker) first(p *part) {
	c.refuse(p, "put it after another stage: `… -> "+p.String()+" -> …`", "nothing comes before a negated stage that is the first part")
}

// inside checks the parts of a part. whole: it is the pattern, and no group in it.
func (c *patternChecker) inside(p *part, whole bool) {
	switch p.op {
	case Take:
		return
	case Sequence:
		c.sequence(p, whole)
	case Choice, AnyOrder:
		c.branches(p)
	}
	for _, q := range p.parts {
		c.inside(q, false)
	}
	if p.op == Sequence && (!whole || p.loops()) && partsMayBeEmpty(p) {
		c.refuse(p, "say of the group that it is optional, and not of all its parts", "every part of the group is optional, so it may match nothing")
	}
}

// branches checks the parts of a choice, or those that come in any order.
func (c *patternChecker) branches(p *part) {
	sign, what := p.operator(p), "one or the other"
	if p.op == AnyOrder {
		what = "both"
	}
	for _, q := range p.parts {
		switch {
		case q.negated:
			c.refuse(q, "put it after another stage, in brackets: `(… -> "+q.String()+" -> …)`", "a branch of `%s` cannot be a negated stage", sign)
		case mayBeEmpty(q):
			c.refuse(q, "leave its `?` or `*` out, or make the whole group optional", "a branch of `%s` cannot be optional: the pattern asks for %s", sign, what)
		}
	}
	if p.op == AnyOrder && len(p.parts) > maxAnyOrder {
		c.src.report(p.from, p.to, codeStages, "", "%d parts in any order; at most %d", len(p.parts), maxAnyOrder)
		c.ok = false
	}
}

// sequence checks what is negated in a sequence.
func (c *patternChecker) sequence(p *part, whole bool) {
	for i, q := range p.parts {
		if !q.negated {
			continue
		}
		switch {
		case i == 0:
			c.first(q)
			continue
		case q.contiguity == RelaxedAny:
			c.refuse(q, "write `-> "+q.String()+"`: not at all before the next part; or `, "+q.String()+"`: not as the next record", "`->>` cannot stand before a negated stage")
		case p.parts[i-1].optional:
			c.refuse(q, fmt.Sprintf("write two rules, or `(%s -> %s | …)`", atLeastOnce(p.parts[i-1]), q), "what is before a negated stage cannot be optional: it would not be clear since when it may not come")
		}
		if last := !slices.ContainsFunc(p.parts[i+1:], func(q *part) bool { return !mayBeEmpty(q) }); last {
			c.last(p, q, whole)
		}
	}
}

// last checks a negated stage after which nothing has to come.
func (c *patternChecker) last(p, q *part, whole bool) {
	gap := q.stage >= 0 && c.stages[q.stage].gap > 0
	switch {
	case !whole || p.loops():
		c.refuse(q, "write what comes after it inside of the brackets, or it behind them", "a group cannot end with a negated stage")
	case q.contiguity != Strict && !c.ends && !gap:
		c.refuse(q, "add `within: 10m` to the detection, or to the stage: define: {"+q.name+": {within: 10m}}", "that no %s comes is known only when time has ended: the last part is negated and there is no `within`", q.name)
	}
}

// atLeastOnce writes an optional part without that.
func atLeastOnce(p *part) *part {
	q := *p
	q.optional = false
	return &q
}

// mayBeEmpty reports whether a part can match without a record.
func mayBeEmpty(p *part) bool {
	return p.optional || p.negated || p.op != Take && partsMayBeEmpty(p)
}

// partsMayBeEmpty reports whether what is in a group can match without a record.
func partsMayBeEmpty(p *part) bool {
	if p.op == Choice {
		return slices.ContainsFunc(p.parts, mayBeEmpty)
	}
	return !slices.ContainsFunc(p.parts, func(q *part) bool { return !mayBeEmpty(q) })
}

// takes counts the stages of a part, each as often as it repeats; it stops above maxTakes.
func takes(p *part) int64 {
	n := int64(1)
	if p.op != Take {
		n = 0
		for _, q := range p.parts {
			n += takes(q)
		}
	}
	return min(n*max(p.min, p.max), maxTakes+1)
}

// counts is how deep repetitions with a number, which are counted, lie in each other.
func counts(p *part) int {
	n := 0
	for _, q := range p.parts {
		n = max(n, counts(q))
	}
	if p.loops() && (p.min > 1 || p.max > 0) {
		n++
	}
	return n
}

// orders counts the stages of a part, each for every set of others that can have come before it; it stops above maxOrders.
func orders(p *part) int {
	if p.op == Take {
		return 1
	}
	n := 0
	for _, q := range p.parts {
		n += orders(q)
	}
	if p.op == AnyOrder {
		n <<= min(len(p.parts), maxAnyOrder) - 1
	}
	return min(n, maxOrders+1)
}

// walk calls f for every stage of a part, in the order of the pattern.
func (p *part) walk(f func(*part)) {
	if p.op == Take {
		f(p)
	}
	for _, q := range p.parts {
		q.walk(f)
	}
}

// leading returns the stage that takes the first record of every run, nil if it is not always the same.
func (p *part) leading() *part {
	switch {
	case p.optional || p.negated || p.op == Choice || p.op == AnyOrder:
		return nil
	case p.op == Take:
		return p
	}
	return p.parts[0].leading()
}
