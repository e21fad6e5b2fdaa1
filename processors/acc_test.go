package processors

import (
	"fmt"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/schemas"
)

// folded is the accumulator of the values, or the first error code.
func folded(agg *rules.Aggregate, values ...any) (column, acc, string) {
	_, integer := append(values, nil)[0].(int64)
	c := newColumn(agg, integer)
	var a acc
	code := ""
	for i, v := range values {
		var arg argument
		arg.unbox(v)
		if refused := c.refuse(&a, &arg); refused != "" {
			code = refused
			continue
		}
		c.add(&a, &arg, int64(i))
	}
	return c, a, code
}

func TestFunctions(t *testing.T) {
	big, small := 1e200, 1e-200
	tests := []struct {
		name string
		agg  rules.Aggregate
		in   []any
		want any
		code string
	}{
		{"count of values", rules.Aggregate{Func: rules.Count}, []any{int64(1), nil, "x"}, int64(2), ""},
		{"integers", rules.Aggregate{Func: rules.Sum}, []any{int64(2), int64(-5), nil}, int64(-3), ""},
		{"large integers", rules.Aggregate{Func: rules.Sum}, []any{int64(math.MaxInt64), int64(-1), int64(math.MinInt64 + 2)}, int64(0), ""},
		{"largest integer", rules.Aggregate{Func: rules.Sum}, []any{int64(math.MaxInt64 - 1), int64(1)}, int64(math.MaxInt64), ""},
		{"nothing", rules.Aggregate{Func: rules.Sum}, nil, nil, ""},
		{"overflow", rules.Aggregate{Func: rules.Sum}, []any{int64(math.MaxInt64), int64(1)}, int64(math.MaxInt64), "overflow"},
		{"underflow", rules.Aggregate{Func: rules.Sum}, []any{int64(math.MinInt64), int64(-1)}, int64(math.MinInt64), "overflow"},
		{"overflow of doubles", rules.Aggregate{Func: rules.Sum}, []any{math.MaxFloat64, math.MaxFloat64}, math.MaxFloat64, "overflow"},
		{"tenths", rules.Aggregate{Func: rules.Sum}, []any{0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1}, 1.0, ""},
		{"cancelling", rules.Aggregate{Func: rules.Sum}, []any{1e100, 1.0, -1e100}, 1.0, ""},
		{"infinity", rules.Aggregate{Func: rules.Sum}, []any{math.Inf(1)}, nil, "not_finite"},
		{"not a number", rules.Aggregate{Func: rules.Max}, []any{math.NaN()}, nil, "not_finite"},
		{"average of integers", rules.Aggregate{Func: rules.Avg}, []any{int64(1), int64(2)}, 1.5, ""},
		{"average", rules.Aggregate{Func: rules.Avg}, []any{1.0, 2.0}, 1.5, ""},
		{"minimum", rules.Aggregate{Func: rules.Min}, []any{"b", "a", "c"}, "a", ""},
		{"maximum", rules.Aggregate{Func: rules.Max}, []any{int64(1), int64(3), int64(2)}, int64(3), ""},
		{"infinite maximum", rules.Aggregate{Func: rules.Max}, []any{1.0, math.Inf(1)}, math.Inf(1), ""},
		{"first", rules.Aggregate{Func: rules.First}, []any{"b", "a"}, "b", ""},
		{"last", rules.Aggregate{Func: rules.Last}, []any{"b", nil}, nil, ""},
		{"none last", rules.Aggregate{Func: rules.Last}, nil, nil, ""},
		{"distinct", rules.Aggregate{Func: rules.Distinct}, []any{0.0, math.Copysign(0, -1), 1.0, nil}, int64(2), ""},
		{"none distinct", rules.Aggregate{Func: rules.Distinct}, nil, int64(0), ""},
		{"variance", rules.Aggregate{Func: rules.Variance}, []any{1.0, 2.0, 4.0, nil}, 14.0 / 9, ""},
		{"variance of one", rules.Aggregate{Func: rules.Variance}, []any{0.1}, 0.0, ""},
		{"variance far from zero", rules.Aggregate{Func: rules.Variance}, []any{1e15, 1e15 + 1, 1e15 + 2}, 2.0 / 3, ""},
		{"variance of integers", rules.Aggregate{Func: rules.Variance}, []any{int64(-1), int64(1)}, 1.0, ""},
		{"no variance", rules.Aggregate{Func: rules.Variance}, []any{nil}, nil, ""},
		{"variance overflow", rules.Aggregate{Func: rules.Variance}, []any{big}, nil, "overflow"},
		{"variance underflow", rules.Aggregate{Func: rules.Variance}, []any{small, small}, 0.0, ""},
		{"deviation", rules.Aggregate{Func: rules.StdDev}, []any{2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0}, 2.0, ""},
		{"median", rules.Aggregate{Func: rules.Quantile, Q: 0.5}, []any{3.0, 0.0, -1.0}, 0.0, ""},
		{"quantile of one", rules.Aggregate{Func: rules.Quantile, Q: 0.5}, []any{12.5}, 12.5, ""},
		{"smallest", rules.Aggregate{Func: rules.Quantile, Q: 0}, []any{3.0, -1.5}, -1.5, ""},
		{"largest", rules.Aggregate{Func: rules.Quantile, Q: 1}, []any{int64(3), int64(7)}, 7.0, ""},
		{"no quantile", rules.Aggregate{Func: rules.Quantile, Q: 0.5}, nil, nil, ""},
		{"infinite quantile", rules.Aggregate{Func: rules.Quantile, Q: 0.5}, []any{math.Inf(-1)}, nil, "not_finite"},
		{"most frequent", rules.Aggregate{Func: rules.TopK, N: 2}, []any{"c", "b", "a", "c", nil}, []any{"c", "a"}, ""},
		{"none frequent", rules.Aggregate{Func: rules.TopK, N: 2}, nil, []any{}, ""},
		{"list", rules.Aggregate{Func: rules.List, N: 2}, []any{"b", nil, "a", "c"}, []any{"b", "a"}, ""},
		{"empty list", rules.Aggregate{Func: rules.List, N: 2}, []any{nil}, []any{}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, a, code := folded(&tt.agg, tt.in...)
			if code != tt.code {
				t.Fatalf("code %q, want %q", code, tt.code)
			}
			got, code := c.result(&a, &tt.agg)
			if d := cmp.Diff(tt.want, got); d != "" || code != "" {
				t.Errorf("%s%s", code, d)
			}
		})
	}
}

// TestQuantileIsWithinOnePercent, whatever the sign and size of the values.
func TestQuantileIsWithinOnePercent(t *testing.T) {
	for _, scale := range []float64{1, -1, 1e-9, -3e7} {
		var values []any
		for i := range 1000 {
			values = append(values, scale*(1+float64(i)))
		}
		for _, q := range []float64{0.01, 0.25, 0.5, 0.95, 0.999} {
			c, a, _ := folded(&rules.Aggregate{Func: rules.Quantile}, values...)
			got, _ := c.result(&a, &rules.Aggregate{Func: rules.Quantile, Q: q})
			rank := math.Ceil(q * 1000)
			if scale < 0 {
				rank = 1001 - rank
			}
			if want := scale * rank; math.Abs(got.(float64)/want-1) > 0.01 {
				t.Errorf("quantile %v of %v to %v is %v, want %v", q, scale, 1000*scale, got, want)
			}
		}
	}
}

func TestDistinctEstimate(t *testing.T) {
	for _, n := range []int{256, 257, 1000, 20_000, 300_000} {
		var values []any
		for i := range n {
			values = append(values, fmt.Sprint("user-", i), fmt.Sprint("user-", i/2))
		}
		agg := &rules.Aggregate{Func: rules.Distinct}
		c, a, _ := folded(agg, values...)
		got, _ := c.result(&a, agg)
		if miss := math.Abs(float64(got.(int64))/float64(n) - 1); miss > 0.025 || n <= 256 && miss > 0 {
			t.Errorf("%d of %d", got, n)
		}
	}
}

func TestTopKPastItsLimitKeepsTheFrequent(t *testing.T) {
	var values []any
	for i := range int64(5000) {
		values = append(values, i)
		if i%10 == 0 {
			values = append(values, int64(-1), int64(-2))
		}
		if i%20 == 0 {
			values = append(values, int64(-1))
		}
	}
	agg := &rules.Aggregate{Func: rules.TopK, N: 2}
	c, a, _ := folded(agg, values...)
	got, _ := c.result(&a, agg)
	if d := cmp.Diff([]any{int64(-1), int64(-2)}, got); d != "" {
		t.Error(d)
	}
	if n := len(a.held.(*frequent).values); n != frequentMost {
		t.Errorf("%d values are kept", n)
	}
}

func TestMergedTopKKeepsTheFrequent(t *testing.T) {
	var a, b frequent
	add := func(f *frequent, v int64, n int) {
		for range n {
			f.add(&argument{kind: schemas.Int, i: v}, 0)
		}
	}
	for i := range int64(900) {
		add(&a, i, 2)
		add(&b, 600+i, 1+int(i%2))
	}
	a.merge(&b)
	if len(a.values) != frequentMost || !a.lossy {
		t.Fatalf("%d values, lossy %v", len(a.values), a.lossy)
	}
	for i, x := range a.values { // 0 to 899 from a, with more where both have it; of b's own the smallest of those that came twice
		want := counted{int64(i), 2}
		switch {
		case i >= 900:
			want = counted{int64(900 + 2*(i-900) + 1), 2}
		case i >= 600:
			want.n += 1 + int64(i%2)
		}
		if x != want {
			t.Fatalf("value %d is %v, want %v", i, x, want)
		}
	}
}
