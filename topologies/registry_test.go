package topologies

import (
	"fmt"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/schemas"
	"github.com/millrace-io/millrace/schemas/registry"
)

// TestRegistryDown shows that known schema ids go on while the registry is down, that an unknown one makes its partition
// wait, visibly, and that everything comes out once it is back.
func TestRegistryDown(t *testing.T) {
	set := webSet(t)
	c := newCluster(t, set, 2)
	s := set.Stream("web.clicks")
	text := strings.TrimSuffix(schemaClick, "]}") + `,{"name":"extra","type":"string","default":""}]}`
	newer, err := schemas.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	id, err := c.registry.Register(t.Context(), "newer", text)
	if err != nil {
		t.Fatal(err)
	}
	send := func(i int, part int32, value []byte) {
		t.Helper()
		r := &kgo.Record{Topic: s.Topic, Key: fmt.Appendf(nil, "k%d", i), Partition: part, Value: value}
		if err := c.client.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	known := func(i int) []byte {
		return click(t, s.Schema, c.ids[s], func(m map[string]any) { m["event_id"], m["amount"] = fmt.Sprint("k", i), 9.0 })
	}
	unknown := func(i int) []byte {
		return click(t, newer, id, func(m map[string]any) { m["event_id"], m["amount"], m["extra"] = fmt.Sprint("u", i), 9.0, "" })
	}
	fresh, err := registry.New(registry.Options{URL: c.registryURL})
	if err != nil {
		t.Fatal(err)
	}
	reg := prometheus.NewPedanticRegistry()
	o := c.options("w0")
	o.Registry, o.Metrics = fresh, reg
	stop := c.running(o)
	defer stop()
	send(0, 0, known(0))
	send(1, 1, known(1))
	c.await("the first records", func() bool { return len(c.read("web.big")) == 2 })

	c.down.Store(true)
	send(2, 0, unknown(2)) // partition 0 waits
	send(3, 0, known(3))
	for i := 4; i < 20; i++ {
		send(i, 1, known(i))
	}
	c.await("the other partition to go on and the wait to show", func() bool { return len(c.read("web.big")) == 18 && waiting(t, reg) > 0 })

	c.down.Store(false)
	c.await("everything", func() bool { return len(c.read("web.big")) == 20 })
	// The test chooses partitions, so that for the rule with state some records are misplaced; nothing else is wrong.
	for _, r := range c.read("millrace.web.dead") {
		if code := string(r.Header(HeaderDeadCode)); code != "wrong_partition" {
			t.Errorf("dead letter %s: %s", code, r.Header(HeaderDeadError))
		}
	}
}

// waiting counts the partitions that wait for the registry.
func waiting(t *testing.T, reg *prometheus.Registry) (n float64) {
	t.Helper()
	ms, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range ms {
		if m.GetName() == "millrace_partition_waits_for_schema" {
			for _, x := range m.GetMetric() {
				n += x.GetGauge().GetValue()
			}
		}
	}
	return n
}
