package processors

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/protobuf/encoding/protowire"
	"pgregory.net/rapid"
)

// word is an item of a series: a number and padding that changes its size.
type word struct {
	n    int64
	pads int
}

type wordCodec struct{}

func (wordCodec) append(b []byte, _ int64, x *word) []byte {
	b = protowire.AppendVarint(b, uint64(x.n))
	return append(b, make([]byte, x.pads)...)
}

func (wordCodec) size(_ int64, x *word) int { return 10 + x.pads }

func (wordCodec) decode(b []byte, _ int64, x *word) error {
	v, n := protowire.ConsumeVarint(b)
	if n < 0 {
		return errCell
	}
	x.n, x.pads = int64(v), len(b)-n
	return nil
}

// wordEdit changes the touched items.
type wordEdit []func()

// Apply implements Edit.
func (e wordEdit) Apply() {
	for _, f := range e {
		f()
	}
}

func newWords() *series[word] {
	return newSeries(wordCodec{}, "w", 7, func(h *head[word], fired int64) int64 {
		key, _ := h.above(fired)
		return key
	})
}

type wordAt struct {
	Key, N int64
	Pads   int
}

func all(t rapid.TB, s *series[word], state State, from int64) []wordAt {
	if err := s.open(state, "u"); err != nil {
		t.Fatal(err)
	}
	c, err := s.seek(from)
	var out []wordAt
	for err == nil && c.entry() != nil {
		e := c.entry()
		out = append(out, wordAt{e.key, e.item.n, e.item.pads})
		err = s.next(&c)
	}
	if err != nil {
		t.Fatal(err)
	}
	var back []wordAt
	for {
		ok, err := s.prev(&c)
		if err != nil {
			t.Fatal(err)
		}
		if !ok || c.entry().key < from {
			break
		}
		e := c.entry()
		back = append(back, wordAt{e.key, e.item.n, e.item.pads})
	}
	slices.Reverse(back)
	if d := gocmp.Diff(out, back, cmpopts.EquateEmpty()); d != "" {
		t.Fatal("backwards: " + d)
	}
	return out
}

// TestSeriesIsASortedList: random steps, some of which are never applied, on cells that are decoded anew at random.
func TestSeriesIsASortedList(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newWords()
		state := newCells(s.decode)
		var model []wordAt
		keys := rapid.Int64Range(-5, rapid.SampledFrom([]int64{3, 60, 5000}).Draw(t, "keys"))
		pads := rapid.SampledFrom([]int{0, 3, 300, 3000}).Draw(t, "pads")
		n, cut := int64(0), int64(math.MinInt64)
		for range rapid.IntRange(1, 120).Draw(t, "steps") {
			if rapid.Bool().Draw(t, "evict") {
				state.evict()
			}
			if rapid.Bool().Draw(t, "restart") {
				state.evict()
				s = newWords()
				state.decode = s.decode
			}
			if err := s.open(state, "u"); err != nil {
				t.Fatal(err)
			}
			next := slices.Clone(model)
			var edits wordEdit
			mark := int64(0)
			if rapid.IntRange(0, 9).Draw(t, "mark") == 0 {
				mark = rapid.Int64Range(1, 9).Draw(t, "marked")
			}
			touchedKeys := map[int64]bool{}
			for range rapid.SampledFrom([]int{0, 1, 1, 1, 2, 7, 90}).Draw(t, "changes") {
				key := keys.Draw(t, "key")
				if key < cut {
					continue
				}
				i, found := slices.BinarySearchFunc(next, key, func(w wordAt, key int64) int { return cmp.Compare(w.Key, key) })
				_, had := slices.BinarySearchFunc(model, key, func(w wordAt, key int64) int { return cmp.Compare(w.Key, key) })
				kind := rapid.SampledFrom([]stagedKind{itemInserted, itemInserted, itemRemoved, itemTouched}).Draw(t, "kind")
				if kind != itemInserted && (!found || !had || touchedKeys[key]) {
					continue
				}
				if kind == itemInserted {
					n++
					w := wordAt{key, n, rapid.IntRange(0, pads).Draw(t, "pad")}
					item, err := s.insert(key)
					if err != nil {
						t.Fatal(err)
					}
					*item = word{w.N, w.Pads}
					for i < len(next) && next[i].Key == key {
						i++
					}
					next = slices.Insert(next, i, w)
					continue
				}
				touchedKeys[key] = true
				c, err := s.seek(key)
				if err != nil || c.entry() == nil || c.entry().key != key {
					t.Fatalf("%d is not found: %v", key, err)
				}
				if kind == itemRemoved {
					s.remove(c)
					next = slices.Delete(next, i, i+1)
					continue
				}
				s.touch(c)
				e, pad := c.entry(), rapid.IntRange(0, pads).Draw(t, "pad")
				next[i].N, next[i].Pads = next[i].N+1, pad
				edits = append(edits, func() { e.item = word{e.item.n + 1, pad} })
			}
			nextCut := cut
			if rapid.IntRange(0, 5).Draw(t, "expire") == 0 {
				nextCut = max(cut, keys.Draw(t, "cut"))
			}
			s.expire(nextCut)
			if mark != 0 {
				s.mark(1, mark)
			}
			var r Result
			if err := s.commit(&r, edits); err != nil {
				t.Fatal(err)
			}
			if d := state.same(); d != "" {
				t.Fatal("before it is applied: " + d)
			}
			if rapid.IntRange(0, 4).Draw(t, "refused") == 0 {
				continue
			}
			state.apply(t, r.Changes)
			cut = nextCut
			model = slices.DeleteFunc(next, func(w wordAt) bool { return w.Key < cut })
			if d := gocmp.Diff(model, all(t, s, state, cut), cmpopts.EquateEmpty()); d != "" {
				t.Fatal(d)
			}
			check(t, s, state, model, cut)
		}
	})
}

// check looks at what the cells have to hold to be cheap.
func check(t *rapid.T, s *series[word], state *cells, model []wordAt, cut int64) {
	if len(model) == 0 && cut > math.MinInt64 {
		var r Result
		if err := s.open(state, "u"); err != nil {
			t.Fatal(err)
		}
		s.expire(cut)
		if err := s.commit(&r, nil); err != nil {
			t.Fatal(err)
		}
		if state.apply(t, r.Changes); len(state.encoded) > 0 {
			t.Fatalf("%d cells are left of nothing", len(state.encoded))
		}
	}
	for key, r := range state.rows {
		var entries []entry[word]
		most := chunkMost
		switch c := r.Value.(type) {
		case *head[word]:
			entries, most = c.inline.entries, headMost
			if inPlace := cap(entries) > 0 && &entries[:1][0] == &c.few[0]; inPlace != (cap(entries) == len(c.few)) {
				t.Fatalf("entries of capacity %d lie in place: %v", cap(entries), inPlace)
			}
			if n := 1 + len(c.directory); len(state.encoded) != n {
				t.Fatalf("%d cells, %d in the directory", len(state.encoded), len(c.directory))
			}
			for _, from := range []int64{-6, 0, 3, 50} {
				if from < cut {
					continue
				}
				at := slices.IndexFunc(model, func(w wordAt) bool { return w.Key > from })
				want := int64(math.MaxInt64)
				if at >= 0 {
					want = model[at].Key
				}
				if got, exact := c.above(from); got > want || exact && got != want {
					t.Fatalf("the first above %d is %d (%v), want %d", from, got, exact, want)
				}
				if err := s.learn(from); err != nil {
					t.Fatal(err)
				}
				if got, exact := c.above(from); got != want || !exact {
					t.Fatalf("the first above %d is %d (%v) although it was learnt, want %d", from, got, exact, want)
				}
			}
		case *chunk[word]:
			entries = c.entries
		}
		if len(entries) > most {
			t.Fatalf("%q has %d items", key, len(entries))
		}
	}
}

func TestSeriesRewritesOneChunk(t *testing.T) {
	const n = 10_000
	for name, at := range map[string]func(i int) int64{
		"at the end": func(i int) int64 { return int64(i) * 60_000 },
		"anywhere":   func(i int) int64 { return int64(i) * 7919 % n * 60_000 },
	} {
		t.Run(name, func(t *testing.T) {
			s := newWords()
			state := newCells(s.decode)
			var r Result
			for i := range n {
				r.Reset()
				if err := s.open(state, "u"); err != nil {
					t.Fatal(err)
				}
				item, err := s.insert(at(i))
				if err != nil {
					t.Fatal(err)
				}
				*item = word{int64(i), 20}
				if err := s.commit(&r, nil); err != nil {
					t.Fatal(err)
				}
				state.apply(t, r.Changes)
			}
			if per := state.written / n; per > 1000 {
				t.Errorf("%d bytes are written for an item", per)
			}
			t.Logf("%d bytes and %.2f cells written for an item, %d cells", state.written/n, float64(state.writes)/n, len(state.encoded))
			state.writes = 0
			for i := 0; i <= n; i += 10 {
				r.Reset()
				if err := s.open(state, "u"); err != nil {
					t.Fatal(err)
				}
				s.expire(int64(i) * 60_000)
				if err := s.commit(&r, nil); err != nil {
					t.Fatal(err)
				}
				state.apply(t, r.Changes)
			}
			if len(state.encoded) > 0 || state.writes > 1500 {
				t.Errorf("%d cells are left, %d were written to expire %d items", len(state.encoded), state.writes, n)
			}
		})
	}
}

func TestSeriesOfAnotherShapeStartsClean(t *testing.T) {
	s := newWords()
	state := newCells(s.decode)
	fill := func(s *series[word], n int) {
		var r Result
		if err := s.open(state, "u"); err != nil {
			t.Fatal(err)
		}
		for i := range n {
			if _, err := s.insert(int64(i)); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.commit(&r, nil); err != nil {
			t.Fatal(err)
		}
		state.apply(t, r.Changes)
	}
	fill(s, 200)
	other := newWords()
	other.shape++
	state.evict()
	state.decode = other.decode
	if got := all(t, other, state, math.MinInt64); len(got) > 0 {
		t.Fatalf("got %v", got)
	}
	fill(other, 100)
	state.evict()
	if got := all(t, other, state, math.MinInt64); len(got) != 100 {
		t.Fatalf("%d items", len(got))
	}
}

func FuzzDecodeSeries(f *testing.F) {
	s := newWords()
	h := s.newHead()
	h.inline.entries = []entry[word]{{1, word{5, 2}}, {1, word{6, 0}}, {9, word{1, 1}}}
	f.Add(h.Append(nil))
	f.Add(h.inline.Append(nil))
	f.Add((&head[word]{inline: chunk[word]{of: s}, rest: &rest{directory: []span{{first: 1, number: 1}, {first: 4, number: 2, tied: true}}, made: 2, counted: 5, marks: [marksMost]int64{1, -1}}}).Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := s.decode(b)
		if err != nil || c == nil {
			return
		}
		again, err := s.decode(c.Append(nil))
		if err != nil {
			t.Fatal(err)
		}
		if x, y := fmt.Sprintf("%x", c.Append(nil)), fmt.Sprintf("%x", again.Append(nil)); x != y {
			t.Fatalf("%s, then %s", x, y)
		}
		if h, ok := c.(*head[word]); ok {
			h.Due(3)
		}
	})
}
