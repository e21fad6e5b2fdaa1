package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/bench/baseline"
	"github.com/millrace-io/millrace/bench/topics"
	"github.com/millrace-io/millrace/bench/workload"
)

// Phase is one life of a worker that keeps a row per key.
type Phase struct {
	Name            string  `json:"name"`
	Keys            int     `json:"keys"`
	ReadySeconds    float64 `json:"ready_seconds"` // until partitions are assigned and state is restored
	EventsPerSecond float64 `json:"events_per_second"`
	PeakMB          float64 `json:"peak_rss_mb"`
	StateMB         float64 `json:"state_disk_mb"`
}

// keys counts one event for each of n keys, then starts the worker again with its local state and without, each time
// with another event for every hundredth key: the counts say that the state was there.
func keys(ctx context.Context, c config) ([]Phase, error) {
	c.workload, c.commits, c.committing = "count", new(atomic.Int64), new(atomic.Int64)
	e, err := millrace(c)
	if err != nil {
		return nil, err
	}
	if c.brokers == "" {
		b, err := startBroker(c.mode)
		if err != nil {
			return nil, err
		}
		defer b.stop()
		c.brokers = b.addr
	}
	brokers := strings.Split(c.brokers, ",")
	client, err := topics.Client(brokers)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	id := fmt.Sprintf("keys-%x", time.Now().UnixNano())
	hop := baseline.Hop{Brokers: brokers, Input: id + "-in", Output: id + "-out", Group: id}
	for _, t := range []string{hop.Input, hop.Output} {
		if err := topics.Create(ctx, client, t, c.partitions); err != nil {
			return nil, err
		}
	}
	dir, err := os.MkdirTemp("", id+"-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }() // what is left of a temporary directory harms nobody
	var out []Phase
	for i, name := range []string{"first event of every key", "restart with local state", "restart without local state"} {
		hop.Dir = filepath.Join(dir, []string{"a", "a", "b"}[i])
		step := []int{1, 100, 100}[i]
		if err := loadKeys(ctx, c, hop.Input, step, i); err != nil {
			return nil, err
		}
		p, err := phase(ctx, c, e, hop, client)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		p.Name, p.Keys = name, c.n
		p.EventsPerSecond = float64(c.n/step) / p.EventsPerSecond
		p.StateMB = diskMB(hop.Dir)
		out = append(out, *p)
	}
	return out, checkKeys(ctx, c, hop)
}

// loadKeys writes an event for every step-th key.
func loadKeys(ctx context.Context, c config, topic string, step, round int) error {
	client, err := topics.Client(strings.Split(c.brokers, ","), kgo.DefaultProduceTopic(topic),
		kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.ProducerLinger(20*time.Millisecond), kgo.MaxBufferedRecords(100_000))
	if err != nil {
		return err
	}
	defer client.Close()
	var failed error
	for i := 0; i < c.n; i += step {
		user := fmt.Sprintf("user-%09d", i)
		e := workload.Event{
			Kind: workload.Change, EventID: fmt.Sprintf("00000000-0000-4000-%04d-%012d", round, i), CorrelationID: user, UserID: user,
			OccurredAt: 1767225600000 + int64(i), Source: "bench", Region: "eu", Confidence: 1, Priority: "standard", Attribute: "country",
		}
		client.Produce(ctx, &kgo.Record{Key: []byte(user), Value: e.AppendFramed(nil, uint32(workload.Change)+1)}, func(_ *kgo.Record, err error) {
			if err != nil && failed == nil {
				failed = err
			}
		})
	}
	return errors.Join(client.Flush(ctx), failed)
}

// phase runs a worker until it has taken everything in. EventsPerSecond holds the seconds of that.
func phase(ctx context.Context, c config, e engine, hop baseline.Hop, client *kgo.Client) (*Phase, error) {
	debug.FreeOSMemory()
	resetPeak()
	running, cancel := context.WithCancel(ctx)
	defer cancel()
	ready, ended := make(chan struct{}), make(chan error, 1)
	launched := time.Now()
	go func() { ended <- e.run(running, hop, func() { close(ready) }) }()
	select {
	case <-ready:
	case err := <-ended:
		return nil, errors.Join(errors.New("the worker ended before it was ready"), err)
	}
	p := &Phase{ReadySeconds: time.Since(launched).Seconds()}
	began := time.Now()
	if err := topics.WaitGroup(running, client, e.group(hop), hop.Input); err != nil {
		return nil, err
	}
	p.EventsPerSecond, p.PeakMB = time.Since(began).Seconds(), peakMB()
	cancel()
	return p, <-ended
}

// checkKeys reads the outputs: every key has been counted to 1, every hundredth to 3.
func checkKeys(ctx context.Context, c config, hop baseline.Hop) error {
	n := 0
	err := topics.Read(ctx, hop.Brokers, hop.Output, func(*kgo.Record) error { n++; return nil })
	if err != nil {
		return err
	}
	again := (c.n + 99) / 100
	if want := c.n + 2*again; n != want {
		return fmt.Errorf("%d outputs, want %d", n, want)
	}
	last := 0
	set, err := loadRule("count")
	if err != nil {
		return err
	}
	schema := set.Rules[0].Routes[0].Stream.Schema
	err = topics.Read(ctx, hop.Brokers, hop.Output, func(r *kgo.Record) error {
		m, err := schema.DecodeAny(r.Value[5:])
		if err == nil && m["n"] == int64(3) {
			last++
		}
		return err
	})
	if err == nil && last != again {
		err = fmt.Errorf("%d keys were counted to 3, want %d: state was lost", last, again)
	}
	return err
}

// diskMB is the size of a directory.
func diskMB(dir string) float64 {
	var size int64
	_ = filepath.WalkDir(dir, func(_ string, d os.DirEntry, err error) error { // what can't be read has no size
		if err == nil && !d.IsDir() {
			if info, err := d.Info(); err == nil {
				size += info.Size()
			}
		}
		return nil
	})
	return float64(size) / (1 << 20)
}
