package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/schemas/registry"
	"github.com/millrace-io/millrace/topologies"
	"github.com/millrace-io/millrace/topologies/kafka"
)

// embedded is a broker and a registry with the topics and schemas of a set of rules.
type embedded struct {
	broker   *embeddedBroker
	registry *embeddedRegistry
	client   *kafka.Client
	schemas  *registry.Client
	ids      map[string]int32 // schema id by stream
	unlock   func() error
	running  string // file that is there while the state is in use
}

// startEmbedded starts broker and registry. On an error nothing is left running.
func startEmbedded(ctx context.Context, o devOptions, set *rules.Set, logger *slog.Logger) (*embedded, error) {
	e := &embedded{}
	if err := e.start(ctx, o, set, logger); err != nil {
		return nil, errors.Join(err, e.close())
	}
	return e, nil
}

func (e *embedded) start(ctx context.Context, o devOptions, set *rules.Set, logger *slog.Logger) error {
	dir, err := o.statePath()
	if err != nil {
		return err
	}
	brokerDir, schemaFile := "", ""
	if dir != "" {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("--state: %w", err)
		}
		if e.unlock, err = lockDir(dir); err != nil {
			return fmt.Errorf("--state: %w", err)
		}
		if err := e.claim(dir, logger); err != nil {
			return fmt.Errorf("--state: %w", err)
		}
		brokerDir, _ = o.statePath("kafka")
		schemaFile, _ = o.statePath("registry.json")
	}
	if e.broker, err = startBroker(ctx, o.kafka, brokerDir); err != nil {
		return err
	}
	if e.registry, err = startRegistry(ctx, o.registry, schemaFile); err != nil {
		return err
	}
	if e.client, err = kafka.Connect(ctx, []string{e.broker.address}, o.app, 10*time.Second); err != nil {
		return err
	}
	if e.schemas, err = registry.New(registry.Options{URL: e.registry.url}); err != nil {
		return err
	}
	if err := e.topics(ctx, o, set); err != nil {
		return err
	}
	e.ids = map[string]int32{}
	for _, s := range set.Streams {
		if e.ids[s.Name], err = e.schemas.Register(ctx, topologies.Subject(s), s.Schema.String()); err != nil {
			return fmt.Errorf("register the schema of %s: %w", s.Name, err)
		}
	}
	return nil
}

// claim marks the state as in use. The embedded broker has no log of its transactions: when it is killed, one may be
// left half committed. State that was not left regularly is therefore put aside, and everything begins anew.
func (e *embedded) claim(dir string, logger *slog.Logger) error {
	mark := filepath.Join(dir, "running")
	if _, err := os.Stat(mark); err == nil {
		aside := filepath.Join(dir, "kafka.crashed")
		logger.Warn("the last run did not end regularly: its topics are put aside, and feeds are played from their beginning", "topics", aside)
		err := errors.Join(os.RemoveAll(aside), os.Rename(filepath.Join(dir, "kafka"), aside), os.RemoveAll(filepath.Join(dir, "tables")))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	if err := os.WriteFile(mark, nil, 0o644); err != nil {
		return err
	}
	e.running = mark
	return nil
}

// topics creates the streams' topics. Their records are kept for ever: event times may be years ago.
func (e *embedded) topics(ctx context.Context, o devOptions, set *rules.Set) error {
	plan, have, err := topologies.PlanFor(ctx, e.client.Kgo(), o.app, set, int32(o.partitions))
	if err != nil {
		return err
	}
	var create []topologies.Creation
	for _, c := range plan.Missing(have, topologies.Options{App: o.app}) {
		if !c.Kind.Internal() {
			c.Config["retention.ms"] = "-1"
			create = append(create, c)
		}
	}
	return topologies.Create(ctx, e.client.Kgo(), create, 1)
}

func (e *embedded) close() error {
	if e.client != nil {
		e.client.Close()
	}
	if e.registry != nil {
		e.registry.close()
	}
	if e.broker != nil {
		e.broker.close()
	}
	var errs []error
	if e.running != "" {
		errs = append(errs, os.Remove(e.running))
	}
	if e.unlock != nil {
		errs = append(errs, e.unlock())
	}
	return errors.Join(errs...)
}

// team is the workers of a dev.
type team struct {
	web   *web
	ended chan error // a worker ended by itself

	cancel context.CancelFunc
	once   sync.Once
	wg     sync.WaitGroup
}

// startTeam starts the workers.
func startTeam(ctx context.Context, o devOptions, e *embedded, set *rules.Set, logger *slog.Logger) (*team, error) {
	t := &team{web: newWeb(o.app, o.guarantee, set, e.client), ended: make(chan error, o.workers)}
	// The workers outlive an interruption for as long as they need to finish.
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	t.cancel = cancel
	for i := range o.workers {
		instance := fmt.Sprintf("dev-%d", i)
		dir, err := o.statePath("tables", instance)
		if err != nil {
			t.stop()
			return nil, err
		}
		w, err := topologies.NewWorker(ctx, topologies.Options{
			App: o.app, Brokers: []string{e.broker.address}, Instance: instance, Set: set, Registry: e.schemas,
			Guarantee: topologies.Guarantee(o.guarantee), StateDir: dir, Replication: 1, Time: o.time(), Pace: max(1, float64(o.played)),
			Logger: logger.With("worker", instance), Metrics: t.web.registerer(instance),
		})
		if err != nil {
			t.stop()
			return nil, err
		}
		t.web.join(instance, w)
		t.wg.Go(func() {
			err := w.Run(running)
			if running.Err() == nil {
				t.ended <- fmt.Errorf("worker %s ended: %w", instance, err)
			}
		})
	}
	return t, nil
}

// reach tells the workers that every source topic holds all its records below at.
func (t *team) reach(at int64) {
	for _, m := range t.web.all() {
		m.worker.Reach(at)
	}
}

// done reports whether, behind the end of the input, nothing pending is left.
func (t *team) done() bool {
	for _, m := range t.web.all() {
		if !m.worker.Ended() {
			return false
		}
	}
	return true
}

func (t *team) plan() *topologies.Plan { return t.web.all()[0].worker.Plan() }

// stop lets the workers commit and leave, and waits for them.
func (t *team) stop() {
	t.once.Do(func() {
		t.cancel()
		t.wg.Wait()
	})
}

// trouble says what keeps groups from working, if anything does.
func (t *team) trouble() error {
	var errs []error
	for _, m := range t.web.all() {
		for _, g := range m.worker.Status() {
			if g.Error != "" {
				errs = append(errs, fmt.Errorf("%s: %s", g.Name, g.Error))
			}
		}
	}
	return errors.Join(errs...)
}
