package topologies

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/rules"
)

// runner runs one group of a worker, incarnation after incarnation, until the worker stops.
type runner struct {
	options   *Options
	plan      *Group
	client    *kgo.Client // for requests
	logger    *slog.Logger
	metrics   *groupMetrics
	decoders  *decoders
	targets   map[*rules.Stream]*target
	topics    map[string]topicInfo
	constants constants
	board     *board // nil when no rule has a time of its own
	now       func() time.Time
	reached   func() int64 // the source topics hold everything below; Unknown for no such word

	purger purger

	answered atomic.Int64 // when a broker last answered, in ms of the wall clock; 0 for never

	mu     sync.Mutex
	ready  bool
	claims map[string][]int32
	failed error        // of the last incarnation
	alive  *incarnation // the one that runs
}

// answer notes that a broker has answered.
func (g *runner) answer(now time.Time) { g.answered.Store(now.UnixMilli()) }

// lastAnswer is when a broker has last answered, the zero time for never.
func (g *runner) lastAnswer() time.Time {
	if at := g.answered.Load(); at != 0 {
		return time.UnixMilli(at)
	}
	return time.Time{}
}

// ended reports whether every partition that the group has here has said at its last commit that it has nothing left to
// do, ever.
func (g *runner) ended() bool {
	if g.board == nil || !g.plan.Stateful && !g.plan.Announces {
		return true
	}
	g.mu.Lock()
	x, ready := g.alive, g.ready
	g.mu.Unlock()
	if !ready || x == nil {
		return false
	}
	for _, p := range x.partitions() {
		p.mu.Lock()
		ended := p.time.saidEnd && p.ended()
		p.mu.Unlock()
		if !ended {
			return false
		}
	}
	return true
}

// constants are what the group's records share. Nobody writes to them.
type constants struct {
	specVersion, contentType []byte
	rules                    map[*rules.Rule]ruleConstants
}

type ruleConstants struct {
	source []byte // ce_source
	timed  bool   // the outputs' event time is their input's: a rule may select another one
}

func newConstants(o *Options, g *Group) constants {
	c := constants{specVersion: []byte("1.0"), contentType: []byte("application/avro"), rules: map[*rules.Rule]ruleConstants{}}
	for _, r := range g.Rules {
		rc := ruleConstants{source: []byte("/" + o.App + "/" + r.Domain + "/" + r.Name), timed: true}
		for _, rt := range r.AllRoutes() {
			rc.timed = rc.timed && !rt.OwnTime
		}
		c.rules[r] = rc
	}
	return c
}

// transactionalPrefix begins the transactional id of every member of the group. The slash keeps groups apart whose
// names begin alike.
func (g *runner) transactionalPrefix() string { return g.plan.Name + "/" }

func (g *runner) transactionalID() string {
	return g.transactionalPrefix() + g.options.Instance + faultSuffix()
}

func (g *runner) input(topic string) *Input {
	for _, in := range g.plan.Inputs {
		if in.Topic == topic {
			return in
		}
	}
	return nil
}

func (g *runner) deadTopic(domain string) string { return Dead(g.options.App, domain) }

func (g *runner) ruleDeadTopic(r *rules.Rule) string {
	if r.Dead != "" {
		return r.Dead
	}
	return g.deadTopic(r.Domain)
}

func (g *runner) partitionsOf(topic string) int32 { return max(1, g.topics[topic].partitions) }

// run starts incarnations until ctx ends. A short pause between them keeps a lasting fault from spinning.
func (g *runner) run(ctx context.Context) {
	for pause := drainPause; ; {
		began := time.Now()
		err := g.incarnate(ctx)
		g.revoked()
		if ctx.Err() != nil {
			if err != nil {
				g.logger.Warn("the group stopped with an error", "error", err)
			}
			return
		}
		if err == nil {
			err = errors.New("goka ended without an error")
		}
		g.logger.Error("the group begins again from its last commit", "error", err, "pause", pause)
		g.metrics.failures.Inc()
		g.setFailed(err)
		g.event(Event{Kind: Failed, Err: err})
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		if pause = min(2*pause, 5*time.Second); time.Since(began) > 10*time.Second {
			pause = drainPause
		}
	}
}

func (g *runner) event(e Event) {
	if g.options.OnEvent != nil {
		e.Group = g.plan.Name
		g.options.OnEvent(e)
	}
}

func (g *runner) setFailed(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.failed = err
}

// assigned notes that a generation has its partitions and their state.
func (g *runner) assigned(claims map[string][]int32) {
	g.mu.Lock()
	g.ready, g.claims, g.failed = true, claims, nil
	g.mu.Unlock()
	n := 0
	for _, ps := range claims {
		n += len(ps)
	}
	g.metrics.partitions.Set(float64(n))
	g.logger.Info("partitions assigned", "claims", claims)
	g.event(Event{Kind: Assigned})
}

func (g *runner) revoked() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.ready, g.claims = false, nil
	g.metrics.partitions.Set(0)
}

func (g *runner) committed(n int64, took time.Duration) {
	g.answer(g.now())
	g.metrics.commits.Observe(took.Seconds())
	g.event(Event{Kind: Committed, Inputs: n, Took: took})
}
