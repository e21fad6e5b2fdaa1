package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
	"unicode/utf8"

	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/schemas"
	"github.com/millrace-io/millrace/schemas/registry"
	"github.com/millrace-io/millrace/topologies/kafka"
)

// viewer decodes records with the schemas that they were written with, and prints those that pass a filter.
type viewer struct {
	ctx      context.Context //nolint:containedctx // it is the command's, and the viewer lives as long
	registry *registry.Client
	filter   *rules.Filter // nil: every record
	json     bool
	out      io.Writer

	env       rules.Env
	decoders  map[int32]*schemas.Decoder // nil: the schema can't be read with the filter's
	undecoded int64
	failed    int64 // evaluations of the filter
	failure   error // the first
}

// recordJSON is a record for programs.
type recordJSON struct {
	Key       *string         `json:"key"`
	Partition int32           `json:"partition"`
	Offset    int64           `json:"offset"`
	Timestamp string          `json:"timestamp"`
	Headers   map[string]any  `json:"headers,omitempty"`
	Value     json.RawMessage `json:"value"`
	Error     string          `json:"error,omitempty"` // why value is null although raw is not
	Raw       []byte          `json:"raw,omitempty"`   // base64
}

// writerJSON is the writer header.
type writerJSON struct {
	Rule       string `json:"rule"`
	Partition  int32  `json:"partition"`
	OutputTime string `json:"output_time"`
	Ordinal    int64  `json:"ordinal"`
	Origin     struct {
		Stream  string `json:"stream"`
		Key     string `json:"key,omitempty"`
		Offset  int64  `json:"offset"`
		EventID string `json:"event_id,omitempty"`
	} `json:"origin"`
}

// show prints a record, unless the filter drops it. The error is one of output or registry.
func (v *viewer) show(r *kafka.Record) (shown bool, err error) {
	value, schema, err := v.decode(r)
	if err != nil && (errors.Is(err, registry.ErrUnavailable) || v.ctx.Err() != nil) {
		return false, err
	}
	if err != nil {
		v.undecoded++
	}
	if v.filter != nil && (err != nil || schema == nil || !v.passes(r, schema)) {
		return false, nil
	}
	if v.json {
		return true, v.line(r, value, err)
	}
	text := string(value)
	if err != nil {
		text = fmt.Sprintf("(%v) %q", err, clip(r.Value))
	}
	_, err = fmt.Fprintf(v.out, "%s  %s  %s\n", at(r.Timestamp), clip(r.Key), text)
	return true, err
}

func clip(b []byte) []byte { return b[:min(len(b), 200)] }

func at(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// decode gives the value as JSON; null for a tombstone. A value that is JSON itself is shown as it is.
func (v *viewer) decode(r *kafka.Record) (json.RawMessage, *schemas.Schema, error) {
	if r.Value == nil {
		return json.RawMessage("null"), nil, nil
	}
	id, body, err := schemas.Frame(r.Value)
	if err != nil {
		if json.Valid(r.Value) {
			var b bytes.Buffer
			err := json.Compact(&b, r.Value)
			return b.Bytes(), nil, err
		}
		return nil, nil, err
	}
	schema, err := v.registry.ByID(v.ctx, id)
	if err != nil {
		return nil, nil, err
	}
	text, err := schema.JSON(body)
	return text, schema, err
}

// passes evaluates the filter.
func (v *viewer) passes(r *kafka.Record, writer *schemas.Schema) bool {
	id, body, err := schemas.Frame(r.Value)
	if err != nil {
		return false
	}
	d, known := v.decoders[id]
	if !known {
		if d, err = v.filter.Projection.Decoder(writer); err != nil {
			d = nil
		}
		if v.decoders == nil {
			v.decoders = map[int32]*schemas.Decoder{}
		}
		v.decoders[id] = d
	}
	record := v.filter.Projection.New()
	if d == nil || d.Decode(body, record) != nil {
		v.undecoded++
		return false
	}
	v.env.Reset()
	v.env.Records, v.env.Key, v.env.Now = []schemas.Record{record}, string(r.Key), r.Timestamp.UnixMilli()
	pass := v.filter.Where.Bool(&v.env)
	if err := v.env.Err(); err != nil {
		if v.failed++; v.failed == 1 {
			v.failure = err
		}
	}
	return pass
}

// line prints a record as one line of JSON.
func (v *viewer) line(r *kafka.Record, value json.RawMessage, problem error) error {
	out := recordJSON{Partition: r.Number, Offset: r.Offset, Timestamp: at(r.Timestamp), Value: value}
	if r.Key != nil {
		key := string(r.Key)
		out.Key = &key
	}
	if problem != nil {
		out.Value, out.Error, out.Raw = json.RawMessage("null"), problem.Error(), r.Value
	}
	for _, h := range r.Headers {
		if out.Headers == nil {
			out.Headers = map[string]any{}
		}
		out.Headers[h.Key] = headerJSON(h)
	}
	e := json.NewEncoder(v.out)
	e.SetEscapeHTML(false)
	return e.Encode(out)
}

// headerJSON shows the writer header as what it says, others as text or base64.
func headerJSON(h schemas.Header) any {
	if h.Key == schemas.HeaderWriter {
		if w, err := schemas.ParseWriter(h.Value); err == nil {
			out := writerJSON{Rule: w.Name, Partition: w.Partition, OutputTime: at(time.UnixMilli(w.OutputTime)), Ordinal: w.Ordinal}
			out.Origin.Stream, out.Origin.Key, out.Origin.Offset, out.Origin.EventID = w.Origin.Stream, w.Origin.Key, w.Origin.Offset, w.Origin.EventID
			return out
		}
	}
	if utf8.Valid(h.Value) {
		return string(h.Value)
	}
	return base64.StdEncoding.EncodeToString(h.Value)
}
