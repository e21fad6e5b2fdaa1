package processors

import (
	"math"
	"math/big"
	"testing"

	"pgregory.net/rapid"

	"github.com/millrace-io/millrace/rules"
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

func TestFloatSumIsExactInAnyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		xs := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) float64 {
			return math.Ldexp(rapid.Float64Range(-1, 1).Draw(t, "m"), rapid.IntRange(-300, 300).Draw(t, "e"))
		}), 1, 40).Draw(t, "xs")
		want := exact(xs)
		for _, order := range [][]float64{xs, rapid.Permutation(xs).Draw(t, "order")} {
			var s sum
			for _, x := range order {
				if code := s.add(rules.Sum, x); code != "" {
					t.Fatalf("add %v: %s", x, code)
				}
			}
			if got := s.result(&rules.Aggregate{Func: rules.Sum}); got != want {
				t.Fatalf("sum of %v is %v, want %v", order, got, want)
			}
		}
	})
}

func TestSum(t *testing.T) {
	tests := []struct {
		name string
		f    rules.AggFunc
		in   []any
		want any
		code string
	}{
		{"count of values", rules.Count, []any{int64(1), "x"}, int64(2), ""},
		{"integers", rules.Sum, []any{int64(2), int64(-5)}, int64(-3), ""},
		{"nothing", rules.Sum, nil, nil, ""},
		{"overflow", rules.Sum, []any{int64(math.MaxInt64), int64(1)}, int64(math.MaxInt64), "overflow"},
		{"underflow", rules.Sum, []any{int64(math.MinInt64), int64(-1)}, int64(math.MinInt64), "overflow"},
		{"tenths", rules.Sum, []any{0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1}, 1.0, ""},
		{"cancelling", rules.Sum, []any{1e100, 1.0, -1e100}, 1.0, ""},
		{"infinity", rules.Sum, []any{math.Inf(1)}, nil, "not_finite"},
		{"not a number", rules.Max, []any{math.NaN()}, nil, "not_finite"},
		{"average of integers", rules.Avg, []any{int64(1), int64(2)}, 1.5, ""},
		{"average", rules.Avg, []any{1.0, 2.0}, 1.5, ""},
		{"minimum", rules.Min, []any{"b", "a", "c"}, "a", ""},
		{"maximum", rules.Max, []any{int64(1), int64(3), int64(2)}, int64(3), ""},
		{"first", rules.First, []any{"b", "a"}, "b", ""},
		{"last", rules.Last, []any{"b", nil}, nil, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var s sum
			code := ""
			for _, v := range tt.in {
				if c := s.add(tt.f, v); c != "" {
					code = c
				}
			}
			if code != tt.code {
				t.Fatalf("code %q, want %q", code, tt.code)
			}
			if got := s.result(&rules.Aggregate{Func: tt.f}); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}
