package processors

import (
	"crypto/sha256"
	"fmt"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// seenFormat is the version byte of a cell of ids. It tells these cells from those of the operator behind them.
const seenFormat = 64

// seen is a cell of ids that a deduped rule has passed on, or the mark that they are in the cells below.
type seen struct {
	shape uint64 // fingerprint of what shapes the state of the rule
	split bool
	ids   []seenID // by time
	due   int64    // the last of the ids is forgotten then
	depth int      // of a split cell: where an id was found last, in memory only
}

// seenID is an id that was seen, and the event time of its record. Ids are kept as hashes: they are only compared, and
// may be long.
type seenID struct {
	at   int64
	hash [16]byte // of SHA-256
}

func newSeenID(id string, at int64) seenID {
	h := sha256.Sum256([]byte(id))
	return seenID{at: at, hash: [16]byte(h[:16])}
}

// The digits of a hash, of two bits each, name the cells below one that was split.
const (
	seenDigits   = 64
	seenAlphabet = "0123"
)

func (x *seenID) digit(n int) byte { return seenAlphabet[x.hash[n/4]>>(2*(n%4))&3] }

// path is the name of the deepest cell that could hold the id: those above it are called by its beginnings.
func (x *seenID) path() string {
	b := make([]byte, 0, len(cellSeen)+seenDigits)
	b = append(b, cellSeen...)
	for n := range seenDigits {
		b = append(b, x.digit(n))
	}
	return string(b)
}

// has reports whether the id was seen less than within ms before or after x, and is not forgotten at the time clock.
func (c *seen) has(x *seenID, d *deduped, clock int64) bool {
	if c == nil {
		return false
	}
	within := d.rule.Dedupe.Within
	for i := range c.ids {
		if y := &c.ids[i]; y.hash == x.hash && x.at-y.at < within && y.at-x.at < within && y.at+d.keep > clock {
			return true
		}
	}
	return false
}

// with is a copy of the cell, which may be nil, with x and without what is forgotten at the time clock.
func (c *seen) with(x *seenID, d *deduped, clock int64) *seen {
	out := &seen{shape: d.shape}
	if c != nil {
		first := 0
		for first < len(c.ids) && c.ids[first].at+d.keep <= clock {
			first++
		}
		out.ids = append(make([]seenID, 0, len(c.ids)-first+1), c.ids[first:]...)
	}
	at := len(out.ids)
	for at > 0 && out.ids[at-1].at > x.at {
		at--
	}
	out.ids = slices.Insert(out.ids, at, *x)
	out.due = out.ids[len(out.ids)-1].at + d.keep
	return out
}

// crowded reports whether the cell holds so many different ids that it is to be split.
func (c *seen) crowded() bool {
	if len(c.ids) <= seenMost {
		return false
	}
	different := map[[16]byte]bool{}
	for i := range c.ids {
		different[c.ids[i].hash] = true
	}
	return len(different) > seenMost
}

// Due implements DueCell: the time at which the last of the ids may be forgotten.
func (c *seen) Due(fired int64) int64 {
	if c.split || c.due <= fired {
		return Never
	}
	return c.due
}

// Field numbers of a cell of ids; never reuse one.
const (
	seenShape protowire.Number = 1 // fixed64
	seenSplit protowire.Number = 2
	seenIDs   protowire.Number = 3 // for each the time since the one before, zigzag, and 16 bytes of hash
)

// Append implements Cell.
func (c *seen) Append(b []byte) []byte {
	b = append(b, seenFormat)
	if c.shape != 0 {
		b = protowire.AppendTag(b, seenShape, protowire.Fixed64Type)
		b = protowire.AppendFixed64(b, c.shape)
	}
	if c.split {
		return appendVarint(b, seenSplit, 1)
	}
	var ids []byte
	before := int64(0)
	for i := range c.ids {
		x := &c.ids[i]
		ids = append(protowire.AppendVarint(ids, protowire.EncodeZigZag(x.at-before)), x.hash[:]...)
		before = x.at
	}
	return appendBytes(b, seenIDs, ids)
}

// Size implements Cell.
func (c *seen) Size() int { return 32 + 26*len(c.ids) }

// decodeSeen reads what Append wrote; keep is the rule's.
func decodeSeen(b []byte, keep int64) (*seen, error) {
	if len(b) == 0 || b[0] != seenFormat {
		return nil, fmt.Errorf("%w: unknown format %v", errCell, b[:min(1, len(b))])
	}
	c := &seen{}
	err := eachField(b[1:], func(n protowire.Number, v uint64, s []byte) error {
		switch n {
		case seenShape:
			c.shape = v
		case seenSplit:
			c.split = v != 0
		case seenIDs:
			return c.decodeIDs(s)
		default: // of a later version
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if n := len(c.ids); n > 0 {
		c.due = c.ids[n-1].at + keep
	}
	return c, nil
}

func (c *seen) decodeIDs(b []byte) error {
	at := int64(0)
	for len(b) > 0 {
		v, n := protowire.ConsumeVarint(b)
		if n < 0 || len(b)-n < len(seenID{}.hash) {
			return errCell
		}
		at += protowire.DecodeZigZag(v)
		c.ids = append(c.ids, seenID{at: at, hash: [16]byte(b[n:])})
		b = b[n+len(seenID{}.hash):]
	}
	return nil
}
