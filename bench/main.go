// Command bench measures one hop, from topic to topic: a rule of millrace, or what would be written without it.
//
//	go run ./bench -workload w1 -mode kafka -guarantee exactly_once -output json
//	go run ./bench -compare
//
// Input is loaded before the clock starts. Time runs from "partitions assigned, state restored" until the last output is
// committed; CPU time is that of this process, the broker runs in another one. Outputs are counted and summed up
// against what the workload's definition says (bench/workload); a run with wrong outputs fails.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// config is what the flags say.
type config struct {
	workload   string
	mode       string
	engine     string
	guarantee  string
	output     string
	n          int
	seed       uint64
	partitions int
	brokers    string
	brokerPID  int
	input      string
	compare    bool
	runs       int
	timeout    time.Duration
	serve      bool
	profile    string

	commits, committing *atomic.Int64 // how many, and nanoseconds
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	c, err := parse(args)
	if err != nil {
		return err
	}
	switch {
	case c.serve:
		return serve()
	case c.compare:
		return compare(ctx, c)
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	if c.workload == "curve" {
		return printCurves(ctx, os.Stdout, c, max(1, c.n/10))
	}
	if c.workload == "keys" {
		phases, err := keys(ctx, c)
		for _, p := range phases {
			fmt.Printf("%s: %d keys, ready in %.2f s, %.0f events/s, peak %.0f MB, %.0f MB on disk\n", p.Name, p.Keys, p.ReadySeconds, p.EventsPerSecond, p.PeakMB, p.StateMB)
		}
		return err
	}
	result, err := measure(ctx, c)
	if err != nil {
		return err
	}
	if c.output == "json" {
		return json.NewEncoder(os.Stdout).Encode(result)
	}
	fmt.Println(result)
	return nil
}

func parse(args []string) (config, error) {
	var c config
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.StringVar(&c.workload, "workload", "w1", "w1 (filter and map, one in ten passes), w2 (sums of five minutes that hop by one), w3 (payments with the changes of the half hour before), w4a, w4b, w4c (sequences, repetitions and absences), count (running count of 10,000 keys), keys (a row for each of -n keys, and restarts) or curve (what windows, keys and rules cost; a tenth of -n events for each point)")
	f.StringVar(&c.mode, "mode", "kafka", "engine (no broker), embedded or kafka")
	f.StringVar(&c.engine, "engine", "millrace", "millrace, goka or sarama")
	f.StringVar(&c.guarantee, "guarantee", "exactly_once", "exactly_once or at_least_once, for millrace")
	f.StringVar(&c.output, "output", "text", "text or json")
	f.IntVar(&c.n, "n", 1_000_000, "events")
	f.Uint64Var(&c.seed, "seed", 1, "of the events")
	f.IntVar(&c.partitions, "partitions", 8, "of every topic")
	f.StringVar(&c.brokers, "brokers", "", "bootstrap servers (default: a broker of its own)")
	f.IntVar(&c.brokerPID, "broker-pid", 0, "process whose CPU time is given as the broker's")
	f.StringVar(&c.input, "input", "", "topic that holds the events already")
	f.BoolVar(&c.compare, "compare", false, "run all engines side by side on both brokers and print a table")
	f.IntVar(&c.runs, "runs", 3, "with -compare: runs of each, of which the median counts")
	f.DurationVar(&c.timeout, "timeout", 5*time.Minute, "for one run")
	f.StringVar(&c.profile, "cpuprofile", "", "write a CPU profile of the hop to this file")
	f.BoolVar(&c.serve, "serve", false, "be an embedded broker until standard input ends")
	if err := f.Parse(args); err != nil {
		return c, err
	}
	var errs []error
	one := func(name, value string, of ...string) {
		if !slices.Contains(of, value) {
			errs = append(errs, fmt.Errorf("-%s %s: want %s", name, value, strings.Join(of, ", ")))
		}
	}
	one("workload", c.workload, "w1", "w2", "w3", "w4a", "w4b", "w4c", "count", "keys", "curve")
	one("mode", c.mode, "engine", "embedded", "kafka")
	one("engine", c.engine, "millrace", "goka", "sarama")
	one("guarantee", c.guarantee, "exactly_once", "at_least_once")
	one("output", c.output, "text", "json")
	if strings.HasPrefix(c.workload, "w") && c.workload != "w1" {
		one("engine", c.engine, "millrace")
	}
	if f.NArg() > 0 {
		errs = append(errs, fmt.Errorf("unexpected %q", f.Args()))
	}
	if c.n < 1 || c.partitions < 1 || c.runs < 1 {
		errs = append(errs, errors.New("-n, -partitions and -runs must be positive"))
	}
	return c, errors.Join(errs...)
}
