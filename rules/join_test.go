package rules_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/schemas"
)

const joined = `
  - name: j
    from: {p: commerce.payments, o: commerce.orders}
    by: user_id
    join: {within: {before: 5m, after: 30m}}
    where: p.amount > 500 && o.amount > p.amount
    select: {user_id: key, total: 7}
    to: risk.totals
`

const joinedThree = `
  - name: j
    from: {first: commerce.payments, before: commerce.orders, after: commerce.payments}
    by: {first: first.user_id, before: before.event_id, after: after.user_id}
    join: {within: {after: {after: 1s}, before: {before: 2s}}}
    where: first.amount > before.amount && after.amount > 5
    select: {user_id: key, total: first.amount + after.amount}
    to: risk.totals
`

// joinWith is the join with texts replaced.
func joinWith(t *testing.T, pairs ...string) *rules.Rule {
	t.Helper()
	text := joined
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(text, pairs[i]) {
			t.Fatalf("no %q", pairs[i])
		}
		text = strings.Replace(text, pairs[i], pairs[i+1], 1)
	}
	return program(t, text).Rules[0]
}

func TestJoinProgram(t *testing.T) {
	r := joinWith(t, "    to:", "    lateness: 10s\n    having: total > 5\n    to:")
	if r.Kind != rules.Joining || r.Kind.String() != "join" || !r.Stateful() || r.Ordered() || r.Emit != rules.EmitNone || r.Lateness != 10_000 {
		t.Errorf("kind %v, stateful %v, ordered %v, emit %q, lateness %d", r.Kind, r.Stateful(), r.Ordered(), r.Emit, r.Lateness)
	}
	if r.Where != nil || r.Having == nil || r.KeyName != "user_id" || r.Rekey[0] || r.Rekey[1] || len(r.By) != 2 {
		t.Errorf("where %v, having %v, key %q, rekey %v", r.Where, r.Having, r.KeyName, r.Rekey)
	}
	if r.Join.Type != rules.InnerJoin {
		t.Errorf("type %v", r.Join.Type)
	}
	if d := cmp.Diff([]rules.Within{{}, {Before: 300_000, After: 1_800_000}}, r.Join.Within); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	env := &rules.Env{Records: []schemas.Record{record(t, r.Inputs[0].Stream, paymentJSON), record(t, r.Inputs[1].Stream, orderJSON)}}
	env.Reset()
	if !r.Join.Where[0].Bool(env) || r.Join.Where[1] != nil || r.Join.On.Bool(env) || env.Err() != nil {
		t.Errorf("%s %v, %s %v, %v", r.Join.Where[0].Canonical(), r.Join.Where[0].Bool(env), r.Join.On.Canonical(), r.Join.On.Bool(env), env.Err())
	}
}

func TestJoinTypes(t *testing.T) {
	for word, want := range map[string]rules.JoinType{"inner": rules.InnerJoin, "left": rules.LeftJoin, "right": rules.RightJoin, "outer": rules.OuterJoin} {
		if r := joinWith(t, "{within", "{type: "+word+", within"); r.Join.Type != want {
			t.Errorf("%s is %v", word, r.Join.Type)
		}
	}
}

func TestJoinBounds(t *testing.T) {
	two := func(before, after int64) []rules.Within { return []rules.Within{{}, {Before: before, After: after}} }
	for text, want := range map[string][]rules.Within{
		"{after: 30m}":                 two(0, 1_800_000),
		"{before: 1ms}":                two(1, 0),
		"{before: 0s, after: 0s}":      two(0, 0),
		"{after: 400d}":                two(0, 34_560_000_000),
		"{o: {after: 1s}}":             two(0, 1000),
		"{o: {before: 0s, after: 0s}}": two(0, 0),
	} {
		if d := cmp.Diff(want, joinWith(t, "{before: 5m, after: 30m}", text).Join.Within); d != "" {
			t.Errorf("%s: -want +got:\n%s", text, d)
		}
	}
	// Names are taken for what they are, and bounds go by names, not by their order.
	r := program(t, joinedThree).Rules[0]
	if d := cmp.Diff([]rules.Within{{}, {Before: 2000}, {After: 1000}}, r.Join.Within); d != "" {
		t.Errorf("three inputs: -want +got:\n%s", d)
	}
	if r.Join.On == nil || r.Join.Where[0] != nil || r.Join.Where[2] == nil || !r.Rekey[1] || r.Keys[1] == r.Keys[2] {
		t.Errorf("three inputs: %+v, keys %q", r.Join, r.Keys)
	}
}

// TestJoinSplitsWhere: what reads one input is a matter of that input, what reads none of all, what reads several of matching.
func TestJoinSplitsWhere(t *testing.T) {
	for _, c := range []struct{ where, p, o, on string }{
		{"p.amount > 5", ">(p.amount,5)", "", ""},
		{"o.amount > 5", "", ">(o.amount,5)", ""},
		{"p.count == o.amount", "", "", "==(p.count,o.amount)"},
		{"p.count > 1 && p.count == o.amount && o.amount > 2 and p.count > 3", "&&(>(p.count,1),>(p.count,3))", ">(o.amount,2)", "==(p.count,o.amount)"},
		{"(p.count > 1 && (p.count > o.amount && p.count < 9))", "&&(>(p.count,1),<(p.count,9))", "", ">(p.count,o.amount)"},
		{"p.count > 1 || o.amount > 2", "", "", "||(>(p.count,1),>(o.amount,2))"},
		{"!(p.count > 1 && o.amount > 2)", "", "", "!(&&(>(p.count,1),>(o.amount,2)))"},
		{"hour(now()) > 8 && o.amount > 2", ">(hour(now()),8)", "&&(>(hour(now()),8),>(o.amount,2))", ""},
		{"true", "true", "true", ""},
		{"any(o.items, .quantity > p.count)", "", "", "any(o.items,>(#0.\"quantity\",p.count))"},
		{"any(o.items, .quantity > 5)", "", "any(o.items,>(#0.\"quantity\",5))", ""},
		{"p.note != nil && len(p.note) > 3", "&&(!=(p.note,nil),>(len(p.note),3))", "", ""},
		{"p.note == o.user_id && p.note + o.user_id != \"\"", "", "", "&&(==(p.note,o.user_id),!=(+(p.note,o.user_id),\"\"))"},
	} {
		j := joinWith(t, "p.amount > 500 && o.amount > p.amount", "'"+c.where+"'").Join
		canon := func(x *rules.Expr) string {
			if x == nil {
				return ""
			}
			return x.Canonical()
		}
		if d := cmp.Diff([]string{c.p, c.o, c.on}, []string{canon(j.Where[0]), canon(j.Where[1]), canon(j.On)}); d != "" {
			t.Errorf("%s: -want +got:\n%s", c.where, d)
		}
	}
}

// TestJoinAliasLikeFunction: a function is not the input of the same name.
func TestJoinAliasLikeFunction(t *testing.T) {
	r := joinWith(t, "{p: commerce.payments, o:", "{murmur2: commerce.payments, o:",
		"p.amount > 500 && o.amount > p.amount", "murmur2(o.user_id) > 5 && murmur2.amount > 5")
	if r.Join.On != nil || r.Join.Where[1] == nil || r.Join.Where[0].Canonical() != ">(murmur2.amount,5)" {
		t.Errorf("join %+v", r.Join)
	}
}

// TestJoinSelf: a stream may be joined with itself, by another field.
func TestJoinSelf(t *testing.T) {
	r := joinWith(t, "{p: commerce.payments, o: commerce.orders}", "{p: commerce.payments, o: commerce.payments}", "by: user_id", "by: {p: user_id, o: o.currency}",
		"by: {p: user_id", "by: {p: p.user_id", "    to:", "    late_to: risk.late\n    to:")
	if len(r.Inputs) != 2 || r.Inputs[0].Stream != r.Inputs[1].Stream || r.Late == nil || r.Rekey[0] || !r.Rekey[1] {
		t.Errorf("inputs %+v, late %v, rekey %v", r.Inputs, r.Late, r.Rekey)
	}
	if c := r.Join.On.Canonical(); c != ">(o.amount,p.amount)" || r.Join.Where[0] == nil || r.Join.Where[1] != nil {
		t.Errorf("on %s, where %v", c, r.Join.Where)
	}
}

// TestJoinNulls: a side that may be unmatched is null-safe in results, and reads as null there.
func TestJoinNulls(t *testing.T) {
	for _, c := range []struct {
		kind, where, total string
		both, left, right  any // the total of a match, of a payment alone, of an order alone
	}{
		{"inner", "p.amount > 5", "p.amount + o.amount", 609.0, nil, nil},
		{"inner", "p.note != nil && o.tags != nil", "len(p.note) + len(o.tags)", nil, nil, nil},
		{"inner", "p.note == o.user_id", "len(p.note)", nil, nil, nil},
		{"left", "p.amount > 5", "p.amount + (o?.amount ?? 0)", 609.0, 600.0, nil},
		{"left", "p.fee != nil", "o == nil ? p.fee : o.amount", 9.0, nil, nil},
		{"left", "o.tags != nil", "o == nil ? 1 : len(o.tags)", nil, 1.0, nil},
		{"left", "p.note == o.user_id", "o == nil ? len(p.note ?? \"\") : len(p.note)", nil, 0.0, nil},
		{"outer", "p.note == o.user_id && p.fee != nil", "p != nil && o != nil ? len(p.note) + p.fee : p?.fee ?? 2", nil, nil, 2.0},
		{"right", "o.amount > 5", "(p?.amount ?? 1) + o.amount", 609.0, nil, 10.0},
		{"outer", "p.amount > 5", "p == nil ? o.amount : p.amount", 600.0, 600.0, 9.0},
		{"outer", "o.amount > 5", "p != nil && o != nil ? 3 : 4", 3.0, 4.0, 4.0},
	} {
		r := joinWith(t, "{within", "{type: "+c.kind+", within", "p.amount > 500 && o.amount > p.amount", c.where, "total: 7", "total: '"+c.total+"'")
		var total *rules.Expr
		for _, o := range r.Routes[0].Fields {
			if o.Name == "total" {
				total = o.Expr
			}
		}
		p, o := record(t, r.Inputs[0].Stream, paymentJSON), record(t, r.Inputs[1].Stream, orderJSON)
		for i, records := range [][]schemas.Record{{p, o}, {p, {}}, {{}, o}} {
			want := []any{c.both, c.left, c.right}[i]
			env := &rules.Env{Records: records, Key: "u1"}
			env.Reset()
			if got := total.Value(env); want != nil && (got != want || env.Err() != nil) {
				t.Errorf("%s, %s: %v, want %v (%v)", c.kind, c.total, got, want, env.Err())
			}
		}
	}
}

// TestJoinOwnTime: the event time of a match is the latest of its records'.
func TestJoinOwnTime(t *testing.T) {
	for text, want := range map[string]bool{"total: 7": false, "occurred_at: now(), total: 7": false, "occurred_at: p.occurred_at, total: 7": true} {
		if r := joinWith(t, "total: 7", text); r.Routes[0].OwnTime != want {
			t.Errorf("%s: own time %v", text, !want)
		}
	}
}

// TestJoinVersion: what the join is shapes the state; how late records may be does not.
func TestJoinVersion(t *testing.T) {
	base := joinWith(t)
	for _, c := range []struct {
		old, new       string
		version, print bool // changed?
	}{
		{"{within: {before: 5m, after: 30m}}", "{type: inner, within: {o: {before: 300s, after: 30m}}}", false, false},
		{"p.amount > 500 && o.amount > p.amount", "(o.amount>p.amount) and (p.amount > 500)", false, false},
		{"before: 5m", "before: 6m", true, true},
		{"after: 30m", "after: 31m", true, true},
		{"{within", "{type: outer, within", true, true},
		{"p.amount > 500", "p.amount > 501", true, true},
		{"p.amount > 500", "o.amount > 500", true, true},
		{"o.amount > p.amount", "o.amount >= p.amount", true, true},
		{"total: 7", "total: 8", true, false},
		{"    to:", "    lateness: 1m\n    to:", true, false},
		{"    to:", "    having: total > 5\n    to:", true, false},
	} {
		r := joinWith(t, c.old, c.new)
		if got := r.Version != base.Version; got != c.version {
			t.Errorf("%q -> %q: version changed: %v", c.old, c.new, got)
		}
		if got := r.Fingerprint != base.Fingerprint; got != c.print {
			t.Errorf("%q -> %q: fingerprint changed: %v", c.old, c.new, got)
		}
	}
}

// TestJoinReads: what is read of a record only when it comes has not to be kept, and what other rules read of it neither.
func TestJoinReads(t *testing.T) {
	const other = `
  - name: other
    from: {p: commerce.payments}
    where: p.currency == "NOK"
    select: {user_id: p.user_id, total: 'p.fee ?? 0'}
    to: risk.totals
`
	text := strings.NewReplacer("o.amount > p.amount", "o.items != nil && len(o.items) > p.count", "total: 7", "total: 'p?.amount ?? 0'", "{within", "{type: outer, within",
		"    to:", "    having: o == nil || o?.event_id != \"\"\n    to:").Replace(joined)
	for _, more := range []string{"", other} {
		r := program(t, text+more).Rule("risk.j")
		if d := cmp.Diff([][]string{{"amount", "count"}, {"event_id", "items"}}, r.Join.Reads); d != "" {
			t.Errorf("-want +got:\n%s", d)
		}
	}
}
