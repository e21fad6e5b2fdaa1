package lineage

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/fstest"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/schemas"
	"github.com/millrace-io/millrace/topologies/kafka"
)

const clicks = `{"type": "record", "name": "Click", "namespace": "web", "fields": [{"name": "user", "type": "string"}]}`

// searched gives a search over one topic of two partitions that holds so many records, and their ids. Their timestamps are in no order.
func searched(t *testing.T, records int, limit int64) (*search, []string) {
	t.Helper()
	fake, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(2, "clicks"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(fake.Close)
	client, err := kafka.Connect(t.Context(), fake.ListenAddrs(), "test", 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	p, err := client.NewProducer()
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	random := rand.New(rand.NewPCG(1, 2))
	var ids []string
	for i := range records {
		id := fmt.Sprintf("event-%d", i)
		r := &kafka.Record{
			Partition: kafka.Partition{Topic: "clicks", Number: int32(i % 2)}, Timestamp: time.UnixMilli(1_577_836_800_000 + random.Int64N(1000)),
			Key: []byte("ann"), Value: []byte(`{"user": "ann"}`), Headers: []schemas.Header{{Key: schemas.HeaderID, Value: []byte(id)}},
		}
		if err := p.Send(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	if err := p.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	return newSearch(&Options{Client: client, Rules: set(t), Records: limit}), ids
}

func set(t *testing.T) *rules.Set {
	t.Helper()
	c, err := schemas.LoadCatalog(fstest.MapFS{"web/Click.avsc": {Data: []byte(clicks)}})
	if err != nil {
		t.Fatal(err)
	}
	s, err := rules.Load(fstest.MapFS{"web/streams.yaml": {Data: []byte(
		"domain: web\nstreams:\n  clicks: {topic: clicks, schema: web.Click, key: user, format: json}\n",
	)}}, rules.Options{Catalog: c, App: "test"})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Whatever the timestamps say, and wherever the search begins, everything is found, and read once only.
func TestSearchFindsWhatIsThere(t *testing.T) {
	const records = 3 * firstStep
	for _, at := range []time.Time{{}, time.UnixMilli(0), time.UnixMilli(1_577_836_800_500), time.UnixMilli(1_600_000_000_000)} {
		s, ids := searched(t, records, 1_000_000)
		want := map[string]bool{ids[0]: true, ids[records/2]: true, ids[records-1]: true, "none": true}
		if err := s.find(t.Context(), want, at, "clicks", "no-such-topic"); err != nil {
			t.Fatal(err)
		}
		if len(s.found) != 3 || s.found[ids[records/2]].Offset != records/4 {
			t.Errorf("from %v: found %d", at, len(s.found))
		}
		if c := s.covered["clicks"]; c.Records != records || !s.covered["no-such-topic"].Missing {
			t.Errorf("from %v: %d records were read, %d are there", at, c.Records, records)
		}
	}
}

// A record without an id of its own goes by its position, beside the id of its header.
func TestSearchFindsPositions(t *testing.T) {
	s, _ := searched(t, 10, 1000)
	id := schemas.InputID("clicks", 1, 3)
	if err := s.find(t.Context(), map[string]bool{id: true}, time.Time{}, "clicks"); err != nil {
		t.Fatal(err)
	}
	if e := s.found[id]; e == nil || e.Number != 1 || e.Offset != 3 || e.id != id {
		t.Errorf("got %+v", e)
	}
}

// No more is read than may be, and the search says that it was not everything.
func TestSearchEndsAtItsLimit(t *testing.T) {
	s, _ := searched(t, 1000, 100)
	if err := s.find(t.Context(), map[string]bool{"none": true}, time.Time{}, "clicks"); err != nil {
		t.Fatal(err)
	}
	if !s.limited() || s.covered["clicks"].Records != 100 {
		t.Errorf("%d records were read", s.covered["clicks"].Records)
	}
}
