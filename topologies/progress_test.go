package topologies

import (
	"encoding/json"
	"flag"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/millrace-io/millrace/processors"
)

// goldenProgress is a progress record as it lies in the topic: workers of other versions read it.
const goldenProgress = "testdata/progress.json"

var update = flag.Bool("update", false, "write the golden files") //nolint:gochecknoglobals // a flag of the tests

func exampleProgress() *progress {
	return &progress{
		Version: 1, Group: "millrace.web.user_id", Partition: 3, Table: "00112233445566778899aabbccddeeff",
		Instance: "worker-1", Address: "worker-1:8080",
		Times:   map[string]int64{"web.counts": 1_700_000_000_000, "web.idle": processors.IdleAt(1_700_000_000_000), "web.new": processors.Unknown, "web.over": processors.Ended},
		Ended:   true,
		Written: map[string]map[int32]int64{"web.counts": {0: 17, 12: 4}},
		Wanted:  processors.Never,
		Inputs: map[string]inputProgress{
			"web.clicks": {Taken: 42, Refused: []int64{7, 41}, Latest: 1_700_000_005_000, Time: 1_700_000_000_000},
			"web.big":    {Taken: 0, Latest: processors.Unknown, Time: processors.Unknown},
		},
		Tasks: map[string]taskProgress{
			"web.counts": {State: "0123456789abcdef", Clock: 1_700_000_000_000, FiredAt: 1_699_999_999_000, Part: 255, Position: &positionProgress{
				Time: 1_700_000_000_000, Input: 1, Stream: "web.clicks", Key: "u\"\u20ac", ID: "e1", Offset: 41, Rule: "web.big", Ordinal: 2, Event: "e2", Local: 12,
			}},
			"web.other": {State: "fedcba9876543210", Clock: math.MinInt64, FiredAt: math.MinInt64, Part: 255},
		},
	}
}

// TestProgressFormat: the form of progress records does not change by accident.
func TestProgressFormat(t *testing.T) {
	r, err := exampleProgress().record("millrace.progress", 8)
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(goldenProgress, r.Value, 0o644); err != nil { //nolint:gosec // a file of the repository
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(goldenProgress)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), string(r.Value)); d != "" {
		t.Error(d)
	}
	p, err := parseProgress(want)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(exampleProgress(), p); d != "" {
		t.Error(d)
	}
	if string(r.Key) != "millrace.web.user_id/3" || r.Topic != "millrace.progress" || r.Partition != progressPartition("millrace.web.user_id", 8) {
		t.Errorf("key %q, partition %d of %s", r.Key, r.Partition, r.Topic)
	}
}

// TestProgressVersions: a record of another version, or none, is refused with a word of who wrote it.
func TestProgressVersions(t *testing.T) {
	for text, want := range map[string]string{
		`{"version":2,"group":"g","partition":7,"wanted":0}`: "progress record of g/7: version 2; this worker reads 1",
		`{"group":"g","partition":7}`:                        "progress record of g/7: version 0; this worker reads 1",
		`[]`:                                                 "progress record: json:",
		``:                                                   "progress record: unexpected end",
		`{"version":1,"times":{"r":1.5}}`:                    "progress record: json:",
		`{"version":1,"times":{"r":9223372036854775808}}`: "progress record: json:",
	} {
		if p, err := parseProgress([]byte(text)); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %+v, %v; want %s", text, p, err, want)
		}
	}
	p, err := parseProgress([]byte(`{"version":1,"group":"g","partition":7,"later":{"x":[1]},"wanted":5}`))
	if err != nil || p.Wanted != 5 {
		t.Errorf("a field that this version does not know: %+v, %v", p, err)
	}
}

// TestProgressOfTask: what a task hands on is what the next one gets.
func TestProgressOfTask(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		at := rapid.OneOf(rapid.Just(processors.Unknown), rapid.Int64Range(0, maxTime))
		text := rapid.String()
		s := processors.TaskState{
			Clock: at.Draw(rt, "clock"), Fired: processors.Fired{At: at.Draw(rt, "fired"), Part: rapid.IntRange(1, 255).Draw(rt, "part")}, Ran: rapid.Bool().Draw(rt, "ran"),
		}
		if s.Ran {
			s.Position = processors.Position{
				Time: rapid.Int64Range(0, maxTime).Draw(rt, "time"), Input: rapid.IntRange(0, 5).Draw(rt, "input"), Stream: text.Draw(rt, "stream"), Key: text.Draw(rt, "key"),
				ID: text.Draw(rt, "id"), Offset: rapid.Int64().Draw(rt, "offset"), Rule: text.Draw(rt, "rule"), Ordinal: rapid.Int64().Draw(rt, "ordinal"), Event: text.Draw(rt, "event"),
			}
		}
		b, err := json.Marshal(newTaskProgress("f", s))
		if err != nil {
			rt.Fatal(err)
		}
		var x taskProgress
		if err := json.Unmarshal(b, &x); err != nil {
			rt.Fatal(err)
		}
		if d := cmp.Diff(s, x.state()); d != "" || x.State != "f" {
			rt.Fatal(d)
		}
	})
}

// FuzzParseProgress: whatever lies in the topic, reading it ends, and what was read is written the same.
func FuzzParseProgress(f *testing.F) {
	golden, err := os.ReadFile(goldenProgress)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(golden)
	f.Add([]byte(`{"version":1,"tasks":{"r":{"position":{}}},"written":{"t":{"-1":3}}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := parseProgress(b)
		if err != nil {
			return
		}
		r, err := p.record("t", 8)
		if err != nil {
			t.Fatal(err)
		}
		again, err := parseProgress(r.Value)
		if err != nil {
			t.Fatal(err)
		}
		c, err := again.record("t", 8)
		if err != nil || string(c.Value) != string(r.Value) {
			t.Errorf("%s became %s: %v", r.Value, c.Value, err)
		}
		if _, err := json.Marshal(p); err != nil {
			t.Fatal(err)
		}
	})
}
