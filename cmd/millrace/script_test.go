package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/twmb/avro"
	"github.com/twmb/avro/ocf"
)

// TestMain lets scripts run the command as a process of its own.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"millrace": main})
}

// TestScript runs testdata/script/*.txtar, each in an empty directory with a project in it: rules for clicks of a web
// shop. What a script doesn't bring itself comes from testdata/project.txtar.
func TestScript(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			for _, v := range []string{"NO_COLOR=1", "TZ=UTC"} {
				k, v, _ := strings.Cut(v, "=")
				e.Setenv(k, v)
			}
			return project(e.WorkDir)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"cluster":    scriptCluster,
			"exit":       scriptExit,
			"await":      scriptAwait,
			"eventually": scriptEventually,
			"address":    scriptAddress,
			"ocf":        scriptOCF,
		},
	})
}

// project writes the rules that scripts start from.
func project(dir string) error {
	return os.CopyFS(dir, os.DirFS("testdata/project"))
}

// scriptCluster starts a broker and a registry, and says where with the variables that commands read.
func scriptCluster(ts *testscript.TestScript, _ bool, _ []string) {
	ctx := context.Background()
	b, err := startBroker(ctx, "127.0.0.1:0", "")
	ts.Check(err)
	ts.Defer(b.close)
	r, err := startRegistry(ctx, "127.0.0.1:0", "")
	ts.Check(err)
	ts.Defer(r.close)
	ts.Setenv("MILLRACE_BROKERS", b.address)
	ts.Setenv("MILLRACE_REGISTRY", r.url)
}

// scriptExit runs a command and wants an exit code: exit CODE COMMAND ARG...
func scriptExit(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exit CODE COMMAND ARG...")
	}
	want := args[0]
	err := ts.Exec(args[1], args[2:]...)
	got := "0"
	if err != nil {
		got = strings.TrimPrefix(err.Error(), "exit status ")
	}
	if got != want {
		ts.Fatalf("exit code %s, want %s", got, want)
	}
}

// scriptAwait waits until a file is there: await FILE
func scriptAwait(ts *testscript.TestScript, _ bool, args []string) {
	for range 500 {
		if _, err := os.Stat(ts.MkAbs(args[0])); err == nil {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	ts.Fatalf("%s does not come", args[0])
}

// scriptEventually runs a command again and again until it ends well: eventually COMMAND ARG...
func scriptEventually(ts *testscript.TestScript, _ bool, args []string) {
	var err error
	for range 500 {
		if err = ts.Exec(args[0], args[1:]...); err == nil {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	ts.Fatalf("%s: %v", strings.Join(args, " "), err)
}

// scriptAddress puts an address that nobody listens at into a variable: address NAME
func scriptAddress(ts *testscript.TestScript, _ bool, args []string) {
	l, err := listen(context.Background(), "127.0.0.1:0", 0)
	ts.Check(err)
	ts.Check(l.Close())
	ts.Setenv(args[0], l.Addr().String())
}

// scriptOCF writes an Avro file from a schema and lines of JSON: ocf FILE SCHEMA JSON
func scriptOCF(ts *testscript.TestScript, _ bool, args []string) {
	schema, err := avro.Parse(ts.ReadFile(args[1]))
	ts.Check(err)
	var out bytes.Buffer
	w, err := ocf.NewWriter(&out, schema)
	ts.Check(err)
	for line := range strings.Lines(ts.ReadFile(args[2])) {
		var v any
		ts.Check(schema.DecodeJSON([]byte(line), &v))
		ts.Check(w.Encode(v))
	}
	ts.Check(w.Close())
	ts.Check(os.WriteFile(filepath.Join(ts.MkAbs("."), args[0]), out.Bytes(), 0o644))
}
