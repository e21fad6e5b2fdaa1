//go:build unix

package chaos

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/topologies"
	"github.com/millrace-io/millrace/topologies/kafka"
)

// Run is one run of the harness.
type Run struct {
	Name      string
	Backend   Backend
	Nodes     int // of Kafka: 1 or 3
	Guarantee topologies.Guarantee
	Rules     string // names of those to run, comma-separated; "" = all
	Mutant    string // MILLRACE_FAULT of the workers, which need the build tag faults
	Schedule  Schedule
	Seed      uint64
	Rate      int // events per second
	Burst     int // more of them at once, every three seconds
	LateEvery int // every nth EndTxn is late; 0 = none

	Worker   string        // the worker's binary
	Dir      string        // for state, schemas and logs
	KafkaDir string        // where the data of a real Kafka stays; "" = nowhere
	Drain    time.Duration // how long it may take from the end of the faults until everything is processed
	Logf     func(string, ...any)
}

// Outcome is what a run has shown.
type Outcome struct {
	Run
	Report
	Kills, Freezes, Crashes int
	Late, LostAnswers       int64
	Exits                   int           // ends of workers that nobody ordered
	Drained                 time.Duration // from the end of the faults until everything was processed
	Stuck                   bool          // not everything was processed in time
	P50, P95, Max           time.Duration // from a kill to the next committed output, see recovery
	Measured                int
}

const (
	partitions         = 6
	transactionTimeout = 5 * time.Second
	stopTimeout        = 15 * time.Second
)

// Do runs it. An error means that the run has shown nothing.
func (c Run) Do(ctx context.Context) (out *Outcome, err error) {
	b, err := startBroker(c.Backend, c.Nodes, c.KafkaDir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	proxy, err := NewProxy(b.addrs, c.LateEvery)
	if err != nil {
		return nil, err
	}
	defer proxy.Close()
	x := &execution{Run: c, broker: b, proxy: proxy, ledger: NewLedger(), out: &Outcome{Run: c}}
	if err := x.prepare(ctx); err != nil {
		return nil, err
	}
	defer x.kafka.Close()
	defer x.log.Close()
	defer func() { err = errors.Join(err, x.end()) }()
	return x.out, x.do(ctx)
}

// execution is a Run while it runs.
type execution struct {
	Run
	out      *Outcome
	broker   *broker
	proxy    *Proxy
	kafka    *kafka.Client
	ledger   *Ledger
	load     *Load
	live     *Observed
	recovery recovery
	workers  []*process
	log      *os.File
	topics   []string // everything that is compared
	group    string   // that recovery is measured by
	groups   []*topologies.Group
	schemas  string
}

func (x *execution) prepare(ctx context.Context) error {
	set, err := Rules()
	if err != nil {
		return err
	}
	x.schemas = filepath.Join(x.Dir, "schemas")
	if err := os.MkdirAll(x.schemas, 0o750); err != nil {
		return err
	}
	ids, err := writeSchemas(ctx, x.schemas, set)
	if err != nil {
		return err
	}
	plan, err := makeTopics(ctx, x.broker.addrs, set, partitions, -1)
	if err != nil {
		return err
	}
	for _, t := range plan.Topics {
		if t.Kind != topologies.SourceTopic && t.Kind != topologies.MoveTopic {
			x.topics = append(x.topics, t.Name)
		}
	}
	x.groups = plan.Groups
	for _, g := range plan.Groups {
		for _, r := range g.Rules {
			if r.Name == "tally" {
				x.group = g.Name
			}
		}
	}
	if x.kafka, err = kafka.Connect(ctx, x.broker.addrs, "chaos", 10*time.Second); err != nil {
		return err
	}
	if x.log, err = os.Create(filepath.Join(x.Dir, "workers.log")); err != nil {
		return err
	}
	x.live = NewObserved(set)
	x.load = &Load{
		generator: NewGenerator(x.Seed, 200, 20, ids[streamEvents]), ledger: x.ledger, stream: set.Stream(streamEvents),
		partitions: partitions, rate: x.Rate, burst: x.Burst,
	}
	return nil
}

// command starts a worker behind the proxy.
func (x *execution) command(id int) *exec.Cmd { return x.commandTo(id, x.proxy.Addrs()) }

func (x *execution) commandTo(id int, brokers []string) *exec.Cmd {
	name := fmt.Sprintf("w%d", id)
	cmd := exec.Command(x.Worker,
		"-brokers", strings.Join(brokers, ","), "-instance", name, "-schemas", x.schemas,
		"-state", filepath.Join(x.Dir, "state", name), "-guarantee", string(x.Guarantee),
		"-rules", x.Rules, "-session", x.Schedule.Session.String(), "-transaction", transactionTimeout.String())
	cmd.Env = append(os.Environ(), "MILLRACE_FAULT="+x.Mutant)
	return cmd
}

func (x *execution) do(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() {
		if err := follow(ctx, x.broker.addrs, x.topics, x.see); err != nil {
			x.Logf("%s: reader: %v", x.Name, err)
		}
	})
	for id := range x.Schedule.Workers {
		p, err := startProcess(id, x.log, func() *exec.Cmd { return x.command(id) })
		if err != nil {
			return err
		}
		x.workers = append(x.workers, p)
	}
	loading, stopLoad := context.WithCancel(ctx)
	defer stopLoad()
	loaded := make(chan error, 1)
	go func() { loaded <- x.load.run(loading, x.broker.addrs) }()

	if err := x.await(ctx, "the first outputs", time.Minute, func() bool { return x.live.Distinct() > x.Rate }); err != nil {
		stopLoad()
		return errors.Join(err, <-loaded)
	}
	err := x.faults(ctx)
	stopLoad()
	if err := errors.Join(err, <-loaded); err != nil {
		return err
	}
	return x.finish(ctx)
}

// see takes a record in while the run is going on.
func (x *execution) see(r *kgo.Record) {
	x.live.Add(r)
	if r.Topic != streamTallies {
		return
	}
	if sent, err := x.live.sent(r); err == nil {
		x.recovery.output(r.Partition, sent)
	}
}

// working waits until something has come out since the last fault, so that the next one hits workers at work, on a
// busy machine, too. It does not wait for long: a fault during a recovery is one of those that are wanted.
func (x *execution) working(ctx context.Context, before int) {
	for until := time.Now().Add(3 * time.Second); ctx.Err() == nil && time.Now().Before(until); {
		if x.live.Distinct() > before+x.Rate/4 {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// faults carries the plan out. Its times are the earliest ones.
func (x *execution) faults(ctx context.Context) error {
	plan := x.Schedule.Plan(x.Seed)
	start, before := time.Now(), 0
	var crashes sync.WaitGroup
	defer crashes.Wait()
	var mu sync.Mutex
	var failed error
	for _, f := range plan {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Until(start.Add(f.At))):
		}
		if f.Kind == Kill || f.Kind == Freeze {
			waiting := time.Now()
			x.working(ctx, before)
			start = start.Add(time.Since(waiting))
			before = x.live.Distinct()
		}
		fmt.Fprintf(x.log, "harness: %s %v\n", time.Now().UTC().Format("15:04:05.000"), f)
		switch f.Kind {
		case Kill:
			w := x.workers[f.Worker]
			x.recovery.kill(f.Worker, w.partitions(x.group, streamEvents))
			w.kill()
			x.out.Kills++
		case Freeze:
			x.workers[f.Worker].freeze()
			x.out.Freezes++
		case Thaw:
			x.workers[f.Worker].thaw()
		case Crash:
			crashes.Wait() // one at a time
			x.out.Crashes++
			crashes.Go(func() {
				if err := x.broker.crash(f.Node, f.For); err != nil {
					mu.Lock()
					defer mu.Unlock()
					failed = err
				}
			})
		}
	}
	crashes.Wait()
	return failed
}

// finish waits until everything is processed, ends the workers, and compares.
func (x *execution) finish(ctx context.Context) error {
	start := time.Now()
	err := x.await(ctx, "the rest", x.Drain, func() bool { return x.live.Distinct() >= x.ledger.Outputs() })
	x.out.Stuck = err != nil
	x.out.Drained = time.Since(start)
	if x.out.Stuck {
		x.out.Notes = append(x.out.Notes, fmt.Sprintf("%d of %d outputs after %v", x.live.Distinct(), x.ledger.Outputs(), x.Drain))
	}
	time.Sleep(time.Second) // for what must not come
	if err := x.end(); err != nil {
		x.out.Notes = append(x.out.Notes, err.Error())
		x.out.Stuck = true
	}
	// A broker looks for transactions that have timed out every ten seconds.
	err = awaitDecided(x.kafka, x.topics, transactionTimeout+20*time.Second)
	var hanging *hangingError
	switch {
	case errors.As(err, &hanging):
		x.out.Stuck = true
		x.out.Notes = append(x.out.Notes, err.Error(), x.broker.transactions(ctx, hanging.partition.Topic, hanging.partition.Number))
	case err != nil:
		return err
	}
	seen := NewObserved(x.live.set)
	reading, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := readAll(reading, x.kafka, x.topics, seen.Add); err != nil {
		return err
	}
	notes := x.out.Notes
	x.out.Report = *Check(x.ledger, seen, x.Guarantee)
	x.out.Notes = append(notes, x.out.Notes...)
	if err := x.lag(ctx); err != nil {
		x.out.Notes = append(x.out.Notes, err.Error())
		x.out.Stuck = true
	}
	x.out.Late, x.out.LostAnswers = x.proxy.Late(), x.proxy.Lost()
	x.out.P50, x.out.P95, x.out.Max, x.out.Measured = x.recovery.quantiles()
	return nil
}

// lag holds that the groups have committed the ends of the events.
func (x *execution) lag(ctx context.Context) error {
	ends, err := x.kafka.Ends(ctx, streamEvents)
	if err != nil {
		return err
	}
	for _, g := range x.groups {
		at, err := x.kafka.Committed(ctx, g.Name)
		if err != nil {
			return err
		}
		for p, end := range ends {
			for _, in := range g.Inputs {
				if in.Topic == p.Topic && at[p] != end {
					return fmt.Errorf("group %s has committed offset %d of %v, which ends at %d", g.Name, at[p], p, end)
				}
			}
		}
	}
	return nil
}

// end stops the workers that run.
func (x *execution) end() error {
	errs := make([]error, len(x.workers))
	var wg sync.WaitGroup
	for i, w := range x.workers {
		wg.Go(func() { errs[i] = w.stop(stopTimeout) })
	}
	wg.Wait()
	for _, w := range x.workers {
		x.out.Exits += w.exits
	}
	x.workers = nil
	return errors.Join(errs...)
}

func (x *execution) await(ctx context.Context, what string, within time.Duration, f func() bool) error {
	deadline := time.Now().Add(within)
	for !f() {
		if err := ctx.Err(); err != nil {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s: no %s within %v\n%s", x.Name, what, within, x.logTail())
		}
		time.Sleep(20 * time.Millisecond)
	}
	return nil
}

// logTail is the end of the workers' log.
func (x *execution) logTail() string {
	const most = 6000
	size, err := x.log.Seek(0, io.SeekEnd)
	if err != nil {
		return err.Error()
	}
	b := make([]byte, min(size, most))
	if _, err := x.log.ReadAt(b, size-int64(len(b))); err != nil && !errors.Is(err, io.EOF) {
		return err.Error()
	}
	return string(b)
}
