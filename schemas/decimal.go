package schemas

import (
	"math"
	"math/big"
	"strconv"
	"strings"
)

// maxPrecision bounds decimals: enough for any currency, and 10^38 still fits 16 bytes.
const maxPrecision = 1_000

// pow10 holds the powers of ten that float64 represents exactly.
func pow10(n int) float64 { return math.Pow10(n) }

// decimalFloat converts the two's complement big-endian bytes of an Avro decimal. ok is false when there are more bytes
// than the precision can need: a producer must not make us compute with megabytes.
func decimalFloat(b []byte, precision, scale int) (v float64, ok bool) {
	if len(b) == 0 {
		return 0, true
	}
	if len(b) <= 8 {
		u := int64(int8(b[0]))
		for _, c := range b[1:] {
			u = u<<8 | int64(c)
		}
		if scale <= 22 && u >= -1<<53 && u <= 1<<53 {
			return float64(u) / pow10(scale), true // both exact, so the quotient is the nearest float
		}
	}
	s, ok := decimalString(b, precision, scale)
	if !ok {
		return 0, false
	}
	v, err := strconv.ParseFloat(s, 64)
	return v, err == nil
}

// decimalString returns the exact decimal notation of an Avro decimal.
func decimalString(b []byte, precision, scale int) (string, bool) {
	if len(b) > precision/2+9 { // log2(10)/8 is less than a half
		return "", false
	}
	u := new(big.Int).SetBytes(b)
	if len(b) > 0 && b[0]&0x80 != 0 {
		u.Sub(u, new(big.Int).Lsh(big.NewInt(1), uint(8*len(b))))
	}
	s := u.String()
	neg := strings.HasPrefix(s, "-")
	s = strings.TrimPrefix(s, "-")
	if scale > 0 {
		if len(s) <= scale {
			s = strings.Repeat("0", scale-len(s)+1) + s
		}
		s = s[:len(s)-scale] + "." + s[len(s)-scale:]
	}
	if neg {
		s = "-" + s
	}
	return s, true
}

// unscaled returns what an Avro decimal of that precision and scale stores for the decimal notation s.
func unscaled(s string, precision, scale int) (*big.Int, error) {
	if len(s) > 2*maxPrecision {
		return nil, valueErrorf("a decimal of more than %d characters", 2*maxPrecision)
	}
	if i := strings.IndexAny(s, "eE"); i >= 0 {
		e, err := strconv.Atoi(s[i+1:])
		if err != nil || e > maxPrecision || e < -maxPrecision {
			return nil, valueErrorf("not a decimal number within range")
		}
	}
	r, ok := new(big.Rat).SetString(s)
	if !ok || strings.ContainsAny(s, "/xXpP_") {
		return nil, valueErrorf("not a decimal number")
	}
	r.Mul(r, new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(scale)), nil)))
	if !r.IsInt() {
		return nil, valueErrorf("more than %d decimals", scale)
	}
	u := r.Num()
	if len(new(big.Int).Abs(u).String()) > precision && u.Sign() != 0 {
		return nil, valueErrorf("more than %d digits", precision)
	}
	return u, nil
}

// decimalOf is unscaled for a float. What float arithmetic adds (0.1+0.2 is not 0.3) is rounded off, a real third decimal of a
// price is an error: the rule has to say how to round.
func decimalOf(v float64, precision, scale int) (*big.Int, error) {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return nil, valueErrorf("not a finite number")
	}
	fixed := strconv.FormatFloat(v, 'f', scale, 64)
	near, _ := strconv.ParseFloat(fixed, 64)
	if math.Abs(v-near) > 1e-12*math.Abs(v) {
		return nil, valueErrorf("more than %d decimals", scale)
	}
	return unscaled(fixed, precision, scale)
}

// twosComplement appends u as big-endian two's complement of at least size bytes.
func twosComplement(u *big.Int, size int) []byte {
	n := u.BitLen()/8 + 1
	if u.Sign() < 0 { // -2^(8k-1) needs no further byte
		n = new(big.Int).Not(u).BitLen()/8 + 1
	}
	n = max(n, size)
	if u.Sign() < 0 {
		u = new(big.Int).Add(u, new(big.Int).Lsh(big.NewInt(1), uint(8*n)))
	}
	return u.FillBytes(make([]byte, n))
}
