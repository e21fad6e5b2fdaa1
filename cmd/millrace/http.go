package main

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/topologies"
	"github.com/millrace-io/millrace/topologies/kafka"
)

//go:embed web
var webFiles embed.FS

// member is a worker of this process.
type member struct {
	instance string
	worker   *topologies.Worker
}

// web answers metrics, probes, the API and the page.
type web struct {
	app       string
	guarantee string
	set       *rules.Set
	client    *kafka.Client
	metrics   *prometheus.Registry

	mu      sync.Mutex
	members []member
	lags    map[string]int64 // by group
	lagTime time.Time
}

func newWeb(app, guarantee string, set *rules.Set, client *kafka.Client) *web {
	b := readBuild()
	w := &web{app: app, guarantee: guarantee, set: set, client: client, metrics: prometheus.NewRegistry()}
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Namespace: "millrace", Name: "build_info", Help: "1; the labels say what runs.",
		ConstLabels: prometheus.Labels{"version": b.Version, "commit": b.Commit, "go": b.Go, "rules": set.Checksum},
	})
	info.Set(1)
	w.metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), info)
	return w
}

// registerer is where a worker's metrics go, with the worker's name as a label.
func (w *web) registerer(instance string) prometheus.Registerer {
	return prometheus.WrapRegistererWith(prometheus.Labels{"worker": instance}, w.metrics)
}

func (w *web) join(instance string, worker *topologies.Worker) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.members = append(w.members, member{instance, worker})
}

// serve answers at the listener until stop is called, which waits for requests that are being answered.
func (w *web) serve(l net.Listener) (stop func()) {
	s := &http.Server{Handler: w.handler(), ReadHeaderTimeout: 10 * time.Second}
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Serve(l) //nolint:errcheck // it ends by stop
	}()
	return func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if s.Shutdown(ctx) != nil {
			_ = s.Close()
		}
		<-done
	}
}

func (w *web) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(w.metrics, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(out http.ResponseWriter, _ *http.Request) { fmt.Fprintln(out, "ok") })
	mux.HandleFunc("GET /readyz", w.readyz)
	mux.HandleFunc("GET /api/topology", func(out http.ResponseWriter, _ *http.Request) { writeJSON(out, newGraph(w.set)) })
	mux.HandleFunc("GET /api/status", func(out http.ResponseWriter, r *http.Request) { writeJSON(out, w.status(r.Context())) })
	mux.HandleFunc("GET /api/tables", func(out http.ResponseWriter, _ *http.Request) { writeJSON(out, w.tables()) })
	mux.HandleFunc("GET /api/tables/{table}/{key}", w.row)
	mux.HandleFunc("GET /api/time", func(out http.ResponseWriter, _ *http.Request) { writeJSON(out, w.times()) })
	files, err := fs.Sub(webFiles, "web")
	if err != nil {
		panic(err) // the name is a constant
	}
	static := http.FileServerFS(files)
	mux.HandleFunc("GET /", func(out http.ResponseWriter, r *http.Request) {
		out.Header().Set("Content-Security-Policy", "default-src 'self'; frame-ancestors 'none'")
		out.Header().Set("X-Content-Type-Options", "nosniff")
		static.ServeHTTP(out, r)
	})
	return mux
}

func writeJSON(out http.ResponseWriter, v any) { writeJSONStatus(out, http.StatusOK, v) }

func writeJSONStatus(out http.ResponseWriter, status int, v any) {
	out.Header().Set("Content-Type", "application/json")
	out.Header().Set("Cache-Control", "no-store")
	out.WriteHeader(status)
	e := json.NewEncoder(out)
	e.SetEscapeHTML(false)
	_ = e.Encode(v) // an error is the client's that has gone
}

func (w *web) all() []member {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.members
}

// times is what /api/time answers: event time by worker, group and partition.
func (w *web) times() []workerTime {
	out := []workerTime{}
	for _, m := range w.all() {
		out = append(out, workerTime{m.instance, m.worker.Time()})
	}
	return out
}

type workerTime struct {
	Instance   string                  `json:"instance"`
	Partitions []topologies.TimeStatus `json:"partitions"`
}

// ready says whether every group of every worker has joined and restored its state.
func (w *web) ready() bool {
	members := w.all()
	for _, m := range members {
		if !m.worker.Ready() {
			return false
		}
	}
	return len(members) > 0
}

func (w *web) readyz(out http.ResponseWriter, _ *http.Request) {
	if !w.ready() {
		http.Error(out, "not every group has its partitions and their state; see /api/status", http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(out, "ready")
}

// statusJSON is what /api/status answers.
type statusJSON struct {
	App       string                          `json:"app"`
	Guarantee string                          `json:"guarantee"`
	Checksum  string                          `json:"rules_checksum"`
	Ready     bool                            `json:"ready"`
	Workers   []workerStatus                  `json:"workers"`
	Rules     map[string]topologies.RuleStats `json:"rules"` // over the workers of this process
	Lag       map[string]int64                `json:"lag"`   // records not yet committed, by group; a few more where transactions are
	LagError  string                          `json:"lag_error,omitempty"`
}

type workerStatus struct {
	Instance string                   `json:"instance"`
	Groups   []topologies.GroupStatus `json:"groups"`
}

func (w *web) status(ctx context.Context) statusJSON {
	s := statusJSON{App: w.app, Guarantee: w.guarantee, Checksum: w.set.Checksum, Ready: w.ready(), Workers: []workerStatus{}, Rules: map[string]topologies.RuleStats{}}
	for _, r := range w.set.Rules {
		s.Rules[r.ID] = topologies.RuleStats{}
	}
	for _, m := range w.all() {
		s.Workers = append(s.Workers, workerStatus{m.instance, m.worker.Status()})
		for id, r := range m.worker.Rules() {
			x := s.Rules[id]
			s.Rules[id] = x.Plus(r)
		}
	}
	lags, err := w.lag(ctx)
	if err != nil {
		s.LagError = err.Error()
	}
	s.Lag = lags
	return s
}

// lag asks the broker at most once a second, however many pages are open.
func (w *web) lag(ctx context.Context) (map[string]int64, error) {
	members := w.all()
	if len(members) == 0 {
		return map[string]int64{}, nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if time.Since(w.lagTime) < time.Second {
		return w.lags, nil
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	plan := members[0].worker.Plan()
	d := newDrain(w.client, plan)
	ends, err := w.client.Ends(ctx, d.topics()...)
	if err != nil {
		return nil, errors.New("the broker does not answer")
	}
	out := map[string]int64{}
	for _, g := range plan.Groups {
		one := newDrain(w.client, &topologies.Plan{Groups: []*topologies.Group{g}})
		_, b, err := one.gaps(ctx, ends)
		if err != nil {
			return nil, errors.New("the broker does not answer")
		}
		out[g.Name] = b.records
	}
	w.lags, w.lagTime = out, time.Now()
	return out, nil
}
