package processors

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/schemas"
)

// tasks are the rules of these tests, over as many streams of clicks as a rule names inputs.
func taskRule(t testing.TB, inputs []string, body string) *rules.Rule {
	t.Helper()
	streams, from, by := "domain: case\nstreams:\n  out: {topic: case.out, schema: case.Out, key: user, tombstones: ignore}\n", "", ""
	for _, in := range inputs {
		streams += fmt.Sprintf("  %s: {topic: case.%s, schema: case.Click, key: user, time: at, out_of_order: 10ms}\n", in, in)
		from += fmt.Sprintf("%s: case.%s, ", in, in)
		by += fmt.Sprintf("%s: %s.user, ", in, in)
	}
	rule, err := load(map[string]string{
		"case/Click.avsc": clickSchemas,
		"case/Out.avsc":   `{"type":"record","name":"Out","namespace":"case","fields":[{"name":"user","type":"string"},{"name":"n","type":"long","default":0}]}`,
	}, streams, fmt.Sprintf("domain: case\nrules:\n  - name: r\n    from: {%s}\n    by: {%s}\n    select: {user: key, n: count()}\n    to: case.out\n%s", strings.TrimSuffix(from, ", "), strings.TrimSuffix(by, ", "), body))
	if err != nil {
		t.Fatal(err)
	}
	return rule
}

const (
	eachRecord = "    unbounded: true\n    emit: each\n"
	anyOrder   = "    unbounded: true\n    emit: each\n    order: arrival\n"
)

// script drives a task by lines of text, and compares what it says with what the lines say:
//
//	time b 20            sets the time of input b
//	offer a 20.1 wait    offers the record 1 of a, at 20; with "again" it is read a second time
//	next 20.1 20.2       what Next gives then, in order
//	hold, free           Hold
//	out 20               OutputTime; also: clock, frontier, wanted, deadline, waiting
func script(t *testing.T, task *Task, inputs []string, lines string) {
	t.Helper()
	for n, line := range strings.Split(strings.TrimSpace(lines), "\n") {
		words := strings.Fields(line)
		want, got := strings.Join(words[1:], " "), ""
		switch words[0] {
		case "time":
			task.SetTime(slices.Index(inputs, strings.ToLower(words[1])), timeWord(t, words[2]))
			got = want
		case "hold", "free":
			task.Hold(words[0] == "hold")
		case "offer":
			p := positionOf(t, slices.Index(inputs, strings.ToLower(words[1])), words[2])
			v := task.Offer(&p, slices.Contains(words, "again"), words[2])
			got = strings.Join(append(words[1:len(words)-1:len(words)-1], [...]string{Run: "run", Wait: "wait", Skip: "skip"}[v]), " ")
		case "next":
			var all []string
			for due := (Due{}); task.Next(&due); {
				all = append(all, due.Record.Ref.(string))
			}
			got = strings.Join(all, " ")
		default:
			got = timeText(map[string]func() int64{
				"out": task.OutputTime, "clock": task.Clock, "frontier": task.Frontier, "wanted": task.Wanted, "deadline": task.Deadline,
				"waiting": func() int64 { return int64(task.Waiting()) },
			}[words[0]]())
		}
		if got != want {
			t.Errorf("line %d: %s: got %q", n+1, strings.TrimSpace(line), got)
		}
	}
}

func positionOf(t *testing.T, input int, name string) Position {
	t.Helper()
	p := Position{Input: input}
	if _, err := fmt.Sscanf(name, "%d.%d", &p.Time, &p.Offset); err != nil {
		t.Fatal(name, err)
	}
	return p
}

var timeWords = map[string]int64{"unknown": Unknown, "ended": Ended}

func timeWord(t *testing.T, s string) int64 {
	t.Helper()
	if at, ok := timeWords[s]; ok {
		return at
	}
	var at int64
	digits, idle := strings.CutPrefix(s, "idle:")
	if _, err := fmt.Sscan(digits, &at); err != nil {
		t.Fatal(s, err)
	}
	if idle {
		return IdleAt(at)
	}
	return at
}

func timeText(at int64) string {
	for word, x := range timeWords {
		if x == at {
			return word
		}
	}
	if IsIdle(at) {
		return fmt.Sprintf("idle:%d", Level(at))
	}
	return fmt.Sprint(at)
}

// TestTask says which records run, wait and are passed over. In the names of inputs, a capital letter is a source, whose
// records of equal time come in their order; the others have several writers.
func TestTask(t *testing.T) {
	for name, c := range map[string]struct{ inputs, rule, script string }{
		"a source does not wait for ties": {"A", eachRecord, `
			time A 20
			offer A 20.1 run
			offer A 20.2 run
			next`},
		"disorder waits for time": {"A", eachRecord, `
			time A 10
			offer A 20.2 wait
			offer A 15.3 wait
			next
			time A 15
			next 15.3
			time A 30
			next 20.2`},
		"a derived stream waits for ties": {"a", eachRecord, `
			time a 20
			offer a 20.2 wait
			offer a 20.1 wait
			wanted 21
			next
			time a 21
			next 20.1 20.2
			wanted ended`},
		"ties between inputs": {"A B", eachRecord, `
			time A 20
			time B 20
			offer B 20.1 wait
			offer A 20.2 run
			time A 21
			next 20.1`},
		"an earlier input does not wait for a tie with a later one": {"A B", eachRecord, `
			time A 20
			time B 20
			offer A 20.1 run`},
		"a later input waits for a tie with an earlier one": {"a B", eachRecord, `
			time a 20
			time B 20
			offer B 20.1 wait
			offer a 20.9 wait
			time a 21
			next 20.9 20.1`},
		"three inputs": {"A b C", eachRecord, `
			time A 30
			time b 20
			time C 20
			offer C 20.1 wait
			offer A 20.2 run
			offer A 30.3 wait
			offer b 20.4 wait
			time b 21
			next 20.4 20.1
			clock 20
			time b 30
			time C 30
			next 30.3
			waiting 0`},
		"what sorts behind a waiting record waits, too": {"A B", eachRecord, `
			time A 30
			time B 10
			offer A 20.1 wait
			offer A 20.2 wait
			offer A 30.3 wait
			time B 20
			next 20.1 20.2
			waiting 1`},
		"an unknown time holds everything back": {"A B", eachRecord, `
			time A 20
			offer A 20.1 wait
			clock unknown
			out unknown
			time B idle:50
			clock 20
			next 20.1
			out 20`},
		"all idle": {"A B", eachRecord, `
			time A idle:30
			time B idle:20
			clock unknown
			out idle:20`},
		"an idle input holds back what lies beyond the moment at which it was empty": {"A B", eachRecord, `
			time A 20
			time B idle:15
			offer A 14.1 run
			offer A 15.2 run
			offer A 16.3 wait
			clock 15
			out 15
			time B idle:16
			next 16.3`},
		"an ended input is not waited for": {"A B", eachRecord, `
			time B ended
			time A 20
			offer A 20.1 run
			clock 20
			time A ended
			clock ended
			out ended`},
		"time does not go back": {"A", eachRecord, `
			time A 20
			time A 10
			clock 20
			offer A 15.1 wait
			time A 15
			next 15.1`},
		"a record out of order runs at once": {"A", eachRecord, `
			time A 20
			offer A 20.1 run
			offer A 15.2 run
			offer A 20.1 again skip
			offer A 15.2 again skip
			offer A 20.3 again run`},
		"without an order nothing waits": {"A B", anyOrder, `
			time A 20
			offer A 25.1 run
			offer A 15.2 run
			offer A 25.1 again skip
			waiting 0
			hold
			offer A 30.3 run`},
		"held back while records are read again": {"A", eachRecord, `
			time A 20
			offer A 20.1 run
			hold
			time A 50
			offer A 50.9 wait
			next
			offer A 20.1 again skip
			offer A 30.2 again wait
			free
			next 30.2 50.9`},
		"output time is held back by what waits": {"A B", eachRecord, `
			time A 40
			time B 10
			out 10
			offer A 20.1 wait
			offer A 30.2 wait
			time B 25
			out 20
			next 20.1
			out 25
			wanted 31
			frontier 25`},
		"nothing is promised while records are read again": {"A", eachRecord, `
			time A 20
			offer A 20.1 run
			out 20
			hold
			time A 50
			out unknown
			free
			out 50`},
		"without an order, the promise stands while others read again": {"A", anyOrder, `
			time A 20
			hold
			out 20`},
	} {
		t.Run(name, func(t *testing.T) {
			inputs := strings.Fields(strings.ToLower(c.inputs))
			op, err := New(taskRule(t, inputs, c.rule))
			if err != nil {
				t.Fatal(err)
			}
			var sources []bool
			for in := range strings.FieldsSeq(c.inputs) {
				sources = append(sources, in != strings.ToLower(in))
			}
			script(t, NewTask(op, sources), inputs, c.script)
		})
	}
}

// promised plays a rule and holds it to its promises: that no output is older than the output time at which an earlier one
// was written, or than the one that was announced when nothing was left to do.
type promised struct {
	*player
	least int64
	bad   []string
}

func (p *promised) due(input int, at int64) {
	p.task.SetTime(input, at)
	var due Due
	for p.task.Next(&due) {
		p.keeping(func() {
			if due.Row == nil {
				p.step(due.Record.Ref.(*offered), due.At)
			} else {
				p.fire(due.Row, due.At)
			}
		})
	}
	p.announce()
}

func (p *promised) record(e *Event) {
	p.keeping(func() { p.player.record(e) })
	p.announce()
}

func (p *promised) announce() {
	if at := p.task.OutputTime(); !IsIdle(at) {
		p.least = max(p.least, at)
	}
}

// keeping runs one step, of which each output carries the output time from before.
func (p *promised) keeping(step func()) {
	header, n := p.task.OutputTime(), len(p.played)
	step()
	for i, o := range p.played[n:] {
		if i > 0 && !IsIdle(header) {
			p.least = max(p.least, header)
		}
		if o.Time < p.least {
			p.bad = append(p.bad, fmt.Sprintf("output %d of the key %s has the time %d; %d was promised", n+i, o.Key, o.Time, p.least))
		}
	}
	if len(p.played) > n && !IsIdle(header) {
		p.least = max(p.least, header)
	}
}

// anyWindow are rules with results of several kinds.
var anyWindow = map[string]string{
	"tumbling":         "    window: {size: 20ms}\n",
	"tumbling, late":   "    window: {size: 20ms}\n    lateness: 15ms\n",
	"hopping":          "    window: {size: 40ms, hop: 10ms}\n",
	"hopping, late":    "    window: {size: 40ms, hop: 10ms}\n    lateness: 15ms\n",
	"changes":          "    window: {size: 40ms, hop: 10ms}\n    emit: changes\n",
	"every":            "    window: {size: 40ms, hop: 20ms}\n    emit: {every: 7ms}\n",
	"session":          "    window: {gap: 8ms}\n",
	"session, changes": "    window: {gap: 8ms}\n    emit: changes\n",
	"sliding":          "    window: {sliding: 15ms}\n    lateness: 5ms\n",
	"counting":         "    window: {count: 3}\n",
	"running":          eachRecord,
	"without an order": anyOrder,
}

// TestOutputTime: no result of records that are not late is older than what was promised before it, restarts or not.
func TestOutputTime(t *testing.T) {
	for name, body := range anyWindow {
		t.Run(name, func(t *testing.T) {
			inputs := []string{"a", "b"}
			rule := taskRule(t, inputs, body)
			code, err := newCodec(rule)
			if err != nil {
				t.Fatal(err)
			}
			rapid.Check(t, func(rt *rapid.T) {
				p := &promised{player: newPlayer(t, rule), least: Unknown}
				latest := make([]int64, len(inputs))
				for i := range rapid.IntRange(1, 60).Draw(rt, "n") {
					in := rapid.IntRange(0, 1).Draw(rt, "input")
					latest[in] += rapid.SampledFrom([]int64{0, 0, 1, 3, 10, 50}).Draw(rt, "pause")
					p.due(in, max(p.task.Time(in), latest[in]-10))
					at := max(0, latest[in]-rapid.Int64Range(0, 10).Draw(rt, "disorder"))
					user := rapid.SampledFrom([]string{"u", "v"}).Draw(rt, "user")
					e, err := code.event(in, []any{user, nil, "", at}, schemas.Context{EventID: fmt.Sprint(i), CorrelationID: "c", Entity: user, Confidence: 1})
					if err != nil {
						rt.Fatal(err)
					}
					p.record(e)
					if rapid.IntRange(0, 15).Draw(rt, "restart") == 0 {
						p.restart()
					}
				}
				p.due(0, Ended)
				p.due(1, Ended)
				if p.late+p.partly > 0 {
					rt.Fatalf("%d late, %d partly late", p.late, p.partly)
				}
				if len(p.bad) > 0 {
					rt.Fatal(strings.Join(p.bad, "\n"))
				}
			})
		})
	}
}

// one plays records of a rule with one input.
func one(t *testing.T, body string) (*player, func(user string, at int64) *Event) {
	t.Helper()
	rule := taskRule(t, []string{"a"}, body)
	code, err := newCodec(rule)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	return newPlayer(t, rule), func(user string, at int64) *Event {
		n++
		e, err := code.event(0, []any{user, nil, "", at}, schemas.Context{EventID: fmt.Sprint(n), CorrelationID: "c", Entity: user, Confidence: 1})
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
}

// TestLateRecordThatWaited: a record that comes late while others are read again has to wait, but does not get into a
// window whose results are out.
func TestLateRecordThatWaited(t *testing.T) {
	p, event := one(t, "    window: {size: 20ms}\n    emit: {every: 100ms}\n")
	p.due(0, 5)
	p.record(event("u", 5))
	p.due(0, 50)
	if len(p.played) != 1 {
		t.Fatalf("%d results", len(p.played))
	}
	p.task.Hold(true)
	p.record(event("u", 10))
	p.task.Hold(false)
	for due := (Due{}); p.task.Next(&due); {
		if due.Row != nil {
			t.Fatalf("something is due at %d", due.At)
		}
		p.step(due.Record.Ref.(*offered), due.At)
	}
	p.due(0, Ended)
	if p.late != 1 || len(p.played) != 1 {
		t.Errorf("%d late, %d results", p.late, len(p.played))
	}
}

// TestEndIsNoTime: the next run after the end of bounded input goes on from where that one came to, not from the end of time.
func TestEndIsNoTime(t *testing.T) {
	p, event := one(t, "    window: {size: 20ms}\n")
	p.due(0, 5)
	p.record(event("u", 5))
	p.due(0, Ended)
	p.task.SetTime(0, Unknown)
	p.restart()
	s := p.task.State()
	if s.Clock != 20 || s.Fired.At != 20 {
		t.Errorf("%+v", s)
	}
	p.due(0, 25)
	p.record(event("u", 25))
	p.due(0, Ended)
	if p.late != 0 || len(p.played) != 2 {
		t.Errorf("%d late, %d results", p.late, len(p.played))
	}
}

// TestCalendarKeepsOneEntryPerDeadline: a row that has something due soon now and then, and something else much later, is
// not registered for the latter again and again.
func TestCalendarKeepsOneEntryPerDeadline(t *testing.T) {
	p, event := one(t, "    window: {size: 1h}\n    emit: {every: 10ms}\n")
	for at := int64(0); at < 10_000; at += 10 {
		p.due(0, at)
		p.record(event("u", at))
	}
	n := 0
	for _, rows := range p.task.due.rows {
		n += len(rows)
	}
	if len(p.played) < 900 || n > 3 {
		t.Errorf("%d results, %d entries for one row", len(p.played), n)
	}
}

// TestLargeDeadline: a deadline of many rows is fired in parts. Between them the task can be handed on, and whoever gets it
// fires the rest, no row twice; records of its time come after all of it.
func TestLargeDeadline(t *testing.T) {
	const users = 2 * largeDeadline
	for _, cut := range []int{1, 100, lastPart} { // handed on behind so many parts
		t.Run(fmt.Sprint(cut), func(t *testing.T) {
			p, event := one(t, "    window: {size: 20ms}\n    emit: {every: 100ms}\n")
			p.due(0, 5)
			for i := range users {
				p.record(event(fmt.Sprintf("u%05d", i), 5))
			}
			p.record(event("x", 20))
			p.task.SetTime(0, 20)
			parts := 0
			for due := (Due{}); parts < cut && p.task.Next(&due); {
				p.fire(due.Row, due.At)
				if p.task.Divisible() {
					parts++
				}
			}
			if s := p.task.State(); parts != cut || s.Fired.At != 20 || s.Fired.Part != cut {
				t.Fatalf("%+v after %d parts", s, parts)
			}
			n := len(p.played)
			p.restart()
			if n == 0 || n > users || len(p.played) != users {
				t.Fatalf("%d results before, %d in all", n, len(p.played))
			}
			keys := map[string]bool{}
			for _, o := range p.played {
				keys[o.Key] = true
			}
			if s := p.task.State(); len(keys) != users || p.late != 0 || s.Fired.Part != lastPart || s.Position.Time != 20 {
				t.Errorf("%d keys, %d late, %+v", len(keys), p.late, s)
			}
		})
	}
}

// TestDeadlinesAndRecords: what is due comes in the order of time, deadlines before records of their time.
func TestDeadlinesAndRecords(t *testing.T) {
	p, event := one(t, "    window: {size: 20ms}\n    emit: {every: 100ms}\n")
	p.due(0, 5)
	for _, x := range []struct {
		user string
		at   int64
	}{{"u", 45}, {"v", 40}, {"u", 20}, {"u", 19}, {"v", 10}} {
		p.record(event(x.user, x.at))
	}
	p.task.SetTime(0, 60)
	var got []string
	for due := (Due{}); p.task.Next(&due); {
		if x, ok := due.Record.Ref.(*offered); ok && due.Row == nil {
			got = append(got, fmt.Sprintf("%s %d", x.Key, x.Time))
			p.step(x, due.At)
		} else {
			got = append(got, fmt.Sprintf("due %d", due.At))
			p.fire(due.Row, due.At)
		}
	}
	want := "v 10, u 19, due 20, due 20, u 20, due 40, v 40, u 45, due 60, due 60"
	if s := strings.Join(got, ", "); s != want || len(p.played) != 5 {
		t.Errorf("%s; want %s; %d results", s, want, len(p.played))
	}
}

// TestGoneRows: a row that is not in memory is given out at its deadline all the same; read again it is the same row, with
// whatever deadlines it has by then.
func TestGoneRows(t *testing.T) {
	p, event := one(t, "    window: {size: 20ms}\n")
	p.due(0, 5)
	p.record(event("u", 5))
	p.record(event("v", 7))
	gone := map[string]Cell{}
	for key, r := range p.rows {
		if !r.Registered() {
			t.Fatalf("%q has no deadline", key)
		}
		gone[key], r.Value, r.Gone = r.Value, nil, true
	}
	p.task.SetTime(0, 20)
	for due := (Due{}); p.task.Next(&due); {
		if !due.Row.Gone {
			t.Fatalf("%q is there", due.Row.Key)
		}
		due.Row.Value, due.Row.Gone = gone[due.Row.Key], false
		if !p.task.IsDue(due.Row, due.At) {
			t.Fatalf("%q is not due at %d", due.Row.Key, due.At)
		}
		p.fire(due.Row, due.At)
		if due.Row.Registered() {
			t.Errorf("%q is registered for %d", due.Row.Key, due.Row.due)
		}
	}
	if len(p.played) != 2 || p.left() != 0 || p.task.Deadline() != Never {
		t.Errorf("%d results, %d cells, next %d", len(p.played), p.left(), p.task.Deadline())
	}
}
