package retail

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Compare tells how the records found in stream's topic differ from the expected ones, as at most 20 lines of text;
// none when they agree. got lists each partition's records in their order. It may have fields that want does not speak
// of, numbers of any Go type, and times as milliseconds or as RFC 3339 text.
//
// Record by record, Compare demands the same records, as often as expected, in the same order per key and
// SequenceField. Where LastPerKey holds it looks at the last record of each key only.
func Compare(stream string, want, got []Record) []string {
	if LastPerKey(stream) {
		want, got = newest(want), newest(got)
	}
	field := SequenceField(stream)
	wanted, found := sequences(want, field, nil), map[string][]string{}
	if len(want) > 0 {
		found = sequences(got, field, want[0].Fields)
	} else if len(got) > 0 {
		found = sequences(got, field, got[0].Fields)
	}
	var diff []string
	for _, name := range names(wanted, found) {
		w, g := wanted[name], found[name]
		if len(w) != len(g) {
			diff = append(diff, fmt.Sprintf("%s %q: %d records, want %d", stream, name, len(g), len(w)))
		}
		for i := range min(len(w), len(g)) {
			if w[i] != g[i] {
				diff = append(diff, fmt.Sprintf("%s %q, record %d:\n\tgot  %s\n\twant %s", stream, name, i+1, g[i], w[i]))
				break
			}
		}
		if len(diff) == 20 {
			break
		}
	}
	return diff
}

// newest keeps the last record of each key.
func newest(records []Record) []Record {
	last := make(map[string]Record, len(records))
	for _, r := range records {
		last[r.Key] = r
	}
	return slices.Collect(maps.Values(last))
}

// sequences groups records, as text, by key and the value of field. It keeps only the fields that are in like, if any.
func sequences(records []Record, field string, like map[string]any) map[string][]string {
	out := map[string][]string{}
	for _, r := range records {
		name := r.Key
		if field != "" {
			name += fmt.Sprintf(" %v", r.Fields[field])
		}
		fields := make(map[string]any, len(r.Fields))
		for f, v := range r.Fields {
			if _, ok := like[f]; ok || like == nil {
				fields[f] = plain(f, v)
			}
		}
		text, err := json.Marshal(fields) // sorts the names
		if err != nil {
			text = fmt.Append(nil, err)
		}
		out[name] = append(out[name], string(text))
	}
	return out
}

var times = []string{"occurred_at", "since", "until", "review_by"}

// plain evens out what two readers of the same event may show differently.
func plain(field string, v any) any {
	switch v := v.(type) {
	case float64:
		return v + 0 // no negative zero
	case string:
		if t, err := time.Parse(time.RFC3339, v); err == nil && slices.Contains(times, field) {
			return t.UnixMilli()
		}
	}
	return v
}

func names(a, b map[string][]string) []string {
	all := slices.AppendSeq(slices.Collect(maps.Keys(a)), maps.Keys(b))
	slices.Sort(all)
	return slices.Compact(all)
}
