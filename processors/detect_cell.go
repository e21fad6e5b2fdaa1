package processors

import (
	"bytes"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/millrace-io/millrace/processors/nfa"
)

// detected is the state of a detection of one entity.
type detected struct {
	of    *detecting
	state nfa.State
}

// Field numbers of a detection's cell; never reuse one.
const (
	detectShape protowire.Number = 1 // fixed64
	detectState protowire.Number = 2
)

// Append implements Cell.
func (x *detected) Append(b []byte) []byte {
	b = append(b, formatDetect)
	b = protowire.AppendFixed64(protowire.AppendTag(b, detectShape, protowire.Fixed64Type), x.of.shape)
	return appendMessage(b, detectState, x.state.Append)
}

// Size implements Cell.
func (x *detected) Size() int { return 24 + x.state.Size() }

// sweepParts is into how many steps the time of runs is cut where their end brings no result: they go many at a time.
const sweepParts = 16

// Due implements DueCell.
func (x *detected) Due(fired int64) int64 {
	w := x.of
	due := x.state.Due()
	if due == nfa.Never {
		return Never
	}
	due += w.rule.Lateness
	if !w.timely {
		sweep := max(w.rule.Detect.Within/sweepParts, sweepLeast)
		due = floor(due, sweep) + sweep
	}
	return max(due, fired+1)
}

// Decode implements Operator.
func (w *detecting) Decode(b []byte) (Cell, error) {
	if len(b) == 0 || b[0] != formatDetect {
		return nil, fmt.Errorf("%w: unknown format %v", errCell, b[:min(1, len(b))])
	}
	x, read, foreign := &detected{of: w}, (*nfa.State)(nil), false
	err := eachField(b[1:], func(n protowire.Number, v uint64, s []byte) (err error) {
		switch n {
		case detectShape:
			foreign = v != w.shape
		case detectState:
			if !foreign {
				read, err = w.machine.Read(bytes.Clone(s), w.check)
			}
		default: // of a later version
		}
		return err
	})
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %w", errCell, err)
	case foreign:
		return nil, nil
	case read == nil:
		return nil, errCell
	}
	x.state = *read
	return x, nil
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
