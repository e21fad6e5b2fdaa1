package processors

import (
	"math"
	"strings"

	"github.com/millrace-io/millrace/rules"
)

// sum is the accumulator of one aggregate call. Every function is exact and, but for first and last, independent
// of the order of its inputs.
type sum struct {
	count    int64     // values folded in
	integer  int64     // sum of integers
	partials []float64 // sum of doubles: non-overlapping partial sums, smallest first (Shewchuk 1997, as Python's fsum)
	held     any       // min, max, first, last
}

func (s sum) clone() sum {
	if len(s.partials) > 0 {
		s.partials = append(make([]float64, 0, len(s.partials)+1), s.partials...)
	}
	return s
}

// add folds v, which is not null, in. It returns an error code or "".
func (s *sum) add(f rules.AggFunc, v any) string {
	switch f {
	case rules.Count:
	case rules.Sum, rules.Avg:
		switch v := v.(type) {
		case int64:
			t := s.integer + v
			if (t > s.integer) != (v > 0) && v != 0 {
				return "overflow"
			}
			s.integer = t
		case float64:
			if math.IsNaN(v) || math.IsInf(v, 0) {
				return "not_finite"
			}
			if s.addFloat(v); math.IsInf(s.float(), 0) {
				return "overflow"
			}
		default:
			return "not_a_number"
		}
	case rules.Min, rules.Max:
		if x, ok := v.(float64); ok && math.IsNaN(x) {
			return "not_finite"
		}
		if c := compare(v, s.held); s.count == 0 || f == rules.Min && c < 0 || f == rules.Max && c > 0 {
			s.held = keep(v)
		}
	case rules.First:
		if s.count == 0 {
			s.held = keep(v)
		}
	case rules.Last:
		s.held = keep(v)
	default:
		return "unknown_function"
	}
	s.count++
	return ""
}

// addFloat adds x exactly.
func (s *sum) addFloat(x float64) {
	i := 0
	for _, y := range s.partials {
		if math.Abs(x) < math.Abs(y) {
			x, y = y, x
		}
		hi := x + y
		if lo := y - (hi - x); lo != 0 {
			s.partials[i] = lo
			i++
		}
		x = hi
	}
	s.partials = append(s.partials[:i], x)
}

// float rounds the exact sum of doubles once, half to even.
func (s *sum) float() float64 {
	n := len(s.partials)
	if n == 0 {
		return 0
	}
	hi, lo := s.partials[n-1], 0.0
	for n--; n > 0; {
		n--
		x, y := hi, s.partials[n]
		hi = x + y
		if lo = y - (hi - x); lo != 0 {
			break
		}
	}
	// Half to even across more than two partials: the remainder decides which way a tie goes.
	if n > 0 && (lo < 0 && s.partials[n-1] < 0 || lo > 0 && s.partials[n-1] > 0) {
		if y, x := lo*2, hi+lo*2; y == x-hi {
			hi = x
		}
	}
	return hi
}

// result is the aggregate's so far, nil for none.
func (s *sum) result(a *rules.Aggregate) any {
	switch a.Func {
	case rules.Count:
		return s.count
	case rules.Sum:
		switch {
		case s.count == 0:
			return nil
		case len(s.partials) > 0:
			return s.float()
		}
		return s.integer
	case rules.Avg:
		switch {
		case s.count == 0:
			return nil
		case len(s.partials) > 0:
			return s.float() / float64(s.count)
		}
		return float64(s.integer) / float64(s.count)
	case rules.Min, rules.Max, rules.First, rules.Last:
		return s.held
	}
	return nil
}

// keep detaches a value from the record that it came from.
func keep(v any) any {
	switch v := v.(type) {
	case string:
		return strings.Clone(v)
	case []byte:
		return append([]byte(nil), v...)
	case []any:
		out := make([]any, len(v))
		for i, x := range v {
			out[i] = keep(x)
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, x := range v {
			out[strings.Clone(k)] = keep(x)
		}
		return out
	}
	return v
}

// compare orders two values of one comparable type; others are equal.
func compare(a, b any) int {
	switch a := a.(type) {
	case int64:
		if b, ok := b.(int64); ok {
			return sign(a < b, a > b)
		}
	case float64:
		if b, ok := b.(float64); ok {
			return sign(a < b, a > b)
		}
	case string:
		if b, ok := b.(string); ok {
			return strings.Compare(a, b)
		}
	case bool:
		if b, ok := b.(bool); ok {
			return sign(!a && b, a && !b)
		}
	}
	return 0
}

func sign(less, more bool) int {
	switch {
	case less:
		return -1
	case more:
		return 1
	}
	return 0
}
