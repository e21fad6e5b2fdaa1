package schemas

import (
	"crypto/sha1"
	"encoding/binary"
	"strconv"

	"github.com/google/uuid"
)

// namespace is millrace's UUIDv5 namespace: UUIDv5(DNS, "millrace.io"). It is part of the record format and never changes.
const namespace = "\x7c\x08\xaa\x67\x66\xa8\x5d\x5f\x8e\x1b\x3c\x23\x20\x0a\x9c\xd2"

// EventID returns the deterministic id of an event: UUIDv5 over its parts, each with its length before it, so that ("ab", "c")
// and ("a", "bc") differ. Equal parts give equal ids for ever.
func EventID(parts ...string) string {
	size := 0
	for _, p := range parts {
		size += len(p) + binary.MaxVarintLen32
	}
	b := make([]byte, 0, len(namespace)+size)
	b = append(b, namespace...)
	for _, p := range parts {
		b = append(binary.AppendUvarint(b, uint64(len(p))), p...)
	}
	sum := sha1.Sum(b) //nolint:gosec // UUIDv5 is defined over SHA-1; nothing here is a secret.
	u := [16]byte(sum[:16])
	u[6] = u[6]&0x0f | 0x50
	u[8] = u[8]&0x3f | 0x80
	return uuidString(u[:])
}

// InputID returns the id of a record that comes without one: its position makes it.
func InputID(topic string, partition int32, offset int64) string {
	return EventID(topic, strconv.FormatInt(int64(partition), 10), strconv.FormatInt(offset, 10))
}

// uuidString returns the usual notation of the 16 bytes of a UUID.
func uuidString(b []byte) string {
	if len(b) != 16 {
		return ""
	}
	return uuid.UUID(b).String()
}

// parseUUID reads the usual notation, and no other: 8-4-4-4-12 hexadecimal digits.
func parseUUID(s string) (uuid.UUID, error) {
	if len(s) != 36 {
		return uuid.UUID{}, valueErrorf("not a UUID")
	}
	u, err := uuid.Parse(s)
	if err != nil {
		return u, valueErrorf("not a UUID")
	}
	return u, nil
}
