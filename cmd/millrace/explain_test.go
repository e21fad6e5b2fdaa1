package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/schemas"
	"github.com/millrace-io/millrace/topologies"
	"github.com/millrace-io/millrace/topologies/kafka"
)

// A record that is nowhere but among the dead letters, because its topic has forgotten it, is explained from there: by its own id,
// or that of its position. A dead letter that can't be read has only the latter.
func TestExplainDeadLetterAlone(t *testing.T) {
	t.Parallel()
	b, err := startBroker(t.Context(), "127.0.0.1:0", "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.close)
	r, err := startRegistry(t.Context(), "127.0.0.1:0", "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.close)
	cluster := []string{"--brokers", b.address}
	run := func(want int, args ...string) (out, problems string) {
		t.Helper()
		var stdout, stderr bytes.Buffer
		sh := &shell{in: strings.NewReader(""), out: &stdout, err: &stderr, env: func(string) (string, bool) { return "", false }}
		if got := execute(t.Context(), sh, append(args, "--rules", "testdata/project/rules")); got != want {
			t.Fatalf("%v: exit code %d\n%s%s", args, got, &stdout, &stderr)
		}
		return stdout.String(), stderr.String()
	}
	run(0, append([]string{"topics", "apply"}, cluster...)...)
	bury(t, b.address, "lost", 7)
	explain := append([]string{"explain", "--registry", r.url}, cluster...)
	for _, id := range []string{"lost", schemas.InputID("web.clicks", 1, 7)} {
		out, _ := run(0, append(explain, id)...)
		for _, want := range []string{"web.clicks " + id, "web.clicks/1@7", "bad_framing", "dead letter millrace.web.dead/0@0: no rule could read it"} {
			if !strings.Contains(out, want) {
				t.Errorf("%s: no %q in\n%s", id, want, out)
			}
		}
	}
	_, problems := run(1, append(explain, schemas.InputID("web.clicks", 1, 8))...)
	if !strings.Contains(problems, "web.clicks: empty") || !strings.Contains(problems, "millrace.web.dead: 1 record, of 2020-01-01T00:00:00Z") {
		t.Error(problems)
	}
}

// bury writes a dead letter of web.clicks in partition 1.
func bury(t *testing.T, broker, id string, offset int64) {
	t.Helper()
	client, err := kafka.Connect(t.Context(), []string{broker}, "test", 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	p, err := client.NewProducer()
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	letter := &kafka.Record{Partition: kafka.Partition{Topic: "millrace.web.dead"}, Timestamp: time.UnixMilli(1_577_836_800_000), Key: []byte("ann"), Value: []byte("?")}
	for name, v := range map[string]string{
		schemas.HeaderID: id, topologies.HeaderDeadCode: "bad_framing", topologies.HeaderDeadError: "1 byte is too short",
		topologies.HeaderDeadStream: "web.clicks", topologies.HeaderDeadTopic: "web.clicks", topologies.HeaderDeadPartition: "1",
		topologies.HeaderDeadOffset: fmt.Sprint(offset), topologies.HeaderDeadTimestamp: "1577836800000",
	} {
		letter.Headers = append(letter.Headers, schemas.Header{Key: name, Value: []byte(v)})
	}
	if err := p.Send(t.Context(), letter); err != nil {
		t.Fatal(err)
	}
	if err := p.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
}
