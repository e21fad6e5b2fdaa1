//go:build unix

package e2e_test

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"github.com/millrace-io/millrace/bench/topics"
	"github.com/millrace-io/millrace/e2e/realkafka"
)

// embeddedServers starts a broker and a registry in this process.
func embeddedServers(t *testing.T) servers {
	t.Helper()
	cluster, err := embeddedCluster()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	registry := srfake.New()
	t.Cleanup(registry.Close)
	return servers{strings.Join(cluster.ListenAddrs(), ","), registry.URL()}
}

// realServers starts an Apache Kafka and a registry.
func realServers(t *testing.T) servers {
	t.Helper()
	s, _ := realServersPid(t)
	return s
}

// realServersPid also gives the process id of the broker.
func realServersPid(t *testing.T) (s servers, pid int) {
	t.Helper()
	t.Setenv("KAFKA_PROPS", "log.retention.ms=-1") // the month is long over
	c := realkafka.Start(t, 1)
	return servers{c.Addr, c.Registry}, c.Pids()[0]
}

// separateServers starts an embedded broker in a process of its own, and a registry.
func separateServers(t *testing.T) (s servers, pid int) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := start(t, ".", "env", brokerVariable+"=yes", self)
	p.await(t, p.out, "addresses", func(text string) bool { return strings.HasSuffix(text, "\n") })
	registry := srfake.New()
	t.Cleanup(registry.Close)
	return servers{strings.TrimSpace(p.out.String()), registry.URL()}, p.cmd.Process.Pid
}

// brokerVariable makes the test's binary an embedded broker that runs until it is killed.
const brokerVariable = "MILLRACE_E2E_BROKER"

func serveBroker() error {
	cluster, err := embeddedCluster()
	if err != nil {
		return err
	}
	fmt.Println(strings.Join(cluster.ListenAddrs(), ","))
	select {}
}

func embeddedCluster() (*kfake.Cluster, error) {
	return kfake.NewCluster(kfake.NumBrokers(3), kfake.GroupMinSessionTimeout(500*time.Millisecond),
		kfake.BrokerConfigs(map[string]string{"log.retention.ms": "-1"})) // the month is long over
}

// writeRules puts files of rules and schemas into a directory.
func writeRules(t *testing.T, files map[string]string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// prepare makes the topics that rules need and registers their schemas, as an operator would, and gives the schema ids by
// stream.
func (s servers) prepare(t *testing.T, rules string, partitions int) map[string]uint32 {
	t.Helper()
	command(t, "topics", "apply", "--brokers", s.Kafka, "--rules", rules, "--partitions", fmt.Sprint(partitions), "--replication", "1")
	var registered []struct {
		ID     uint32 `json:"id"`
		Stream string `json:"stream"`
	}
	out := command(t, "schemas", "register", "--registry", s.Registry, "--rules", rules, "--output", "json")
	if err := json.Unmarshal([]byte(out), &registered); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	ids := map[string]uint32{}
	for _, r := range registered {
		ids[r.Stream] = r.ID
	}
	return ids
}

// worker is a `millrace run` that can be killed and started again, with the same name and state.
type worker struct {
	*program
	args []string
	http string // address of its metrics
}

func (s servers) worker(t *testing.T, instance, rules, guarantee string, more ...string) *worker {
	t.Helper()
	w := &worker{http: freeAddress(t)}
	w.args = append([]string{
		"run", "--brokers", s.Kafka, "--registry", s.Registry, "--rules", rules, "--instance", instance, "--guarantee", guarantee,
		"--state", filepath.Join(t.TempDir(), instance), "--replication", "1", "--http", w.http, "--log-level", "warn",
	}, more...)
	w.start(t)
	return w
}

// freeAddress is one that nobody listens at.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// get asks the worker's web server.
func (w *worker) get(t *testing.T, path string) (status int, body string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+w.http+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	a, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, err.Error() // it does not listen yet, or has ended
	}
	defer a.Body.Close()
	b, err := io.ReadAll(a.Body)
	if err != nil {
		t.Fatal(err)
	}
	return a.StatusCode, string(b)
}

// ready waits until the worker has its partitions and their state.
func (w *worker) ready(t *testing.T) {
	t.Helper()
	for late := time.After(patience); ; {
		status, body := w.get(t, "/readyz")
		if status == http.StatusOK {
			return
		}
		select {
		case <-w.done:
			t.Fatalf("it has ended (%v):\n%s", w.end, tail(w.err.String()))
		case <-late:
			t.Fatalf("not ready after %v: %s", patience, body)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// metric gives the values of a metric by their labels, as text.
func (w *worker) metric(t *testing.T, name string) map[string]float64 {
	t.Helper()
	status, body := w.get(t, "/metrics")
	if status != http.StatusOK {
		t.Fatalf("/metrics: %d %s", status, body)
	}
	out := map[string]float64{}
	for line := range strings.Lines(body) {
		rest, ok := strings.CutPrefix(line, name+"{")
		if !ok {
			continue
		}
		labels, value, _ := strings.Cut(rest, "} ")
		n, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		out["{"+labels+"}"] = n
	}
	return out
}

func (w *worker) start(t *testing.T) { w.program = start(t, root, millrace(t), w.args...) }

// fed are the records that a feed has written, by their times.
func (m *month) fed(t *testing.T, s servers) []*kgo.Record {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var out []*kgo.Record
	var names []string
	for _, stream := range m.sources {
		names = append(names, topicOf(stream))
	}
	err := follow(t, s, names, func(e *event) error {
		out = append(out, e.Record)
		return nil
	}).toEnd(ctx)
	if err != nil {
		t.Fatal(err)
	}
	slices.SortStableFunc(out, func(a, b *kgo.Record) int { return a.Timestamp.Compare(b.Timestamp) })
	return out
}

// producer writes records to a cluster with the ids that its registry has given, by stream. It keeps the order within a key.
type producer struct {
	*kgo.Client
	ids  map[string]uint32
	mu   sync.Mutex
	errs error
}

func (s servers) producer(t *testing.T, ids map[string]uint32) *producer {
	t.Helper()
	client, err := topics.Client(strings.Split(s.Kafka, ",")) // its partitioner is Java's
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return &producer{Client: client, ids: ids}
}

// send writes records byte for byte, apart from the schema's id.
func (p *producer) send(ctx context.Context, records []*kgo.Record) {
	for _, r := range records {
		value := slices.Clone(r.Value)
		binary.BigEndian.PutUint32(value[1:], p.ids[strings.TrimPrefix(r.Topic, topicOf(""))])
		p.Produce(ctx, &kgo.Record{Topic: r.Topic, Key: r.Key, Value: value, Headers: r.Headers, Timestamp: r.Timestamp}, func(_ *kgo.Record, err error) {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.errs = errors.Join(p.errs, err)
		})
	}
}

// flush waits until everything sent is written.
func (p *producer) flush(ctx context.Context) error {
	return errors.Join(p.Flush(ctx), p.errs)
}

// job is a month processed by workers, with kills in between.
type job struct {
	workers, partitions int
	guarantee           string
	kills               int
}

func (j job) String() string {
	return fmt.Sprintf("%d workers, %d partitions, %s, %d kills", j.workers, j.partitions, j.guarantee, j.kills)
}

// wholePace lets all that is due after a backlog come at once.
const wholePace = "1000000"

// run processes the month, which is there before, and holds the answers against those of another run.
func (j job) run(t *testing.T, s servers, m *month, sources []*kgo.Record, first *answers) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	r := j.prepare(t, s, m)
	r.give(ctx, t, sources)
	r.startWorkers(t, "--pace", wholePace)
	for i := range j.kills { // between two of the equal parts of what comes out
		middle := m.derived() * (i + 1) / (j.kills + 1)
		if err := r.until(ctx, func() bool { return r.answers.derived() > middle }); err != nil {
			t.Fatalf("after %d kills, %d records: %v", i, r.answers.read, err)
		}
		r.restart(t, i)
	}
	r.finish(ctx, t, first)
}

// running is a job on its way.
type running struct {
	job
	servers
	month   *month
	begin   time.Time
	workers []*worker
	answers *answers
	*producer
	*follower
}

// prepare makes topics and schemas.
func (j job) prepare(t *testing.T, s servers, m *month) *running {
	t.Helper()
	r := &running{job: j, servers: s, month: m, begin: time.Now()}
	r.producer = s.producer(t, s.prepare(t, m.rules, j.partitions))
	r.answers = newAnswers(m, j.guarantee == "at_least_once" && j.kills > 0)
	r.answers.rest = true
	r.follower = follow(t, s, m.topics(), r.answers.add)
	return r
}

// give writes source records.
func (r *running) give(ctx context.Context, t *testing.T, sources []*kgo.Record) {
	t.Helper()
	r.send(ctx, sources)
	if err := r.flush(ctx); err != nil {
		t.Fatal(err)
	}
}

func (r *running) startWorkers(t *testing.T, args ...string) {
	t.Helper()
	for i := range r.job.workers {
		r.workers = append(r.workers, r.worker(t, fmt.Sprint("worker-", i), r.month.rules, r.guarantee, args...))
	}
}

// restart kills one of the workers, each in its turn, and starts it again.
func (r *running) restart(t *testing.T, turn int) {
	t.Helper()
	w := r.workers[turn%len(r.workers)]
	w.kill()
	t.Logf("worker %d killed after %d of %d derived records were read", turn%len(r.workers), r.answers.derived(), r.month.derived())
	w.start(t)
}

// finish waits for all answers and holds them against what is expected, and those of another run.
func (r *running) finish(ctx context.Context, t *testing.T, first *answers) {
	t.Helper()
	if err := r.until(ctx, r.answers.complete); err != nil {
		t.Errorf("not everything came: %v", err)
	}
	for _, w := range r.workers {
		if code := w.stop(t); code != 0 {
			t.Errorf("exit code %d after an interrupt", code)
		}
	}
	rest, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := r.toEnd(rest); err != nil {
		t.Fatal(err)
	}
	noDead(t, r.servers)
	r.answers.right(t)
	r.answers.same(t, first)
	t.Logf("%d records, %d repeated, in %.1f s", r.answers.read, r.answers.repeated, time.Since(r.begin).Seconds())
}

// derived is how many records rules must write.
func (m *month) derived() (n int) {
	for stream, records := range m.want {
		if !slices.Contains(m.sources, stream) {
			n += len(records)
		}
	}
	return n
}

// derived is how many records have been read of streams that rules write.
func (a *answers) derived() int {
	n := a.read
	for _, stream := range a.month.sources {
		n -= len(a.records[stream])
	}
	return n
}

// played plays a month in dev and gives what came out and what went in.
func played(t *testing.T, m *month) (first *answers, sources []*kgo.Record) {
	t.Helper()
	p, s := m.dev(t, "--partitions", "1")
	first, sources = answersOf(t, m, s), m.fed(t, s)
	first.right(t)
	p.stop(t)
	return first, sources
}

// Workers on a broker of their own give dev's answers, also when they are killed in the middle.
func TestKilledWorkers(t *testing.T) {
	m := invented(t)
	first, sources := played(t, m)
	for _, j := range []job{{2, 4, "exactly_once", 4}, {2, 4, "at_least_once", 4}} {
		t.Run(j.String(), func(t *testing.T) { j.run(t, embeddedServers(t), m, sources, first) })
	}
}

// The same on a real Kafka.
func TestRealKafka(t *testing.T) {
	long(t)
	m := invented(t)
	first, sources := played(t, m)
	for _, j := range []job{{1, 4, "exactly_once", 0}, {2, 12, "at_least_once", 0}, {2, 4, "exactly_once", 4}, {2, 4, "at_least_once", 4}} {
		t.Run(j.String(), func(t *testing.T) { j.run(t, realServers(t), m, sources, first) })
	}
}

func TestRealKafkaNovember(t *testing.T) {
	long(t)
	m := november(t)
	first, sources := played(t, m)
	for _, j := range []job{{2, 12, "exactly_once", 4}} {
		t.Run(j.String(), func(t *testing.T) { j.run(t, realServers(t), m, sources, first) })
	}
}
