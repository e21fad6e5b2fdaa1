package processors

import (
	"cmp"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/schemas"
)

const updateSchema = `{"type":"record","name":"Update","namespace":"case","fields":[{"name":"user","type":"string"},{"name":"text","type":"string"},{"name":"value","type":"long"},
{"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}},{"name":"asked","type":{"type":"long","logicalType":"timestamp-millis"}}]}`

// tableStreams declares the tables a, b, and what results are written to.
func tableStreams(tables []tableSpec, outOfOrder int64) string {
	streams := "domain: case\nstreams:\n  out: {topic: case.out, schema: case.Out, key: user, tombstones: ignore}\n  other: {topic: case.other, schema: case.Out, key: user, tombstones: ignore}\n"
	for i, t := range tables {
		streams += fmt.Sprintf("  %c: {topic: case.%[1]c, schema: case.Update, key: user, time: at, out_of_order: %dms, table: %s}\n", tableAliases[i], outOfOrder, t.declared())
	}
	return streams
}

// loadTables compiles a rule over tables.
func loadTables(streams, rule string, plain bool) (*rules.Rule, error) {
	context := pairContext
	if plain {
		context = ""
	}
	return load(map[string]string{"case/Update.avsc": updateSchema, "case/Out.avsc": fmt.Sprintf(pairFields, "Out", context)}, streams, "domain: case\nrules:\n  - name: r\n"+rule)
}

func anyTable(rt *rapid.T) tableSpec {
	return tableSpec{
		history: rapid.SampledFrom([]int64{0, 1, 10, 40, 1000}).Draw(rt, "history"),
		ttl:     rapid.SampledFrom([]int64{0, 0, 1, 12, 50}).Draw(rt, "ttl"),
	}
}

// anyUpdates draws records of the inputs, of which the first ones are tables, whose times lie close together, with pauses.
func anyUpdates(rt *rapid.T, inputs, tables, most int) []*update {
	var out []*update
	for _, p := range anyParties(rt, inputs, most) {
		x := &update{party: *p}
		x.at += 30 // event times are not negative
		x.asked = x.at - rapid.SampledFrom([]int64{-5, 0, 1, 5, 10, 11, 40}).Draw(rt, "asked")
		if x.deleted = x.input < tables && rapid.IntRange(0, 3).Draw(rt, "deleted") == 0; x.deleted {
			x.lineage, x.version, x.confidence = nil, nil, 1 // a record without a value has none
		}
		out = append(out, x)
	}
	return out
}

// late brings updates into an order in which none comes more than most ms of event time after a later one.
func late(rt *rapid.T, xs []*update, most int64) []*update {
	arrival := map[*update]int64{}
	for _, x := range xs {
		arrival[x] = x.at + rapid.Int64Range(0, most).Draw(rt, "delay")
	}
	out := slices.Clone(xs)
	slices.SortStableFunc(out, func(a, b *update) int { return cmp.Compare(arrival[a], arrival[b]) })
	return out
}

// inTotalOrder gives the records in the order in which rules take them.
func inTotalOrder(xs []*update) []*update {
	out := slices.Clone(xs)
	slices.SortStableFunc(out, func(a, b *update) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.input, b.input)) })
	return out
}

// tablePlay is how records come to a rule over tables.
type tablePlay struct {
	manner
	vain       bool
	common     bool // all inputs have the time of the one that is ahead
	ahead      int64
	outOfOrder int64
	seen       func(p *player, clock int64) // called after every record
}

// play runs the compiled rule over records in the order in which they come.
func (m *tablePlay) play(t testing.TB, rule *rules.Rule, xs []*update) *player {
	code, err := newCodec(rule)
	if err != nil {
		t.Fatal(err)
	}
	p, times := newPlayer(t, rule), slices.Repeat([]int64{Unknown}, len(rule.Inputs))
	p.vain = m.vain
	promised := newPromise(p)
	for i, x := range xs {
		for j := range times {
			if m.common || j == x.input {
				times[j] = max(times[j], x.at-m.outOfOrder+m.ahead)
			}
		}
		if i%m.every == 0 {
			for j, at := range times {
				p.due(j, at)
			}
		}
		promised.check(t, p, m.honest)
		p.record(x.asEvent(t, code))
		if m.restart > 0 && i%m.restart == 0 {
			p.restart()
		}
		if m.seen != nil {
			m.seen(p, slices.Min(times))
		}
	}
	if m.ends {
		for input := range times {
			p.due(input, Ended)
		}
	}
	promised.check(t, p, m.honest)
	if len(p.dead) > 0 {
		t.Fatalf("dead letters: %v", p.dead)
	}
	return p
}

// asEvent is the record as it comes.
func (x *update) asEvent(t testing.TB, code *codec) *Event {
	t.Helper()
	e, err := code.event(x.input, []any{x.user, x.text, x.value, x.at, x.asked}, schemas.Context{
		EventID: x.event, CorrelationID: x.related, Entity: x.user, Confidence: x.confidence, Version: x.version, Lineage: x.lineage,
		Region: "eu-west", Priority: schemas.PriorityStandard, OccurredAt: x.at,
	})
	if err != nil {
		t.Fatal(err)
	}
	if x.deleted {
		e.Record = schemas.Record{}
	}
	return e
}

// rowsLeft counts the versions and deletions that state holds of a table.
func rowsLeft(p *player, input int) int {
	n := 0
	for _, row := range p.rows {
		switch c := row.Value.(type) {
		case *head[joined]:
			if c.inline.of.cell == cellTable(input) {
				n += len(c.inline.entries)
			}
		case *chunk[joined]:
			if c.of.cell == cellTable(input) {
				n += len(c.entries)
			}
		}
	}
	return n
}
