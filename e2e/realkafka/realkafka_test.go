package realkafka_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/e2e/realkafka"
)

// TestCrash: what was acknowledged is there after a kill, at the same address; the registry answers.
func TestCrash(t *testing.T) {
	c := realkafka.Start(t, 1)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()

	client, err := kgo.NewClient(kgo.SeedBrokers(c.Addr), kgo.DefaultProduceTopic("crash"), kgo.ConsumeTopics("crash"))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	create := kmsg.NewPtrCreateTopicsRequest()
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = "crash", 1, 1
	create.Topics = append(create.Topics, topic)
	if _, err := create.RequestWith(ctx, client); err != nil {
		t.Fatal(err)
	}
	if err := client.ProduceSync(ctx, kgo.StringRecord("still here")).FirstErr(); err != nil {
		t.Fatal(err)
	}

	before := c.Pids()
	if err := c.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := c.Restart(); err != nil {
		t.Fatal(err)
	}
	if after := c.Pids(); len(after) != 1 || after[0] == before[0] {
		t.Errorf("process ids %v before and %v after a crash", before, after)
	}
	fetches := client.PollRecords(ctx, 1)
	if fetches.NumRecords() != 1 || string(fetches.Records()[0].Value) != "still here" {
		t.Errorf("got %v, %v", fetches.Records(), fetches.Err())
	}

	answer, err := http.Get(c.Registry + "/subjects")
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		t.Errorf("registry answers %s", answer.Status)
	}
}

func TestMissing(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	if _, err := realkafka.Launch(realkafka.Options{}); !errors.Is(err, realkafka.ErrMissing) {
		t.Errorf("got %v, want ErrMissing", err)
	}
	t.Setenv("CI", "")
	skipped := t.Run("skip", func(t *testing.T) { realkafka.StartKafka(t, 1) })
	if !skipped {
		t.Error("a test without a JVM failed outside of CI")
	}
	if os.Getenv("CI") != "" {
		t.Error("CI should be unset here")
	}
}
