package processors

import (
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-io/millrace/rules"
)

// golden reads a cell of testdata/state. A new state format adds a folder; these files stay as they are, because state
// written by every release must load in each later one.
func golden(t *testing.T, version, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "testdata", "state", version, name+".hex"))
	if err != nil {
		t.Fatal(err)
	}
	b, err := hex.DecodeString(strings.Join(strings.Fields(string(text)), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// manual is the layout of a rule with these aggregates, all but count() over an argument of their own.
func manual(aggregates ...rules.Aggregate) *layout {
	l := &layout{rule: &rules.Rule{Aggregates: aggregates}, kept: kept{true, true, true}, traced: true}
	for i := range aggregates {
		if aggregates[i].Func == rules.Count {
			l.of = append(l.of, -1)
			continue
		}
		c := newColumn(&aggregates[i], true)
		c.arg = len(l.columns)
		l.of, l.columns = append(l.of, len(l.columns)), append(l.columns, c)
	}
	l.values = make([]argument, len(l.columns))
	l.grow(&l.none)
	return l
}

func TestStateV1Loads(t *testing.T) {
	tests := []struct {
		name       string
		aggregates []rules.Aggregate
		results    []any
		count, n   int64
		ids        []string
		confidence float64
		version    map[string]int64
		selected   string
	}{
		{"aggregate-one", []rules.Aggregate{{Func: rules.Count}}, []any{int64(1)}, 1, 1, []string{"e1"}, 1, map[string]int64{}, "s"},
		{
			"aggregate-all",
			[]rules.Aggregate{{Func: rules.Count}, {Func: rules.Sum}, {Func: rules.Avg}, {Func: rules.Max}, {Func: rules.First}},
			[]any{int64(3), int64(-7), (1e16 + 1e-16) / 3, "text", []any{nil, true, int64(5), 2.5, []byte{9}, map[string]any{"k": false}}},
			3, 2, []string{"e1", "e3"}, 0.25, map[string]int64{"eu": 4, "us": 0}, "\x00\x01\x02",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := manual(tt.aggregates...)
			g, err := decodeGroup(golden(t, "v1", tt.name), l, 0)
			if err != nil {
				t.Fatal(err)
			}
			for i, want := range tt.results {
				if got, err := l.result(&g.pane, i); err != nil || !cmp.Equal(want, got) {
					t.Errorf("%s is %v, %v, want %v", tt.aggregates[i].Func, got, err, want)
				}
			}
			c := g.pane.trace
			if g.pane.count != tt.count || g.n != tt.n || c.confidence != tt.confidence || string(g.selected) != tt.selected {
				t.Errorf("got %+v, trace %+v", g, c)
			}
			if d := cmp.Diff(tt.ids, c.ids(g.pane.count)) + cmp.Diff(tt.version, c.version.asMap()); d != "" {
				t.Error(d)
			}
		})
	}
}
