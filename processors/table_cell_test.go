package processors

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/schemas"
)

// askedLookup is a lookup as of a moment, with the version and the lineage of its results.
func askedLookup(t testing.TB, history, ttl int64) (*rules.Rule, *lookup) {
	t.Helper()
	s := lookupSpec{tables: []tableSpec{{history: history, ttl: ttl, asOf: "s.asked", left: true}}}
	rule, err := s.compile()
	if err != nil {
		t.Fatal(err)
	}
	op, err := New(rule)
	if err != nil {
		t.Fatal(err)
	}
	return rule, op.(*lookup)
}

// prices are n versions of one row, a ms apart.
func prices(n int) []*update {
	var out []*update
	for i := range n {
		at := int64(1000 + i)
		out = append(out, &update{party: party{user: "u", text: fmt.Sprint(i), value: at, at: at, event: schemas.EventID(fmt.Sprint(i)), related: "c", confidence: 1}})
	}
	return out
}

// TestHistoryIsTrimmed: versions that nobody can ask for do not pile up, whether updates come or not, and what goes when all of
// the input has ended goes in few steps.
func TestHistoryIsTrimmed(t *testing.T) {
	const history, n = 100, 4000
	rule, _ := askedLookup(t, history, 0)
	most := 0
	m := tablePlay{manner: manner{every: 1}, common: true, seen: func(p *player, _ int64) { most = max(most, rowsLeft(p, 0)) }}
	p := m.play(t, rule, prices(n))
	if most < history || most > history+headMost {
		t.Errorf("%d versions of %d ms at a time, of which %d can be asked for", most, history, history)
	}
	if p.due(1, Ended); rowsLeft(p, 0) < history { // the table may go on
		t.Errorf("%d versions are left while the table goes on", rowsLeft(p, 0))
	}
	p.due(0, 1000+n-1+history-1)
	if got := rowsLeft(p, 0); got < 2 || got > 2+chunkMost {
		t.Errorf("%d versions are left when two can be asked for", got)
	}
	p.due(0, 1000+n-1+history)
	if got := rowsLeft(p, 0); got != 1 {
		t.Errorf("%d versions are left when one can be asked for", got)
	}
	if p.fired > 2*n/chunkMost {
		t.Errorf("%d deadlines", p.fired)
	}
}

// TestTablesEnd: when time goes to its end at once, what is due then is done in few steps, and only rows that hold for ever stay.
func TestTablesEnd(t *testing.T) {
	const n = 3000
	for _, ttl := range []int64{0, 10, 1 << 35} {
		for _, deleted := range []bool{false, true} {
			rule, _ := askedLookup(t, 1<<35, ttl)
			xs := prices(n)
			xs[n-1].deleted = deleted
			m := tablePlay{manner: manner{every: 1}, common: true}
			p := m.play(t, rule, xs)
			if got := rowsLeft(p, 0); got != n {
				t.Fatalf("%d versions, want %d", got, n)
			}
			p.restart()
			p.due(0, Ended)
			p.due(1, Ended)
			want := 1
			if deleted || ttl > 0 {
				want = 0
			}
			if got := rowsLeft(p, 0); got != want || (want == 0) != (p.left() == 0) {
				t.Errorf("ttl %d, deleted %v: %d versions in %d cells are left, want %d", ttl, deleted, got, p.left(), want)
			}
			if p.fired > 2*n/chunkMost {
				t.Errorf("ttl %d, deleted %v: %d deadlines", ttl, deleted, p.fired)
			}
		}
	}
}

// TestMutedExpiry: where results cannot be written rows go when their time is over, and they do not come later.
func TestMutedExpiry(t *testing.T) {
	s := tableJoinSpec{typ: rules.OuterJoin, tables: [2]tableSpec{{ttl: 100}, {}}}
	rule, err := s.compile()
	if err != nil {
		t.Fatal(err)
	}
	m := tablePlay{manner: manner{every: 1}, common: true}
	p := m.play(t, rule, prices(1))
	row, err := p.Row("u", cellTable(0))
	if err != nil {
		t.Fatal(err)
	}
	r := &Result{Mute: true}
	if err := p.op.(Timed).Fire(p, row, 1100, r); err != nil || len(r.Outputs) > 0 || len(r.Changes) == 0 {
		t.Fatalf("%d results, %d changes, %v", len(r.Outputs), len(r.Changes), err)
	}
	p.apply(r)
	if p.left() > 0 {
		t.Error("the row still holds")
	}
}

// someRows are updates of a row, one of them a deletion.
func someRows() []*update {
	var out []*update
	for _, x := range someParties() {
		out = append(out, &update{party: *x})
		out[len(out)-1].input = 0
	}
	gone := &update{party: party{user: "u", at: 2000, event: "gone", related: "gone", confidence: 1}, deleted: true}
	return append(out, gone)
}

// tableCells are the cells of a lookup after records have come.
func tableCells(t testing.TB, rule *rules.Rule, xs []*update) map[string][]byte {
	t.Helper()
	m := tablePlay{manner: manner{every: 1}, common: true}
	p, cells := m.play(t, rule, xs), map[string][]byte{}
	for key, row := range p.rows {
		if row.Value != nil {
			_, cell := cellOf(key)
			cells[cell] = row.Value.Append(nil)
		}
	}
	return cells
}

// TestTableStateLoads: the rows of a key in one cell, and in several.
func TestTableStateLoads(t *testing.T) {
	rule, _ := askedLookup(t, 5000, 0)
	rule.Fingerprint = "00000000000000a1" // whatever rules make of it
	w, err := newLookup(rule)
	if err != nil {
		t.Fatal(err)
	}
	few, many := tableCells(t, rule, someRows()), tableCells(t, rule, prices(120))
	for name, b := range map[string][]byte{"table": few["t0"], "table-chunked": many["t0"], "table-chunk": many["t01"]} {
		c, err := w.Decode(b)
		if err != nil || c == nil {
			t.Fatalf("%s: %v, %v", name, c, err)
		}
		stateLoads(t, name, c, w.Decode)
	}
}

// TestTableStateOfAnotherShape: what a changed rule, a table that is kept otherwise, or a changed type of a field finds in state is
// neither taken nor an error. Which fields the rule reads may change: rows are kept whole.
func TestTableStateOfAnotherShape(t *testing.T) {
	s := lookupSpec{tables: []tableSpec{{history: 5000, asOf: "s.asked", left: true}}}
	rule, err := s.compile()
	if err != nil {
		t.Fatal(err)
	}
	cells := tableCells(t, rule, prices(120))
	other := func(schema string, change func(*lookupSpec)) Operator {
		t.Helper()
		s := lookupSpec{tables: []tableSpec{s.tables[0]}}
		change(&s)
		streams := tableStreams(s.tables, 0) + "  s: {topic: case.s, schema: case.Update, key: user, time: at}\n"
		rule, err := load(map[string]string{"case/Update.avsc": schema, "case/Out.avsc": fmt.Sprintf(pairFields, "Out", pairContext)}, streams, "domain: case\nrules:\n  - name: r\n"+s.yaml())
		if err != nil {
			t.Fatal(err)
		}
		op, err := New(rule)
		if err != nil {
			t.Fatal(err)
		}
		return op
	}
	same := func(*lookupSpec) {}
	for name, c := range map[string]struct {
		op   Operator
		want bool
	}{
		"the same":              {other(updateSchema, same), true},
		"another type of value": {other(strings.Replace(updateSchema, `"value","type":"long"`, `"value","type":"double"`, 1), same), false},
		"another type of text":  {other(strings.Replace(updateSchema, `"text","type":"string"`, `"text","type":["null","string"]`, 1), same), false},
		"another history":       {other(updateSchema, func(s *lookupSpec) { s.tables[0].history++ }), false},
		"another ttl":           {other(updateSchema, func(s *lookupSpec) { s.tables[0].ttl = 1 }), false},
		"value is read, too":    {other(updateSchema, func(s *lookupSpec) { s.rising = true }), true},
		"another table as well": {other(updateSchema, func(s *lookupSpec) { s.tables = append(s.tables, tableSpec{}) }), false},
		"only results change":   {other(updateSchema, func(s *lookupSpec) { s.having = true }), true},
		"the newest only":       {other(updateSchema, func(s *lookupSpec) { s.tables[0].asOf = "" }), false},
	} {
		for cell, b := range cells {
			got, err := c.op.Decode(b)
			if err != nil || (got != nil) != c.want {
				t.Errorf("%s, %s: %v, %v; want one: %v", name, cell, got != nil, err, c.want)
			}
		}
	}
}

// FuzzDecodeTable: a damaged cell is an error, and what is none can be written again, asked when it is due, read, and fired to
// its end.
func FuzzDecodeTable(f *testing.F) {
	rule, w := askedLookup(f, 50, 70)
	for _, xs := range [][]*update{someRows(), prices(3), prices(120)} {
		for _, b := range tableCells(f, rule, xs) {
			f.Add(b)
		}
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
			if e.item.body[0] == bodyDeleted {
				continue
			}
			if err := w.tables[0].look(&e); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// TestUpdateWritesOneChunk: what an update writes does not depend on how many versions its row has.
func TestUpdateWritesOneChunk(t *testing.T) {
	perUpdate := func(n int) int {
		x, at := versioned(t, n)
		x.count = true
		const more = 100
		for range more {
			x.take(x.event(0, "u", at, 0))
			at += 1000
		}
		return x.written / more
	}
	few, many := perUpdate(100), perUpdate(10_000)
	if many > 2*few || many > 1000 {
		t.Errorf("an update writes %d bytes among 100 versions, %d among 10000", few, many)
	}
}
