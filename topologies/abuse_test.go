package topologies

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/schemas"
)

// badRecord is a record of web.clicks and what must become of it: the codes of its dead letters by rule ("" for the
// stream), and nothing else. Rules that are not named process it.
type badRecord struct {
	name   string
	key    []byte
	value  []byte
	part   int32 // -1: where the key belongs
	dead   map[string]string
	header []kgo.RecordHeader
}

const abusePartitions = 4

// stream is the dead letter of a record that no rule can read.
func stream(code string) map[string]string { return map[string]string{"": code} }

// click encodes a click; edit changes its fields.
func click(t *testing.T, s *schemas.Schema, id int32, edit func(map[string]any)) []byte {
	t.Helper()
	m := map[string]any{"event_id": "e", "user_id": "u1", "page": "p", "amount": 1.0, "occurred_at": int64(1_700_000_000_000)}
	if edit != nil {
		edit(m)
	}
	enc, err := schemas.NewEncoder(s)
	if err != nil {
		t.Fatal(err)
	}
	var fields []any
	for _, f := range s.Type().Fields {
		fields = append(fields, m[f.Name])
	}
	b, err := enc.Append(schemas.AppendFrame(nil, id), fields)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// abuse lists bad records. id is the schema id of a click; others are writer schemas registered for the same topic.
func abuse(t *testing.T, c *cluster) []badRecord {
	s := c.set.Stream("web.clicks")
	id := c.ids[s]
	good := click(t, s.Schema, id, nil)
	edited := func(f func(map[string]any)) []byte { return click(t, s.Schema, id, f) }
	frame := func(id int32, body ...byte) []byte { return append(schemas.AppendFrame(nil, id), body...) }
	// after the two strings of a good record
	prefix := append(frame(id), "\x02e\x04u1"...)
	later := func(b ...byte) []byte { return append(bytes.Clone(prefix), b...) }
	register := func(extra string) int32 {
		t.Helper()
		text := strings.TrimSuffix(schemaClick, "]}") + "," + extra + "]}"
		id, err := c.registry.Register(t.Context(), "other-"+fmt.Sprint(len(extra)), text)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	bodyOf := func(b []byte) []byte { return b[schemas.FrameSize:] }
	varint := func(v int64) []byte { return binary.AppendVarint(nil, v) }

	nothing := register(`{"name":"xs","type":{"type":"array","items":"null"}}`)
	deep := register(`{"name":"n","type":["null",{"type":"record","name":"N","fields":[{"name":"n","type":["null","N"]}]}],"default":null}`)
	sure := register(`{"name":"confidence","type":"double"}`)
	incompatible, err := c.registry.Register(t.Context(), "other", `{"type":"record","name":"Click","namespace":"web","fields":[{"name":"user_id","type":"string"}]}`)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{"web.big": "bad_context", "web.counts": "bad_context", "web.bypage": "bad_context"}
	delete(all, "web.big") // its `where` is not met
	return []badRecord{
		{name: "null value", dead: stream("null_value")},
		{name: "empty value", value: []byte{}, dead: stream("bad_framing")},
		{name: "one byte", value: []byte{0}, dead: stream("bad_framing")},
		{name: "four bytes", value: []byte{0, 0, 0, 0}, dead: stream("bad_framing")},
		{name: "other magic byte", value: append([]byte{1}, good[1:]...), dead: stream("bad_framing")},
		{name: "schema id 0", value: frame(0, 1), dead: stream("bad_framing")},
		{name: "schema id -1", value: frame(-1, 1), dead: stream("bad_framing")},
		{name: "unknown schema id", value: frame(math.MaxInt32, 1), dead: stream("unknown_schema")},
		{name: "no Avro", value: frame(id, []byte("hello, world, this is text")...), dead: stream("undecodable")},
		{name: "truncated", value: good[:len(good)-3], dead: stream("undecodable")},
		{name: "nothing after the header", value: frame(id), dead: stream("undecodable")},
		{name: "trailing bytes", value: append(bytes.Clone(good), 0), dead: stream("undecodable")},
		{name: "negative string length", value: later(append([]byte{2}, varint(-5)...)...), dead: stream("undecodable")},
		{name: "huge string length", value: later(append([]byte{2}, varint(math.MaxInt64)...)...), dead: stream("undecodable")},
		{name: "invalid UTF-8 in a string", value: append(frame(id), "\x02e\x04\xff\xfe"+string(bodyOf(good)[5:])...), dead: stream("undecodable")},
		{name: "union index 99", value: later(varint(99)...), dead: stream("undecodable")},
		{name: "varint of eleven bytes", value: later(bytes.Repeat([]byte{0x80}, 11)...), dead: stream("undecodable")},
		{name: "invalid UTF-8 in the key", key: []byte("u\xff"), value: good, part: 0, dead: stream("bad_key")},
		{name: "NUL in the key", key: []byte("u\x001"), value: good, part: 0, dead: stream("bad_key")},
		{name: "null key, right partition", value: good, part: schemas.Partition([]byte("u1"), abusePartitions)},
		{name: "wrong partition", key: []byte("u1"), value: good, part: (schemas.Partition([]byte("u1"), abusePartitions) + 1) % abusePartitions, dead: map[string]string{"web.counts": "wrong_partition"}},
		{name: "key field of another partition", key: []byte("u1"), value: edited(func(m map[string]any) { m["user_id"] = elsewhere("u1") }), part: schemas.Partition([]byte("u1"), abusePartitions), dead: map[string]string{"web.counts": "wrong_partition"}},
		{name: "event id of 2 MB", value: edited(func(m map[string]any) { m["event_id"] = strings.Repeat("e", 2<<20) })},
		{name: "time before 1970", value: edited(func(m map[string]any) { m["occurred_at"] = int64(-1) }), dead: stream("bad_time")},
		{name: "time out of range", value: edited(func(m map[string]any) { m["occurred_at"] = int64(math.MaxInt64 / 1000) }), dead: stream("bad_time")},
		{name: "far ahead of the wall clock", value: edited(func(m map[string]any) { m["occurred_at"] = int64(4_000_000_000_000) }), dead: stream("implausible_time")},
		{name: "not a number", value: edited(func(m map[string]any) { m["amount"] = math.NaN() }), dead: map[string]string{"web.counts": "not_finite", "web.bypage": "not_finite"}},
		{name: "infinity", value: edited(func(m map[string]any) { m["amount"] = math.Inf(1) }), dead: map[string]string{"web.counts": "not_finite", "web.bypage": "not_finite"}},
		{name: "no page", value: edited(func(m map[string]any) { m["page"] = nil })},
		{name: "NUL in the re-keyed field", value: edited(func(m map[string]any) { m["page"] = "a\x00b" }), dead: map[string]string{"web.bypage": "bad_key"}},
		{name: "5 MB value that is no key", value: edited(func(m map[string]any) { m["page"] = "p" + strings.Repeat("x", 5<<20) }), dead: map[string]string{"web.counts": "state_too_large", "web.bypage": "bad_key"}},
		{name: "5 MB value that a rule forwards", value: edited(func(m map[string]any) { m["page"], m["amount"] = "q"+strings.Repeat("x", 5<<20), 9.0 }), dead: map[string]string{"web.big": "output_too_large", "web.bypage": "bad_key", "web.counts": "state_too_large"}},
		{name: "array of eight million nulls", value: append(append(frame(nothing, bodyOf(good)...), varint(8_000_000)...), 0), dead: stream("undecodable")},
		{name: "recursion 20,000 deep", value: append(frame(deep, bodyOf(good)...), append(bytes.Repeat([]byte{2}, 20_000), 0)...), dead: stream("undecodable")},
		{name: "incompatible writer schema", value: append(frame(incompatible), "\x04u1"...), dead: stream("incompatible_schema")},
		{name: "confidence 2", value: binary.LittleEndian.AppendUint64(frame(sure, bodyOf(good)...), math.Float64bits(2)), dead: all},
		{name: "expression that fails", value: edited(func(m map[string]any) { m["page"] = "fail" }), dead: map[string]string{"web.parse": "*"}},
		{name: "headers without end", value: good, header: many(2000)},
		{name: "forged headers", value: good, header: []kgo.RecordHeader{{Key: "millrace-writer", Value: []byte("nonsense")}, {Key: "traceparent", Value: bytes.Repeat([]byte("x"), 1000)}, {Key: "ce_id", Value: nil}}},
	}
}

// elsewhere is a key of another partition than key's.
func elsewhere(key string) string {
	for i := 0; ; i++ {
		if k := fmt.Sprint("else", i); schemas.Partition([]byte(k), abusePartitions) != schemas.Partition([]byte(key), abusePartitions) {
			return k
		}
	}
}

func many(n int) []kgo.RecordHeader {
	hs := make([]kgo.RecordHeader, n)
	for i := range hs {
		hs[i] = kgo.RecordHeader{Key: fmt.Sprintf("h%d", i), Value: bytes.Repeat([]byte("v"), 50)}
	}
	return hs
}

// TestAbuse sends every bad record between good ones: each is processed as declared or is in the dead letters once per
// rule with its bytes, error and position, and all good ones come through.
func TestAbuse(t *testing.T) {
	set := webSet(t)
	c := newCluster(t, set, abusePartitions)
	s := set.Stream("web.clicks")
	bad := abuse(t, c)
	c.resize("web.clicks", 8<<20)
	want := map[string]string{} // position and rule -> code
	at := map[string]*badRecord{}
	good := 0
	send := func(r *kgo.Record) string {
		t.Helper()
		if err := c.client.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("%d@%d", r.Partition, r.Offset)
	}
	for i := range bad {
		b := &bad[i]
		key := b.key
		if key == nil && b.name != "null key, right partition" {
			key = []byte("u1")
		}
		part := b.part
		if b.key == nil && b.name != "null key, right partition" {
			part = schemas.Partition(key, abusePartitions)
		}
		pos := send(&kgo.Record{Topic: s.Topic, Key: key, Value: b.value, Partition: part, Headers: b.header})
		at[pos] = b
		for rule, code := range b.dead {
			want[pos+" "+rule] = code
		}
		good++
		g := &kgo.Record{Topic: s.Topic, Key: fmt.Appendf(nil, "g%d", i)}
		g.Value = click(t, s.Schema, c.ids[s], func(m map[string]any) {
			m["event_id"], m["user_id"], m["amount"] = fmt.Sprint("good", i), string(g.Key), 7.0
		})
		g.Partition = schemas.Partition(g.Key, abusePartitions)
		send(g)
	}
	o := c.options("w0")
	o.WallClock = true
	failures := 0
	o.OnEvent = func(e Event) {
		if e.Kind == Failed {
			failures++
			t.Logf("%s: %v", e.Group, e.Err)
		}
	}
	stop := c.running(o)
	c.await("dead letters and good records", func() bool {
		return len(c.read("millrace.web.dead")) >= len(want) && len(c.read("web.big")) >= good
	})
	stop()
	if failures > 0 {
		t.Errorf("%d incarnations failed", failures)
	}
	for _, r := range c.read("millrace.web.dead") {
		pos := fmt.Sprintf("%s@%s", r.Header(HeaderDeadPartition), r.Header(HeaderDeadOffset))
		id := pos + " " + string(r.Header(HeaderDeadRule))
		code, b := string(r.Header(HeaderDeadCode)), at[pos]
		switch {
		case string(r.Header(HeaderDeadTopic)) != s.Topic: // from the repartition topic
			id = "?"
			for p, x := range at {
				if bytes.Equal(x.value, r.Value) && want[p+" "+string(r.Header(HeaderDeadRule))] != "" {
					id, b = p+" "+string(r.Header(HeaderDeadRule)), x
				}
			}
		case b == nil:
			t.Errorf("dead letter of a good record at %s: %s %s", pos, code, r.Header(HeaderDeadError))
			continue
		}
		if w, ok := want[id]; !ok || w != "*" && w != code {
			t.Errorf("%s: dead letter %q with code %s, want %q: %s", nameOf(b), id, code, want[id], r.Header(HeaderDeadError))
		}
		delete(want, id)
		if b != nil && (!bytes.Equal(b.value, r.Value) || (b.value == nil) != (r.Value == nil)) {
			t.Errorf("%s: the dead letter has other bytes", b.name)
		}
		if len(r.Header(HeaderDeadError)) == 0 {
			t.Errorf("%s: the dead letter does not say why", nameOf(b))
		}
	}
	for id, code := range want {
		t.Errorf("%s: no dead letter for %s (%s)", nameOf(at[strings.Fields(id + " ")[0]]), id, code)
	}
	n := 0
	for _, r := range c.read("web.big") {
		if bytes.HasPrefix(r.Key, []byte("g")) {
			n++
		}
	}
	if n != good {
		t.Errorf("%d good records came through, want %d", n, good)
	}
}

func nameOf(b *badRecord) string {
	if b == nil {
		return "?"
	}
	return b.name
}
