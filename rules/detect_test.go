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
			for _, r := range program(t, string(a.Files[0].Data)).Rules {
				describe(&got, r)
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
	fmt.Fprintf(b, ", %d partial, %d matches, ordered %v\n", d.MaxPartial, d.MaxMatches, r.Ordered())
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
