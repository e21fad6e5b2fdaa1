package lineage

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/schemas"
	"github.com/millrace-io/millrace/schemas/registry"
	"github.com/millrace-io/millrace/topologies/kafka"
)

// entry is a record of a stream, decoded as the rules see it.
type entry struct {
	*kafka.Record
	stream  *rules.Stream
	id      string
	at      int64 // event time, ms
	context schemas.Context
	row     schemas.Record  // what rules read of it; null for a deletion and what can't be decoded
	format  *format         // nil: none can be told
	body    []byte          // Avro
	writer  *schemas.Writer // nil: no rule wrote it
	problem error
}

// step is one derivation.
type step = schemas.Step

// reader decodes records with the schemas that they were written with.
type reader struct {
	registry *registry.Client
	formats  map[formatKey]*format
}

type formatKey struct {
	stream *rules.Stream
	id     int32 // of the schema; 0 for JSON
}

type format struct {
	schema  *schemas.Schema
	context *schemas.ContextDecoder
	row     *schemas.Decoder // nil: the rules can't read it
}

// format finds the schema of a value and the Avro behind its frame. A *problemError is the record's fault.
func (d *reader) format(ctx context.Context, s *rules.Stream, value []byte) (*format, []byte, error) {
	id, body, err := unframe(s, value)
	if err != nil {
		return nil, nil, &problemError{err}
	}
	if f := d.formats[formatKey{s, id}]; f != nil {
		return f, body, nil
	}
	schema := s.Schema
	if id != 0 {
		if schema, err = d.registry.ByID(ctx, id); errors.Is(err, registry.ErrUnavailable) || ctx.Err() != nil {
			return nil, nil, err
		} else if err != nil {
			return nil, nil, &problemError{err}
		}
	}
	f := &format{schema: schema}
	if f.context, err = schemas.NewContextDecoder(schema); err != nil {
		return nil, nil, &problemError{err}
	}
	if f.row, err = s.Projection.Decoder(schema); err != nil {
		f.row = nil // then its fields can be shown all the same
	}
	d.formats[formatKey{s, id}] = f
	return f, body, nil
}

// unframe gives the id of a value's schema, 0 for JSON, and its Avro.
func unframe(s *rules.Stream, value []byte) (id int32, body []byte, err error) {
	if s.Format == rules.FormatJSON {
		body, err = s.Schema.FromJSON(value)
		return 0, body, err
	}
	return schemas.Frame(value)
}

// problemError is why a record can't be read.
type problemError struct{ error }

func (e *problemError) Unwrap() error { return e.error }

// names gives the ids that a record goes by: that of its value or else of its position, and that of its header. The error is the
// registry's.
func (d *reader) names(ctx context.Context, s *rules.Stream, r *kafka.Record) (id, header string, err error) {
	header = string(r.Header(schemas.HeaderID))
	if header != "" && r.Header(schemas.HeaderWriter) != nil {
		return header, header, nil // ours: both are the same
	}
	if r.Value != nil {
		f, body, err := d.format(ctx, s, r.Value)
		var bad *problemError
		if err != nil && !errors.As(err, &bad) {
			return "", "", err
		}
		var c schemas.Context
		if err == nil && f.context.Decode(body, &c) == nil && c.EventID != "" {
			return c.EventID, header, nil
		}
	}
	return schemas.InputID(r.Topic, r.Number, r.Offset), header, nil
}

// open decodes a record. The error is the registry's; what is wrong with the record is its problem.
func (d *reader) open(ctx context.Context, s *rules.Stream, r *kafka.Record) (*entry, error) {
	id, _, err := d.names(ctx, s, r)
	if err != nil {
		return nil, err
	}
	e := &entry{Record: r, stream: s, id: id, at: r.Timestamp.UnixMilli()}
	if h := r.Header(schemas.HeaderWriter); h != nil {
		if w, err := schemas.ParseWriter(h); err == nil {
			e.writer = &w
		}
	}
	e.context = schemas.Context{EventID: id, CorrelationID: id}
	if r.Value == nil {
		return e, nil
	}
	f, body, err := d.format(ctx, s, r.Value)
	if bad := (*problemError)(nil); errors.As(err, &bad) {
		e.problem = bad.error
		return e, nil
	}
	if err != nil {
		return nil, err
	}
	e.format, e.body = f, body
	e.problem = e.decode()
	return e, nil
}

// decode reads the context and what rules read.
func (e *entry) decode() error {
	if err := e.format.context.Decode(e.body, &e.context); err != nil {
		return err
	}
	e.context.EventID = e.id
	if e.format.row == nil {
		return nil
	}
	row := e.stream.Projection.New()
	if err := e.format.row.Decode(e.body, row); err != nil {
		return err
	}
	e.row = row
	if e.stream.HasTime {
		if at, ok := e.stream.TimeField.Int(row); ok {
			e.at = at
		}
	}
	return nil
}

// key is the record's key as rules see it.
func (e *entry) key() string {
	if e.Key == nil && e.stream.HasKey {
		if s, ok := e.stream.KeyField.String(e.row); ok {
			return s
		}
	}
	return string(e.Key)
}

// event is the entry without what led to it.
func (e *entry) event() *Event {
	out := &Event{
		ID: e.id, Stream: e.stream.Name, Topic: e.Topic, Partition: e.Number, Offset: e.Offset, Key: e.key(),
		Time: timeOf(e.at), Deletion: e.Value == nil, entry: e, past: e.context.Lineage,
	}
	problem := e.problem
	if e.format != nil {
		text, err := e.format.schema.JSON(e.body)
		if out.Fields = fields(text); err != nil {
			problem = err
		}
	}
	if problem != nil {
		out.Problem = "the record can't be read: " + problem.Error()
	}
	return out
}

// fields takes a JSON object apart, in its order.
func fields(text json.RawMessage) []Field {
	known := schemas.ContextFields()
	d := json.NewDecoder(bytes.NewReader(text))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil
	}
	var out []Field
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return out
		}
		f := Field{Name: name.(string)}
		if d.Decode(&f.Value) != nil {
			return out
		}
		f.Context = slices.Contains(known, f.Name)
		out = append(out, f)
	}
	return out
}

func timeOf(ms int64) time.Time { return time.UnixMilli(ms).UTC() }
