package lineage

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/millrace-io/millrace/processors"
	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/schemas"
	"github.com/millrace-io/millrace/topologies/kafka"
)

// members finds the records between the first and the last one that an aggregate has added up, which are all that the event names: those
// of the same key that the rule's condition passes. It gives those that are to be listed, in order.
func (x *explainer) members(ctx context.Context, e *Event, rule *rules.Rule, known []*entry) ([]*entry, error) {
	note := func(text string) { e.Made.Notes = append(e.Made.Notes, text) }
	first, last := known[0], known[len(known)-1]
	if first == nil || last == nil {
		note("the records between the first and the last were not looked for: one of these is not there any more")
		return known, nil
	}
	if rule.Window == nil && rule.Order == rules.OrderArrival {
		note("the topics do not tell which records lie between: the rule takes them as they arrive")
		return known, nil
	}
	entity, ok := entityOf(rule, inputOf(rule, first), first)
	if !ok {
		return known, nil
	}
	g := &gathering{rule: rule, entity: entity, first: first, last: last, most: max(2, x.options.Inputs)}
	if err := x.gather(ctx, g); err != nil {
		return nil, err
	}
	e.Made.Read = g.count
	if text := x.tally(e.Made, rule); text != "" {
		note(text)
	}
	if g.count < 2 {
		return known, nil
	}
	g.shorten()
	return g.members, nil
}

// tally says why more or fewer records were found than went in.
func (x *explainer) tally(m *Made, rule *rules.Rule) string {
	switch {
	case m.Read < m.Inputs && x.search.limited():
		return "not all were found before reading ended: --records says how much may be read"
	case m.Read < m.Inputs:
		return fmt.Sprintf("%d of them were found; the others are not in the topics any more, or lie far from their time", m.Read)
	case m.Read > m.Inputs && rule.Dedupe != nil:
		return fmt.Sprintf("%d were found that it may be made of: dedupe dropped some of them, or they came too late", m.Read)
	case m.Read > m.Inputs && rule.Window != nil && rule.Window.Kind == rules.Counting:
		return fmt.Sprintf("%d were found that it may be made of: some of the same time belong to the window beside", m.Read)
	case m.Read > m.Inputs:
		return fmt.Sprintf("%d were found that it may be made of: some of them came too late", m.Read)
	}
	return ""
}

// gathering is the search for the members of one aggregate.
type gathering struct {
	rule        *rules.Rule
	entity      string
	first, last *entry
	most        int      // members that are to be listed
	count       int64    // of all members
	members     []*entry // those that may be listed
}

// spare is how many members more than are to be listed are kept before the others are dropped.
const spare = 1000

// add counts a member.
func (g *gathering) add(e *entry) {
	g.count++
	if g.members = append(g.members, e); len(g.members) > g.most+spare {
		g.shorten()
	}
}

// shorten leaves the members that are to be listed, in order: the first ones and the last.
func (g *gathering) shorten() {
	slices.SortFunc(g.members, g.compare)
	if n := len(g.members); n > g.most {
		g.members[g.most-1] = g.members[n-1]
		clear(g.members[g.most:])
		g.members = g.members[:g.most]
	}
}

// compare orders records as the aggregate does whose first and last they are: one without a window by the total order, others by
// event time, then id.
func (g *gathering) compare(a, b *entry) int {
	if g.rule.Window != nil {
		return cmp.Or(cmp.Compare(a.at, b.at), strings.Compare(a.id, b.id))
	}
	p, q := a.position(inputOf(g.rule, a)), b.position(inputOf(g.rule, b))
	return p.Compare(&q)
}

// position is the place of the record in the total order of a rule that reads it as that input.
func (e *entry) position(input int) processors.Position {
	p := processors.Position{Time: e.at, Input: input, Event: e.id, Local: e.Offset}
	switch w := e.writer; {
	case w != nil:
		p.Stream, p.Key, p.ID, p.Offset, p.Ordinal = w.Origin.Stream, w.Origin.Key, w.Origin.EventID, w.Origin.Offset, w.Ordinal
		p.Rule = cmp.Or(w.Rule, w.Name)
	case e.Key == nil:
		p.Stream, p.Key, p.ID = e.stream.Name, e.key(), e.id
	default:
		p.Stream, p.Key, p.Offset = e.stream.Name, e.key(), e.Offset
	}
	if p.ID != "" {
		p.Offset = 0
	}
	return p
}

// gather reads the topics of the rule around the time from the first to the last record.
func (x *explainer) gather(ctx context.Context, g *gathering) error {
	topics := x.sources(&Made{Rule: g.rule.ID, Version: g.rule.Version, Loaded: g.rule.Version})
	from, until := earlier(g.first.Timestamp, timeOf(g.first.at)), later(g.last.Timestamp, timeOf(g.last.at))
	slack := time.Duration(g.rule.Lateness) * time.Millisecond
	for _, in := range g.rule.Inputs {
		slack = max(slack, time.Duration(in.Stream.OutOfOrder)*time.Millisecond)
	}
	lo, err := x.search.center(ctx, from.Add(-slack), topics)
	if err != nil {
		return err
	}
	hi, err := x.search.center(ctx, until.Add(slack+time.Millisecond), topics)
	if err != nil {
		return err
	}
	for _, e := range []*entry{g.first, g.last} { // they count, wherever they lie
		lo[e.Partition] = min(lo[e.Partition], e.Offset)
		hi[e.Partition] = max(hi[e.Partition], e.Offset+1)
	}
	to := kafka.Offsets{}
	for p := range lo {
		if lo[p] < x.search.ends[p] {
			to[p] = x.search.ends[p]
		}
	}
	passed := kafka.Offsets{} // partitions that have come to later records
	return x.search.scan(ctx, lo, to, func(r *kafka.Record) error {
		if r.Offset >= hi[r.Partition] && r.Timestamp.After(until.Add(slack)) {
			if passed[r.Partition] = 1; len(passed) == len(to) {
				return kafka.ErrStop
			}
		}
		e, err := x.search.reader.open(ctx, x.search.topics[r.Topic], r)
		if err != nil {
			return err
		}
		if g.takes(e) {
			g.add(e)
		}
		return nil
	})
}

// takes reports whether a record is one that the aggregate has added up.
func (g *gathering) takes(e *entry) bool {
	if e.row.IsNull() || g.compare(e, g.first) < 0 || g.compare(e, g.last) > 0 {
		return false
	}
	for i, in := range g.rule.Inputs {
		if in.Stream != e.stream {
			continue
		}
		env := enter(g.rule, i, e)
		if w := g.rule.Condition(i); w != nil && !w.Bool(env) {
			continue
		}
		if entity, ok := entityOf(g.rule, i, e); ok && entity == g.entity {
			return true
		}
	}
	return false
}

// enter is the environment in which the rule sees a record of an input.
func enter(rule *rules.Rule, input int, e *entry) *rules.Env {
	env := &rules.Env{Records: make([]schemas.Record, len(rule.Inputs)), Key: e.key(), Now: e.at}
	env.Records[input] = e.row
	return env
}

// entityOf is the key under which the rule takes a record of an input.
func entityOf(rule *rules.Rule, input int, e *entry) (string, bool) {
	if input < 0 || input >= len(rule.By) || rule.By[input] == nil || rule.Inputs[input].Stream != e.stream || e.row.IsNull() {
		return "", false
	}
	key, err := processors.Entity(rule, &processors.Event{Input: input, Record: e.row, Key: e.key(), Time: e.at}, enter(rule, input, e))
	return key, err == nil
}

// inputOf is the first input of the rule whose stream the record is of, -1 for none.
func inputOf(rule *rules.Rule, e *entry) int {
	return slices.IndexFunc(rule.Inputs, func(in rules.Input) bool { return in.Stream == e.stream })
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
