package workload

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/bits"
)

// golden is 2^64 divided by the golden ratio: the step of splitmix64.
const golden = 0x9E3779B97F4A7C15

// splitmix is the splitmix64 generator.
type splitmix uint64

func (s *splitmix) next() uint64 {
	*s += golden
	x := uint64(*s)
	x ^= x >> 30
	x *= 0xBF58476D1CE4E5B9
	x ^= x >> 27
	x *= 0x94D049BB133111EB
	x ^= x >> 31
	return x
}

// below is uniform in [0, n).
func (s *splitmix) below(n int) int {
	high, _ := bits.Mul64(s.next(), uint64(n))
	return int(high)
}

// oneIn is true once in n draws.
func (s *splitmix) oneIn(n int) bool { return s.below(n) == 0 }

// fraction is uniform in [0, 1).
func (s *splitmix) fraction() float64 { return float64(s.next()>>11) / (1 << 53) }

func (s *splitmix) of(values []string) string { return values[s.below(len(values))] }

// uuid is a version 4 UUID.
func (s *splitmix) uuid() string {
	var raw [16]byte
	binary.BigEndian.PutUint64(raw[:8], s.next())
	binary.BigEndian.PutUint64(raw[8:], s.next())
	raw[6] = raw[6]&0x0f | 0x40
	raw[8] = raw[8]&0x3f | 0x80
	var text [36]byte
	out := text[:0]
	for i, end := range []int{4, 6, 8, 10, 16} {
		start := []int{0, 4, 6, 8, 10}[i]
		if i > 0 {
			out = append(out, '-')
		}
		out = hex.AppendEncode(out, raw[start:end])
	}
	return string(out)
}

// skewed draws one of the users so that the k-th most frequent has a share that falls as k^(1/power - 1): with power 2 the
// first of 100,000 has 0.3 % of all events, with 3 it has 2.2 %.
func (s *splitmix) skewed(power int) string {
	u := s.fraction()
	x := u
	for range power - 1 {
		x *= u
	}
	return user(int(x*users)*7919 + 13)
}

// user is the id of the n-th user; n wraps around.
func user(n int) string { return fmt.Sprintf("u%06d", n%users) }
