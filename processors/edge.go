package processors

import (
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/schemas"
)

// edge is the sketch of `first` and `last`: the value of the record with the smallest or largest event time; of several at
// one time the first or last that came.
type edge struct {
	fn    rules.AggFunc // First or Last
	taken bool
	at    int64
	value any
}

func (e *edge) take(at int64) bool {
	ok := !e.taken || e.fn == rules.First && at < e.at || e.fn == rules.Last && at >= e.at
	if ok {
		e.taken, e.at = true, at
	}
	return ok
}

func (e *edge) add(v *argument, at int64) {
	if e.take(at) {
		e.value = v.box()
	}
}

func (e *edge) merge(other sketch) {
	if o := other.(*edge); o.taken && e.take(o.at) {
		e.value = o.value
	}
}

func (e *edge) copy(into any) sketch {
	c, ok := into.(*edge)
	if !ok {
		c = &edge{}
	}
	*c = *e
	return c
}

func (e *edge) append(b []byte) []byte {
	return schemas.AppendValue(protowire.AppendVarint(b, protowire.EncodeZigZag(e.at)), e.value)
}

func (e *edge) decode(b []byte) error {
	at, n := protowire.ConsumeVarint(b)
	if n < 0 {
		return errCell
	}
	v, rest, err := schemas.ParseValue(b[n:])
	if err == nil && len(rest) > 0 {
		err = errCell
	}
	e.taken, e.at, e.value = true, protowire.DecodeZigZag(at), v
	return err
}

func (e *edge) size() int { return 10 + schemas.ValueSize(e.value) }
