package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/linkedin/goavro/v2"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/bench/baseline"
	"github.com/millrace-io/millrace/bench/topics"
	"github.com/millrace-io/millrace/bench/workload"
	"github.com/millrace-io/millrace/schemas"
)

// outputID is the schema id that baselines give to their outputs; kinds of events have 1 and on.
const outputID = 100

// engine is one way to do a hop.
type engine struct {
	run baseline.Run
	// schema of its outputs, by which they are checked; "" = they are counted only.
	schema string
	// every: without a schema, one of so many input records comes out.
	every int64
	// transactional: outputs are there when the group's offsets are committed; else when the topic holds them.
	transactional bool
	// group names the consumer group whose offsets count, if it is not the hop's.
	group func(baseline.Hop) string
}

// Result is what one run says. Rates and times are those of the hop itself, start-up apart.
type Result struct {
	Workload        string  `json:"workload"`
	Mode            string  `json:"mode"`
	Engine          string  `json:"engine"`
	Guarantee       string  `json:"guarantee,omitempty"`
	Seed            uint64  `json:"seed"`
	Events          int64   `json:"events"`
	Seconds         float64 `json:"seconds"`
	EventsPerSecond float64 `json:"events_per_second"`
	CPUSeconds      float64 `json:"cpu_seconds"`
	BrokerSeconds   float64 `json:"broker_cpu_seconds"`
	StartSeconds    float64 `json:"start_seconds"`
	PeakMB          float64 `json:"peak_rss_mb"`
	Outputs         int64   `json:"outputs"`
	Commits         int64   `json:"commits,omitempty"`
	CommitMS        float64 `json:"commit_ms,omitempty"` // mean
	Checksum        string  `json:"checksum,omitempty"`  // "" where outputs are not decoded
}

// String is the result in one line.
func (r *Result) String() string {
	s := fmt.Sprintf("%s %s %s %s: %d events in %.2f s = %.0f/s, CPU %.2f s (broker %.2f s), start %.2f s, peak %.0f MB, %d outputs %s",
		r.Workload, r.Mode, r.Engine, r.Guarantee, r.Events, r.Seconds, r.EventsPerSecond, r.CPUSeconds, r.BrokerSeconds,
		r.StartSeconds, r.PeakMB, r.Outputs, r.Checksum)
	if r.Commits > 0 {
		s += fmt.Sprintf(", %d commits of %.1f ms", r.Commits, r.CommitMS)
	}
	return s
}

// engineOf finds an engine for a workload.
func engineOf(c config) (engine, error) {
	filter := c.workload == "w1"
	switch {
	case c.engine == "goka" && filter:
		return engine{run: baseline.GokaFilter, schema: baseline.RiskSchema}, nil
	case c.engine == "goka":
		return engine{run: baseline.GokaCount, schema: baseline.CountSchema}, nil
	case c.engine == "sarama" && filter:
		return engine{run: baseline.Sarama(10), every: 10}, nil
	case c.engine == "sarama":
		return engine{run: baseline.Sarama(1), every: 1}, nil
	}
	return millrace(c)
}

// measure runs one engine once and checks its outputs.
func measure(ctx context.Context, c config) (*Result, error) {
	if c.mode == "engine" {
		return inProcess(ctx, c)
	}
	c.commits, c.committing = new(atomic.Int64), new(atomic.Int64)
	e, err := engineOf(c)
	if err != nil {
		return nil, err
	}
	if c.brokers == "" {
		b, err := startBroker(c.mode)
		if err != nil {
			return nil, err
		}
		defer b.stop()
		c.brokers, c.brokerPID = b.addr, b.pid
	}
	brokers := strings.Split(c.brokers, ",")
	client, err := topics.Client(brokers)
	if err != nil {
		return nil, err
	}
	defer client.Close()

	id := fmt.Sprintf("bench-%x", time.Now().UnixNano())
	if c.input == "" {
		c.input = id + "-in"
		if err := load(ctx, c); err != nil {
			return nil, err
		}
	}
	hop := baseline.Hop{
		Brokers: brokers, Input: c.input, Output: id + "-out", Group: id,
		Hasher: schemas.NewHasher, Events: workload.Schema(workload.Change), ID: outputID,
	}
	if err := topics.Create(ctx, client, hop.Output, c.partitions); err != nil {
		return nil, err
	}
	want, err := expect(ctx, c, e, client)
	if err != nil {
		return nil, err
	}
	if hop.Dir, err = os.MkdirTemp("", id+"-"); err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(hop.Dir) }() // what is left of a temporary directory harms nobody

	r := &Result{Workload: c.workload, Mode: c.mode, Engine: c.engine, Seed: c.seed, Events: int64(c.n)}
	if c.engine == "millrace" {
		r.Guarantee = c.guarantee
	}
	if err := clock(ctx, c, e, hop, want.Count, client, r); err != nil {
		return nil, err
	}
	return r, check(ctx, c, e, hop, want, r)
}

// inputOf is the topic of a kind of events: each has its own where a rule reads several, and its name begins with that of the
// input.
func inputOf(workloadName, input string, k workload.Kind) string {
	if len(kindsOf(workloadName)) == 1 {
		return input
	}
	return input + "-" + k.String()
}

func inputsOf(workloadName, input string) (topics []string) {
	for _, k := range kindsOf(workloadName) {
		topics = append(topics, inputOf(workloadName, input, k))
	}
	return topics
}

// load makes and fills the topics of the input.
func load(ctx context.Context, c config) error {
	brokers := strings.Split(c.brokers, ",")
	client, err := topics.Client(brokers)
	if err != nil {
		return err
	}
	defer client.Close()
	for _, topic := range inputsOf(c.workload, c.input) {
		if err := topics.Create(ctx, client, topic, c.partitions); err != nil {
			return err
		}
	}
	topic := func(k workload.Kind) string {
		if !slices.Contains(kindsOf(c.workload), k) {
			return ""
		}
		return inputOf(c.workload, c.input, k)
	}
	_, err = topics.Load(ctx, brokers, topic, workload.SetOf(c.workload), c.seed, c.n,
		func(k workload.Kind) uint32 { return uint32(k) + 1 })
	return err
}

// expect says what must come out.
func expect(ctx context.Context, c config, e engine, client *kgo.Client) (workload.Sum, error) {
	if e.schema != "" {
		return workload.Expect(c.workload, c.seed, c.n)
	}
	ends, err := topics.Ends(ctx, client, c.input, false)
	var sum workload.Sum
	for _, end := range ends {
		sum.Count += (end + e.every - 1) / e.every
	}
	return sum, err
}

// clock runs the engine until the last output is there, and fills in times.
func clock(ctx context.Context, c config, e engine, hop baseline.Hop, outputs int64, client *kgo.Client, r *Result) error {
	debug.FreeOSMemory() // what loading took is not the engine's
	resetPeak()
	running, cancel := context.WithCancel(ctx)
	defer cancel()
	ready, ended := make(chan struct{}), make(chan error, 1)
	launched := time.Now()
	go func() { ended <- e.run(running, hop, func() { close(ready) }) }()
	select {
	case <-ready:
	case err := <-ended:
		return errors.Join(errors.New("the engine ended before it was ready"), err)
	case <-ctx.Done():
		return fmt.Errorf("the engine was not ready: %w", ctx.Err())
	}
	stopProfile, err := startProfile(c.profile)
	if err != nil {
		return err
	}
	defer stopProfile()
	began, own, broker := time.Now(), ownCPU(), cpuOf(c.brokerPID)

	waiting := make(chan error, 1)
	go func() {
		if e.transactional {
			group := hop.Group
			if e.group != nil {
				group = e.group(hop)
			}
			var err error
			for _, topic := range inputsOf(c.workload, hop.Input) {
				err = errors.Join(err, topics.WaitGroup(running, client, group, topic))
			}
			waiting <- err
		} else {
			waiting <- topics.WaitRecords(running, client, hop.Output, outputs)
		}
	}()
	select {
	case err := <-waiting:
		if err != nil {
			return err
		}
	case err := <-ended:
		return errors.Join(errors.New("the engine ended before its outputs were there"), err)
	}
	r.Seconds = time.Since(began).Seconds()
	r.EventsPerSecond = float64(r.Events) / r.Seconds
	r.CPUSeconds = (ownCPU() - own).Seconds()
	r.BrokerSeconds = (cpuOf(c.brokerPID) - broker).Seconds()
	r.StartSeconds = began.Sub(launched).Seconds()
	r.PeakMB = peakMB()
	if r.Commits = c.commits.Load(); r.Commits > 0 {
		r.CommitMS = float64(c.committing.Load()) / float64(r.Commits) / 1e6
	}
	cancel()
	return <-ended
}

// check reads the outputs back and compares them.
func check(ctx context.Context, c config, e engine, hop baseline.Hop, want workload.Sum, r *Result) error {
	var got workload.Sum
	var codec *goavro.Codec
	if e.schema != "" {
		var err error
		if codec, err = goavro.NewCodec(e.schema); err != nil {
			return err
		}
	}
	err := topics.Read(ctx, hop.Brokers, hop.Output, func(record *kgo.Record) error {
		if codec == nil {
			got.Count++
			return nil
		}
		if len(record.Value) < 5 {
			return fmt.Errorf("output %d of partition %d is too short", record.Offset, record.Partition)
		}
		native, _, err := codec.NativeFromBinary(record.Value[5:])
		if err != nil {
			return fmt.Errorf("output %d of partition %d: %w", record.Offset, record.Partition, err)
		}
		return got.AddRecord(c.workload, native.(map[string]any))
	})
	if err != nil {
		return err
	}
	r.Outputs = got.Count
	if codec != nil {
		r.Checksum = fmt.Sprintf("%016x", got.Hash)
	}
	if got != want {
		return fmt.Errorf("wrong outputs: got %s, want %s", got, want)
	}
	return nil
}
