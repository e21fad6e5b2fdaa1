package processors

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/schemas"
)

// outerJoin is an outer join with the version and the lineage of its results.
func outerJoin(t testing.TB, before, after int64) (joinSpec, *rules.Rule, *joining) {
	t.Helper()
	s := joinSpec{typ: rules.OuterJoin, within: []rules.Within{{}, {Before: before, After: after}}}
	rule, err := s.compile()
	if err != nil {
		t.Fatal(err)
	}
	op, err := New(rule)
	if err != nil {
		t.Fatal(err)
	}
	return s, rule, op.(*joining)
}

var anyContext = rapid.Custom(func(t *rapid.T) schemas.Context {
	text, id := rapid.String(), rapid.OneOf(rapid.StringN(1, 50, -1), rapid.Map(rapid.String(), func(s string) string { return schemas.EventID(s) }))
	c := schemas.Context{
		EventID: id.Draw(t, "id"), CorrelationID: id.Draw(t, "correlation"), Region: text.Draw(t, "region"), Priority: rapid.OneOf(text, rapid.Just(schemas.PriorityStandard)).Draw(t, "priority"),
		Confidence: rapid.SampledFrom([]float64{0, 0.5, 1}).Draw(t, "confidence"),
	}
	if rapid.Bool().Draw(t, "own") {
		c.CorrelationID = c.EventID
	}
	if n := rapid.IntRange(0, 3).Draw(t, "regions"); n > 0 {
		c.Version = rapid.MapOfN(text, rapid.Int64(), n, n).Draw(t, "version")
	}
	for range rapid.IntRange(0, 2).Draw(t, "steps") {
		c.Lineage = append(c.Lineage, schemas.Step{
			Rule: text.Draw(t, "rule"), RuleVersion: text.Draw(t, "version"), Domain: text.Draw(t, "domain"),
			EventIDs: rapid.SliceOfN(text, 1, 3).Draw(t, "ids"), Inputs: rapid.Int64().Draw(t, "inputs"), At: rapid.Int64().Draw(t, "at"),
		})
	}
	return c
})

func TestContextsSurvivePacking(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		c := anyContext.Draw(rt, "context")
		for _, k := range []kept{{}, {ids: true}, {version: true}, {ids: true, version: true}} {
			want := c
			if !k.ids {
				want.Lineage = nil
			}
			if !k.version {
				want.Version = nil
			}
			b := (&contexts{kept: k}).append(nil, &c)
			got, err := parseContext(b)
			if err != nil {
				rt.Fatal(err)
			}
			if d := gocmp.Diff(want, got); d != "" {
				rt.Fatal(d)
			}
			for n := range b {
				if _, err := parseContext(b[:n]); err == nil {
					rt.Fatalf("%d of %d bytes are read", n, len(b))
				}
			}
		}
	})
}

// waitingCells are the cells of a join after records have come.
func waitingCells(t testing.TB, s joinSpec, rule *rules.Rule, ps []*party) map[string][]byte {
	t.Helper()
	p, cells := s.play(t, rule, ps, manner{every: 1}, true), map[string][]byte{}
	for key, row := range p.rows {
		if row.Value != nil {
			_, cell := cellOf(key)
			cells[cell] = row.Value.Append(nil)
		}
	}
	return cells
}

func someParties() []*party {
	lineage := []schemas.Step{{Rule: "before", RuleVersion: "1", Domain: "d", EventIDs: []string{"x"}, Inputs: 1, At: 1}}
	return []*party{
		{input: 0, user: "u", text: "one", value: 1, at: 1000, event: "e1", related: "c", confidence: 0.5, version: map[string]int64{"eu": 3, "us": 1}, lineage: lineage},
		{input: 1, user: "u", text: "two", value: 2, at: 1001, event: schemas.EventID("e2"), related: schemas.EventID("e2"), confidence: 1},
		{input: 0, user: "u", text: "three", value: -3, at: 1900, event: schemas.EventID("e3"), related: schemas.EventID("e1"), confidence: 1},
	}
}

func TestJoinStateLoads(t *testing.T) {
	s, rule, _ := outerJoin(t, 50, 1000)
	rule.Fingerprint = "00000000000000a1" // whatever rules make of it
	w, err := newJoin(rule)
	if err != nil {
		t.Fatal(err)
	}
	cells := waitingCells(t, s, rule, someParties())
	for name, cell := range map[string]string{"join-left": "j0", "join-right": "j1"} {
		c, err := w.Decode(cells[cell])
		if err != nil || c == nil {
			t.Fatalf("%s: %v, %v", cell, c, err)
		}
		stateLoads(t, name, c, w.Decode)
	}
}

// TestJoinStateOfAnotherShape: what a changed rule, or a changed type of a field that it reads, finds in state is neither taken
// nor an error, and what it does not read may change.
func TestJoinStateOfAnotherShape(t *testing.T) {
	s, rule, _ := outerJoin(t, 50, 1000)
	cells := waitingCells(t, s, rule, someParties())
	compile := func(schema string, s joinSpec) Operator {
		t.Helper()
		rule, err := s.compileOver(schema)
		if err != nil {
			t.Fatal(err)
		}
		op, err := New(rule)
		if err != nil {
			t.Fatal(err)
		}
		return op
	}
	wider := s
	wider.within = []rules.Within{{}, {Before: 51, After: 1000}}
	nullable := bytes.Replace([]byte(partySchema), []byte(`"text","type":"string"`), []byte(`"text","type":["null","string"]`), 1)
	for name, c := range map[string]struct {
		op   Operator
		want bool
	}{
		"the same":                    {compile(partySchema, s), true},
		"another type of value":       {compile(string(bytes.Replace([]byte(partySchema), []byte(`"value","type":"long"`), []byte(`"value","type":"double"`), 1)), s), true},
		"another type of text":        {compile(string(nullable), s), false},
		"another bound":               {compile(partySchema, wider), false},
		"value is read of each, also": {compile(partySchema, joinSpec{typ: s.typ, within: s.within, rising: true}), false},
	} {
		for cell, b := range cells {
			got, err := c.op.Decode(b)
			if err != nil || (got != nil) != c.want {
				t.Errorf("%s, %s: %v, %v; want one: %v", name, cell, got, err, c.want)
			}
		}
	}
}

// FuzzDecodeJoin: a damaged cell is an error, and what is none can be written again, asked when it is due, and fired.
func FuzzDecodeJoin(f *testing.F) {
	s, rule, w := outerJoin(f, 50, 1000)
	for _, b := range waitingCells(f, s, rule, someParties()) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := w.Decode(b)
		if err != nil || c == nil {
			return
		}
		again, err := w.Decode(c.Append(nil))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(c.Append(nil), again.Append(nil)) {
			t.Fatalf("%x, then %x", c.Append(nil), again.Append(nil))
		}
		if n := len(c.Append(nil)); n > c.Size() {
			t.Fatalf("%d bytes, Size says %d", n, c.Size())
		}
		h, ok := c.(*head[joined])
		if !ok {
			return
		}
		h.Due(3)
		if len(h.directory) > 0 { // its chunks are missing
			return
		}
		for _, e := range h.inline.entries {
			if err := w.look(&w.sides[0], &e); h.inline.of == w.sides[0].series && err != nil {
				t.Fatal(err)
			}
		}
	})
}

// TestUnmatchedOrder: what comes out alone at one deadline comes by its side, then by time; before what the record that moves
// time matches.
func TestUnmatchedOrder(t *testing.T) {
	s, rule, _ := outerJoin(t, 10, 10)
	at := func(input int, user string, at int64, text string) *party {
		return &party{input: input, user: user, text: text, at: at, event: text, related: "c", confidence: 1}
	}
	p := s.play(t, rule, []*party{
		at(0, "u", 100, "l1"), at(0, "u", 100, "l2"), at(0, "w", 100, "l3"), at(1, "v", 118, "r"), at(1, "w", 112, "r3"), at(0, "v", 122, "l"), at(1, "u", 200, "end"),
	}, manner{every: 1}, true)
	var got []string
	for _, o := range p.played {
		got = append(got, fmt.Sprintf("%v-%v@%d", o.Fields["a"], o.Fields["b"], o.Time))
	}
	index := func(x string) int { return slices.Index(got, x) }
	if len(got) != 5 || index("l1-<nil>@100") < 0 || index("l2-<nil>@100") != index("l1-<nil>@100")+1 || index("l3-<nil>@100") > 2 || got[3] != "l-r@122" || got[4] != "<nil>-r3@112" {
		t.Errorf("got %v", got)
	}
}

// TestUnmatchedSides: of one key and deadline the right side comes before the left one.
func TestUnmatchedSides(t *testing.T) {
	s := joinSpec{typ: rules.OuterJoin, within: []rules.Within{{}, {Before: 10, After: 12}}, rising: true}
	rule, err := s.compile()
	if err != nil {
		t.Fatal(err)
	}
	for _, ps := range [][]*party{
		{{input: 0, text: "l", value: 1, at: 100}, {input: 1, text: "r", value: 0, at: 102}},
		{{input: 1, text: "r", value: 0, at: 102}, {input: 0, text: "l", value: 1, at: 100}},
	} {
		for i, x := range ps {
			x.user, x.event, x.related, x.confidence = "u", fmt.Sprint("e", i), "c", 1
		}
		p := s.play(t, rule, ps, manner{every: 1, ends: true}, true)
		if len(p.played) != 2 || p.played[0].Fields["b"] != "r" || p.played[1].Fields["a"] != "l" || p.played[0].Due != 113 || p.played[1].Due != 113 {
			t.Errorf("%v", s.lines(p))
		}
	}
}
