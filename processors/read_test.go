package processors

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/schemas"
)

const readSchema = `{"type":"record","name":%q,"namespace":"case","fields":[
{"name":"event_id","type":"string"},{"name":"code","type":"string"},{"name":"other","type":["null","string"],"default":null},
{"name":"price","type":"double"},{"name":"at","type":{"type":"long","logicalType":"timestamp-millis"},"default":0}]}`

// readRules are what may keep the table case.prices, whose input there is of that number.
var readRules = map[string]string{ //nolint:gochecknoglobals // a table of cases
	"nobody": "rules: []",
	"lookup": `rules:
  - {name: r, from: {o: case.orders}, lookup: {p: {table: case.prices}}, select: {code: o.code, price: p.price}, to: case.out}`,
	"lookup as of": `rules:
  - {name: r, from: {o: case.orders}, lookup: {p: {table: case.prices, as_of: o.at}}, select: {code: o.code, price: p.price}, to: case.out}`,
	"table join": `rules:
  - {name: r, from: {p: case.prices, s: case.stocks}, join: {tables: true}, select: {code: key, price: p.price}, to: case.out}`,
	"table join with a condition": `rules:
  - {name: r, from: {p: case.prices, s: case.stocks}, where: p.price > 5, join: {tables: true}, select: {code: key, price: p.price}, to: case.out}`,
	"referring": `rules:
  - {name: r, from: {p: case.prices, s: case.stocks}, join: {tables: true, on: p.other}, select: {code: key, price: p.price}, to: case.out}`,
	"referred to": `rules:
  - {name: r, from: {s: case.stocks, p: case.prices}, join: {tables: true, on: s.other}, select: {code: key, price: p.price}, to: case.out}`,
}

func readSet(t testing.TB, table, body string) *rules.Set {
	t.Helper()
	files, streams := map[string]string{}, "domain: case\nstreams:\n"
	for name, more := range map[string]string{"prices": ", time: at" + table, "stocks": ", time: at, table: true", "orders": ", time: at", "out": ", tombstones: ignore"} {
		files[name+".avsc"] = fmt.Sprintf(readSchema, name)
		streams += fmt.Sprintf("  %s: {topic: case.%s, schema: case.%s, key: code%s}\n", name, name, name, more)
	}
	set, err := loadSet(files, streams, "domain: case\n"+body)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// TestReadersSeeTheNewestRow: whoever keeps a table, reading it gives the last record of the key, unless that deleted the row or
// its time is over.
func TestReadersSeeTheNewestRow(t *testing.T) {
	for _, table := range []string{", table: true", ", table: {history: 20s}", ", table: {history: 20s, ttl: 10s}", ", table: {ttl: 10s}"} {
		for name, body := range readRules {
			if name == "lookup as of" && !strings.Contains(table, "history") || strings.HasPrefix(name, "refer") && strings.Contains(table, "ttl") {
				continue // that is refused
			}
			set := readSet(t, table, body)
			stream := set.Stream("case.prices")
			rule, input := set.Keeper(stream)
			if kept := name != "nobody" && name != "table join with a condition"; rule == nil || kept != (rule.Kind != rules.Keeping) {
				t.Fatalf("%s: %v keeps the table", name, rule)
			}
			t.Run(name+table, func(t *testing.T) { rapid.Check(t, func(rt *rapid.T) { readAll(t, rt, rule, input, stream) }) })
		}
	}
}

func readAll(t *testing.T, rt *rapid.T, rule *rules.Rule, input int, stream *rules.Stream) {
	p := newPlayer(t, rule)
	c, err := newCodec(rule)
	if err != nil {
		rt.Fatal(err)
	}
	type row struct {
		at       int64
		id, text string // "" = deleted
	}
	rows, at := map[string]row{}, int64(1_700_000_000_000)
	for i := range rapid.IntRange(1, 30).Draw(rt, "records") {
		at += rapid.SampledFrom([]int64{1, 500, 4000, 12_000}).Draw(rt, "step")
		key, id := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(rt, "key"), fmt.Sprint("e", i)
		x := schemas.Context{EventID: id, CorrelationID: id, Entity: key, OccurredAt: at, Confidence: 1, Priority: schemas.PriorityStandard}
		e, text := &Event{Input: input, Key: key, Time: at, Source: (*fixed)(&x)}, ""
		if rapid.IntRange(0, 3).Draw(rt, "kind") > 0 {
			price := float64(i)
			if e, err = c.event(input, []any{id, key, nil, price, at}, x); err != nil {
				rt.Fatal(err)
			}
			text = fmt.Sprintf(`{"code":%q,"other":null,"price":%v,"at":"%s"}`, key, price, time.UnixMilli(at).UTC().Format("2006-01-02T15:04:05.000Z"))
		}
		p.record(e)
		rows[key] = row{at, id, text}
		for i := range rule.Inputs {
			p.due(i, at+1)
		}
		if rapid.IntRange(0, 9).Draw(rt, "restart") == 0 {
			p.restart()
		}
		for _, key := range []string{"a", "b", "c", "d"} {
			want := rows[key]
			if ttl := stream.Table.TTL; ttl > 0 && at+1 >= want.at+ttl {
				want = row{}
			}
			got, err := p.op.(Reader).Read(p, input, key, p.task.State().Clock)
			switch {
			case err != nil:
				rt.Fatal(err)
			case got == nil && want.text == "":
			case got == nil || got.Time != want.at || got.EventID != want.id || string(got.Value) != want.text:
				rt.Fatalf("%q: %+v, want %+v", key, got, want)
			}
		}
	}
	if len(p.dead) > 0 || p.late > 0 {
		rt.Fatalf("dead %v, late %d", p.dead, p.late)
	}
}
