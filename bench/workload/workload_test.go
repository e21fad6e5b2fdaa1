package workload_test

import (
	"fmt"
	"hash/fnv"
	"testing"

	"github.com/linkedin/goavro/v2"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/bench/workload"
)

// TestExpect holds the published counts and checksums of 100,000 events of seed 1: they prove the events as well.
func TestExpect(t *testing.T) {
	for rule, want := range map[string]string{
		"w1":  "9859 7d1f60c178c3ad46",
		"w2":  "17963 fbc7072467661358",
		"w3":  "1960 2e272642b0892f30",
		"w4a": "76 488c499b4ec19b5b",
		"w4b": "555 259d4640ad34bfcc",
		"w4c": "2736 fc8ac667b8eaa17e",
	} {
		t.Run(rule, func(t *testing.T) {
			t.Parallel()
			sum, err := workload.Expect(rule, 1, 100_000)
			if err != nil {
				t.Fatal(err)
			}
			if sum.String() != want {
				t.Errorf("got %s, want %s", sum, want)
			}
		})
	}
	if _, err := workload.Expect("w5", 1, 1); err == nil {
		t.Error("an unknown rule is accepted")
	}
}

// TestBytes: the encoded events of another seed, all fields of them.
func TestBytes(t *testing.T) {
	for set, want := range map[string]string{
		"w1": "20000 a247e89f4d9e2c7e",
		"w2": "20008 a7b891395afc2ee7",
		"w3": "20000 127b062bef1fc237",
		"w4": "20032 2abfe6ff3e06587c",
	} {
		events, err := workload.Events(set, 7, 20_000)
		if err != nil {
			t.Fatal(err)
		}
		h, n := fnv.New64a(), 0
		var b []byte
		for e := range events {
			b = e.AppendFramed(b[:0], uint32(e.Kind)+1)
			h.Write(b)
			n++
		}
		if got := fmt.Sprintf("%d %016x", n, h.Sum64()); got != want {
			t.Errorf("%s: got %s, want %s", set, got, want)
		}
	}
}

// TestSchemas: goavro reads the bytes back by the schemas, and finds what was put in.
func TestSchemas(t *testing.T) {
	codecs := map[workload.Kind]*goavro.Codec{}
	for _, k := range workload.Kinds {
		codec, err := goavro.NewCodec(workload.Schema(k))
		if err != nil {
			t.Fatalf("%s: %v", k, err)
		}
		codecs[k] = codec
	}
	events, err := workload.Events("w4", 1, 2000)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[workload.Kind]int{}
	for e := range events {
		seen[e.Kind]++
		native, rest, err := codecs[e.Kind].NativeFromBinary(e.AppendAvro(nil))
		if err != nil || len(rest) > 0 {
			t.Fatalf("%s: %v, %d bytes left", e.Kind, err, len(rest))
		}
		record := native.(map[string]any)
		if record["event_id"] != e.EventID || record["user_id"] != e.UserID || record["confidence"] != e.Confidence {
			t.Fatalf("%s: put in %+v, got %v", e.Kind, e, record)
		}
		if e.Kind == workload.Change && (record["old_value"] == nil) != (e.OldValue == "") {
			t.Fatalf("put in %+v, got %v", e, record)
		}
	}
	for _, k := range workload.Kinds {
		if seen[k] == 0 {
			t.Errorf("no %s in w4", k)
		}
	}
}

// TestFlushUsers: one for every partition, by another murmur2 than ours.
func TestFlushUsers(t *testing.T) {
	partitioner := kgo.StickyKeyPartitioner(nil).ForTopic("any")
	for want, who := range workload.FlushUsers {
		if got := partitioner.Partition(&kgo.Record{Key: []byte(who)}, 8); got != want {
			t.Errorf("%s is in partition %d, want %d", who, got, want)
		}
	}
}

// TestSumOrder: lines count in any order, and a record makes the same line as its fields.
func TestSumOrder(t *testing.T) {
	var one, other workload.Sum
	one.AddLine([]byte("a"))
	one.AddLine([]byte("b"))
	other.AddLine([]byte("b"))
	other.AddLine([]byte("a"))
	if one != other || one.Count != 2 {
		t.Errorf("%s and %s", one, other)
	}
	line := string(workload.AppendW1(nil, "c", "u", 5, "r", "", "NO", 0.75, 62.5))
	got, err := workload.AppendLine(nil, "w1", map[string]any{
		"cause_id": "c", "user_id": "u", "occurred_at": int64(5), "region": "r", "previous": nil,
		"current": map[string]any{"string": "NO"}, "confidence": 0.75, "risk": 62.5, "more": true,
	})
	if err != nil || string(got) != line || line != "c|u|5|r||NO|96|8000" {
		t.Errorf("%s and %s, %v", got, line, err)
	}
	if _, err := workload.AppendLine(nil, "count", map[string]any{"user_id": "u"}); err == nil {
		t.Error("a missing field is accepted")
	}
}

func BenchmarkEvents(b *testing.B) {
	events, err := workload.Events("w1", 1, b.N)
	if err != nil {
		b.Fatal(err)
	}
	var buf []byte
	for e := range events {
		buf = e.AppendAvro(buf[:0])
	}
}
