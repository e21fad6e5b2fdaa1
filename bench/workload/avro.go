package workload

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"
)

// column is one field of a record: its place in the schema and in the bytes.
type column struct {
	name   string
	schema string // the Avro type, as JSON
	append func([]byte, *Event) []byte
}

// recordNames are the full names of the record types.
var recordNames = map[Kind][2]string{
	Change: {"preference", "Change"}, Payment: {"commerce", "Payment"}, Login: {"auth", "Login"}, Mfa: {"auth", "Mfa"},
}

// columns are the fields of each kind, in schema order: what all have, and their own.
var columns = func() map[Kind][]column {
	ids := []column{
		text("event_id", func(e *Event) string { return e.EventID }),
		text("correlation_id", func(e *Event) string { return e.CorrelationID }),
	}
	causation := optional("causation_id", func(e *Event) string { return e.CausationID })
	context := []column{
		text("user_id", func(e *Event) string { return e.UserID }),
		millis("occurred_at", func(e *Event) int64 { return e.OccurredAt }),
		millis("recorded_at", func(e *Event) int64 { return e.RecordedAt }),
		text("source", func(e *Event) string { return e.Source }),
		text("region", func(e *Event) string { return e.Region }),
		double("confidence", func(e *Event) float64 { return e.Confidence }),
		text("priority", func(e *Event) string { return e.Priority }),
	}
	device := text("device", func(e *Event) string { return e.Device })
	method := text("method", func(e *Event) string { return e.Method })
	join := func(parts ...[]column) (out []column) {
		for _, p := range parts {
			out = append(out, p...)
		}
		return out
	}
	return map[Kind][]column{
		Change: join(ids, []column{causation}, context, []column{
			text("attribute", func(e *Event) string { return e.Attribute }),
			optional("old_value", func(e *Event) string { return e.OldValue }),
			text("new_value", func(e *Event) string { return e.NewValue }),
			text("session_id", func(e *Event) string { return e.SessionID }),
			device,
			long("version", func(e *Event) int64 { return e.Version }),
			boolean("consent", func(e *Event) bool { return e.Consent }),
			double("score", func(e *Event) float64 { return e.Score }),
		}),
		Payment: join(ids, context, []column{
			double("amount", func(e *Event) float64 { return e.Amount }),
			text("currency", func(e *Event) string { return e.Currency }),
			text("merchant", func(e *Event) string { return e.Merchant }),
			method,
			text("status", func(e *Event) string { return e.Status }),
		}),
		Login: join(ids, context, []column{
			boolean("new_device", func(e *Event) bool { return e.NewDevice }),
			text("ip", func(e *Event) string { return e.IP }),
			device,
			method,
		}),
		Mfa: join(ids, context, []column{
			method,
			boolean("ok", func(e *Event) bool { return e.OK }),
		}),
	}
}()

// Schema is the Avro schema of a kind's record.
func Schema(kind Kind) string {
	fields := make([]string, len(columns[kind]))
	for i, c := range columns[kind] {
		fields[i] = fmt.Sprintf(`{"name":%q,"type":%s}`, c.name, c.schema)
	}
	name := recordNames[kind]
	return fmt.Sprintf(`{"type":"record","namespace":%q,"name":%q,"fields":[%s]}`, name[0], name[1], strings.Join(fields, ","))
}

// AppendAvro appends the event in the binary encoding of its kind's schema.
func (e *Event) AppendAvro(b []byte) []byte {
	for _, c := range columns[e.Kind] {
		b = c.append(b, e)
	}
	return b
}

// AppendFramed appends the event as it lies in a topic: a zero byte, the schema id, the record.
func (e *Event) AppendFramed(b []byte, schemaID uint32) []byte {
	return e.AppendAvro(binary.BigEndian.AppendUint32(append(b, 0), schemaID))
}

func text(name string, get func(*Event) string) column {
	return column{name, `"string"`, func(b []byte, e *Event) []byte { return appendText(b, get(e)) }}
}

// optional is null when the text is empty.
func optional(name string, get func(*Event) string) column {
	return column{name, `["null","string"],"default":null`, func(b []byte, e *Event) []byte {
		value := get(e)
		if value == "" {
			return binary.AppendVarint(b, 0)
		}
		return appendText(binary.AppendVarint(b, 1), value)
	}}
}

func long(name string, get func(*Event) int64) column {
	return column{name, `"long"`, func(b []byte, e *Event) []byte { return binary.AppendVarint(b, get(e)) }}
}

func millis(name string, get func(*Event) int64) column {
	c := long(name, get)
	c.schema = `{"type":"long","logicalType":"timestamp-millis"}`
	return c
}

func double(name string, get func(*Event) float64) column {
	return column{name, `"double"`, func(b []byte, e *Event) []byte {
		return binary.LittleEndian.AppendUint64(b, math.Float64bits(get(e)))
	}}
}

func boolean(name string, get func(*Event) bool) column {
	return column{name, `"boolean"`, func(b []byte, e *Event) []byte {
		if get(e) {
			return append(b, 1)
		}
		return append(b, 0)
	}}
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendVarint(b, int64(len(s))), s...)
}
