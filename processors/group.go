package processors

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/schemas"
)

// groupFormat is the version byte of an aggregate's cell. testdata/state/v1 holds examples.
const groupFormat = 1

// group is the state of one aggregate of one entity.
type group struct {
	count       int64 // records folded in
	emitted     int64 // emissions so far: the n of the deterministic event id
	first, last string
	confidence  float64          // minimum of the inputs'
	version     map[string]int64 // pointwise maximum of the inputs'; shared, never changed in place
	selected    []byte           // fingerprint of the last emission
	shape       uint64           // fingerprint of what shapes the state of the rule; 0: not known
	sums        []sum
	few         [2]sum // where sums lie when they are few: one allocation less per record
}

// grow copies g, which may be nil, into next for one more record. It takes next's memory where it fits.
func (g *group) grow(next *group, n int) {
	sums := next.sums
	if g == nil {
		*next = group{confidence: 1}
	} else {
		*next = *g
	}
	next.few = [2]sum{}
	switch {
	case n <= len(next.few):
		next.sums = next.few[:n:n]
	case cap(sums) >= n:
		next.sums = sums[:n]
		clear(next.sums)
	default:
		next.sums = make([]sum, n)
	}
	if g == nil {
		return
	}
	for i := range g.sums {
		next.sums[i] = g.sums[i].clone()
	}
}

// take folds the context of a record in.
func (g *group) take(c *schemas.Context) {
	g.count++
	g.last = strings.Clone(c.EventID)
	if g.count == 1 {
		g.first = g.last
	}
	g.confidence = min(g.confidence, c.Confidence)
	g.version = maximum(g.version, c.Version)
}

// maximum is the pointwise maximum of two version vectors; it returns a itself when b adds nothing.
func maximum(a, b map[string]int64) map[string]int64 {
	copied := false
	for region, n := range b {
		if have, ok := a[region]; ok && have >= n {
			continue
		}
		if !copied {
			a, copied = maps.Clone(a), true
			if a == nil {
				a = map[string]int64{}
			}
		}
		a[strings.Clone(region)] = n
	}
	return a
}

// Field numbers of a group's cell; never reuse one.
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

	sumCount   protowire.Number = 1
	sumInteger protowire.Number = 2 // zigzag
	sumPartial protowire.Number = 3 // packed doubles
	sumValue   protowire.Number = 4 // appendValue's form
)

// Append implements Cell.
func (g *group) Append(b []byte) []byte {
	b = append(b, groupFormat)
	b = appendVarint(b, groupCount, uint64(g.count))
	b = appendVarint(b, groupEmitted, uint64(g.emitted))
	b = appendBytes(b, groupFirst, g.first)
	b = appendBytes(b, groupLast, g.last)
	b = protowire.AppendTag(b, groupConfidence, protowire.Fixed64Type)
	b = protowire.AppendFixed64(b, math.Float64bits(g.confidence))
	for _, region := range slices.Sorted(maps.Keys(g.version)) {
		m := appendBytes(nil, 1, region)
		m = appendVarint(m, 2, uint64(g.version[region]))
		b = protowire.AppendBytes(protowire.AppendTag(b, groupVersion, protowire.BytesType), m)
	}
	b = appendBytes(b, groupSelected, g.selected)
	if g.shape != 0 {
		b = protowire.AppendTag(b, groupShape, protowire.Fixed64Type)
		b = protowire.AppendFixed64(b, g.shape)
	}
	var m []byte
	for i := range g.sums {
		m = g.sums[i].append(m[:0])
		b = protowire.AppendTag(b, groupSum, protowire.BytesType)
		b = protowire.AppendBytes(b, m)
	}
	return b
}

// Size implements Cell. A number takes at most a tag and ten bytes, and so does a length.
func (g *group) Size() int {
	n := 64 + len(g.first) + len(g.last) + len(g.selected)
	for region := range g.version {
		n += 32 + len(region)
	}
	for i := range g.sums {
		n += 64 + 8*len(g.sums[i].partials) + valueSize(g.sums[i].held)
	}
	return n
}

func (s *sum) append(b []byte) []byte {
	b = appendVarint(b, sumCount, uint64(s.count))
	b = appendVarint(b, sumInteger, protowire.EncodeZigZag(s.integer))
	if len(s.partials) > 0 {
		b = protowire.AppendTag(b, sumPartial, protowire.BytesType)
		b = protowire.AppendVarint(b, uint64(8*len(s.partials)))
		for _, p := range s.partials {
			b = binary.LittleEndian.AppendUint64(b, math.Float64bits(p))
		}
	}
	if s.held != nil {
		b = appendBytes(b, sumValue, appendValue(nil, s.held))
	}
	return b
}

var (
	errCell  = errors.New("damaged aggregate cell")
	errShape = errors.New("another number of aggregates")
)

func decodeGroup(b []byte, aggs []rules.Aggregate) (*group, error) {
	if len(b) == 0 || b[0] != groupFormat {
		return nil, fmt.Errorf("%w: unknown format %v", errCell, b[:min(1, len(b))])
	}
	g := &group{}
	err := eachField(b[1:], func(n protowire.Number, v uint64, s []byte) error {
		switch n {
		case groupCount:
			g.count = int64(v)
		case groupEmitted:
			g.emitted = int64(v)
		case groupFirst:
			g.first = string(s)
		case groupLast:
			g.last = string(s)
		case groupConfidence:
			g.confidence = math.Float64frombits(v)
		case groupVersion:
			return g.decodeVersion(s)
		case groupSelected:
			g.selected = append([]byte(nil), s...)
		case groupShape:
			g.shape = v
		case groupSum:
			var x sum
			if err := x.decode(s); err != nil {
				return err
			}
			g.sums = append(g.sums, x)
		default: // of a later version
		}
		return nil
	})
	if err == nil && len(g.sums) != len(aggs) {
		err = fmt.Errorf("%w: %d accumulators for %d aggregates", errShape, len(g.sums), len(aggs))
	}
	if err != nil {
		return nil, err
	}
	return g, nil
}

func (g *group) decodeVersion(b []byte) error {
	var region string
	var n int64
	err := eachField(b, func(f protowire.Number, v uint64, s []byte) error {
		switch f {
		case 1:
			region = string(s)
		case 2:
			n = int64(v)
		default: // of a later version
		}
		return nil
	})
	if g.version == nil {
		g.version = map[string]int64{}
	}
	g.version[region] = n
	return err
}

func (s *sum) decode(b []byte) error {
	return eachField(b, func(n protowire.Number, v uint64, p []byte) error {
		switch n {
		case sumCount:
			s.count = int64(v)
		case sumInteger:
			s.integer = protowire.DecodeZigZag(v)
		case sumPartial:
			if len(p)%8 != 0 {
				return errCell
			}
			for ; len(p) > 0; p = p[8:] {
				s.partials = append(s.partials, math.Float64frombits(binary.LittleEndian.Uint64(p)))
			}
		case sumValue:
			x, rest, err := parseValue(p, 0)
			if err != nil || len(rest) > 0 {
				return cmp.Or(err, errCell)
			}
			s.held = x
		default: // of a later version
		}
		return nil
	})
}
