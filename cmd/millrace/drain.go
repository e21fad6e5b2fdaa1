package main

import (
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/millrace-io/millrace/topologies"
	"github.com/millrace-io/millrace/topologies/kafka"
)

// drain proves that the groups of a plan have processed all that is in their topics.
//
// It looks at the ends of all topics, then at what every group has committed, then at the ends again. Offsets are
// committed together with what came of the records below them. So when no topic has grown between the two looks, no
// transaction is open, and every group's offset is at the end of each of its inputs, nothing is on its way anywhere.
// An offset stops short of the end where only transaction markers follow; whether it is so is found out by reading.
type drain struct {
	client *kafka.Client
	plan   *topologies.Plan
	proven map[gap]bool // gaps that hold markers only
	done   func() bool  // nothing pending is left in the workers; nil for not asked
}

// gap is what lies between a group's offset and the end.
type gap struct {
	kafka.Partition
	from, to int64
}

func newDrain(client *kafka.Client, plan *topologies.Plan) *drain {
	return &drain{client: client, plan: plan, proven: map[gap]bool{}}
}

// backlog says what is not done: records, with markers among them, between offsets and ends.
type backlog struct {
	records int64
	where   string // one place of it, "" when everything is done
	settled bool
}

func (d *drain) topics() []string {
	out := make([]string, 0, len(d.plan.Topics))
	for _, t := range d.plan.Topics {
		if t.Kind != topologies.ProgressTopic { // time goes on in it for ever
			out = append(out, t.Name)
		}
	}
	return out
}

// look takes one look. An error is the broker's.
func (d *drain) look(ctx context.Context) (backlog, error) {
	topics := d.topics()
	ends, err := d.client.Ends(ctx, topics...)
	if err != nil {
		return backlog{}, err
	}
	gaps, b, err := d.gaps(ctx, ends)
	if err != nil {
		return b, err
	}
	stable, err := d.client.StableEnds(ctx, topics...)
	switch {
	case err != nil:
		return b, err
	case !maps.Equal(ends, stable): // records came in, or a transaction is open
		if b.where == "" {
			b.where = "an open transaction"
		}
		return b, nil
	}
	for _, g := range gaps {
		empty, err := d.empty(ctx, g)
		if err != nil || !empty {
			return b, err
		}
	}
	if d.done != nil && !d.done() {
		b.where = "what is due at the end of the input"
		return b, nil
	}
	again, err := d.client.Ends(ctx, topics...)
	if err != nil || !maps.Equal(ends, again) {
		return b, err
	}
	return backlog{settled: true}, nil
}

// gaps compares the groups' offsets with the ends.
func (d *drain) gaps(ctx context.Context, ends kafka.Offsets) ([]gap, backlog, error) {
	var out []gap
	var b backlog
	for _, g := range d.plan.Groups {
		committed, err := d.client.Committed(ctx, g.Name)
		if err != nil {
			return nil, b, err
		}
		for _, in := range g.Inputs {
			for p, end := range ends {
				at := committed[p] // without an offset a group begins at the start
				if p.Topic != in.Topic || at >= end {
					continue
				}
				out = append(out, gap{p, at, end})
				b.records += end - at
				b.where = fmt.Sprintf("%s is at %d of %d in %s", g.Name, at, end, p)
			}
		}
	}
	return out, b, nil
}

// empty says whether a gap holds no record, only markers.
func (d *drain) empty(ctx context.Context, g gap) (bool, error) {
	if d.proven[g] {
		return true, nil
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	found := false
	err := d.client.Scan(ctx, kafka.Offsets{g.Partition: g.from}, kafka.Offsets{g.Partition: g.to}, func(r *kafka.Record) error {
		if r.Control {
			return nil
		}
		found = true
		return kafka.ErrStop
	})
	if err != nil {
		return false, err
	}
	d.proven[g] = !found
	return !found, nil
}

// How often wait looks, and after how long without any progress it asks whether there is trouble.
const (
	drainInterval = 40 * time.Millisecond
	drainPatience = 30 * time.Second
)

// wait returns when everything is processed. progress, if set, is told what is left. When nothing moves for a while,
// trouble says whether that has a reason that time does not mend.
func (d *drain) wait(ctx context.Context, progress func(backlog), trouble func() error) error {
	var last backlog
	moved := time.Now()
	for {
		b, err := d.look(ctx)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err == nil && b.settled:
			return nil
		case err == nil && progress != nil:
			progress(b)
		}
		if b != last {
			last, moved = b, time.Now()
		}
		if time.Since(moved) > drainPatience {
			if reason := trouble(); reason != nil {
				return fmt.Errorf("no progress for %v (%s): %w", drainPatience, b.where, reason)
			}
			if err != nil {
				return err
			}
			moved = time.Now()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(drainInterval):
		}
	}
}
