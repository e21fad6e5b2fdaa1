//go:build unix

package e2e_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/millrace-io/millrace/e2e/clients"
	"github.com/millrace-io/millrace/e2e/retail"
)

// Clients of other languages read what dev, and a worker on a real Kafka, have written: the right events.
func TestForeignConsumers(t *testing.T) {
	long(t)
	m := invented(t)
	dev, s := m.dev(t)
	sources := m.fed(t, s)
	t.Run("dev", func(t *testing.T) { consume(t, s, m) })
	dev.stop(t)
	t.Run("real Kafka", func(t *testing.T) {
		s := realServers(t)
		ids := s.prepare(t, "rules", 4)
		p := s.producer(t, ids)
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		p.send(ctx, sources)
		if err := p.flush(ctx); err != nil {
			t.Fatal(err)
		}
		w := s.worker(t, "worker", "rules", "exactly_once", "--pace", wholePace)
		a := newAnswers(m, false)
		a.rest = true
		if err := follow(t, s, m.topics(), a.add).until(ctx, a.complete); err != nil {
			t.Fatal(err)
		}
		consume(t, s, m)
		w.stop(t)
	})
}

// consume reads every derived stream with each client.
func consume(t *testing.T, s servers, m *month) {
	t.Helper()
	for _, stream := range m.streams() {
		if stream == "commerce.purchases" {
			continue
		}
		for name, read := range map[string]func(testing.TB, string, string, string) []clients.Record{
			"python": clients.PythonConsume, "java": clients.JavaConsume,
		} {
			var got []retail.Record
			for _, r := range read(t, s.Kafka, s.Registry, topicOf(stream)) {
				if r.Headers["ce_id"] != r.Value["event_id"] || r.Headers["content-type"] != "application/avro" {
					t.Errorf("%s, %s: headers %v of %v", name, stream, r.Headers, r.Value)
				}
				got = append(got, retail.Record{Key: r.Key, Fields: r.Value})
			}
			t.Logf("%s: %d records of %s", name, len(got), stream)
			for _, diff := range retail.Compare(stream, retail.DueBy(stream, m.want[stream], m.end), retail.DueBy(stream, got, m.end)) {
				t.Errorf("%s: %s", name, diff)
			}
		}
	}
}

// shop is a topology for events that other programs produce: one stream whose producers partition as they like, and one
// partitioned as Java does.
var shop = map[string]string{
	"shop/streams.yaml": `domain: shop
streams:
  orders: {topic: shop.orders, schema: shop.Sale, key: customer, time: at, partitioner: any}
  visits: {topic: shop.visits, schema: shop.Sale, key: customer, time: at}
  ordered: {topic: shop.ordered, schema: shop.Total, key: customer}
  visited: {topic: shop.visited, schema: shop.Total, key: customer}
`,
	"shop/totals.yaml": `domain: shop
rules:
  - name: ordered
    from: {sale: shop.orders}
    by: sale.customer
    unbounded: true
    select: {customer: key, n: count(), total: sum(sale.amount)}
    emit: each
    to: shop.ordered
  - name: visited
    from: {sale: shop.visits}
    by: sale.customer
    unbounded: true
    select: {customer: key, n: count(), total: sum(sale.amount)}
    emit: each
    to: shop.visited
`,
	"schemas/shop/Sale.avsc": `{"type": "record", "namespace": "shop", "name": "Sale", "fields": [
  {"name": "customer", "type": "string"}, {"name": "amount", "type": "double"},
  {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}}]}`,
	"schemas/shop/Total.avsc": `{"type": "record", "namespace": "shop", "name": "Total", "fields": [
  {"name": "customer", "type": "string"}, {"name": "n", "type": "long"}, {"name": "total", "type": "double"}]}`,
}

// What Confluent's Python client produces, with its own partitioner and with Java's, is counted right.
func TestForeignProducer(t *testing.T) {
	long(t)
	rules := writeRules(t, shop)
	t.Run("dev", func(t *testing.T) {
		p, s := dev(t, "--rules", rules)
		produce(t, s)
		p.stop(t)
	})
	t.Run("real Kafka", func(t *testing.T) {
		s := realServers(t)
		s.prepare(t, rules, 4)
		w := s.worker(t, "worker", rules, "exactly_once")
		produce(t, s)
		w.stop(t)
	})
}

// produce sends 10 sales of each of 40 customers to both streams and holds the totals against them.
func produce(t *testing.T, s servers) {
	t.Helper()
	const customers, each = 40, 10
	var messages []clients.Message
	for i := range customers * each {
		name := fmt.Sprintf("customer-%d-ø", i%customers)
		messages = append(messages, clients.Message{Key: name, Value: map[string]any{"customer": name, "amount": float64(i), "at": 1700000000000 + i}})
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for _, c := range []struct{ from, to, partitioner string }{
		{"shop.orders", "shop.ordered", ""},
		{"shop.visits", "shop.visited", "murmur2_random"},
	} {
		from, to, partitioner := c.from, c.to, c.partitioner
		if sent := clients.PythonProduce(t, s.Kafka, s.Registry, from, "", partitioner, messages); len(sent) != len(messages) {
			t.Fatalf("%s: %d of %d delivered", from, len(sent), len(messages))
		}
		n := 0
		f := follow(t, s, []string{to}, func(*event) error { n++; return nil })
		if err := f.until(ctx, func() bool { return n >= len(messages) }); err != nil {
			t.Fatalf("%s: %d of %d: %v", to, n, len(messages), err)
		}
		count, total := map[string]float64{}, map[string]float64{}
		for _, r := range clients.PythonConsume(t, s.Kafka, s.Registry, to) {
			// The sales of a customer come in their order: the i-th is customer number + 40 i.
			var number float64
			if _, err := fmt.Sscanf(r.Key, "customer-%f-ø", &number); err != nil {
				t.Fatal(err)
			}
			total[r.Key] += number + customers*count[r.Key]
			count[r.Key]++
			if r.Value["customer"] != r.Key || r.Value["n"] != count[r.Key] || r.Value["total"] != total[r.Key] {
				t.Errorf("%s %s: %v, want %v sales, %v in all", to, r.Key, r.Value, count[r.Key], total[r.Key])
			}
		}
		for name, n := range count {
			if n != each {
				t.Errorf("%s %s: %v sales", to, name, n)
			}
		}
		if len(count) != customers {
			t.Errorf("%s: %d customers", to, len(count))
		}
	}
	noDead(t, s)
}
