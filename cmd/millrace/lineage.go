package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/millrace-io/millrace/topologies/lineage"
)

// lineagePrinter prints what led to an event, as a tree.
type lineagePrinter struct {
	out    io.Writer
	dir    string // of the rules
	fields string // --fields
	err    error  // of out, the first
}

// lineWidth is where lines of fields are broken.
const lineWidth = 110

func (p *lineagePrinter) print(a *lineage.Answer) error {
	p.event(a.Event, "", "")
	if a.Event.Made == nil && a.Event.Problem == "" {
		p.line("  ", "a source record: no rule made it")
	}
	switch {
	case a.Limited:
		p.line("", "not everything was read: --records says how much may be")
	case a.Cut:
		p.line("", fmt.Sprintf("%d events were followed, the others are not shown", mostEvents))
	}
	return p.err
}

func (p *lineagePrinter) line(prefix, text string) {
	if _, err := fmt.Fprintln(p.out, strings.TrimRight(prefix+text, " ")); p.err == nil {
		p.err = err
	}
}

// event prints an event and all below it. first stands before its first line, others before the rest.
func (p *lineagePrinter) event(e *lineage.Event, first, others string) {
	p.line(first, head(e))
	below := others
	if e.Made != nil && !e.Above && len(e.Made.From) > 0 {
		below += "│ "
	} else {
		below += "  "
	}
	if e.Problem != "" {
		p.line(below, e.Problem)
	}
	if e.Above {
		return
	}
	p.values(e, below)
	for i := range e.Troubles {
		p.line(below, trouble(&e.Troubles[i]))
	}
	if e.Made != nil {
		p.made(e, below, others)
	}
}

// head is the first line of an event.
func head(e *lineage.Event) string {
	var b strings.Builder
	if e.As != "" {
		b.WriteString(e.As + ": ")
	}
	if e.Stream == "" {
		return b.String() + e.ID
	}
	fmt.Fprintf(&b, "%s %s  %s  %s/%d@%d", e.Stream, e.ID, at(e.Time), e.Topic, e.Partition, e.Offset)
	switch {
	case e.Above:
		b.WriteString("  (explained above)")
	case e.Deletion:
		b.WriteString("  deletes the row of " + e.Key)
	}
	return b.String()
}

// values prints the fields, as many on a line as fit.
func (p *lineagePrinter) values(e *lineage.Event, prefix string) {
	line := ""
	for _, f := range p.shown(e) {
		x := f.Name + "=" + value(f.Value)
		if line != "" && len([]rune(prefix+line+x)) >= lineWidth {
			p.line(prefix, line)
			line = ""
		}
		line += x + " "
	}
	if line != "" {
		p.line(prefix, line)
	}
}

// longestValue is how much of a value is shown.
const longestValue = 80

// value shows a JSON value: a text without its quotes where nothing is lost by it.
func value(raw json.RawMessage) string {
	text := string(raw)
	var s string
	if json.Unmarshal(raw, &s) == nil && string(raw) != "null" && s != "" && !strings.ContainsAny(s, " =\"\n\t") {
		text = s
	}
	if r := []rune(text); len(r) > longestValue {
		text = string(r[:longestValue]) + "…"
	}
	return text
}

// made prints how the event was made, and the inputs below it.
func (p *lineagePrinter) made(e *lineage.Event, prefix, others string) {
	m := e.Made
	p.line(prefix, p.rule(m))
	if text := p.version(m); text != "" {
		p.line(prefix, text)
	}
	if text := when(e); text != "" {
		p.line(prefix, text)
	}
	for _, n := range m.Notes {
		p.line(prefix, n)
	}
	gap := m.Read - int64(len(m.From))
	for i, child := range m.From {
		last := i == len(m.From)-1
		if last && i > 0 && gap > 0 {
			p.line(others, fmt.Sprintf("├─ … %s more", thousands(gap)))
		}
		if last {
			p.event(child, others+"└─ ", others+"   ")
		} else {
			p.event(child, others+"├─ ", others+"│  ")
		}
	}
}

// rule says which rule made an event, and how.
func (p *lineagePrinter) rule(m *lineage.Made) string {
	var b strings.Builder
	b.WriteString("made by " + m.Rule)
	if m.Loaded != "" {
		fmt.Fprintf(&b, " (%s, %s)", m.Kind, p.place(m))
	}
	if m.Inputs > 1 {
		fmt.Fprintf(&b, " of %s records", thousands(m.Inputs))
	}
	if m.Element > 0 {
		fmt.Fprintf(&b, ", element %d of its list", m.Element)
	}
	if m.Alone != "" {
		fmt.Fprintf(&b, ": %s matched none", m.Alone)
	}
	return b.String()
}

// version says why the loaded rule may be another one than the rule that made an event.
func (p *lineagePrinter) version(m *lineage.Made) string {
	switch {
	case m.Current():
		return ""
	case m.Loaded == "":
		return fmt.Sprintf("the rules in %s have no such rule; its version was %s", p.dir, cmp.Or(m.Version, "not written down"))
	case m.Version == "":
		return "it does not say which version of the rule that was"
	}
	return fmt.Sprintf("it was version %s; the rule has changed since, it is version %s now", m.Version, m.Loaded)
}

// when says of which time an event is that is not simply that of its inputs.
func when(e *lineage.Event) string {
	var parts []string
	if w := e.Made.Window; w != nil {
		between := "window from %s until before %s"
		if w.Closed {
			between = "window from %s to %s"
		}
		parts = append(parts, fmt.Sprintf(between, short(w.Start), short(w.End)))
		if w.Number > 0 {
			parts = append(parts, fmt.Sprintf("number %d of the key", w.Number))
		}
		if w.Result > 1 {
			parts = append(parts, fmt.Sprintf("its result number %d", w.Result))
		}
	}
	if due := e.Made.Due; !due.IsZero() {
		parts = append(parts, "written when time had come to "+short(due))
	}
	return strings.Join(parts, ", ")
}

// short is a time without the part of a second, if it has none.
func short(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// place is where the loaded rule is.
func (p *lineagePrinter) place(m *lineage.Made) string {
	return fmt.Sprintf("%s:%d", path.Join(filepath.ToSlash(p.dir), m.File), m.Line)
}

func trouble(t *lineage.Trouble) string {
	where := fmt.Sprintf("%s/%d@%d", t.Topic, t.Partition, t.Offset)
	if t.Kind == lineage.Late {
		return fmt.Sprintf("came too late for %s: %s", t.Rule, where)
	}
	who := "no rule could read it"
	if t.Rule != "" {
		who = t.Rule + " could not process it"
	}
	why := t.Error
	if !strings.Contains(why, t.Code) {
		why = t.Code + ": " + why
	}
	return fmt.Sprintf("dead letter %s: %s: %s", where, who, why)
}

// eventJSON is an event with the fields that are to be shown.
type eventJSON struct {
	*lineage.Event
	Fields fieldsJSON `json:"fields,omitempty"`
	Made   *madeJSON  `json:"made,omitempty"`
}

type madeJSON struct {
	*lineage.Made
	File string       `json:"file,omitempty"`
	From []*eventJSON `json:"from,omitempty"`
}

// fieldsJSON is an object with its fields in order.
type fieldsJSON []lineage.Field

// MarshalJSON implements json.Marshaler.
func (f fieldsJSON) MarshalJSON() ([]byte, error) {
	b := []byte{'{'}
	for i, x := range f {
		if i > 0 {
			b = append(b, ',')
		}
		name, err := json.Marshal(x.Name)
		if err != nil {
			return nil, err
		}
		b = append(append(append(b, name...), ':'), x.Value...)
	}
	return append(b, '}'), nil
}

// lineageJSON is an answer for programs.
type lineageJSON struct {
	Event *eventJSON `json:"event"`
	*lineage.Answer
}

func (p *lineagePrinter) json(a *lineage.Answer) lineageJSON { return lineageJSON{p.node(a.Event), a} }

func (p *lineagePrinter) node(e *lineage.Event) *eventJSON {
	out := &eventJSON{Event: e, Fields: fieldsJSON(p.shown(e))}
	if m := e.Made; m != nil {
		out.Made = &madeJSON{Made: m}
		if m.File != "" {
			out.Made.File = path.Join(filepath.ToSlash(p.dir), m.File)
		}
		for _, child := range m.From {
			out.Made.From = append(out.Made.From, p.node(child))
		}
	}
	return out
}
