package processors

import (
	"cmp"
	"encoding/binary"
	"math"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// quantiles is a sketch of the distribution of numbers: a histogram whose buckets grow with the values, 64 to every power
// of two, so that the middle of a bucket is within 1 % of all its values. When there are more than bucketsMost, neighbours are
// joined in pairs, as often as it takes (uniform collapse: Epicoco et al., "UDDSketch", 2020); so what comes out depends on
// the values alone. That happens when values differ by more than a factor of 65,536.
type quantiles struct {
	level       uint8 // how often neighbours were joined
	least, most float64
	buckets     []bucket // by key, none empty
}

// bucket counts the values of one range: key 0 is for zero, -k for the negatives of those of k.
type bucket struct {
	key int32
	n   int64
}

const (
	bucketsMost = 1024
	bucketBits  = 52 - 6 // bits of a double that the buckets of level 0 leave out
	levelMost   = 64 - bucketBits
)

// bucketKey is the bucket of x at level 0: the exponent and first bits of x, which grow with it.
func bucketKey(x float64) int32 {
	k := int32(math.Float64bits(math.Abs(x))>>bucketBits) + 1
	switch {
	case x > 0:
		return k
	case x < 0:
		return -k
	}
	return 0
}

// coarser is the bucket that key belongs to so many levels up.
func coarser(key int32, levels uint8) int32 {
	switch {
	case key > 0:
		return (key-1)>>levels + 1
	case key < 0:
		return -((-key-1)>>levels + 1)
	}
	return 0
}

// middle is the value that stands for a bucket of the sketch's level.
func (q *quantiles) middle(key int32) float64 {
	if key == 0 {
		return 0
	}
	if key < 0 {
		return -q.middle(-key)
	}
	shift := bucketBits + uint(q.level)
	low, high := math.Float64frombits(uint64(key-1)<<shift), math.MaxFloat64
	if bits := uint64(key); bits <= math.Float64bits(high)>>shift {
		high = math.Float64frombits(bits << shift)
	}
	return low + float64((high-low)*(low/(low+high))) // the same relative distance from both ends
}

func (q *quantiles) add(v *argument, _ int64) {
	x := v.number()
	q.span(x, x)
	q.count(coarser(bucketKey(x), q.level), 1)
}

// span widens the range of the values.
func (q *quantiles) span(least, most float64) {
	if len(q.buckets) == 0 {
		q.least, q.most = least, most
	}
	q.least, q.most = min(q.least, least), max(q.most, most)
}

// count adds n values to a bucket of the sketch's level.
func (q *quantiles) count(key int32, n int64) {
	i, found := slices.BinarySearchFunc(q.buckets, key, func(b bucket, key int32) int { return cmp.Compare(b.key, key) })
	if found {
		q.buckets[i].n += n
		return
	}
	q.buckets = slices.Insert(q.buckets, i, bucket{key, n})
	for len(q.buckets) > bucketsMost {
		q.collapse(1)
	}
}

// collapse goes up by so many levels.
func (q *quantiles) collapse(levels uint8) {
	if levels == 0 {
		return
	}
	q.level += levels
	kept := q.buckets[:0]
	for _, b := range q.buckets {
		b.key = coarser(b.key, levels)
		if n := len(kept); n > 0 && kept[n-1].key == b.key {
			kept[n-1].n += b.n
		} else {
			kept = append(kept, b)
		}
	}
	q.buckets = kept
}

func (q *quantiles) merge(other sketch) {
	o := other.(*quantiles)
	if len(o.buckets) == 0 {
		return
	}
	q.span(o.least, o.most)
	if o.level > q.level {
		q.collapse(o.level - q.level)
	}
	for _, b := range o.buckets {
		q.count(coarser(b.key, q.level-o.level), b.n)
	}
}

func (q *quantiles) copy(into any) sketch {
	c, ok := into.(*quantiles)
	if !ok {
		c = &quantiles{}
	}
	buckets := append(c.buckets[:0], q.buckets...)
	*c = *q
	c.buckets = buckets
	return c
}

// quantile estimates the smallest value that a share of p of all values does not exceed; nil for no values.
func (q *quantiles) quantile(p float64) any {
	total := int64(0)
	for _, b := range q.buckets {
		total += b.n
	}
	if total == 0 {
		return nil
	}
	rank := max(int64(math.Ceil(p*float64(total))), 1)
	switch {
	case rank == 1:
		return q.least
	case rank >= total:
		return q.most
	}
	for _, b := range q.buckets {
		if rank -= b.n; rank <= 0 {
			return min(max(q.middle(b.key), q.least), q.most)
		}
	}
	return q.most
}

// The encoded form: level, a byte; least and most; the buckets' keys as distances, zigzag, and counts.
func (q *quantiles) append(b []byte) []byte {
	b = append(b, q.level)
	b = binary.LittleEndian.AppendUint64(b, math.Float64bits(q.least))
	b = binary.LittleEndian.AppendUint64(b, math.Float64bits(q.most))
	last := int32(0)
	for _, x := range q.buckets {
		b = protowire.AppendVarint(b, protowire.EncodeZigZag(int64(x.key)-int64(last)))
		b = protowire.AppendVarint(b, uint64(x.n))
		last = x.key
	}
	return b
}

func (q *quantiles) decode(b []byte) error {
	if len(b) < 17 || b[0] > levelMost {
		return errCell
	}
	q.level = b[0]
	q.least = math.Float64frombits(binary.LittleEndian.Uint64(b[1:]))
	q.most = math.Float64frombits(binary.LittleEndian.Uint64(b[9:]))
	last := int64(math.MinInt32)
	key := int64(0)
	for b = b[17:]; len(b) > 0; {
		step, n := protowire.ConsumeVarint(b)
		if n < 0 {
			return errCell
		}
		count, m := protowire.ConsumeVarint(b[n:])
		key += protowire.DecodeZigZag(step)
		if m < 0 || key <= last || key > 1<<(64-bucketBits) || int64(count) <= 0 || len(q.buckets) == bucketsMost {
			return errCell
		}
		q.buckets = append(q.buckets, bucket{int32(key), int64(count)})
		last, b = key, b[n+m:]
	}
	return nil
}

func (q *quantiles) size() int { return 17 + 15*len(q.buckets) }
