package processors

import (
	"cmp"
	"fmt"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/millrace-io/millrace/schemas"
)

// act is a record of accountRule: an input and the field beside user, id and time.
type act struct {
	input int // 0 login, 1 second factor, 2 change, 3 payment
	user  string
	at    int64
	field any // new_device, nothing, attribute, amount
}

// acting plays a detection.
type acting struct {
	*player
	codec *codec
	n     int
}

func newActing(t testing.TB, body string) *acting {
	t.Helper()
	rule := accountRule(t, body)
	return &acting{player: newPlayer(t, rule), codec: must(newCodec(rule))}
}

// until sets the time of all inputs.
func (x *acting) until(at int64) {
	for i := range x.rule.Inputs {
		x.due(i, at)
	}
}

// act feeds a record, whose id is e1 for the first, with a confidence and a version of its own.
func (x *acting) act(a act) {
	x.n++
	fields := []any{a.user, fmt.Sprint("e", x.n), a.field, a.at}
	if a.field == nil {
		fields = slices.Delete(fields, 2, 3)
	}
	context := schemas.Context{
		EventID: fmt.Sprint("e", x.n), CorrelationID: fmt.Sprint("c", x.n), Entity: a.user, Priority: "standard",
		Confidence: 1 / float64(x.n), Version: map[string]int64{"eu": int64(x.n), fmt.Sprint("r", x.n): 1},
	}
	x.record(must(x.codec.event(a.input, fields, context)))
}

// texts are the ids that results have selected, and their times.
func (x *acting) texts() (out []string) {
	for _, o := range x.played {
		out = append(out, fmt.Sprintf("%s %v at %d", o.Stream.Name, o.Fields["ids"], o.Time))
	}
	return out
}

func (x *acting) want(lines ...string) {
	x.t.Helper()
	if d := gocmp.Diff(lines, x.texts()); d != "" {
		x.t.Errorf("results: %s", d)
	}
}

const spending = `    detect:
      pattern: login -> change -> spend{2,}
      define:
        login: login.new_device
        change: change.attribute == "email"
        spend: {on: payment, where: "spend.amount > 2 * avg(spend.amount, 0)", within: 20ms}
      within: 100ms
      skip: none
      on_timeout: {to: acc.stalled, select: {user_id: key, n: count(spend), ids: collect(spend.event_id), text: login.event_id}}
    select: {user_id: key, n: count(spend), amount: sum(spend.amount), text: 'login.event_id + " " + change.event_id', ids: collect(spend.event_id)}
    to: acc.full
`

func TestDetectResult(t *testing.T) {
	x := newActing(t, spending)
	for _, a := range []act{{0, "u", 1, true}, {0, "v", 2, true}, {2, "u", 3, "phone"}, {2, "u", 4, "email"}, {3, "u", 5, 1.0}, {3, "u", 6, 2.0}, {3, "u", 7, 4.0}, {3, "u", 8, 0.5}} {
		x.until(a.at)
		x.act(a)
	}
	x.until(9)
	if len(x.played) != 1 {
		t.Fatalf("%d results", len(x.played))
	}
	o := x.played[0]
	want := map[string]any{
		"user_id": "u", "n": int64(2), "amount": 5.0, "text": "e1 e4", "ids": []any{"e5", "e7"}, "confidence": 1 / 7.0, "causation_id": "e7", "correlation_id": "c7",
		"event_id": schemas.EventID(x.rule.ID, x.rule.Version, "u", "e1", "e4", "e5", "e7"),
		"version":  map[string]int64{"eu": 7, "r1": 1, "r4": 1, "r5": 1, "r7": 1},
	}
	lineage := o.Context.Lineage
	delete(o.Fields, "lineage")
	if d := gocmp.Diff(want, o.Fields); d != "" {
		t.Error(d)
	}
	step := schemas.Step{Rule: x.rule.ID, RuleVersion: x.rule.Version, Domain: "acc", EventIDs: []string{"e1", "e4", "e5", "e7"}, Inputs: 4, At: 7}
	if d := gocmp.Diff([]schemas.Step{step}, lineage); d != "" {
		t.Error(d)
	}
	if o.Time != 7 || o.Key != "u" || o.ID != want["event_id"] {
		t.Errorf("output %+v", o.Output)
	}
}

// TestDetectTimeouts: what a gap or the time of the whole has ended comes out at the deadline, in silence.
func TestDetectTimeouts(t *testing.T) {
	x := newActing(t, spending)
	for _, a := range []act{{0, "u", 1, true}, {2, "u", 4, "email"}, {3, "u", 5, 1.0}, {0, "v", 50, true}} {
		x.until(a.at)
		x.act(a)
	}
	x.until(149)
	x.want("acc.stalled [e3] at 25")
	x.until(150)
	x.want("acc.stalled [e3] at 25", "acc.stalled [] at 150")
	if n := x.left(); n != 0 {
		t.Errorf("%d cells left", n)
	}
	if id := schemas.EventID(x.rule.ID, x.rule.Version, "v", "timeout", "e4"); x.played[1].ID != id {
		t.Errorf("id %s, want %s", x.played[1].ID, id)
	}
}

func TestDetectAbsence(t *testing.T) {
	body := `    detect:
      pattern: login -> !mfa
      define: {login: login.new_device}
      within: 10ms
    select: {user_id: key, ids: collect(login.event_id)}
    to: acc.full
`
	for _, tt := range []struct {
		name, body string
		acts       []act
		until      int64
		want       []string
		late       int
	}{
		{"in silence", body, []act{{0, "u", 1, true}}, 11, []string{"acc.full [e1] at 11"}, 0},
		{"not yet", body, []act{{0, "u", 1, true}}, 10, nil, 0},
		{"in time", body, []act{{0, "u", 1, true}, {1, "u", 10, nil}}, 30, nil, 0},
		{"of another user", body, []act{{0, "u", 1, true}, {1, "v", 10, nil}}, 30, []string{"acc.full [e1] at 11"}, 0},
		{"at the deadline", body, []act{{0, "u", 1, true}, {1, "u", 11, nil}}, 30, []string{"acc.full [e1] at 11"}, 0},
		{"late", body, []act{{0, "u", 1, true}, {0, "v", 5, true}, {1, "u", 4, nil}}, 30, []string{"acc.full [e1] at 11", "acc.full [e2] at 15"}, 1},
		{"late, with lateness", "    lateness: 3ms\n" + body, []act{{0, "u", 1, true}, {0, "v", 12, true}, {1, "u", 10, nil}}, 30, []string{"acc.full [e2] at 22"}, 0},
		{"too late", "    lateness: 3ms\n" + body, []act{{0, "u", 1, true}, {0, "v", 14, true}, {1, "u", 10, nil}}, 30, []string{"acc.full [e1] at 11", "acc.full [e2] at 24"}, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			x := newActing(t, tt.body)
			clock := int64(0)
			for _, a := range tt.acts {
				clock = max(clock, a.at)
				x.until(clock)
				x.act(a)
			}
			x.until(tt.until)
			if x.want(tt.want...); x.late != tt.late {
				t.Errorf("%d late, want %d", x.late, tt.late)
			}
		})
	}
}

// TestDetectBounds: too many runs of a key drop the oldest, too many matches of a record the last, and both are counted.
func TestDetectBounds(t *testing.T) {
	x := newActing(t, `    detect:
      pattern: login -> payment
      within: 1h
      skip: none
      max_partial: 4
      max_matches: 3
    select: {user_id: key, ids: collect(login.event_id)}
    to: acc.full
`)
	forgotten, cut := 0, 0
	for at := range int64(6) {
		x.until(at)
		x.act(act{0, "u", at, true})
		forgotten += x.result.Forgotten
	}
	x.until(6)
	x.act(act{3, "u", 6, 1.0})
	x.until(7)
	cut = x.result.Cut
	if x.want("acc.full [e3] at 6", "acc.full [e4] at 6", "acc.full [e5] at 6"); forgotten != 2 || cut != 1 {
		t.Errorf("%d runs dropped, %d matches cut", forgotten, cut)
	}
}

// TestDetectFailingStep: a record whose condition fails is a dead letter, and changes nothing.
func TestDetectFailingStep(t *testing.T) {
	x := newActing(t, `    detect:
      pattern: login -> change -> payment
      define: {change: int(change.attribute) > 0}
      within: 1h
    select: {user_id: key, ids: collect(change.event_id)}
    to: acc.full
`)
	for _, a := range []act{{0, "u", 1, true}, {2, "u", 2, "no number"}, {2, "u", 3, "1"}, {3, "u", 4, 1.0}} {
		x.until(a.at)
		x.act(a)
	}
	x.until(5)
	if x.want("acc.full [e3] at 4"); len(x.dead) != 1 {
		t.Errorf("dead letters %v", x.dead)
	}
}

// TestDetectLoopStaysLinear: twice as many candidates of a loop take twice as much, though there is a match for each length.
func TestDetectLoopStaysLinear(t *testing.T) {
	size := func(inner string, n int) int {
		x := newActing(t, fmt.Sprintf(`    detect:
      pattern: 'login -> payment+%s -> change'
      within: 1h
      skip: none
      max_partial: 100
    select: {user_id: key, n: count(payment), amount: sum(payment.amount)}
    to: acc.full
`, inner))
		x.act(act{0, "u", 1, true})
		x.until(1)
		for i := range n {
			x.until(int64(2 + i))
			x.act(act{3, "u", int64(2 + i), 1.0})
		}
		x.until(int64(3 + n))
		total := 0
		for _, row := range x.rows {
			if row.Value != nil {
				total += len(row.Value.Append(nil))
			}
		}
		return total
	}
	for _, inner := range []string{"[->]", "[->>]"} {
		if few, many := size(inner, 20), size(inner, 40); many > 3*few {
			t.Errorf("%s: %d bytes of 20 candidates, %d of 40", inner, few, many)
		}
	}
}

// TestDetectSurvivesRestarts compares results with those of a player that is handed over after any record.
func TestDetectSurvivesRestarts(t *testing.T) {
	bodies := []string{spending, `    detect:
      pattern: 'login , (change | mfa)+[->>] -> !payment'
      within: 9ms
      skip: next
    select: {user_id: key, n: count(change), ids: collect(change.event_id)}
    to: acc.full
`, `    detect:
      pattern: 'start{1,3}+ -> (change & mfa)? -> payment'
      define: {start: {on: login, until: 'count(start) > 1 && start.new_device'}, payment: payment.amount >= count(start)}
      within: 12ms
    select: {user_id: key, n: count(start), amount: payment.amount, ids: collect(start.event_id)}
    to: acc.full
`}
	rapid.Check(t, func(rt *rapid.T) {
		body := rapid.SampledFrom(bodies).Draw(rt, "rule")
		plain, restarted := newActing(t, body), newActing(t, body)
		at := int64(0)
		for range rapid.IntRange(1, 25).Draw(rt, "records") {
			at += int64(rapid.IntRange(0, 3).Draw(rt, "later"))
			a := act{rapid.IntRange(0, 3).Draw(rt, "input"), rapid.SampledFrom([]string{"u", "v"}).Draw(rt, "user"), at, nil}
			switch a.input {
			case 0:
				a.field = rapid.IntRange(0, 2).Draw(rt, "new") > 0
			case 2:
				a.field = rapid.SampledFrom([]string{"email", "phone"}).Draw(rt, "attribute")
			case 3:
				a.field = float64(rapid.IntRange(1, 4).Draw(rt, "amount"))
			}
			for _, x := range []*acting{plain, restarted} {
				x.until(a.at)
				x.act(a)
			}
			if rapid.Bool().Draw(rt, "restart") {
				restarted.restart()
			}
		}
		plain.until(at + 200)
		restarted.until(at + 200)
		if d := gocmp.Diff(allOf(plain), allOf(restarted)); d != "" {
			rt.Fatal(d)
		}
		if n := restarted.left(); n > 0 {
			rt.Fatalf("%d cells left", n)
		}
	})
}

// allOf are the results, those of each key in their order: those of one deadline come in any order of their keys.
func allOf(x *acting) (out []string) {
	all := slices.Clone(x.played)
	slices.SortStableFunc(all, func(a, b played) int { return cmp.Compare(a.Key, b.Key) })
	for _, o := range all {
		out = append(out, fmt.Sprint(o.ID, o.Stream.Name, o.Key, o.Time, o.Fields))
	}
	return out
}

// TestDetectStateOfAnotherRule: a changed pattern starts clean.
func TestDetectStateOfAnotherRule(t *testing.T) {
	x := newActing(t, takeover)
	x.act(act{0, "u", 1, true})
	x.until(2)
	for _, row := range x.rows {
		b := row.Value.Append(nil)
		if c, err := x.op.Decode(b); c == nil || err != nil {
			t.Fatalf("its own state: %v, %v", c, err)
		}
		for _, body := range []string{directly, unproven} {
			if c, err := must(New(accountRule(t, body))).Decode(b); c != nil || err != nil {
				t.Errorf("state of another rule: %v, %v", c, err)
			}
		}
		for n := range b {
			if _, err := x.op.Decode(b[:n]); err == nil && n > 10 {
				t.Errorf("%d of %d bytes are read", n, len(b))
			}
		}
	}
}

// TestStateV2LoadsDetection: the cell of a detection as this format writes it.
func TestStateV2LoadsDetection(t *testing.T) {
	x := newActing(t, spending)
	for _, a := range []act{{0, "u", 1, true}, {0, "u", 2, true}, {2, "u", 4, "email"}, {3, "u", 5, 1.0}} {
		x.until(a.at)
		x.act(a)
	}
	x.until(6)
	for _, row := range x.rows {
		stateLoads(t, "detection", row.Value, x.op.Decode)
	}
}

// TestDetectManyRuns: what is written for a record that begins a run grows by the run's own few bytes, not by the records that the
// others have captured; state of many cells is read back, and nothing is left of it in the end.
func TestDetectManyRuns(t *testing.T) {
	x := newActing(t, `    detect:
      pattern: login -> payment
      within: 1h
      skip: none
      max_partial: 5000
      max_matches: 5000
    select: {user_id: key, ids: collect(login.event_id)}
    to: acc.full
`)
	const runs = 2000
	at := int64(0)
	begin := func(n int) {
		for range n {
			at++
			x.until(at)
			x.act(act{0, "u", at, true})
		}
	}
	cost := func() int {
		x.count, x.written = true, 0
		begin(200)
		x.count = false
		return x.written / 200
	}
	few := cost()
	begin(runs - 400)
	if many := cost(); many > few+6*runs {
		t.Errorf("%d bytes for a record with a few runs, %d with %d", few, many, runs)
	}
	if cells := x.left(); cells < 10 {
		t.Errorf("%d cells", cells)
	}
	x.until(at)
	x.restart()
	x.act(act{3, "u", at + 1, 1.0})
	x.until(at + 2)
	if len(x.played) != runs || x.left() != 0 {
		t.Errorf("%d matches, %d cells left", len(x.played), x.left())
	}
}

// TestDetectHeldBack: with a skip strategy a match waits for runs that began before it, and has the time of their end.
func TestDetectHeldBack(t *testing.T) {
	x := newActing(t, `    detect:
      pattern: first -> second
      define: {first: {on: payment}, second: {on: payment, where: second.amount == first.amount}}
      within: 10ms
    select: {user_id: key, ids: collect(first.event_id)}
    to: acc.full
`)
	partial := 0
	for at, amount := range []float64{0: 5, 1: 7, 2: 7} {
		x.until(int64(at))
		x.act(act{3, "u", int64(at), amount})
	}
	x.until(9)
	for _, row := range x.rows {
		partial = row.Value.(*detected).state.Runs()
	}
	if x.want(); partial != 2 {
		t.Errorf("%d runs", partial)
	}
	x.until(10)
	if x.want("acc.full [e2] at 10"); x.result.Held != 8 || x.result.Partial != -2 {
		t.Errorf("held %d ms, %d runs", x.result.Held, x.result.Partial)
	}
}

// FuzzDetectCell: damaged cells are errors, and what is read is written as it was.
func FuzzDetectCell(f *testing.F) {
	x := newActing(f, spending)
	for _, a := range []act{{0, "u", 1, true}, {0, "u", 2, true}, {2, "u", 4, "email"}, {3, "u", 5, 1.0}} {
		x.until(a.at)
		x.act(a)
	}
	x.until(6)
	for _, row := range x.rows {
		f.Add(row.Value.Append(nil))
	}
	f.Add((&detectedPart{x.op.(*detecting).shape, []byte{0}}).Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := x.op.Decode(b)
		if c == nil {
			return
		}
		if err != nil {
			t.Fatalf("a cell and %v", err)
		}
		written := c.Append(nil)
		if len(written) > c.Size() {
			t.Fatalf("%d bytes, Size says %d", len(written), c.Size())
		}
		again, err := x.op.Decode(written)
		if err != nil || again == nil {
			t.Fatalf("%x: %v", written, err)
		}
		if second := again.Append(nil); !slices.Equal(second, written) {
			t.Fatalf("%x, then %x", written, second)
		}
	})
}
