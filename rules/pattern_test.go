package rules_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/tools/txtar"
	"pgregory.net/rapid"

	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/schemas"
)

// patterns loads rules that detect a pattern.
type patterns struct {
	streams fstest.MapFS
	catalog *schemas.Catalog
}

func newPatterns(t testing.TB) *patterns {
	t.Helper()
	base, err := txtar.ParseFile("testdata/base.txtar")
	if err != nil {
		t.Fatal(err)
	}
	p, avsc := &patterns{streams: fstest.MapFS{}}, fstest.MapFS{}
	for _, f := range base.Files {
		if name, ok := strings.CutPrefix(f.Name, "schemas/"); ok {
			avsc[name] = &fstest.MapFile{Data: f.Data}
		} else {
			p.streams[f.Name] = &fstest.MapFile{Data: f.Data}
		}
	}
	if p.catalog, err = schemas.LoadCatalog(avsc); err != nil {
		t.Fatal(err)
	}
	return p
}

// patternHead stands before the pattern on the line patternLine of the file.
const (
	patternHead = "      pattern: '"
	patternLine = 7
)

// load compiles a rule with the pattern over stages of those names, and with further clauses of the detection.
func (p *patterns) load(text string, stages []string, clauses ...string) (*rules.Rule, error) {
	define := make([]string, len(stages))
	for i, name := range stages {
		define[i] = name + ": true"
	}
	files := fstest.MapFS{"risk/rules.yaml": {Data: []byte(`domain: risk
rules:
  - name: r
    from: {input: commerce.payments}
    by: user_id
    detect:
` + patternHead + strings.ReplaceAll(text, "'", "''") + `'
      define: {` + strings.Join(define, ", ") + `}
      within: 30m
` + strings.Join(append([]string{""}, clauses...), "\n      ") + `
    select: {user_id: key, total: 1}
    to: risk.totals
`)}}
	maps.Copy(files, p.streams)
	set, err := rules.Load(files, rules.Options{Catalog: p.catalog})
	if err != nil {
		return nil, err
	}
	return set.Rules[0], nil
}

// same compares detections apart from where their parts stand.
func same(a, b *rules.Rule) string {
	if a.Version != b.Version || a.Fingerprint != b.Fingerprint || a.Detect.Canonical() != b.Detect.Canonical() {
		return fmt.Sprintf("%s: %s %s\n%s: %s %s", a.Detect.Canonical(), a.Version, a.Fingerprint, b.Detect.Canonical(), b.Version, b.Fingerprint)
	}
	return cmp.Diff(a.Detect.Pattern, b.Detect.Pattern, cmpopts.IgnoreFields(rules.Pattern{}, "Pos"))
}

// TestPatternText: a pattern that is written out means what it meant, and is written out the same again.
func TestPatternText(t *testing.T) {
	p := newPatterns(t)
	rapid.Check(t, func(t *rapid.T) {
		g := &patternGen{t: t}
		text := g.part(0, false)
		first, err := p.load(text, g.stages)
		if err != nil {
			t.Fatalf("%s\n%v", text, err)
		}
		canonical := first.Detect.Canonical()
		second, err := p.load(canonical, g.stages)
		if err != nil {
			t.Fatalf("%s\nis written as\n%s\n%v", text, canonical, err)
		}
		if d := same(first, second); d != "" {
			t.Fatalf("%s\nis written as\n%s\n%s", text, canonical, d)
		}
	})
}

// patternGen draws patterns that the check accepts.
type patternGen struct {
	t      *rapid.T
	stages []string
}

func (g *patternGen) pick(of ...string) string { return rapid.SampledFrom(of).Draw(g.t, "pick") }

func (g *patternGen) stage() string {
	g.stages = append(g.stages, fmt.Sprintf("s%d", len(g.stages)))
	return g.stages[len(g.stages)-1]
}

func (g *patternGen) blank() string { return g.pick("", " ", "  ") }

// part draws a part that matches something; optional says that it may also be left out.
func (g *patternGen) part(depth int, optional bool) string {
	kind := rapid.IntRange(0, 5).Draw(g.t, "kind")
	var s string
	switch {
	case depth > 2 || kind < 3:
		s = g.stage()
	case kind == 3:
		s = "(" + g.sequence(depth+1) + ")"
	default:
		sign := g.pick("|", "&")
		s = "(" + g.part(depth+1, false)
		for range rapid.IntRange(1, 2).Draw(g.t, "branches") {
			s += g.blank() + sign + g.blank() + g.part(depth+1, false)
		}
		s += ")"
	}
	if g.pick("brackets", "none") == "brackets" {
		s = "(" + g.blank() + s + g.blank() + ")"
	}
	quantifiers := []string{"", "", "+", "{2}", "{1}", "{1,3}", "{2,}", "++", "{2,3}+", "+[,]", "{2,4}+[->>]", "{2}[->]"}
	if optional {
		quantifiers = append(quantifiers, "?", "*", "{0,2}", "*+", "?+", "{2,3}?", "+?", "{0,}[,]", "{2,}+?[->>]")
	}
	return s + g.pick(quantifiers...)
}

func (g *patternGen) sequence(depth int) string {
	s, negatable := g.part(depth, false), true
	for range rapid.IntRange(1, 3).Draw(g.t, "parts") {
		if negatable && g.pick("negated", "none", "none") == "negated" {
			s += g.blank() + g.pick("->", ",") + g.blank() + "!" + g.stage() + g.blank() + g.pick("->", "->>", ",") + g.part(depth, false)
			continue
		}
		optional := g.pick("optional", "needed") == "optional"
		s += g.blank() + g.pick("->", "->>", ",") + g.part(depth, optional)
		negatable = !optional
	}
	return s
}

// FuzzPattern parses arbitrary patterns: no panic, errors within the pattern, and what is accepted is written out so that it
// means the same.
func FuzzPattern(f *testing.F) {
	for _, text := range []string{
		"a , b", "a -> b ->> c", "a+[,] -> (b | c)? , !d -> e{2,3}+?[->>]", "(a & b) ->> (c -> d){2}", "a*", "a{0,}+ -> !b", "((a))+ , (b+){2}", "a -> b | c",
		"a -> -> b", "(a", "a)", "a{3,2} -> b{0}", "a{1001}", "!a", "a?? -> b", "a[,]", "a => b", "x -> y", "", "a -> a", "ä",
	} {
		f.Add(text)
	}
	p := newPatterns(f)
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 200 || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Skip("the file or the caret would be another matter")
		}
		named := letters(text)
		r, err := p.load(text, named)
		var list rules.ErrorList
		switch {
		case errors.As(err, &list):
			inside(t, text, list)
			return
		case err != nil:
			t.Fatal(err)
		}
		again, err := p.load(r.Detect.Canonical(), named)
		if err != nil {
			t.Fatalf("%q is written as %q: %v", text, r.Detect.Canonical(), err)
		}
		if d := same(r, again); d != "" {
			t.Fatalf("%q is written as %q: %s", text, r.Detect.Canonical(), d)
		}
	})
}

// letters lists which of the stages a to e a text names.
func letters(text string) []string {
	words := strings.FieldsFunc(text, func(r rune) bool { return r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	var out []string
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		if slices.Contains(words, name) {
			out = append(out, name)
		}
	}
	return out
}

// inside checks that errors stand at the pattern, or at the stages that it does not name.
func inside(t *testing.T, text string, list rules.ErrorList) {
	t.Helper()
	quotes := strings.Count(text, "'")
	for _, e := range list {
		first, last := len(patternHead), len(patternHead)+1+len(text)+quotes
		if e.Line == patternLine && (e.Column < first || e.Column > last) || e.Line != patternLine && e.Code != "E214" {
			t.Errorf("%q: %s\n%s", text, e, e.Text())
		}
		if carets := strings.Count(e.Snippet[strings.IndexByte(e.Snippet, '\n'):], "^"); carets < 1 || carets > len(text)+quotes+2 {
			t.Errorf("%q: %d carets\n%s", text, carets, e.Text())
		}
	}
}
