package processors

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/millrace-io/millrace/rules"
)

// TestSessionsRetract: what a session that grows has written goes before what it writes next, with the fields and the time
// of then.
func TestSessionsRetract(t *testing.T) {
	s := spec{window: rules.Window{Kind: rules.Session, Gap: 10}, emit: rules.EmitChanges, lateness: 50, selects: []string{"most", "start", "end"}}
	rule, err := s.compile()
	if err != nil {
		t.Fatal(err)
	}
	vs := number([]visit{{at: 100, value: 5}, {at: 108, value: 3}, {at: 130, value: 1}, {at: 119, value: 2}})
	for i := range vs {
		vs[i].user, vs[i].confidence = "u", 1
	}
	want := []string{
		"u most=5 start=100 end=100 t=100 due=0 confidence=1 [e000] of 1",
		"delete u most=5 start=100 end=100 t=100 due=0 confidence=1 [e000] of 1",
		"u most=5 start=100 end=108 t=108 due=0 confidence=1 [e000 e001] of 2",
		"u most=1 start=130 end=130 t=130 due=0 confidence=1 [e002] of 1",
	}
	p := s.play(t, rule, vs[:3], manner{every: 1})
	if d := cmp.Diff(want, s.lines(p)); d != "" {
		t.Error(d)
	}
	vs[3].at = 120 // 12 ms after one session, 10 ms before the other
	p = s.play(t, rule, vs, manner{every: 1})
	want = append(want, "delete u most=1 start=130 end=130 t=130 due=0 confidence=1 [e002] of 1", "u most=2 start=120 end=130 t=130 due=0 confidence=1 [e003 e002] of 2")
	if d := cmp.Diff(want, s.lines(p)); d != "" {
		t.Error(d)
	}
	vs[3].at = 118 // too far from the second
	p = s.play(t, rule, vs, manner{every: 1})
	want = append(want[:4], "delete u most=5 start=100 end=108 t=108 due=0 confidence=1 [e000 e001] of 2", "u most=5 start=100 end=118 t=118 due=0 confidence=1 [e000 e003] of 3")
	if d := cmp.Diff(want, s.lines(p)); d != "" {
		t.Error(d)
	}
}

// goldenSessions and goldenMoments are series as state files have them.
func goldenSessions(l *layout) *series[session] {
	return newSeries(sessionCodec{l}, cellSessions, 0xa1, (&sessions{gap: 5}).due)
}

func goldenMoments(l *layout) *series[moment] {
	return newSeries(momentCodec{l}, cellMoments, 0xa1, (&sliding{rule: &rules.Rule{}, size: 5}).due)
}

func TestWindowStateLoads(t *testing.T) {
	l := everything()
	s, m := goldenSessions(l), goldenMoments(l)
	sessions, moments := s.newHead(), m.newHead()
	sessions.inline.entries = []entry[session]{
		{1000, session{pane: goldenPane(l, 3), sent: emission{n: 4, selected: []byte("abc")}}},
		{9000, session{pane: goldenPane(l, 1500), news: true}},
	}
	moments.inline.entries = []entry[moment]{
		{1000, moment{pane: goldenPane(l, 3)}},
		{1002, moment{pane: goldenPane(l, 1), made: 2000, heard: 6000}},
	}
	moments.own().marks = [marksMost]int64{0, 6000, 1002}
	t.Run("sessions", func(t *testing.T) { stateLoads(t, "sessions", sessions, s.decode) })
	t.Run("moments", func(t *testing.T) { stateLoads(t, "moments", moments, m.decode) })
	ids := &seen{shape: 0xa1, ids: []seenID{newSeenID("a", 1000), newSeenID("b", 1000), newSeenID("c", 5000)}}
	decode := func(b []byte) (Cell, error) { return decodeSeen(b, 500) }
	t.Run("seen", func(t *testing.T) { stateLoads(t, "seen", ids, decode) })
	t.Run("seen-split", func(t *testing.T) { stateLoads(t, "seen-split", &seen{shape: 0xa1, split: true}, decode) })
}

func TestWindowItemsSurviveEncoding(t *testing.T) {
	l := everything()
	s, m := sessionCodec{l}, momentCodec{l}
	rapid.Check(t, func(rt *rapid.T) {
		p := goldenPane(l, rapid.IntRange(1, 9).Draw(rt, "records"))
		number := rapid.Int64Range(0, 1<<40)
		x := session{pane: p, sent: emission{n: number.Draw(rt, "sent")}, news: rapid.Bool().Draw(rt, "news")}
		if rapid.Bool().Draw(rt, "standing") {
			x.sent.selected = rapid.SliceOfN(rapid.Byte(), 1, 40).Draw(rt, "selected")
		}
		key := number.Draw(rt, "key")
		var y session
		b := s.append(nil, key, &x)
		if err := s.decode(b, key, &y); err != nil || len(b) > s.size(key, &x) || y.news != x.news || y.sent.n != x.sent.n || !bytes.Equal(y.sent.selected, x.sent.selected) {
			rt.Fatalf("session %+v reads as %+v, %v; %d bytes, size says %d", x, y, err, len(b), s.size(key, &x))
		}
		a := moment{pane: p, made: number.Draw(rt, "made")}
		if a.made > 0 {
			a.heard = a.made + number.Draw(rt, "heard")
		}
		var c moment
		b = m.append(nil, key, &a)
		if err := m.decode(b, key, &c); err != nil || len(b) > m.size(key, &a) || c.made != a.made || c.heard != a.heard {
			rt.Fatalf("moment %+v reads as %+v, %v; %d bytes, size says %d", a, c, err, len(b), m.size(key, &a))
		}
	})
}

// FuzzDecodeWindows: a damaged cell is an error, and what is none can be written again and asked when it is due.
func FuzzDecodeWindows(f *testing.F) {
	l := manual(rules.Aggregate{Func: rules.Count}, rules.Aggregate{Func: rules.Sum}, rules.Aggregate{Func: rules.List, N: 3})
	s, m := goldenSessions(l), goldenMoments(l)
	sessions, moments := s.newHead(), m.newHead()
	sessions.inline.entries = []entry[session]{{1000, session{pane: goldenPane(l, 3), sent: emission{n: 4, selected: []byte("abc")}}}}
	moments.inline.entries = []entry[moment]{{1000, moment{pane: goldenPane(l, 3)}}, {1002, moment{pane: goldenPane(l, 1), made: 2000, heard: 6000}}}
	f.Add(sessions.Append(nil))
	f.Add(moments.Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, decode := range []func([]byte) (Cell, error){s.decode, m.decode} {
			c, err := decode(b)
			if err != nil || c == nil {
				continue
			}
			again, err := decode(c.Append(nil))
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(c.Append(nil), again.Append(nil)) {
				t.Fatalf("%x, then %x", c.Append(nil), again.Append(nil))
			}
			if h, ok := c.(DueCell); ok {
				h.Due(3)
			}
		}
	})
}
