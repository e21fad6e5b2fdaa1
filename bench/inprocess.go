package main

import (
	"context"
	"fmt"
	"runtime"
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

// table is the operator's state: rows in memory.
type table map[string]*processors.Row

// Row implements processors.State.
func (t table) Row(entity, cell string) (*processors.Row, error) {
	r := t[entity]
	if r == nil {
		r = &processors.Row{Key: entity + "\x00" + cell}
		t[entity] = r
	}
	return r, nil
}

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
		sum, err := pass(set.Rules[0], c.workload, events)
		r.Seconds, r.CPUSeconds = time.Since(began).Seconds(), (ownCPU() - cpu).Seconds()
		stop()
		if err != nil {
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
	in := rule.Inputs[0].Stream
	decoder, err := in.Projection.Decoder(in.Schema)
	if err != nil {
		return nil, err
	}
	all, err := workload.Events(workload.SetOf(c.workload), c.seed, c.n)
	if err != nil {
		return nil, err
	}
	events := make([]decoded, 0, c.n)
	for e := range all {
		d := decoded{context: schemas.Context{EventID: e.EventID, CorrelationID: e.CorrelationID, Entity: e.UserID, OccurredAt: e.OccurredAt, Region: e.Region, Confidence: e.Confidence, Priority: e.Priority}}
		d.event = processors.Event{Record: in.Projection.New(), Key: e.UserID, Time: e.OccurredAt}
		if err := decoder.Decode(e.AppendAvro(nil), d.event.Record); err != nil {
			return nil, err
		}
		events = append(events, d)
	}
	for i := range events {
		events[i].event.Source = &events[i]
	}
	return events, nil
}

// pass steps every event and sums the outputs up.
func pass(rule *rules.Rule, name string, events []decoded) (workload.Sum, error) {
	var sum workload.Sum
	op, err := processors.New(rule)
	if err != nil {
		return sum, err
	}
	var result processors.Result
	rows := table{}
	record := map[string]any{}
	for i := range events {
		result.Reset()
		if err := op.Step(rows, &events[i].event, &result); err != nil {
			return sum, err
		}
		for i := range result.Changes {
			result.Changes[i].Apply()
		}
		for j := range result.Outputs {
			for k, f := range rule.Routes[0].Fields {
				record[f.Name] = result.Outputs[j].Fields[k]
			}
			if err := sum.AddRecord(name, record); err != nil {
				return sum, err
			}
		}
	}
	return sum, nil
}
