package processors

import (
	"fmt"
	"maps"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/schemas"
)

const (
	orderSchema = `{"type":"record","name":"Order","namespace":"shop","fields":[
{"name":"event_id","type":"string"},{"name":"confidence","type":"double","default":1},{"name":"version","type":{"type":"map","values":"long"},"default":{}},
{"name":"customer","type":"string"},{"name":"country","type":["null","string"],"default":null},{"name":"amount","type":"double"},
{"name":"items","type":{"type":"array","items":"string"},"default":[]},
{"name":"occurred_at","type":{"type":"long","logicalType":"timestamp-millis"}}]}`
	resultSchema = `{"type":"record","name":"Result","namespace":"shop","fields":[
{"name":"event_id","type":"string"},{"name":"correlation_id","type":"string"},{"name":"causation_id","type":["null","string"],"default":null},
{"name":"confidence","type":"double"},{"name":"version","type":{"type":"map","values":"long"}},
{"name":"lineage","type":{"type":"array","items":{"type":"record","name":"LineageStep","fields":[{"name":"rule","type":"string"},{"name":"rule_version","type":"string"},{"name":"domain","type":"string"},{"name":"event_ids","type":{"type":"array","items":"string"}},{"name":"inputs","type":"long","default":0},{"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}}]}}},
{"name":"customer","type":"string"},{"name":"text","type":["null","string"],"default":null},{"name":"n","type":"long","default":0},{"name":"total","type":"double","default":0}]}`
	shopStreams = `domain: shop
streams:
  orders: {topic: shop.orders, schema: shop.Order, key: customer, time: occurred_at}
  results: {topic: shop.results, schema: shop.Result, key: customer}
  others: {topic: shop.others, schema: shop.Result, key: customer}
`
)

// compile loads one rule over shop.orders.
func compile(t testing.TB, body string) (*rules.Rule, Operator) {
	t.Helper()
	catalog, err := schemas.LoadCatalog(fstest.MapFS{"shop/Order.avsc": {Data: []byte(orderSchema)}, "shop/Result.avsc": {Data: []byte(resultSchema)}})
	if err != nil {
		t.Fatal(err)
	}
	set, err := rules.Load(fstest.MapFS{
		"shop/streams.yaml": {Data: []byte(shopStreams)},
		"shop/rules.yaml":   {Data: []byte("domain: shop\nrules:\n  - name: r\n    from: {order: shop.orders}\n" + body)},
	}, rules.Options{Catalog: catalog})
	if err != nil {
		t.Fatal(err)
	}
	op, err := New(set.Rules[0])
	if err != nil {
		t.Fatal(err)
	}
	return set.Rules[0], op
}

type order struct {
	id, customer string
	country      any
	amount       float64
	items        []any
	confidence   float64
	version      map[string]int64
	at           int64
}

// fixed is a Source whose context is known.
type fixed schemas.Context

// Context implements Source.
func (f *fixed) Context() (*schemas.Context, error) { return (*schemas.Context)(f), nil }

// event encodes and decodes an order, as a record of the stream comes.
func event(t testing.TB, rule *rules.Rule, o order) *Event {
	t.Helper()
	s := rule.Inputs[0].Stream
	enc, err := schemas.NewEncoder(s.Schema)
	if err != nil {
		t.Fatal(err)
	}
	b, err := enc.Append(nil, []any{o.id, o.confidence, o.version, o.customer, o.country, o.amount, o.items, o.at})
	if err != nil {
		t.Fatal(err)
	}
	d, err := s.Projection.Decoder(s.Schema)
	if err != nil {
		t.Fatal(err)
	}
	e := &Event{Record: s.Projection.New(), Key: o.customer, Time: o.at}
	if err := d.Decode(b, e.Record); err != nil {
		t.Fatal(err)
	}
	e.Source = &fixed{EventID: o.id, CorrelationID: "c-" + o.id, Confidence: o.confidence, Version: o.version, Priority: "standard"}
	return e
}

// rows is a State in memory. With encode it keeps encoded cells only, as if the worker restarted after every record.
type rows struct {
	op     Operator
	cells  map[string]Cell
	bytes  map[string][]byte
	encode bool
}

func newRows(op Operator, encode bool) *rows {
	return &rows{op: op, cells: map[string]Cell{}, bytes: map[string][]byte{}, encode: encode}
}

// Row implements State.
func (s *rows) Row(entity, cell string) (*Row, error) {
	r := &Row{Key: entity + "/" + cell}
	if b, ok := s.bytes[r.Key]; ok && s.encode {
		var err error
		r.Value, err = s.op.Decode(b)
		return r, err
	}
	r.Value = s.cells[r.Key]
	return r, nil
}

func (s *rows) apply(cs []Change) {
	for _, c := range cs {
		c.Row.Value = c.Value
		s.cells[c.Row.Key], s.bytes[c.Row.Key] = c.Value, c.Value.Append(nil)
	}
}

// outcome is an output as a test compares it.
type outcome struct {
	Stream, Key, ID string
	Time            int64
	Fields          map[string]any
	Context         schemas.Context
}

func step(op Operator, s *rows, e *Event) ([]outcome, error) {
	var r Result
	if err := op.Step(s, e, &r); err != nil {
		return nil, err
	}
	s.apply(r.Changes)
	var out []outcome
	for _, o := range r.Outputs {
		x := outcome{Stream: o.Stream.Name, Key: o.Key, ID: o.ID, Time: o.Time, Context: o.Context, Fields: map[string]any{}}
		for i, f := range op.Rule().Routes[0].Fields {
			x.Fields[f.Name] = o.Fields[i]
		}
		out = append(out, x)
	}
	return out, nil
}

func TestTransform(t *testing.T) {
	rule, op := compile(t, `    where: order.amount > 1
    each: {item: order.items}
    select: {customer: order.customer, text: upper(item), total: order.amount * 2, confidence: 0.5}
    to: [{when: item == "x", stream: shop.others}, {when: item != "drop", stream: shop.results}]
`)
	out, err := step(op, newRows(op, false), event(t, rule, order{id: "e1", customer: "u", amount: 2, items: []any{"a", "drop", "x"}, confidence: 0.9, version: map[string]int64{"eu": 3}, at: 50}))
	if err != nil {
		t.Fatal(err)
	}
	for i := range out {
		delete(out[i].Fields, "lineage")
	}
	if len(out) != 2 || out[0].Stream != "shop.results" || out[1].Stream != "shop.others" {
		t.Fatalf("got %+v", out)
	}
	o := out[1]
	if o.ID != schemas.EventID(rule.ID, rule.Version, "u", "e1", "2") {
		t.Error("the id does not come from rule, version, key, input and the position in the list")
	}
	want := map[string]any{
		"event_id": o.ID, "correlation_id": "c-e1", "causation_id": "e1", "confidence": 0.5, "version": map[string]int64{"eu": 3},
		"customer": "u", "text": "X", "n": schemas.Default, "total": 4.0,
	}
	if d := cmp.Diff(want, o.Fields); d != "" {
		t.Error(d)
	}
	if o.Context.Confidence != 0.5 || o.Context.Entity != "u" || o.Context.OccurredAt != 50 || len(o.Context.Lineage) != 1 {
		t.Errorf("context %+v", o.Context)
	}
	if d := cmp.Diff(schemas.Step{Rule: "shop.r", RuleVersion: rule.Version, Domain: "shop", EventIDs: []string{"e1"}, Inputs: 1, At: 50}, o.Context.Lineage[0]); d != "" {
		t.Error(d)
	}
	if out, err := step(op, newRows(op, false), event(t, rule, order{id: "e2", customer: "u", amount: 1, items: []any{"a"}})); err != nil || len(out) != 0 {
		t.Errorf("where does not filter: %v, %v", out, err)
	}
}

func TestFilteredOutAllocatesNothing(t *testing.T) {
	rule, op := compile(t, `    where: order.amount > 100 && order.customer != "x"
    select: {customer: order.customer}
    to: shop.results
`)
	e := event(t, rule, order{id: "e", customer: "u", amount: 5})
	var r Result
	n := testing.AllocsPerRun(100, func() {
		r.Reset()
		if err := op.Step(nil, e, &r); err != nil {
			t.Fatal(err)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestFailingStepChangesNothing(t *testing.T) {
	rule, op := compile(t, `    by: order.customer
    unbounded: true
    emit: each
    select: {customer: key, n: 'int(last(order.country) ?? "0")', total: sum(order.amount)}
    to: shop.results
`)
	s := newRows(op, false)
	for _, o := range []order{{id: "1", customer: "u", amount: 1, country: "7"}, {id: "2", customer: "u", amount: 2, country: "no number"}} {
		_, err := step(op, s, event(t, rule, o))
		if bad := o.id == "2"; bad != (err != nil) {
			t.Fatalf("event %s: %v", o.id, err)
		}
	}
	out, err := step(op, s, event(t, rule, order{id: "3", customer: "u", amount: 4, country: "8"}))
	if err != nil || out[0].Fields["total"] != 5.0 {
		t.Errorf("the failed event left a trace: %v, %v", out, err)
	}
}

// TestAggregateAgainstReference compares running aggregates with sums over lists, for random orders of random
// customers, once with state in memory and once with every cell decoded anew for every record.
func TestAggregateAgainstReference(t *testing.T) {
	rule, op := compile(t, `    where: order.amount >= 0
    by: order.customer
    unbounded: true
    emit: changes
    select: {customer: key, text: last(order.country), n: count(), total: max(order.amount)}
    having: count() > 1
    to: shop.results
`)
	rapid.Check(t, func(rt *rapid.T) {
		memory, restarted := newRows(op, false), newRows(op, true)
		seen, emitted := map[string][]order{}, map[string]map[string]any{}
		for i := range rapid.IntRange(1, 30).Draw(rt, "n") {
			o := order{
				id: fmt.Sprint("e", i), customer: rapid.SampledFrom([]string{"a", "b"}).Draw(rt, "customer"), at: int64(i),
				amount:     float64(rapid.IntRange(-1, 3).Draw(rt, "amount")),
				confidence: rapid.SampledFrom([]float64{0.25, 0.5, 1}).Draw(rt, "confidence"),
				version:    map[string]int64{rapid.SampledFrom([]string{"eu", "us"}).Draw(rt, "region"): rapid.Int64Range(1, 5).Draw(rt, "counter")},
			}
			if rapid.Bool().Draw(rt, "abroad") {
				o.country = "NO"
			}
			e := event(t, rule, o)
			got, err := step(op, memory, e)
			if err != nil {
				rt.Fatal(err)
			}
			again, err := step(op, restarted, e)
			if err != nil {
				rt.Fatal(err)
			}
			if d := cmp.Diff(got, again); d != "" {
				rt.Fatalf("after a restart: %s", d)
			}
			var want []map[string]any
			if o.amount >= 0 {
				seen[o.customer] = append(seen[o.customer], o)
				if v := reference(seen[o.customer]); v["n"].(int64) > 1 && !cmp.Equal(v["selected"], emitted[o.customer]) {
					emitted[o.customer] = v["selected"].(map[string]any)
					want = append(want, v)
				}
			}
			if len(got) != len(want) {
				rt.Fatalf("event %d: %d outputs, want %d", i, len(got), len(want))
			}
			for j := range want {
				if d := cmp.Diff(want[j]["selected"], selectedOf(got[j])); d != "" {
					rt.Fatal(d)
				}
				c := got[j].Context
				if c.Confidence != want[j]["confidence"] || !maps.Equal(c.Version, want[j]["version"].(map[string]int64)) {
					rt.Fatalf("context %+v, want %v", c, want[j])
				}
			}
		}
	})
}

func selectedOf(o outcome) map[string]any {
	return map[string]any{"customer": o.Fields["customer"], "text": o.Fields["text"], "n": o.Fields["n"], "total": o.Fields["total"]}
}

// reference computes the aggregate of all orders of a customer.
func reference(os []order) map[string]any {
	most, confidence, version := os[0].amount, 1.0, map[string]int64{}
	for _, o := range os {
		most, confidence = max(most, o.amount), min(confidence, o.confidence)
		for k, v := range o.version {
			version[k] = max(version[k], v)
		}
	}
	n := int64(len(os))
	return map[string]any{
		"n": n, "confidence": confidence, "version": version,
		"selected": map[string]any{"customer": os[0].customer, "text": os[n-1].country, "n": n, "total": most},
	}
}

func BenchmarkAggregate(b *testing.B) {
	rule, op := compile(b, `    by: order.customer
    unbounded: true
    emit: each
    select: {customer: key, n: count(), total: sum(order.amount)}
    to: shop.results
`)
	e := event(b, rule, order{id: "e", customer: "u", amount: 5, confidence: 1})
	s := newRows(op, false)
	var r Result
	b.ReportAllocs()
	for b.Loop() {
		r.Reset()
		if err := op.Step(s, e, &r); err != nil {
			b.Fatal(err)
		}
		for _, c := range r.Changes {
			c.Row.Value, s.cells[c.Row.Key] = c.Value, c.Value
		}
	}
}
