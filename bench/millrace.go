package main

import (
	"context"
	"fmt"
	"net/http/httptest"
	"os"
	"sync"

	"github.com/twmb/franz-go/pkg/sr/srfake"

	"github.com/millrace-io/millrace/bench/baseline"
	"github.com/millrace-io/millrace/bench/workload"
	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/schemas/registry"
	"github.com/millrace-io/millrace/topologies"
)

// millrace is a workload's rule, loaded from a rule file and run by a worker as `millrace run` does it.
func millrace(c config) (engine, error) {
	set, err := loadRule(c.workload)
	if err != nil {
		return engine{}, err
	}
	rule := set.Rules[0]
	out := rule.Routes[0].Stream
	e := engine{schema: out.Schema.String(), transactional: true, group: func(h baseline.Hop) string {
		if rule.By == nil {
			return h.Group + "." + rule.Domain + "." + rule.Inputs[0].Stream.Name + ".flow"
		}
		return h.Group + "." + rule.Domain + "." + rule.KeyName
	}}
	e.run = func(ctx context.Context, h baseline.Hop, ready func()) error {
		for i, k := range kindsOf(c.workload) {
			rule.Inputs[i].Stream.Topic = inputOf(c.workload, h.Input, k)
		}
		out.Topic = h.Output
		return work(ctx, c, set, h, ready)
	}
	return e, nil
}

// work runs the worker until ctx ends. Its registry is in the process: it is asked once per schema.
func work(ctx context.Context, c config, set *rules.Set, h baseline.Hop, ready func()) error {
	server := httptest.NewServer(srfake.NewRegistry().Handler())
	defer server.Close()
	reg, err := registry.New(registry.Options{URL: server.URL})
	if err != nil {
		return err
	}
	for _, kind := range workload.Kinds { // in order: the loader takes the ids 1, 2, 3, 4 for them
		if _, err := reg.Register(ctx, kind.String(), workload.Schema(kind)); err != nil {
			return err
		}
	}
	for _, s := range set.Streams {
		if _, err := reg.Register(ctx, topologies.Subject(s), s.Schema.String()); err != nil {
			return err
		}
	}
	once := sync.OnceFunc(ready)
	w, err := topologies.NewWorker(ctx, topologies.Options{
		App: h.Group, Brokers: h.Brokers, Instance: "bench", Set: set, Registry: reg,
		Guarantee: topologies.Guarantee(c.guarantee), StateDir: h.Dir,
		OnEvent: func(e topologies.Event) {
			switch e.Kind {
			case topologies.Assigned:
				once()
			case topologies.Committed:
				c.commits.Add(1)
				c.committing.Add(int64(e.Took))
			case topologies.Failed:
				fmt.Fprintln(os.Stderr, "bench:", e.Err)
			}
		},
	})
	if err != nil {
		return err
	}
	return w.Run(ctx)
}
