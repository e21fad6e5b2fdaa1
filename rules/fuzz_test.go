package rules_test

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"

	"golang.org/x/tools/txtar"

	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/schemas"
)

// FuzzParse loads arbitrary bytes as a rule file, a streams file and a feed:
// no panic, and errors are ErrorLists whose text can be made.
func FuzzParse(f *testing.F) {
	cases, err := filepath.Glob("testdata/errors/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range cases {
		a, err := txtar.ParseFile(name)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range a.Files {
			if file.Name != "want" {
				f.Add(unquote(file.Data))
			}
		}
	}
	text, err := os.ReadFile("risk/profile.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	for _, block := range readmeRules(f) {
		f.Add([]byte(block))
	}
	f.Add([]byte("domain: risk\nrules:" + joined))
	f.Add([]byte("domain: risk\nrules:" + joinedThree))
	f.Add([]byte("domain: risk\nrules:" + detected))
	base, err := txtar.ParseFile("testdata/base.txtar")
	if err != nil {
		f.Fatal(err)
	}
	avsc := fstest.MapFS{}
	streams := fstest.MapFS{}
	for _, file := range base.Files {
		if filepath.Ext(file.Name) == ".avsc" {
			avsc[file.Name] = &fstest.MapFile{Data: file.Data}
		} else {
			streams[file.Name] = &fstest.MapFile{Data: file.Data}
		}
	}
	c, err := schemas.LoadCatalog(avsc)
	if err != nil {
		f.Fatal(err)
	}
	o := rules.Options{Catalog: c}
	set, err := rules.Load(streams, o)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, name := range []string{"risk/fuzz.yaml", "fuzz/streams.yaml"} {
			files := fstest.MapFS{name: &fstest.MapFile{Data: data}}
			maps.Copy(files, streams)
			set, err := rules.Load(files, o)
			if err != nil {
				asList(t, err)
				continue
			}
			sound(t, set)
			again, err := rules.Load(files, o)
			if err != nil || again.Checksum != set.Checksum {
				t.Errorf("loads differently the second time: %v", err)
			}
		}
		if _, err := rules.LoadFeed(fstest.MapFS{"feed.yaml": {Data: data}}, "feed.yaml", set); err != nil {
			asList(t, err)
		}
	})
}

// sound checks what operators rely on without looking.
func sound(t *testing.T, set *rules.Set) {
	t.Helper()
	for _, r := range set.Rules {
		if r.Stateful() != (len(r.By) == len(r.Inputs)) || r.Stateful() != (r.KeyName != "") || len(r.Rekey) != len(r.By) {
			t.Errorf("%s: stateful %v, key %q, by %d", r.ID, r.Stateful(), r.KeyName, len(r.By))
		}
		if d := r.Dedupe; d != nil && (d.Within < 1 || len(d.By) != len(r.Inputs)) {
			t.Errorf("%s: dedupe %+v", r.ID, d)
		}
		soundJoin(t, r)
		soundDetect(t, r)
		w := r.Window
		if w == nil && (r.Join != nil || r.Detect != nil || r.Lookups != nil) {
			continue
		}
		if w == nil {
			if r.Lateness != 0 || r.Emit == rules.EmitFinal || r.Emit == rules.EmitEvery {
				t.Errorf("%s: no window, lateness %d, emit %v", r.ID, r.Lateness, r.Emit)
			}
			continue
		}
		good := r.Kind == rules.Aggregation && (w.Every > 0) == (r.Emit == rules.EmitEvery) && r.Emit != rules.EmitEach
		switch w.Kind {
		case rules.Tumbling:
			good = good && w.Size > 0 && w.Hop == w.Size
		case rules.Hopping:
			good = good && w.Hop > 0 && w.Hop < w.Size && w.Size%w.Hop == 0 && w.Size/w.Hop <= 100_000
		case rules.Session:
			good = good && w.Gap > 0
		case rules.Sliding:
			good = good && w.Size > 0
		case rules.Counting:
			good = good && w.N > 0 && r.Emit == rules.EmitFinal && r.Lateness == 0
		default:
			good = false
		}
		if !good {
			t.Errorf("%s: window %+v, emit %v", r.ID, w, r.Emit)
		}
	}
}

// soundJoin checks that a rule joins iff it is a join, and that its parts fit its inputs.
func soundJoin(t *testing.T, r *rules.Rule) {
	t.Helper()
	j := r.Join
	tables := r.Kind == rules.TableJoining || r.Kind == rules.ForeignJoining
	if (j != nil) != (r.Kind == rules.Joining || tables) {
		t.Errorf("%s: %v with join %+v", r.ID, r.Kind, j)
	}
	if tables && (j.Within != nil || len(j.Where) != 2 || len(j.Reads) != 2 || len(r.Inputs) != 2 || (j.Foreign != nil) != (j.Second != nil) || (j.Foreign != nil) != (r.Kind == rules.ForeignJoining)) {
		t.Errorf("%s: join of tables %+v of %d inputs", r.ID, j, len(r.Inputs))
	}
	if j == nil || tables {
		return
	}
	n := len(r.Inputs)
	good := n > 1 && len(j.Within) == n && len(j.Where) == n && (n == 2 || j.Type == rules.InnerJoin) && j.Type.String() != "unknown"
	good = good && r.Where == nil && r.Each == nil && r.Window == nil && r.Dedupe == nil && r.Aggregates == nil && r.Emit == rules.EmitNone && !r.Ordered()
	for i, w := range j.Within {
		good = good && w.Before >= 0 && w.After >= 0 && (i > 0 || w == rules.Within{})
	}
	if !good {
		t.Errorf("%s: join %+v of %d inputs", r.ID, j, n)
	}
}

// soundDetect checks that a rule detects iff it is a detection, and that numbers of stages, inputs and aggregates exist.
func soundDetect(t *testing.T, r *rules.Rule) {
	t.Helper()
	d := r.Detect
	if (d != nil) != (r.Kind == rules.Detection) {
		t.Errorf("%s: %v with %+v", r.ID, r.Kind, d)
	}
	if d == nil {
		return
	}
	good := r.Where == nil && r.Each == nil && r.Window == nil && r.Dedupe == nil && r.Join == nil && r.Aggregates == nil && r.Emit == rules.EmitNone
	good = good && d.Within >= 0 && d.MaxPartial > 0 && d.MaxMatches > 0 && d.SkipTo >= 0 && d.SkipTo < len(d.Stages)
	reads := func(c rules.Captures) {
		for _, i := range c.Last {
			good = good && i >= 0 && i < len(d.Stages)
		}
		for _, i := range c.Folds {
			good = good && i >= 0 && i < len(d.Folds)
		}
	}
	for _, s := range d.Stages {
		good = good && s.Input >= 0 && s.Input < len(r.Inputs) && s.Gap >= 0 && (s.Where != nil || s.WhereReads.None()) && (s.Until != nil || s.UntilReads.None())
		reads(s.WhereReads)
		reads(s.UntilReads)
	}
	for _, f := range d.Folds {
		good = good && f.Stage >= 0 && f.Stage < len(d.Stages) && (f.Arg != nil || f.Func == rules.Count) && f.Type != nil
	}
	reads(d.Result)
	if !good || soundPattern(d, d.Pattern) != len(d.Stages) {
		t.Errorf("%s: %+v", r.ID, d)
	}
}

// soundPattern counts the stages of a pattern, -1 000 000 for each part that cannot be.
func soundPattern(d *rules.Detect, p *rules.Pattern) int {
	n := 0
	for i, q := range p.Parts {
		n += soundPattern(d, q)
		if (q.Contiguity != 0) != (p.Op == rules.Sequence && i > 0) {
			n -= 1_000_000
		}
	}
	if p.Op == rules.Take {
		n++
	}
	if (p.Op == rules.Take) != (len(p.Parts) == 0) || p.Stage >= len(d.Stages) || p.Min < 1 || p.Max != 0 && p.Max < p.Min || p.Inner < rules.Strict || p.Pos.Line == 0 {
		n -= 1_000_000
	}
	return n
}

func asList(t *testing.T, err error) {
	t.Helper()
	var list rules.ErrorList
	if !errors.As(err, &list) {
		t.Fatalf("no ErrorList: %v", err)
	}
	for _, e := range list {
		if e.Code == "" || e.Msg == "" || e.File == "" || e.Text() == "" {
			t.Errorf("incomplete: %+v", e)
		}
	}
}

// FuzzExpr checks arbitrary text as a condition and, if it passes, evaluates
// it over a record with everything and over one with nulls: no panic, and the
// same result twice.
func FuzzExpr(f *testing.F) {
	schema, err := schemas.Parse(thingSchema)
	if err != nil {
		f.Fatal(err)
	}
	b, err := schema.FromJSON([]byte(thingJSON))
	if err != nil {
		f.Fatal(err)
	}
	for _, fn := range rules.Functions() {
		f.Add("(" + fn.Example + ") == " + fn.Want)
	}
	for _, text := range []string{
		`event.n == 7 && event.s contains "e" || not (event.x < 2.5)`, `any(event.lines, .qty > 4 && any(.sub, # == 2))`,
		`(event.o ?? "d")[1:] == "" ? true : event.b`, `event.home?.city == nil`, `sum(map(event.lines, .qty * 2)) == 14`,
		`event.attrs["k"] matches "^v"`, `if event.b { true } else { false }`, `event.nums | filter(# > 1) | len() == 2`,
		`{a: 1, b: "x"}.b == "x"`, `[1, 2.5][0] == 1`, `event.at + duration("1d") > now()`, `int(event.either) in 1..9`,
		`b"ab" == b'ab'`, `-9223372036854775808 == 0`, `1 ** 2 ^ 3 == 1`, `"\u00e4" == 'ä'`, "`a``b` == \"\"", `1 < 2 < 3`,
		`quantile(event.n, 0.5) > topk(event.s, 3)[0]`, `window.end > window.start`, `len(distinct(event.tags)) == stddev(event.n)`,
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		x, err := rules.CompileFilter("fuzz", text, schema)
		if err != nil {
			asList(t, err)
			return
		}
		dec, err := x.Projection.Decoder(schema)
		if err != nil {
			t.Fatal(err)
		}
		rec := x.Projection.New()
		if err := dec.Decode(b, rec); err != nil {
			t.Fatal(err)
		}
		var first bool
		var failure string
		for i := range 2 {
			env := &rules.Env{Records: []schemas.Record{rec}, Now: 1}
			env.Reset()
			got, failed := x.Where.Bool(env), ""
			if err := env.Err(); err != nil {
				failed = err.Error()
			}
			if i == 1 && (got != first || failed != failure) {
				t.Fatalf("%q gives %v %q, then %v %q", text, first, failure, got, failed)
			}
			first, failure = got, failed
		}
		again, err := rules.CompileFilter("fuzz", text, schema)
		if err != nil || again.Where.Canonical() != x.Where.Canonical() {
			t.Fatalf("%q compiles differently the second time: %v", text, err)
		}
	})
}
