package retail

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Compare tells how the records found in stream's topic differ from the expected ones, as at most 20 lines of text;
// none when they agree. got lists each partition's records in their order. It may have fields that want does not speak
// of, numbers of any Go type, and times as milliseconds or as RFC 3339 text.
//
// Record by record, Compare demands the same records, as often as expected, in the same order per key and
// SequenceFields.
func Compare(stream string, want, got []Record) []string {
	fields := SequenceFields(stream)
	wanted, found := sequences(want, fields, nil), map[string][]item{}
	if len(want) > 0 {
		found = sequences(got, fields, want[0].Fields)
	} else if len(got) > 0 {
		found = sequences(got, fields, got[0].Fields)
	}
	var diff []string
	for _, name := range names(wanted, found) {
		w, g := present(wanted[name], found[name]), found[name]
		if len(w) != len(g) {
			diff = append(diff, fmt.Sprintf("%s %q: %d records, want %d", stream, name, len(g), len(w)))
		}
		for i := range min(len(w), len(g)) {
			if w[i].text != g[i].text {
				diff = append(diff, fmt.Sprintf("%s %q, record %d:\n\tgot  %s\n\twant %s", stream, name, i+1, g[i].text, w[i].text))
				break
			}
		}
		if len(diff) == 20 {
			break
		}
	}
	return diff
}

// item is a record as text.
type item struct {
	text     string
	optional bool
}

// present leaves out of want what is optional and not in got.
func present(want, got []item) (out []item) {
	for _, w := range want {
		if w.optional && (len(out) >= len(got) || got[len(out)].text != w.text) {
			continue
		}
		out = append(out, w)
	}
	return out
}

// sequences groups records, as text, by key and the values of the fields by. It keeps only the fields that are in like, if any.
func sequences(records []Record, by []string, like map[string]any) map[string][]item {
	out := map[string][]item{}
	for _, r := range records {
		parts := []string{r.Key}
		for _, field := range by {
			parts = append(parts, fmt.Sprint(r.Fields[field]))
		}
		name := strings.Join(parts, " ")
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
		out[name] = append(out[name], item{string(text), r.optional})
	}
	return out
}

var times = []string{"occurred_at", "since", "until", "review_by", "start", "end"}

// plain evens out what two readers of the same event may show differently.
func plain(field string, v any) any {
	switch v := v.(type) {
	case float64:
		if slices.Contains(times, field) {
			return int64(v)
		}
		return v + 0 // no negative zero
	case string:
		if t, err := time.Parse(time.RFC3339, v); err == nil && slices.Contains(times, field) {
			return t.UnixMilli()
		}
	}
	return v
}

func names(a, b map[string][]item) []string {
	all := slices.AppendSeq(slices.Collect(maps.Keys(a)), maps.Keys(b))
	slices.Sort(all)
	return slices.Compact(all)
}
