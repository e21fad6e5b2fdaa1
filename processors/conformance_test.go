package processors

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/schemas"
)

// TestConformance runs the cases of testdata/conformance, and of the directory in MILLRACE_CONFORMANCE if that is set: a case
// becomes a rule file, which is checked and compiled, and its inputs become records.
func TestConformance(t *testing.T) {
	for _, dir := range conformanceDirs(t) {
		files, err := filepath.Glob(filepath.Join(dir, "*.json"))
		if err != nil || len(files) == 0 {
			t.Fatalf("no cases in %s: %v", dir, err)
		}
		for _, file := range files {
			conformanceFile(t, file)
		}
	}
}

func conformanceDirs(t *testing.T) []string {
	dirs := []string{filepath.Join("..", "testdata", "conformance")}
	more := os.Getenv("MILLRACE_CONFORMANCE")
	if more == "" {
		return dirs
	}
	if !filepath.IsAbs(more) { // tests run in the folder of their package, and who calls them does so from the root
		more = filepath.Join("..", more)
	}
	a, err := os.Stat(dirs[0])
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.Stat(more)
	if err != nil {
		t.Fatalf("MILLRACE_CONFORMANCE: %v", err)
	}
	if os.SameFile(a, b) {
		return dirs
	}
	return append(dirs, more)
}

func conformanceFile(t *testing.T, file string) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var cases struct{ Cases []json.RawMessage }
	if err := json.Unmarshal(text, &cases); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	var passed, failed, skipped int
	for i, raw := range cases.Cases {
		var head caseHead
		if err := json.Unmarshal(raw, &head); err != nil {
			t.Fatalf("%s: case %d of the file: %v", file, i, err)
		}
		left := false
		ok := t.Run(fmt.Sprintf("%s/%d %s", filepath.Base(file), head.ID, head.Name), func(t *testing.T) {
			defer func() { left = t.Skipped() }()
			if reason := head.skip(); reason != "" {
				t.Skip(reason)
			}
			switch head.Operator.Kind {
			case "join":
				joinCaseOf(t, raw)
			case "":
				detectCaseOf(t, raw)
			default:
				aggregateCase(t, raw)
			}
		})
		switch {
		case left:
			skipped++
		case ok:
			passed++
		default:
			failed++
		}
	}
	summary := fmt.Sprintf("%s: %d passed, %d failed", filepath.Base(file), passed, failed)
	if skipped > 0 {
		summary += fmt.Sprintf(", %d skipped", skipped)
	}
	fmt.Println(summary)
}

// caseHead is what all kinds of cases have.
type caseHead struct {
	ID       int
	Name     string
	Tags     []string
	Note     string
	Operator struct{ Kind, Sides string }
}

// rejected says why cases with a tag describe what millrace does otherwise on purpose.
func rejected(tag string) string {
	switch tag {
	case "source_quirk":
		return "shows behaviour of its source that a new engine should not copy"
	case "eager_legacy":
		return "shows the old mode with null results that later turn out wrong"
	case "late_not_dropped":
		return "shows late records that are neither dropped nor counted (KAFKA-16123)"
	}
	return ""
}

func (c *caseHead) skip() string {
	for _, tag := range c.Tags {
		if reason := rejected(tag); reason != "" {
			return tag + ": " + reason
		}
	}
	switch c.Operator.Kind {
	case "aggregate":
		return ""
	case "join":
		switch c.Operator.Sides {
		case "stream-stream", "stream-table", "table-table", "table-table-fk":
			return ""
		}
		return fmt.Sprintf("joins of sides %q are not there yet", c.Operator.Sides)
	case "": // of a detection
		return ""
	default:
		return fmt.Sprintf("operators of the kind %q are not there yet", c.Operator.Kind)
	}
}

// streamCase is a case of aggregate.json; `format` and `fields` there say what it means.
type streamCase struct {
	ID        int
	Name      string
	Source    string
	Tags      []string
	Note      string
	Unordered bool
	Operator  caseOperator
	Inputs    []caseInput
	Expected  []caseResult
}

type caseOperator struct {
	Kind      string
	Window    *caseWindow
	GraceMS   int64 `json:"grace_ms"`
	Aggregate string
	Emit      string
}

type caseWindow struct {
	Type      string
	SizeMS    int64 `json:"size_ms"`
	AdvanceMS int64 `json:"advance_ms"`
	GapMS     int64 `json:"gap_ms"`
	DiffMS    int64 `json:"diff_ms"`
}

type caseInput struct {
	Stream string
	Key    any
	T      int64
	Value  any
}

type caseResult struct {
	Key    any
	T      int64
	Window []int64
	Value  any
	After  int
}

func decodeCase(t *testing.T, raw []byte, into any) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		t.Fatal(err)
	}
}

func aggregateCase(t *testing.T, raw []byte) {
	var c streamCase
	decodeCase(t, raw, &c)
	if reason := c.rejected(); reason != "" {
		t.Skip(reason)
	}
	rule, err := c.compile()
	if err != nil {
		t.Fatal(err)
	}
	got := c.play(t, rule)
	if wrong := c.compare(got); wrong != "" {
		t.Errorf("%s\ngot:\n%s\nwant:\n%s", wrong, resultLines(got), resultLines(c.Expected))
	}
}

// rejected says why the case is not for millrace, "" if it is.
func (c *streamCase) rejected() string {
	w := c.Operator.Window
	switch {
	case w == nil:
		return ""
	case w.Type == "hopping" && (w.AdvanceMS <= 0 || w.SizeMS%w.AdvanceMS != 0):
		return "hopping windows whose size is no multiple of the hop are refused (E211)"
	case w.Type == "sliding" && c.doubled():
		return "the source writes a sliding window that begins after one record and ends with another twice; here it is one window"
	}
	return ""
}

// doubled reports whether the same result is expected more than once.
func (c *streamCase) doubled() bool {
	seen := map[string]bool{}
	for _, x := range c.Expected {
		line := x.String()
		if seen[line] {
			return true
		}
		seen[line] = true
	}
	return false
}

// compile makes a rule file of the case. Its results carry the window and, so that every record changes them, how many
// records the window holds.
func (c *streamCase) compile() (*rules.Rule, error) {
	value, err := c.valueType()
	if err != nil {
		return nil, err
	}
	call, result, err := c.aggregate(value)
	if err != nil {
		return nil, err
	}
	window, selects, emit := "unbounded: true", "", "emit: each"
	if c.Operator.Window != nil {
		if window, err = c.window(); err != nil {
			return nil, err
		}
		window += fmt.Sprintf("\n    lateness: %dms", c.Operator.GraceMS)
		selects = ", start: window.start, end: window.end"
		switch c.Operator.Emit {
		case "update":
			emit = "emit: changes"
		case "final":
			emit = "emit: final"
		default:
			return nil, fmt.Errorf("unknown emit %q", c.Operator.Emit)
		}
	}
	const timestamp = `{"type":"long","logicalType":"timestamp-millis"}`
	return load(map[string]string{
		"case/Input.avsc": `{"type":"record","name":"Input","namespace":"case","fields":[{"name":"key","type":"string"},{"name":"value","type":"` + value +
			`"},{"name":"at","type":` + timestamp + `}]}`,
		"case/Result.avsc": `{"type":"record","name":"Result","namespace":"case","fields":[{"name":"key","type":"string"},{"name":"value","type":["null",` + result +
			`],"default":null},{"name":"start","type":["null",` + timestamp + `],"default":null},{"name":"end","type":["null",` + timestamp +
			`],"default":null},{"name":"records","type":"long"}]}`,
	}, `domain: case
streams:
  input: {topic: case.input, schema: case.Input, key: key, time: at}
  result: {topic: case.result, schema: case.Result, key: key, tombstones: ignore}
`, `domain: case
rules:
  - name: rule
    from: {x: case.input}
    by: x.key
    `+window+`
    `+emit+`
    select: {key: key, value: '`+call+`', records: count()`+selects+`}
    to: case.result
`)
}

// valueType is the Avro type of the inputs' values.
func (c *streamCase) valueType() (string, error) {
	found := ""
	for _, in := range c.Inputs {
		typ := ""
		switch v := in.Value.(type) {
		case nil:
			continue
		case string:
			typ = "string"
		case bool:
			typ = "boolean"
		case json.Number:
			typ = "long"
			if _, err := v.Int64(); err != nil {
				typ = "double"
			}
		default:
			return "", fmt.Errorf("no type for the value %v", v)
		}
		switch {
		case found == "" || found == "long" && typ == "double":
			found = typ
		case found != typ && (found != "double" || typ != "long"):
			return "", fmt.Errorf("values of the types %s and %s", found, typ)
		}
	}
	return cmp.Or(found, "long"), nil
}

// aggregate is the call in the rule's language, and the Avro type of its result.
func (c *streamCase) aggregate(value string) (call, result string, err error) {
	one := `"` + value + `"`
	switch f := c.Operator.Aggregate; f {
	case "count":
		return "count()", `"long"`, nil
	case "collect", "list":
		return "list(x.value, 1000)", `{"type":"array","items":` + one + `}`, nil
	case "sum", "min", "max", "first", "last":
		return f + "(x.value)", one, nil
	case "avg", "variance", "stddev":
		return f + "(x.value)", `"double"`, nil
	case "distinct":
		return "distinct(x.value)", `"long"`, nil
	default:
		return "", "", fmt.Errorf("unknown aggregate %q", f)
	}
}

func (c *streamCase) window() (string, error) {
	switch w := c.Operator.Window; w.Type {
	case "tumbling":
		return fmt.Sprintf("window: {size: %dms}", w.SizeMS), nil
	case "hopping":
		return fmt.Sprintf("window: {size: %dms, hop: %dms}", w.SizeMS, w.AdvanceMS), nil
	case "session":
		return fmt.Sprintf("window: {gap: %dms}", w.GapMS), nil
	case "sliding":
		return fmt.Sprintf("window: {sliding: %dms}", w.DiffMS), nil
	default:
		return "", fmt.Errorf("unknown window %q", w.Type)
	}
}

// play feeds the inputs. A record without a key or a value is none of a stream, and moves no time.
func (c *streamCase) play(t *testing.T, rule *rules.Rule) []caseResult {
	codec, err := newCodec(rule)
	if err != nil {
		t.Fatal(err)
	}
	p := newPlayer(t, rule)
	clock := Unknown
	for i, in := range c.Inputs {
		if in.Key == nil || in.Value == nil {
			p.read++
			continue
		}
		key := fmt.Sprint(in.Key)
		context := schemas.Context{EventID: fmt.Sprintf("e%03d", i), CorrelationID: "c", Entity: key, Confidence: 1}
		e, err := codec.event(0, []any{key, plain(in.Value), in.T}, context)
		if err != nil {
			t.Fatal(err)
		}
		clock = max(clock, e.Time)
		p.due(0, clock)
		p.record(e)
	}
	if len(p.dead) > 0 {
		t.Fatalf("dead letters: %v", p.dead)
	}
	return caseResults(p.played, c.Operator.Window != nil)
}

func caseResults(outputs []played, windowed bool) []caseResult {
	results := make([]caseResult, len(outputs))
	for i, o := range outputs {
		x := caseResult{Key: o.Key, T: o.Time, After: o.After}
		if windowed {
			x.Window = []int64{o.Fields["start"].(int64), o.Fields["end"].(int64)}
		}
		if !o.Delete {
			x.Value = o.Fields["value"]
		}
		results[i] = x
	}
	return results
}

// plain is a JSON value as encoders take it.
func plain(v any) any {
	n, ok := v.(json.Number)
	if !ok {
		return v
	}
	if i, err := n.Int64(); err == nil {
		return i
	}
	f, _ := n.Float64() // checked by valueType: it is a number
	return f
}

// compare says what is wrong with the results, "" if nothing is.
func (c *streamCase) compare(got []caseResult) string {
	rest := slices.Clone(got)
	for i, want := range c.Expected {
		at := 0
		if c.Unordered {
			at = slices.IndexFunc(rest, want.accepts)
		}
		if at < 0 || at >= len(rest) || !want.accepts(rest[at]) {
			return fmt.Sprintf("result %d of %d is not there: %s", i+1, len(c.Expected), want)
		}
		rest = slices.Delete(rest, at, at+1)
	}
	if len(rest) > 0 {
		return fmt.Sprintf("%d results too many, the first is %s", len(rest), rest[0])
	}
	return ""
}

// accepts reports whether the result is the wanted one and came in time.
func (x caseResult) accepts(got caseResult) bool {
	return x.String() == got.String() && (x.After == 0 || got.After <= x.After)
}

func (x caseResult) String() string {
	return fmt.Sprintf("key %v t %d window %v value %s", x.Key, x.T, x.Window, canonicalValue(x.Value))
}

// canonicalValue writes a value of a case or of a result; equal numbers are equal texts, whatever their type.
func canonicalValue(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case []any:
		parts := make([]string, len(v))
		for i, x := range v {
			parts[i] = canonicalValue(x)
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case json.Number:
		if f, _, err := big.ParseFloat(v.String(), 10, 200, big.ToNearestEven); err == nil {
			return f.Text('g', 17)
		}
		return v.String()
	case int64:
		return new(big.Float).SetPrec(200).SetInt64(v).Text('g', 17)
	case float64:
		return new(big.Float).SetPrec(200).SetFloat64(v).Text('g', 17)
	case map[string]any:
		parts := make([]string, 0, len(v))
		for _, name := range slices.Sorted(maps.Keys(v)) {
			parts = append(parts, name+" "+canonicalValue(v[name]))
		}
		return "{" + strings.Join(parts, ", ") + "}"
	case string:
		return fmt.Sprintf("%q", v)
	}
	return fmt.Sprint(v)
}

func resultLines(results []caseResult) string {
	var b strings.Builder
	for _, x := range results {
		fmt.Fprintln(&b, "  ", x)
	}
	return b.String()
}
