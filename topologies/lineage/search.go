package lineage

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/topologies/kafka"
)

// firstStep is how many records of a partition are read at first, on each side; every further time it is stepGrowth times as many.
const (
	firstStep  = 2_000
	stepGrowth = 4
)

// search reads topics for records with certain ids.
type search struct {
	client *kafka.Client
	reader *reader
	topics map[string]*rules.Stream
	found  map[string]*entry
	left   int64 // records that may still be read

	starts, ends kafka.Offsets // as they were when the topic was first looked at
	covered      map[string]*Covered
}

func newSearch(o *Options) *search {
	s := &search{
		client: o.Client, reader: &reader{registry: o.Registry, formats: map[formatKey]*format{}}, left: o.Records,
		topics: map[string]*rules.Stream{}, found: map[string]*entry{}, starts: kafka.Offsets{}, ends: kafka.Offsets{}, covered: map[string]*Covered{},
	}
	for _, x := range o.Rules.Streams {
		s.topics[x.Topic] = x
	}
	return s
}

// limited reports whether reading has ended before the topics have.
func (s *search) limited() bool { return s.left <= 0 }

// bounds looks at where topics begin and end. All of what is read lies below these ends.
func (s *search) bounds(ctx context.Context, topics []string) error {
	var unknown []string
	for _, t := range topics {
		if s.covered[t] == nil {
			unknown = append(unknown, t)
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	starts, err := s.client.Starts(ctx, unknown...)
	if err != nil {
		return err
	}
	ends, err := s.client.StableEnds(ctx, unknown...)
	if err != nil {
		return err
	}
	for _, t := range unknown {
		s.covered[t] = &Covered{Topic: t, Missing: true}
	}
	for p, at := range starts {
		s.covered[p.Topic].Missing = false
		s.starts[p], s.ends[p] = at, max(ends[p], at)
	}
	return nil
}

// find looks for the records of ids in topics, around a time. What it finds is in s.found.
func (s *search) find(ctx context.Context, want map[string]bool, at time.Time, topics ...string) error {
	open := maps.Clone(want)
	for id := range s.found {
		delete(open, id)
	}
	return s.outward(ctx, at, topics, func() bool { return len(open) == 0 }, func(r *kafka.Record) error {
		return s.match(ctx, open, r)
	})
}

// outward hands over the records of topics, first those around a time, then farther and farther from it, until it is done or so much has been
// read as may be. The zero time is the end.
func (s *search) outward(ctx context.Context, at time.Time, topics []string, done func() bool, each func(*kafka.Record) error) error {
	if done() || s.limited() {
		return nil
	}
	lo, err := s.center(ctx, at, topics)
	if err != nil {
		return err
	}
	hi := maps.Clone(lo)
	for size := int64(firstStep); !done() && !s.limited(); size *= stepGrowth {
		before, after, more := maps.Clone(lo), maps.Clone(hi), false
		for p := range lo {
			before[p] = max(s.starts[p], lo[p]-size)
			after[p] = min(s.ends[p], hi[p]+size)
			more = more || before[p] < lo[p] || after[p] > hi[p]
		}
		if !more {
			return nil
		}
		if err := s.scan(ctx, before, lo, each); err != nil {
			return err
		}
		if !done() {
			if err := s.scan(ctx, hi, after, each); err != nil {
				return err
			}
		}
		lo, hi = before, after
	}
	return nil
}

// center gives the offsets of a time.
func (s *search) center(ctx context.Context, at time.Time, topics []string) (kafka.Offsets, error) {
	if err := s.bounds(ctx, topics); err != nil {
		return nil, err
	}
	out := kafka.Offsets{}
	for p, end := range s.ends {
		if slices.Contains(topics, p.Topic) {
			out[p] = end
		}
	}
	if at.IsZero() || len(out) == 0 {
		return out, nil
	}
	since, err := s.client.Since(ctx, at, topics...)
	for p, o := range since {
		if end, ok := out[p]; ok {
			out[p] = max(s.starts[p], min(o, end))
		}
	}
	return out, err
}

// scan hands over the records of [from, to), as long as some may be read.
func (s *search) scan(ctx context.Context, from, to kafka.Offsets, each func(*kafka.Record) error) error {
	return s.client.Scan(ctx, from, to, func(r *kafka.Record) error {
		if s.limited() {
			return kafka.ErrStop
		}
		if r.Control {
			return nil
		}
		s.left--
		c := s.covered[r.Topic]
		c.Records++
		if r.Timestamp.After(c.Newest) {
			c.Newest = r.Timestamp.UTC()
		}
		return each(r)
	})
}

// match takes a record that is looked for out of open, and ends the reading after the last one.
func (s *search) match(ctx context.Context, open map[string]bool, r *kafka.Record) error {
	stream := s.topics[r.Topic]
	id, header, err := s.reader.names(ctx, stream, r)
	if err != nil {
		return err
	}
	for _, name := range []string{id, header} {
		if !open[name] {
			continue
		}
		e, err := s.reader.open(ctx, stream, r)
		if err != nil {
			return err
		}
		s.found[name] = e
		delete(open, name)
	}
	if len(open) == 0 {
		return kafka.ErrStop
	}
	return nil
}

// at finds the record of an offset, whatever its partition, that has the key or the id.
func (s *search) at(ctx context.Context, topic string, offset int64, key, id string) (*entry, error) {
	if err := s.bounds(ctx, []string{topic}); err != nil {
		return nil, err
	}
	from, to := kafka.Offsets{}, kafka.Offsets{}
	for p, end := range s.ends {
		if p.Topic == topic && s.starts[p] <= offset && offset < end {
			from[p], to[p] = offset, offset+1
		}
	}
	var out *entry
	err := s.scan(ctx, from, to, func(r *kafka.Record) error {
		e, err := s.reader.open(ctx, s.topics[topic], r)
		if err != nil {
			return err
		}
		if key != "" && e.key() == key || id != "" && e.id == id {
			out = e
			return kafka.ErrStop
		}
		return nil
	})
	return out, err
}

// former finds the record of the same key before one, nil for none: its row before that.
func (s *search) former(ctx context.Context, e *entry) (*entry, error) {
	var last *kafka.Record
	p := e.Partition
	for hi, size := e.Offset, int64(firstStep); last == nil && hi > s.starts[p] && !s.limited(); size *= stepGrowth {
		lo := max(s.starts[p], hi-size)
		err := s.scan(ctx, kafka.Offsets{p: lo}, kafka.Offsets{p: hi}, func(r *kafka.Record) error {
			if bytes.Equal(r.Key, e.Key) {
				last = r
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		hi = lo
	}
	if last == nil {
		return nil, nil
	}
	return s.reader.open(ctx, e.stream, last)
}

// summary lists what was read.
func (s *search) summary() []Covered {
	var out []Covered
	for _, t := range slices.Sorted(maps.Keys(s.covered)) {
		out = append(out, *s.covered[t])
	}
	return out
}
