package processors

import (
	"testing"

	"github.com/millrace-io/millrace/rules"
)

// TestChangedRuleStartsClean: a cell of the rule before a change is no cell of the rule after it, and no damage.
func TestChangedRuleStartsClean(t *testing.T) {
	cell := (&group{count: 3, shape: 0xa1, sums: []sum{{count: 3}}}).Append(nil)
	for name, c := range map[string]struct {
		rule rules.Rule
		want bool
	}{
		"same":            {rules.Rule{Fingerprint: "00000000000000a1", Aggregates: make([]rules.Aggregate, 1)}, true},
		"other shape":     {rules.Rule{Fingerprint: "00000000000000a2", Aggregates: make([]rules.Aggregate, 1)}, false},
		"more aggregates": {rules.Rule{Fingerprint: "00000000000000a3", Aggregates: make([]rules.Aggregate, 2)}, false},
	} {
		got, err := newAggregate(&c.rule).Decode(cell)
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
