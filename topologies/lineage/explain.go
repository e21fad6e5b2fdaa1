package lineage

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/schemas"
	"github.com/millrace-io/millrace/schemas/registry"
	"github.com/millrace-io/millrace/topologies/kafka"
)

// Options say where to look, and how far.
type Options struct {
	Client   *kafka.Client
	Registry *registry.Client
	Rules    *rules.Set
	App      string // names the dead-letter topics
	Depth    int    // how many rules back; 0: to the source records
	Inputs   int    // how many inputs of an aggregate are listed
	Events   int    // how many events are followed in all
	Records  int64  // how many records are read at most
}

// Answer is an event with all that led to it.
type Answer struct {
	Event   *Event    `json:"event"`
	Covered []Covered `json:"read"`
	Limited bool      `json:"limited,omitempty"` // Options.Records ended the search
	Cut     bool      `json:"cut,omitempty"`     // Options.Events did
}

// Explain finds the event with an id, derived or not, and what led to it. The error is a *NotFoundError when no topic of the rules
// has it.
func Explain(ctx context.Context, id string, o Options) (*Answer, error) {
	x := &explainer{options: o, search: newSearch(&o), placed: map[string]*Event{}}
	root, err := x.root(ctx, id)
	if err != nil {
		return nil, err
	}
	if root != nil {
		if err := x.grow(ctx, root); err != nil {
			return nil, err
		}
		x.settle(root, map[string]bool{})
	}
	if root, err = x.troubled(ctx, id, root); err != nil {
		return nil, err
	}
	if root == nil {
		return nil, &NotFoundError{ID: id, Covered: x.search.summary(), Limited: x.search.limited()}
	}
	return &Answer{Event: root, Covered: x.search.summary(), Limited: x.search.limited(), Cut: x.cut}, nil
}

type explainer struct {
	options Options
	search  *search
	placed  map[string]*Event // by id: where an event is followed
	cut     bool
}

// root finds the event itself, among the records of the streams, then among those that came late; nil: it is in none.
func (x *explainer) root(ctx context.Context, id string) (*Event, error) {
	streams, late := x.streams()
	want := map[string]bool{id: true}
	for _, topics := range [][]string{streams, late} {
		if err := x.search.find(ctx, want, time.Time{}, topics...); err != nil {
			return nil, err
		}
		if e := x.search.found[id]; e != nil {
			root := e.event()
			x.placed[root.ID] = root
			return root, nil
		}
	}
	return nil, nil
}

// streams are the topics of all streams, those that hold nothing but late records apart.
func (x *explainer) streams() (topics, late []string) {
	written := map[string]bool{}
	for _, r := range x.options.Rules.Rules {
		for _, rt := range r.Routes {
			written[rt.Stream.Topic] = true
		}
	}
	for _, r := range x.options.Rules.Rules {
		if r.Late != nil && !written[r.Late.Topic] && !slices.Contains(late, r.Late.Topic) {
			late = append(late, r.Late.Topic)
		}
	}
	for _, s := range x.options.Rules.Streams {
		if !slices.Contains(late, s.Topic) {
			topics = append(topics, s.Topic)
		}
	}
	return topics, late
}

// grow follows the events rule by rule, all of the same distance together.
func (x *explainer) grow(ctx context.Context, root *Event) error {
	level := []*Event{root}
	for depth := 0; len(level) > 0; depth++ {
		for _, e := range level {
			x.made(e)
		}
		if x.options.Depth > 0 && depth >= x.options.Depth {
			return nil
		}
		if err := x.look(ctx, level); err != nil {
			return err
		}
		var next []*Event
		for _, e := range level {
			if e.Made == nil {
				continue
			}
			if err := x.attach(ctx, e); err != nil {
				return err
			}
			for _, child := range e.Made.From {
				switch {
				case x.placed[child.ID] != nil:
					child.Above = true
				case len(x.placed) >= x.options.Events:
					x.cut = true
				default:
					x.placed[child.ID] = child
					next = append(next, child)
				}
			}
		}
		level = next
	}
	return nil
}

// settle sees to it that an event that is there several times is explained where it comes first for a reader, who goes down the tree, not where
// it was followed first.
func (x *explainer) settle(e *Event, seen map[string]bool) {
	if e.Above = seen[e.ID]; e.Above {
		e.Made = nil
		return
	}
	seen[e.ID] = true
	if p := x.placed[e.ID]; p != nil {
		e.Made = p.Made
	}
	if e.Made == nil {
		return
	}
	for _, child := range e.Made.From {
		x.settle(child, seen)
	}
}

// look finds the inputs of the events, wherever they are.
func (x *explainer) look(ctx context.Context, level []*Event) error {
	type place struct {
		want   map[string]bool
		at     time.Time
		topics []string
	}
	places := map[string]*place{}
	var order []string
	for _, e := range level {
		if e.Made == nil {
			continue
		}
		topics := x.sources(e.Made)
		name := strings.Join(topics, " ")
		p := places[name]
		if p == nil {
			p = &place{want: map[string]bool{}, topics: topics}
			places[name], order = p, append(order, name)
		}
		for _, id := range e.Made.IDs {
			p.want[id] = true
		}
		if e.entry != nil && e.entry.Timestamp.After(p.at) {
			p.at = e.entry.Timestamp.Add(time.Millisecond)
		}
	}
	for _, name := range order {
		p := places[name]
		if err := x.search.find(ctx, p.want, p.at, p.topics...); err != nil {
			return err
		}
	}
	return nil
}

// sources are the topics in which the inputs of a rule lie: all, when the loaded rules do not say.
func (x *explainer) sources(m *Made) []string {
	var out []string
	if r := x.options.Rules.Rule(m.Rule); r != nil && m.Current() {
		for _, in := range r.Inputs {
			if !slices.Contains(out, in.Stream.Topic) {
				out = append(out, in.Stream.Topic)
			}
		}
		return out
	}
	out, _ = x.streams()
	return out
}

// made fills in which rule made the event, as far as the event itself says so.
func (x *explainer) made(e *Event) {
	switch {
	case len(e.past) > 0:
		last := e.past[len(e.past)-1]
		e.Made = &Made{Rule: last.Rule, Version: last.RuleVersion, At: timeOf(last.At), IDs: last.EventIDs}
		e.Made.Inputs = max(last.Inputs, int64(len(last.EventIDs)))
	case e.entry != nil && e.entry.writer != nil:
		w := e.entry.writer
		e.Made = &Made{Rule: w.Name}
		if w.Rule != "" {
			e.Made.Rule = w.Rule
		}
		e.Made.Rule, _, _ = strings.Cut(e.Made.Rule, "@")
		if id := e.entry.context.CausationID; id != "" {
			e.Made.IDs = []string{id}
		}
	default:
		return
	}
	m := e.Made
	if r := x.options.Rules.Rule(m.Rule); r != nil {
		m.Kind, m.Loaded, m.File, m.Line = r.Kind.String(), r.Version, r.Pos.File, r.Pos.Line
	}
	if e.entry != nil && e.entry.writer != nil && e.entry.writer.Origin.Stream == m.Rule && e.entry.writer.Origin.Offset != e.entry.at {
		m.Due = timeOf(e.entry.writer.Origin.Offset)
	}
}

// attach puts the inputs that were found below the event.
func (x *explainer) attach(ctx context.Context, e *Event) error {
	m := e.Made
	var rule *rules.Rule
	if m.Current() {
		rule = x.options.Rules.Rule(m.Rule)
	}
	if len(m.IDs) == 0 {
		return x.origin(ctx, e)
	}
	entries := make([]*entry, len(m.IDs))
	for i, id := range m.IDs {
		entries[i] = x.search.found[id]
	}
	if rule != nil && rule.Kind == rules.Aggregation && m.Inputs > int64(len(m.IDs)) {
		var err error
		if entries, err = x.members(ctx, e, rule, entries); err != nil {
			return err
		}
	} else {
		for _, entry := range entries {
			if entry != nil {
				m.Read++
			}
		}
	}
	for i, entry := range entries {
		child := &Event{}
		if entry != nil {
			child = entry.event()
		} else {
			child.ID, child.Problem = m.IDs[i], "not found in "+strings.Join(x.sources(m), ", ")
		}
		if entry == nil && e.entry != nil && child.ID == e.entry.context.CausationID && len(e.past) > 1 {
			child.past = e.past[:len(e.past)-1] // what it carried the event carries, too
		}
		m.From = append(m.From, child)
	}
	if rule != nil {
		prove(e, rule)
	}
	return nil
}

// origin puts the record below the event that set it off, when nothing says what its inputs were, and below a deletion the row that
// it ends.
func (x *explainer) origin(ctx context.Context, e *Event) error {
	if e.entry == nil || e.entry.writer == nil {
		return nil
	}
	o, m := e.entry.writer.Origin, e.Made
	m.Notes = append(m.Notes, "it does not say what its inputs were")
	if e.Deletion {
		was, err := x.search.former(ctx, e.entry)
		if err != nil {
			return err
		}
		m.add(was, "former row")
	}
	s := x.options.Rules.Stream(o.Stream)
	if s == nil {
		return nil
	}
	cause, err := x.search.at(ctx, s.Topic, o.Offset, o.Key, o.EventID)
	if err != nil {
		return err
	}
	m.add(cause, "set off by")
	if r := x.options.Rules.Rule(m.Rule); r != nil && r.Kind == rules.Transform && len(m.From) == 1 && made(e, r) {
		m.Version, m.Inputs, m.Read, m.Notes = r.Version, 1, 1, nil
		prove(e, r)
	}
	return nil
}

// add puts an event below, unless it was not found.
func (m *Made) add(e *entry, as string) {
	if e != nil {
		child := e.event()
		child.As = as
		m.From = append(m.From, child)
	}
}

// inputAlias is the name of an input, "" for none.
func inputAlias(rule *rules.Rule, i int) string {
	if i < 0 || i >= len(rule.Inputs) {
		return ""
	}
	return rule.Inputs[i].Alias
}

// eventID is the id that a rule of that version gives what those parts name.
func eventID(r *rules.Rule, parts ...string) string {
	return schemas.EventID(append([]string{r.ID, r.Version}, parts...)...)
}
