package processors

import (
	"encoding/binary"
	"math"
	"math/bits"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// distinct is the sketch of how many different values there are: their hashes while they are few, then a HyperLogLog
// (Flajolet et al. 2007) of which only the set of the values matters. Its standard error is 0.8 %.
type distinct struct {
	hashes    []uint64 // sorted; nil once there are registers
	registers []uint8  // nil, or by the first bits of a hash the largest rank of the rest
}

const (
	distinctExact = 256
	registerBits  = 14
	registers     = 1 << registerBits
	maxRank       = 64 - registerBits + 1
)

func (d *distinct) add(v *argument, _ int64) { d.insert(v.hash()) }

func (d *distinct) insert(h uint64) {
	if d.registers != nil {
		d.observe(h)
		return
	}
	i, found := slices.BinarySearch(d.hashes, h)
	if found {
		return
	}
	if len(d.hashes) < distinctExact {
		d.hashes = slices.Insert(d.hashes, i, h)
		return
	}
	d.spread()
	d.observe(h)
}

// spread goes over from hashes to registers.
func (d *distinct) spread() {
	d.registers = make([]uint8, registers)
	for _, h := range d.hashes {
		d.observe(h)
	}
	d.hashes = nil
}

func (d *distinct) observe(h uint64) {
	i := h >> (64 - registerBits)
	rank := uint8(min(bits.LeadingZeros64(h<<registerBits)+1, maxRank))
	d.registers[i] = max(d.registers[i], rank)
}

func (d *distinct) merge(other sketch) {
	o := other.(*distinct)
	if o.registers == nil {
		for _, h := range o.hashes {
			d.insert(h)
		}
		return
	}
	if d.registers == nil {
		d.spread()
	}
	for i, rank := range o.registers {
		d.registers[i] = max(d.registers[i], rank)
	}
}

func (d *distinct) copy(into any) sketch {
	c, ok := into.(*distinct)
	if !ok {
		c = &distinct{}
	}
	c.hashes = append(c.hashes[:0], d.hashes...)
	if d.registers == nil {
		c.registers = nil
	} else {
		c.registers = append(c.registers[:0], d.registers...)
	}
	return c
}

// count is exact or, from registers, the estimate of Ertl, "New cardinality estimation algorithms for HyperLogLog
// sketches" (2017), algorithm 6. The conversions keep products from being fused with sums, which not every machine does.
func (d *distinct) count() int64 {
	if d.registers == nil {
		return int64(len(d.hashes))
	}
	var of [maxRank + 1]float64 // how many registers of each rank
	for _, rank := range d.registers {
		of[rank]++
	}
	const m = float64(registers)
	z := float64(m * tau(1-of[maxRank]/m))
	for rank := maxRank - 1; rank >= 1; rank-- {
		z = 0.5 * (z + of[rank])
	}
	z += float64(m * sigma(of[0]/m))
	return int64(math.Round(m / (2 * math.Ln2) * m / z))
}

func sigma(x float64) float64 {
	if x == 1 {
		return math.Inf(1)
	}
	y, z := 1.0, x
	for last := math.NaN(); z != last; y += y {
		x *= x
		last = z
		z += float64(x * y)
	}
	return z
}

func tau(x float64) float64 {
	if x == 0 || x == 1 {
		return 0
	}
	y, z := 1.0, 1-x
	for last := math.NaN(); z != last; {
		x = math.Sqrt(x)
		last = z
		y *= 0.5
		z -= float64((1 - x) * (1 - x) * y)
	}
	return z / 3
}

// The two encoded forms.
const (
	distinctHashes    byte = iota // 8 bytes each, little endian, sorted
	distinctRegisters             // of those that are not 0: how many are skipped, a varint, and the rank, a byte
)

func (d *distinct) append(b []byte) []byte {
	if d.registers == nil {
		b = append(b, distinctHashes)
		for _, h := range d.hashes {
			b = binary.LittleEndian.AppendUint64(b, h)
		}
		return b
	}
	b = append(b, distinctRegisters)
	skipped := uint64(0)
	for _, rank := range d.registers {
		if rank == 0 {
			skipped++
			continue
		}
		b = append(protowire.AppendVarint(b, skipped), rank)
		skipped = 0
	}
	return b
}

func (d *distinct) decode(b []byte) error {
	if len(b) == 0 {
		return errCell
	}
	form, b := b[0], b[1:]
	switch form {
	case distinctHashes:
		return d.decodeHashes(b)
	case distinctRegisters:
		return d.decodeRegisters(b)
	}
	return errCell
}

func (d *distinct) decodeHashes(b []byte) error {
	if len(b)%8 != 0 || len(b) > 8*distinctExact {
		return errCell
	}
	for ; len(b) > 0; b = b[8:] {
		h := binary.LittleEndian.Uint64(b)
		if n := len(d.hashes); n > 0 && d.hashes[n-1] >= h {
			return errCell
		}
		d.hashes = append(d.hashes, h)
	}
	return nil
}

func (d *distinct) decodeRegisters(b []byte) error {
	d.registers = make([]uint8, registers)
	for i := uint64(0); len(b) > 0; i++ {
		skipped, n := protowire.ConsumeVarint(b)
		if n < 0 || n >= len(b) || skipped >= registers {
			return errCell
		}
		i += skipped
		rank := b[n]
		if i >= registers || rank == 0 || rank > maxRank {
			return errCell
		}
		d.registers[i], b = rank, b[n+1:]
	}
	return nil
}

func (d *distinct) size() int {
	if d.registers == nil {
		return 1 + 8*len(d.hashes)
	}
	return 1 + 2*registers // every third varint of two bytes stands for 128 registers that take none
}
