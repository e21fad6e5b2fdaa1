package rules_test

import (
	"bytes"
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"github.com/millrace-io/millrace/rules"
)

var update = flag.Bool("update", false, "write the errors that come out into testdata/errors") //nolint:gochecknoglobals // test flag

// TestErrors loads faulty files and compares the errors to the letter. A case
// is a txtar archive: rule files, feed files (any name that starts with
// feed), and `want`. What base.txtar declares is there in every case.
func TestErrors(t *testing.T) {
	cases, err := filepath.Glob("testdata/errors/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	if len(cases) < 40 {
		t.Errorf("%d cases", len(cases))
	}
	base, err := txtar.ParseFile("testdata/base.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range cases {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			want, got := "", refusal(t, base, a)
			for i, f := range a.Files {
				if f.Name == "want" {
					want = string(f.Data)
					a.Files[i].Data = []byte(got)
				}
			}
			if got == "" {
				t.Fatal("the files are accepted")
			}
			if *update && got != want {
				if err := os.WriteFile(name, txtar.Format(a), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
		})
	}
}

// refusal loads the archive and returns the errors as printed, "" if there
// are none.
func refusal(t *testing.T, base, a *txtar.Archive) string {
	t.Helper()
	files := fstest.MapFS{}
	for _, f := range append(append([]txtar.File{}, base.Files...), a.Files...) {
		if f.Name != "want" {
			files[f.Name] = &fstest.MapFile{Data: unquote(f.Data)}
		}
	}
	c := catalog(t)
	if sub, err := fs.Sub(files, "schemas"); err == nil {
		if err := c.Add(sub); err != nil {
			t.Fatal(err)
		}
	}
	set, err := rules.Load(files, rules.Options{Catalog: c})
	if err == nil {
		for _, f := range a.Files {
			if strings.HasPrefix(filepath.Base(f.Name), "feed") {
				if _, err = rules.LoadFeed(files, f.Name, set); err != nil {
					break
				}
			}
		}
	}
	if err == nil {
		return ""
	}
	if _, ok := errors.AsType[rules.ErrorList](err); !ok {
		t.Fatalf("no ErrorList: %v", err)
	}
	return err.Error() + "\n"
}

// unquote lets cases hold bytes that txtar files cannot show: a line
// "!bytes" at the top turns \x00-like escapes into bytes.
func unquote(data []byte) []byte {
	rest, ok := bytes.CutPrefix(data, []byte("!bytes\n"))
	if !ok {
		return data
	}
	r := strings.NewReplacer(`\xff`, "\xff", `\x00`, "\x00", `\t`, "\t", `\r`, "\r", `\ufeff`, "\ufeff")
	return []byte(r.Replace(string(rest)))
}
