//go:build unix

// Command worker is one worker of the chaos harness: a process that can be killed and frozen. It ends cleanly on
// SIGTERM, and at once when its standard input ends, so that none outlives the harness. On standard output it reports
// every assignment as a line of JSON, on standard error it logs.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/millrace-io/millrace/e2e/chaos"
	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/schemas/registry"
	"github.com/millrace-io/millrace/topologies"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "worker:", err)
		os.Exit(1)
	}
}

func run() error {
	var o topologies.Options
	brokers := flag.String("brokers", "", "bootstrap servers")
	schemaDir := flag.String("schemas", "", "directory of registered schemas")
	only := flag.String("rules", "", "names of the rules to run, comma-separated; all without it")
	guarantee := flag.String("guarantee", "exactly_once", "exactly_once or at_least_once")
	flag.StringVar(&o.Instance, "instance", "", "static member name")
	flag.StringVar(&o.StateDir, "state", "", "directory of the local state")
	flag.DurationVar(&o.SessionTimeout, "session", 2*time.Second, "session timeout")
	flag.DurationVar(&o.TransactionTimeout, "transaction", 5*time.Second, "transaction timeout")
	flag.Parse()

	go func() {
		io.Copy(io.Discard, os.Stdin) //nolint:errcheck // any end of it is the harness's end
		os.Exit(3)
	}()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	set, err := chaos.Rules()
	if err != nil {
		return err
	}
	if *only != "" {
		set.Rules = slices.DeleteFunc(set.Rules, func(r *rules.Rule) bool { return !slices.Contains(strings.Split(*only, ","), r.Name) })
	}
	o.App, o.Brokers, o.Set, o.Guarantee = chaos.App, strings.Split(*brokers, ","), set, topologies.Guarantee(*guarantee)
	if o.Registry, err = registry.New(registry.Options{Dir: *schemaDir}); err != nil {
		return err
	}
	o.Logger = slog.New(slog.NewTextHandler(os.Stderr, nil)).With("instance", o.Instance)
	var w *topologies.Worker
	var mu sync.Mutex
	commits := map[string][]time.Duration{}
	o.OnEvent = func(e topologies.Event) {
		mu.Lock()
		defer mu.Unlock()
		if e.Kind == topologies.Committed {
			commits[e.Group] = append(commits[e.Group], e.Took)
		}
		if e.Kind != topologies.Assigned {
			return
		}
		if err := json.NewEncoder(os.Stdout).Encode(w.Status()); err != nil {
			os.Exit(3)
		}
	}
	if w, err = topologies.NewWorker(ctx, o); err != nil {
		return err
	}
	err = w.Run(ctx)
	mu.Lock()
	defer mu.Unlock()
	for group, took := range commits {
		slices.Sort(took)
		o.Logger.Info("commits", "group", group, "n", len(took), "p50", took[len(took)/2], "p99", took[len(took)*99/100])
	}
	return err
}
