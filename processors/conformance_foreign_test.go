package processors

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/schemas"
)

// foreignOf runs a case of a join by a foreign key: its three parts, one record after the other.
func foreignOf(t *testing.T, c *joinCase) {
	l, r := c.columns("l"), c.columns("r")
	set, err := c.compileForeign()
	if err != nil {
		t.Fatal(err)
	}
	parts := newForeignParts(t, set)
	for i, in := range c.Inputs {
		if in.Key == nil {
			continue
		}
		parts.read(i + 1)
		key, columns, stream := fmt.Sprint(in.Key), l, 0
		if in.Stream == "r" {
			columns, stream = r, 1
		}
		var fk any
		if value, ok := in.Value.(map[string]any); ok && stream == 0 && value[c.Operator.ForeignKey] != nil {
			fk = fmt.Sprint(value[c.Operator.ForeignKey])
		}
		parts.record(stream, in.Value == nil, []any{key, columns.text(in.Key, in.Value), fk, in.T}, schemas.Context{
			EventID: fmt.Sprintf("e%03d", i), CorrelationID: "c", Entity: key, Confidence: 1, OccurredAt: in.T,
		})
	}
	want := slices.Clone(c.Expected)
	for i := range want {
		sides, ok := want[i].Value.(map[string]any)
		if want[i].Value = deletedText; ok {
			want[i].Value = pairText(l.expected(sides["l"]), r.expected(sides["r"]))
		}
	}
	compared := streamCase{Unordered: c.Unordered, Expected: want}
	got := resultsOf(parts.joins)
	if wrong := compared.compare(got); wrong != "" {
		t.Errorf("%s\ngot:\n%s\nwant:\n%s", wrong, resultLines(got), resultLines(want))
	}
}

// columns are the fields of a side that the results of a case show: nil for values that are no records. What a record does not
// have is its key.
type columns []string

func (c *joinCase) columns(side string) columns {
	names := map[string]bool{}
	for _, x := range c.Expected {
		sides, _ := x.Value.(map[string]any)
		value, _ := sides[side].(map[string]any)
		for name := range value {
			names[name] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// text is what the results show of a value.
func (c columns) text(key, value any) string {
	fields, ok := value.(map[string]any)
	if !ok {
		return canonicalValue(value)
	}
	shown := map[string]any{}
	for _, name := range c {
		shown[name] = key
		if v, ok := fields[name]; ok {
			shown[name] = v
		}
	}
	return canonicalValue(shown)
}

func (c columns) expected(value any) string { return canonicalValue(value) }

func (c *joinCase) compileForeign() (*rules.Set, error) {
	table, right := "true", "r.value"
	if c.Operator.Table == "versioned" {
		table = fmt.Sprintf("{history: %dms}", c.Operator.HistoryMS)
	}
	if c.Operator.Type == "left" {
		right = "r?.value"
	}
	return loadSet(map[string]string{
		"case/Input.avsc":  `{"type":"record","name":"Input","namespace":"case","fields":[{"name":"key","type":"string"},{"name":"value","type":"string"},{"name":"fk","type":["null","string"],"default":null},{"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}}]}`,
		"case/Result.avsc": `{"type":"record","name":"Result","namespace":"case","fields":[{"name":"key","type":"string"},{"name":"l","type":["null","string"],"default":null},{"name":"r","type":["null","string"],"default":null}]}`,
	}, fmt.Sprintf(`domain: case
streams:
  left: {topic: case.left, schema: case.Input, key: key, time: at, table: %s}
  right: {topic: case.right, schema: case.Input, key: key, time: at, table: %s}
  result: {topic: case.result, schema: case.Result, key: key, table: true}
`, table, table), fmt.Sprintf(`domain: case
rules:
  - name: rule
    from: {l: case.left, r: case.right}
    join: {tables: true, type: %s, on: l.fk}
    order: arrival
    select: {key: key, l: l.value, r: '%s'}
    to: case.result
`, c.Operator.Type, right))
}

// foreignParts are the parts of a join by a foreign key, each for all keys.
type foreignParts struct {
	t                      testing.TB
	joins, asks, answers   *player
	joined, asked, replied *codec
}

func newForeignParts(t testing.TB, set *rules.Set) *foreignParts {
	p := &foreignParts{t: t}
	for _, r := range set.All() {
		codec, err := newCodec(r)
		if err != nil {
			t.Fatal(err)
		}
		switch player := newPlayer(t, r); r.Kind {
		case rules.Asking:
			p.asks, p.asked = player, codec
		case rules.Answering:
			p.answers, p.replied = player, codec
		case rules.ForeignJoining:
			p.joins, p.joined = player, codec
		default: // keeps a table to be read
		}
	}
	return p
}

// read says how many records of the tables have been read.
func (p *foreignParts) read(n int) { p.joins.read = n - 1 }

// record takes in a record of the first table, 0, or the second, 1.
func (p *foreignParts) record(table int, deleted bool, fields []any, c schemas.Context) {
	read := p.joins.read
	if table == 1 {
		p.answer(p.step(p.answers, p.replied, 1, deleted, fields, c), read)
		return
	}
	p.joins.read = read
	p.step(p.joins, p.joined, 0, deleted, fields, c)
	for _, ask := range p.step(p.asks, p.asked, 0, deleted, fields, c) {
		p.answer(p.step(p.answers, p.replied, 0, false, ask.Fields, ask.Context), read)
	}
}

// answer gives answers to the last part.
func (p *foreignParts) answer(answers []written, read int) {
	for _, x := range answers {
		p.joins.read = read
		p.step(p.joins, p.joined, 1, false, x.Fields, x.Context)
	}
}

// written is a record that one part has written for another.
type written struct {
	Fields  []any
	Context schemas.Context
}

// step takes a record in and gives what came of it.
func (p *foreignParts) step(x *player, codec *codec, input int, deleted bool, fields []any, c schemas.Context) (out []written) {
	e, err := codec.event(input, fields, c)
	if err != nil {
		p.t.Fatal(err)
	}
	if deleted {
		e.Record, e.Key, e.Time = schemas.Record{}, c.Entity, c.OccurredAt
	}
	before := len(x.played)
	x.record(e)
	if len(x.dead) > 0 {
		p.t.Fatalf("dead letters: %v", x.dead)
	}
	for _, o := range x.played[before:] {
		schema := o.Stream.Schema.Type()
		w := written{Context: o.Context}
		for i := range schema.Fields {
			w.Fields = append(w.Fields, o.Fields[schema.Fields[i].Name])
		}
		out = append(out, w)
	}
	return out
}
