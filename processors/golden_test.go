package processors

import (
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/millrace-io/millrace/rules"
)

// goldens are the cells of testdata/state/v1 by file name. A new state format adds a folder; these files stay as they
// are, because state written by every release must load in each later one.
var goldens = map[string]*group{
	"aggregate-one": {count: 1, emitted: 1, first: "e1", last: "e1", confidence: 1, selected: []byte("s"), sums: []sum{{count: 1}}},
	"aggregate-all": {
		count: 3, emitted: 2, first: "e1", last: "e3", confidence: 0.25, version: map[string]int64{"eu": 4, "us": 0}, selected: []byte{0, 1, 2},
		sums: []sum{
			{count: 3},
			{count: 3, integer: -7},
			{count: 3, partials: []float64{1e-16, 1e16}},
			{count: 1, held: "text"},
			{count: 1, held: []any{nil, true, int64(5), 2.5, []byte{9}, map[string]any{"k": false}}},
		},
	},
}

func TestStateV1Loads(t *testing.T) {
	for name, want := range goldens {
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join("..", "testdata", "state", "v1", name+".hex"))
			if err != nil {
				t.Fatalf("%v; the cell is %x", err, want.Append(nil))
			}
			b, err := hex.DecodeString(strings.Join(strings.Fields(string(text)), ""))
			if err != nil {
				t.Fatal(err)
			}
			got, err := decodeGroup(b, make([]rules.Aggregate, len(want.sums)))
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want, got, cmp.AllowUnexported(group{}, sum{}), cmpopts.IgnoreFields(group{}, "few")); d != "" {
				t.Error(d)
			}
		})
	}
}
