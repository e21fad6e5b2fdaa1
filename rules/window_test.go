package rules_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/schemas"
)

const windowed = `
  - name: w
    from: {payment: commerce.payments}
    where: payment.amount > 5
    by: payment.user_id
    window: {size: 5m}
    select: {user_id: key, total: sum(payment.amount), payments: count()}
    to: risk.totals
`

// with is the windowed rule with one text replaced.
func with(t *testing.T, old, text string) *rules.Rule {
	t.Helper()
	if !strings.Contains(windowed, old) {
		t.Fatalf("no %q", old)
	}
	return program(t, strings.Replace(windowed, old, text, 1)).Rules[0]
}

func TestWindowKinds(t *testing.T) {
	for text, want := range map[string]rules.Window{
		"{size: 5m}":            {Kind: rules.Tumbling, Size: 300_000, Hop: 300_000},
		"{size: 1m, hop: 60s}":  {Kind: rules.Tumbling, Size: 60_000, Hop: 60_000},
		"{size: 5m, hop: 30s}":  {Kind: rules.Hopping, Size: 300_000, Hop: 30_000},
		"{gap: 30m}":            {Kind: rules.Session, Gap: 1_800_000},
		"{sliding: 10m}":        {Kind: rules.Sliding, Size: 600_000},
		"{count: 5}":            {Kind: rules.Counting, N: 5},
		"{size: 400d, hop: 4d}": {Kind: rules.Hopping, Size: 34_560_000_000, Hop: 345_600_000},
	} {
		r := with(t, "{size: 5m}", text)
		if d := cmp.Diff(&want, r.Window); d != "" || r.Emit != rules.EmitFinal || r.Kind != rules.Aggregation {
			t.Errorf("%s: emit %v, -want +got:\n%s", text, r.Emit, d)
		}
	}
}

func TestEmitModes(t *testing.T) {
	for text, want := range map[string]rules.Emit{
		"emit: final": rules.EmitFinal, "emit: changes": rules.EmitChanges, "emit: {every: 1m}": rules.EmitEvery,
	} {
		r := with(t, "    to:", "    lateness: 1m\n    "+text+"\n    to:")
		every := int64(0)
		if want == rules.EmitEvery {
			every = 60_000
		}
		if r.Emit != want || r.Window.Every != every || r.Lateness != 60_000 {
			t.Errorf("%s: emit %v, every %d, lateness %d", text, r.Emit, r.Window.Every, r.Lateness)
		}
	}
}

// TestWindowVersion: what the window is shapes the state; how late records may be does not.
func TestWindowVersion(t *testing.T) {
	base := with(t, "", "")
	for _, c := range []struct {
		old, new       string
		version, print bool // changed?
	}{
		{"{size: 5m}", "{size: 300s, hop: 5m}", false, false},
		{"    to:", "    emit: final\n    to:", false, false},
		{"{size: 5m}", "{size: 6m}", true, true},
		{"{size: 5m}", "{size: 5m, hop: 1m}", true, true},
		{"{size: 5m}", "{sliding: 5m}", true, true},
		{"    window: {size: 5m}", "    unbounded: true", true, true},
		{"    to:", "    lateness: 1m\n    to:", true, false},
		{"    to:", "    late_to: risk.late\n    to:", true, false},
		{"    to:", "    emit: changes\n    to:", true, false},
		{"    to:", "    emit: {every: 1m}\n    to:", true, true},
		{"    to:", "    dedupe: {by: event_id, within: 1m}\n    to:", true, true},
	} {
		r := with(t, c.old, c.new)
		if got := r.Version != base.Version; got != c.version {
			t.Errorf("%q -> %q: version changed: %v", c.old, c.new, got)
		}
		if got := r.Fingerprint != base.Fingerprint; got != c.print {
			t.Errorf("%q -> %q: fingerprint changed: %v", c.old, c.new, got)
		}
	}
}

// TestAggregateFunctions: what the functions take and give.
func TestAggregateFunctions(t *testing.T) {
	for _, c := range []struct {
		call, typ string
		want      rules.Aggregate
	}{
		{"distinct(payment.method)", "int", rules.Aggregate{Func: rules.Distinct}},
		{"quantile(payment.amount, 0.95)", "float", rules.Aggregate{Func: rules.Quantile, Q: 0.95}},
		{"quantile(payment.fee, 1)", "float?", rules.Aggregate{Func: rules.Quantile, Q: 1}},
		{"quantile(payment.count, 1/2)", "float", rules.Aggregate{Func: rules.Quantile, Q: 0.5}},
		{"topk(payment.method, 3)", "list of enum commerce.Method", rules.Aggregate{Func: rules.TopK, N: 3}},
		{"list(payment.note, 10)", "list of string", rules.Aggregate{Func: rules.List, N: 10}},
		{"list(payment.occurred_at, 1)", "list of time", rules.Aggregate{Func: rules.List, N: 1}},
		{"variance(payment.amount)", "float", rules.Aggregate{Func: rules.Variance}},
		{"stddev(payment.fee)", "float?", rules.Aggregate{Func: rules.StdDev}},
	} {
		r := with(t, "    to:", "    having: "+c.call+" != nil\n    to:")
		got := r.Aggregates[len(r.Aggregates)-1]
		if got.Type.String() != c.typ || got.Arg == nil {
			t.Errorf("%s is %s", c.call, got.Type)
		}
		got.Arg, got.Type = nil, nil
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s: -want +got:\n%s", c.call, d)
		}
	}
	r := with(t, "sum(payment.amount), payments: count()", "'quantile(payment.amount, 0.5) + quantile(payment.amount, 0.5)', payments: 'len(list(payment.note, 2)) + len(list(payment.note, 3))'")
	if len(r.Aggregates) != 3 {
		t.Errorf("%d aggregates: one per function, argument and constant is wanted", len(r.Aggregates))
	}
	prints := map[string]bool{}
	for _, call := range []string{"quantile(payment.amount, 0.5)", "quantile(payment.amount, 0.6)", "len(topk(payment.note, 2))", "len(list(payment.note, 2))", "len(list(payment.note, 3))"} {
		prints[with(t, "sum(payment.amount)", "'"+call+"'").Fingerprint] = true
	}
	if len(prints) != 5 {
		t.Errorf("%d fingerprints for 5 states", len(prints))
	}
}

// TestWindowBounds: window.start and window.end in select, having and when.
func TestWindowBounds(t *testing.T) {
	r := with(t, "{user_id: key, total: sum(payment.amount), payments: count()}\n    to: risk.totals",
		"{user_id: key, start: window.start, end: window.end, total: sum(payment.amount)}\n    having: window.end - window.start > 5 && start != nil\n    to: [{when: hour(window.start) == 0, stream: risk.spans}]")
	env := &rules.Env{Records: make([]schemas.Record, 1), Start: 60_000, End: 120_000, Group: []any{1.0}}
	env.Reset()
	got := map[string]any{}
	for _, o := range r.Routes[0].Fields {
		if o.Expr != nil && o.Name != "user_id" && o.Name != "total" {
			got[o.Name] = o.Expr.Value(env)
		}
	}
	if d := cmp.Diff(map[string]any{"start": int64(60_000), "end": int64(120_000)}, got); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	if !r.Having.Bool(env) || !r.Routes[0].When.Bool(env) || env.Err() != nil {
		t.Errorf("having %v, when %v, %v", r.Having.Bool(env), r.Routes[0].When.Bool(env), env.Err())
	}
	if c := r.Having.Canonical(); !strings.Contains(c, "window.end") {
		t.Errorf("canonical form %s", c)
	}
}

// TestOwnTime: whether a result has another time than what it is made of.
func TestOwnTime(t *testing.T) {
	const head = "\n  - name: r\n"
	const (
		one  = head + "    from: {p: commerce.payments}\n    select: {user_id: p.user_id, occurred_at: TIME}\n    to: risk.spans\n"
		two  = head + "    from: {p: commerce.payments, o: commerce.orders}\n    select: {user_id: event.user_id, occurred_at: TIME}\n    to: risk.spans\n"
		all  = head + "    from: {p: commerce.payments}\n    by: user_id\n    unbounded: true\n    select: {user_id: key, occurred_at: TIME}\n    to: risk.spans\n"
		open = head + "    from: {p: commerce.payments}\n    by: user_id\n    window: {size: 1m}\n    emit: changes\n    select: {user_id: key, occurred_at: TIME}\n    to: risk.spans\n"
	)
	for _, c := range []struct {
		rule, time string
		want       bool
	}{
		{strings.ReplaceAll(one, ", occurred_at: TIME", ""), "", false},
		{one, "p.occurred_at", false},
		{one, "event.occurred_at", false},
		{one, "event?.occurred_at", false},
		{one, "now()", false},
		{one, "from_millis(to_millis(now()))", false},
		{one, "p.amount > 5 ? p.occurred_at : now()", false},
		{one, "p.occurred_at + 1", true},
		{one, `date_trunc(now(), "day")`, true},
		{one, "p.amount > 5 ? p.occurred_at : from_millis(0)", true},
		{two, "event.occurred_at", false},
		{two, "p?.occurred_at ?? o?.occurred_at ?? now()", false},
		{two, "p?.occurred_at ?? from_millis(7)", true},
		{all, "p.occurred_at", false},
		{all, "max(p.occurred_at)", true},
		{open, "now()", false},
		{open, "p.occurred_at", true},
		{open, "window.end", true},
		{strings.ReplaceAll(open, "    emit: changes\n", ""), "window.end", false},
		{strings.ReplaceAll(open, "    emit: changes\n", ""), "window.start", true},
	} {
		r := program(t, strings.ReplaceAll(c.rule, "TIME", "'"+c.time+"'")).Rules[0]
		if got := r.Routes[0].OwnTime; got != c.want {
			t.Errorf("%s in %s: own time %v", c.time, r.Kind, got)
		}
	}
}

// TestDedupe: a rule without `by` keeps its state by the keys of its streams.
func TestDedupe(t *testing.T) {
	set := program(t, `
  - name: once
    from: {p: commerce.payments}
    where: p.note != nil
    dedupe: {by: p.note + p.currency, within: 10m}
    late_to: risk.late
    select: {user_id: p.currency}
    to: risk.spans
  - name: two
    from: {p: commerce.payments, o: commerce.orders}
    dedupe: {by: event_id, within: 1d}
    select: {user_id: event.user_id}
    to: risk.spans
  - name: summed
    from: {p: commerce.payments, o: commerce.orders}
    dedupe: {by: {p: p.note, o: string(o.amount)}, within: 1d}
    by: {p: p.currency, o: o.event_id}
    window: {gap: 5m}
    emit: changes
    select: {user_id: key, start: window.start, total: 'sum(p?.amount)'}
    to: risk.spans
`)
	once, two, summed := set.Rule("risk.once"), set.Rule("risk.two"), set.Rule("risk.summed")
	if once.Kind != rules.Transform || !once.Stateful() || !once.Ordered() || once.KeyName != "user_id" || once.Rekey[0] || once.Dedupe.Within != 600_000 {
		t.Errorf("once: %v, key %q, rekey %v, %+v", once.Kind, once.KeyName, once.Rekey, once.Dedupe)
	}
	if by := once.By[0].Canonical(); by != "string(p.user_id)" || once.Late == nil || once.Late.Source {
		t.Errorf("once: by %s, late %v", by, once.Late)
	}
	if by := once.Dedupe.By[0]; by.Canonical() != "string(+(p.note,p.currency))" || by.Type().String() != "string" {
		t.Errorf("once: dedupe by %s, a %s", by.Canonical(), by.Type())
	}
	if two.KeyName != "user_id" || len(two.By) != 2 || two.Rekey[0] || two.Rekey[1] || two.Dedupe.By[1].Canonical() != "string(o.event_id)" {
		t.Errorf("two: key %q, by %d, dedupe %+v", two.KeyName, len(two.By), two.Dedupe)
	}
	if summed.Kind != rules.Aggregation || !summed.Rekey[0] || summed.Dedupe.By[0].Type().String() != "string?" {
		t.Errorf("summed: %v, rekey %v, dedupe by a %s", summed.Kind, summed.Rekey, summed.Dedupe.By[0].Type())
	}
	env := &rules.Env{Records: []schemas.Record{record(t, summed.Inputs[0].Stream, paymentJSON), {}}}
	env.Reset()
	if v, ok := summed.Dedupe.By[0].String(env); v != "" || ok || env.Err() != nil {
		t.Errorf("the id of a record without one: %q %v %v", v, ok, env.Err())
	}
}
