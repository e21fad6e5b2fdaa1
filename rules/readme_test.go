package rules_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"github.com/millrace-io/millrace/rules"
)

// TestReadmeTables holds the generated parts of README.md: the functions and
// the error index.
func TestReadmeTables(t *testing.T) {
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	want := section(t, string(text), "functions", functionsTable())
	want = section(t, want, "errors", errorsTable())
	if want == string(text) {
		return
	}
	if *update {
		if err := os.WriteFile("README.md", []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Error("README.md is behind the code: go test ./rules -run TestReadme -update")
}

func section(t *testing.T, text, name, table string) string {
	t.Helper()
	from := strings.Index(text, "<!-- "+name+":")
	to := strings.Index(text, "<!-- end of "+name)
	if from < 0 || to < from {
		t.Fatalf("README.md has no section %s", name)
	}
	from += strings.Index(text[from:], "\n") + 1
	return text[:from] + table + text[to:]
}

func functionsTable() string {
	var b strings.Builder
	group := ""
	for _, f := range rules.Functions() {
		if f.Group != group {
			group = f.Group
			fmt.Fprintf(&b, "\n| %s | | example |\n|---|---|---|\n", group)
		}
		fmt.Fprintf(&b, "| `%s` | %s | `%s` is `%s` |\n", f.Signature, f.Doc, f.Example, f.Want)
	}
	return b.String() + "\n"
}

func errorsTable() string {
	var b strings.Builder
	b.WriteString("\n| code | what is wrong | what to do |\n|---|---|---|\n")
	for _, c := range rules.ErrorCodes() {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", c.Code, c.What, c.Do)
	}
	return b.String() + "\n"
}

// TestReadmeExamples loads every YAML example of README.md.
func TestReadmeExamples(t *testing.T) {
	base, err := txtar.ParseFile("testdata/base.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range readmeRules(t) {
		name := "risk/example.yaml"
		switch {
		case strings.Contains(block, "\nstreams:"):
			name = "risk/streams.yaml"
		case strings.HasPrefix(block, "feed:"):
			name = "commerce/feed.yaml"
		}
		a := &txtar.Archive{Files: []txtar.File{{Name: name, Data: []byte(block)}}}
		if refused := refusal(t, base, a); refused != "" {
			t.Errorf("an example is refused:\n%s\n%s", block, refused)
		}
	}
}

// readmeRules returns the YAML examples of README.md.
func readmeRules(t testing.TB) []string {
	t.Helper()
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(text), "```yaml\n")[1:]
	if len(blocks) < 5 {
		t.Fatalf("%d examples", len(blocks))
	}
	for i, block := range blocks {
		blocks[i], _, _ = strings.Cut(block, "```")
	}
	return blocks
}

// TestErrorIndex: every code of codes.go is in the index, and every code of
// the check is shown by a faulty file or, named here, by a test of its own.
func TestErrorIndex(t *testing.T) {
	parsed, err := parser.ParseFile(token.NewFileSet(), "codes.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var codes []string
	ast.Inspect(parsed, func(n ast.Node) bool {
		if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			code, _ := strconv.Unquote(lit.Value)
			codes = append(codes, code)
		}
		return true
	})
	var index []string
	for _, c := range rules.ErrorCodes() {
		index = append(index, c.Code)
	}
	if !slices.IsSorted(index) || !slices.Equal(codes, index) {
		t.Errorf("codes %v\nindex %v", codes, index)
	}
	files, err := filepath.Glob("testdata/errors/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	var shown strings.Builder
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		shown.Write(text)
	}
	elsewhere := []string{"E101", "E601", "E603", "E609"} // TestFileLimits
	for _, code := range index {
		if code < "E7" && !strings.Contains(shown.String(), ": "+code+" ") && !slices.Contains(elsewhere, code) {
			t.Errorf("no faulty file shows %s", code)
		}
	}
}
