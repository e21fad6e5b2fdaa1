package processors

import (
	"fmt"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// narrator is a watched detection whose effects are kept as texts.
type narrator struct {
	*Watched
	lines []string
}

func (x *narrator) Step(s State, e *Event, r *Result) error {
	err := x.Watched.Step(s, e, r)
	x.tell(e.Time)
	return err
}

func (x *narrator) Fire(s State, row *Row, at int64, r *Result) error {
	err := x.Watched.Fire(s, row, at, r)
	x.tell(at)
	return err
}

func (x *narrator) tell(at int64) {
	for _, e := range x.Effects() {
		line := fmt.Sprint(at, " ")
		if e.Run > 0 {
			line += fmt.Sprint(e.Run, " ")
		}
		line += string(e.Kind)
		if e.Branch > 0 {
			line += fmt.Sprint(" from ", e.Branch)
		}
		for _, s := range []string{e.Stage, e.Cause, e.Stream} {
			if s != "" {
				line += " " + s
			}
		}
		for _, l := range e.Lacks {
			switch {
			case l.Input != "":
				line += ", no " + l.Stage
			case l.TooLate:
				line += ", too late for " + l.Stage
			}
			for _, u := range l.Unmet {
				line += ", not " + u.Text
			}
		}
		x.lines = append(x.lines, line)
	}
}

// newNarrator plays a detection that is watched.
func newNarrator(t testing.TB, body string) (*acting, *narrator) {
	t.Helper()
	x := newActing(t, body)
	w := &narrator{Watched: must(NewWatched(x.rule))}
	x.op, x.task = w, NewTask(w, x.sources())
	return x, w
}

func detection(pattern, define, rest string) string {
	return fmt.Sprintf("    detect:\n      pattern: '%s'\n      define: {%s}\n      within: 10ms\n%s    select: {user_id: key, n: 1}\n    to: acc.full\n", pattern, define, rest)
}

func TestWatched(t *testing.T) {
	const login, mfa, change, payment = 0, 1, 2, 3
	for _, tt := range []struct {
		name, body string
		acts       []act
		want       string
	}{
		{"strict", detection("login , change", "", ""), []act{{login, "u", 1, true}, {payment, "u", 2, 1.0}}, `
1 1 captured login
2 1 killed strict, no change
2 refused, no login`},
		{"a match, and no run", detection("login -> change", "login: login.new_device", ""), []act{{login, "u", 1, true}, {change, "u", 2, "x"}, {login, "u", 3, false}}, `
1 1 captured login
2 1 captured change
2 1 matched acc.full
2 refused, no login
3 refused, not login.new_device`},
		{"negated", detection("login -> !mfa -> change", "", ""), []act{{login, "u", 1, true}, {mfa, "u", 2, nil}}, `
1 1 captured login
2 1 killed mfa negated, no change
2 refused, no login`},
		{"absence", detection("login -> !mfa", "", ""), []act{{login, "u", 1, true}, {payment, "u", 2, 1.0}}, `
1 1 captured login
2 1 ignored
2 refused, no login
11 1 matched acc.full`},
		{"gap", detection("login -> payment", "payment: {within: 3ms}", ""), []act{{login, "u", 1, true}}, `
1 1 captured login
4 1 expired gap`},
		{"within", detection("login -> payment", "payment: payment.amount > 1", ""), []act{{login, "u", 1, true}, {payment, "u", 2, 0.5}}, `
1 1 captured login
2 1 ignored, not payment.amount > 1
2 refused, no login
11 1 expired within`},
		{"skip", detection("login -> payment", "", ""), []act{{login, "u", 1, true}, {login, "u", 2, true}, {payment, "u", 3, 1.0}}, `
1 1 captured login
2 1 ignored, no payment
2 2 captured login
3 1 captured payment
3 1 matched acc.full
3 2 captured payment
3 2 skipped
3 refused, no login`},
		{"skipped before it is a match", detection("login -> payment{2}", "payment: payment.amount > count(payment)", ""), []act{
			{login, "u", 1, true}, {payment, "u", 2, 1.0}, {login, "u", 3, true}, {payment, "u", 4, 1.5},
		}, `
1 1 captured login
2 1 captured payment
2 refused, no login
3 1 ignored, no payment
3 2 captured login
4 1 captured payment
4 1 matched acc.full
4 2 captured payment
4 2 skipped
4 refused, no login`},
		{"held back", detection("a -> b", "a: {on: payment}, b: {on: payment, where: b.amount == a.amount}", ""), []act{
			{payment, "u", 1, 5.0}, {payment, "u", 2, 7.0}, {payment, "u", 3, 7.0},
		}, `
1 1 captured a
2 1 ignored, not b.amount == a.amount
2 2 captured a
3 1 ignored, not b.amount == a.amount
3 2 captured b
3 2 held
3 3 captured a
11 1 expired within
11 2 matched acc.full
11 3 skipped`},
		{"branches", detection("login ->> payment", "", "      skip: none\n"), []act{{login, "u", 1, true}, {payment, "u", 2, 1.0}, {payment, "u", 3, 1.0}}, `
1 1 captured login
2 2 captured from 1 payment
2 2 matched acc.full
2 refused, no login
3 3 captured from 1 payment
3 3 matched acc.full
3 refused, no login
11 1 expired within`},
		{"too many", detection("login -> payment", "", "      max_partial: 1\n"), []act{{login, "u", 1, true}, {login, "u", 2, true}}, `
1 1 captured login
2 1 dropped
2 2 captured login
12 2 expired within`},
		{"until", detection("login -> payment+ , change", "payment: {until: payment.amount > 3}", "      skip: none\n"), []act{
			{login, "u", 1, true}, {payment, "u", 2, 1.0}, {payment, "u", 3, 4.0},
		}, `
1 1 captured login
2 1 captured payment
2 refused, no login
3 1 killed payment until, no change
3 refused, no login`},
		{"too late for a stage after another", detection("login -> (change | payment)", "payment: {within: 3ms}", ""), []act{{login, "u", 1, true}, {payment, "u", 5, 1.0}}, `
1 1 captured login
5 1 killed payment gap, no change, too late for payment
5 refused, no login`},
		{"greedy", detection("login -> a++ -> b", "a: {on: payment, where: a.amount > 1}, b: {on: payment, where: b.amount < 3}", ""), []act{
			{login, "u", 1, true}, {payment, "u", 2, 2.0}, {payment, "u", 3, 2.0}, {payment, "u", 4, 1.0},
		}, `
1 1 captured login
2 1 captured a
2 refused, no login
3 1 captured a
3 refused, no login
4 1 captured b
4 1 matched acc.full
4 refused, no login`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			x, w := newNarrator(t, tt.body)
			for _, a := range tt.acts {
				x.until(a.at)
				x.act(a)
			}
			x.until(30)
			if d := gocmp.Diff(strings.TrimSpace(tt.want), strings.Join(w.lines, "\n")); d != "" {
				t.Error(d + strings.Join(w.lines, "\n"))
			}
		})
	}
}

// TestWatchingChangesNothing: what comes out is the same, and every run that begins is told to end.
func TestWatchingChangesNothing(t *testing.T) {
	bodies := []string{
		spending,
		detection("login , (change | mfa)+[->>] -> !payment", "", "      skip: next\n"),
		detection("start{1,3}+ -> (change & mfa)? -> payment", `start: {on: login, until: "count(start) > 1 && start.new_device"}, payment: payment.amount >= count(start)`, "      max_partial: 3\n"),
		detection("login -> payment+ -> change", "", "      max_matches: 2\n"),
	}
	rapid.Check(t, func(rt *rapid.T) {
		body := rapid.SampledFrom(bodies).Draw(rt, "rule")
		plain := newActing(t, body)
		watched, w := newNarrator(t, body)
		at := int64(0)
		for range rapid.IntRange(1, 25).Draw(rt, "records") {
			at += int64(rapid.IntRange(0, 3).Draw(rt, "later"))
			a := act{rapid.IntRange(0, 3).Draw(rt, "input"), "u", at, nil}
			switch a.input {
			case 0:
				a.field = rapid.IntRange(0, 2).Draw(rt, "new") > 0
			case 2:
				a.field = rapid.SampledFrom([]string{"email", "phone"}).Draw(rt, "attribute")
			case 3:
				a.field = float64(rapid.IntRange(1, 4).Draw(rt, "amount"))
			}
			for _, x := range []*acting{plain, watched} {
				x.until(a.at)
				x.act(a)
			}
		}
		plain.until(at + 200)
		watched.until(at + 200)
		if d := gocmp.Diff(allOf(plain), allOf(watched)); d != "" {
			rt.Fatal(d)
		}
		open := map[string]bool{}
		for _, line := range w.lines {
			part := strings.Fields(line)
			switch {
			case part[1] == string(Refused):
			case EffectKind(part[2]).Ends():
				delete(open, part[1])
			case part[2] == string(Captured):
				open[part[1]] = true
			}
		}
		if len(open) > 0 || len(w.Open()) > 0 {
			rt.Fatalf("runs %v have begun and not ended:\n%s", open, strings.Join(w.lines, "\n"))
		}
	})
}
