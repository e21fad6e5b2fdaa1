package rules_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/schemas"
)

// program compiles rules over the streams of base.txtar.
func program(t *testing.T, text string) *rules.Set {
	t.Helper()
	base, err := txtar.ParseFile("testdata/base.txtar")
	if err != nil {
		t.Fatal(err)
	}
	files, avsc := fstest.MapFS{"risk/rules.yaml": {Data: []byte("domain: risk\nowner: us\nrules:\n" + text)}}, fstest.MapFS{}
	for _, f := range base.Files {
		if name, ok := strings.CutPrefix(f.Name, "schemas/"); ok {
			avsc[name] = &fstest.MapFile{Data: f.Data}
		} else {
			files[f.Name] = &fstest.MapFile{Data: f.Data}
		}
	}
	c, err := schemas.LoadCatalog(avsc)
	if err != nil {
		t.Fatal(err)
	}
	set, err := rules.Load(files, rules.Options{Catalog: c})
	if err != nil {
		t.Fatalf("refused:\n%v", err)
	}
	return set
}

// record decodes a record of a stream from JSON.
func record(t *testing.T, st *rules.Stream, text string) schemas.Record {
	t.Helper()
	b, err := st.Schema.FromJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	dec, err := st.Projection.Decoder(st.Schema)
	if err != nil {
		t.Fatal(err)
	}
	r := st.Projection.New()
	if err := dec.Decode(b, r); err != nil {
		t.Fatal(err)
	}
	return r
}

const (
	paymentJSON = `{"event_id":"e1","user_id":"u1","occurred_at":"2026-01-01T00:00:00.000Z","amount":600,"fee":null,"count":3,"currency":"GBP","method":"card","note":null,"shop":null}`
	orderJSON   = `{"event_id":"e2","user_id":"u2","occurred_at":"2026-01-01T00:00:00.000Z","amount":9,"items":[{"sku":"a","quantity":5,"hint":null},{"sku":"b","quantity":500,"hint":"x"}],"tags":null}`
)

func TestTransformProgram(t *testing.T) {
	set := program(t, `
  - name: both
    tags: [a, b]
    from: {payment: commerce.payments, order: commerce.orders}
    where: payment?.currency == "GBP" && payment.amount > 5 || order != nil && order.amount > 5
    select:
      user_id: event.user_id
      factor: '"large_payment"'
      score: payment?.amount ?? order?.amount ?? 0.0
      detail: payment?.note
      confidence: 1
    to:
      - {when: score > 100, stream: risk.signals}
      - {when: 'order != nil', stream: risk.signals}
`)
	r := set.Rule("risk.both")
	if r == nil || r.Kind != rules.Transform || r.Stateful() || r.By != nil || r.KeyName != "" || r.Owner != "us" || len(r.Inputs) != 2 {
		t.Fatalf("rule %+v", r)
	}
	if r.Priority != rules.PriorityStandard || r.Order != rules.OrderEvent || r.Emit != rules.EmitNone {
		t.Errorf("priority %q, order %q, emit %q", r.Priority, r.Order, r.Emit)
	}
	payment, order := record(t, r.Inputs[0].Stream, paymentJSON), record(t, r.Inputs[1].Stream, orderJSON)
	for _, c := range []struct {
		records []schemas.Record
		key     string
		score   any
		route   int
	}{
		{[]schemas.Record{payment, {}}, "u1", 600.0, 0},
		{[]schemas.Record{{}, order}, "u2", 9.0, 1},
	} {
		env := &rules.Env{Records: c.records}
		env.Reset()
		if !r.Where.Bool(env) {
			t.Fatalf("where drops it: %v", env.Err())
		}
		route := -1
		for i, rt := range r.Routes {
			if rt.When == nil || rt.When.Bool(env) {
				route = i
				break
			}
		}
		if route != c.route {
			t.Fatalf("route %d, want %d", route, c.route)
		}
		rt := r.Routes[route]
		if key, ok := rt.Key.String(env); key != c.key || !ok || rt.Fields[rt.KeyIndex].Name != "user_id" || rt.Fields[rt.TimeIndex].Name != "occurred_at" {
			t.Errorf("key %q, want %q", key, c.key)
		}
		for _, o := range rt.Fields {
			switch o.Name {
			case "event_id":
				if o.Expr != nil || o.Context != rules.CtxEventID {
					t.Errorf("event_id: %+v", o)
				}
			case "lineage": // not the type of a lineage: the schema's default
				if o.Expr != nil || o.Context != rules.NoContext {
					t.Errorf("lineage: %+v", o)
				}
			case "score":
				if v := o.Expr.Value(env); v != c.score {
					t.Errorf("score %v, want %v", v, c.score)
				}
			case "confidence":
				if v := o.Expr.Value(env); v != 1.0 {
					t.Errorf("confidence %v: the int was not converted", v)
				}
			case "detail":
				if v := o.Expr.Value(env); v != nil {
					t.Errorf("detail %v", v)
				}
			}
		}
		if env.Err() != nil {
			t.Error(env.Err())
		}
	}
}

func TestEachSplitsWhere(t *testing.T) {
	r := program(t, `
  - name: items
    from: {order: commerce.orders}
    each: {item: order.items}
    where: order.amount > 5 && item.quantity > 100 && order.user_id != ""
    select: {user_id: order.user_id, factor: '"cancellation"', score: item.quantity / 1000, detail: item.hint}
    to: risk.signals
`).Rules[0]
	if r.Where.Canonical() != ">(order.amount,5)" || r.Each.Where == nil || r.Each.Alias != "item" {
		t.Fatalf("where %s, each %+v", r.Where.Canonical(), r.Each)
	}
	env := &rules.Env{Records: []schemas.Record{record(t, r.Inputs[0].Stream, orderJSON)}}
	env.Reset()
	list, _ := r.Each.List.Value(env).([]any)
	var scores []any
	for _, x := range list {
		env.Item = x
		if r.Each.Where.Bool(env) {
			for _, o := range r.Routes[0].Fields {
				if o.Name == "score" {
					scores = append(scores, o.Expr.Value(env))
				}
			}
		}
	}
	if len(list) != 2 || len(scores) != 1 || scores[0] != 0.5 || env.Err() != nil {
		t.Errorf("%d elements, scores %v, %v", len(list), scores, env.Err())
	}
}

func TestCopyWithoutSelect(t *testing.T) {
	r := program(t, `
  - name: copy
    from: {signal: risk.signals}
    where: signal.score > 0.5
    to: risk.copies
`).Rules[0]
	got := map[string]string{}
	for _, o := range r.Routes[0].Fields {
		got[o.Name] = o.Context.Name()
		if o.Expr != nil {
			got[o.Name] = o.Expr.Canonical()
		}
	}
	want := map[string]string{
		"event_id": "event_id", "occurred_at": "occurred_at", "confidence": "confidence", "lineage": "signal.lineage",
		"user_id": "signal.user_id", "factor": "signal.factor", "score": "signal.score", "detail": "signal.detail",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

func TestAggregateProgram(t *testing.T) {
	set := program(t, `
  - name: total
    from: {payment: commerce.payments}
    by: payment.user_id
    unbounded: true
    select: {user_id: key, total: sum(payment.amount) + sum(payment.amount), payments: count()}
    having: total > 10 && count() > 1 && payments < 9
    to: [{when: total > 100, stream: risk.totals}]
  - name: total-by-shop
    from: {payment: commerce.payments}
    by: string(payment.count) + payment.currency
    unbounded: true
    emit: each
    select: {user_id: key, total: 'avg(payment.fee) ?? 0', payments: count(payment.fee)}
    to: risk.totals
  - name: two
    from: {payment: commerce.payments, order: commerce.orders}
    by: user_id
    unbounded: true
    select: {user_id: key, total: 'sum(payment?.amount)', payments: 'int(max(order?.amount) ?? 0)'}
    to: risk.totals
`)
	r := set.Rule("risk.total")
	if r.Kind != rules.Aggregation || r.KeyName != "user_id" || r.Rekey[0] || r.Emit != rules.EmitChanges {
		t.Errorf("kind %v, key %q, rekey %v, emit %v", r.Kind, r.KeyName, r.Rekey, r.Emit)
	}
	if len(r.Aggregates) != 2 || r.Aggregates[0].Func != rules.Sum || r.Aggregates[1].Func != rules.Count || r.Aggregates[1].Arg != nil {
		t.Fatalf("aggregates %+v", r.Aggregates)
	}
	env := &rules.Env{Records: []schemas.Record{record(t, r.Inputs[0].Stream, paymentJSON)}, Key: "u1", Group: []any{300.0, int64(3)}}
	env.Reset()
	if v, ok := r.Aggregates[0].Arg.Float(env); v != 600 || !ok {
		t.Errorf("argument %v", v)
	}
	if key, _ := r.By[0].String(env); key != "u1" {
		t.Errorf("by %q", key)
	}
	if !r.Having.Bool(env) || !r.Routes[0].When.Bool(env) {
		t.Errorf("having %v, when %v, %v", r.Having.Bool(env), r.Routes[0].When.Bool(env), env.Err())
	}
	shop := set.Rule("risk.total-by-shop")
	if !shop.Rekey[0] || !strings.HasPrefix(shop.KeyName, "rekey") || len(shop.KeyName) != 13 || shop.Emit != rules.EmitEach {
		t.Errorf("key %q, rekey %v, emit %v", shop.KeyName, shop.Rekey, shop.Emit)
	}
	if key, _ := shop.By[0].String(env); key != "3GBP" {
		t.Errorf("by %q", key)
	}
	if typ := shop.Aggregates[0].Type; typ.String() != "float?" {
		t.Errorf("avg of a nullable is %s", typ)
	}
	two := set.Rule("risk.two")
	if two.KeyName != "user_id" || len(two.By) != 2 || two.Rekey[0] || two.Rekey[1] {
		t.Errorf("two inputs: key %q, rekey %v", two.KeyName, two.Rekey)
	}
}

// TestVersion: what people read does not change a rule's version, what it
// does changes it, and the fingerprint only when the state's shape changes.
func TestVersion(t *testing.T) {
	const text = `
  - name: total
    description: one
    from: {payment: commerce.payments}
    where: payment.amount > 5 && payment.currency == "GBP"
    by: payment.user_id
    unbounded: true
    select: {user_id: key, total: sum(payment.amount), payments: count()}
    to: risk.totals
`
	base := program(t, text).Rules[0]
	for _, c := range []struct {
		old, new       string
		version, print bool // changed?
	}{
		{"one", "two", false, false},
		{"description: one", "tags: [x]\n    owner: me\n    enabled: true\n    emit: changes", false, false},
		{`payment.amount > 5 && payment.currency == "GBP"`, `'(payment.amount>5) and (payment["currency"] == ''GBP'')'`, false, false},
		{"total: sum(payment.amount), payments: count()", "payments: count(), total: sum(payment.amount)", true, true},
		{"count()", "count() + 1", true, false},
		{"amount > 5", "amount > 6", true, true},
		{"description: one", "having: count() > 1", true, false},
		{"description: one", "emit: each", true, false},
		{"description: one", "priority: bulk", true, false},
		{"by: payment.user_id", "by: payment.currency", true, true},
		{"by: payment.user_id", "by: user_id", false, false},
	} {
		r := program(t, strings.Replace(text, c.old, c.new, 1)).Rules[0]
		if got := r.Version != base.Version; got != c.version {
			t.Errorf("%s -> %s: version changed: %v", c.old, c.new, got)
		}
		if got := r.Fingerprint != base.Fingerprint; got != c.print {
			t.Errorf("%s -> %s: fingerprint changed: %v", c.old, c.new, got)
		}
	}
	if a, b := program(t, text), program(t, text); a.Checksum != b.Checksum || a.Checksum == "" {
		t.Errorf("checksums %q and %q", a.Checksum, b.Checksum)
	}
}

// TestGetters: each getter gives its type, null is not ok, and after a
// failure every getter gives its zero value.
func TestGetters(t *testing.T) {
	r := program(t, `
  - name: getters
    from: {payment: commerce.payments, order: commerce.orders}
    by: {payment: string(payment.count % (payment.count - 3)), order: order.user_id}
    unbounded: true
    select: {user_id: key, total: 'max(payment?.amount) ?? 0', payments: 'max(order?.amount) ?? 0'}
    to: risk.totals
`).Rules[0]
	env := &rules.Env{Records: []schemas.Record{record(t, r.Inputs[0].Stream, paymentJSON), {}}}
	env.Reset()
	amount, missing := r.Aggregates[0].Arg, r.Aggregates[1].Arg
	if v, ok := amount.Float(env); v != 600 || !ok || amount.Value(env) != 600.0 {
		t.Errorf("amount %v %v", v, ok)
	}
	if v, ok := missing.Int(env); v != 0 || ok || missing.Value(env) != nil {
		t.Errorf("a field of a null record: %v %v", v, ok)
	}
	if amount.Source() != "max(payment?.amount) ?? 0" || amount.Canonical() != "payment.amount" || amount.Pos().Line != 9 || amount.Type().String() != "float?" {
		t.Errorf("source %q, canonical %q, %s, %s", amount.Source(), amount.Canonical(), amount.Pos(), amount.Type())
	}
	if v, ok := r.By[0].String(env); v != "" || ok {
		t.Errorf("key %q %v", v, ok)
	}
	if err := env.Err(); err == nil || !strings.Contains(err.Error(), "risk/rules.yaml:7:") || !strings.Contains(err.Error(), "E705") {
		t.Errorf("error %v", err)
	}
	if v, ok := amount.Float(env); v != 0 || ok || amount.Value(env) != nil {
		t.Errorf("after a failure: %v %v", v, ok)
	}
	if v, ok := missing.Int(env); v != 0 || ok {
		t.Errorf("after a failure: %v %v", v, ok)
	}
}
