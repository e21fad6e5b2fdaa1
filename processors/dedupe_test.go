package processors

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/schemas"
)

const clickSchemas = `{"type":"record","name":"Click","namespace":"case","fields":[{"name":"user","type":"string"},{"name":"id","type":["null","string"],"default":null},
{"name":"text","type":"string","default":""},{"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}}]}`

// click is a record of the rules over clicks.
type click struct {
	user, id, text string // id "": null
	at             int64
}

// clicks compiles a rule over the stream of clicks, which leaves 10 ms of disorder.
func clicks(t testing.TB, body string) (*rules.Rule, func(i int, c click) *Event) {
	t.Helper()
	rule, err := load(map[string]string{
		"case/Click.avsc": clickSchemas,
		"case/Out.avsc":   `{"type":"record","name":"Out","namespace":"case","fields":[{"name":"user","type":"string"},{"name":"text","type":"string","default":""},{"name":"n","type":"long","default":0}]}`,
	}, `domain: case
streams:
  clicks: {topic: case.clicks, schema: case.Click, key: user, time: at, out_of_order: 10ms}
  out: {topic: case.out, schema: case.Out, key: user}
`, "domain: case\nrules:\n  - name: r\n    from: {c: case.clicks}\n"+body+"    to: case.out\n")
	if err != nil {
		t.Fatal(err)
	}
	code, err := newCodec(rule)
	if err != nil {
		t.Fatal(err)
	}
	return rule, func(i int, c click) *Event {
		var id any
		if c.id != "" {
			id = c.id
		}
		e, err := code.event(0, []any{c.user, id, c.text, c.at}, schemas.Context{EventID: fmt.Sprintf("e%04d", i), CorrelationID: "c", Entity: c.user, Confidence: 1})
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
}

const firstClicks = `    where: c.text != "ignored"
    dedupe: {by: c.id, within: 20ms}
    select: {user: c.user, text: c.text, n: 'c.text == "bad" ? int(c.text) : 0'}
`

// TestDedupe plays clicks in their order; ! stands before the texts of those that must not come out.
func TestDedupe(t *testing.T) {
	for name, c := range map[string]struct {
		clicks []click
		want   []string
	}{
		"a copy":                  {[]click{{"u", "1", "a", 100}, {"u", "1", "b", 100}, {"u", "1", "c", 119}}, []string{"a"}},
		"forgotten at within":     {[]click{{"u", "1", "a", 100}, {"u", "1", "b", 120}, {"u", "1", "c", 139}}, []string{"a", "b"}},
		"copies do not prolong":   {[]click{{"u", "1", "a", 100}, {"u", "1", "b", 115}, {"u", "1", "c", 120}}, []string{"a", "c"}},
		"per key":                 {[]click{{"u", "1", "a", 100}, {"v", "1", "b", 100}}, []string{"a", "b"}},
		"null is no id":           {[]click{{"u", "", "a", 100}, {"u", "", "b", 100}}, []string{"a", "b"}},
		"what where drops":        {[]click{{"u", "1", "ignored", 100}, {"u", "1", "b", 100}}, []string{"b"}},
		"what fails is not seen":  {[]click{{"u", "1", "bad", 100}, {"u", "1", "b", 100}}, []string{"b"}},
		"the first in event time": {[]click{{"u", "1", "b", 105}, {"u", "1", "a", 100}, {"u", "2", "c", 130}}, []string{"a", "c"}},
	} {
		t.Run(name, func(t *testing.T) {
			rule, event := clicks(t, firstClicks)
			p := newPlayer(t, rule)
			latest := int64(0)
			for i, x := range c.clicks {
				latest = max(latest, x.at)
				p.due(0, latest-10)
				p.record(event(i, x))
			}
			p.due(0, Ended)
			var got []string
			for _, o := range p.played {
				got = append(got, o.Fields["text"].(string))
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
			if n := p.matched + p.doubles + len(p.dead); n != len(c.clicks) && name != "what where drops" {
				t.Errorf("%d of %d records are accounted for", n, len(c.clicks))
			}
			if n := p.left(); n != 0 {
				t.Errorf("%d cells are left at the end of time", n)
			}
		})
	}
}

// TestDedupeAfterItsTime: a copy that comes when ids of its time are forgotten is late, not a first.
func TestDedupeAfterItsTime(t *testing.T) {
	rule, event := clicks(t, firstClicks)
	p := newPlayer(t, rule)
	for i, x := range []click{{"u", "1", "a", 100}, {"u", "2", "b", 131}, {"u", "1", "late", 101}} {
		p.due(0, max(p.task.Clock(), x.at-10))
		p.record(event(i, x))
	}
	if p.late != 1 || p.doubles != 0 || len(p.played) != 1 {
		t.Errorf("%d late, %d duplicates, %d outputs", p.late, p.doubles, len(p.played))
	}
}

// TestDedupeAgainstReference compares with a list of everything that has passed, for many ids of few keys, restarted now and
// then.
func TestDedupeAgainstReference(t *testing.T) {
	rule, event := clicks(t, `    dedupe: {by: c.id, within: 20ms}
    select: {user: c.user, text: c.text}
`)
	rapid.Check(t, func(rt *rapid.T) {
		p := newPlayer(t, rule)
		var passed []click
		var want []string
		now, again := int64(0), rapid.SampledFrom([]int{2, 100}).Draw(rt, "again") // how far back copies go
		burst := rapid.SampledFrom([]int{1, 8, 150}).Draw(rt, "burst")             // clicks at one time
		for i := range rapid.SampledFrom([]int{5, 50, 500}).Draw(rt, "n") {
			if i%burst == 0 {
				now += rapid.SampledFrom([]int64{1, 2, 19, 20, 25}).Draw(rt, "pause")
			}
			c := click{user: rapid.SampledFrom([]string{"u", "v"}).Draw(rt, "user"), id: fmt.Sprint(max(0, i-rapid.IntRange(0, again).Draw(rt, "id"))), text: fmt.Sprint(i), at: now}
			if !slices.ContainsFunc(passed, func(x click) bool { return x.user == c.user && x.id == c.id && c.at-x.at < 20 }) {
				passed, want = append(passed, c), append(want, c.text)
			}
			p.due(0, now)
			p.record(event(i, c))
			if rapid.IntRange(0, 20).Draw(rt, "restart") == 0 {
				p.restart()
			}
		}
		var got []string
		for _, o := range p.played {
			got = append(got, o.Fields["text"].(string))
		}
		if d := cmp.Diff(want, got); d != "" {
			rt.Fatal(d)
		}
		p.due(0, Ended)
		if n := p.left(); n != 0 {
			rt.Fatalf("%d cells are left", n)
		}
	})
}

// TestDedupeCostsTheSameWithManyIDs: what an event writes does not grow with the ids that its key has.
func TestDedupeCostsTheSameWithManyIDs(t *testing.T) {
	few, many := seenBytes(t, 10), seenBytes(t, 10_000)
	t.Logf("bytes per event: %d with 10 ids, %d with 10,000", few, many)
	if many > 2*few {
		t.Errorf("%d bytes per event with 10,000 ids, %d with 10", many, few)
	}
}

// seenBytes is what an event writes on average, rows with their keys, when its key has so many ids.
func seenBytes(t testing.TB, ids int) int {
	p, next := seenPlayer(t, ids)
	const events = 2000
	n := 0
	for range events {
		e := next()
		p.due(0, e.Time)
		var r Result
		e.Clock = e.Time
		if err := p.op.Step(p, e, &r); err != nil {
			t.Fatal(err)
		}
		for _, c := range r.Changes {
			n += len(c.Row.Key)
			if c.Value != nil {
				n += len(c.Value.Append(nil))
			}
		}
		p.apply(&r)
	}
	p.due(0, Ended)
	if n := p.left(); n > 0 {
		t.Errorf("%d cells are left at the end of time", n)
	}
	return n / events
}

// seenPlayer has a key that holds so many ids all the time; next gives its next click.
func seenPlayer(t testing.TB, ids int) (*player, func() *Event) {
	rule, event := clicks(t, fmt.Sprintf(`    dedupe: {by: c.id, within: %dms}
    select: {user: c.user, text: c.text}
`, ids))
	p := newPlayer(t, rule)
	i := 0
	next := func() *Event {
		i++
		return event(i, click{user: "u", id: fmt.Sprint("id-", i), at: int64(i)})
	}
	for range ids {
		e := next()
		p.due(0, e.Time)
		p.record(e)
		p.played = p.played[:0]
	}
	return p, next
}

func BenchmarkDedupe(b *testing.B) {
	for _, ids := range []int{10, 10_000} {
		b.Run(fmt.Sprint(ids), func(b *testing.B) {
			p, next := seenPlayer(b, ids)
			events := make([]*Event, b.N)
			for i := range events {
				events[i] = next()
			}
			var r Result
			b.ReportAllocs()
			b.ResetTimer()
			for _, e := range events {
				p.due(0, e.Time)
				r.Reset()
				e.Clock = e.Time
				if err := p.op.Step(p, e, &r); err != nil {
					b.Fatal(err)
				}
				p.apply(&r)
			}
		})
	}
}

func TestSeenSurvivesEncoding(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		want := &seen{shape: rapid.Uint64().Draw(rt, "shape"), split: rapid.Bool().Draw(rt, "split")}
		if !want.split {
			at := rapid.Int64Range(0, maxClock).Draw(rt, "at")
			for i := range rapid.IntRange(1, 20).Draw(rt, "n") {
				at += rapid.Int64Range(0, 100_000).Draw(rt, "later")
				want.ids = append(want.ids, newSeenID(fmt.Sprint(i), at))
			}
			want.due = at + 500
		}
		b := want.Append(nil)
		got, err := decodeSeen(b, 500)
		if err != nil {
			rt.Fatal(err)
		}
		if d := cmp.Diff(want, got, cmp.AllowUnexported(seen{}, seenID{})); d != "" {
			rt.Fatal(d)
		}
		if len(b) > want.Size() {
			rt.Fatalf("%d bytes, Size says %d", len(b), want.Size())
		}
	})
}

func FuzzDecodeSeen(f *testing.F) {
	f.Add((&seen{shape: 7, ids: []seenID{newSeenID("a", 5), newSeenID("b", 9)}}).Append(nil))
	f.Add((&seen{shape: 7, split: true}).Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := decodeSeen(b, 1000)
		if err != nil {
			return
		}
		again, err := decodeSeen(c.Append(nil), 1000)
		if err != nil {
			t.Fatal(err)
		}
		if !c.split {
			if d := cmp.Diff(c, again, cmp.AllowUnexported(seen{}, seenID{})); d != "" {
				t.Error(d)
			}
		}
	})
}
