package processors

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/schemas"
)

// joinCase is a case of join.json; `format` and `fields` there say what it means.
type joinCase struct {
	ID        int
	Name      string
	Source    string
	Tags      []string
	Note      string
	Unordered bool
	Operator  joinOperator
	Inputs    []caseInput
	Expected  []caseResult
}

type joinOperator struct {
	Kind       string
	Sides      string
	Type       string
	BeforeMS   int64 `json:"before_ms"`
	AfterMS    int64 `json:"after_ms"`
	GraceMS    int64 `json:"grace_ms"`
	Unmatched  string
	Self       bool   // each input is one record of the one stream
	ForeignKey string `json:"fk"` // the field of left records with the key of the right ones
	Table      string // latest or versioned
	HistoryMS  int64  `json:"history_retention_ms"`
}

// stream reports whether the side is a stream, not a table.
func (o *joinOperator) stream(side string) bool {
	return o.Sides == "stream-stream" || o.Sides == "stream-table" && side == "l"
}

func joinCaseOf(t *testing.T, raw []byte) {
	var c joinCase
	decodeCase(t, raw, &c)
	if reason := c.rejected(); reason != "" {
		t.Skip(reason)
	}
	if c.Operator.Sides == "table-table-fk" {
		foreignOf(t, &c)
		return
	}
	rule, err := c.compile()
	if err != nil {
		t.Fatal(err)
	}
	compared := streamCase{Unordered: c.Unordered, Expected: byTime(c.expected())}
	got := byTime(c.play(t, rule))
	if wrong := compared.compare(got); wrong != "" {
		t.Errorf("%s\ngot:\n%s\nwant:\n%s", wrong, resultLines(got), resultLines(compared.Expected))
	}
}

// rejected says why the case is not for millrace, "" if it is.
func (c *joinCase) rejected() string {
	if c.Operator.Sides == "stream-stream" && c.Operator.Unmatched != "on_close" {
		return "records come out unmatched when none can match them any more, not before"
	}
	for _, in := range c.Inputs {
		if in.Key == nil && c.Operator.Sides == "stream-stream" && (c.Operator.Type == "outer" || c.Operator.Type == "left" && in.Stream == "l" || c.Operator.Type == "right" && in.Stream == "r") {
			return "a record whose key is null is a dead letter here (null_key), also on a side whose records come out unmatched"
		}
	}
	return ""
}

// compile makes a rule file of the case. Values are texts, whatever they are in the case.
func (c *joinCase) compile() (*rules.Rule, error) {
	right, l, r := "case.right", "l.value", "r.value"
	if c.Operator.Self {
		right = "case.left"
	}
	if c.Operator.Type == "right" || c.Operator.Type == "outer" {
		l = "l?.value"
	}
	if c.Operator.Type == "left" || c.Operator.Type == "outer" {
		r = "r?.value"
	}
	rule := fmt.Sprintf("join: {type: %s, within: {before: %dms, after: %dms}}\n    by: key\n    lateness: %dms", c.Operator.Type, c.Operator.BeforeMS, c.Operator.AfterMS, c.Operator.GraceMS)
	from, table := "{l: case.left, r: "+right+"}", "true"
	if c.Operator.Table == "versioned" {
		table = fmt.Sprintf("{history: %dms}", c.Operator.HistoryMS)
	}
	keeps := func(side string) string {
		if c.Operator.stream(side) {
			return ""
		}
		return ", table: " + table
	}
	switch c.Operator.Sides {
	case "stream-table":
		from, rule = "{l: case.left}", "lookup: {r: {table: case.right, type: "+c.Operator.Type
		if c.Operator.Table == "versioned" {
			rule += ", as_of: now()"
		}
		rule += fmt.Sprintf("}}\n    lateness: %dms", c.Operator.GraceMS)
	case "table-table":
		rule = "join: {tables: true, type: " + c.Operator.Type + "}"
	}
	if c.Operator.Table == "latest" { // what the source does depends on the order of arrival
		rule += "\n    order: arrival"
	}
	return load(map[string]string{
		"case/Input.avsc":  `{"type":"record","name":"Input","namespace":"case","fields":[{"name":"key","type":"string"},{"name":"value","type":"string"},{"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}}]}`,
		"case/Result.avsc": `{"type":"record","name":"Result","namespace":"case","fields":[{"name":"key","type":"string"},{"name":"l","type":["null","string"],"default":null},{"name":"r","type":["null","string"],"default":null}]}`,
	}, `domain: case
streams:
  left: {topic: case.left, schema: case.Input, key: key, time: at`+keeps("l")+`}
  right: {topic: case.right, schema: case.Input, key: key, time: at`+keeps("r")+`}
  result: {topic: case.result, schema: case.Result, key: key, tombstones: ignore}
`, fmt.Sprintf(`domain: case
rules:
  - name: rule
    from: %s
    %s
    select: {key: key, l: '%s', r: '%s'}
    to: case.result
`, from, rule, l, r))
}

// play feeds the inputs. Event time is the largest of both streams. A record without a key or a value is none of a stream, and
// moves no time.
func (c *joinCase) play(t *testing.T, rule *rules.Rule) []caseResult {
	codec, err := newCodec(rule)
	if err != nil {
		t.Fatal(err)
	}
	p := newPlayer(t, rule)
	clock, inputs := Unknown, map[string][]int{"l": {0}, "r": {1}}
	switch {
	case c.Operator.Self:
		inputs["l"] = []int{0, 1}
	case c.Operator.Sides == "stream-table": // tables come first
		inputs = map[string][]int{"r": {0}, "l": {1}}
	}
	ahead := int64(0) // records of one time come as they are listed
	if c.Operator.Sides != "stream-stream" {
		ahead = 1
	}
	read := 0
	for i, in := range c.Inputs {
		read++
		p.read = read
		if in.Key == nil || in.Value == nil && c.Operator.stream(in.Stream) {
			continue
		}
		key, value := fmt.Sprint(in.Key), canonicalValue(in.Value)
		context := schemas.Context{EventID: fmt.Sprintf("e%03d", i), CorrelationID: "c", Entity: key, Confidence: 1}
		if c.Operator.Sides != "stream-table" || in.Stream == "l" {
			clock = max(clock, in.T+ahead)
		}
		for input := range rule.Inputs {
			p.due(input, clock)
		}
		for _, input := range inputs[in.Stream] {
			e, err := codec.event(input, []any{key, value, in.T}, context)
			if err != nil {
				t.Fatal(err)
			}
			if in.Value == nil {
				e.Record, e.Key, e.Time = schemas.Record{}, key, in.T
			}
			p.read = read - 1 // record counts it
			p.record(e)
		}
	}
	if len(p.dead) > 0 {
		t.Fatalf("dead letters: %v", p.dead)
	}
	return resultsOf(p)
}

// resultsOf are the results that a player has seen.
func resultsOf(p *player) []caseResult {
	results := make([]caseResult, len(p.played))
	for i, o := range p.played {
		text := func(v any) any {
			if v == nil {
				return "null"
			}
			return v
		}
		results[i] = caseResult{Key: o.Key, T: o.Time, After: o.After, Value: pairText(text(o.Fields["l"]), text(o.Fields["r"]))}
		if o.Delete {
			results[i].Value = deletedText
		}
	}
	return results
}

// deletedText is the value of a deletion.
const deletedText = "deleted"

// pairText is the value of a result as it is compared: "null" for a side that is missing.
func pairText(l, r any) string { return fmt.Sprintf("l %v, r %v", l, r) }

// expected are the results with the values of both sides in the form that the rule gives them.
func (c *joinCase) expected() []caseResult {
	out := slices.Clone(c.Expected)
	for i := range out {
		sides, ok := out[i].Value.(map[string]any)
		if !ok {
			out[i].Value = deletedText
			continue
		}
		out[i].Value = pairText(canonicalValue(sides["l"]), canonicalValue(sides["r"]))
	}
	return out
}

// byTime sorts neighbours of which each came out alone, brought by one record, by time and key, as the source has them. Here
// they come by their deadlines, and those of different keys in any order.
func byTime(results []caseResult) []caseResult {
	alone := func(x caseResult) bool { return strings.Contains(x.Value.(string), "null") }
	for from := 0; from < len(results); from++ {
		to := from
		for to < len(results) && alone(results[to]) && results[to].After == results[from].After {
			to++
		}
		slices.SortStableFunc(results[from:to], func(a, b caseResult) int {
			return cmp.Or(cmp.Compare(a.T, b.T), cmp.Compare(fmt.Sprint(a.Key), fmt.Sprint(b.Key)))
		})
		from = max(from, to-1)
	}
	return results
}
