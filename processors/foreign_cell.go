package processors

import (
	"bytes"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/schemas"
)

// cellForeign is the row of a first table as a part of a join by a foreign key knows it.
const cellForeign = "f"

// foreignRows keeps the rows of the first table of a join by a foreign key.
type foreignRows struct {
	shape   uint64
	history int64
	packing *schemas.Packing // nil: only what they refer to is kept
	record  schemas.Record   // scratch
}

func newForeignRows(rule *rules.Rule, s *rules.Stream, packing *schemas.Packing) (*foreignRows, error) {
	w := &foreignRows{history: s.Table.History, packing: packing, record: s.Projection.New()}
	packed := uint64(0)
	if packing != nil {
		packed = packing.Fingerprint()
	}
	w.shape = fnv(fmt.Appendf(nil, "%x foreign %x", shapeOf(rule), packed))
	return w, nil
}

// foreignRow is the newest version of a row. It is not changed once it is in a Change.
type foreignRow struct {
	of     *foreignRows
	since  int64  // ms: from when on it holds
	there  bool   // false: it was deleted, which has to be known for history
	refers bool   // to a row of the second table
	key    string // of that
	body   []byte // 0, the record, packed, its context; of rows that are kept whole
	said   said
}

// said is where the last result lies, "" for none.
type said struct{ stream, key string }

// begin begins the step of a record of the first table: what it says, and the row that it changes, unless it comes too late.
func (w *foreignRows) begin(rule *rules.Rule, env *rules.Env, s State, e *Event, r *Result) (x referral, row *Row, err error) {
	if x, err = referring(rule, env, e); err != nil {
		return x, nil, err
	}
	r.Matched = 1
	if row, err = s.Row(x.entity, cellForeign); err != nil {
		return x, nil, err
	}
	if had, _ := row.Value.(*foreignRow); w.past(had, e) {
		r.Late = 1
	}
	return x, row, nil
}

// past reports whether a record comes too late to change the row.
func (w *foreignRows) past(had *foreignRow, e *Event) bool {
	return w.history > 0 && (had != nil && e.Time < had.since || e.Time < before(e.Clock, w.history))
}

// put adds that the row is another one. Of a deleted one nothing is kept beyond history.
func (w *foreignRows) put(row *Row, now *foreignRow, r *Result) {
	if now.there || w.history > 0 {
		r.Changes = append(r.Changes, Change{Row: row, Value: now})
	} else if row.Value != nil {
		r.Changes = append(r.Changes, Change{Row: row})
	}
}

// sweep forgets a deleted row.
func (w *foreignRows) sweep(row *Row, at int64, r *Result) error {
	if x, _ := row.Value.(*foreignRow); x != nil && x.Due(at-1) == at {
		r.Changes = append(r.Changes, Change{Row: row})
	}
	return nil
}

// Due implements DueCell.
func (x *foreignRow) Due(fired int64) int64 {
	if x.there {
		return Never
	}
	return max(x.since+x.of.history+1, fired+1)
}

// Field numbers of a foreign row; never reuse one.
const (
	foreignShape  protowire.Number = 1 // fixed64
	foreignSince  protowire.Number = 2 // zigzag
	foreignThere  protowire.Number = 3
	foreignRefers protowire.Number = 4
	foreignKey    protowire.Number = 5
	foreignBody   protowire.Number = 6
	foreignStream protowire.Number = 7
	foreignSaid   protowire.Number = 8
)

// Append implements Cell.
func (x *foreignRow) Append(b []byte) []byte {
	b = append(b, formatForeign)
	b = protowire.AppendFixed64(protowire.AppendTag(b, foreignShape, protowire.Fixed64Type), x.of.shape)
	b = appendVarint(b, foreignSince, protowire.EncodeZigZag(x.since))
	b = appendVarint(b, foreignThere, protowire.EncodeBool(x.there))
	b = appendVarint(b, foreignRefers, protowire.EncodeBool(x.refers))
	b = appendBytes(b, foreignKey, []byte(x.key))
	b = appendBytes(b, foreignBody, x.body)
	b = appendBytes(b, foreignStream, []byte(x.said.stream))
	return appendBytes(b, foreignSaid, []byte(x.said.key))
}

// Size implements Cell.
func (x *foreignRow) Size() int {
	return 64 + len(x.key) + len(x.body) + len(x.said.stream) + len(x.said.key)
}

// decode reads a cell; nil for one of another shape.
func (w *foreignRows) decode(b []byte) (Cell, error) {
	if len(b) == 0 || b[0] != formatForeign {
		return nil, fmt.Errorf("%w: unknown format %v", errCell, b[:min(1, len(b))])
	}
	x, foreign := &foreignRow{of: w}, false
	err := eachField(b[1:], func(n protowire.Number, v uint64, s []byte) error {
		switch n {
		case foreignShape:
			foreign = v != w.shape
		case foreignSince:
			x.since = protowire.DecodeZigZag(v)
		case foreignThere:
			x.there = protowire.DecodeBool(v)
		case foreignRefers:
			x.refers = protowire.DecodeBool(v)
		case foreignKey:
			x.key = string(s)
		case foreignBody:
			x.body = bytes.Clone(s)
		case foreignStream:
			x.said.stream = string(s)
		case foreignSaid:
			x.said.key = string(s)
		default: // of a later version
		}
		return nil
	})
	if err != nil || foreign {
		return nil, err
	}
	return x, w.readable(x)
}

// readable reports whether the body of a row can be read.
func (w *foreignRows) readable(x *foreignRow) error {
	if w.packing == nil || !x.there {
		return nil
	}
	if len(x.body) == 0 {
		return errCell
	}
	context, err := w.packing.Decode(x.body[1:], w.record)
	if err == nil {
		_, err = parseContext(context)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errCell, err)
	}
	return nil
}

// hashed gives the place of a text among those that are kept by their hashes.
func hashed(text string) int64 { return int64(fnv([]byte(text))) }
