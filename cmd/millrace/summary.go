package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/topologies"
	"github.com/millrace-io/millrace/topologies/kafka"
)

// summary is what `dev --once` prints: what is in the topics, and what the rules did.
type summary struct {
	Guarantee       string                   `json:"guarantee"`
	Seconds         float64                  `json:"seconds"`
	EventsPerSecond float64                  `json:"events_per_second"`
	Streams         map[string]streamSummary `json:"streams"`
	Rules           map[string]ruleSummary   `json:"rules"`
}

// streamSummary counts a stream's committed records, and those of them that became dead letters.
type streamSummary struct {
	Records       int64   `json:"records"`
	Dead          int64   `json:"dead"`
	Late          int64   `json:"late"` // no operator has lateness yet
	LastEventTime *string `json:"last_event_time"`
}

// ruleSummary counts what a rule looked at, what passed its where, and what it wrote.
type ruleSummary struct {
	In      int64 `json:"in"`
	Matched int64 `json:"matched"`
	Out     int64 `json:"out"`
}

// summarize reads the topics. A record's event time is its timestamp: derived records and those of feeds have both the
// same.
func summarize(ctx context.Context, client *kafka.Client, set *rules.Set, plan *topologies.Plan) (*summary, error) {
	s := &summary{Streams: map[string]streamSummary{}, Rules: map[string]ruleSummary{}}
	for _, r := range set.Rules {
		s.Rules[r.ID] = ruleSummary{}
	}
	byTopic := map[string]string{}
	topics := make([]string, 0, len(set.Streams))
	last := map[string]time.Time{}
	for _, x := range set.Streams {
		s.Streams[x.Name] = streamSummary{}
		byTopic[x.Topic] = x.Name
		topics = append(topics, x.Topic)
	}
	err := scanAll(ctx, client, topics, func(r *kafka.Record) {
		name := byTopic[r.Topic]
		x := s.Streams[name]
		x.Records++
		s.Streams[name] = x
		if r.Timestamp.After(last[name]) {
			last[name] = r.Timestamp
		}
	})
	if err != nil {
		return nil, err
	}
	for name, at := range last {
		x := s.Streams[name]
		text := at.UTC().Format(time.RFC3339Nano)
		x.LastEventTime = &text
		s.Streams[name] = x
	}
	var dead []string
	for _, t := range plan.Topics {
		if t.Kind == topologies.DeadTopic {
			dead = append(dead, t.Name)
		}
	}
	return s, scanAll(ctx, client, dead, func(r *kafka.Record) {
		name := string(r.Header(topologies.HeaderDeadStream))
		if x, ok := s.Streams[name]; ok {
			x.Dead++
			s.Streams[name] = x
		}
	})
}

// scanAll hands over all committed records of topics.
func scanAll(ctx context.Context, client *kafka.Client, topics []string, each func(*kafka.Record)) error {
	from, err := client.Starts(ctx, topics...)
	if err != nil {
		return err
	}
	to, err := client.StableEnds(ctx, topics...)
	if err != nil {
		return err
	}
	return client.Scan(ctx, from, to, func(r *kafka.Record) error {
		if !r.Control {
			each(r)
		}
		return nil
	})
}

// add counts what a worker's rules did.
func (s *summary) add(stats map[string]topologies.RuleStats) {
	for id, r := range stats {
		x := s.Rules[id]
		s.Rules[id] = ruleSummary{x.In + r.In, x.Matched + r.Matched, x.Out + r.Out}
	}
}

// print shows the summary as tables.
func (s *summary) print(sh *shell) {
	var rows [][]string
	for _, name := range slices.Sorted(maps.Keys(s.Streams)) {
		x := s.Streams[name]
		at := "-"
		if x.LastEventTime != nil {
			at = *x.LastEventTime
		}
		rows = append(rows, []string{name, thousands(x.Records), thousands(x.Dead), thousands(x.Late), at})
	}
	table(sh.out, []string{"stream", ">records", ">dead", ">late", "last event time"}, rows)
	fmt.Fprintln(sh.out)
	rows = nil
	for _, id := range slices.Sorted(maps.Keys(s.Rules)) {
		x := s.Rules[id]
		rows = append(rows, []string{id, thousands(x.In), thousands(x.Matched), thousands(x.Out)})
	}
	table(sh.out, []string{"rule", ">in", ">matched", ">out"}, rows)
	fmt.Fprintf(sh.out, "\n%s, %.1f s, %s events/s\n", s.Guarantee, s.Seconds, thousands(int64(s.EventsPerSecond)))
}

// thousands groups the digits of n: 84,711.
func thousands(n int64) string {
	digits := strconv.FormatInt(n, 10)
	start := 0
	if n < 0 {
		start = 1
	}
	for i := len(digits) - 3; i > start; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}
