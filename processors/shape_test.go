package processors

import (
	"testing"

	"github.com/millrace-io/millrace/rules"
)

// TestChangedRuleStartsClean: a cell of the rule before a change is no cell of the rule after it, and no damage.
func TestChangedRuleStartsClean(t *testing.T) {
	l := manual(rules.Aggregate{Func: rules.Count})
	cell := (&group{layout: l, shape: 0xa1, pane: pane{count: 3}}).Append(nil)
	old := golden(t, "v1", "aggregate-one")
	count := rules.Aggregate{Func: rules.Count}
	for name, c := range map[string]struct {
		rule rules.Rule
		cell []byte
		want bool
	}{
		"same":                      {rules.Rule{Fingerprint: "00000000000000a1", Aggregates: []rules.Aggregate{count}}, cell, true},
		"other shape":               {rules.Rule{Fingerprint: "00000000000000a2", Aggregates: []rules.Aggregate{count}}, cell, false},
		"format 1, more aggregates": {rules.Rule{Fingerprint: "00000000000000a3", Aggregates: []rules.Aggregate{count, count}}, old, false},
	} {
		got, err := newAggregate(&c.rule).Decode(c.cell)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if (got != nil) != c.want {
			t.Errorf("%s: cell %v, want one: %v", name, got, c.want)
		}
	}
	if _, err := newAggregate(&rules.Rule{Aggregates: make([]rules.Aggregate, 1)}).Decode(cell[:4]); err == nil {
		t.Error("a damaged cell is accepted")
	}
}
