package processors

import (
	"bytes"
	"encoding/hex"
	"flag"
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
			3,
			2,
			[]string{"e1", "e3"},
			0.25,
			map[string]int64{"eu": 4, "us": 0},
			"\x00\x01\x02",
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

var writeState = flag.Bool("write-state", false, "write the cells of testdata/state/v2 that are not there")

// everything is the layout of a rule with every function, over arguments of their own.
func everything() *layout {
	var all []rules.Aggregate
	for f := rules.Count; f <= rules.StdDev; f++ {
		all = append(all, rules.Aggregate{Func: f, N: 3, Q: 0.5})
	}
	return manual(all...)
}

// goldenPane is a pane of n records, the i-th of which has i in every argument, but for every fifth, which has null.
func goldenPane(l *layout, n int) pane {
	var p pane
	ids := []string{"00000000-0000-4000-8000-00000000000a", "e2"}
	for i := range n {
		f := fact{at: int64(1000 + i)}
		for range l.columns {
			if f.values = append(f.values, int64(i)); i%5 == 4 {
				f.values[len(f.values)-1] = nil
			}
		}
		f.EventID, f.Confidence, f.Version = ids[i%2], 0.5, map[string]int64{"eu": int64(i)}
		take(l, &p, f)
	}
	return p
}

// TestStateV2Loads: cells as this format writes them, some with more records than sketches count exactly.
func TestStateV2Loads(t *testing.T) {
	l := everything()
	s := newSeries(sliceCodec{l, 1000}, cellWindows, 0xa1, func(*head[slice], int64) int64 { return Never })
	one, many := goldenPane(l, 3), goldenPane(l, 1500)
	full := s.newHead()
	full.inline.entries = []entry[slice]{
		{1000, slice{pane: one}},
		{2000, slice{sent: &emission{n: 2, selected: []byte("abc")}}},
		{3000, slice{pane: many, sent: &emission{n: 1}, news: true}},
	}
	full.own().marks, full.own().counted = [marksMost]int64{4000, 5000, 3000}, 1503
	split := s.newHead()
	split.own().directory = []span{{first: 1000, number: 1}, {first: 3000, number: 7}, {first: 3000, number: 3, tied: true}}
	split.own().made = 7
	count := manual(rules.Aggregate{Func: rules.Count})
	for name, tt := range map[string]struct {
		cell   Cell
		decode func([]byte) (Cell, error)
	}{
		"group":          {&group{layout: l, shape: 0xa1, pane: many, emission: emission{7, []byte("s")}}, func(b []byte) (Cell, error) { return decodeGroup(b, l, 0xa1) }},
		"group-count":    {&group{layout: count, shape: 0xa1, pane: goldenPane(count, 2), emission: emission{2, nil}}, func(b []byte) (Cell, error) { return decodeGroup(b, count, 0xa1) }},
		"counting":       {&run{layout: l, shape: 0xa1, number: 12, pane: one}, (&counting{layout: l, shape: 0xa1}).Decode},
		"slices":         {full, s.decode},
		"slices-chunk":   {&chunk[slice]{of: s, entries: full.inline.entries[:2]}, s.decode},
		"slices-chunked": {split, s.decode},
	} {
		t.Run(name, func(t *testing.T) { stateLoads(t, name, tt.cell, tt.decode) })
	}
}

// stateLoads compares a cell with the one of that name in testdata/state/v2.
func stateLoads(t *testing.T, name string, cell Cell, decode func([]byte) (Cell, error)) {
	t.Helper()
	want := cell.Append(nil)
	path := filepath.Join("..", "testdata", "state", "v2", name+".hex")
	if _, err := os.Stat(path); *writeState && os.IsNotExist(err) {
		if err := os.WriteFile(path, hexLines(want), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	read, err := decode(golden(t, "v2", name))
	if err != nil {
		t.Fatal(err)
	}
	if got := read.Append(nil); !bytes.Equal(got, want) {
		t.Errorf("the cell reads as %x, want %x", got, want)
	}
}

// hexLines is a cell as a file has it.
func hexLines(b []byte) []byte {
	var out []byte
	for len(b) > 0 {
		n := min(len(b), 50)
		out, b = append(hex.AppendEncode(out, b[:n]), '\n'), b[n:]
	}
	return out
}
