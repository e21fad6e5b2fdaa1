package lineage

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Event is a record and what led to it.
type Event struct {
	As        string    `json:"as,omitempty"` // the name that the rule which it is an input of gives it
	ID        string    `json:"event_id"`
	Stream    string    `json:"stream,omitempty"`
	Topic     string    `json:"topic,omitempty"` // "": the record was not found
	Partition int32     `json:"partition"`
	Offset    int64     `json:"offset"`
	Key       string    `json:"key"`
	Time      time.Time `json:"event_time,omitzero"`
	Deletion  bool      `json:"deletion,omitempty"` // of the row of Key
	Fields    []Field   `json:"-"`                  // all, in the order of the schema
	Reads     []string  `json:"-"`                  // the fields that the rule reads which it is an input of; nil: not known
	Above     bool      `json:"above,omitempty"`    // it has been explained at another place
	Made      *Made     `json:"made,omitempty"`     // nil: a source record, or one that was not found
	Troubles  []Trouble `json:"troubles,omitempty"` // of the event that was asked for
	Problem   string    `json:"problem,omitempty"`  // why it says less than it could

	entry *entry
	past  []step // the derivations that led to it, oldest first
}

// Field is one field of a record.
type Field struct {
	Name    string
	Value   json.RawMessage
	Context bool // one that every event has, not the domain's own
}

// Made says how an event was made.
type Made struct {
	Rule    string    `json:"rule"`
	Kind    string    `json:"kind,omitempty"`           // of the loaded rule
	Version string    `json:"version,omitempty"`        // "": the event does not say
	Loaded  string    `json:"loaded_version,omitempty"` // "": the loaded rules have no such rule
	File    string    `json:"file,omitempty"`           // of the loaded rule
	Line    int       `json:"line,omitempty"`
	At      time.Time `json:"at,omitzero"`
	Window  *Window   `json:"window,omitempty"`
	Alone   string    `json:"unmatched,omitempty"` // the input whose record matched no other
	Element int       `json:"element,omitempty"`   // of the list that the rule takes apart, from 1
	Due     time.Time `json:"due,omitzero"`        // the deadline that brought it, if that is not its own time
	Inputs  int64     `json:"inputs"`              // how many records went in; 0: not known
	Read    int64     `json:"inputs_found"`        // of those
	IDs     []string  `json:"event_ids,omitempty"` // those that the event names: all, or the first and the last of an aggregate
	From    []*Event  `json:"from,omitempty"`      // some of them, at least the first and the last
	Notes   []string  `json:"notes,omitempty"`
}

// Current reports whether the loaded rules have the rule as it was.
func (m *Made) Current() bool { return m.Loaded != "" && m.Loaded == m.Version }

// Window is what an aggregate added up.
type Window struct {
	Start  time.Time `json:"start,omitzero"`
	End    time.Time `json:"end,omitzero"`     // exclusive for tumbling and hopping ones, inclusive for others
	Number int64     `json:"number,omitempty"` // of a counting window, from 1
	Result int64     `json:"result,omitempty"` // the how manieth of the window, from 1
	Closed bool      `json:"inclusive"`        // the end belongs to it
}

// Trouble is a copy of a record in the dead-letter topics, or in a stream for late records.
type Trouble struct {
	Kind      string    `json:"kind"` // dead or late
	Code      string    `json:"code,omitempty"`
	Error     string    `json:"error,omitempty"`
	Rule      string    `json:"rule,omitempty"` // "": no rule could read it
	Topic     string    `json:"topic"`
	Partition int32     `json:"partition"`
	Offset    int64     `json:"offset"`
	At        time.Time `json:"at"`
}

// The kinds of troubles.
const (
	Dead = "dead"
	Late = "late"
)

// Covered says what was read of a topic.
type Covered struct {
	Topic   string    `json:"topic"`
	Records int64     `json:"records"`
	Newest  time.Time `json:"newest,omitzero"`   // the largest timestamp among them
	Missing bool      `json:"missing,omitempty"` // the topic does not exist
}

// NotFoundError says that no record has the id.
type NotFoundError struct {
	ID      string
	Covered []Covered
	Limited bool // not all was read
}

func (e *NotFoundError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "no event %s in these topics:", e.ID)
	for _, c := range e.Covered {
		fmt.Fprintf(&b, "\n  %s: %s", c.Topic, c.text(e.Limited))
	}
	if e.Limited {
		b.WriteString("\nnot all was read: --records says how much may be")
	}
	return b.String()
}

func (c *Covered) text(limited bool) string {
	switch {
	case c.Missing:
		return "does not exist"
	case c.Records == 0 && limited:
		return "not read"
	case c.Records == 0:
		return "empty"
	case c.Records == 1:
		return "1 record, of " + c.Newest.UTC().Format(time.RFC3339)
	}
	return fmt.Sprintf("%d records, up to %s", c.Records, c.Newest.UTC().Format(time.RFC3339))
}
