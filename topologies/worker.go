package topologies

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/processors"
	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/schemas"
	"github.com/millrace-io/millrace/schemas/registry"
)

// Worker runs every group of a set of rules in this process.
type Worker struct {
	options Options
	plan    *Plan
	client  *kgo.Client
	metrics *metrics
	runners []*runner
	board   *board // nil when no rule has a time of its own
	reached atomic.Int64
}

// NewWorker connects, lays the rules out, creates missing internal topics and looks the output schemas up. It fails
// with *MissingError or *SchemaError when something is missing that millrace does not create itself.
func NewWorker(ctx context.Context, o Options) (*Worker, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	w := &Worker{options: o.withDefaults()}
	w.reached.Store(processors.Unknown)
	var err error
	if w.metrics, err = newMetrics(o.Metrics); err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	if w.client, err = kgo.NewClient(kgo.SeedBrokers(o.Brokers...), kgo.ClientID(w.options.App), kgo.MaxVersions(byName()), kgo.RetryTimeout(o.withDefaults().TransactionTimeout)); err != nil {
		return nil, err
	}
	if err := w.prepare(ctx); err != nil {
		w.client.Close()
		return nil, err
	}
	if o.Metrics != nil && w.board != nil {
		if err := o.Metrics.Register(newTimeCollector(w)); err != nil {
			w.client.Close()
			return nil, fmt.Errorf("metrics: %w", err)
		}
	}
	return w, nil
}

// PlanFor lays the rules out for the topics of a cluster; byDefault is the partition count of new topics.
func PlanFor(ctx context.Context, cl *kgo.Client, app string, set *rules.Set, byDefault int32) (*Plan, Topics, error) {
	have, err := ListTopics(ctx, cl)
	if err != nil {
		return nil, nil, err
	}
	p, err := NewPlan(app, set, have.Partitions, byDefault)
	if err != nil {
		return nil, nil, err
	}
	names := make([]string, 0, len(p.Topics))
	for _, t := range p.Topics {
		names = append(names, t.Name)
	}
	return p, have, have.sizes(ctx, cl, names)
}

func (w *Worker) prepare(ctx context.Context) error {
	o := &w.options
	plan, have, err := PlanFor(ctx, w.client, o.App, o.Set, 1)
	if err != nil {
		return err
	}
	w.plan = plan
	var missing []string
	var create []Creation
	for _, c := range plan.Missing(have, *o) {
		if c.Kind.Internal() {
			create = append(create, c)
		} else {
			missing = append(missing, c.Name)
		}
	}
	if len(missing) > 0 {
		return &MissingError{Topics: missing}
	}
	if err := Create(ctx, w.client, create, o.Replication); err != nil {
		return err
	}
	if err := plan.widen(ctx, w.client, have); err != nil {
		return err
	}
	for _, c := range create {
		info := topicInfo{partitions: c.Partitions, maxBytes: defaultMaxBytes}
		if n, err := strconv.Atoi(c.Config["max.message.bytes"]); err == nil {
			info.maxBytes = n
		}
		have[c.Name] = info
	}
	o.topics = have
	targets, err := w.targets(ctx, have)
	if err != nil {
		return err
	}
	if plan.Timed() {
		w.board = newBoard(plan, o.Logger)
	}
	for _, g := range plan.Groups {
		m := w.metrics.group(g.Name)
		logger := o.Logger.With("group", g.Name)
		w.runners = append(w.runners, &runner{
			options: o, plan: g, client: w.client, logger: logger, metrics: m, targets: targets, topics: have,
			decoders: newDecoders(o.Registry, logger, m), constants: newConstants(o, g),
			board: w.board, now: time.Now, reached: w.reached.Load,
		})
	}
	return nil
}

// SchemaError names output schemas that are not registered.
type SchemaError struct{ Subjects []string }

func (e *SchemaError) Error() string {
	return fmt.Sprintf("these output schemas are not registered: %v; `millrace schemas register` registers them, or start with --register", e.Subjects)
}

// targets looks up the schema id of every stream that a rule writes.
func (w *Worker) targets(ctx context.Context, have Topics) (map[*rules.Stream]*target, error) {
	out := map[*rules.Stream]*target{}
	counted := counted(w.options.Set)
	var missing []string
	for _, r := range w.options.Set.All() {
		for _, rt := range r.AllRoutes() {
			s := rt.Stream
			if out[s] != nil {
				continue
			}
			id, err := int32(0), error(nil)
			if s.Like == nil {
				id, err = w.options.Registry.Lookup(ctx, Subject(s), s.Schema.String())
			}
			switch {
			case errors.Is(err, registry.ErrNotFound):
				if !slices.Contains(missing, Subject(s)) {
					missing = append(missing, Subject(s))
				}
				continue
			case err != nil:
				return nil, fmt.Errorf("schema of %s: %w", s.Name, err)
			}
			enc, err := schemas.NewEncoder(s.Schema)
			if err != nil {
				return nil, fmt.Errorf("schema of %s: %w", s.Name, err)
			}
			out[s] = newTarget(w.options.App, s, enc, id, have[s.Topic], counted[s])
		}
	}
	if len(missing) > 0 {
		slices.Sort(missing)
		return nil, &SchemaError{Subjects: missing}
	}
	return out, nil
}

// Subject is the registry subject of a stream's values.
func Subject(s *rules.Stream) string { return s.Topic + "-value" }

// EventType is the CloudEvents type of a stream's events.
func EventType(app string, s *rules.Stream) string { return "io." + app + "." + s.Name + ".v1" }

// Plan is the worker's layout.
func (w *Worker) Plan() *Plan { return w.plan }

// Run runs until ctx ends; then it finishes the batches in flight, commits and leaves the groups.
func (w *Worker) Run(ctx context.Context) error {
	defer w.client.Close()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	if w.board != nil {
		topic := Progress(w.options.App)
		wg.Go(func() {
			if err := w.board.follow(ctx, &w.options, topic, w.runners[0].partitionsOf(topic)); err != nil {
				cancel(fmt.Errorf("announcements of the groups: %w", err))
			}
		})
	}
	for _, r := range w.runners {
		wg.Go(func() { r.run(ctx) })
	}
	wg.Wait()
	if err := context.Cause(ctx); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// Reach says that every source topic holds all its records below t, in ms, by now; t may be processors.Ended for those of
// bounded input: with TimeEvents everything pending then comes out when they are processed.
func (w *Worker) Reach(t int64) { w.reached.Store(t) }

// Ended reports whether, after Reach of the end, everything that this worker's partitions had to do is done and committed.
func (w *Worker) Ended() bool {
	for _, r := range w.runners {
		if !r.ended() {
			return false
		}
	}
	return true
}

// Ready reports whether every group has joined and restored its state.
func (w *Worker) Ready() bool {
	for _, r := range w.runners {
		r.mu.Lock()
		ready := r.ready
		r.mu.Unlock()
		if !ready {
			return false
		}
	}
	return true
}

// GroupStatus is a group as this worker sees it.
type GroupStatus struct {
	Name   string             `json:"name"`
	Ready  bool               `json:"ready"`
	Claims map[string][]int32 `json:"claims,omitempty"` // partitions here, by topic
	Error  string             `json:"error,omitempty"`  // why the last incarnation ended, until the next is ready
}

// Status gives the state of every group, by name.
func (w *Worker) Status() []GroupStatus {
	out := make([]GroupStatus, 0, len(w.runners))
	for _, r := range w.runners {
		r.mu.Lock()
		s := GroupStatus{Name: r.plan.Name, Ready: r.ready, Claims: maps.Clone(r.claims)}
		if r.failed != nil {
			s.Error = r.failed.Error()
		}
		r.mu.Unlock()
		out = append(out, s)
	}
	return out
}

// Rules gives what each rule has done in this worker, by rule id.
func (w *Worker) Rules() map[string]RuleStats {
	w.metrics.mu.Lock()
	defer w.metrics.mu.Unlock()
	return maps.Clone(w.metrics.rules)
}
