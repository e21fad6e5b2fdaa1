package processors

import (
	"math"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/schemas"
)

// trace is what a pane keeps of the contexts of its records, as far as a route of the rule writes it.
type trace struct {
	first, last stamp   // the records with the smallest and the largest (event time, event id)
	confidence  float64 // the least
	version     version // the pointwise maximum
}

// version is a version vector, ordered by region.
type version []regionCount

type regionCount struct {
	region string
	n      int64
}

// regionsMost bounds the table of regions.
const regionsMost = 1024

// kept says which parts of contexts the panes of a rule keep.
type kept struct{ ids, confidence, version bool }

func newKept(routes []route) kept {
	var k kept
	for i := range routes {
		for _, f := range routes[i].Fields {
			if f.Expr != nil {
				continue
			}
			k.ids = k.ids || f.Context == rules.CtxLineage
			k.confidence = k.confidence || f.Context == rules.CtxConfidence
			k.version = k.version || f.Context == rules.CtxVersion
		}
	}
	return k
}

// set makes t the trace of one record. Regions come from a table, so that a region is one string whatever the number of
// records that name it.
func (t *trace) set(k kept, c *schemas.Context, at int64, regions map[string]string) {
	if k.ids {
		t.first = stamp{at, newEventID(c.EventID)}
		t.last = t.first
	}
	t.confidence = c.Confidence
	t.version = t.version[:0]
	if !k.version {
		return
	}
	for region, n := range c.Version {
		known, ok := regions[region]
		if !ok {
			if len(regions) == regionsMost {
				clear(regions)
			}
			known = strings.Clone(region)
			regions[known] = known
		}
		t.version = append(t.version, regionCount{known, n})
	}
	slices.SortFunc(t.version, func(a, b regionCount) int { return strings.Compare(a.region, b.region) })
}

// merge folds u in.
func (t *trace) merge(u *trace) {
	if t.first.none() || !u.first.none() && t.first.compare(&u.first) > 0 {
		t.first = u.first
	}
	if t.last.none() || !u.last.none() && t.last.compare(&u.last) < 0 {
		t.last = u.last
	}
	t.confidence = min(t.confidence, u.confidence)
	t.version = t.version.merge(u.version)
}

// copy makes t a copy of u that shares nothing that changes.
func (t *trace) copy(u *trace) {
	v := append(t.version[:0], u.version...)
	*t = *u
	t.version = v
}

// merge raises v to the pointwise maximum of both.
func (v version) merge(w version) version {
	for _, x := range w {
		i, found := v.find(x.region)
		if !found {
			v = slices.Insert(v, i, x)
		}
		v[i].n = max(v[i].n, x.n)
	}
	return v
}

func (v version) find(region string) (int, bool) {
	return slices.BinarySearchFunc(v, region, func(x regionCount, region string) int { return strings.Compare(x.region, region) })
}

// more counts the regions of both.
func (v version) more(w version) int {
	n := len(v)
	for _, x := range w {
		if _, found := v.find(x.region); !found {
			n++
		}
	}
	return n
}

func (v version) asMap() map[string]int64 {
	m := make(map[string]int64, len(v))
	for _, x := range v {
		m[x.region] = x.n
	}
	return m
}

// Field numbers of a trace; never reuse one.
const (
	traceFirst      protowire.Number = 1
	traceLast       protowire.Number = 2
	traceConfidence protowire.Number = 3 // fixed64
	traceVersion    protowire.Number = 4 // message: 1 region, 2 counter; ordered by region
)

func (t *trace) append(b []byte, k kept) []byte {
	if !t.first.none() {
		b = appendMessage(b, traceFirst, t.first.append)
		b = appendMessage(b, traceLast, t.last.append)
	}
	if k.confidence {
		b = protowire.AppendTag(b, traceConfidence, protowire.Fixed64Type)
		b = protowire.AppendFixed64(b, math.Float64bits(t.confidence))
	}
	for _, x := range t.version {
		b = appendMessage(b, traceVersion, x.append)
	}
	return b
}

func (x regionCount) append(b []byte) []byte {
	return appendVarint(appendBytes(b, 1, x.region), 2, uint64(x.n))
}

func (t *trace) size() int {
	n := 20 + t.first.size() + t.last.size()
	for _, x := range t.version {
		n += 30 + len(x.region)
	}
	return n
}

func (t *trace) decode(b []byte) error {
	t.confidence = 1
	return eachField(b, func(n protowire.Number, v uint64, s []byte) error {
		switch n {
		case traceFirst:
			return t.first.decode(s)
		case traceLast:
			return t.last.decode(s)
		case traceConfidence:
			t.confidence = math.Float64frombits(v)
		case traceVersion:
			var x regionCount
			err := x.decode(s)
			t.version = t.version.merge(version{x})
			return err
		default: // of a later version
		}
		return nil
	})
}

func (x *regionCount) decode(b []byte) error {
	return eachField(b, func(n protowire.Number, v uint64, s []byte) error {
		switch n {
		case 1:
			x.region = string(s)
		case 2:
			x.n = int64(v)
		default: // of a later version
		}
		return nil
	})
}

// ids are those of the first and the last of count records, as far as they are known.
func (t *trace) ids(count int64) []string {
	if t.first.none() {
		return nil
	}
	if count == 1 {
		return []string{t.first.id.String()}
	}
	return []string{t.first.id.String(), t.last.id.String()}
}
