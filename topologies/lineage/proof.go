package lineage

import (
	"slices"
	"strconv"

	"github.com/millrace-io/millrace/rules"
)

// prove names the inputs of the event as the rule does, and finds out what its id says beyond the lineage: ids are made of what they
// stand for, so that a guess that gives the same id is right.
func prove(e *Event, rule *rules.Rule) {
	name(e, rule)
	switch rule.Kind {
	case rules.Transform:
		element(e, rule)
	case rules.Joining:
		alone(e, rule)
	case rules.Aggregation:
		windowed(e, rule)
	default:
	}
}

// name gives the events below e the names of the inputs that they are: by position for a join, whose ids are in the order of its
// inputs, else by the stream that they lie in.
func name(e *Event, rule *rules.Rule) {
	from := e.Made.From
	all := rule.Kind == rules.Joining && len(from) == len(rule.Inputs)
	for i, child := range from {
		n := i
		if !all {
			n = slices.IndexFunc(rule.Inputs, func(in rules.Input) bool { return in.Stream.Name == child.Stream })
		}
		child.As = inputAlias(rule, n)
		if n >= 0 {
			child.Reads = append([]string{}, rule.Inputs[n].Reads...)
			if k := rule.Inputs[n].Stream.Key; k != "" {
				child.Reads = append(child.Reads, k)
			}
		}
	}
}

// mostElements bounds the guesses of an element's number, or of a window's.
const mostElements = 100_000

// element finds which element of a list the event is of.
func element(e *Event, rule *rules.Rule) {
	if rule.Each == nil || len(e.Made.From) != 1 {
		return
	}
	for i := range mostElements {
		if nth(e, rule, i) {
			e.Made.Element = i + 1
			return
		}
	}
}

// made reports whether the loaded version of a transform has made the event of the one below it.
func made(e *Event, rule *rules.Rule) bool {
	for i := 0; i == 0 || rule.Each != nil && i < mostElements; i++ {
		if nth(e, rule, i) {
			return true
		}
	}
	return false
}

// nth reports whether the event is the n-th result, from 0, of the one below it.
func nth(e *Event, rule *rules.Rule, n int) bool {
	from := e.Made.From[0]
	return eventID(rule, from.Key, from.ID, strconv.Itoa(n)) == e.ID
}

// alone finds which input the record of a result is of that has matched none.
func alone(e *Event, rule *rules.Rule) {
	if len(e.Made.From) != 1 || e.Made.From[0].entry == nil {
		return
	}
	from := e.Made.From[0]
	for i, in := range rule.Inputs {
		entity, ok := entityOf(rule, i, from.entry)
		if ok && eventID(rule, entity, "unmatched", in.Alias, from.ID) == e.ID {
			e.Made.Alone, from.As = in.Alias, in.Alias
			from.Reads = append([]string{in.Stream.Key}, in.Reads...)
			return
		}
	}
}

// mostResults bounds the guesses of how many results of a window there were before.
const mostResults = 1_000

// windowed finds the window that the event is the result of.
func windowed(e *Event, rule *rules.Rule) {
	first, last := ends(e.Made)
	if rule.Window == nil || first == nil || last == nil {
		return
	}
	entity, ok := entityOf(rule, inputOf(rule, first), first)
	if !ok {
		return
	}
	if rule.Window.Kind == rules.Counting {
		for n := int64(1); n <= mostElements; n++ {
			if eventID(rule, entity, text(n), text(1)) == e.ID {
				e.Made.Window = &Window{Start: timeOf(first.at), End: timeOf(last.at), Number: n, Result: 1, Closed: true}
				return
			}
		}
		return
	}
	for _, c := range candidates(rule.Window, first.at, last.at, e.Made.Due.UnixMilli()-rule.Lateness) {
		for n := int64(1); n <= mostResults; n++ {
			if eventID(rule, entity, text(c[0]), text(c[1]), text(n)) == e.ID {
				closed := rule.Window.Kind == rules.Session || rule.Window.Kind == rules.Sliding
				e.Made.Window = &Window{Start: timeOf(c[0]), End: timeOf(c[1]), Result: n, Closed: closed}
				return
			}
		}
	}
}

func text(n int64) string { return strconv.FormatInt(n, 10) }

// ends are the first and the last record of an aggregate, nil for those that were not found.
func ends(m *Made) (first, last *entry) {
	if len(m.From) == 0 {
		return nil, nil
	}
	return m.From[0].entry, m.From[len(m.From)-1].entry
}

// candidates are the windows, start and end, that can hold records from first to last, and are closed from a certain time on.
func candidates(w *rules.Window, first, last, closed int64) [][2]int64 {
	var out [][2]int64
	switch w.Kind {
	case rules.Tumbling, rules.Hopping:
		for start := first - floorMod(first, w.Hop); start > last-w.Size; start -= w.Hop {
			out = append(out, [2]int64{start, start + w.Size})
		}
	case rules.Session:
		out = append(out, [2]int64{first, last})
	case rules.Sliding: // up to its last record, or one that a record has just left, which only the deadline tells
		out = append(out, [2]int64{last - w.Size, last}, [2]int64{closed - 1 - w.Size, closed - 1})
	default:
	}
	return out
}

func floorMod(a, b int64) int64 { return (a%b + b) % b }
