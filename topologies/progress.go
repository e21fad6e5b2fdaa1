package topologies

import (
	"encoding/json"
	"fmt"
	"hash/fnv"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/processors"
)

// progress is what one partition of a group says of itself, in the same transaction as what it is about: to the readers
// of its streams, and to its next owner. It is the value of a record of the progress topic, in JSON; its key is group and
// partition.
type progress struct {
	Version   int    `json:"version"`
	Group     string `json:"group"`
	Partition int32  `json:"partition"`
	Table     string `json:"table,omitempty"`    // id of the changelog topic with the state that this goes with
	Instance  string `json:"instance,omitempty"` // the worker that has the partition, if it keeps tables: who asks for a row
	Address   string `json:"address,omitempty"`  // finds it there
	// Times are the output times of the partition's writers, by name, in ms.
	Times map[string]int64 `json:"times,omitempty"`
	Ended bool             `json:"ended,omitempty"` // the input was bounded, and everything of it is processed
	// Written is, by topic and partition, the offset behind the last record that the partition has written there.
	Written map[string]map[int32]int64 `json:"written,omitempty"`
	// Wanted is the event time that the partition waits for its inputs to reach: processors.Never for none.
	Wanted int64                    `json:"wanted"`
	Inputs map[string]inputProgress `json:"inputs,omitempty"` // by topic
	Tasks  map[string]taskProgress  `json:"tasks,omitempty"`  // by rule
}

// inputProgress is how far a partition has taken in one of its inputs.
type inputProgress struct {
	Taken   int64   `json:"taken"`             // next offset
	Refused []int64 `json:"refused,omitempty"` // offsets below it, not yet committed, of records with an implausible time
	Latest  int64   `json:"latest"`            // of a source: its largest event time
	Time    int64   `json:"time"`
}

// taskProgress is a processors.TaskState.
type taskProgress struct {
	State    string            `json:"state"` // rules.Rule.Fingerprint: what another one has done says nothing
	Clock    int64             `json:"clock"`
	FiredAt  int64             `json:"fired_at"`
	Part     int               `json:"fired_part"`
	Position *positionProgress `json:"position,omitempty"`
}

// positionProgress is a processors.Position.
type positionProgress struct {
	Time    int64  `json:"time"`
	Input   int    `json:"input,omitempty"`
	Stream  string `json:"stream,omitempty"`
	Key     string `json:"key,omitempty"`
	ID      string `json:"id,omitempty"`
	Offset  int64  `json:"offset,omitempty"`
	Rule    string `json:"rule,omitempty"`
	Ordinal int64  `json:"ordinal,omitempty"`
	Event   string `json:"event,omitempty"`
	Local   int64  `json:"local,omitempty"`
}

const progressVersion = 1

func newTaskProgress(fingerprint string, s processors.TaskState) taskProgress {
	t := taskProgress{State: fingerprint, Clock: s.Clock, FiredAt: s.Fired.At, Part: s.Fired.Part}
	if s.Ran {
		t.Position = new(positionProgress(s.Position))
	}
	return t
}

func (t taskProgress) state() processors.TaskState {
	s := processors.TaskState{Clock: t.Clock, Fired: processors.Fired{At: t.FiredAt, Part: t.Part}}
	if t.Position != nil {
		s.Ran, s.Position = true, processors.Position(*t.Position)
	}
	return s
}

func progressKey(group string, partition int32) string { return fmt.Sprintf("%s/%d", group, partition) }

// progressPartition is where the progress of a group's partitions lies.
func progressPartition(group string, partitions int32) int32 {
	h := fnv.New32a()
	h.Write([]byte(group))
	return int32(h.Sum32() % uint32(max(1, partitions)))
}

// record makes the record of the progress topic.
func (p *progress) record(topic string, partitions int32) (*kgo.Record, error) {
	b, err := json.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("progress of %s/%d: %w", p.Group, p.Partition, err)
	}
	return &kgo.Record{Topic: topic, Partition: progressPartition(p.Group, partitions), Key: []byte(progressKey(p.Group, p.Partition)), Value: b}, nil
}

// parseProgress reads a record's value. A record of a later version is none that can be understood: the group that wrote
// it has to be upgraded last.
func parseProgress(b []byte) (*progress, error) {
	p := &progress{}
	if err := json.Unmarshal(b, p); err != nil {
		return nil, fmt.Errorf("progress record: %w", err)
	}
	if p.Version != progressVersion {
		return nil, fmt.Errorf("progress record of %s/%d: version %d; this worker reads %d", p.Group, p.Partition, p.Version, progressVersion)
	}
	return p, nil
}
