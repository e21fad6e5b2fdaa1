package schemas

import (
	"bytes"
	"encoding/binary"
	"hash"
)

// Murmur2 is the hash of Kafka's Java client (32 bit, seed 0x9747b28c), which decides a key's partition.
func Murmur2(key []byte) int32 {
	const (
		seed = 0x9747b28c
		m    = 0x5bd1e995
		r    = 24
	)
	h := uint32(seed) ^ uint32(len(key))
	for ; len(key) >= 4; key = key[4:] {
		k := binary.LittleEndian.Uint32(key) * m
		k ^= k >> r
		h = h*m ^ k*m
	}
	switch len(key) {
	case 3:
		h ^= uint32(key[2]) << 16
		fallthrough
	case 2:
		h ^= uint32(key[1]) << 8
		fallthrough
	case 1:
		h = (h ^ uint32(key[0])) * m
	}
	h ^= h >> 13
	h *= m
	h ^= h >> 15
	return int32(h)
}

// Partition returns the partition of n that the Java client puts a key into: n has to be above 0. The whole key counts.
func Partition(key []byte, n int32) int32 { return (Murmur2(key) & 0x7fffffff) % n }

// Hasher is Partition's hash as a hash.Hash32: Sum32 is murmur2 of what was written, up to the first NUL, with the sign bit cleared.
// goka negates a hash before the modulo, sarama after it, Java masks it: without the sign bit all agree. Only the part before a
// NUL counts because a cell's key is entity, NUL, rule, NUL, cell, and all cells of an entity belong into its partition.
type Hasher struct{ key []byte }

var _ hash.Hash32 = (*Hasher)(nil)

// NewHasher returns an empty Hasher, in the shape that goka and sarama ask for.
func NewHasher() hash.Hash32 { return &Hasher{} }

// Write adds to the key; it never fails.
func (h *Hasher) Write(p []byte) (int, error) {
	h.key = append(h.key, p...)
	return len(p), nil
}

// Sum32 returns the hash of the key.
func (h *Hasher) Sum32() uint32 {
	key := h.key
	if i := bytes.IndexByte(key, 0); i >= 0 {
		key = key[:i]
	}
	return uint32(Murmur2(key)) & 0x7fffffff
}

// Sum appends Sum32, big-endian.
func (h *Hasher) Sum(b []byte) []byte { return binary.BigEndian.AppendUint32(b, h.Sum32()) }

// Reset empties the key.
func (h *Hasher) Reset() { h.key = h.key[:0] }

// Size returns the length of Sum's result.
func (h *Hasher) Size() int { return 4 }

// BlockSize returns the size of the blocks that murmur2 works on.
func (h *Hasher) BlockSize() int { return 4 }
