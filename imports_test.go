// Package millrace_test holds what concerns the repository as a whole.
package millrace_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/millrace-io/millrace"

// pipeline is the only direction in which imports run: a package may import those of its own folder and of the
// folders before it. bench and e2e stand outside: they may import all of them, and none of them imports those.
var pipeline = []string{"schemas", "rules", "processors", "topologies", "cmd"}

// owners says which folders alone may import a library, so that what it does stays behind one boundary.
var owners = map[string]string{
	"github.com/lovoo/goka":            "topologies",
	"github.com/IBM/sarama":            "topologies",
	"github.com/twmb/franz-go/pkg/kgo": "topologies",
	"github.com/riferrei/srclient":     "schemas/registry",
	"github.com/linkedin/goavro":       "schemas",
	"github.com/twmb/avro":             "schemas",
	"github.com/expr-lang/expr":        "rules",
}

// impure is what rules and processors must not import. Of Kafka and registry clients they must not even contain a
// trace through others (see violations).
var impure = []string{"log", "net", "os", "math/rand", "crypto/rand", "database/sql", "plugin", "syscall"}

// listed is one package of `go list -json`.
type listed struct {
	ImportPath string
	Imports    []string // of the package itself, tests not counted
	Deps       []string // with everything that those import
}

func TestImportsRunOneWay(t *testing.T) {
	packages, err := list()
	if err != nil {
		t.Fatal(err)
	}
	if len(packages) == 0 {
		t.Fatal("go list found no package")
	}
	for _, v := range violations(packages) {
		t.Error(v)
	}
}

// TestImportsAreJudged shows that violations finds what it is there for.
func TestImportsAreJudged(t *testing.T) {
	for _, c := range []struct {
		name string
		in   listed
		want string // part of the only violation; "" = none
	}{
		{"backwards", listed{ImportPath: module + "/rules", Imports: []string{module + "/processors"}}, "processors"},
		{"backwards from below", listed{ImportPath: module + "/schemas/registry", Imports: []string{module + "/topologies"}}, "topologies"},
		{"forwards", listed{ImportPath: module + "/topologies", Imports: []string{module + "/schemas", module + "/topologies/kafka", "net"}}, ""},
		{"bench in the pipeline", listed{ImportPath: module + "/topologies", Imports: []string{module + "/bench/workload"}}, "bench"},
		{"bench imports anything", listed{ImportPath: module + "/bench", Imports: []string{module + "/topologies", "github.com/lovoo/goka"}}, ""},
		{"library of another", listed{ImportPath: module + "/cmd/millrace", Imports: []string{"github.com/lovoo/goka/storage"}}, "goka"},
		{"registry client", listed{ImportPath: module + "/schemas", Imports: []string{"github.com/riferrei/srclient"}}, "srclient"},
		{"registry client at home", listed{ImportPath: module + "/schemas/registry", Imports: []string{"github.com/riferrei/srclient"}}, ""},
		{"clock and network", listed{ImportPath: module + "/processors/window", Imports: []string{"net/http"}}, "net/http"},
		{"logger", listed{ImportPath: module + "/rules", Imports: []string{"log/slog"}}, "log/slog"},
		{"Kafka through others", listed{ImportPath: module + "/processors", Deps: []string{"github.com/IBM/sarama"}}, "sarama"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := violations([]listed{c.in})
			switch {
			case c.want == "" && len(got) > 0:
				t.Errorf("unexpected: %v", got)
			case c.want != "" && (len(got) != 1 || !strings.Contains(got[0], c.want)):
				t.Errorf("got %q, want one with %q", got, c.want)
			}
		})
	}
}

// violations judges every package of the module; the others of the list are ignored.
func violations(packages []listed) []string {
	var out []string
	for _, p := range packages {
		folder, ok := within(p.ImportPath, module)
		if !ok {
			continue
		}
		stage := slices.Index(pipeline, top(folder))
		for _, imported := range p.Imports {
			if to, ok := within(imported, module); ok {
				if stage >= 0 && (slices.Index(pipeline, top(to)) < 0 || slices.Index(pipeline, top(to)) > stage) {
					out = append(out, fmt.Sprintf("%s imports %s: imports run %s only", folder, to, strings.Join(pipeline, " <- ")))
				}
				continue
			}
			if stage < 0 {
				continue
			}
			for library, owner := range owners {
				_, is := within(imported, library)
				if _, owned := within(folder, owner); is && !owned {
					out = append(out, fmt.Sprintf("%s imports %s, which only %s may", folder, imported, owner))
				}
			}
		}
		if top(folder) == "rules" || top(folder) == "processors" {
			out = append(out, impurities(folder, p)...)
		}
	}
	slices.Sort(out)
	return out
}

func impurities(folder string, p listed) []string {
	var out []string
	for _, imported := range p.Imports {
		for _, no := range impure {
			if _, is := within(imported, no); is {
				out = append(out, fmt.Sprintf("%s imports %s: it has to be pure", folder, imported))
			}
		}
	}
	for _, dep := range p.Deps {
		for _, no := range []string{"github.com/lovoo/goka", "github.com/IBM/sarama", "github.com/twmb/franz-go", "github.com/riferrei/srclient"} {
			if _, is := within(dep, no); is {
				out = append(out, fmt.Sprintf("%s contains %s: it has to be pure", folder, dep))
			}
		}
	}
	return out
}

// within says whether path is the folder or lies below it (a major version suffix counts as below), and the rest.
func within(path, folder string) (rest string, ok bool) {
	rest, ok = strings.CutPrefix(path, folder)
	if !ok || rest != "" && rest[0] != '/' {
		return "", false
	}
	return strings.TrimPrefix(rest, "/"), true
}

// top is the first folder of a path.
func top(folder string) string {
	first, _, _ := strings.Cut(folder, "/")
	return first
}

// list asks the go command for all packages of the module.
func list() ([]listed, error) {
	cmd := exec.Command("go", "list", "-e", "-json=ImportPath,Imports,Deps", "./...")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	text, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w\n%s", err, &stderr)
	}
	var packages []listed
	for dec := json.NewDecoder(bytes.NewReader(text)); ; {
		var p listed
		switch err := dec.Decode(&p); {
		case errors.Is(err, io.EOF):
			return packages, nil
		case err != nil:
			return nil, fmt.Errorf("go list printed something else: %w", err)
		}
		packages = append(packages, p)
	}
}
