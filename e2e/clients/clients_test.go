package clients_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"github.com/millrace-io/millrace/bench/topics"
	"github.com/millrace-io/millrace/e2e/clients"
	"github.com/millrace-io/millrace/e2e/realkafka"
)

const schema = `{"type":"record","namespace":"e2e","name":"Probe","fields":[
	{"name":"id","type":"string"},
	{"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}},
	{"name":"n","type":"long"},
	{"name":"note","type":["null","string"],"default":null},
	{"name":"tags","type":{"type":"map","values":"long"}},
	{"name":"lines","type":{"type":"array","items":{"type":"record","name":"Line","fields":[{"name":"sku","type":"string"}]}}}]}`

func TestEmbedded(t *testing.T) {
	skipUnlessE2E(t)
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	registry := srfake.New()
	defer registry.Close()
	testClients(t, cluster.ListenAddrs()[0], registry.URL())
}

func TestReal(t *testing.T) {
	skipUnlessE2E(t)
	cluster := realkafka.Start(t, 1)
	testClients(t, cluster.Addr, cluster.Registry)
}

func skipUnlessE2E(t *testing.T) {
	if os.Getenv("MILLRACE_E2E") == "" {
		t.Skip("runs in make e2e")
	}
}

// testClients: what Python writes, with either partitioner, Python and Java read, the same.
func testClients(t *testing.T, brokers, registry string) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	admin, err := topics.Client([]string{brokers})
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	messages := make([]clients.Message, 100)
	for i := range messages {
		value := map[string]any{
			"id": fmt.Sprint(i), "at": 1767225600000 + i, "n": i, "note": nil, "tags": map[string]any{"a": 1},
			"lines": []any{map[string]any{"sku": "85123A"}},
		}
		if i%2 == 0 {
			value["note"] = "blåbær"
		}
		messages[i] = clients.Message{Key: fmt.Sprint("user-", i), Value: value}
	}
	murmur2 := kgo.StickyKeyPartitioner(nil).ForTopic("any")
	for _, partitioner := range []string{"", "murmur2_random"} {
		t.Run("partitioner "+partitioner, func(t *testing.T) {
			topic := "probe" + partitioner
			if err := topics.Create(ctx, admin, topic, 4); err != nil {
				t.Fatal(err)
			}
			sent := clients.PythonProduce(t, brokers, registry, topic, schema, partitioner, messages[:50])
			sent = append(sent, clients.PythonProduce(t, brokers, registry, topic, "", partitioner, messages[50:])...)
			if len(sent) != len(messages) {
				t.Fatalf("%d of %d delivered", len(sent), len(messages))
			}
			same := true
			for _, d := range sent {
				same = same && murmur2.Partition(&kgo.Record{Key: []byte(d.Key)}, 4) == int(d.Partition)
			}
			if same != (partitioner != "") {
				t.Errorf("all in murmur2's partitions: %v", same)
			}
			python := clients.PythonConsume(t, brokers, registry, topic)
			java := clients.JavaConsume(t, brokers, registry, topic)
			for name, got := range map[string][]clients.Record{"python": python, "java": java} {
				byKey := map[string]clients.Record{}
				for _, r := range got {
					byKey[r.Key] = r
				}
				if len(got) != len(messages) || len(byKey) != len(messages) {
					t.Errorf("%s read %d records, %d keys", name, len(got), len(byKey))
				}
				for i, m := range messages {
					v := byKey[m.Key].Value
					if v["n"] != float64(i) || v["at"] != float64(1767225600000+i) || v["note"] != m.Value["note"] {
						t.Fatalf("%s: wrote %v, read %v", name, m, v)
					}
				}
				if diff := cmp.Diff(keyed(python), keyed(got)); diff != "" {
					t.Errorf("%s reads other records than python:\n%s", name, diff)
				}
			}
		})
	}
	if !t.Failed() {
		t.Run("transactions", func(t *testing.T) { testTransactions(t, brokers, registry, "probe") })
	}
}

// testTransactions: of what is written in transactions, only that of a committed one is read, and the markers at the end
// of a topic keep nobody waiting. The values are those of another topic.
func testTransactions(t *testing.T, brokers, registry, from string) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	const topic = "transactions"
	client, err := topics.Client([]string{brokers}, kgo.TransactionalID("probe"), kgo.DefaultProduceTopic(topic))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := topics.Create(ctx, client, topic, 2); err != nil {
		t.Fatal(err)
	}
	// Confluent's deserializer asks for an id together with the topic's subject, and the embedded registry knows only ids
	// that were registered under the subject asked for.
	body, err := json.Marshal(map[string]string{"schema": schema})
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.Post(registry+"/subjects/"+topic+"-value/versions", "application/vnd.schemaregistry.v1+json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		t.Fatal(answer.Status)
	}
	for _, end := range []kgo.TransactionEndTry{kgo.TryAbort, kgo.TryCommit, kgo.TryAbort} {
		if err := client.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		err := topics.Read(ctx, []string{brokers}, from, func(r *kgo.Record) error {
			key := []byte(fmt.Sprintf("%v %s", end, r.Key))
			client.Produce(ctx, &kgo.Record{Key: key, Value: r.Value, Headers: []kgo.RecordHeader{{Key: "ce_type", Value: []byte("probe")}}}, nil)
			return nil
		})
		if err := errors.Join(err, client.Flush(ctx), client.EndTransaction(ctx, end)); err != nil {
			t.Fatal(err)
		}
	}
	for name, got := range map[string][]clients.Record{
		"python": clients.PythonConsume(t, brokers, registry, topic),
		"java":   clients.JavaConsume(t, brokers, registry, topic),
	} {
		if len(got) != 100 {
			t.Errorf("%s read %d records of a transaction with 100", name, len(got))
		}
		for _, r := range got {
			if r.Key[:5] != "true " || r.Headers["ce_type"] != "probe" {
				t.Fatalf("%s read %v", name, r)
			}
		}
	}
}

func keyed(records []clients.Record) map[string]clients.Record {
	out := map[string]clients.Record{}
	for _, r := range records {
		out[fmt.Sprint(r.Partition, " ", r.Offset)] = r
	}
	return out
}
