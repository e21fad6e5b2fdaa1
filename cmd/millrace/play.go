package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/schemas"
	"github.com/millrace-io/millrace/topologies/kafka"
)

// pace says how fast event time goes by while feeds are played: 0 is as fast as it can be, 1 as it was.
type pace float64

func parsePace(s string) (pace, error) {
	switch s {
	case "max":
		return 0, nil
	case "realtime":
		return 1, nil
	}
	if n, ok := strings.CutSuffix(s, "x"); ok {
		if f, err := strconv.ParseFloat(n, 64); err == nil && f > 0 && f <= 1e9 {
			return pace(f), nil
		}
	}
	return 0, usage("--pace %s: use max, realtime, or how many times faster, as 60x", s)
}

// maxShown is how many failing rows are shown; the others are counted.
const maxShown = 10

// player writes the events of feeds.
type player struct {
	client *kafka.Client
	app    string
	pace   pace
	ids    map[string]int32 // schema id by stream
	feeds  []*openFeed
	sent   atomic.Int64 // events written
	had    atomic.Int64 // events that an earlier run has written
	last   atomic.Int64 // the largest event time, of all feeds
	done   atomic.Bool

	mu       sync.Mutex
	failures []*rowFailure // the first
	failed   int64
	origin   origin
}

// origin ties event time to the clock: all feeds share it.
type origin struct {
	set   bool
	event int64
	wall  time.Time
}

// play writes all events of all feeds and waits until the broker has them. Failing rows are no error.
func (p *player) play(ctx context.Context) error {
	defer p.done.Store(true)
	producer, err := p.client.NewProducer()
	if err != nil {
		return err
	}
	defer producer.Close()
	g, together := errgroup.WithContext(ctx)
	for _, f := range p.feeds {
		g.Go(func() error { return p.one(together, ctx, f, producer) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return producer.Flush(ctx)
}

// one plays one feed until ctx ends. What is on its way to the broker lives as long as sending.
func (p *player) one(ctx, sending context.Context, f *openFeed, producer *kafka.Producer) error {
	envelopers, written, err := p.prepare(ctx, f)
	if err != nil {
		return err
	}
	for ctx.Err() == nil {
		x, err := f.next(func() int64 { return time.Now().UnixMilli() })
		var bad *rowFailure
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.As(err, &bad):
			p.fail(bad)
			continue
		case err != nil:
			return err
		}
		p.latest(x.time)
		if written[x.id] {
			p.had.Add(1)
			continue
		}
		r, err := envelopers[x.stream].record(x, "/"+p.app+"/feed/"+f.feed.Name)
		if err != nil {
			p.fail(&rowFailure{f.data.name, f.line, f.row, err})
			continue
		}
		if err := p.await(ctx, x.time); err != nil {
			return err
		}
		if err := producer.Send(sending, r); err != nil {
			return err
		}
		p.sent.Add(1)
	}
	return ctx.Err()
}

// prepare makes what wraps the events of a feed, by stream, and gives the ids of those that are there already.
func (p *player) prepare(ctx context.Context, f *openFeed) (map[*rules.Stream]*enveloper, map[string]bool, error) {
	envelopers := map[*rules.Stream]*enveloper{}
	var topics []string
	for _, x := range f.feed.Events {
		s := x.Stream
		if envelopers[s] != nil {
			continue
		}
		topics = append(topics, s.Topic)
		encoder, err := schemas.NewEncoder(s.Schema)
		if err != nil {
			return nil, nil, fmt.Errorf("schema of %s: %w", s.Name, err)
		}
		envelopers[s] = &enveloper{app: p.app, stream: s, encoder: encoder, id: p.ids[s.Name]}
	}
	counts, err := p.client.Partitions(ctx, topics...)
	if err != nil {
		return nil, nil, err
	}
	for s, e := range envelopers {
		e.partitions = counts[s.Topic]
	}
	written, err := p.written(ctx, topics)
	return envelopers, written, err
}

// latest notes an event time.
func (p *player) latest(at int64) {
	for had := p.last.Load(); at > had && !p.last.CompareAndSwap(had, at); {
		had = p.last.Load()
	}
}

func (p *player) fail(f *rowFailure) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failed++
	if len(p.failures) < maxShown {
		p.failures = append(p.failures, f)
	}
}

// written gives the ids of the events that are in topics already: a broker that kept its topics, after a crash, say,
// must not get events twice.
func (p *player) written(ctx context.Context, topics []string) (map[string]bool, error) {
	out := map[string]bool{}
	err := scanAll(ctx, p.client, topics, func(r *kafka.Record) {
		if id := r.Header(schemas.HeaderID); id != nil {
			out[string(id)] = true
		}
	})
	return out, err
}

// await waits until it is time for an event.
func (p *player) await(ctx context.Context, at int64) error {
	if p.pace == 0 {
		return nil
	}
	p.mu.Lock()
	if !p.origin.set {
		p.origin = origin{true, at, time.Now()}
	}
	o := p.origin
	p.mu.Unlock()
	wait := time.Until(o.wall.Add(time.Duration(float64(at-o.event) * float64(time.Millisecond) / float64(p.pace))))
	if wait <= 0 {
		return nil
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(wait):
		return nil
	}
}

// progress is the share of the input that has been read, and how much of it is events.
func (p *player) progress() (share float64, events int64) {
	var read, size int64
	for _, f := range p.feeds {
		read += f.data.read.Load()
		size += f.data.size
	}
	return float64(read) / float64(cmp.Or(size, 1)), p.sent.Load()
}

// report tells about failing rows; it is an error that there were some.
func (p *player) report(sh *shell) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.failed == 0 {
		return nil
	}
	for _, f := range p.failures {
		sh.say("%v", f)
	}
	if more := p.failed - int64(len(p.failures)); more > 0 {
		sh.say("… and %s more", thousands(more))
	}
	return &exitError{codeFindings, fmt.Errorf("%s of the input became no event; all others were processed", count(int(p.failed), "row"))}
}
