package topologies

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/schemas"
)

// simEvent is a record as the reference sees it.
type simEvent struct {
	key     string
	id      string
	a, b    string
	v       int64
	x       *string
	at      int64
	origin  schemas.Origin
	rule    string // who made it
	ordinal int64
	gone    bool // takes back what was written before
}

// text shows all of a record that has to be the same in every run.
func (e *simEvent) text() string {
	if e.gone {
		return fmt.Sprintf("%s at %d id %s: gone", e.key, e.at, e.id)
	}
	return fmt.Sprintf("%s at %d id %s: %s", e.key, e.at, e.id, e.selected())
}

// selected shows what select has made.
func (e *simEvent) selected() string {
	x := "-"
	if e.x != nil {
		x = *e.x
	}
	return fmt.Sprintf("a=%s b=%s v=%d x=%s", e.a, e.b, e.v, x)
}

// field is one that rules go by.
func (e *simEvent) field(name string) string {
	if name == "b" {
		return e.b
	}
	return e.a
}

// simReference evaluates the rules over all of the input at once, rule by rule, in the total order of DESIGN §6: it knows
// nothing of partitions, time that passes, or state.
type simReference struct {
	shape   *simShape
	streams [][]*simEvent // by stream
}

// expected gives what the derived streams have to hold.
func (s *simShape) expected(input [][]*simEvent) [][]*simEvent {
	ref := &simReference{shape: s, streams: make([][]*simEvent, len(s.streams))}
	copy(ref.streams, input)
	for _, r := range s.rules {
		ref.rule(r)
	}
	return ref.streams
}

// simArrival is a record as one input of a rule.
type simArrival struct {
	*simEvent
	input int
}

// compare is the total order.
func (x simArrival) compare(y simArrival) int {
	c := cmp.Or(
		cmp.Compare(x.at, y.at), cmp.Compare(x.input, y.input), cmp.Compare(x.origin.Stream, y.origin.Stream),
		cmp.Compare(x.origin.Key, y.origin.Key), cmp.Compare(x.origin.EventID, y.origin.EventID),
	)
	if c == 0 && x.origin.EventID == "" {
		c = cmp.Compare(x.origin.Offset, y.origin.Offset)
	}
	return cmp.Or(c, cmp.Compare(x.rule, y.rule), cmp.Compare(x.ordinal, y.ordinal), cmp.Compare(x.id, y.id))
}

// simFan is how many results of a record the order leaves room for.
const simFan = 1 << 12

// place is that of the i-th result of the record among those of one origin, where a record brings at most fan.
func (x simArrival) place(fan, i int64) int64 { return int64(x.input)<<48 + x.ordinal*fan + i }

func (ref *simReference) rule(r *simRule) {
	compiled := ref.shape.set.Rule(r.id())
	var in []simArrival
	for i, stream := range r.from {
		for _, e := range ref.streams[stream] {
			if r.keeps(i) || !e.gone && (r.where < 0 || r.join != nil && i > 0 || e.v%5 != r.where) {
				in = append(in, simArrival{e, i})
			}
		}
	}
	slices.SortStableFunc(in, simArrival.compare)
	groups := map[string][]simArrival{}
	var keys []string
	for _, e := range in {
		key := e.key
		if r.by != nil {
			key = e.field(r.by[e.input])
		}
		if groups[key] == nil {
			keys = append(keys, key)
		}
		groups[key] = append(groups[key], e)
	}
	slices.Sort(keys)
	for _, key := range keys {
		es := groups[key]
		if r.within > 0 {
			es = ref.distinct(r, es)
		}
		ref.shape.vague = ref.shape.vague || r.value == "distinct" && estimated(es)
		switch {
		case r.lookup != nil:
			ref.lookedUp(r, compiled, key, es)
		case r.tables != nil:
			ref.tablesJoined(r, compiled, key, es)
		case r.join != nil:
			ref.joined(r, compiled, key, es)
		case r.by == nil:
			ref.transform(r, compiled, es)
		case r.window == nil:
			ref.running(r, compiled, key, es)
		default:
			ref.windowed(r, compiled, key, es)
		}
	}
}

// estimated reports whether there are more values than are counted exactly.
func estimated(in []simArrival) bool {
	values := map[int64]bool{}
	for _, e := range in {
		values[e.v] = true
	}
	return len(values) > 256
}

// distinct drops the copies of records that were there less than within before.
func (ref *simReference) distinct(r *simRule, in []simArrival) (out []simArrival) {
	seen := map[string][]int64{}
	for _, e := range in {
		id := e.id
		if ref.shape.streams[r.from[e.input]].bare {
			if e.x == nil {
				out = append(out, e)
				continue
			}
			id = *e.x
		}
		if slices.ContainsFunc(seen[id], func(at int64) bool { return e.at-at < r.within }) {
			continue
		}
		seen[id] = append(seen[id], e.at)
		out = append(out, e)
	}
	return out
}

func (ref *simReference) transform(r *simRule, rule *rules.Rule, in []simArrival) {
	for _, e := range in {
		for i := range max(1, r.each) {
			out := &simEvent{a: e.a, b: e.b, v: e.v, x: e.x, at: e.at, origin: e.origin, rule: rule.ID, ordinal: e.place(1, i)}
			if r.each > 0 {
				out.ordinal = e.place(simFan, i)
			}
			if r.flip {
				out.a, out.b = out.b, out.a
			}
			if r.each > 0 {
				out.v += i
			}
			out.id = schemas.EventID(rule.ID, rule.Version, e.key, e.id, strconv.FormatInt(i, 10))
			ref.write(r, out)
		}
	}
}

// running writes the result of every record with all those before it.
func (ref *simReference) running(r *simRule, rule *rules.Rule, key string, in []simArrival) {
	n, last := 0, ""
	for i, e := range in {
		out := r.result(key, in[:i+1])
		if out.v < r.having {
			continue
		}
		out.at, out.origin, out.rule = e.at, e.origin, rule.ID
		if now := fmt.Sprint(r.route(out), out.selected()); r.emit == rules.EmitChanges && now == last {
			continue
		} else if r.emit == rules.EmitChanges {
			last = now
		}
		n++
		out.ordinal = int64(n)
		out.id = schemas.EventID(rule.ID, rule.Version, key, "all", strconv.Itoa(n))
		ref.write(r, out)
	}
}

// result is what the rule selects for the records of a group or window.
func (r *simRule) result(key string, in []simArrival) *simEvent {
	out := &simEvent{a: key, v: in[0].v}
	values := map[int64]bool{}
	sum := int64(0)
	for _, e := range in {
		values[e.v] = true
		sum += e.v
		switch r.value {
		case "max":
			out.v = max(out.v, e.v)
		case "min":
			out.v = min(out.v, e.v)
		}
		out.at = max(out.at, e.at)
		if r.text == "max" {
			out.b = max(out.b, e.b)
		} else {
			out.b = e.b
		}
	}
	switch r.value {
	case "count":
		out.v = int64(len(in))
	case "sum":
		out.v = sum
	case "distinct":
		out.v = int64(len(values))
	}
	out.x = r.words(in)
	if r.flip {
		out.a, out.b = out.b, out.a
	}
	return out
}

// words is the result's text.
func (r *simRule) words(in []simArrival) *string {
	if r.text == "last" {
		return in[len(in)-1].x
	}
	var greatest *string
	var first []string
	times := map[string]int{}
	for _, e := range in {
		if e.x != nil && (greatest == nil || *e.x > *greatest) {
			greatest = e.x
		}
		if len(first) < 3 {
			first = append(first, e.b)
		}
		times[e.b]++
	}
	text := strings.Join(first, ",")
	switch r.text {
	case "max":
		return greatest
	case "topk":
		often := slices.SortedFunc(maps.Keys(times), func(a, b string) int { return cmp.Or(cmp.Compare(times[b], times[a]), cmp.Compare(a, b)) })
		text = strings.Join(often[:min(2, len(often))], ",")
	}
	return &text
}

// route is the stream that takes a result.
func (r *simRule) route(e *simEvent) int {
	if len(r.to) == 2 && e.v%2 != 0 {
		return r.to[1]
	}
	return r.to[0]
}

func (ref *simReference) write(r *simRule, e *simEvent) {
	e.key = e.a
	to := r.route(e)
	ref.streams[to] = append(ref.streams[to], e)
}
