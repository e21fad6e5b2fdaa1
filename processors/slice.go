package processors

import (
	"google.golang.org/protobuf/encoding/protowire"
)

// slice is the partial aggregate of the records in [key, key+hop) of an entity, which all its windows share, and what is
// remembered of the window that begins at key. Slices without records are kept for the latter only.
type slice struct {
	pane pane
	sent *emission // with EmitChanges and EmitEvery; nil: no result yet
	news bool      // with EmitEvery: records have come since results were last due
}

// sliceCodec writes slices of a length.
type sliceCodec struct {
	layout *layout
	hop    int64
}

// Field numbers of a slice, behind those of its pane; never reuse one.
const (
	sliceSent     protowire.Number = 5
	sliceSelected protowire.Number = 6
	sliceNews     protowire.Number = 7
)

func (c sliceCodec) append(b []byte, key int64, x *slice) []byte {
	b = c.layout.append(b, &x.pane, key)
	if x.sent != nil {
		b = appendVarint(b, sliceSent, uint64(x.sent.n))
		b = appendBytes(b, sliceSelected, x.sent.selected)
	}
	if x.news {
		b = appendVarint(b, sliceNews, 1)
	}
	return b
}

func (c sliceCodec) size(_ int64, x *slice) int {
	n := c.layout.size(&x.pane) - latestBytes + 1 + protowire.SizeVarint(uint64(2*c.hop)) + 2
	if x.sent != nil {
		n += 17 + len(x.sent.selected)
	}
	return n
}

func (c sliceCodec) decode(b []byte, key int64, x *slice) error {
	if err := c.layout.decode(b, &x.pane, key); err != nil {
		return err
	}
	return eachField(b, func(n protowire.Number, v uint64, s []byte) error {
		switch n {
		case sliceSent:
			x.sent = &emission{n: int64(v)}
		case sliceSelected:
			if x.sent == nil {
				return errCell
			}
			x.sent.selected = append([]byte(nil), s...)
		case sliceNews:
			x.news = v == 1
		default: // of the pane, or of a later version
		}
		return nil
	})
}
