package processors

import "math/big"

// variance is that of n > 0 values of the given exact sums of values and of squares, over n and rounded once; or its root.
func variance(n int64, sum, squares *expansion, root bool) float64 {
	if !sum.finite() || !squares.finite() {
		return squares.float() - squares.float() // not a number
	}
	// (n * squares - sum * sum) / (n * n), exact up to the division.
	count := new(big.Float).SetInt64(n)
	s := sum.big()
	part := new(big.Float).SetPrec(2*widest).Mul(s, s)
	whole := new(big.Float).SetPrec(2*widest).Mul(count, squares.big())
	whole.Sub(whole, part)
	if whole.Sign() <= 0 { // below zero only where squares were too small for a double
		return 0
	}
	z := new(big.Float).SetPrec(53)
	if root {
		z.SetPrec(128)
	}
	z.Quo(whole, count.SetPrec(128).Mul(count, count))
	if root {
		z.Sqrt(z)
	}
	x, _ := z.Float64()
	return x
}
