package processors

import (
	"cmp"
	"encoding/binary"
	"math"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/millrace-io/millrace/schemas"
)

// Field numbers of an accumulator; never reuse one. 1 to 4 are those of the first state format.
const (
	accCount    protowire.Number = 1
	accInteger  protowire.Number = 2 // zigzag; format 1 only: a sum of integers
	accPartials protowire.Number = 3 // packed doubles
	accValue    protowire.Number = 4 // schemas.AppendValue's form
	accSquares  protowire.Number = 5 // packed doubles
	accSketch   protowire.Number = 6
)

func (c *column) append(b []byte, a *acc) []byte {
	b = appendVarint(b, accCount, uint64(a.n))
	b = a.sum.append(b, accPartials)
	switch {
	case a.held == nil:
	case c.form == formMoments:
		b = a.squares().append(b, accSquares)
	case c.form == formSketch:
		b = appendMessage(b, accSketch, a.held.(sketch).append)
	default:
		b = appendMessage(b, accValue, func(b []byte) []byte { return schemas.AppendValue(b, a.held) })
	}
	return b
}

// appendMessage appends a field whose length is known only when it is written.
func appendMessage(b []byte, n protowire.Number, write func([]byte) []byte) []byte {
	b = append(protowire.AppendTag(b, n, protowire.BytesType), 0)
	at := len(b)
	b = write(b)
	size := len(b) - at
	if size < 0x80 {
		b[at-1] = byte(size)
		return b
	}
	var length [binary.MaxVarintLen64]byte
	n64 := binary.PutUvarint(length[:], uint64(size))
	b = append(b, length[1:n64]...)
	copy(b[at+n64-1:], b[at:at+size])
	copy(b[at-1:], length[:n64])
	return b
}

func (e *expansion) append(b []byte, n protowire.Number) []byte {
	if e.more == nil && e.hi == 0 && e.lo == 0 {
		return b
	}
	b = protowire.AppendTag(b, n, protowire.BytesType)
	if e.more == nil {
		if e.lo == 0 {
			return binary.LittleEndian.AppendUint64(append(b, 8), math.Float64bits(e.hi))
		}
		b = binary.LittleEndian.AppendUint64(append(b, 16), math.Float64bits(e.lo))
		return binary.LittleEndian.AppendUint64(b, math.Float64bits(e.hi))
	}
	b = protowire.AppendVarint(b, uint64(8*len(*e.more)))
	for _, x := range *e.more {
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(x))
	}
	return b
}

// decode adds the partials of b to the sum.
func (e *expansion) decode(b []byte) error {
	if len(b)%8 != 0 {
		return errCell
	}
	for ; len(b) > 0; b = b[8:] {
		e.add(math.Float64frombits(binary.LittleEndian.Uint64(b)))
	}
	if !e.finite() {
		return errCell
	}
	return nil
}

// size is what append appends.
func (e *expansion) size() int {
	switch {
	case e.more != nil:
		return 5 + 8*len(*e.more)
	case e.lo != 0:
		return 18
	case e.hi != 0:
		return 10
	}
	return 0
}

// size is what append appends at most, with its tag and length.
func (c *column) size(a *acc) int {
	n := 3 + protowire.SizeVarint(uint64(a.n)) + a.sum.size()
	switch {
	case a.held == nil:
		return n
	case c.form == formMoments:
		return n + a.squares().size()
	case c.form == formSketch:
		return n + 12 + a.held.(sketch).size()
	default:
		return n + 12 + schemas.ValueSize(a.held)
	}
}

func (c *column) decode(b []byte, a *acc) error {
	err := eachField(b, func(n protowire.Number, v uint64, p []byte) error {
		switch n {
		case accCount:
			a.n = int64(v)
		case accInteger:
			a.sum.addInt(protowire.DecodeZigZag(v))
		case accPartials:
			return a.sum.decode(p)
		case accSquares:
			return c.decodeSquares(p, a)
		case accSketch:
			return c.decodeSketch(p, a)
		case accValue:
			return c.decodeValue(p, a)
		default: // of a later version
		}
		return nil
	})
	switch {
	case err != nil:
		return err
	case a.n < 0, c.form == formSketch && !c.nulls && (a.n > 0) != (a.held != nil):
		return errCell
	case c.nulls && a.n > 0 && a.held == nil: // format 1, where a first or last null leaves no bytes
		a.held = &edge{fn: c.fn, taken: true}
	}
	return nil
}

func (c *column) decodeSquares(b []byte, a *acc) error {
	if c.form != formMoments {
		return errCell
	}
	e := &expansion{}
	a.held = e
	return e.decode(b)
}

func (c *column) decodeSketch(b []byte, a *acc) error {
	if c.form != formSketch {
		return errCell
	}
	s := c.make()
	a.held = s
	return s.decode(b)
}

func (c *column) decodeValue(b []byte, a *acc) error {
	x, rest, err := schemas.ParseValue(b)
	switch {
	case err != nil || len(rest) > 0:
		return cmp.Or(err, errCell)
	case c.form == formMin || c.form == formMax:
		a.held = x
	case c.nulls: // format 1
		a.held = &edge{fn: c.fn, taken: true, value: x}
	default:
		return errCell
	}
	return nil
}
