package processors

import (
	"google.golang.org/protobuf/encoding/protowire"
)

// moment is the partial aggregate of the records of one event time, the key. With EmitEvery it has two times at which
// results are due: of the record that made it, and of the one heard last.
type moment struct {
	pane        pane
	made, heard int64
}

// momentCodec writes moments.
type momentCodec struct{ layout *layout }

// Field numbers of a moment, behind those of its pane; never reuse one.
const (
	momentMade  protowire.Number = 5 // zigzag, from the key
	momentHeard protowire.Number = 6 // zigzag, from momentMade
)

func (c momentCodec) append(b []byte, key int64, x *moment) []byte {
	b = c.layout.append(b, &x.pane, key)
	if x.heard == 0 {
		return b
	}
	b = protowire.AppendVarint(protowire.AppendTag(b, momentMade, protowire.VarintType), protowire.EncodeZigZag(x.made-key))
	return appendVarint(b, momentHeard, protowire.EncodeZigZag(x.heard-x.made))
}

func (c momentCodec) size(_ int64, x *moment) int { return c.layout.size(&x.pane) + 22 }

func (c momentCodec) decode(b []byte, key int64, x *moment) error {
	if err := c.layout.decode(b, &x.pane, key); err != nil {
		return err
	}
	return eachField(b, func(n protowire.Number, v uint64, _ []byte) error {
		switch n {
		case momentMade:
			x.made = key + protowire.DecodeZigZag(v)
			x.heard = x.made
		case momentHeard:
			x.heard = x.made + protowire.DecodeZigZag(v)
		default: // of the pane, or of a later version
		}
		return nil
	})
}
