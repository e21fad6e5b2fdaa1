package processors

import (
	"math"
	"math/big"
)

// expansion is an exact sum of doubles: partial sums that do not overlap (Shewchuk 1997, as Python's fsum). Two of them are
// enough for most data and lie in place.
type expansion struct {
	lo, hi float64    // the partials while there are at most two, lo the smaller
	more   *[]float64 // all of them, smallest first, when there are more; lo and hi are then 0
}

// add adds x exactly, unless the sum overflows: float is infinite then, or not a number.
func (e *expansion) add(x float64) {
	if e.more != nil {
		e.addMany(x)
		return
	}
	x, lo := twoSum(x, e.lo)
	x, hi := twoSum(x, e.hi)
	switch {
	case lo == 0:
		e.lo, e.hi = hi, x
	case x == 0:
		e.lo, e.hi = 0, lo
	case hi == 0:
		e.lo, e.hi = lo, x
	default:
		e.lo, e.hi, e.more = 0, 0, &[]float64{lo, hi, x}
	}
}

// twoSum is a+b rounded, and what rounding has lost.
func twoSum(a, b float64) (sum, lost float64) {
	s := a + b
	t := s - a
	return s, (a - (s - t)) + (b - t)
}

func (e *expansion) addMany(x float64) {
	ps := *e.more
	i := 0
	for _, y := range ps {
		var lo float64
		if x, lo = twoSum(x, y); lo != 0 {
			ps[i] = lo
			i++
		}
	}
	if ps = ps[:i]; x != 0 {
		ps = append(ps, x)
	}
	switch len(ps) {
	case 0:
		*e = expansion{}
	case 1:
		*e = expansion{hi: ps[0]}
	case 2:
		*e = expansion{lo: ps[0], hi: ps[1]}
	default:
		*e.more = ps
	}
}

// addInt adds v exactly.
func (e *expansion) addInt(v int64) {
	if x := float64(v); v < 1<<53 && v > -1<<53 {
		e.add(x)
		return
	}
	low := v & (1<<32 - 1)
	e.add(float64(v - low))
	e.add(float64(low))
}

// merge adds the sum f, or takes it away.
func (e *expansion) merge(f *expansion, sign float64) {
	if f.more == nil {
		if f.lo != 0 {
			e.add(sign * f.lo)
		}
		e.add(sign * f.hi)
		return
	}
	for _, x := range *f.more {
		e.add(sign * x)
	}
}

// clone copies the sum, so that one can change without the other.
func (e *expansion) clone() expansion {
	c := *e
	if e.more != nil {
		ps := append(make([]float64, 0, len(*e.more)+1), *e.more...)
		c.more = &ps
	}
	return c
}

// float rounds the sum once, half to even. It never is -0.
func (e *expansion) float() float64 {
	if e.more == nil {
		return e.hi + e.lo
	}
	ps := *e.more
	n := len(ps)
	hi, lo := ps[n-1], 0.0
	for n--; n > 0; {
		n--
		x, y := hi, ps[n]
		hi = x + y
		if lo = y - (hi - x); lo != 0 {
			break
		}
	}
	// Half to even across more than two partials: the remainder decides which way a tie goes.
	if n > 0 && (lo < 0 && ps[n-1] < 0 || lo > 0 && ps[n-1] > 0) {
		if y, x := lo*2, hi+lo*2; y == x-hi {
			hi = x
		}
	}
	return hi
}

// integer is the sum of integers; false when it does not fit into 64 bits.
func (e *expansion) integer() (int64, bool) {
	if e.more == nil && math.Abs(e.hi) < 1<<62 {
		return int64(e.hi) + int64(e.lo), true
	}
	v, accuracy := e.big().Int64()
	return v, accuracy == big.Exact
}

// finite reports whether the sum has not overflowed.
func (e *expansion) finite() bool {
	x := e.float()
	return x-x == 0
}

// big is the exact value of a finite sum.
func (e *expansion) big() *big.Float {
	z := new(big.Float).SetPrec(widest)
	for _, x := range e.partials() {
		z.Add(z, new(big.Float).SetFloat64(x))
	}
	return z
}

// widest is enough bits for the exact sum of any doubles: exponents from -1074 to 1023, and 64 bits for carries.
const widest = 1074 + 1024 + 64

// partials are the summands, smallest first.
func (e *expansion) partials() []float64 {
	switch {
	case e.more != nil:
		return *e.more
	case e.lo != 0:
		return []float64{e.lo, e.hi}
	case e.hi != 0:
		return []float64{e.hi}
	}
	return nil
}
