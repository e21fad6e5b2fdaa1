package rules_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/schemas"
)

// TestDetections compiles good rules and compares what they compile to. A case is a txtar archive: rules.yaml and `want`.
func TestDetections(t *testing.T) {
	cases, err := filepath.Glob("testdata/detect/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	if len(cases) < 5 {
		t.Errorf("%d cases", len(cases))
	}
	for _, name := range cases {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			var got strings.Builder
			set := program(t, string(a.Files[0].Data))
			for _, r := range set.Rules {
				describe(&got, r)
			}
			for _, w := range set.Warnings {
				got.WriteString(w.Text())
			}
			if *update && got.String() != string(a.Files[1].Data) {
				a.Files[1].Data = []byte(got.String())
				if err := os.WriteFile(name, txtar.Format(a), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if d := cmp.Diff(string(a.Files[1].Data), got.String()); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
		})
	}
}

// describe writes everything of a detection that operators read.
func describe(b *strings.Builder, r *rules.Rule) {
	d := r.Detect
	fmt.Fprintf(b, "%s %s: %s\n  within %d, skip %s", r.Kind, r.Name, d.Canonical(), d.Within, d.Skip)
	if d.Skip == rules.SkipToFirst || d.Skip == rules.SkipToLast {
		b.WriteString(" " + d.Stages[d.SkipTo].Name)
	}
	fmt.Fprintf(b, ", hold %d, %d partial, %d matches, ordered %v\n", d.Hold(), d.MaxPartial, d.MaxMatches, r.Ordered())
	tree(b, d, d.Pattern, "  ")
	for i, s := range d.Stages {
		fmt.Fprintf(b, "  stage %d %s: %s, gap %d, keeps %v\n", i, s.Name, r.Inputs[s.Input].Alias, s.Gap, s.Packed)
		expression(b, "where", s.Where, s.WhereReads)
		expression(b, "until", s.Until, s.UntilReads)
	}
	for i, f := range d.Folds {
		arg := ""
		if f.Arg != nil {
			arg = f.Arg.Canonical()
		}
		fmt.Fprintf(b, "  fold $%d: %s(%s) of stage %d, %s\n", i, f.Func, arg, f.Stage, f.Type)
	}
	expression(b, "having", r.Having, d.Result)
	routes(b, "to", r.Routes)
	fmt.Fprintf(b, "    reads %v, folds %v\n", d.Result.Last, d.Result.Folds)
	if t := d.Timeouts; t != nil {
		routes(b, "timeouts to", t.Routes)
		fmt.Fprintf(b, "    reads %v, folds %v\n", t.Reads.Last, t.Reads.Folds)
	}
}

func expression(b *strings.Builder, what string, x *rules.Expr, reads rules.Captures) {
	if x == nil {
		return
	}
	fmt.Fprintf(b, "    %s %s", what, x.Canonical())
	if !reads.None() {
		fmt.Fprintf(b, ", reads %v, folds %v", reads.Last, reads.Folds)
	}
	b.WriteByte('\n')
}

func routes(b *strings.Builder, what string, list []rules.Route) {
	for _, rt := range list {
		fmt.Fprintf(b, "  %s %s:", what, rt.Stream.Name)
		for _, o := range rt.Fields {
			if o.Expr != nil {
				fmt.Fprintf(b, " %s=%s", o.Name, o.Expr.Canonical())
			}
		}
		fmt.Fprintf(b, ", own time %v\n", rt.OwnTime)
	}
}

// tree writes a part of a pattern and its parts, one a line.
func tree(b *strings.Builder, d *rules.Detect, p *rules.Pattern, indent string) {
	b.WriteString(indent)
	if p.Contiguity != 0 {
		b.WriteString([]string{"strict ", "relaxed ", "any "}[p.Contiguity-1])
	}
	if p.Negated {
		b.WriteString("not ")
	}
	if p.Op == rules.Take {
		b.WriteString(d.Stages[p.Stage].Name)
	} else {
		b.WriteString([]string{"sequence", "choice", "any order"}[p.Op-rules.Sequence])
	}
	if p.Min != 1 || p.Max != 1 {
		fmt.Fprintf(b, " {%d,%d} %s inside", p.Min, p.Max, []string{"strict", "relaxed", "any"}[p.Inner-1])
	}
	if p.Optional {
		b.WriteString(" optional")
	}
	if p.Greedy {
		b.WriteString(" greedy")
	}
	fmt.Fprintf(b, " @%d:%d\n", p.Pos.Line, p.Pos.Column)
	for _, q := range p.Parts {
		tree(b, d, q, indent+"  ")
	}
}

const detected = `
  - name: d
    from: {p: commerce.payments, o: commerce.orders}
    by: user_id
    detect:
      pattern: o -> spend+ -> !p
      define: {spend: {on: p, where: 'spend.amount > avg(spend.amount, 0) + o.amount'}}
      within: 30m
      on_timeout: {to: risk.spans, select: {user_id: o.user_id}}
    select: {user_id: key, total: sum(spend.amount) + o.amount, payments: count(spend)}
    to: risk.totals
`

// detectWith is the detection with texts replaced.
func detectWith(t *testing.T, pairs ...string) *rules.Rule {
	t.Helper()
	text := detected
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(text, pairs[i]) {
			t.Fatalf("no %q", pairs[i])
		}
		text = strings.Replace(text, pairs[i], pairs[i+1], 1)
	}
	return program(t, text).Rules[0]
}

// TestDetectEvaluates: expressions read one record per stage, whichever input it came from, and folds by their number.
func TestDetectEvaluates(t *testing.T) {
	r := detectWith(t)
	if !r.Stateful() || r.Condition(0) != nil || r.Kind.String() != "detect" || len(r.By) != 2 || r.KeyName != "user_id" {
		t.Errorf("stateful %v, condition %v, kind %s, by %d, key %q", r.Stateful(), r.Condition(0), r.Kind, len(r.By), r.KeyName)
	}
	d := r.Detect
	order, payment := record(t, r.Inputs[1].Stream, orderJSON), record(t, r.Inputs[0].Stream, paymentJSON)
	env := &rules.Env{Records: []schemas.Record{order, payment, {}}, Group: make([]any, len(d.Folds)), Key: "k"}
	env.Reset()
	where := d.Stages[1].Where
	if !where.Bool(env) { // 600 > 0 + 9
		t.Error("the first payment is not captured")
	}
	for i, f := range d.Folds {
		switch f.Func {
		case rules.Avg:
			env.Group[i] = 595.0
		case rules.Sum:
			env.Group[i] = 700.0
		case rules.Count:
			env.Group[i] = int64(2)
		default:
			t.Errorf("%v", f.Func)
		}
		if f.Stage != 1 || f.Arg == nil && f.Func != rules.Count {
			t.Errorf("%+v", f)
		}
		if f.Arg != nil {
			if v := f.Arg.Value(env); v != 600.0 {
				t.Errorf("%s of the record is %v", f.Func, v)
			}
		}
	}
	if where.Bool(env) { // 600 > 595 + 9
		t.Error("the second payment is captured")
	}
	got := map[string]any{}
	for _, o := range r.Routes[0].Fields {
		if o.Expr != nil {
			got[o.Name] = o.Expr.Value(env)
		}
	}
	if d := cmp.Diff(map[string]any{"user_id": "k", "total": 709.0, "payments": int64(2)}, got); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	if key, ok := d.Timeouts.Routes[0].Key.String(env); key != "u2" || !ok {
		t.Errorf("key %q", key)
	}
	if env.Err() != nil {
		t.Error(env.Err())
	}
}

// TestDetectVersion: what a detection does is its version, and what shapes its state is its fingerprint.
func TestDetectVersion(t *testing.T) {
	base := detectWith(t)
	for _, c := range []struct {
		old, new       string
		version, state bool // whether it changes
	}{
		{"o -> spend+ -> !p", "(o  ->(spend+)->!p)", false, false},
		{"within: 30m", "within: 1800s", false, false},
		{"within: 30m", "within: 31m", true, true},
		{"within: 30m", "within: 30m\n      skip: past_last\n      max_partial: 1000", false, false},
		{"within: 30m", "within: 30m\n      skip: next", true, true},
		{"within: 30m", "within: 30m\n      max_partial: 9", true, false},
		{"within: 30m", "within: 30m\n      max_matches: 9", true, false},
		{"spend+", "spend++", true, true},
		{"o -> spend", "o ->> spend", true, true},
		{"!p", "!p\n      # of the key", false, false},
		{"spend: {on: p,", "spend: {on: p, within: 5m,", true, true},
		{"spend: {on: p,", "spend: {on: p, until: spend.count > 3,", true, true},
		{"avg(spend.amount, 0)", "(avg(spend.amount) ?? 0)", false, false},
		{"amount, 0)", "amount, 1)", true, true},
		{"payments: count(spend)", "payments: count(spend) + 1", true, false},
		{"payments: count(spend)", "payments: 1", true, true},                         // one aggregate less to keep
		{"user_id: key, total", "user_id: o.user_id + o.event_id, total", true, true}, // one field more to keep
		{"user_id: o.user_id}", "user_id: key}", true, true},
		{"user_id: o.user_id}", "user_id: o.user_id, total: 1}", true, false},
		{"to: risk.totals", "order: arrival\n    to: risk.totals", true, false},
	} {
		r := detectWith(t, c.old, c.new)
		if (r.Version != base.Version) != c.version || (r.Fingerprint != base.Fingerprint) != c.state {
			t.Errorf("%q instead of %q: another version %v, another fingerprint %v", c.new, c.old, r.Version != base.Version, r.Fingerprint != base.Fingerprint)
		}
	}
}

// TestHold: a match is held back only where a run that began before it can be behind it.
func TestHold(t *testing.T) {
	p := newPatterns(t)
	for _, c := range []struct {
		pattern, skip string
		hold          int64
	}{
		{"a -> b , c", "past_last", 0},
		{"a{2} -> (b -> !c , d)", "to_last(b)", 0},
		{"a -> b{2,}", "past_last", 0},
		{"a -> b{2,}", "next", 0},
		{"a -> b{2,}", "to_first(b)", 1_800_000}, // the run of the match goes on
		{"a -> b{2,}", "none", 0},
		{"a+ -> b", "past_last", 1_800_000},
		{"a ->> b", "past_last", 1_800_000},
		{"a -> (b | (c -> d))", "past_last", 1_800_000},
		{"a & b", "next", 1_800_000},
		{"a? -> b", "past_last", 1_800_000},
		{"(a -> b){2}", "past_last", 1_800_000},
	} {
		r, err := p.load(c.pattern, letters(c.pattern), "skip: "+c.skip)
		if err != nil {
			t.Fatal(err)
		}
		if got := r.Detect.Hold(); got != c.hold {
			t.Errorf("%s, skip: %s: held back for %d ms, not %d", c.pattern, c.skip, got, c.hold)
		}
	}
}
