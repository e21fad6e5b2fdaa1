package schemas

import (
	"errors"

	"google.golang.org/protobuf/encoding/protowire"
)

// Writer is the content of the header HeaderWriter of a derived record. It says who wrote the record, what may still come from
// that writer, and which source record set the chain of rules off; readers need it for event time and for the total order.
type Writer struct {
	Name       string // the rule's id; with "@" and the stream's name when a group per stream runs the rule
	Partition  int32  // partition of the rule's group
	OutputTime int64  // ms: no later record of this writer has a smaller event time; 0 promises nothing
	Origin     Origin
	Ordinal    int64  // counts the outputs of one step of the rule
	Rule       string // of a record that was moved to another topic: the rule that made it; "" for Name itself
}

// Origin is the source record that set a chain off. For a result that time set off, Stream is the rule, Key the key, Offset the
// deadline.
type Origin struct {
	Stream  string
	Key     string
	Offset  int64
	EventID string // stands in for Key when the record has none
}

const (
	writerVersion = 1
	maxWriterSize = 16 << 10 // a key is at most 4 KiB
)

// ErrWriterHeader says that bytes are no writer header. Errors of ParseWriter wrap it.
var ErrWriterHeader = errors.New("bad writer header")

// Append appends the header's value: a version byte, then protobuf fields. Zero fields take no bytes.
func (w *Writer) Append(b []byte) []byte {
	b = append(b, writerVersion)
	text := func(num protowire.Number, s string) {
		if s != "" {
			b = protowire.AppendString(protowire.AppendTag(b, num, protowire.BytesType), s)
		}
	}
	number := func(num protowire.Number, v int64) {
		if v != 0 {
			b = protowire.AppendVarint(protowire.AppendTag(b, num, protowire.VarintType), protowire.EncodeZigZag(v))
		}
	}
	text(1, w.Name)
	number(2, int64(w.Partition))
	number(3, w.OutputTime)
	text(4, w.Origin.Stream)
	text(5, w.Origin.Key)
	number(6, w.Origin.Offset)
	text(7, w.Origin.EventID)
	number(8, w.Ordinal)
	text(9, w.Rule)
	return b
}

// ParseWriter reads a header's value. Unknown fields are skipped: a later version may add some, and raises the version byte when old
// readers would misunderstand it.
func ParseWriter(b []byte) (Writer, error) {
	var w Writer
	if len(b) == 0 || b[0] != writerVersion {
		return w, errors.Join(ErrWriterHeader, errors.New("unknown version"))
	}
	if len(b) > maxWriterSize {
		return w, errors.Join(ErrWriterHeader, errors.New("too long"))
	}
	for b = b[1:]; len(b) > 0; {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return Writer{}, errors.Join(ErrWriterHeader, protowire.ParseError(n))
		}
		b = b[n:]
		n = w.field(num, typ, b)
		if n < 0 {
			return Writer{}, errors.Join(ErrWriterHeader, protowire.ParseError(n))
		}
		b = b[n:]
	}
	return w, nil
}

// field reads one field and returns its length, negative for an error of protowire.
func (w *Writer) field(num protowire.Number, typ protowire.Type, b []byte) int {
	switch {
	case typ == protowire.BytesType && (num == 1 || num == 4 || num == 5 || num == 7 || num == 9):
		s, n := protowire.ConsumeString(b)
		switch num {
		case 1:
			w.Name = s
		case 4:
			w.Origin.Stream = s
		case 5:
			w.Origin.Key = s
		case 7:
			w.Origin.EventID = s
		case 9:
			w.Rule = s
		default: // the case above names them all
		}
		return n
	case typ == protowire.VarintType && (num == 2 || num == 3 || num == 6 || num == 8):
		u, n := protowire.ConsumeVarint(b)
		v := protowire.DecodeZigZag(u)
		switch num {
		case 2:
			w.Partition = int32(v)
		case 3:
			w.OutputTime = v
		case 6:
			w.Origin.Offset = v
		case 8:
			w.Ordinal = v
		default: // the case above names them all
		}
		return n
	}
	return protowire.ConsumeFieldValue(num, typ, b)
}
