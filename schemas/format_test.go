package schemas

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// TestMurmur2OfTheJavaClient holds the vectors of kafka-clients' UtilsTest.
func TestMurmur2OfTheJavaClient(t *testing.T) {
	for key, want := range map[string]int32{
		"21": -973932308, "foobar": -790332482, "a-little-bit-long-string": -985981536, "a-little-bit-longer-string": -1486304829,
		"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971, "abc": 479470107,
	} {
		if got := Murmur2([]byte(key)); got != want {
			t.Errorf("%q: %d, want %d", key, got, want)
		}
		if got, want := Partition([]byte(key), 12), (want&0x7fffffff)%12; got != want {
			t.Errorf("partition of %q: %d, want %d", key, got, want)
		}
	}
}

func TestHasher(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.SliceOf(rapid.ByteMax(250)).Filter(func(b []byte) bool { return !strings.Contains(string(b), "\x00") }).Draw(t, "key")
		n := rapid.Int32Range(1, 1000).Draw(t, "partitions")
		h := NewHasher()
		_, _ = h.Write([]byte("former"))
		h.Reset()
		half := len(key) / 2
		_, _ = h.Write(key[:half])
		_, _ = h.Write(append(key[half:], "\x00rule\x00cell"...))
		sum := int32(h.Sum32())
		if sum < 0 || sum%n != Partition(key, n) {
			t.Fatalf("sum %d, partition %d, want %d", sum, sum%n, Partition(key, n))
		}
	})
}

func TestFrame(t *testing.T) {
	b := append(AppendFrame(nil, 70_000), "body"...)
	id, body, err := Frame(b)
	if id != 70_000 || string(body) != "body" || err != nil {
		t.Errorf("%d %q %v", id, body, err)
	}
	for _, bad := range [][]byte{nil, {}, {0}, {0, 0, 0, 1}, {1, 0, 0, 0, 1}, {0, 0, 0, 0, 0}, {0, 0xff, 0xff, 0xff, 0xff}} {
		if _, _, err := Frame(bad); !errors.As(err, new(*FramingError)) || !strings.HasPrefix(err.Error(), "bad_framing: ") {
			t.Errorf("%v: %v", bad, err)
		}
	}
	if id, body, err := Frame([]byte{0, 0x7f, 0xff, 0xff, 0xff}); id != math.MaxInt32 || len(body) != 0 || err != nil {
		t.Errorf("%d %q %v", id, body, err)
	}
}

// TestIDsNeverChange: ids are in records that others keep.
func TestIDsNeverChange(t *testing.T) {
	for got, want := range map[string]string{
		EventID():                            "4c894be3-d150-571d-9abe-d4a7979bb12b",
		EventID("rule", "version", "key"):    "7861ddbc-f508-5bcf-82ed-345e62850c97",
		InputID("commerce.purchases", 3, 42): "0b19db7d-15e1-505d-8184-2fa639add976",
	} {
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	if EventID("ab", "c") == EventID("a", "bc") || EventID("a") == EventID("a", "") {
		t.Error("different parts, same id")
	}
	if id := EventID("x"); id[14] != '5' || !strings.ContainsRune("89ab", rune(id[19])) {
		t.Errorf("%s is no UUIDv5", id)
	}
}

func TestWriterHeader(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := Writer{
			Name: rapid.String().Draw(t, "name"), Partition: rapid.Int32().Draw(t, "partition"), OutputTime: rapid.Int64().Draw(t, "time"),
			Origin: Origin{
				Stream: rapid.String().Draw(t, "stream"), Key: rapid.String().Draw(t, "key"), Offset: rapid.Int64().Draw(t, "offset"),
				EventID: rapid.String().Draw(t, "id"),
			},
			Ordinal: rapid.Int64().Draw(t, "ordinal"),
		}
		b := w.Append(nil)
		if got, err := ParseWriter(b); err != nil || got != w {
			t.Fatalf("%+v, %v; want %+v", got, err, w)
		}
		if got, err := ParseWriter(append(b, 0x7a, 2, 'h', 'i')); err != nil || got != w { // field 15 of a later version
			t.Fatalf("with a later field: %+v, %v", got, err)
		}
	})
	for _, bad := range [][]byte{nil, {0}, {2}, {1, 0x0a}, {1, 0x0a, 200, 'x'}, append([]byte{1}, make([]byte, maxWriterSize)...)} {
		if _, err := ParseWriter(bad); !errors.Is(err, ErrWriterHeader) {
			t.Errorf("%.10v: %v", bad, err)
		}
	}
}

func TestCloudEvent(t *testing.T) {
	got := ""
	for _, h := range CloudEvent(nil, "id-1", "risk.Signal", "millrace/risk.moved", "user-1", 1_700_000_000_123) {
		got += fmt.Sprintf("%s: %s\n", h.Key, h.Value)
	}
	want := `ce_specversion: 1.0
ce_id: id-1
ce_type: risk.Signal
ce_source: millrace/risk.moved
ce_time: 2023-11-14T22:13:20.123Z
ce_subject: user-1
content-type: application/avro
`
	if got != want {
		t.Errorf("got\n%s", got)
	}
}

const contextSchema = `{"type":"record","name":"Signal","namespace":"risk","fields":[
{"name":"event_id","type":"string"},{"name":"correlation_id","type":"string"},{"name":"causation_id","type":["null","string"],"default":null},
{"name":"entity","type":"string"},
{"name":"occurred_at","type":{"type":"long","logicalType":"timestamp-millis"}},{"name":"recorded_at","type":{"type":"long","logicalType":"timestamp-millis"}},
{"name":"source","type":"string"},{"name":"region","type":"string"},{"name":"confidence","type":"double","default":1},
{"name":"priority","type":{"type":"enum","name":"Priority","symbols":["critical","standard","bulk"]}},
{"name":"version","type":{"type":"map","values":"long"}},
{"name":"lineage","type":{"type":"array","items":{"type":"record","name":"Step","fields":[
{"name":"rule","type":"string"},{"name":"rule_version","type":"string"},{"name":"domain","type":"string"},
{"name":"event_ids","type":{"type":"array","items":"string"}},{"name":"inputs","type":"long","default":0},
{"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}}]}}}]}`

func contextOf(n int) Context {
	c := Context{
		EventID: "e", CorrelationID: "c", CausationID: "b", Entity: "user-1", OccurredAt: 5, RecordedAt: 6, Source: "s", Region: "eu",
		Confidence: 0.5, Priority: PriorityBulk, Version: map[string]int64{},
	}
	for i := range n {
		c.Version[fmt.Sprint("r", i)] = int64(i)
		c.Lineage = append(c.Lineage, Step{Rule: "risk.moved", RuleVersion: "v", Domain: "risk", EventIDs: []string{"x", "y"}, Inputs: 9, At: int64(i)})
	}
	return c
}

func contextValues(c *Context) []any {
	return []any{
		c.EventID, c.CorrelationID, c.CausationID, c.Entity, c.OccurredAt, c.RecordedAt, c.Source, c.Region, c.Confidence, c.Priority,
		c.Version, c.Lineage,
	}
}

func TestContext(t *testing.T) {
	s := mustParse(t, contextSchema)
	d, err := NewContextDecoder(s)
	if err != nil {
		t.Fatal(err)
	}
	var kept []Context
	var want []Context
	for _, n := range []int{3, 0, MaxLineage, 1} {
		c := contextOf(n)
		var got Context
		if err := d.Decode(encode(t, s, contextValues(&c)...), &got); err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			got.Version, got.Lineage = c.Version, c.Lineage // empty or nil
		}
		kept, want = append(kept, got), append(want, c)
	}
	if diff := cmp.Diff(want, kept); diff != "" { // at the end: no decode may change what another one returned
		t.Error(diff)
	}
	// typed and general forms have the same bytes
	c := contextOf(2)
	values := contextValues(&c)
	values[10] = map[string]any{"r1": int64(1), "r0": int64(0)}
	var steps []any
	for _, st := range c.Lineage {
		steps = append(steps, map[string]any{"rule": st.Rule, "rule_version": st.RuleVersion, "domain": st.Domain, "event_ids": []string{"x", "y"}, "inputs": st.Inputs, "at": st.At})
	}
	values[11] = steps
	if a, b := encode(t, s, values...), encode(t, s, contextValues(&c)...); string(a) != string(b) {
		t.Errorf("%x\n%x", a, b)
	}
}

func TestContextThatBreaksItsRules(t *testing.T) {
	s := mustParse(t, contextSchema)
	d, err := NewContextDecoder(s)
	if err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(c *Context){
		"bad_context in field confidence: not within 0 and 1":      func(c *Context) { c.Confidence = -0.1 },
		"bad_context in field confidence: not within 0 and 1 ":     func(c *Context) { c.Confidence = 2 },
		"bad_context in field confidence: not within 0 and 1  ":    func(c *Context) { c.Confidence = math.NaN() },
		"bad_context in field lineage: more than 32 steps":         func(c *Context) { c.Lineage = make([]Step, 33) },
		"bad_context in field lineage: a step of more than 16 ids": func(c *Context) { c.Lineage = []Step{{EventIDs: make([]string, 17)}} },
		"bad_context in field version: a negative counter":         func(c *Context) { c.Version = map[string]int64{"r": -1} },
		"bad_context in field version: more than 64 entries":       func(c *Context) { *c = contextOf(65); c.Lineage = nil },
	} {
		c := contextOf(1)
		change(&c)
		err := d.Decode(encode(t, s, contextValues(&c)...), &c)
		if !errors.As(err, new(*DecodeError)) || err.Error() != strings.TrimSpace(want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func TestContextOfOtherSchemas(t *testing.T) {
	// the benchmark's event has a long called version, and no lineage
	s := mustParse(t, change)
	d, err := NewContextDecoder(s)
	if err != nil {
		t.Fatal(err)
	}
	var c Context
	if err := d.Decode(encode(t, s, changeValues()...), &c); err != nil {
		t.Fatal(err)
	}
	want := Context{
		EventID: "0b1c2d3e-4f50-5162-8374-95a6b7c8d9e0", CorrelationID: "1b1c2d3e-4f50-5162-8374-95a6b7c8d9e0", OccurredAt: 1_700_000_000_000,
		RecordedAt: 1_700_000_000_123, Source: "mobile", Region: "eu-west", Confidence: 0.75, Priority: PriorityStandard,
	}
	if diff := cmp.Diff(want, c); diff != "" {
		t.Error(diff)
	}
	// other types under the same names, other priorities, no record at all
	s = mustParse(t, record(`{"name":"event_id","type":"long"}`, `{"name":"priority","type":"string"}`, `{"name":"lineage","type":{"type":"array","items":"string"}}`,
		`{"name":"occurred_at","type":{"type":"long","logicalType":"timestamp-micros"}}`))
	if d, err = NewContextDecoder(s); err != nil {
		t.Fatal(err)
	}
	if err := d.Decode(encode(t, s, int64(1), "high", []string{"x"}, int64(7)), &c); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Context{Confidence: 1, Priority: PriorityStandard, OccurredAt: 7}, c); diff != "" {
		t.Error(diff)
	}
	if d, err = NewContextDecoder(mustParse(t, `"string"`)); err != nil {
		t.Fatal(err)
	}
	if err := d.Decode([]byte{0}, &c); err != nil || c.Confidence != 1 {
		t.Error(err)
	}
}
