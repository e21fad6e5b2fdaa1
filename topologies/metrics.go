package topologies

import (
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace-io/millrace/rules"
)

// counts are what a partition's open transaction has done. They become metrics when it commits and are forgotten when
// it does not. Rules and inputs are few: they are found by position.
type counts struct {
	rules  []*rules.Rule
	byRule []ruleCounts
	inputs []*Input
	taken  []int64
	dead   map[deadKey]int64
}

type ruleCounts struct{ in, matched, out, dead, late, partly, missing, duplicates, forgotten, cut int64 }

type deadKey struct{ stream, rule, code string }

func newCounts(g *Group) counts {
	c := counts{rules: g.Rules, inputs: g.Inputs, taken: make([]int64, len(g.Inputs)), dead: map[deadKey]int64{}}
	for _, in := range g.Inputs { // rules of other groups that read a repartition topic fed from here
		for _, m := range in.Moves {
			for _, u := range m.Uses {
				c.rules = append(slices.Clip(c.rules), u.Rule)
			}
		}
	}
	c.byRule = make([]ruleCounts, len(c.rules))
	return c
}

func (c *counts) rule(r *rules.Rule) *ruleCounts {
	for i, x := range c.rules {
		if x == r {
			return &c.byRule[i]
		}
	}
	return &ruleCounts{} // not reached: every rule of the group is there
}

func (c *counts) add(in *Input, n int64) {
	for i, x := range c.inputs {
		if x == in {
			c.taken[i] += n
		}
	}
}

func (c *counts) deadLetter(d deadLetter) {
	k := deadKey{stream: d.stream.Name, code: d.code}
	if d.rule != nil {
		k.rule = d.rule.ID
	}
	c.dead[k]++
}

// Metrics are the worker's. All counters count committed work only, so that they agree with the topics.
type metrics struct {
	ruleIn, ruleMatched, ruleOut                                              *prometheus.CounterVec
	ruleLate, rulePartly, ruleMissing, ruleDuplicates, ruleForgotten, ruleCut *prometheus.CounterVec
	dead                                                                      *prometheus.CounterVec
	records                                                                   *prometheus.CounterVec
	commits                                                                   *prometheus.HistogramVec
	failures, fenced                                                          *prometheus.CounterVec
	partitions                                                                *prometheus.GaugeVec
	waitingSchema                                                             *prometheus.GaugeVec
	restoredRows                                                              *prometheus.CounterVec
	restoreSeconds                                                            *prometheus.HistogramVec

	mu    sync.Mutex
	rules map[string]RuleStats
}

// RuleStats is what a rule has done in this worker's life, committed work only.
type RuleStats struct {
	In         int64 `json:"in"`          // records it looked at
	Matched    int64 `json:"matched"`     // of those, that passed `where`
	Out        int64 `json:"out"`         // records it wrote
	Dead       int64 `json:"dead"`        // records that it could not process, and results that it could not write
	Late       int64 `json:"late"`        // records whose windows had all closed
	Partly     int64 `json:"partly_late"` // records some of whose windows had closed
	Missing    int64 `json:"missing"`     // records of inner lookups that found no row
	Duplicates int64 `json:"duplicates"`  // records that dedupe dropped
	Forgotten  int64 `json:"forgotten"`   // partial matches that were dropped because a key had too many
	Cut        int64 `json:"cut"`         // matches that were dropped because one record completed too many
}

// Plus adds two rules' counts up.
func (s RuleStats) Plus(r RuleStats) RuleStats {
	return RuleStats{
		In: s.In + r.In, Matched: s.Matched + r.Matched, Out: s.Out + r.Out, Dead: s.Dead + r.Dead,
		Late: s.Late + r.Late, Partly: s.Partly + r.Partly, Missing: s.Missing + r.Missing, Duplicates: s.Duplicates + r.Duplicates,
		Forgotten: s.Forgotten + r.Forgotten, Cut: s.Cut + r.Cut,
	}
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "millrace", Name: name, Help: help}, labels)
	}
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: "millrace", Name: name, Help: help}, labels)
	}
	histogram := func(name, help string, labels ...string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: "millrace", Name: name, Help: help, Buckets: prometheus.ExponentialBuckets(0.001, 2, 15)}, labels)
	}
	m := &metrics{
		ruleIn:         counter("rule_in_total", "Records that a rule looked at.", "rule"),
		ruleMatched:    counter("rule_matched_total", "Records that passed a rule's where.", "rule"),
		ruleOut:        counter("rule_out_total", "Records that a rule wrote.", "rule"),
		ruleLate:       counter("rule_late_total", "Records that came too late for a rule: all their windows had closed.", "rule"),
		rulePartly:     counter("rule_partly_late_total", "Records that came too late for some of their windows.", "rule"),
		ruleMissing:    counter("rule_missing_rows_total", "Records of a rule's inner lookups that found no row, and brought no result.", "rule"),
		ruleDuplicates: counter("rule_duplicates_total", "Records that a rule's dedupe dropped.", "rule"),
		ruleForgotten:  counter("rule_partial_matches_dropped_total", "Partial matches of a detection that were dropped because a key had more than max_partial, the oldest first.", "rule"),
		ruleCut:        counter("rule_matches_cut_total", "Matches of a detection that were dropped because one record completed more than max_matches.", "rule"),
		dead:           counter("dead_letters_total", "Records written to dead-letter topics; rule is empty when no rule could read the record.", "stream", "rule", "code"),
		records:        counter("records_total", "Records taken in.", "group", "topic"),
		commits:        histogram("commit_seconds", "Length of commits.", "group"),
		failures:       counter("group_failures_total", "Times that a group began again from its last commit after an error.", "group"),
		fenced:         counter("fenced_transactions_total", "Open transactions of former owners that a group ended.", "group"),
		partitions:     gauge("assigned_partitions", "Topic partitions that the group has here.", "group"),
		waitingSchema:  gauge("partition_waits_for_schema", "1 while a partition waits for the schema registry.", "group", "topic", "partition"),
		restoredRows:   counter("restored_rows_total", "Changelog records read to restore state.", "group"),
		restoreSeconds: histogram("restore_seconds", "Time to restore a partition's state.", "group"),
		rules:          map[string]RuleStats{},
	}
	if reg == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.ruleIn, m.ruleMatched, m.ruleOut, m.ruleLate, m.rulePartly, m.ruleMissing, m.ruleDuplicates, m.ruleForgotten, m.ruleCut, m.dead, m.records, m.commits, m.failures, m.fenced, m.partitions, m.waitingSchema, m.restoredRows, m.restoreSeconds} {
		if err := reg.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// groupMetrics are the metrics with one group's label.
type groupMetrics struct {
	*metrics
	group      string
	commits    prometheus.Observer
	failures   prometheus.Counter
	fenced     prometheus.Counter
	partitions prometheus.Gauge
}

func (m *metrics) group(name string) *groupMetrics {
	return &groupMetrics{
		metrics: m, group: name, commits: m.commits.WithLabelValues(name), failures: m.failures.WithLabelValues(name),
		fenced: m.fenced.WithLabelValues(name), partitions: m.partitions.WithLabelValues(name),
	}
}

// take adds a partition's counts and resets them.
func (m *groupMetrics) take(c *counts) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, r := range c.rules {
		n := &c.byRule[i]
		if *n == (ruleCounts{}) {
			continue
		}
		m.ruleIn.WithLabelValues(r.ID).Add(float64(n.in))
		m.ruleMatched.WithLabelValues(r.ID).Add(float64(n.matched))
		m.ruleOut.WithLabelValues(r.ID).Add(float64(n.out))
		m.ruleLate.WithLabelValues(r.ID).Add(float64(n.late))
		m.rulePartly.WithLabelValues(r.ID).Add(float64(n.partly))
		m.ruleMissing.WithLabelValues(r.ID).Add(float64(n.missing))
		m.ruleDuplicates.WithLabelValues(r.ID).Add(float64(n.duplicates))
		m.ruleForgotten.WithLabelValues(r.ID).Add(float64(n.forgotten))
		m.ruleCut.WithLabelValues(r.ID).Add(float64(n.cut))
		s := m.rules[r.ID]
		m.rules[r.ID] = s.Plus(RuleStats{In: n.in, Matched: n.matched, Out: n.out, Dead: n.dead, Late: n.late, Partly: n.partly, Missing: n.missing, Duplicates: n.duplicates, Forgotten: n.forgotten, Cut: n.cut})
		*n = ruleCounts{}
	}
	for i, in := range c.inputs {
		m.records.WithLabelValues(m.group, in.Topic).Add(float64(c.taken[i]))
		c.taken[i] = 0
	}
	for k, n := range c.dead {
		m.dead.WithLabelValues(k.stream, k.rule, k.code).Add(float64(n))
	}
	clear(c.dead)
}

// waiting returns a function that says whether the partition waits for the registry.
func (m *groupMetrics) waiting(topic string, partition int32) func(bool) {
	g := m.waitingSchema.WithLabelValues(m.group, topic, strconv.Itoa(int(partition)))
	return func(on bool) {
		if on {
			g.Set(1)
		} else {
			g.Set(0)
		}
	}
}

func (m *groupMetrics) restored(rows int, took time.Duration) {
	m.restoredRows.WithLabelValues(m.group).Add(float64(rows))
	m.restoreSeconds.WithLabelValues(m.group).Observe(took.Seconds())
}
