package nfa

import (
	"errors"
	"testing"

	"github.com/millrace-io/millrace/rules"
)

// TestLargestPatterns: what the check of rules lets pass compiles.
func TestLargestPatterns(t *testing.T) {
	stages := 0
	leaf := func() *rules.Pattern {
		stages++
		return &rules.Pattern{Op: rules.Take, Stage: stages - 1, Min: 1, Max: 1}
	}
	group := func(op rules.PatternOp, parts ...*rules.Pattern) *rules.Pattern {
		for i := range parts {
			if op == rules.Sequence && i > 0 {
				parts[i].Contiguity = rules.Relaxed
			}
		}
		return &rules.Pattern{Op: op, Parts: parts, Min: 1, Max: 1}
	}
	counted := func(p *rules.Pattern) *rules.Pattern {
		p.Min, p.Max, p.Inner = 2, 3, rules.RelaxedAny
		return p
	}
	nested := counted(leaf())
	for range 3 {
		nested = counted(group(rules.Sequence, nested, leaf()))
	}
	var many []*rules.Pattern
	for range 8 {
		many = append(many, counted(leaf()))
	}
	anyOrder := group(rules.AnyOrder, many...)
	chain := group(rules.Sequence, leaf())
	for range 40 {
		p := counted(leaf())
		p.Optional, p.Contiguity = true, rules.Relaxed
		chain.Parts = append(chain.Parts, p)
	}
	for name, p := range map[string]*rules.Pattern{"nested": nested, "any order": anyOrder, "optional": chain, "all": group(rules.Sequence, nested, anyOrder, chain)} {
		a, err := Compile(Config{Pattern: p, Stages: make([]Stage, stages), Skip: rules.SkipNone})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		t.Logf("%s: %d takes, %d places", name, len(a.takes), len(a.places))
	}
	if _, err := Compile(Config{Pattern: counted(group(rules.Sequence, nested, leaf())), Stages: make([]Stage, stages)}); !errors.Is(err, errLarge) {
		t.Errorf("five deep: %v", err)
	}
}
