package processors

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
)

// eventID is the id of a record. The usual notation of a UUID is kept as its 16 bytes.
type eventID struct {
	uuid [16]byte
	text string // of an id that is no UUID
}

// The characters of a UUID that stand between its digits.
const uuidLength, uuidDashes = 36, 1<<8 | 1<<13 | 1<<18 | 1<<23

// newEventID detaches the id from the record that it comes from.
func newEventID(s string) eventID {
	var id eventID
	if !id.parse(s) {
		id = eventID{text: strings.Clone(s)}
	}
	return id
}

// parse reads the usual notation of a UUID in lower case, the only one that String gives back.
func (id *eventID) parse(s string) bool {
	if len(s) != uuidLength {
		return false
	}
	n, wrong := 0, byte(0)
	for i := range len(s) {
		c := s[i]
		if uuidDashes>>i&1 != 0 {
			wrong |= c ^ '-'
			continue
		}
		d := (c&0xf + 9*(c>>6)) & 0xf // without a branch on what is random
		wrong |= c ^ hexDigits[d]
		id.uuid[n/2] = id.uuid[n/2]<<4 | d
		n++
	}
	return wrong == 0 && id.uuid != [16]byte{} // which stands for none
}

const hexDigits = "0123456789abcdef"

// String is the id as it came.
func (id *eventID) String() string {
	if id.uuid == [16]byte{} {
		return id.text
	}
	b := make([]byte, 0, uuidLength)
	for i, n := range [...]int{4, 6, 8, 10, 16} {
		if i > 0 {
			b = append(b, '-')
		}
		b = hex.AppendEncode(b, id.uuid[(len(b)-i)/2:n])
	}
	return string(b)
}

// compare orders ids as their texts.
func (id *eventID) compare(other *eventID) int {
	if len(id.text)+len(other.text) == 0 { // digits sort before letters, as their bytes do
		return bytes.Compare(id.uuid[:], other.uuid[:])
	}
	return strings.Compare(id.String(), other.String())
}

// stamp is the place of a record in event time.
type stamp struct {
	at int64
	id eventID
}

// none reports whether s is the place of no record: ids are never empty.
func (s *stamp) none() bool { return s.id == (eventID{}) }

func (s *stamp) compare(other *stamp) int {
	if c := cmp.Compare(s.at, other.at); c != 0 {
		return c
	}
	return s.id.compare(&other.id)
}

// The byte that tells the encoded forms of ids apart.
const (
	idText byte = iota
	idUUID
)

// append appends the time, zigzag, and the id: a byte for its form, then its text or 16 bytes.
func (s *stamp) append(b []byte) []byte {
	b = protowire.AppendVarint(b, protowire.EncodeZigZag(s.at))
	if s.id.uuid != [16]byte{} {
		return append(append(b, idUUID), s.id.uuid[:]...)
	}
	return append(append(b, idText), s.id.text...)
}

func (s *stamp) decode(b []byte) error {
	at, n := protowire.ConsumeVarint(b)
	if n < 0 || len(b) == n {
		return errCell
	}
	s.at, b = protowire.DecodeZigZag(at), b[n:]
	switch {
	case b[0] == idText:
		s.id = eventID{text: string(b[1:])}
	case b[0] == idUUID && len(b) == 1+len(s.id.uuid):
		s.id = eventID{uuid: [16]byte(b[1:])}
	default:
		return errCell
	}
	return nil
}

func (s *stamp) size() int { return 27 + len(s.id.text) }
