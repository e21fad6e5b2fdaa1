package processors

import (
	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/schemas"
)

// Reader is an operator whose tables can be read between two steps, without being a record.
type Reader interface {
	Operator
	// Read gives the row of a key in the table that is the input, as it holds at the time clock; nil for none. It changes nothing.
	// The error comes from s, or concerns state that can not be read.
	Read(s State, input int, key string, clock int64) (*TableRow, error)
}

// TableRow is a row of a table.
type TableRow struct {
	Time    int64  // event time in ms: the row holds from then on
	EventID string // of the record that wrote it
	Value   []byte // the row's fields but for context fields, as a JSON object in the order of the schema
}

// Read implements Reader.
func (w *lookup) Read(s State, input int, key string, clock int64) (*TableRow, error) {
	return w.tables[input].read(s, w.rule.Inputs[input].Stream, key, clock)
}

// Read implements Reader.
func (w *tableJoin) Read(s State, input int, key string, clock int64) (*TableRow, error) {
	return w.sides[input].read(s, w.rule.Inputs[input].Stream, key, clock)
}

// Read implements Reader.
func (w *answering) Read(s State, input int, key string, clock int64) (*TableRow, error) {
	return w.table.read(s, w.rule.Inputs[input].Stream, key, clock)
}

// Read implements Reader. Tables of such a join have no ttl.
func (w *foreignJoin) Read(s State, input int, key string, _ int64) (*TableRow, error) {
	row, err := s.Row(key, cellForeign)
	if err != nil {
		return nil, err
	}
	had, _ := row.Value.(*foreignRow)
	if had == nil || !had.there {
		return nil, nil
	}
	context, err := w.rows.packing.Decode(had.body[1:], w.rows.record)
	if err != nil {
		return nil, errCell
	}
	return tableRow(w.rule.Inputs[input].Stream, w.rows.record, context, had.since)
}

func (t *table) read(s State, of *rules.Stream, key string, clock int64) (*TableRow, error) {
	if err := t.series.open(s, key); err != nil {
		return nil, err
	}
	v, err := t.newest()
	if err != nil || !t.holds(v, clock) {
		return nil, err
	}
	if err := t.look(v); err != nil {
		return nil, err
	}
	return tableRow(of, t.member.record, t.member.context, v.key)
}

func tableRow(of *rules.Stream, r schemas.Record, context []byte, at int64) (*TableRow, error) {
	c, err := parseContext(context)
	if err != nil {
		return nil, err
	}
	value, err := rowJSON(of, r)
	if err != nil {
		return nil, err
	}
	return &TableRow{Time: at, EventID: c.EventID, Value: value}, nil
}

func rowJSON(of *rules.Stream, r schemas.Record) ([]byte, error) {
	b := []byte{'{'}
	for i, name := range of.RowFields() {
		if i > 0 {
			b = append(b, ',')
		}
		field, err := of.Projection.Accessor(name)
		if err != nil {
			return nil, err
		}
		b = append(append(append(b, '"'), name...), `":`...) // Avro's names need no escapes
		if b, err = of.Schema.AppendField(b, name, field.Value(r)); err != nil {
			return nil, err
		}
	}
	return append(b, '}'), nil
}
