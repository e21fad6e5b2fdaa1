package processors

import (
	"google.golang.org/protobuf/encoding/protowire"
)

// session is what is kept of a session that begins at its key and ends with its pane's latest record.
type session struct {
	pane pane
	sent emission // with EmitChanges selected is empty while nothing stands written for the session
	news bool     // with EmitEvery: records have come since results were last due
}

// sessionCodec writes sessions.
type sessionCodec struct{ layout *layout }

// Field numbers of a session, behind those of its pane; never reuse one.
const (
	sessionSent     protowire.Number = 5
	sessionSelected protowire.Number = 6
	sessionNews     protowire.Number = 7
)

func (c sessionCodec) append(b []byte, key int64, x *session) []byte {
	b = c.layout.append(b, &x.pane, key)
	b = appendVarint(b, sessionSent, uint64(x.sent.n))
	b = appendBytes(b, sessionSelected, x.sent.selected)
	if x.news {
		b = appendVarint(b, sessionNews, 1)
	}
	return b
}

func (c sessionCodec) size(_ int64, x *session) int {
	return c.layout.size(&x.pane) + 19 + len(x.sent.selected)
}

func (c sessionCodec) decode(b []byte, key int64, x *session) error {
	if err := c.layout.decode(b, &x.pane, key); err != nil {
		return err
	}
	return eachField(b, func(n protowire.Number, v uint64, s []byte) error {
		switch n {
		case sessionSent:
			x.sent.n = int64(v)
		case sessionSelected:
			x.sent.selected = append([]byte(nil), s...)
		case sessionNews:
			x.news = v == 1
		default: // of the pane, or of a later version
		}
		return nil
	})
}
