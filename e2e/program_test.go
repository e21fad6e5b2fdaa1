//go:build unix

package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// root is the repository, seen from this package.
const root = ".."

// built is the binary under test, made when a test first needs it.
var built = struct {
	sync.Once
	dir string
	err error
}{}

func TestMain(m *testing.M) {
	if os.Getenv(brokerVariable) != "" {
		fmt.Fprintln(os.Stderr, serveBroker())
		os.Exit(1)
	}
	code := m.Run()
	if built.dir != "" {
		_ = os.RemoveAll(built.dir)
	}
	os.Exit(code)
}

// millrace gives the path of millrace, built from the sources at hand.
func millrace(t *testing.T) string {
	t.Helper()
	built.Do(func() {
		//nolint:usetesting // all tests share the binary: it must outlive the first one, TestMain removes it
		if built.dir, built.err = os.MkdirTemp("", "millrace-e2e-"); built.err != nil {
			return
		}
		built.err = errors.Join(noteSources(), run(root, "go", "build", "-o", filepath.Join(built.dir, "millrace"), "./cmd/millrace"))
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	return filepath.Join(built.dir, "millrace")
}

// noteSources looks at what the binary is made of and reads, so that `go test` does not take a result from before a
// change for good: it caches by the files that the test process itself looks at.
func noteSources() error {
	for _, dir := range []string{"cmd", "schemas", "rules", "processors", "topologies", "testdata"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(_ string, _ fs.DirEntry, err error) error { return err })
		if err != nil {
			return err
		}
	}
	return nil
}

// run runs a command whose output matters only when it fails.
func run(dir, name string, args ...string) error {
	c := exec.Command(name, args...)
	c.Dir = dir
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(c.Args, " "), err, out)
	}
	return nil
}

// long skips a test that `make test` has no time or no servers for.
func long(t *testing.T) {
	t.Helper()
	if os.Getenv("MILLRACE_E2E") == "" {
		t.Skip("runs in make e2e")
	}
}

// patience bounds every wait: machines that run tests are busy.
const patience = 4 * time.Minute

// transcript keeps what a process prints.
type transcript struct {
	mu      sync.Mutex
	text    bytes.Buffer
	changed chan struct{}
}

func newTranscript() *transcript { return &transcript{changed: make(chan struct{}, 1)} }

// Write implements io.Writer.
func (s *transcript) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case s.changed <- struct{}{}:
	default:
	}
	return s.text.Write(b)
}

func (s *transcript) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// program is a millrace that runs.
type program struct {
	cmd      *exec.Cmd
	out, err *transcript
	done     chan struct{} // closed when it has ended
	end      error         // how, after done
}

// start starts a command in a directory. The test's end ends it.
func start(t *testing.T, dir, name string, args ...string) *program {
	t.Helper()
	p := &program{cmd: exec.Command(name, args...), out: newTranscript(), err: newTranscript(), done: make(chan struct{})}
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = dir, p.out, p.err
	bind(p.cmd)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.end = p.cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("%s:\n%s%s", strings.Join(args, " "), tail(p.out.String()), tail(p.err.String()))
		}
	})
	return p
}

// tail is the end of a text.
func tail(s string) string { return s[max(0, len(s)-4000):] }

// await waits until what the program has printed to a stream is as ready wants it.
func (p *program) await(t *testing.T, s *transcript, what string, ready func(text string) bool) {
	t.Helper()
	late := time.After(patience)
	for !ready(s.String()) {
		select {
		case <-s.changed:
		case <-p.done:
			if ready(s.String()) {
				return
			}
			t.Fatalf("it has ended (%v) without %s:\n%s", p.end, what, tail(p.err.String()))
		case <-late:
			t.Fatalf("no %s after %v", what, patience)
		}
	}
}

// kill ends the program, and what it has started, at once, as a crash does.
func (p *program) kill() {
	p.signal(syscall.SIGKILL) //nolint:errcheck // it may have ended
	<-p.done
}

// signal reaches the program and what it has started, as Ctrl-C does.
func (p *program) signal(s syscall.Signal) error { return syscall.Kill(-p.cmd.Process.Pid, s) }

// stop asks the program to end, as Ctrl-C does, and gives its exit code.
func (p *program) stop(t *testing.T) int {
	t.Helper()
	if err := p.signal(syscall.SIGINT); err != nil && !errors.Is(err, syscall.ESRCH) {
		t.Fatal(err)
	}
	select {
	case <-p.done:
	case <-time.After(patience):
		t.Fatalf("it does not end within %v of an interrupt", patience)
	}
	return p.cmd.ProcessState.ExitCode()
}

// command runs millrace to its end and gives what it printed to standard output.
func command(t *testing.T, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c := exec.CommandContext(ctx, millrace(t), args...)
	c.Dir = root
	var stderr bytes.Buffer
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		t.Fatalf("millrace %s: %v\n%s%s", strings.Join(args, " "), err, tail(string(out)), tail(stderr.String()))
	}
	return string(out)
}

// servers are a broker and a registry.
type servers struct {
	Kafka    string `json:"kafka"` // bootstrap servers, comma-separated
	Registry string `json:"registry"`
}

// dev starts `millrace dev` on free ports and gives its addresses.
func dev(t *testing.T, args ...string) (*program, servers) {
	t.Helper()
	const free = "127.0.0.1:0"
	p := start(t, root, millrace(t), append([]string{"dev", "--output", "json", "--kafka", free, "--registry", free, "--http", free}, args...)...)
	var s servers
	p.await(t, p.out, "addresses", func(text string) bool { return json.Unmarshal([]byte(text), &s) == nil })
	return p, s
}

// dev plays the month and returns when dev says that everything is processed.
func (m *month) dev(t *testing.T, args ...string) (*program, servers) {
	t.Helper()
	args = append([]string{"--rules", m.rules, "--feed", m.feed}, args...)
	if m.input != "" {
		args = append(args, "--input", m.input)
	}
	p, s := dev(t, args...)
	p.await(t, p.err, "word that everything is processed", func(text string) bool { return strings.Contains(text, "all are processed") })
	return p, s
}
