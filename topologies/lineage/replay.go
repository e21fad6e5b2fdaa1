package lineage

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/millrace-io/millrace/processors"
	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/schemas"
	"github.com/millrace-io/millrace/schemas/registry"
	"github.com/millrace-io/millrace/topologies/kafka"
)

// ReplayOptions say what is to be replayed.
type ReplayOptions struct {
	Client   *kafka.Client
	Registry *registry.Client
	Rules    *rules.Set
	Rule     *rules.Rule // one of them
	Key      string      // what `by` gives; without `by` the records' own key
	From, To time.Time   // event times: inclusive, exclusive; zero for no bound
	Records  int64       // how many records are read at most
}

// Replayed says what a rule does with the records of one key, one after the other in total order. Nothing is known of what was before
// the first of them.
type Replayed struct {
	Rule    string    `json:"rule"`
	Kind    string    `json:"kind"`
	Version string    `json:"version"`
	File    string    `json:"file"`
	Line    int       `json:"line"`
	Key     string    `json:"key"`
	Steps   []Played  `json:"steps"`
	Runs    []*Run    `json:"runs,omitempty"`    // of a detection, by their numbers
	Matches int       `json:"matches"`           // of a detection
	Until   time.Time `json:"until"`             // how far time has come: the latest event time that was read
	Covered []Covered `json:"read"`              // of what topics
	Limited bool      `json:"limited,omitempty"` // ReplayOptions.Records ended the reading
}

// Played is a record, or time alone, and what it did.
type Played struct {
	At      time.Time           `json:"at"`
	Event   *Event              `json:"event,omitempty"` // nil: a deadline
	Effects []processors.Effect `json:"effects,omitempty"`
	Passed  *bool               `json:"passed,omitempty"` // of a rule that is no detection: whether `where` holds
	Unmet   []rules.Unmet       `json:"unmet,omitempty"`  // if it does not
	Problem string              `json:"problem,omitempty"`
}

// NoRecordError says that no record has the key.
type NoRecordError struct {
	Rule, Key string
	Covered   []Covered
	Limited   bool // not all was read
}

func (e *NoRecordError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s takes no record with the key %q from these topics:", e.Rule, e.Key)
	for _, c := range e.Covered {
		fmt.Fprintf(&b, "\n  %s: %s", c.Topic, c.text(e.Limited))
	}
	if e.Limited {
		b.WriteString("\nnot all was read: --records says how much may be")
	}
	return b.String()
}

// Replay reads the records of a key and has the rule take them, in memory: nothing is written. The error is a *NoRecordError when
// there are none.
func Replay(ctx context.Context, o ReplayOptions) (*Replayed, error) {
	r := &replay{options: o, search: newSearch(&Options{Client: o.Client, Registry: o.Registry, Rules: o.Rules, Records: o.Records})}
	if err := r.read(ctx); err != nil {
		return nil, err
	}
	covered, limited := r.search.summary(), r.search.limited()
	if len(r.taken) == 0 {
		return nil, &NoRecordError{Rule: o.Rule.ID, Key: o.Key, Covered: covered, Limited: limited}
	}
	pos := o.Rule.Pos
	r.out = &Replayed{
		Rule: o.Rule.ID, Kind: o.Rule.Kind.String(), Version: o.Rule.Version, File: pos.File, Line: pos.Line, Key: o.Key,
		Until: timeOf(r.latest), Covered: covered, Limited: limited,
	}
	if o.Rule.Kind != rules.Detection {
		r.filter()
		return r.out, nil
	}
	return r.out, r.detect()
}

type replay struct {
	options ReplayOptions
	search  *search
	taken   []taken
	latest  int64 // event time of all records that were read, ms
	out     *Replayed
}

// taken is a record as an input of the rule. One may be several inputs.
type taken struct {
	*entry
	input    int
	position processors.Position
}

// read finds the records of the key in all partitions, in total order.
func (r *replay) read(ctx context.Context) error {
	o := &r.options
	var topics []string
	slack := time.Duration(0)
	for _, in := range o.Rule.Inputs {
		slack = max(slack, time.Duration(in.Stream.OutOfOrder)*time.Millisecond)
		if !slices.Contains(topics, in.Stream.Topic) {
			topics = append(topics, in.Stream.Topic)
		}
	}
	if err := r.search.bounds(ctx, topics); err != nil {
		return err
	}
	from := r.search.starts
	if !o.From.IsZero() {
		var err error
		if from, err = r.search.center(ctx, o.From.Add(-slack), topics); err != nil {
			return err
		}
	}
	err := r.search.scan(ctx, from, r.search.ends, func(k *kafka.Record) error {
		e, err := r.search.reader.open(ctx, r.search.topics[k.Topic], k)
		if err == nil {
			r.take(e)
		}
		return err
	})
	slices.SortStableFunc(r.taken, func(a, b taken) int { return a.position.Compare(&b.position) })
	return err
}

// take keeps a record that is of the key and within the bounds.
func (r *replay) take(e *entry) {
	o := &r.options
	if t := timeOf(e.at); !o.From.IsZero() && t.Before(o.From) || !o.To.IsZero() && !t.Before(o.To) {
		return
	}
	r.latest = max(r.latest, e.at)
	if e.row.IsNull() {
		return
	}
	for i, in := range o.Rule.Inputs {
		if in.Stream != e.stream {
			continue
		}
		key, ok := e.key(), o.Rule.By == nil
		if !ok {
			key, ok = entityOf(o.Rule, i, e)
		}
		if ok && key == o.Key {
			r.taken = append(r.taken, taken{e, i, e.position(i)})
		}
	}
}

// event is the record as it is shown.
func (t *taken) event(rule *rules.Rule) *Event {
	in := rule.Inputs[t.input]
	e := t.entry.event()
	e.As, e.Reads = in.Alias, append([]string{}, in.Reads...)
	return e
}

// filter tells of every record whether the rule's condition holds.
func (r *replay) filter() {
	rule := r.options.Rule
	for i := range r.taken {
		t := &r.taken[i]
		p := Played{At: timeOf(t.at), Event: t.event(rule)}
		env := enter(rule, t.input, t.entry)
		env.Reset()
		passed := true
		if c := rule.Condition(t.input); c != nil {
			if passed = c.Bool(env); env.Err() != nil {
				p.Problem = env.Err().Error()
			} else if !passed {
				p.Unmet = c.Unmet(env)
			}
		}
		p.Passed = &passed
		r.out.Steps = append(r.out.Steps, p)
	}
}

// Context implements processors.Source.
func (e *entry) Context() (*schemas.Context, error) { return &e.context, nil }
