package topologies

import (
	"fmt"
	"strconv"
	"time"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/processors"
	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/schemas"
)

const (
	chunk    = 64 << 10 // bytes that records share
	deadRoom = 64 << 10 // what a dead letter or a move may add to the record that it holds
	// batchRoom is what a batch of one record may take beside the record.
	batchRoom = 512
	// maxAhead is how far a record's timestamp may be ahead of the clock: brokers refuse an hour (Kafka 4.0). A later
	// event has its time in its value and headers only.
	maxAhead = 55 * time.Minute
)

// recordSize is what a record takes in a batch at most.
func recordSize(k *kgo.Record) int {
	n := 32 + len(k.Key) + len(k.Value)
	for _, h := range k.Headers {
		n += 10 + len(h.Key) + len(h.Value)
	}
	return n
}

// limit is the largest record that a topic takes, by recordSize. A larger one must not be produced: that would fail
// the transaction, and the next one again.
func (g *runner) limit(topic string) int {
	if info, ok := g.topics[topic]; ok {
		return info.maxBytes - batchRoom
	}
	return defaultMaxBytes - batchRoom
}

// recordTime is the timestamp of a record with an event time, when the clock shows clock.
func recordTime(ms, clock int64) time.Time {
	return timeOf(min(ms, clock+maxAhead.Milliseconds()))
}

// target is a stream that the group writes.
type target struct {
	stream     *rules.Stream
	encoder    *schemas.Encoder
	schemaID   int32
	partitions int32
	kind       []byte // ce_type; nobody writes to it
	limit      int    // largest record, bytes
	counted    bool   // a repeated record would count twice in a table
}

func newTarget(app string, s *rules.Stream, enc *schemas.Encoder, schemaID int32, info topicInfo, counted bool) *target {
	return &target{
		stream: s, encoder: enc, schemaID: schemaID, partitions: info.partitions, kind: []byte(EventType(app, s)),
		limit: info.maxBytes - batchRoom, counted: counted,
	}
}

func timeOf(ms int64) time.Time { return time.UnixMilli(ms) }

// outgoing is a derived record that waits until its step has succeeded.
type outgoing struct {
	record  *kgo.Record
	counted bool
	acked   func(*kgo.Record)
}

// writer turns outputs into records. It encodes into chunks that the records share; they live until the last of their
// records is acknowledged.
type writer struct {
	run     *incarnation
	counts  *counts
	buf     []byte
	pending []outgoing

	records []kgo.Record       // not handed out yet
	spare   []kgo.RecordHeader // handed out; the rest of the capacity is free
	time    stamp
}

// mostHeaders is how many headers a derived record has at the most.
const mostHeaders = 9

// grab makes room for n more bytes in the current chunk.
func (w *writer) grab(n int) {
	if cap(w.buf)-len(w.buf) < n {
		w.buf = make([]byte, 0, max(chunk, n))
	}
}

// text puts s into the chunk.
func (w *writer) text(s string) []byte {
	w.grab(len(s))
	at := len(w.buf)
	w.buf = append(w.buf, s...)
	return w.buf[at:len(w.buf):len(w.buf)]
}

// encode makes the records of a step, without sending them. cause is the record that the results are of, nil for those
// that time set off; promise is the writer's output time. A value that does not fit its schema or its topic is the rule's
// fault.
func (w *writer) encode(p *partition, rule *rules.Rule, r *processors.Result, cause *source, promise int64) error {
	w.pending = w.pending[:0]
	for i := range r.Outputs {
		o := &r.Outputs[i]
		t := w.run.runner.targets[o.Stream]
		if o.Stamp >= 0 {
			o.Fields[o.Stamp] = p.clock
		}
		w.grab(1024)
		at := len(w.buf)
		value, err := w.buf, error(nil)
		if !o.Delete {
			if o.Stream.Like == nil {
				value = schemas.AppendFrame(value, t.schemaID)
			}
			value, err = t.encoder.Append(value, o.Fields)
		}
		if err != nil {
			return &processors.StepError{Rule: rule.ID, Code: "bad_output", Err: fmt.Errorf("%s: %w", o.Stream.Name, err)}
		}
		if o.Time < 0 || o.Time > maxTime {
			return &processors.StepError{Rule: rule.ID, Code: "bad_output", Err: fmt.Errorf("%s: event time %d ms is outside the years 1970 to 9999", o.Stream.Name, o.Time)}
		}
		if cap(value) == cap(w.buf) { // it fitted the chunk
			w.buf = value
		}
		k := w.record()
		k.Topic, k.Key, k.Timestamp = o.Stream.Topic, w.text(o.Key), recordTime(o.Time, p.clock)
		if !o.Delete {
			k.Value = value[at:len(value):len(value)]
		}
		k.Partition = schemas.Partition(k.Key, t.partitions)
		k.Headers = w.headers(p, cause, t, rule, o, promise)
		if size := recordSize(k); size > t.limit {
			return &processors.StepError{Rule: rule.ID, Code: "output_too_large", Err: fmt.Errorf("%d bytes for %s, whose topic takes %d", size, o.Stream.Topic, t.limit)}
		}
		w.pending = append(w.pending, outgoing{k, t.counted, p.time.acknowledge(w.run, k.Topic)})
	}
	return nil
}

// headers gives a derived record its CloudEvents and writer headers.
func (w *writer) headers(p *partition, cause *source, t *target, rule *rules.Rule, o *processors.Output, promise int64) []kgo.RecordHeader {
	if cap(w.spare)-len(w.spare) < mostHeaders {
		w.spare = make([]kgo.RecordHeader, 0, 64*mostHeaders)
	}
	hs := w.spare[len(w.spare) : len(w.spare) : len(w.spare)+mostHeaders]
	add := func(name string, v []byte) { hs = append(hs, kgo.RecordHeader{Key: name, Value: v}) }
	id := w.text(o.ID)
	add(schemas.HeaderSpecVersion, w.run.runner.constants.specVersion)
	add(schemas.HeaderID, id)
	add(schemas.HeaderType, t.kind)
	shared := w.run.runner.constants.rules[rule]
	add(schemas.HeaderSource, shared.source)
	w.grab(32)
	at := len(w.buf)
	w.buf = w.time.append(w.buf, o.Time)
	add(schemas.HeaderTime, w.buf[at:len(w.buf):len(w.buf)])
	add(schemas.HeaderSubject, w.text(o.Context.Entity))
	add(schemas.HeaderContentType, w.run.runner.constants.contentType)
	h := schemas.Writer{Name: rule.ID, Partition: p.number, Ordinal: o.Ordinal}
	if cause != nil {
		if trace := header(cause.message, schemas.HeaderTrace); len(trace) > 0 && len(trace) <= 64 {
			add(schemas.HeaderTrace, trace)
		}
		h.Name, h.Origin = writerName(rule, cause.stepper.Stream), *cause.origin()
		h.Ordinal = o.Place(cause.input, cause.writer.Ordinal)
	}
	if cause == nil || o.Due != 0 {
		h.Ordinal = o.Ordinal
		h.Origin = schemas.Origin{Stream: rule.ID, Key: o.Cause, Offset: o.Due}
	}
	if shared.timed {
		h.OutputTime = headerTime(promise)
	}
	w.grab(256 + len(h.Origin.Key))
	at = len(w.buf)
	w.buf = h.Append(w.buf)
	add(schemas.HeaderWriter, w.buf[at:len(w.buf):len(w.buf)])
	w.spare = w.spare[:len(w.spare)+len(hs)]
	return hs
}

// headerTime is an output time as the writer header has it: 0 promises nothing.
func headerTime(t int64) int64 {
	if t < 0 || t > maxTime {
		return 0
	}
	return t
}

// late writes a record that came too late for a rule, as it is, to the rule's stream for such records.
func (w *writer) late(to *rules.Stream, m *sarama.ConsumerMessage) {
	k := &kgo.Record{Topic: to.Topic, Key: m.Key, Value: m.Value, Timestamp: m.Timestamp}
	for _, h := range m.Headers {
		if name := string(h.Key); name != schemas.HeaderWriter {
			k.Headers = append(k.Headers, kgo.RecordHeader{Key: name, Value: h.Value})
		}
	}
	k.Partition = schemas.Partition(k.Key, w.run.runner.partitionsOf(to.Topic))
	w.run.journal.add(k, nil)
}

// record hands out an empty record; they are allocated by the dozen.
func (w *writer) record() *kgo.Record {
	if len(w.records) == 0 {
		w.records = make([]kgo.Record, 64)
	}
	k := &w.records[0]
	w.records = w.records[1:]
	return k
}

// stamp formats event times in RFC 3339, to the millisecond, as CloudEvents wants them. Neighbours share their second.
type stamp struct {
	second int64
	text   []byte // of the second, up to the point
}

func (s *stamp) append(b []byte, ms int64) []byte {
	second, n := ms/1000, ms%1000
	if n < 0 {
		second, n = second-1, n+1000
	}
	if s.text == nil || second != s.second {
		s.second = second
		s.text = time.Unix(second, 0).UTC().AppendFormat(s.text[:0], "2006-01-02T15:04:05.")
	}
	return append(append(b, s.text...), byte('0'+n/100), byte('0'+n/10%10), byte('0'+n%10), 'Z')
}

// send writes what encode has made.
func (w *writer) send() {
	for i, o := range w.pending {
		if o.counted {
			w.run.journal.add(o.record, o.acked)
		} else {
			w.run.journal.emit(o.record, o.acked)
		}
		w.pending[i] = outgoing{}
	}
	w.pending = w.pending[:0]
}

// deadLetter is a record that could not be processed, with the reason.
type deadLetter struct {
	topic   string
	stream  *rules.Stream
	rule    *rules.Rule // nil: no rule can read it
	message *sarama.ConsumerMessage
	code    string
	err     error
	at      int64 // ms
}

// Headers of a dead letter. Key and value are the record's own bytes; its headers come first.
const (
	HeaderDeadCode      = "millrace-error-code"
	HeaderDeadError     = "millrace-error"
	HeaderDeadRule      = "millrace-rule"
	HeaderDeadStream    = "millrace-stream"
	HeaderDeadTopic     = "millrace-topic"
	HeaderDeadPartition = "millrace-partition"
	HeaderDeadOffset    = "millrace-offset"
	HeaderDeadTimestamp = "millrace-timestamp"
	// HeaderDeadOmitted says that key and value are not there, because the dead-letter topic does not take so much:
	// the position finds them.
	HeaderDeadOmitted = "millrace-omitted"
)

// maxDeadError bounds the error text of a dead letter.
const maxDeadError = 2000

// dead writes a dead letter in the running transaction.
func (w *writer) dead(d deadLetter) {
	m := d.message
	k := &kgo.Record{Topic: d.topic, Key: m.Key, Value: m.Value, Timestamp: timeOf(d.at)}
	room := deadRoom / 2
	for _, h := range m.Headers {
		if room -= len(h.Key) + len(h.Value) + 10; room < 0 {
			break // a record that is mostly headers: the position finds the rest
		}
		k.Headers = append(k.Headers, kgo.RecordHeader{Key: string(h.Key), Value: h.Value})
	}
	add := func(name, v string) { k.Headers = append(k.Headers, kgo.RecordHeader{Key: name, Value: []byte(v)}) }
	add(HeaderDeadCode, d.code)
	text := d.err.Error()
	add(HeaderDeadError, text[:min(len(text), maxDeadError)])
	if d.rule != nil {
		add(HeaderDeadRule, d.rule.ID)
	}
	add(HeaderDeadStream, d.stream.Name)
	add(HeaderDeadTopic, m.Topic)
	add(HeaderDeadPartition, strconv.Itoa(int(m.Partition)))
	add(HeaderDeadOffset, strconv.FormatInt(m.Offset, 10))
	add(HeaderDeadTimestamp, strconv.FormatInt(m.Timestamp.UnixMilli(), 10))
	if recordSize(k) > w.run.runner.limit(d.topic) {
		k.Key, k.Value = nil, nil
		add(HeaderDeadOmitted, "key, value")
	}
	n := w.run.runner.partitionsOf(d.topic)
	k.Partition = m.Partition % n
	w.run.journal.add(k, nil)
	w.counts.deadLetter(d)
}
