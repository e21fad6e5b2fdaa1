package processors

import (
	"bytes"
	"fmt"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/millrace-io/millrace/processors/nfa"
)

// detected is the state of a detection of one entity, but for the captures that lie in cells of their own.
type detected struct {
	of      *detecting
	state   nfa.State
	written []byte   // instead of the state, as long as that has not been put together
	parts   []uint64 // with written
	due     int64    // with written
}

// detectedPart is a segment of captures. It never changes.
type detectedPart struct {
	shape uint64
	body  []byte
}

// cellPart is the cell of a segment.
func cellPart(n uint64) string { return "part" + strconv.FormatUint(n, 36) }

// Field numbers of a detection's cells; never reuse one.
const (
	detectShape protowire.Number = 1 // fixed64
	detectState protowire.Number = 2

	partShape = detectShape
	partBody  = detectState
)

// Append implements Cell.
func (x *detected) Append(b []byte) []byte {
	b = append(b, formatDetect)
	b = protowire.AppendFixed64(protowire.AppendTag(b, detectShape, protowire.Fixed64Type), x.of.shape)
	if x.written != nil {
		return appendBytes(b, detectState, x.written)
	}
	return appendMessage(b, detectState, x.state.Append)
}

// Size implements Cell.
func (x *detected) Size() int { return 24 + len(x.written) + x.state.Size() }

// Append implements Cell.
func (x *detectedPart) Append(b []byte) []byte {
	b = append(b, formatPart)
	b = protowire.AppendFixed64(protowire.AppendTag(b, partShape, protowire.Fixed64Type), x.shape)
	return appendBytes(b, partBody, x.body)
}

// Size implements Cell.
func (x *detectedPart) Size() int { return 24 + len(x.body) }

// sweepParts is into how many steps the time of runs is cut where their end brings no result: they go many at a time.
const sweepParts = 16

// Due implements DueCell.
func (x *detected) Due(fired int64) int64 {
	w := x.of
	due := x.state.Due()
	if x.written != nil {
		due = x.due
	}
	if due == nfa.Never {
		return Never
	}
	if !w.timely {
		sweep := max(w.rule.Detect.Within/sweepParts, sweepLeast)
		due = floor(due, sweep) + sweep
	}
	return max(due, fired+1)
}

// Decode implements Operator.
func (w *detecting) Decode(b []byte) (Cell, error) {
	if len(b) == 0 || b[0] != formatDetect && b[0] != formatPart {
		return nil, fmt.Errorf("%w: unknown format %v", errCell, b[:min(1, len(b))])
	}
	var shape uint64
	var body []byte
	err := eachField(b[1:], func(n protowire.Number, v uint64, s []byte) error {
		switch n {
		case detectShape:
			shape = v
		case detectState:
			body = bytes.Clone(s)
		default: // of a later version
		}
		return nil
	})
	switch {
	case err != nil:
		return nil, err
	case shape != w.shape:
		return nil, nil
	case len(body) == 0:
		return nil, errCell
	case b[0] == formatPart:
		return &detectedPart{shape, body}, nil
	}
	return w.decode(body)
}

// decode reads the cell of a state, which is put together later if it is one of several.
func (w *detecting) decode(body []byte) (Cell, error) {
	parts, due, err := nfa.Segments(body)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errCell, err)
	}
	if len(parts) > 0 {
		return &detected{of: w, written: body, parts: parts, due: due}, nil
	}
	state, err := w.machine.Read(body, nil, w.check)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errCell, err)
	}
	return &detected{of: w, state: *state}, nil
}

// check says what is wrong with what is kept of a record.
func (w *detecting) check(stage int, body []byte) error {
	s := &w.stages[stage]
	s.of = nil
	rest, err := s.packing.Decode(body, s.record)
	if err == nil {
		_, err = parseContext(rest)
	}
	return err
}
