package chaos

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/e2e/realkafka"
	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/schemas/registry"
	"github.com/millrace-io/millrace/topologies"
)

// Backend is a kind of broker.
type Backend string

// The backends.
const (
	Embedded Backend = "embedded" // in this process
	Kafka    Backend = "kafka"    // Apache Kafka on a JVM
)

// broker is a running cluster.
type broker struct {
	addrs []string
	real  *realkafka.Cluster // nil: embedded
	close func() error
}

// startBroker starts a cluster with nothing in it. What it writes stays in dir, if that is not "". The error is
// realkafka.ErrMissing where there is no JVM.
func startBroker(b Backend, nodes int, dir string) (*broker, error) {
	if b == Kafka {
		c, err := realkafka.Launch(realkafka.Options{Nodes: nodes, Dir: dir})
		if err != nil {
			return nil, err
		}
		return &broker{addrs: strings.Split(c.Addr, ","), real: c, close: c.Close}, nil
	}
	// Three, so that coordinators and leaders are different ones.
	c, err := kfake.NewCluster(kfake.NumBrokers(3), kfake.GroupMinSessionTimeout(100*time.Millisecond))
	if err != nil {
		return nil, err
	}
	return &broker{addrs: c.ListenAddrs(), close: func() error { c.Close(); return nil }}, nil
}

// crash kills a node and starts it again after a while.
func (b *broker) crash(node int, down time.Duration) error {
	if err := b.real.Kill(node); err != nil {
		return err
	}
	time.Sleep(down)
	return b.real.Restart()
}

// writeSchemas makes the directory that stands for a registry, and gives the id of each stream's schema.
func writeSchemas(ctx context.Context, dir string, set *rules.Set) (map[string]int32, error) {
	for _, s := range set.Streams {
		if err := os.WriteFile(filepath.Join(dir, topologies.Subject(s)+".avsc"), []byte(s.Schema.String()), 0o600); err != nil {
			return nil, err
		}
	}
	reg, err := registry.New(registry.Options{Dir: dir})
	if err != nil {
		return nil, err
	}
	defer reg.Close()
	ids := map[string]int32{}
	for _, s := range set.Streams {
		if ids[s.Name], err = reg.Lookup(ctx, topologies.Subject(s), s.Schema.String()); err != nil {
			return nil, err
		}
	}
	return ids, nil
}

// makeTopics creates every topic of the rules and gives the plan.
func makeTopics(ctx context.Context, brokers []string, set *rules.Set, partitions int32, replication int16) (*topologies.Plan, error) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(brokers...))
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	plan, have, err := topologies.PlanFor(ctx, cl, App, set, partitions)
	if err != nil {
		return nil, err
	}
	return plan, topologies.Create(ctx, cl, plan.Missing(have, topologies.Options{}), replication)
}

// transactions is what Kafka's own tools say about a partition's open transactions.
func (b *broker) transactions(ctx context.Context, topic string, partition int32) string {
	if b.real == nil {
		return ""
	}
	var out strings.Builder
	for _, args := range [][]string{
		{"list"}, {"describe-producers", "--topic", topic, "--partition", strconv.Itoa(int(partition))}, {"find-hanging", "--broker-id", "1"},
	} {
		text, err := b.real.Tool(ctx, "org.apache.kafka.tools.TransactionsCommand", append([]string{"--bootstrap-server", b.real.Addr}, args...)...)
		fmt.Fprintf(&out, "%v %v\n%s\n", args, err, text)
	}
	return out.String()
}
