package processors

import (
	"errors"
	"fmt"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// The version byte of a cell says what it is. testdata/state holds examples of each.
const (
	formatGroup1  = 1 // an aggregate without a window, up to 0.1
	formatGroup   = 2
	formatHead    = 3 // of a series
	formatChunk   = 4 // of a series
	formatRun     = 5 // a counting window
	formatDetect  = 6 // the runs of a detection
	formatPart    = 7 // captures of a detection
	formatForeign = 8 // a row of a join by a foreign key
)

var errCell = errors.New("damaged cell")

// group is the state of an aggregate without a window of one entity.
type group struct {
	layout *layout
	shape  uint64 // fingerprint of what shapes the state of the rule
	pane   pane
	emission
}

// Field numbers of a group's cell; never reuse one. 1, 3 to 6 and 8 are those of format 1 only.
const (
	groupCount      protowire.Number = 1
	groupEmitted    protowire.Number = 2
	groupFirst      protowire.Number = 3
	groupLast       protowire.Number = 4
	groupConfidence protowire.Number = 5
	groupVersion    protowire.Number = 6 // message: 1 region, 2 counter; ordered by region
	groupSelected   protowire.Number = 7
	groupSum        protowire.Number = 8 // message, in the order of the rule's aggregates
	groupShape      protowire.Number = 9 // fixed64
	groupPane       protowire.Number = 10
)

// Append implements Cell.
func (g *group) Append(b []byte) []byte {
	b = append(b, formatGroup)
	b = appendVarint(b, groupEmitted, uint64(g.n))
	b = appendBytes(b, groupSelected, g.selected)
	b = protowire.AppendTag(b, groupShape, protowire.Fixed64Type)
	b = protowire.AppendFixed64(b, g.shape)
	return appendMessage(b, groupPane, func(b []byte) []byte { return g.layout.append(b, &g.pane, 0) })
}

// Size implements Cell.
func (g *group) Size() int { return 48 + len(g.selected) + g.layout.size(&g.pane) }

// decodeGroup reads a group's cell; nil for that of another shape.
func decodeGroup(b []byte, l *layout, shape uint64) (*group, error) {
	if len(b) == 0 {
		return nil, errCell
	}
	g := &group{layout: l, shape: shape}
	var err error
	switch b[0] {
	case formatGroup1:
		err = g.decode1(b[1:], shape)
	case formatGroup:
		err = g.decode(b[1:], shape)
	default:
		err = fmt.Errorf("%w: unknown format %d", errCell, b[0])
	}
	switch {
	case errors.Is(err, errShape):
		return nil, nil
	case err != nil:
		return nil, err
	}
	return g, nil
}

// errShape says that a cell was written by a rule of another shape.
var errShape = errors.New("a cell of another shape")

func (g *group) decode(b []byte, shape uint64) error {
	return eachField(b, func(n protowire.Number, v uint64, s []byte) error {
		switch n {
		case groupEmitted:
			g.n = int64(v)
		case groupSelected:
			g.selected = append([]byte(nil), s...)
		case groupShape:
			if v != shape {
				return errShape
			}
		case groupPane:
			return g.layout.decode(s, &g.pane, 0)
		default: // of a later version
		}
		return nil
	})
}

// decode1 reads format 1, where every aggregate has an accumulator of its own.
func (g *group) decode1(b []byte, shape uint64) error {
	t := &trace{confidence: 1}
	sums, filled := 0, make([]bool, len(g.layout.columns))
	g.layout.grow(&g.pane)
	err := eachField(b, func(n protowire.Number, v uint64, s []byte) error {
		switch n {
		case groupCount:
			g.pane.count = int64(v)
		case groupEmitted:
			g.n = int64(v)
		case groupFirst:
			t.first = stamp{id: newEventID(string(s))}
		case groupLast:
			t.last = stamp{id: newEventID(string(s))}
		case groupConfidence:
			t.confidence = math.Float64frombits(v)
		case groupVersion:
			var x regionCount
			err := x.decode(s)
			t.version = t.version.merge(version{x})
			return err
		case groupSelected:
			g.selected = append([]byte(nil), s...)
		case groupShape:
			if v != shape {
				return errShape
			}
		case groupSum:
			sums++
			return g.decodeSum(s, sums-1, filled)
		default: // of a later version
		}
		return nil
	})
	if err == nil && sums != len(g.layout.of) {
		err = errShape
	}
	if g.layout.traced {
		g.pane.trace = t
	}
	return err
}

// decodeSum reads the accumulator of the n-th aggregate, of which one is enough where several share a column.
func (g *group) decodeSum(b []byte, n int, filled []bool) error {
	if n >= len(g.layout.of) {
		return errShape
	}
	i := g.layout.of[n]
	if i < 0 || filled[i] {
		return nil
	}
	filled[i] = true
	return g.layout.columns[i].decode(b, g.pane.acc(i))
}
