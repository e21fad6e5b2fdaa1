package rules_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/millrace-io/millrace/rules"
)

// codesOf loads files over the base and returns the codes of all errors.
func codesOf(t *testing.T, fsys fs.FS) []string {
	t.Helper()
	_, err := rules.Load(fsys, rules.Options{Catalog: catalog(t)})
	if err == nil {
		return nil
	}
	var list rules.ErrorList
	if !errors.As(err, &list) {
		t.Fatalf("no ErrorList: %v", err)
	}
	var codes []string
	for _, e := range list {
		codes = append(codes, e.Code)
	}
	return codes
}

func TestFileLimits(t *testing.T) {
	many := strings.Repeat("  - {name: a, x: 1, y: 2}\n", 900)
	for _, c := range []struct {
		name  string
		files fstest.MapFS
		code  string
		last  bool
	}{
		{"larger than 1 MiB", fstest.MapFS{"r/r.yaml": {Data: make([]byte, 1<<20+1)}}, "E601", false},
		{"device", fstest.MapFS{"r/r.yaml": {Mode: fs.ModeDevice}}, "E101", false},
		{"pipe", fstest.MapFS{"r/r.yaml": {Mode: fs.ModeNamedPipe}}, "E101", false},
		{"1,001 rules", fstest.MapFS{"r/r.yaml": {Data: []byte("domain: r\nrules:\n" + strings.Repeat("  - {}\n", 1001))}}, "E603", false},
		{"thousands of errors", fstest.MapFS{"r/r.yaml": {Data: []byte("domain: r\nrules:\n" + many)}}, "E609", true},
		{"flow nested 20,000 deep", fstest.MapFS{"r/r.yaml": {Data: []byte("domain: r\nrules: " + strings.Repeat("[", 20_000))}}, "E103", false},
		{"alias bomb", fstest.MapFS{"r/r.yaml": {Data: []byte(bomb())}}, "E104", false},
		{"UTF-16", fstest.MapFS{"r/r.yaml": {Data: []byte("\xff\xfed\x00o\x00")}}, "E102", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			start := time.Now()
			codes := codesOf(t, c.files)
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("took %v", took)
			}
			if len(codes) == 0 || len(codes) > 1001 {
				t.Fatalf("%d errors", len(codes))
			}
			got := codes[0]
			if c.last {
				got = codes[len(codes)-1]
			}
			if got != c.code {
				t.Errorf("code %s, want %s", got, c.code)
			}
		})
	}
}

// bomb is a billion laughs.
func bomb() string {
	var b strings.Builder
	b.WriteString("a: &a [x,x,x,x,x,x,x,x,x]\n")
	for c := 'b'; c < 'j'; c++ {
		fmt.Fprintf(&b, "%c: &%c [*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c]\n", c, c, c-1, c-1, c-1, c-1, c-1, c-1, c-1, c-1, c-1)
	}
	return b.String()
}

// TestFilesOfADirectory: what is read, what is left out, and that a link as
// Kubernetes makes it works, while one to nothing is an error.
func TestFilesOfADirectory(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		name = filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("..2026/streams.yaml", "\ufeffdomain: x\r\nstreams:\r\n  a: {topic: x.a, schema: commerce.Purchase}\r\n")
	write("x/README.md", "no rules")
	write("x/a_test.yaml", "tests: wrong")
	write("x/feed.yaml", "feed: f\nwhatever: 1\n")
	write("testdata/bad.yaml", "bad")
	write("schemas/x/bad.yaml", "bad")
	write(".git/bad.yaml", "bad")
	if err := os.Symlink("../..2026/streams.yaml", filepath.Join(dir, "x", "streams.yaml")); err != nil {
		t.Skip(err)
	}
	set, err := rules.Load(os.DirFS(dir), rules.Options{Catalog: catalog(t)})
	if err != nil {
		t.Fatal(err)
	}
	if set.Stream("x.a") == nil || len(set.Streams) != 1 {
		t.Errorf("streams %v", set.Streams)
	}
	if err := os.Symlink("nowhere", filepath.Join(dir, "x", "b.yaml")); err != nil {
		t.Fatal(err)
	}
	if codes := codesOf(t, os.DirFS(dir)); len(codes) != 1 || codes[0] != "E101" {
		t.Errorf("a link to nothing: %v", codes)
	}
}
