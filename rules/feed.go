package rules

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Values of Feed.Format.
const (
	FormatCSV    = "csv"
	FormatNDJSON = "ndjson"
)

// Feed turns the rows of a file into events of source streams. It is
// immutable; only Env is per goroutine.
type Feed struct {
	Name        string
	Description string
	File        string      // path of the data, in the file system of LoadFeed
	Format      string      // FormatCSV or FormatNDJSON
	Columns     []string    // what row.X can be: the header of a CSV, the keys of JSON objects
	Events      []FeedEvent // a row becomes the first whose Where it fits
	Pos         Position
}

// FeedEvent is what a row of a feed can become: an event of one stream.
type FeedEvent struct {
	Stream *Stream
	Where  *Expr    // bool; nil = every row
	Fields []Output // in the order of the stream's schema

	key       *Expr
	timeIndex int
}

// RowError is a row that is no event. Row errors name columns and what is
// wrong, never values.
type RowError struct {
	Code string
	Msg  string
}

func (e *RowError) Error() string { return e.Code + " " + e.Msg }

// CheckHeader compares the header of a CSV file with the declared columns.
func (f *Feed) CheckHeader(header []string) error {
	if len(header) != len(f.Columns) {
		return &RowError{codeColumns, fmt.Sprintf("the file has %d columns, and the feed declares %d", len(header), len(f.Columns))}
	}
	for i, name := range f.Columns {
		// A byte order mark stands before the first name.
		if got := strings.TrimPrefix(header[i], "\ufeff"); got != name {
			return &RowError{codeColumns, fmt.Sprintf("column %d of the file is %q, and the feed declares %q", i+1, clip(got), name)}
		}
	}
	return nil
}

// Object returns the columns of one JSON object, for FormatNDJSON: texts as
// they are, numbers and bools as written, "" for null and for keys that are
// missing. Other keys are ignored.
func (f *Feed) Object(line []byte) ([]string, error) {
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.UseNumber()
	var object map[string]any
	if err := dec.Decode(&object); err != nil || object == nil {
		return nil, &RowError{codeColumns, "the row is no JSON object"}
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, &RowError{codeColumns, "the row holds more than one JSON object"}
	}
	values := make([]string, len(f.Columns))
	for i, name := range f.Columns {
		switch v := object[name].(type) {
		case nil:
		case string:
			values[i] = v
		case json.Number:
			values[i] = v.String()
		case bool:
			values[i] = strconv.FormatBool(v)
		default:
			return nil, &RowError{codeColumns, fmt.Sprintf("column %q of the row is a list or an object", name)}
		}
	}
	return values, nil
}

// Row makes the event of one row. values are its columns, id is the event's
// id (UUIDv5 of the feed, the file and the row's number), recordedAt the
// wall clock in ms. stream is that of the first of the feed's events whose
// Where the row fits, nil if there is none. fields are in the order of its
// schema, as schemas.Encoder takes them, and valid until the next call with
// the same Env; time is the event time in ms. The error is a *RowError or an
// *EvalError.
func (f *Feed) Row(e *Env, values []string, id string, recordedAt int64) (stream *Stream, fields []any, key string, time int64, err error) {
	if len(values) != len(f.Columns) {
		return nil, nil, "", 0, &RowError{codeColumns, fmt.Sprintf("the row has %d columns, not %d", len(values), len(f.Columns))}
	}
	e.Reset()
	e.row = values
	defer func() { e.row = nil }()
	for i := range f.Events {
		x := &f.Events[i]
		fits := x.Where == nil || x.Where.Bool(e)
		if err := e.Err(); err != nil {
			return nil, nil, "", 0, err
		}
		if fits {
			fields, key, time, err = f.event(e, x, id, recordedAt)
			return x.Stream, fields, key, time, err
		}
	}
	return nil, nil, "", 0, nil
}

// event makes x of the row.
func (f *Feed) event(e *Env, x *FeedEvent, id string, recordedAt int64) (fields []any, key string, time int64, err error) {
	key, _ = x.key.String(e)
	e.out = e.out[:0]
	for i, o := range x.Fields {
		switch {
		case o.Expr != nil:
			v := o.Expr.Value(e)
			if i == x.timeIndex {
				time, _ = v.(int64)
			}
			e.out = append(e.out, v)
		case o.Context != NoContext:
			e.out = append(e.out, f.context(o.Context, key, id, recordedAt))
		default:
			e.out = append(e.out, schemaDefault())
		}
	}
	for i, o := range x.Fields {
		if o.Context == CtxOccurredAt {
			e.out[i] = time
		}
	}
	if err := e.Err(); err != nil {
		return nil, "", 0, err
	}
	return e.out, key, time, nil
}

// context returns the context fields of an event that nothing caused.
func (f *Feed) context(c ContextField, key, id string, recordedAt int64) any {
	switch c {
	case CtxEventID, CtxCorrelationID:
		return id
	case CtxEntity:
		return key
	case CtxRecordedAt:
		return recordedAt
	case CtxSource:
		return "feed:" + f.Name
	case CtxRegion:
		return ""
	case CtxConfidence:
		return 1.0
	case CtxPriority:
		return PriorityStandard
	case CtxVersion:
		return map[string]any{}
	case CtxLineage:
		return []any{}
	case NoContext, CtxCausationID, CtxOccurredAt:
	}
	return nil
}
