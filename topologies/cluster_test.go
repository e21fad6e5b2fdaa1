package topologies

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/schemas"
	"github.com/millrace-io/millrace/schemas/registry"
	"github.com/millrace-io/millrace/topologies/kafka"
)

// cluster is an embedded broker and registry with the topics and schemas of a set of rules.
type cluster struct {
	t        *testing.T
	brokers  []string
	client   *kgo.Client
	registry *registry.Client
	set      *rules.Set
	ids      map[*rules.Stream]int32

	registryURL string
	down        atomic.Bool // the registry answers 503
}

const schemaClick = `{"type":"record","name":"Click","namespace":"web","fields":[
{"name":"event_id","type":"string"},{"name":"user_id","type":"string"},{"name":"page","type":["null","string"],"default":null},
{"name":"amount","type":"double"},{"name":"occurred_at","type":{"type":"long","logicalType":"timestamp-millis"}}]}`

const schemaCount = `{"type":"record","name":"Count","namespace":"web","fields":[
{"name":"user_id","type":"string"},{"name":"n","type":"long"},{"name":"total","type":"double"}]}`

const schemaBig = `{"type":"record","name":"Big","namespace":"web","fields":[
{"name":"user_id","type":"string"},{"name":"page","type":"string"},{"name":"amount","type":"double"}]}`

const webStreams = `domain: web
streams:
  clicks: {topic: web.clicks, schema: web.Click, key: user_id, time: occurred_at, out_of_order: 5s}
  big: {topic: web.big, schema: web.Big, key: user_id}
  counts: {topic: web.counts, schema: web.Count, key: user_id}
  pages: {topic: web.pages, schema: web.Big, key: page}
  parsed: {topic: web.parsed, schema: web.Count, key: user_id}
  bypage: {topic: web.bypage, schema: web.Count, key: user_id}
`

const webRules = `domain: web
rules:
  - name: big
    from: {click: web.clicks}
    where: click.amount > 5
    select: {user_id: click.user_id, page: 'click.page ?? "none"', amount: click.amount}
    to: web.big
  - name: counts
    from: {click: web.clicks}
    by: click.user_id
    unbounded: true
    emit: each
    having: max(click.page ?? "") != "~"
    select: {user_id: key, n: count(), total: sum(click.amount)}
    to: web.counts
  - name: bypage
    from: {click: web.clicks}
    where: click.page != nil
    by: click.page
    unbounded: true
    emit: each
    select: {user_id: key, n: count(), total: sum(click.amount)}
    to: web.bypage
  - name: parse
    from: {click: web.clicks}
    where: '(click.page ?? "") startsWith "fail"'
    select: {user_id: click.user_id, n: 'int(click.page ?? "")', total: click.amount}
    to: web.parsed
`

func webSet(t *testing.T) *rules.Set {
	t.Helper()
	catalog, err := schemas.LoadCatalog(fstest.MapFS{
		"web/Click.avsc": {Data: []byte(schemaClick)}, "web/Count.avsc": {Data: []byte(schemaCount)}, "web/Big.avsc": {Data: []byte(schemaBig)},
	})
	if err != nil {
		t.Fatal(err)
	}
	set, err := rules.Load(fstest.MapFS{
		"web/streams.yaml": {Data: []byte(webStreams)}, "web/rules.yaml": {Data: []byte(webRules)},
	}, rules.Options{Catalog: catalog})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// newCluster starts the embedded broker and registry and makes what the rules need.
func newCluster(t *testing.T, set *rules.Set, partitions int32) *cluster {
	t.Helper()
	fake, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.GroupMinSessionTimeout(100*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(fake.Close)
	c := &cluster{t: t, brokers: fake.ListenAddrs(), set: set, ids: map[*rules.Stream]int32{}}
	handler := srfake.NewRegistry().Handler()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c.down.Load() {
			http.Error(w, "down", http.StatusServiceUnavailable)
			return
		}
		handler.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	c.registryURL = server.URL
	if c.registry, err = registry.New(registry.Options{URL: server.URL}); err != nil {
		t.Fatal(err)
	}
	if c.client, err = kgo.NewClient(kgo.SeedBrokers(c.brokers...), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchMaxBytes(10<<20)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.client.Close)
	ctx := t.Context()
	var topics []Creation
	for _, s := range set.Streams {
		topics = append(topics, Creation{Name: s.Topic, Partitions: partitions})
		if c.ids[s], err = c.registry.Register(ctx, Subject(s), s.Schema.String()); err != nil {
			t.Fatal(err)
		}
	}
	if err := Create(ctx, c.client, topics, 1); err != nil {
		t.Fatal(err)
	}
	return c
}

// resize sets a topic's largest record.
func (c *cluster) resize(topic string, bytes int) {
	c.t.Helper()
	q := kmsg.NewPtrIncrementalAlterConfigsRequest()
	r := kmsg.NewIncrementalAlterConfigsRequestResource()
	r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeTopic, topic
	x := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
	x.Name, x.Value = "max.message.bytes", new(strconv.Itoa(bytes))
	r.Configs = append(r.Configs, x)
	q.Resources = append(q.Resources, r)
	a, err := q.RequestWith(c.t.Context(), c.client)
	if err != nil {
		c.t.Fatal(err)
	}
	for _, r := range a.Resources {
		if err := kerr.ErrorForCode(r.ErrorCode); err != nil {
			c.t.Fatal(err)
		}
	}
}

// produce writes a record of a stream with the fields in schema order.
func (c *cluster) produce(stream string, key string, partitions int32, fields ...any) {
	c.t.Helper()
	s := c.set.Stream(stream)
	enc, err := schemas.NewEncoder(s.Schema)
	if err != nil {
		c.t.Fatal(err)
	}
	v, err := enc.Append(schemas.AppendFrame(nil, c.ids[s]), fields)
	if err != nil {
		c.t.Fatal(err)
	}
	r := &kgo.Record{Topic: s.Topic, Key: []byte(key), Value: v}
	r.Partition = schemas.Partition(r.Key, partitions)
	c.client.Produce(context.Background(), r, func(_ *kgo.Record, err error) {
		if err != nil {
			c.t.Error(err)
		}
	})
}

// logger logs to the test.
func (c *cluster) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(c.t.Output(), &slog.HandlerOptions{Level: slog.LevelInfo}))
}

// options are a worker's with short times.
func (c *cluster) options(instance string) Options {
	return Options{
		Brokers: c.brokers, Instance: instance, Set: c.set, Registry: c.registry, SessionTimeout: 2 * time.Second,
		TransactionTimeout: 5 * time.Second, StateDir: c.t.TempDir(), Logger: c.logger(),
	}
}

// read gives the committed records of a topic up to its end.
func (c *cluster) read(topic string) []*kafka.Record {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), 30*time.Second)
	defer cancel()
	cl, err := kafka.Connect(ctx, c.brokers, "test", 5*time.Second)
	if err != nil {
		c.t.Fatal(err)
	}
	defer cl.Close()
	from, err := cl.Starts(ctx, topic)
	if err != nil {
		c.t.Fatal(err)
	}
	to, err := cl.StableEnds(ctx, topic)
	if err != nil {
		c.t.Fatal(err)
	}
	var out []*kafka.Record
	err = cl.Scan(ctx, from, to, func(r *kafka.Record) error {
		if !r.Control {
			out = append(out, r)
		}
		return nil
	})
	if err != nil {
		c.t.Fatal(err)
	}
	return out
}
