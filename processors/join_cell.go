package processors

import (
	"bytes"
	"fmt"

	"github.com/millrace-io/millrace/schemas"
)

// joined is a record that waits: in the form in which it is written, so that a buffer of many is little to look after.
type joined struct {
	body []byte // a byte, bodyMatched or 0; the record, packed; its context
}

// What the first byte of a body says.
const (
	bodyMatched byte = 1 // of a record that comes out unmatched: it will not
	bodyDeleted byte = 2 // of a version of a row: there is none, and nothing follows
)

func (x *joined) matched() bool { return x.body[0] == bodyMatched }

// joinedCodec writes the waiting records of an input.
type joinedCodec struct {
	packing *schemas.Packing
	record  schemas.Record // scratch
}

func (c *joinedCodec) append(b []byte, _ int64, x *joined) []byte { return append(b, x.body...) }

func (c *joinedCodec) size(_ int64, x *joined) int { return len(x.body) }

func (c *joinedCodec) decode(b []byte, _ int64, x *joined) error {
	if len(b) == 1 && b[0] == bodyDeleted {
		x.body = []byte{bodyDeleted}
		return nil
	}
	if len(b) == 0 || b[0] > bodyMatched {
		return errCell
	}
	context, err := c.packing.Decode(b[1:], c.record)
	if err != nil {
		return fmt.Errorf("%w: %w", errCell, err)
	}
	if _, err := parseContext(context); err != nil {
		return err
	}
	x.body = bytes.Clone(b)
	return nil
}
