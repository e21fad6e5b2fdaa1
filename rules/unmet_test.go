package rules_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestUnmet: which parts of a condition do not hold, as they are written, and what they read.
func TestUnmet(t *testing.T) {
	for _, tt := range []struct {
		condition string
		want      []string
	}{
		{`t.n == 7 && t.b`, nil},
		{`t.n == 8`, []string{"t.n == 8: t.n is 7"}},
		{`t.b && t.n > 2 * t.x * 3 && t.s == "x"`, []string{"t.n > 2 * t.x * 3: t.n is 7, t.x is 2.5", `t.s == "x": t.s is Hello`}},
		{`(t.n + 1) * 2 < (t.n - 1)`, []string{"(t.n + 1) * 2 < (t.n - 1): t.n is 7"}},
		{`(t.n == 1 || t.s in ["a", "b"]) && t.b`, []string{`t.n == 1 || t.s in ["a", "b"]: t.n is 7, t.s is Hello`}},
		{`t.m == 3`, []string{"t.m == 3: t.m is <nil>"}},
		{`!(t.b)`, []string{"!(t.b): t.b is true"}},
		{`(t.m ?? 3) == 4`, []string{"(t.m ?? 3) == 4: t.m ?? 3 is 3"}},
		{`lower(t.s) == "x" && t.s startsWith "x"`, []string{`lower(t.s) == "x": lower(t.s) is hello`, `t.s startsWith "x": t.s is Hello`}},
		{`t.at < now()`, []string{"t.at < now(): t.at is 2011-12-09 10:26:00 +0000 UTC, now() is 1970-01-01 00:00:01 +0000 UTC"}},
		{`t.home != nil && t.home.city == "Ulm"`, []string{"t.home != nil: t.home is <nil>", `t.home.city == "Ulm": t.home.city is <nil>`}},
		{`any(t.nums, # > 3)`, []string{"any(t.nums, # > 3): t.nums is [3 1 2]"}},
		{`t.nums[0] == 4 && t.attrs["k"] == "w"`, []string{"t.nums[0] == 4: t.nums[0] is 3", `t.attrs["k"] == "w": t.attrs["k"] is v`}},
		{`len(t.nums) > 3 and max(t.n, 2) == 1`, []string{"len(t.nums) > 3: len(t.nums) is 3", "max(t.n, 2) == 1: max(t.n, 2) is 7"}},
	} {
		x, env, err := condition(t, tt.condition)
		if err != nil {
			t.Errorf("%s: %v", tt.condition, err)
			continue
		}
		var got []string
		for _, u := range x.Unmet(env) {
			var operands []string
			for _, o := range u.Operands {
				operands = append(operands, fmt.Sprintf("%s is %v", o.Text, o.Value))
			}
			got = append(got, u.Text+": "+strings.Join(operands, ", "))
		}
		if d := cmp.Diff(tt.want, got); d != "" {
			t.Errorf("%s: %s", tt.condition, d)
		}
		if env.Err() != nil {
			t.Errorf("%s: %v", tt.condition, env.Err())
		}
	}
}
