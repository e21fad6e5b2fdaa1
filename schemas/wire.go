package schemas

import (
	"encoding/binary"
	"fmt"
)

// FrameSize is the length of the frame before the Avro binary of a record's value.
const FrameSize = 5

// FramingError says why bytes are not in Confluent's wire format.
type FramingError struct {
	Size  int   // length of the value
	Magic byte  // first byte, when there is one
	ID    int32 // schema id, when there are four more bytes
}

func (e *FramingError) Error() string {
	switch {
	case e.Size < FrameSize:
		return fmt.Sprintf("bad_framing: %d bytes are too short for magic byte and schema id", e.Size)
	case e.Magic != 0:
		return fmt.Sprintf("bad_framing: magic byte %#02x instead of 0", e.Magic)
	}
	return fmt.Sprintf("bad_framing: schema id %d", e.ID)
}

// AppendFrame appends the magic byte and the id of the schema that the Avro binary behind it is written with.
func AppendFrame(b []byte, id int32) []byte {
	return binary.BigEndian.AppendUint32(append(b, 0), uint32(id))
}

// Frame splits a record's value into schema id, which is above 0, and Avro binary, which aliases b. The error is a *FramingError.
func Frame(b []byte) (id int32, body []byte, err error) {
	e := FramingError{Size: len(b)}
	if len(b) > 0 {
		e.Magic = b[0]
	}
	if len(b) < FrameSize || b[0] != 0 {
		return 0, nil, &e
	}
	if e.ID = int32(binary.BigEndian.Uint32(b[1:])); e.ID <= 0 {
		return 0, nil, &e
	}
	return e.ID, b[FrameSize:], nil
}
