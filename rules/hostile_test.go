package rules_test

import (
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/schemas"
)

// TestHostileExpressions: what would take a worker down, or let one domain
// reach into another, is refused by the check or stopped by a budget, at once
// and with little memory.
func TestHostileExpressions(t *testing.T) {
	parens := strings.Repeat("(", 9000) + "true" + strings.Repeat(")", 9000)
	for _, c := range []struct{ name, expr, code string }{
		{"doubling by reduce", `reduce(0..22, #acc + #acc, "abcdefgh") == ""`, "E402"},
		{"replace chain by reduce", `reduce(0..5, replace(#acc,"a","aaaaaaaaaaaaaaaa"), "a") == ""`, "E402"},
		{"replace chain", nest(`replace(`, `"a"`, `, "a", "aaaaaaaaaaaaaaaa")`, 8) + ` == ""`, "E702"},
		{"replace chain over data", nest(`replace(`, `t.s + "a"`, `, "a", "aaaaaaaaaaaaaaaa")`, 8) + ` == ""`, "E702"},
		{"concat chain over data", nest(`map([1, 2, 3, 4, 5, 6, 7, 8], `, `t.tags`, `)`, 2) + ` == nil`, ""},
		{"json of a graph", `toJSON(reduce(0..18, [#acc,#acc], 1)) == ""`, "E404"},
		{"json", `toJSON(t.tags) == ""`, "E404"},
		{"three nested predicates", `count(t.big, any(t.big, any(t.big, # == -1))) == 0`, "E607"},
		{"two nested predicates over 1,000 elements", `count(t.big, any(t.big, # == -1)) == 0`, "E701"},
		{"two nested predicates over a range", `count(1..1000, any(1..1000, # == -1)) == 0`, "E701"},
		{"predicates side by side", `len(filter(t.big, # > 0)) + len(filter(t.big, # > 1)) > 0`, ""},
		{"lists of lists", `map(1..20000, t.big) == nil`, "E702"},
		{"texts in a list", `len(map(1..20000, t.long)) == 0`, "E702"},
		{"text doubled", nest(`concat(`, `t.long, t.long`, `, t.long)`, 20) + ` == ""`, "E702"},
		{"join", `join(map(1..1000, repeat("a", 1000)), "") == ""`, "E702"},
		{"join over data", `join(map(t.big, repeat(t.s, 1000)), "") == ""`, "E702"},
		{"pattern from data", `t.s matches t.s`, "E402"},
		{"long pattern", `t.s matches "` + strings.Repeat("a", 24_000) + `"`, "E604"},
		{"pattern over 256 bytes", `t.s matches "` + strings.Repeat("a", 257) + `"`, "E608"},
		{"nested repetition in a pattern", `t.s matches "((a{1,100}){1,100}){1,100}"`, "E511"},
		{"wide repetition in a pattern", `t.s matches "(a{1,20}){1,20}"`, ""},
		{"repetition that is large", `t.s matches "(a{1,31}){1,31}"`, "E608"},
		{"pattern per element", `count(t.big, t.long matches "(a|b)*c") == 0`, "E701"},
		{"wall clock", `t.at > now()`, ""},
		{"repeat", `repeat("a", 1e9) == ""`, "E501"},
		{"repeat of data", `repeat(t.s, 1000000000) == ""`, "E706"},
		{"range", `len(1..1000000000) == 0`, "E511"},
		{"range to the end", `len(0..9223372036854775807) == 0`, "E511"},
		{"range over data", `len(t.n..t.n + 99999) == 0`, "E702"},
		{"padding", `pad_start(t.s, 100000000, "x") == ""`, "E702"},
		{"split to characters", `len(split(repeat(t.s, 100000), "")) == 0`, "E702"},
		{"9,000 parentheses", parens, "E604"},
		{"4,000 parentheses", parens[5000:14000], "E606"},
		{"20,000 nodes", `1` + strings.Repeat("+1", 4000) + ` == 0`, "E605"},
		{"100,000 characters", `t.s == "` + strings.Repeat("x", 100_000) + `"`, "E604"},
		{"minus signs", strings.Repeat("-", 5000) + `1 == 0`, "E605"},
		{"powers", `2` + strings.Repeat("**2", 1500) + ` == 0`, "E605"},
		{"choices", strings.Repeat("t.b ? true : ", 400) + `true`, "E605"},
		{"non-ASCII name", `ｔ.n == 1`, "E401"},
		{"shadowed accumulator", `any([1], #acc == 1)`, "E402"},
		{"method", `t.s.String() == ""`, "E402"},
		{"unexported field", `t.p == 1`, "E412"},
		{"environment", `env("HOME") == ""`, "E404"},
		{"interpolation", "`${HOME}` == t.s", ""},
		{"prototype", `t.__proto__ == nil`, "E412"},
		{"environment object", `$env == nil`, "E401"},
		{"variable", `let x = 1; x == 1`, "E402"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			start := time.Now()
			code := hostileCode(t, c.expr)
			took := time.Since(start)
			runtime.ReadMemStats(&after)
			if code != c.code {
				t.Errorf("code %q, want %q", code, c.code)
			}
			if took > 2*time.Second { // milliseconds; the race detector takes its time
				t.Errorf("took %v", took)
			}
			if mem := after.TotalAlloc - before.TotalAlloc; mem > 64<<20 {
				t.Errorf("allocated %d MiB", mem>>20)
			}
		})
	}
}

func nest(open, core, end string, n int) string {
	return strings.Repeat(open, n) + core + strings.Repeat(end, n)
}

// hostileCode checks and, if it passes, evaluates, and returns the error's
// code, "" for none.
func hostileCode(t *testing.T, expr string) string {
	t.Helper()
	set, err := loadWith(t, hostileSchema, "    where: |\n      "+expr+"\n    select: {k: t.id}\n")
	if err != nil {
		var list rules.ErrorList
		if !errors.As(err, &list) || len(list) == 0 {
			t.Fatalf("no ErrorList: %v", err)
		}
		return list[0].Code
	}
	big, nums := strings.Repeat("1,", 999)+"1", strings.Repeat("ab", 5000)
	rec := decodeThing(t, set, `{"id":"a","n":7,"s":"Hello","long":"`+nums+`","b":true,"at":"2011-12-09T10:26:00.000Z","tags":["x","y"],"big":[`+big+`]}`)
	env := &rules.Env{Records: []schemas.Record{rec}}
	env.Reset()
	set.Rules[0].Where.Bool(env)
	if e, ok := errors.AsType[*rules.EvalError](env.Err()); ok {
		if e.Pos.Line == 0 {
			t.Error("no position")
		}
		return e.Code
	}
	return ""
}

const hostileSchema = `{"type":"record","name":"Thing","namespace":"t","fields":[
 {"name":"id","type":"string"},{"name":"n","type":"long"},{"name":"s","type":"string"},{"name":"long","type":"string"},
 {"name":"b","type":"boolean"},{"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}},
 {"name":"tags","type":{"type":"array","items":"string"}},{"name":"big","type":{"type":"array","items":"long"}}]}`

// TestBudgetsAreShared: all expressions of one rule and record spend one
// budget, and Reset restores it.
func TestBudgetsAreShared(t *testing.T) {
	x, env, err := condition(t, `len(repeat(t.s, 50000)) > 0`)
	if err != nil {
		t.Fatal(err)
	}
	oks := 0
	for range 10 {
		if x.Bool(env) {
			oks++
		}
	}
	if oks != 4 || env.Err() == nil {
		t.Errorf("%d evaluations of 250 kB each in a budget of 1 MiB, error %v", oks, env.Err())
	}
	env.Reset()
	if !x.Bool(env) {
		t.Errorf("after Reset: %v", env.Err())
	}
}
