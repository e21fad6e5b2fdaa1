package main

import (
	"context"
	"fmt"
	"iter"
	"runtime"
	"slices"
	"time"

	"github.com/millrace-io/millrace/bench/workload"
	"github.com/millrace-io/millrace/processors"
	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/schemas"
)

// decoded is an event as the operator gets it from the runtime.
type decoded struct {
	event   processors.Event
	context schemas.Context
}

// Context implements processors.Source.
func (d *decoded) Context() (*schemas.Context, error) { return &d.context, nil }

// inProcess runs the workload's rule over decoded events on one goroutine, without a broker. The first pass is warm-up.
func inProcess(ctx context.Context, c config) (*Result, error) {
	set, err := loadRule(c.workload)
	if err != nil {
		return nil, err
	}
	events, err := preload(set.Rules[0], c)
	if err != nil {
		return nil, err
	}
	want, err := workload.Expect(c.workload, c.seed, c.n)
	if err != nil {
		return nil, err
	}
	r := &Result{Workload: c.workload, Mode: c.mode, Engine: "millrace", Seed: c.seed, Events: int64(c.n)}
	for warm := range 2 {
		runtime.GC()
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		stop := func() {}
		if warm > 0 {
			if stop, err = startProfile(c.profile); err != nil {
				return nil, err
			}
		}
		began, cpu := time.Now(), ownCPU()
		sum, left, err := pass(set.Rules[0], c.workload, events)
		r.Seconds, r.CPUSeconds = time.Since(began).Seconds(), (ownCPU() - cpu).Seconds()
		stop()
		if err != nil {
			return nil, err
		}
		if err := emptied(set.Rules[0], left); err != nil {
			return nil, err
		}
		if sum != want {
			return nil, fmt.Errorf("outputs are %v, want %v", sum, want)
		}
		r.Outputs, r.Checksum = sum.Count, fmt.Sprintf("%016x", sum.Hash)
	}
	r.EventsPerSecond, r.PeakMB = float64(c.n)/r.Seconds, peakMB()
	return r, nil
}

// preload decodes the events into what the operator reads.
func preload(rule *rules.Rule, c config) ([]decoded, error) {
	all, err := workload.Events(workload.SetOf(c.workload), c.seed, c.n)
	if err != nil {
		return nil, err
	}
	return decodeAll(rule, c.n, all)
}

// decodeAll decodes events, about n of them.
func decodeAll(rule *rules.Rule, n int, all iter.Seq[*workload.Event]) ([]decoded, error) {
	decoders := make([]*schemas.Decoder, len(rule.Inputs))
	for i, in := range rule.Inputs {
		var err error
		if decoders[i], err = in.Stream.Projection.Decoder(in.Stream.Schema); err != nil {
			return nil, err
		}
	}
	events := make([]decoded, 0, n)
	for e := range all {
		d := decoded{context: schemas.Context{EventID: e.EventID, CorrelationID: e.CorrelationID, Entity: e.UserID, OccurredAt: e.OccurredAt, Region: e.Region, Confidence: e.Confidence, Priority: e.Priority}}
		input := slices.IndexFunc(rule.Inputs, func(in rules.Input) bool { return in.Alias == e.Kind.String() })
		if input < 0 { // of a kind that the rule does not read: a worker would not, either
			continue
		}
		d.event = processors.Event{Input: input, Record: rule.Inputs[input].Stream.Projection.New(), Key: e.UserID, Time: e.OccurredAt}
		if err := decoders[input].Decode(e.AppendAvro(nil), d.event.Record); err != nil {
			return nil, err
		}
		events = append(events, d)
	}
	for i := range events {
		events[i].event.Source = &events[i]
	}
	return events, nil
}

// pass runs the rule over all events and sums the outputs up.
func pass(rule *rules.Rule, name string, events []decoded) (workload.Sum, *solo, error) {
	outputs := workload.NewOutputs(name)
	values := make([]any, 0, len(rule.Routes[0].Fields))
	order, err := positions(rule, name)
	if err != nil {
		return outputs.Sum, nil, err
	}
	s, err := newSolo(rule, func(o *processors.Output) error {
		values = values[:0]
		for _, i := range order {
			values = append(values, o.Fields[i])
		}
		return outputs.Add(values...)
	})
	if err != nil {
		return outputs.Sum, nil, err
	}
	for i := range events {
		if i%processors.WarmMost == 0 {
			s.ahead(events[i:min(i+processors.WarmMost, len(events))])
		}
		if err := s.take(&events[i].event); err != nil {
			return outputs.Sum, nil, err
		}
	}
	return outputs.Sum, s, nil
}

// emptied holds that nothing is left of windows and buffers when all have closed.
func emptied(rule *rules.Rule, s *solo) error {
	if rule.Window == nil && rule.Join == nil && rule.Detect == nil {
		return nil
	}
	if err := s.end(); err != nil {
		return err
	}
	if n := len(s.rows.rows); n > 0 {
		return fmt.Errorf("%d cells are left when all windows have closed", n)
	}
	return nil
}

// positions says where in an output the fields are that are summed up.
func positions(rule *rules.Rule, name string) ([]int, error) {
	var out []int
	for _, field := range workload.Fields(name) {
		at := slices.IndexFunc(rule.Routes[0].Fields, func(f rules.Output) bool { return f.Name == field })
		if at < 0 {
			return nil, fmt.Errorf("the outputs of %s have no %s", name, field)
		}
		out = append(out, at)
	}
	return out, nil
}
