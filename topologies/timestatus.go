package topologies

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace-io/millrace/processors"
)

// TimeStatus is how far event time has come in one partition of a group, and who holds it back.
type TimeStatus struct {
	Group     string      `json:"group"`
	Partition int32       `json:"partition"`
	Inputs    []InputTime `json:"inputs"`
	Rules     []RuleTime  `json:"rules,omitempty"`
}

// InputTime is the time of one input: no record below it will come.
type InputTime struct {
	Topic   string       `json:"topic"`
	Stream  string       `json:"stream"`
	Time    EventTime    `json:"time"`
	Taken   int64        `json:"taken"` // next offset to be taken in
	Held    int          `json:"held"`  // records that keep the committed offset back, because rules wait
	Writers []WriterTime `json:"writers,omitempty"`
}

// WriterTime is what a writer of a derived stream has announced.
type WriterTime struct {
	Writer    string    `json:"writer"`
	Partition int32     `json:"partition"`
	Time      EventTime `json:"time"`
}

// RuleTime is the time of a rule with state.
type RuleTime struct {
	Rule     string    `json:"rule"`
	Time     EventTime `json:"time"`
	Output   EventTime `json:"output_time"` // no later result is older
	Deadline EventTime `json:"next_deadline"`
	Waiting  int       `json:"waiting"`           // records that wait for others that sort before them
	HeldBy   string    `json:"held_by,omitempty"` // the input, and the writer of it, that is furthest behind
}

// EventTime is a time in ms since the epoch; in JSON an RFC 3339 text, null when there is none, "ended" behind the end of
// bounded input.
type EventTime int64

// MarshalJSON implements json.Marshaler.
func (t EventTime) MarshalJSON() ([]byte, error) {
	switch {
	case int64(t) == processors.Unknown || processors.IsIdle(int64(t)):
		return []byte("null"), nil
	case int64(t) == processors.Ended:
		return []byte(`"ended"`), nil
	}
	return strconv.AppendQuote(nil, t.String()), nil
}

// String gives the time as people read it.
func (t EventTime) String() string {
	switch {
	case int64(t) == processors.Unknown:
		return "unknown"
	case processors.IsIdle(int64(t)):
		return "idle"
	case int64(t) == processors.Ended:
		return "ended"
	}
	return time.UnixMilli(int64(t)).UTC().Format("2006-01-02T15:04:05.000Z")
}

// Time gives the event time of every partition that this worker has, by group and partition.
func (w *Worker) Time() []TimeStatus {
	var out []TimeStatus
	for _, r := range w.runners {
		r.mu.Lock()
		x := r.alive
		r.mu.Unlock()
		if x == nil {
			continue
		}
		for _, p := range x.partitions() {
			out = append(out, p.status())
		}
	}
	slices.SortFunc(out, func(a, b TimeStatus) int {
		return cmp.Or(strings.Compare(a.Group, b.Group), cmp.Compare(a.Partition, b.Partition))
	})
	return out
}

func (p *partition) status() TimeStatus {
	p.mu.Lock()
	defer p.mu.Unlock()
	st := TimeStatus{Group: p.run.runner.plan.Name, Partition: p.number}
	for _, s := range p.inputs {
		in := InputTime{Topic: s.Topic, Stream: s.Stream.Name, Time: EventTime(s.clock.at()), Taken: s.clock.taken, Held: len(s.clock.holds)}
		if a := s.clock.announced; a != nil {
			for _, w := range a.writers {
				in.Writers = append(in.Writers, WriterTime{w.id.name, w.id.partition, EventTime(w.at())})
			}
		}
		st.Inputs = append(st.Inputs, in)
	}
	for _, t := range p.tasks {
		r := RuleTime{Rule: t.rule.ID, Time: EventTime(t.Clock()), Output: EventTime(t.OutputTime()), Deadline: EventTime(processors.Unknown), Waiting: t.Waiting(), HeldBy: p.heldBy(t)}
		if d := t.Deadline(); d != processors.Never {
			r.Deadline = EventTime(d)
		}
		st.Rules = append(st.Rules, r)
	}
	return st
}

// heldBy names the input that a rule's time is that of.
func (p *partition) heldBy(t *ruleTask) string {
	var slowest *stepper
	for _, s := range p.inputs {
		if slices.Contains(s.tasks, t) && (slowest == nil || s.clock.at() < slowest.clock.at()) {
			slowest = s
		}
	}
	if slowest == nil {
		return ""
	}
	if a := slowest.clock.announced; a != nil && a.slowest != nil {
		return fmt.Sprintf("%s: writer %s in partition %d", slowest.Stream.Name, a.slowest.id.name, a.slowest.id.partition)
	}
	return fmt.Sprintf("%s: partition %d of %s", slowest.Stream.Name, p.number, slowest.Topic)
}

// stuckAfter is how long a rule's time may stand still while something waits for it, until the log says so; it says it
// again after as long.
const stuckAfter = time.Minute

// stuck logs the rules whose time does not go on although something waits for it, and who holds it back.
func (p *partition) stuck(now time.Time) {
	for _, t := range p.tasks {
		if c := t.Clock(); c != t.stood || t.Waiting() == 0 && t.Deadline() == processors.Never {
			t.stood, t.stoodAt = c, now
			continue
		}
		if now.Sub(t.stoodAt) >= stuckAfter {
			p.run.runner.logger.Warn("the time of a rule stands still", "rule", t.rule.ID, "partition", p.number, "time", EventTime(t.Clock()).String(),
				"waiting", t.Waiting(), "held_by", p.heldBy(t), "for", now.Sub(t.stoodAt).Round(time.Second))
			t.stoodAt = now
		}
	}
}

// timeCollector gives the times of a worker as metrics, in seconds since the epoch, when they are asked for.
type timeCollector struct {
	worker                                     *Worker
	input, writer, rule, output, waiting, held *prometheus.Desc
}

func newTimeCollector(w *Worker) *timeCollector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("millrace_"+name, help, labels, nil)
	}
	return &timeCollector{
		worker:  w,
		input:   desc("input_time_seconds", "Event time of an input's partition: nothing older will come.", "group", "topic", "partition"),
		writer:  desc("writer_time_seconds", "Output time that a writer of a derived stream has announced to the slowest reader here.", "writer", "partition"),
		rule:    desc("rule_time_seconds", "Event time of a rule with state.", "rule", "partition"),
		output:  desc("output_time_seconds", "Output time of a rule with state: no later result is older.", "rule", "partition"),
		waiting: desc("waiting_records", "Records that wait for others that sort before them.", "rule", "partition"),
		held:    desc("held_records", "Records that keep the committed offset back.", "group", "topic", "partition"),
	}
}

// Describe implements prometheus.Collector.
func (c *timeCollector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.input, c.writer, c.rule, c.output, c.waiting, c.held} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (c *timeCollector) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	when := func(d *prometheus.Desc, t EventTime, labels ...string) {
		if t >= 0 && t <= maxTime {
			gauge(d, float64(t)/1000, labels...)
		}
	}
	writers := map[writerID]EventTime{}
	for _, p := range c.worker.Time() {
		part := strconv.Itoa(int(p.Partition))
		for _, in := range p.Inputs {
			when(c.input, in.Time, p.Group, in.Topic, part)
			gauge(c.held, float64(in.Held), p.Group, in.Topic, part)
			for _, w := range in.Writers {
				id := writerID{w.Writer, w.Partition}
				if had, ok := writers[id]; !ok || w.Time < had {
					writers[id] = w.Time
				}
			}
		}
		for _, r := range p.Rules {
			when(c.rule, r.Time, r.Rule, part)
			when(c.output, r.Output, r.Rule, part)
			gauge(c.waiting, float64(r.Waiting), r.Rule, part)
		}
	}
	for id, t := range writers {
		when(c.writer, t, id.name, strconv.Itoa(int(id.partition)))
	}
}
