package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
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
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			for _, v := range []string{"NO_COLOR=1", "TZ=UTC"} {
				k, v, _ := strings.Cut(v, "=")
				e.Setenv(k, v)
			}
			if err := os.Symlink(root, filepath.Join(e.WorkDir, "shop")); err != nil { // for the shipped rules
				return err
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
			"playing":    scriptPlaying,
			"id":         scriptID,
			"header":     scriptHeader,
			"plain":      scriptPlain,
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

// scriptPlaying runs dev beside the script, and waits until all of its feed is processed: playing ARG...
// Commands then find its broker and registry.
func scriptPlaying(ts *testscript.TestScript, _ bool, args []string) {
	c := exec.Command("millrace", append([]string{"dev", "--kafka", "127.0.0.1:0", "--registry", "127.0.0.1:0", "--http", "127.0.0.1:0"}, args...)...)
	c.Dir = ts.MkAbs(".")
	out, err := c.StdoutPipe()
	ts.Check(err)
	problems, err := c.StderrPipe()
	ts.Check(err)
	ts.Check(c.Start())
	ts.Defer(func() {
		c.Process.Signal(os.Interrupt) //nolint:errcheck // then it has ended
		c.Wait()                       //nolint:errcheck // so it was meant
	})
	where := map[string]string{"broker": "MILLRACE_BROKERS", "registry": "MILLRACE_REGISTRY"}
	lines := bufio.NewScanner(out)
	for _, name := range []string{"broker", "registry"} {
		if lines.Scan(); !strings.HasPrefix(lines.Text(), name) {
			why, _ := io.ReadAll(problems)
			ts.Fatalf("%q does not say where the %s is: %s", lines.Text(), name, why)
		}
		ts.Setenv(where[name], strings.TrimSpace(strings.TrimPrefix(lines.Text(), name)))
	}
	for lines = bufio.NewScanner(problems); lines.Scan(); {
		if strings.Contains(lines.Text(), "all are processed") {
			go io.Copy(io.Discard, problems) //nolint:errcheck // it ends with the process
			return
		}
		ts.Logf("%s", lines.Text())
	}
	ts.Fatalf("dev has ended")
}

// scriptID waits for the first event of a stream that meets a condition, and puts its id into a variable: id VARIABLE STREAM CONDITION
func scriptID(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(ts.Exec("millrace", "tail", args[1], "--from", "beginning", "-n", "1", "--where", args[2], "--output", "json"))
	var record struct {
		Value struct {
			ID string `json:"event_id"`
		}
	}
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &record))
	ts.Setenv(args[0], record.Value.ID)
}

// scriptHeader puts the ce_id of a topic's first record, which it waits for, or that of the first deletion there into a variable:
// header VARIABLE TOPIC [deletion]
func scriptHeader(ts *testscript.TestScript, _ bool, args []string) {
	which := "-n=1"
	if len(args) > 2 {
		which = "--no-follow"
	}
	ts.Check(ts.Exec("millrace", "tail", args[1], "--from", "beginning", which, "--output", "json"))
	for line := range strings.Lines(ts.ReadFile("stdout")) {
		var record struct {
			Value   json.RawMessage
			Headers struct {
				ID string `json:"ce_id"`
			}
		}
		ts.Check(json.Unmarshal([]byte(line), &record))
		if len(args) < 3 || string(record.Value) == "null" {
			ts.Setenv(args[0], record.Headers.ID)
			return
		}
	}
	ts.Fatalf("no such record in %s", args[1])
}

// scriptPlain writes the last output to a file, without what is not the same every time: ids are numbered as they come; offsets of
// derived events, which share them with the markers of transactions, and versions of rules are left out: plain FILE
func scriptPlain(ts *testscript.TestScript, _ bool, args []string) {
	ids := map[string]string{}
	text := regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`).ReplaceAllStringFunc(ts.ReadFile("stdout"), func(id string) string {
		if ids[id] == "" {
			ids[id] = fmt.Sprintf("id-%d", len(ids)+1)
		}
		return ids[id]
	})
	text = regexp.MustCompile(`(context\.(?:inventory|preference|risk)\.\w+/\d|acc\.(?:alerts|counts|members|busy|bare)/\d)@\d+`).ReplaceAllString(text, "$1@…")
	text = regexp.MustCompile(`version [0-9a-f]{16}`).ReplaceAllString(text, "version …")
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text), 0o644))
}
