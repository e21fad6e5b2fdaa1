package processors

import (
	"cmp"
	"math"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/millrace-io/millrace/schemas"
)

// frequent is the sketch of `topk`: how often each value came, exact for up to frequentMost values. Past that the rarest makes
// room for a new one, which inherits its count (Metwally et al., "Space-Saving", 2005): counts are then too high by what a
// value has inherited, at most the number of records over frequentMost, and depend on the order of the records.
type frequent struct {
	values []counted // by value
	lossy  bool      // a value has been dropped
}

type counted struct {
	value any
	n     int64
}

const frequentMost = 1000

func (f *frequent) add(v *argument, _ int64) {
	i, found := slices.BinarySearchFunc(f.values, v, func(c counted, v *argument) int { return -v.compare(c.value) })
	switch {
	case found:
		f.values[i].n++
	case len(f.values) < frequentMost:
		f.values = slices.Insert(f.values, i, counted{v.box(), 1})
	default:
		f.replace(i, counted{v.box(), 1})
	}
}

// replace drops the rarest value for x, which belongs before position i.
func (f *frequent) replace(i int, x counted) {
	f.lossy = true
	rarest := f.rarest()
	x.n += f.values[rarest].n
	if i > rarest {
		i--
	}
	f.values = slices.Insert(slices.Delete(f.values, rarest, rarest+1), i, x)
}

// rarest is the position of the value with the smallest count; of several, the largest value's.
func (f *frequent) rarest() int {
	at := 0
	for i := range f.values {
		if f.values[i].n <= f.values[at].n {
			at = i
		}
	}
	return at
}

// floor is how often a value that is not listed may have come.
func (f *frequent) floor() int64 {
	if !f.lossy || len(f.values) == 0 {
		return 0
	}
	return f.values[f.rarest()].n
}

func (f *frequent) merge(other sketch) {
	o := other.(*frequent)
	mine, theirs := f.floor(), o.floor()
	var all []counted
	a, b := f.values, o.values
	for len(a) > 0 || len(b) > 0 {
		c := 0
		switch {
		case len(a) == 0:
			c = 1
		case len(b) == 0:
			c = -1
		default:
			c = compare(a[0].value, b[0].value)
		}
		switch {
		case c < 0:
			all, a = append(all, counted{a[0].value, a[0].n + theirs}), a[1:]
		case c > 0:
			all, b = append(all, counted{b[0].value, b[0].n + mine}), b[1:]
		default:
			all, a, b = append(all, counted{a[0].value, a[0].n + b[0].n}), a[1:], b[1:]
		}
	}
	f.values, f.lossy = all, f.lossy || o.lossy
	f.shorten()
}

// shorten keeps the most frequent values only, of equally frequent ones the smallest.
func (f *frequent) shorten() {
	if len(f.values) <= frequentMost {
		return
	}
	f.lossy = true
	counts := make([]int64, len(f.values))
	for i := range f.values {
		counts[i] = f.values[i].n
	}
	slices.Sort(counts)
	least := counts[len(counts)-frequentMost] // that stays
	above, _ := slices.BinarySearch(counts, least+1)
	ties := frequentMost - (len(counts) - above)
	f.values = slices.DeleteFunc(f.values, func(x counted) bool {
		if x.n == least {
			ties--
		}
		return x.n < least || x.n == least && ties < 0
	})
}

// byCount puts the most frequent first, ties by value.
func byCount(a, b counted) int {
	if c := cmp.Compare(b.n, a.n); c != 0 {
		return c
	}
	return compare(a.value, b.value)
}

func (f *frequent) copy(into any) sketch {
	c, ok := into.(*frequent)
	if !ok {
		c = &frequent{}
	}
	c.values, c.lossy = append(c.values[:0], f.values...), f.lossy
	return c
}

// top lists the n most frequent values.
func (f *frequent) top(n int64) []any {
	best := slices.Clone(f.values)
	slices.SortFunc(best, byCount)
	best = best[:min(int64(len(best)), n)]
	out := make([]any, len(best))
	for i := range best {
		out[i] = best[i].value
	}
	return out
}

// The encoded form: a byte, 1 if lossy; then per value its count, a varint, and schemas.AppendValue's form.
func (f *frequent) append(b []byte) []byte {
	if f.lossy {
		b = append(b, 1)
	} else {
		b = append(b, 0)
	}
	for i := range f.values {
		b = schemas.AppendValue(protowire.AppendVarint(b, uint64(f.values[i].n)), f.values[i].value)
	}
	return b
}

func (f *frequent) decode(b []byte) error {
	if len(b) == 0 || b[0] > 1 {
		return errCell
	}
	f.lossy = b[0] == 1
	for b = b[1:]; len(b) > 0; {
		count, n := protowire.ConsumeVarint(b)
		if n < 0 || count == 0 || count > math.MaxInt64 || len(f.values) == frequentMost {
			return errCell
		}
		v, rest, err := schemas.ParseValue(b[n:])
		if err != nil {
			return err
		}
		if last := len(f.values) - 1; last >= 0 && compare(f.values[last].value, v) >= 0 {
			return errCell
		}
		f.values, b = append(f.values, counted{v, int64(count)}), rest
	}
	return nil
}

func (f *frequent) size() int {
	n := 1
	for i := range f.values {
		n += 10 + schemas.ValueSize(f.values[i].value)
	}
	return n
}
