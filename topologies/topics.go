package topologies

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// topicInfo is what the broker says of a topic.
type topicInfo struct {
	partitions int32
	maxBytes   int // max.message.bytes
}

// Topics are the topics of a cluster by name, without the internal ones of Kafka.
type Topics map[string]topicInfo

// Partitions is the partition count of a topic, 0 for one that does not exist.
func (t Topics) Partitions(name string) int32 { return t[name].partitions }

// defaultMaxBytes is Kafka's max.message.bytes for a topic that does not set it.
const defaultMaxBytes = 1048588

// ListTopics asks the cluster for its topics.
func ListTopics(ctx context.Context, cl *kgo.Client) (Topics, error) {
	q := kmsg.NewPtrMetadataRequest() // no list: all
	a, err := q.RequestWith(ctx, cl)
	if err != nil {
		return nil, fmt.Errorf("list topics: %w", err)
	}
	out := Topics{}
	for _, t := range a.Topics {
		if err := kerr.ErrorForCode(t.ErrorCode); err == nil && t.Topic != nil && !t.IsInternal {
			out[*t.Topic] = topicInfo{partitions: int32(len(t.Partitions)), maxBytes: defaultMaxBytes}
		}
	}
	return out, nil
}

// sizes looks up the largest record of topics; those that do not exist are passed over.
func (t Topics) sizes(ctx context.Context, cl *kgo.Client, names []string) error {
	q := kmsg.NewPtrDescribeConfigsRequest()
	for _, n := range names {
		if _, ok := t[n]; !ok {
			continue
		}
		r := kmsg.NewDescribeConfigsRequestResource()
		r.ResourceType, r.ResourceName, r.ConfigNames = kmsg.ConfigResourceTypeTopic, n, []string{"max.message.bytes"}
		q.Resources = append(q.Resources, r)
	}
	if len(q.Resources) == 0 {
		return nil
	}
	for _, shard := range cl.RequestSharded(ctx, q) {
		if shard.Err != nil {
			return fmt.Errorf("describe topics: %w", shard.Err)
		}
		for _, r := range shard.Resp.(*kmsg.DescribeConfigsResponse).Resources {
			for _, c := range r.Configs {
				if n, err := strconv.Atoi(deref(c.Value)); err == nil && c.Name == "max.message.bytes" {
					info := t[r.ResourceName]
					info.maxBytes = n
					t[r.ResourceName] = info
				}
			}
		}
	}
	return nil
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// MissingError names topics that rules need and millrace does not create itself.
type MissingError struct{ Topics []string }

func (e *MissingError) Error() string {
	return "these topics do not exist: " + strings.Join(e.Topics, ", ") + "; `millrace topics plan` shows what is needed, `millrace topics apply` creates it"
}

// Creation says how a topic is to be made.
type Creation struct {
	Name       string            `json:"name"`
	Kind       TopicKind         `json:"kind"`
	Partitions int32             `json:"partitions"`
	Config     map[string]string `json:"config,omitempty"`
}

// Missing lists the topics of a plan that the cluster does not have.
func (p *Plan) Missing(have Topics, o Options) []Creation {
	o = o.withDefaults()
	var out []Creation
	largest := p.largest(have)
	for _, t := range p.Topics {
		if _, ok := have[t.Name]; ok {
			continue
		}
		c := Creation{Name: t.Name, Kind: t.Kind, Partitions: max(1, t.Partitions), Config: map[string]string{}}
		switch t.Kind {
		case ChangelogTopic:
			c.Config["cleanup.policy"] = "compact"
			c.Config["delete.retention.ms"] = strconv.FormatInt(o.DeleteRetention.Milliseconds(), 10)
		case ProgressTopic:
			// Workers read all of it when they start: small segments, so that compaction keeps it small.
			c.Config["cleanup.policy"] = "compact"
			c.Config["segment.bytes"] = strconv.Itoa(16 << 20)
			c.Config["segment.ms"] = strconv.FormatInt((10 * time.Minute).Milliseconds(), 10)
			c.Config["min.cleanable.dirty.ratio"] = "0.1"
			c.Config["delete.retention.ms"] = strconv.FormatInt(o.DeleteRetention.Milliseconds(), 10)
		case DeadTopic:
			c.Partitions = 1
			c.Config["max.message.bytes"] = strconv.Itoa(largest + deadRoom)
			c.Config["retention.ms"] = strconv.FormatInt((14 * 24 * time.Hour).Milliseconds(), 10)
		case MoveTopic:
			c.Config["max.message.bytes"] = strconv.Itoa(largest + deadRoom)
			// Records carry event times, which retention goes by: years that are replayed must not vanish.
			c.Config["retention.ms"] = "-1"
			c.Config["message.timestamp.type"] = "CreateTime"
		default: // the streams' owners say how they are kept
			// The newest record of a key is never too old. Compaction would go by event times, and take from readers who are behind
			// what they have not read: who asks for former versions, or reads the table as a stream, needs every record.
			if t.Stream != nil && t.Stream.Table != nil {
				c.Config["retention.ms"] = "-1"
			}
		}
		out = append(out, c)
	}
	return out
}

// largest is the largest record that a stream of the plan takes, in bytes.
func (p *Plan) largest(have Topics) int {
	n := defaultMaxBytes
	for _, t := range p.Topics {
		if t.Stream != nil {
			n = max(n, have[t.Name].maxBytes)
		}
	}
	return n
}

// widen lets internal topics take what the streams' topics have come to take: dead letters and moved records are a
// record and a little more.
func (p *Plan) widen(ctx context.Context, cl *kgo.Client, have Topics) error {
	want := p.largest(have) + deadRoom
	q := kmsg.NewPtrIncrementalAlterConfigsRequest()
	for _, t := range p.Topics {
		info, ok := have[t.Name]
		if !ok || info.maxBytes >= want || t.Kind != DeadTopic && t.Kind != MoveTopic {
			continue
		}
		r := kmsg.NewIncrementalAlterConfigsRequestResource()
		r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeTopic, t.Name
		c := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
		c.Name, c.Value = "max.message.bytes", new(strconv.Itoa(want))
		r.Configs = append(r.Configs, c)
		q.Resources = append(q.Resources, r)
		info.maxBytes = want
		have[t.Name] = info
	}
	if len(q.Resources) == 0 {
		return nil
	}
	a, err := q.RequestWith(ctx, cl)
	if err != nil {
		return fmt.Errorf("alter topics: %w", err)
	}
	var errs []error
	for _, r := range a.Resources {
		if err := kerr.ErrorForCode(r.ErrorCode); err != nil {
			errs = append(errs, fmt.Errorf("set max.message.bytes of %s to %d: %w: %s", r.ResourceName, want, err, deref(r.ErrorMessage)))
		}
	}
	return errors.Join(errs...)
}

// Create makes topics. One that exists by now is no error: several workers start at once.
func Create(ctx context.Context, cl *kgo.Client, cs []Creation, replication int16) error {
	if len(cs) == 0 {
		return nil
	}
	q := kmsg.NewPtrCreateTopicsRequest()
	q.TimeoutMillis = 15_000
	for _, c := range cs {
		t := kmsg.NewCreateTopicsRequestTopic()
		t.Topic, t.NumPartitions, t.ReplicationFactor = c.Name, c.Partitions, replication
		names := make([]string, 0, len(c.Config))
		for k := range c.Config {
			names = append(names, k)
		}
		slices.Sort(names)
		for _, k := range names {
			x := kmsg.NewCreateTopicsRequestTopicConfig()
			v := c.Config[k]
			x.Name, x.Value = k, &v
			t.Configs = append(t.Configs, x)
		}
		q.Topics = append(q.Topics, t)
	}
	a, err := q.RequestWith(ctx, cl)
	if err != nil {
		return fmt.Errorf("create topics: %w", err)
	}
	var errs []error
	for _, t := range a.Topics {
		if err := kerr.ErrorForCode(t.ErrorCode); err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
			errs = append(errs, fmt.Errorf("create topic %s: %w: %s", t.Topic, err, deref(t.ErrorMessage)))
		}
	}
	return errors.Join(errs...)
}
