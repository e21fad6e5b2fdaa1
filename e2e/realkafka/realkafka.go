// Package realkafka starts an Apache Kafka and a schema registry for tests and benchmarks: real servers on a JVM, on
// 127.0.0.1, through the scripts in e2e/kafka.
package realkafka

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// ErrMissing says that this machine lacks what the servers need (a JVM; Maven for the first start).
var ErrMissing = errors.New("no real Kafka on this machine")

// startTimeout covers a first start, which downloads 170 MB.
const startTimeout = 10 * time.Minute

// Options of Launch. The zero value starts one node without a registry in a temporary directory.
type Options struct {
	Nodes    int      // 1 (default) or 3
	Registry bool     // start a schema registry, too; it keeps its schemas in memory
	Dir      string   // where data and logs go; made if need be, and left behind by Close unless it was ""
	Env      []string // more variables for the scripts, such as KAFKA_PROPS=..., see e2e/kafka/kafka
}

// Cluster is a running Kafka. Its methods are for one goroutine at a time.
type Cluster struct {
	Addr     string // bootstrap servers, comma-separated
	Registry string // base URL of the Confluent API, "" without a registry

	scripts string
	dir     string
	temp    bool
	port    int
	nodes   int
	env     []string
}

// Start gives a test a fresh cluster of one or three nodes and a registry, and stops them at the test's end.
// Where there is no JVM the test is skipped, with CI=true it fails.
func Start(tb testing.TB, nodes int) *Cluster {
	tb.Helper()
	return start(tb, Options{Nodes: nodes, Registry: true})
}

// StartKafka is Start without a registry, which is half of the time and memory.
func StartKafka(tb testing.TB, nodes int) *Cluster {
	tb.Helper()
	return start(tb, Options{Nodes: nodes})
}

func start(tb testing.TB, o Options) *Cluster {
	tb.Helper()
	c, err := Launch(o)
	switch {
	case errors.Is(err, ErrMissing) && os.Getenv("CI") != "true":
		tb.Skip(err)
	case err != nil:
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if tb.Failed() {
			tb.Log(c.Logs())
		}
		if err := c.Close(); err != nil {
			tb.Error(err)
		}
	})
	return c
}

// Launch starts a cluster and returns when clients can connect. The caller closes it; should the process end before,
// the servers stop by themselves.
func Launch(o Options) (*Cluster, error) {
	for _, program := range []string{"bash", "flock", "setsid", "java", "mvn"} {
		if _, err := exec.LookPath(program); err != nil {
			return nil, fmt.Errorf("%w: %s is not on the PATH", ErrMissing, program)
		}
	}
	scripts, err := findScripts()
	if err != nil {
		return nil, err
	}
	c := &Cluster{scripts: scripts, dir: o.Dir, nodes: max(o.Nodes, 1), env: append(os.Environ(), o.Env...)}
	c.env = append(c.env, "MILLRACE_PARENT="+strconv.Itoa(os.Getpid()))
	if c.dir == "" {
		if c.dir, err = os.MkdirTemp("", "millrace-kafka-"); err != nil {
			return nil, err
		}
		c.temp = true
	}
	if err := c.launch(o.Registry); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// launch tries a few ports: between choosing and binding, another process may take one.
func (c *Cluster) launch(registry bool) error {
	var err error
	for range 5 {
		if c.port, err = freePorts(c.nodes); err != nil {
			return err
		}
		if err = c.Restart(); err == nil {
			break
		}
		if !strings.Contains(err.Error(), "is in use") {
			return err
		}
		if err := errors.Join(c.script("kafka", "stop", c.kafkaDir()), os.RemoveAll(c.kafkaDir())); err != nil {
			return err
		}
	}
	if err != nil {
		return err
	}
	addrs := make([]string, c.nodes)
	for i := range addrs {
		addrs[i] = net.JoinHostPort("127.0.0.1", strconv.Itoa(c.port+i))
	}
	c.Addr = strings.Join(addrs, ",")
	if !registry {
		return nil
	}
	port := strconv.Itoa(c.port + registryOffset)
	c.Registry = "http://127.0.0.1:" + port + "/apis/ccompat/v7"
	return c.script("registry", "start", c.registryDir(), port)
}

// Kill ends the given nodes (1, 2, 3; none = all) with SIGKILL: a crash.
func (c *Cluster) Kill(nodes ...int) error {
	if len(nodes) == 0 {
		return c.script("kafka", "kill", c.kafkaDir())
	}
	for _, n := range nodes {
		if err := c.script("kafka", "kill", c.kafkaDir(), strconv.Itoa(n)); err != nil {
			return err
		}
	}
	return nil
}

// Restart starts the nodes that are down, on their old data and ports, and returns when clients can connect.
func (c *Cluster) Restart() error {
	return c.script("kafka", "start", c.kafkaDir(), strconv.Itoa(c.port), strconv.Itoa(c.nodes))
}

// Tool runs one of Kafka's own command classes (org.apache.kafka.tools.TopicCommand, ...) and returns what it printed.
func (c *Cluster) Tool(ctx context.Context, class string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(c.scripts, "kafka"), append([]string{"run", class}, args...)...)
	cmd.Env = c.env
	out, err := cmd.CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("%s: %w: %s", class, err, out)
	}
	return string(out), nil
}

// Pids are the process ids of the Kafka nodes that run.
func (c *Cluster) Pids() []int {
	var pids []int
	for i := range c.nodes {
		text, err := os.ReadFile(filepath.Join(c.kafkaDir(), fmt.Sprintf("node%d", i+1), "pid"))
		if err != nil {
			continue
		}
		if pid, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// Logs are the last lines that the servers logged.
func (c *Cluster) Logs() string {
	files, _ := filepath.Glob(filepath.Join(c.kafkaDir(), "node*", "*.log")) // the pattern is a good one
	var out strings.Builder
	for _, file := range append(files, filepath.Join(c.registryDir(), "registry.log")) {
		text, err := os.ReadFile(file)
		if err != nil || len(text) == 0 {
			continue
		}
		fmt.Fprintf(&out, "--- %s\n%s\n", file, text[max(0, len(text)-4000):])
	}
	return out.String()
}

// Close stops registry and Kafka and removes the directory if Launch had made it up.
func (c *Cluster) Close() error {
	var errs []error
	for name, dir := range map[string]string{"registry": c.registryDir(), "kafka": c.kafkaDir()} {
		if _, err := os.Stat(dir); err == nil {
			// Nothing of it is read again: a crash is as good as a stop, and faster.
			if name == "kafka" && c.temp {
				errs = append(errs, c.script(name, "kill", dir))
			}
			errs = append(errs, c.script(name, "stop", dir))
		}
	}
	if c.temp {
		errs = append(errs, os.RemoveAll(c.dir))
	}
	return errors.Join(errs...)
}

func (c *Cluster) kafkaDir() string    { return filepath.Join(c.dir, "kafka") }
func (c *Cluster) registryDir() string { return filepath.Join(c.dir, "registry") }

func (c *Cluster) script(name string, args ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(c.scripts, name), args...)
	cmd.Env = c.env
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, &stderr)
	}
	return nil
}

// findScripts looks for e2e/kafka in the module that the working directory lies in: tests run in their package's
// folder, programs anywhere below the root.
func findScripts() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		scripts := filepath.Join(dir, "e2e", "kafka")
		if _, err := os.Stat(filepath.Join(scripts, "pom.xml")); err == nil {
			return scripts, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("realkafka: no e2e/kafka above the working directory")
		}
		dir = parent
	}
}

// The controllers listen 100 ports above the brokers (see e2e/kafka/kafka), the registry above those.
const (
	controllerOffset = 100
	registryOffset   = 200
)

// freePorts finds a first port for so many nodes, below the range that the kernel gives to outgoing connections.
func freePorts(nodes int) (int, error) {
	for range 100 {
		port := 20000 + rand.IntN(12000)
		free := canListen(port + registryOffset)
		for i := range nodes {
			free = free && canListen(port+i) && canListen(port+controllerOffset+i)
		}
		if free {
			return port, nil
		}
	}
	return 0, errors.New("realkafka: no free ports between 20000 and 32200")
}

func canListen(port int) bool {
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return false
	}
	l.Close()
	return true
}
