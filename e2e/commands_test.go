//go:build unix

package e2e_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// clone makes a fresh clone of what is committed, and gives where it is and the environment of somebody who has never
// built it. The modules are there: how fast they come is the network's matter.
func clone(t *testing.T) (dir string, env []string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "millrace")
	if err := run(root, "git", "clone", "--quiet", ".", dir); err != nil {
		t.Fatal(err)
	}
	return dir, []string{"GOCACHE=" + filepath.Join(t.TempDir(), "cache")}
}

// In a fresh clone one command builds millrace and runs the shipped rules on a month of purchases, within two minutes.
func TestMakeRunOnce(t *testing.T) {
	long(t)
	dir, env := clone(t)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	begin := time.Now()
	c := exec.CommandContext(ctx, "make", "run", "ARGS=--once")
	c.Dir, c.Env = dir, append(c.Environ(), env...)
	bind(c)
	c.Cancel = func() error { return syscall.Kill(-c.Process.Pid, syscall.SIGKILL) }
	var stderr bytes.Buffer
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		t.Fatalf("%v\n%s%s", err, out, tail(stderr.String()))
	}
	took := time.Since(begin)
	cpu := c.ProcessState.UserTime() + c.ProcessState.SystemTime()
	t.Logf("%.1f s, of CPU time %.1f s\n%s", took.Seconds(), cpu.Seconds(), out)
	switch load := load(); {
	case took > 2*time.Minute && load > 3*float64(runtime.NumCPU()):
		t.Logf("that is over two minutes, but the machine has %.0f other things to do", load)
	case took > 2*time.Minute:
		t.Error("that is over two minutes")
	}
	got := table(string(out))
	for stream := range november(t).want {
		row := got[stream]
		if len(row) != 4 || row[0] == "0" || row[1] != "0" {
			t.Errorf("%s: %v: want records and no dead ones", stream, row)
		}
	}
	if n := got["commerce.purchases"]; n != nil && n[0] != "84,711" {
		t.Errorf("%s purchases", n[0])
	}
	clean, err := exec.CommandContext(ctx, "git", "-C", dir, "status", "--porcelain").CombinedOutput()
	if err != nil || len(clean) > 0 {
		t.Errorf("the clone is not clean any more: %v\n%s", err, clean)
	}
}

// load is how many processes have wanted to run in the last minute; 0 where that is not known.
func load() float64 {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return 0
	}
	var n float64
	fmt.Sscan(string(text), &n) //nolint:errcheck // then it is 0
	return n
}

// table reads the first table of a text: by the first column, the others.
func table(text string) map[string][]string {
	rows := map[string][]string{}
	_, text, _ = strings.Cut(text, "\nstream ")
	text, _, _ = strings.Cut(text, "\n\n")
	for line := range strings.Lines(text) {
		if fields := strings.Fields(line); len(fields) > 1 {
			rows[fields[0]] = fields[1:]
		}
	}
	return rows
}

// make run stays until Ctrl-C and says where everything is.
func TestMakeRun(t *testing.T) {
	long(t)
	p := start(t, root, "make", "run")
	where := map[string]string{}
	p.await(t, p.out, "addresses", func(text string) bool {
		for _, name := range []string{"broker", "registry", "page"} {
			m := regexp.MustCompile(`(?m)^` + name + ` +(\S+)$`).FindStringSubmatch(text)
			if m == nil {
				return false
			}
			where[name] = m[1]
		}
		return true
	})
	for _, url := range []string{where["registry"] + "/subjects", where["page"] + "/healthz", where["page"]} {
		a, err := http.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		a.Body.Close()
		if a.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", url, a.Status)
		}
	}
	p.await(t, p.err, "word that everything is processed", func(text string) bool { return strings.Contains(text, "all are processed") })
	connect := func() error {
		c, err := net.Dial("tcp", where["broker"])
		if err == nil {
			c.Close()
		}
		return err
	}
	if err := connect(); err != nil {
		t.Fatal(err)
	}
	p.stop(t)
	if connect() == nil {
		t.Error("the broker is still there")
	}
}

// The graph in the README is that of the shipped rules.
func TestReadmeGraph(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, graph, _ := strings.Cut(string(text), "```mermaid\n")
	graph, _, _ = strings.Cut(graph, "```")
	if want := command(t, "graph", "--rules", "rules", "--format", "mermaid"); strings.TrimSpace(graph) != strings.TrimSpace(want) {
		t.Error("the graph in README.md is not that of the rules: bin/millrace graph --format mermaid")
	}
}
