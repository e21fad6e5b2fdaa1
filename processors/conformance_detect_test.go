package processors

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/schemas"
)

// detectCase is a case of detect.json; `format` there says what it means.
type detectCase struct {
	Name, Source, Flink, Note string
	Tags                      []string
	Pattern                   casePattern
	TGiven                    bool `json:"t_given"`
	Events                    []detectEvent
	Expected                  []caseMatch
	Emitted                   []caseEmission
	ExpectedTimeouts          []caseTimeout `json:"expected_timeouts"`
	ExpectedError             bool          `json:"expected_error"`
	LiveAfter                 *int          `json:"live_partial_matches_after"`
	AdvanceTo                 *int64        `json:"advance_time_to"`
}

type casePattern struct {
	Stages   []caseStage
	WithinMS int64 `json:"within_ms"`
	Skip     struct {
		Kind, Stage string
		ErrorOnMiss bool `json:"error_on_miss"`
	}
}

type caseStage struct {
	Name, Contiguity, Where string
	Negated                 bool
	Group                   []caseStage
	Quantifier              *caseQuantifier
	GapMS                   int64 `json:"gap_within_ms"`
}

type caseQuantifier struct {
	Min, Max         *int
	Optional, Greedy bool
	Inner, Until     string
}

type detectEvent struct {
	ID, T         int64
	Name, Kind    string
	Price, Volume float64
}

// caseMatch are the ids of what a match has captured, by stage.
type caseMatch map[string][]int64

type caseEmission struct {
	On string
	ID int64
}

type caseTimeout struct {
	Captured caseMatch
	At       int64
}

func detectCaseOf(t *testing.T, raw []byte) {
	var c detectCase
	decodeCase(t, raw, &c)
	if reason := c.rejected(); reason != "" {
		t.Skip(reason)
	}
	k := newCaseDetection(&c)
	body := k.body()
	rule, err := load(k.schemas(), k.streams(), body)
	if err != nil {
		t.Fatalf("%v\n%s", err, body)
	}
	got := k.play(t, rule)
	if d := difference(c.expected(), got.matches); d != "" {
		t.Errorf("matches: %s\n%s", d, body)
	}
	if c.ExpectedTimeouts != nil {
		if d := difference(c.timeouts(), got.timeouts); d != "" {
			t.Errorf("timeouts: %s\n%s", d, body)
		}
	}
	if c.LiveAfter != nil && got.live != *c.LiveAfter {
		t.Errorf("%d runs left, want %d", got.live, *c.LiveAfter)
	}
}

// rejected says why the case is not for millrace, "" if it is.
func (c *detectCase) rejected() string {
	if c.ExpectedError {
		return "the source fails when a match has none of the stage that it skips to; here it skips nothing then, and `check` refuses the first stage"
	}
	if c.timed() && c.back() {
		return "event times go back, and the case depends on them: here records run in order of event time"
	}
	if slices.ContainsFunc(c.Pattern.Stages, func(s caseStage) bool { return len(s.Group) > 0 && s.Quantifier != nil && s.Quantifier.Until != "" }) {
		return "`until` ends the repetition of a stage, not of a group"
	}
	return ""
}

// timed reports whether the result depends on times.
func (c *detectCase) timed() bool {
	return c.Pattern.WithinMS > 0 || slices.ContainsFunc(c.Pattern.Stages, func(s caseStage) bool { return s.GapMS > 0 })
}

// back reports whether event times go back.
func (c *detectCase) back() bool {
	return !slices.IsSortedFunc(c.Events, func(a, b detectEvent) int { return cmp.Compare(a.T, b.T) })
}

// positional reports whether the position of an event is its time: where the source gives none, or where they go back and
// nothing depends on them.
func (c *detectCase) positional() bool { return !c.TGiven || c.back() }

func (c *detectCase) expected() []string {
	var out []string
	for i, m := range c.Expected {
		line := m.String()
		if i < len(c.Emitted) {
			line += fmt.Sprintf(" %s %d", c.Emitted[i].On, c.Emitted[i].ID)
		}
		out = append(out, line)
	}
	return out
}

func (c *detectCase) timeouts() []string {
	var out []string
	for _, x := range c.ExpectedTimeouts {
		out = append(out, fmt.Sprintf("%s at %d", x.Captured, x.At))
	}
	return out
}

func (m caseMatch) String() string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(m)) {
		if len(m[name]) > 0 {
			parts = append(parts, fmt.Sprint(name, " ", m[name]))
		}
	}
	return strings.Join(parts, ", ")
}

// difference compares lines in any order.
func difference(want, got []string) string {
	want, got = slices.Sorted(slices.Values(want)), slices.Sorted(slices.Values(got))
	if slices.Equal(want, got) {
		return ""
	}
	return fmt.Sprintf("\ngot:\n  %s\nwant:\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
}

// caseDetection makes a rule file of a case. The stages are called s0, s1 and so on, because their names may be no names of rules.
type caseDetection struct {
	*detectCase
	stages []caseStage // all but groups
	names  map[string]string
}

func newCaseDetection(c *detectCase) *caseDetection {
	k := &caseDetection{detectCase: c, names: map[string]string{}}
	k.collect(c.Pattern.Stages)
	return k
}

func (k *caseDetection) collect(stages []caseStage) {
	for _, s := range stages {
		if len(s.Group) > 0 {
			k.collect(s.Group)
			continue
		}
		k.names[s.Name] = fmt.Sprint("s", len(k.stages))
		k.stages = append(k.stages, s)
	}
}

func (k *caseDetection) schemas() map[string]string {
	result := `{"type":"record","name":"Result","namespace":"case","fields":[{"name":"key","type":"string"}`
	for i := range k.stages {
		result += fmt.Sprintf(`,{"name":"s%d","type":{"type":"array","items":"long"},"default":[]}`, i)
	}
	return map[string]string{
		"case/Input.avsc": `{"type":"record","name":"Input","namespace":"case","fields":[{"name":"key","type":"string"},{"name":"id","type":"long"},
{"name":"name","type":"string"},{"name":"price","type":"double"},{"name":"kind","type":"string"},{"name":"volume","type":"double"},
{"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}}]}`,
		"case/Result.avsc": result + "]}",
	}
}

func (k *caseDetection) streams() string {
	return `domain: case
streams:
  input: {topic: case.input, schema: case.Input, key: key, time: at}
  match: {topic: case.match, schema: case.Result, key: key}
  timeout: {topic: case.timeout, schema: case.Result, key: key}
`
}

func (k *caseDetection) body() string {
	var b strings.Builder
	fmt.Fprintf(&b, "domain: case\nrules:\n  - name: rule\n    from: {x: case.input}\n    by: x.key\n%s    detect:\n", k.unbounded())
	fmt.Fprintf(&b, "      pattern: '%s'\n      define:\n", k.sequence(k.Pattern.Stages))
	for i := range k.stages {
		k.define(&b, &k.stages[i])
	}
	if k.Pattern.WithinMS > 0 {
		fmt.Fprintf(&b, "      within: %dms\n", k.Pattern.WithinMS)
	}
	fmt.Fprintf(&b, "      skip: %s\n      max_partial: 100000\n      max_matches: 100000\n", k.skip())
	if len(k.ExpectedTimeouts) > 0 {
		fmt.Fprintf(&b, "      on_timeout: {to: case.timeout, select: {key: key%s}}\n", k.selects())
	}
	fmt.Fprintf(&b, "    select: {key: key%s}\n    to: case.match\n", k.selects())
	return b.String()
}

// unbounded says that runs may wait for ever, unless there is a stage that they do not wait for so long.
func (k *caseDetection) unbounded() string {
	if k.Pattern.WithinMS > 0 || len(k.stages) == 2 && k.stages[1].GapMS > 0 {
		return ""
	}
	return "    unbounded: true\n"
}

func (k *caseDetection) selects() string {
	var b strings.Builder
	for _, s := range k.stages {
		if !s.Negated {
			fmt.Fprintf(&b, ", %s: collect(%[1]s.id)", k.names[s.Name])
		}
	}
	return b.String()
}

func (k *caseDetection) define(b *strings.Builder, s *caseStage) {
	name := k.names[s.Name]
	fmt.Fprintf(b, "        %s: {on: x", name)
	if s.Where != "" {
		fmt.Fprintf(b, ", where: '%s'", k.condition(name, s.Where))
	}
	if s.Quantifier != nil && s.Quantifier.Until != "" {
		fmt.Fprintf(b, ", until: '%s'", k.condition(name, s.Quantifier.Until))
	}
	if s.GapMS > 0 {
		fmt.Fprintf(b, ", within: %dms", s.GapMS)
	}
	fmt.Fprintln(b, "}")
}

// skip is the strategy. One that goes to the first record of the only stage drops nothing, and is refused.
func (k *caseDetection) skip() string {
	stage := k.names[k.Pattern.Skip.Stage]
	switch kind := k.Pattern.Skip.Kind; kind {
	case "no_skip":
		return "none"
	case "skip_to_next":
		return "next"
	case "skip_past_last":
		return "past_last"
	default:
		if len(k.stages) == 1 && kind == "skip_to_first" {
			return "none"
		}
		return fmt.Sprintf("%s(%s)", strings.TrimPrefix(kind, "skip_"), stage)
	}
}

func (k *caseDetection) sequence(stages []caseStage) string {
	var b strings.Builder
	for i := range stages {
		s := &stages[i]
		if i > 0 {
			b.WriteString(" " + operatorOf(s.Contiguity) + " ")
		}
		if s.Negated {
			b.WriteString("!")
		}
		if len(s.Group) > 0 {
			b.WriteString("(" + k.sequence(s.Group) + ")")
		} else {
			b.WriteString(k.names[s.Name])
		}
		b.WriteString(s.Quantifier.String())
	}
	return b.String()
}

func operatorOf(contiguity string) string {
	return map[string]string{"strict": ",", "relaxed": "->", "relaxed_any": "->>"}[contiguity]
}

// String returns the quantifier as patterns write it.
func (q *caseQuantifier) String() string {
	if q == nil {
		return ""
	}
	text := ""
	switch {
	case q.Min != nil && q.Max != nil:
		text = fmt.Sprintf("{%d,%d}", *q.Min, *q.Max)
	case q.Min != nil:
		text = fmt.Sprintf("{%d,}", *q.Min)
	case q.Optional:
		return "?"
	}
	if q.Greedy {
		text += "+"
	}
	if q.Optional {
		text += "?"
	}
	if q.Inner != "" {
		text += "[" + operatorOf(q.Inner) + "]"
	}
	return text
}

var (
	caseSum   = regexp.MustCompile(`sum\(captures\["([^"]+)"\], \.(\w+)\)`)
	caseCount = regexp.MustCompile(`len\(captures\["([^"]+)"\]\)`)
	caseFirst = regexp.MustCompile(`captures\["([^"]+)"\]\[0\]\.(\w+)`)
	caseLast  = regexp.MustCompile(`captures\["([^"]+)"\]\[-1\]\.(\w+)`)
	caseEvent = regexp.MustCompile(`\bevent\.`)
)

// condition is a predicate of a case in the language of rules.
func (k *caseDetection) condition(own, text string) string {
	call := func(form string) func([]string) string {
		return func(m []string) string {
			if len(m) == 2 {
				return fmt.Sprintf(form, k.names[m[1]])
			}
			return fmt.Sprintf(form, k.names[m[1]]+"."+m[2])
		}
	}
	text = caseEvent.ReplaceAllString(text, own+".")
	for _, x := range []struct {
		found *regexp.Regexp
		by    func([]string) string
	}{{caseSum, call("sum(%s)")}, {caseCount, call("count(%s)")}, {caseFirst, call("first(%s)")}, {caseLast, call("last(%s)")}} {
		text = x.found.ReplaceAllStringFunc(text, func(s string) string { return x.by(x.found.FindStringSubmatch(s)) })
	}
	return text
}

// detections are what came out of a case.
type detections struct {
	matches, timeouts []string
	live              int
}

func (k *caseDetection) play(t *testing.T, rule *rules.Rule) detections {
	codec, err := newCodec(rule)
	if err != nil {
		t.Fatal(err)
	}
	p := newPlayer(t, rule)
	clock := int64(0)
	for i, e := range k.Events {
		if clock = e.T; k.positional() {
			clock = int64(i + 1)
		}
		context := schemas.Context{EventID: fmt.Sprint("e", e.ID), CorrelationID: "c", Entity: "key", Confidence: 1}
		x, err := codec.event(0, []any{"key", e.ID, e.Name, e.Price, e.Kind, e.Volume, clock}, context)
		if err != nil {
			t.Fatal(err)
		}
		p.due(0, clock)
		p.record(x)
		p.restart()
	}
	if k.AdvanceTo != nil {
		clock = *k.AdvanceTo
	} else if k.ExpectedTimeouts != nil {
		clock = Ended
	}
	p.due(0, clock)
	if len(p.dead) > 0 {
		t.Fatalf("dead letters: %v", p.dead)
	}
	return k.detections(p)
}

func (k *caseDetection) detections(p *player) (out detections) {
	for _, o := range p.played {
		m := caseMatch{}
		for _, s := range k.stages {
			list, _ := o.Fields[k.names[s.Name]].([]any)
			for _, id := range list {
				m[s.Name] = append(m[s.Name], id.(int64))
			}
		}
		line := m.String()
		if o.Stream.Name == "case.timeout" {
			out.timeouts = append(out.timeouts, fmt.Sprintf("%s at %d", line, o.Time))
			continue
		}
		on, id := "event", o.After
		if o.Early {
			on, id = "time_before_event", o.After+1
		}
		out.matches = append(out.matches, fmt.Sprintf("%s %s %d", line, on, id))
	}
	for _, row := range p.rows {
		if c, ok := row.Value.(*detected); ok {
			out.live += c.state.Runs()
		}
	}
	return out
}
