package nfa

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/millrace-io/millrace/rules"
)

// at is a record of a problem, as the machine sees it.
type at struct {
	*problem
	n int
}

func (p *problem) captured(c *Capture) []taken {
	var out []taken
	for ; c != nil; c = c.Prev {
		out = append(out, taken{c.Stage, int(c.Body[0])})
	}
	slices.Reverse(out)
	return out
}

// Where implements Record.
func (r at) Where(stage int, c *Capture) bool { return r.where(stage, r.n, r.captured(c)) }

// Until implements Record.
func (r at) Until(stage int, c *Capture) bool { return r.until(stage, r.n, r.captured(c)) }

// Keep implements Record.
func (r at) Keep() []byte { return append([]byte{byte(r.n)}, make([]byte, r.weight)...) }

// play runs a problem through a machine.
func (p *problem) play(t *rapid.T, restart bool) []found {
	auto, err := Compile(p.Config)
	if err != nil {
		t.Fatal(err)
	}
	m, s, out := New(auto), &State{}, &Outcome{}
	p.written = map[uint64][]byte{}
	var all []found
	for i, e := range p.stream {
		if next, changed := m.Expire(s, e.time, out); changed {
			s = &next
		}
		if touches := m.Touches(at{p, i}); touches || rapid.Bool().Draw(t, "look") {
			if _, changed := m.Step(s, e.time, at{p, i}, out); !touches && changed {
				t.Fatalf("record %d touches nothing, but changes the state", i)
			}
			again := &Outcome{} // a step that is not applied leaves no trace
			if m.Step(s, e.time, at{p, i}, again); len(again.Matches) > len(out.Matches) {
				t.Fatalf("record %d: %d matches, then %d", i, len(out.Matches), len(again.Matches))
			}
			next, _ := m.Step(s, e.time, at{p, i}, &Outcome{})
			s = &next
			p.split(s)
		}
		if restart {
			m, s = New(auto), p.reread(t, m, s)
		}
		all = append(all, p.results(out)...)
		out.Reset()
	}
	m.Expire(s, math.MaxInt64, out)
	return append(all, p.results(out)...)
}

// split writes segments.
func (p *problem) split(s *State) {
	made, gone := s.Split()
	for _, n := range gone {
		delete(p.written, n)
	}
	for _, x := range made {
		p.written[x.Number] = x.Body
	}
}

// reread is the state as it is read after it was written.
func (p *problem) reread(t *rapid.T, m *Machine, s *State) *State {
	b := s.Append(nil)
	if len(b) > s.Size() {
		t.Fatalf("%d bytes, Size says %d", len(b), s.Size())
	}
	numbers, due, err := Segments(b)
	if err != nil || due != s.Due() {
		t.Fatalf("due at %d, want %d: %v", due, s.Due(), err)
	}
	var segments [][]byte
	for _, n := range numbers {
		segments = append(segments, p.written[n])
	}
	check := func(int, []byte) error { return nil }
	read, err := m.Read(b, segments, check)
	if err != nil {
		t.Fatal(err)
	}
	written := read.Append(nil) // without what was of no use any more
	again, err := m.Read(written, segments, check)
	if err != nil || !slices.Equal(again.Append(nil), written) {
		t.Fatalf("%x, then %x: %v", written, again.Append(nil), err)
	}
	return read
}

func (p *problem) results(out *Outcome) (all []found) {
	for _, m := range out.Matches {
		if m.Kind != TimedOut {
			all = append(all, found{caps: p.captured(m.Last), kind: m.Kind, at: m.At})
		}
	}
	return all
}

// TestAgainstReference compares the machine with the definition, for random patterns over random streams, once with the state in
// memory and once with one that is written and read after every record.
func TestAgainstReference(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		for range 30 {
			againstReference(rt)
		}
	})
}

func againstReference(t *rapid.T) {
	p := drawProblem(t)
	r := &reference{problem: p}
	want := r.run()
	if p.Skip != rules.SkipNone {
		want = r.skipping(want)
	}
	for _, restart := range []bool{false, true} {
		if d := compare(want, p.play(t, restart), p.Skip == rules.SkipNone); d != "" {
			t.Fatalf("%s over %v, stages %v, within %d, skip %d to %d, restart %t: %s", form(p.Pattern), p.stream, p.trials, p.Within, p.Skip, p.SkipTo, restart, d)
		}
	}
}

func compare(want, got []found, times bool) string {
	lines := func(all []found) []string {
		var out []string
		for _, x := range all {
			line := x.String()
			if times {
				line += fmt.Sprint(" at ", x.at)
			}
			out = append(out, line)
		}
		slices.Sort(out)
		return out
	}
	x, y := lines(want), lines(got)
	if slices.Equal(x, y) {
		return ""
	}
	count := func(all []string, line string) (n int) {
		for _, other := range all {
			if other == line {
				n++
			}
		}
		return n
	}
	for _, line := range slices.Concat(x, y) {
		if w, g := count(x, line), count(y, line); w != g {
			return fmt.Sprintf("%d matches, want %d; %q %d times, want %d", len(y), len(x), line, g, w)
		}
	}
	return ""
}

// form writes a pattern.
func form(p *rules.Pattern) string {
	op := [...]string{"", ",", "->", "->>"}
	var b strings.Builder
	if b.WriteString(op[p.Contiguity]); p.Negated {
		b.WriteString("!")
	}
	if p.Op == rules.Take {
		fmt.Fprint(&b, p.Stage)
	} else {
		b.WriteString("(")
		for i, part := range p.Parts {
			if i > 0 {
				b.WriteString([...]string{"", "", " ", "|", "&"}[p.Op])
			}
			b.WriteString(form(part))
		}
		b.WriteString(")")
	}
	if p.Min != 1 || p.Max != 1 {
		fmt.Fprintf(&b, "{%d,%d}[%s]", p.Min, p.Max, op[p.Inner])
	}
	if p.Greedy {
		b.WriteString("+")
	}
	if p.Optional {
		b.WriteString("?")
	}
	return b.String()
}

// drawProblem draws a pattern that the check of rules accepts, and a stream.
func drawProblem(t *rapid.T) *problem {
	p := &problem{weight: rapid.SampledFrom([]int{0, 0, 900}).Draw(t, "weight")}
	p.Within = int64(rapid.SampledFrom([]int{0, 0, 4, 9}).Draw(t, "within"))
	p.Pattern = p.drawSequence(t, 2, true)
	if p.Skip = rules.SkipNone; p.Within > 0 { // else matches may wait for ever
		p.Skip = rapid.SampledFrom([]rules.Skip{rules.SkipNone, rules.SkipNext, rules.SkipPastLast, rules.SkipToFirst, rules.SkipToLast}).Draw(t, "skip")
	}
	p.SkipTo = rapid.IntRange(0, len(p.trials)-1).Draw(t, "to")
	time := int64(0)
	for range rapid.IntRange(1, 9).Draw(t, "records") {
		time += int64(rapid.IntRange(0, 2).Draw(t, "later"))
		p.stream = append(p.stream, letter{rapid.IntRange(0, 3).Draw(t, "kind"), rapid.IntRange(0, 2).Draw(t, "value"), time})
	}
	return p
}

func (p *problem) drawStage(t *rapid.T, repeats bool) int {
	x := trial{kinds: rapid.IntRange(1, 15).Draw(t, "kinds"), rising: rapid.IntRange(0, 3).Draw(t, "rising") == 0}
	if repeats && rapid.IntRange(0, 2).Draw(t, "ends") == 0 {
		x.until, x.untilLater = rapid.IntRange(1, 15).Draw(t, "until"), rapid.Bool().Draw(t, "later")
	}
	s := Stage{Dependent: x.rising, Until: x.until != 0, UntilDependent: x.untilLater}
	if rapid.IntRange(0, 5).Draw(t, "gap") == 0 {
		s.Gap = int64(rapid.IntRange(1, 3).Draw(t, "gap"))
	}
	p.trials, p.Stages = append(p.trials, x), append(p.Stages, s)
	return len(p.trials) - 1
}

// drawSequence draws parts of which one takes a record at least; whole says that it is the pattern.
func (p *problem) drawSequence(t *rapid.T, depth int, whole bool) *rules.Pattern {
	out := &rules.Pattern{Op: rules.Sequence, Min: 1, Max: 1}
	n := rapid.IntRange(2, 3).Draw(t, "parts")
	contiguity := rapid.SampledFrom([]rules.Contiguity{rules.Strict, rules.Relaxed, rules.RelaxedAny})
	firm, loose := false, true // some part takes a record; the one before may be left out
	for i := range n {
		if i > 0 && !loose && firm && (i < n-1 || whole) && rapid.IntRange(0, 2).Draw(t, "negated") == 0 {
			part := &rules.Pattern{Op: rules.Take, Stage: p.drawStage(t, false), Negated: true, Min: 1, Max: 1}
			part.Contiguity = rapid.SampledFrom([]rules.Contiguity{rules.Strict, rules.Relaxed}).Draw(t, "not")
			if last := i == n-1; last && part.Contiguity == rules.Relaxed && p.Within == 0 && p.Stages[part.Stage].Gap == 0 {
				part.Contiguity = rules.Strict
			} else if !last || part.Contiguity == rules.Strict {
				p.Stages[part.Stage].Gap = 0
			}
			out.Parts = append(out.Parts, part)
			continue
		}
		part := p.drawPart(t, depth, i == n-1 && !firm)
		if part.Contiguity = 0; i > 0 {
			part.Contiguity = contiguity.Draw(t, "contiguity")
		}
		firm, loose = firm || !part.Optional, ends(part)
		out.Parts = append(out.Parts, part)
	}
	return out
}

// drawPart draws a stage, group, choice or any order, with a quantifier.
func (p *problem) drawPart(t *rapid.T, depth int, firm bool) *rules.Pattern {
	out := &rules.Pattern{Op: rules.Take, Min: 1, Max: 1}
	if !firm {
		out.Optional = rapid.IntRange(0, 3).Draw(t, "optional") == 0
	}
	if rapid.IntRange(0, 2).Draw(t, "repeats") == 0 {
		out.Min = int64(rapid.IntRange(1, 3).Draw(t, "min"))
		out.Max = rapid.SampledFrom([]int64{0, out.Min, out.Min + 1}).Draw(t, "max")
		out.Greedy = rapid.IntRange(0, 2).Draw(t, "greedy") == 0
	}
	out.Inner = rapid.SampledFrom([]rules.Contiguity{rules.Strict, rules.Relaxed, rules.RelaxedAny}).Draw(t, "inner")
	repeats := out.Min != 1 || out.Max != 1
	kind := rapid.IntRange(0, 6).Draw(t, "form")
	if depth == 0 || kind < 4 {
		out.Stage = p.drawStage(t, repeats)
		return out
	}
	switch kind {
	case 4:
		out.Op, out.Parts = rules.Sequence, p.drawSequence(t, depth-1, false).Parts
	case 5:
		out.Op = rules.Choice
	default:
		out.Op = rules.AnyOrder
	}
	for out.Op != rules.Sequence && len(out.Parts) < 2 {
		part := p.drawPart(t, depth-1, true)
		begin(part)
		out.Parts = append(out.Parts, part)
	}
	return out
}

// begin has the first part of a branch take a record: what a branch is that may begin in two ways is not defined.
func begin(p *rules.Pattern) {
	if p.Optional = false; p.Op == rules.Sequence {
		begin(p.Parts[0])
	}
}

// ends reports whether the part may end in an optional one: negations do not follow it.
func ends(p *rules.Pattern) bool {
	switch p.Op {
	case rules.Take:
		return p.Optional
	case rules.Sequence:
		return p.Optional || ends(p.Parts[len(p.Parts)-1])
	default:
		return p.Optional || slices.ContainsFunc(p.Parts, ends)
	}
}

// FuzzRead: damaged bytes are ErrState, and what is read is written as it was.
func FuzzRead(f *testing.F) {
	p := &problem{trials: []trial{{kinds: 1}, {kinds: 3}, {kinds: 2}}, stream: []letter{{0, 0, 1}, {0, 0, 2}, {0, 0, 3}}}
	take := func(stage int, c rules.Contiguity, least, most int64) *rules.Pattern {
		return &rules.Pattern{Op: rules.Take, Stage: stage, Contiguity: c, Min: least, Max: most, Inner: rules.RelaxedAny}
	}
	p.Config = Config{Stages: make([]Stage, 3), Within: 100, Skip: rules.SkipPastLast}
	p.Pattern = &rules.Pattern{Op: rules.Sequence, Min: 1, Max: 1, Parts: []*rules.Pattern{take(0, 0, 1, 1), take(1, rules.Relaxed, 2, 4), take(2, rules.Relaxed, 1, 1)}}
	auto, err := Compile(p.Config)
	if err != nil {
		f.Fatal(err)
	}
	m, s := New(auto), &State{}
	for i, e := range p.stream {
		next, _ := m.Step(s, e.time, at{p, i}, &Outcome{})
		s = &next
		f.Add(s.Append(nil))
	}
	check := func(int, []byte) error { return nil }
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := m.Read(b, nil, check)
		if err != nil {
			if !errors.Is(err, ErrState) {
				t.Fatal(err)
			}
			return
		}
		written := s.Append(nil)
		if len(written) > s.Size() {
			t.Fatalf("%d bytes, Size says %d", len(written), s.Size())
		}
		if s, err = m.Read(written, nil, check); err != nil || !slices.Equal(s.Append(nil), written) {
			t.Fatalf("%x: %v", written, err)
		}
		m.Expire(s, 1<<40, &Outcome{})
	})
}
