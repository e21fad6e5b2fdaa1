package lineage

import (
	"bytes"
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/millrace-io/millrace/schemas"
	"github.com/millrace-io/millrace/topologies"
	"github.com/millrace-io/millrace/topologies/kafka"
)

// troubled adds to an event where it came too late or could not be processed; nil is one that is in no stream. It gives nil for an id
// that is not there either.
func (x *explainer) troubled(ctx context.Context, id string, e *Event) (*Event, error) {
	_, late := x.streams()
	e, err := x.dead(ctx, id, e)
	if err != nil || e == nil {
		return e, err
	}
	if e.entry != nil && slices.Contains(late, e.Topic) {
		e.Troubles = append(e.Troubles, x.lateness(e.entry.Record)...)
		return e, nil
	}
	for _, topic := range late {
		if err := x.lateIn(ctx, topic, e); err != nil {
			return nil, err
		}
	}
	return e, nil
}

// lateIn looks for the event in a stream of late records, which lie there as they came.
func (x *explainer) lateIn(ctx context.Context, topic string, e *Event) error {
	if e.entry == nil {
		return nil
	}
	var copied *kafka.Record
	return x.search.outward(ctx, e.entry.Timestamp, []string{topic}, func() bool { return copied != nil }, func(r *kafka.Record) error {
		if !r.Timestamp.Equal(e.entry.Timestamp) || !bytes.Equal(r.Key, e.entry.Key) || !bytes.Equal(r.Value, e.entry.Value) {
			return nil
		}
		copied = r
		e.Troubles = append(e.Troubles, x.lateness(r)...)
		return kafka.ErrStop
	})
}

// lateness says for which rules a record in a stream of late records may have come too late.
func (x *explainer) lateness(r *kafka.Record) []Trouble {
	var ids []string
	for _, rule := range x.options.Rules.Rules {
		if rule.Late != nil && rule.Late.Topic == r.Topic {
			ids = append(ids, rule.ID)
		}
	}
	return []Trouble{{Kind: Late, Rule: strings.Join(ids, " or "), Topic: r.Topic, Partition: r.Number, Offset: r.Offset, At: r.Timestamp.UTC()}}
}

// dead looks for the event in the dead-letter topics.
func (x *explainer) dead(ctx context.Context, id string, e *Event) (*Event, error) {
	topics := x.deadTopics()
	if err := x.search.bounds(ctx, topics); err != nil {
		return nil, err
	}
	from, to := kafka.Offsets{}, kafka.Offsets{}
	for p, end := range x.search.ends {
		if slices.Contains(topics, p.Topic) {
			from[p], to[p] = x.search.starts[p], end
		}
	}
	err := x.search.scan(ctx, from, to, func(r *kafka.Record) error {
		l, err := x.letter(ctx, r)
		if err != nil || l.topic == "" {
			return err
		}
		if e != nil && (l.topic != e.Topic || l.partition != e.Partition || l.offset != e.Offset) {
			return nil
		}
		if e == nil {
			if !slices.Contains(l.ids, id) {
				return nil
			}
			e = l.event(id)
		}
		e.Troubles = append(e.Troubles, l.trouble)
		return nil
	})
	return e, err
}

func (x *explainer) deadTopics() []string {
	var out []string
	add := func(t string) {
		if t != "" && !slices.Contains(out, t) && x.search.topics[t] == nil {
			out = append(out, t)
		}
	}
	for _, s := range x.options.Rules.Streams {
		add(topologies.Dead(x.options.App, s.Domain))
	}
	for _, r := range x.options.Rules.Rules {
		add(topologies.Dead(x.options.App, r.Domain))
		add(r.Dead)
	}
	slices.Sort(out)
	return out
}

// letter is a dead letter.
type letter struct {
	trouble   Trouble
	stream    string
	topic     string // of the record; "": it is no dead letter
	partition int32
	offset    int64
	record    *kafka.Record
	entry     *entry // nil: it can't be read
	ids       []string
}

// letter reads a dead letter. The error is the registry's.
func (x *explainer) letter(ctx context.Context, r *kafka.Record) (*letter, error) {
	text := func(name string) string { return string(r.Header(name)) }
	l := &letter{stream: text(topologies.HeaderDeadStream), topic: text(topologies.HeaderDeadTopic), record: r}
	partition, err := strconv.ParseInt(text(topologies.HeaderDeadPartition), 10, 32)
	if err != nil {
		l.topic = ""
	}
	if l.offset, err = strconv.ParseInt(text(topologies.HeaderDeadOffset), 10, 64); err != nil {
		l.topic = ""
	}
	l.partition = int32(partition)
	l.trouble = Trouble{
		Kind: Dead, Code: text(topologies.HeaderDeadCode), Error: text(topologies.HeaderDeadError), Rule: text(topologies.HeaderDeadRule),
		Topic: r.Topic, Partition: r.Number, Offset: r.Offset, At: r.Timestamp.UTC(),
	}
	l.ids = []string{schemas.InputID(l.topic, l.partition, l.offset), text(schemas.HeaderID)}
	s := x.options.Rules.Stream(l.stream)
	if s == nil || l.topic == "" {
		return l, nil
	}
	was := *r
	was.Topic, was.Number, was.Offset = l.topic, l.partition, l.offset
	if ms, err := strconv.ParseInt(text(topologies.HeaderDeadTimestamp), 10, 64); err == nil {
		was.Timestamp = time.UnixMilli(ms)
	}
	if l.entry, err = x.search.reader.open(ctx, s, &was); err != nil {
		return nil, err
	}
	l.ids = append(l.ids, l.entry.id)
	return l, nil
}

// event is the record of the letter.
func (l *letter) event(id string) *Event {
	if l.entry != nil {
		e := l.entry.event()
		e.ID = id
		return e
	}
	return &Event{ID: id, Stream: l.stream, Topic: l.topic, Partition: l.partition, Offset: l.offset, Key: string(l.record.Key)}
}
