package topologies

import (
	"log/slog"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// TestPurge deletes what is committed of a repartition topic and nothing of other topics.
func TestPurge(t *testing.T) {
	set := webSet(t)
	c := newCluster(t, set, 1)
	if err := Create(t.Context(), c.client, []Creation{{Name: "moved", Partitions: 1}}, 1); err != nil {
		t.Fatal(err)
	}
	for _, topic := range []string{"moved", "web.clicks"} {
		for range 10 {
			if err := c.client.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Value: []byte("x")}).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
	}
	o := c.options("w").withDefaults()
	g := &runner{options: &o, client: c.client, logger: slog.New(slog.DiscardHandler), plan: &Group{Name: "g", Inputs: []*Input{
		{Topic: "moved", Rekeyed: true, Sole: true}, {Topic: "web.clicks", Sole: true}, {Topic: "shared", Rekeyed: true},
	}}}
	marks := map[topicPartition]int64{{"moved", 0}: 7, {"web.clicks", 0}: 7, {"shared", 0}: 7}
	g.purge(marks)
	if len(g.purger.upTo) != 1 {
		t.Fatalf("to purge: %v", g.purger.upTo)
	}
	g.purger.last = time.Now().Add(-purgeInterval)
	g.purge(marks)
	c.await("the purge", func() bool { return !g.purger.busy.Load() })
	for topic, want := range map[string]int64{"moved": 7, "web.clicks": 0} {
		if got, err := listOffset(t.Context(), c.client, topicPartition{topic, 0}, -2, false); err != nil || got != want {
			t.Errorf("%s begins at %d, %v; want %d", topic, got, err, want)
		}
	}
}
