package processors

import (
	"cmp"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/millrace-io/millrace/schemas"
)

// listed is the sketch of `list`: the first values in the order of the records.
type listed struct {
	most  int // of values
	items []listedValue
}

type listedValue struct {
	order int64
	value any
}

func (l *listed) add(v *argument, order int64) {
	if n := len(l.items); n < l.most || n > 0 && l.items[n-1].order > order {
		l.insert(listedValue{order, v.box()})
	}
}

// insert puts x in its place.
func (l *listed) insert(x listedValue) {
	i, _ := slices.BinarySearchFunc(l.items, x.order, func(y listedValue, order int64) int { return cmp.Compare(y.order, order+1) })
	if i == l.most {
		return
	}
	if len(l.items) == l.most {
		l.items = l.items[:l.most-1]
	}
	l.items = slices.Insert(l.items, i, x)
}

func (l *listed) merge(other sketch) {
	for _, x := range other.(*listed).items {
		l.insert(x)
	}
}

func (l *listed) copy(into any) sketch {
	c, ok := into.(*listed)
	if !ok {
		c = &listed{}
	}
	c.most, c.items = l.most, append(c.items[:0], l.items...)
	return c
}

func (l *listed) values() []any {
	out := make([]any, len(l.items))
	for i := range l.items {
		out[i] = l.items[i].value
	}
	return out
}

// The encoded form: per value its place in the order, zigzag, and schemas.AppendValue's form.
func (l *listed) append(b []byte) []byte {
	for i := range l.items {
		b = schemas.AppendValue(protowire.AppendVarint(b, protowire.EncodeZigZag(l.items[i].order)), l.items[i].value)
	}
	return b
}

func (l *listed) decode(b []byte) error {
	for len(b) > 0 {
		place, n := protowire.ConsumeVarint(b)
		order := protowire.DecodeZigZag(place)
		if last := len(l.items) - 1; n < 0 || last == l.most-1 || last >= 0 && l.items[last].order > order {
			return errCell
		}
		v, rest, err := schemas.ParseValue(b[n:])
		if err != nil {
			return err
		}
		l.items, b = append(l.items, listedValue{order, v}), rest
	}
	return nil
}

func (l *listed) size() int {
	n := 0
	for i := range l.items {
		n += 10 + schemas.ValueSize(l.items[i].value)
	}
	return n
}
