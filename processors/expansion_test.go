package processors

import (
	"math"
	"math/big"
	"testing"

	"pgregory.net/rapid"
)

// exact is the correctly rounded sum, by arithmetic that cannot lose anything.
func exact(xs []float64) float64 {
	total := new(big.Float).SetPrec(4096)
	for _, x := range xs {
		total.Add(total, new(big.Float).SetPrec(4096).SetFloat64(x))
	}
	f, _ := total.Float64()
	return f
}

var doubles = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) float64 {
	return math.Ldexp(rapid.Float64Range(-1, 1).Draw(t, "m"), rapid.IntRange(-300, 300).Draw(t, "e"))
}), 1, 40)

func TestFloatSumIsExactInAnyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		xs := doubles.Draw(t, "xs")
		want := exact(xs)
		for _, order := range [][]float64{xs, rapid.Permutation(xs).Draw(t, "order")} {
			var e, half expansion
			for i, x := range order {
				if e.add(x); i%2 == 0 {
					half.add(x)
				}
			}
			if got := e.float(); got != want {
				t.Fatalf("sum of %v is %v, want %v", order, got, want)
			}
			whole := e.clone()
			e.merge(&half, -1)
			e.merge(&half, 1)
			if got := e.float(); got != want || whole.float() != want {
				t.Fatalf("%v taken away and added again gives %v, want %v", half, got, want)
			}
		}
	})
}

func TestIntegerSumIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var e expansion
		want := new(big.Int)
		for _, v := range rapid.SliceOf(rapid.Int64()).Draw(t, "values") {
			e.addInt(v)
			want.Add(want, big.NewInt(v))
		}
		got, ok := e.integer()
		if ok != want.IsInt64() || ok && got != want.Int64() {
			t.Fatalf("got %v, %v, want %v", got, ok, want)
		}
	})
}
