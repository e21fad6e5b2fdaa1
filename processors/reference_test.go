package processors

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/millrace-io/millrace/rules"
)

// spec is a rule over a stream of visits, as the rule file and the reference evaluator say it.
type spec struct {
	window     rules.Window
	emit       rules.Emit
	lateness   int64
	within     int64 // of dedupe, 0 for none
	outOfOrder int64 // of the stream
	having     bool  // only results of more than one record
	lonely     bool  // only results of one record
	selects    []string
}

// visit is a record of the stream.
type visit struct {
	user, id, text string // id: what dedupe goes by, "" is null
	value          float64
	at             int64
	event          string // event id: later ones of one time have larger ones
	confidence     float64
	order          int // in which they were processed
}

// evaluator evaluates a spec as its definition reads, over everything that has ever come.
type evaluator struct {
	spec
	keys    []string // of windows
	windows map[string][]*refWindow
	visits  map[string][]visit // sliding: what was accepted
	passed  []visit            // dedupe
	ticked  int64
	taken   int
	lines   []string

	late, partly, doubles int
}

// refWindow is one window of a key, with its records. Bounds are those that results show.
type refWindow struct {
	start, end int64
	visits     []visit
	written    string // what was written last
	changed    bool   // since then
}

func newEvaluator(s spec) *evaluator {
	return &evaluator{spec: s, windows: map[string][]*refWindow{}, visits: map[string][]visit{}, ticked: -1}
}

// deadline is the time at which the window closes.
func (r *evaluator) deadline(w *refWindow) int64 {
	switch r.window.Kind {
	case rules.Session:
		return w.end + r.window.Gap + r.lateness + 1
	case rules.Sliding:
		return w.end + r.lateness + 1
	case rules.Counting:
		return Never
	default:
		return w.end + r.lateness
	}
}

// advance moves time: windows close and are written, each at its time.
func (r *evaluator) advance(clock int64) {
	for {
		var next *refWindow
		key, at := "", int64(Never)
		for _, k := range r.keys {
			for _, w := range r.windows[k] {
				if d := r.deadline(w); d < at {
					next, key, at = w, k, d
				}
			}
		}
		if every := r.window.Every; every > 0 && next != nil {
			if tick := (r.ticked/every + 1) * every; tick <= min(at, clock) {
				r.tick(tick)
				continue
			}
		}
		if next == nil || at > clock {
			break
		}
		r.windows[key] = slices.DeleteFunc(r.windows[key], func(w *refWindow) bool { return w == next })
		if r.emit == rules.EmitFinal || r.emit == rules.EmitEvery && next.changed {
			r.write(key, next, at)
		}
	}
	if r.window.Every > 0 && clock != Ended {
		r.ticked = max(r.ticked, clock)
	}
}

func (r *evaluator) tick(at int64) {
	r.ticked = at
	for _, k := range r.keys {
		for _, w := range r.windows[k] {
			if w.changed {
				r.write(k, w, at)
			}
			w.changed = false
		}
	}
}

// visit takes in a record when time has come to clock.
func (r *evaluator) visit(v visit, clock int64) {
	r.advance(clock)
	r.taken++
	v.order = r.taken
	if r.within > 0 && v.id != "" {
		if v.at+r.within+r.lateness <= clock {
			r.late++
			return
		}
		for _, x := range r.passed {
			if x.user == v.user && x.id == v.id && max(x.at-v.at, v.at-x.at) < r.within && x.at+r.within+r.lateness > clock {
				r.doubles++
				return
			}
		}
	}
	if !slices.Contains(r.keys, v.user) {
		r.keys = append(r.keys, v.user)
		slices.Sort(r.keys)
	}
	accepted := false
	switch r.window.Kind {
	case rules.Session:
		accepted = r.session(v, clock)
	case rules.Sliding:
		accepted = r.sliding(v, clock)
	case rules.Counting:
		accepted = r.counting(v)
	default:
		accepted = r.hopping(v, clock)
	}
	if !accepted {
		r.late++
	} else if r.within > 0 && v.id != "" {
		r.passed = append(r.passed, v)
	}
}

func (r *evaluator) hopping(v visit, clock int64) bool {
	open, closed := 0, 0
	for start := int64(0); start <= v.at; start += r.window.Hop {
		w := &refWindow{start: start, end: start + r.window.Size}
		switch {
		case w.end <= v.at:
		case r.deadline(w) <= clock:
			closed++
		default:
			open++
			r.add(v.user, r.find(v.user, w), v)
		}
	}
	if open > 0 && closed > 0 {
		r.partly++
	}
	return open > 0
}

// find gives the open window of those bounds, and makes it if there is none.
func (r *evaluator) find(user string, w *refWindow) *refWindow {
	for _, x := range r.windows[user] {
		if x.start == w.start && x.end == w.end {
			return x
		}
	}
	r.windows[user] = append(r.windows[user], w)
	return w
}

func (r *evaluator) add(user string, w *refWindow, v visit) {
	w.visits = append(w.visits, v)
	w.changed = true
	r.change(user, w)
}

// change writes the window if its values differ from those written last.
func (r *evaluator) change(user string, w *refWindow) {
	if r.emit == rules.EmitChanges && r.passes(w) && r.values(user, w) != w.written {
		r.write(user, w, 0)
		w.written = r.values(user, w)
	}
}

func (r *evaluator) session(v visit, clock int64) bool {
	merged := &refWindow{start: v.at, end: v.at}
	var old, rest []*refWindow
	for _, w := range r.windows[v.user] {
		if w.start-r.window.Gap <= v.at && v.at <= w.end+r.window.Gap {
			old = append(old, w)
			merged.start, merged.end = min(merged.start, w.start), max(merged.end, w.end)
			merged.visits = append(merged.visits, w.visits...)
		} else {
			rest = append(rest, w)
		}
	}
	if r.deadline(merged) <= clock {
		return false
	}
	merged.visits, merged.changed = append(merged.visits, v), true
	r.windows[v.user] = append(rest, merged)
	if r.emit != rules.EmitChanges {
		return true
	}
	if len(old) == 1 && r.passes(merged) && old[0].written == r.values(v.user, merged) {
		merged.written = old[0].written
		return true
	}
	slices.SortFunc(old, func(a, b *refWindow) int { return cmp.Compare(a.start, b.start) })
	for _, w := range old {
		if w.written != "" {
			r.lines = append(r.lines, "delete "+r.line(v.user, w, 0))
		}
	}
	r.change(v.user, merged)
	return true
}

// sliding: a window ends at each record, and one begins after each record if there is another in it. Windows of one end are
// one window.
func (r *evaluator) sliding(v visit, clock int64) bool {
	size := r.window.Size
	all := append(slices.Clone(r.visits[v.user]), v)
	ends := map[int64]bool{}
	for _, x := range all {
		ends[max(x.at, size)] = true
		for _, y := range all {
			if x.at < y.at && y.at <= x.at+1+size {
				ends[x.at+1+size] = true
			}
		}
	}
	var open []*refWindow
	belongs := false
	for end := range ends {
		w := &refWindow{start: end - size, end: end}
		if r.deadline(w) <= clock {
			continue
		}
		belongs = belongs || w.start <= v.at && v.at <= w.end
		open = append(open, w)
	}
	if !belongs {
		return false
	}
	if v.at >= size && v.at+r.lateness < clock || v.at < size && size+r.lateness < clock {
		r.partly++
	}
	r.visits[v.user] = all
	for _, x := range open {
		before := len(r.windows[v.user])
		w := r.find(v.user, x)
		if isNew := len(r.windows[v.user]) > before; !isNew && (v.at < w.start || w.end < v.at) {
			continue
		}
		w.visits, w.changed = nil, true
		for _, y := range all {
			if w.start <= y.at && y.at <= w.end {
				w.visits = append(w.visits, y)
			}
		}
		r.change(v.user, w)
	}
	return true
}

func (r *evaluator) counting(v visit) bool {
	w := r.find(v.user, &refWindow{})
	w.visits = append(w.visits, v)
	if int64(len(w.visits)) == r.window.N {
		r.windows[v.user] = nil
		r.write(v.user, w, 0)
	}
	return true
}

func (r *evaluator) passes(w *refWindow) bool {
	return (!r.having || len(w.visits) > 1) && (!r.lonely || len(w.visits) == 1)
}

// write writes the window, at a deadline or, with due 0, because of a record.
func (r *evaluator) write(user string, w *refWindow, due int64) {
	if r.passes(w) {
		r.lines = append(r.lines, r.line(user, w, due))
	}
}

// values are the selected values of a window, one text for each.
func (r *evaluator) values(user string, w *refWindow) string {
	var b strings.Builder
	first, last := edges(w.visits)
	for _, name := range r.selects {
		var v any
		switch name {
		case "n":
			v = int64(len(w.visits))
		case "total":
			total := 0.0 // of small halves: exact in any order
			for _, x := range w.visits {
				total += x.value
			}
			v = total
		case "most":
			v = slices.MaxFunc(w.visits, func(a, b visit) int { return cmp.Compare(a.value, b.value) }).value
		case "first":
			v = first.text
		case "last":
			v = last.text
		case "texts":
			texts := []any{}
			slices.SortFunc(w.visits, func(a, b visit) int { return cmp.Compare(a.order, b.order) })
			for _, x := range w.visits[:min(3, len(w.visits))] {
				texts = append(texts, x.text)
			}
			v = texts
		case "start":
			v = w.start
		case "end":
			v = w.end
		}
		fmt.Fprintf(&b, " %s=%v", name, v)
	}
	return user + b.String()
}

// edges are the first and the last visit by event time, then event id.
func edges(vs []visit) (first, last visit) {
	order := func(a, b visit) int { return cmp.Or(cmp.Compare(a.at, b.at), strings.Compare(a.event, b.event)) }
	return slices.MinFunc(vs, order), slices.MaxFunc(vs, order)
}

func (r *evaluator) line(user string, w *refWindow, due int64) string {
	first, last := edges(w.visits)
	ids := []string{first.event, last.event}
	confidence := math.Inf(1)
	for _, v := range w.visits {
		confidence = min(confidence, v.confidence)
	}
	return resultLine(r.values(user, w), last.at, due, confidence, ids[:min(2, len(w.visits))], int64(len(w.visits)))
}

func resultLine(values string, at, due int64, confidence float64, ids []string, inputs int64) string {
	return fmt.Sprintf("%s t=%d due=%d confidence=%v %v of %d", values, at, due, confidence, ids, inputs)
}

// line is an output in the form of the reference's lines.
func (s *spec) line(o *played) string {
	var b strings.Builder
	for _, name := range s.selects {
		fmt.Fprintf(&b, " %s=%v", name, o.Fields[name])
	}
	step := o.Context.Lineage[len(o.Context.Lineage)-1]
	line := resultLine(o.Key+b.String(), o.Time, o.Due, o.Context.Confidence, step.EventIDs, step.Inputs)
	if o.Delete {
		return "delete " + line
	}
	return line
}

// yaml is the rule of the spec.
func (s *spec) yaml() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, "    "+format+"\n", args...) }
	line("by: v.user")
	switch w := s.window; w.Kind {
	case rules.Tumbling:
		line("window: {size: %dms}", w.Size)
	case rules.Hopping:
		line("window: {size: %dms, hop: %dms}", w.Size, w.Hop)
	case rules.Session:
		line("window: {gap: %dms}", w.Gap)
	case rules.Sliding:
		line("window: {sliding: %dms}", w.Size)
	case rules.Counting:
		line("window: {count: %d}", w.N)
	}
	if s.window.Kind != rules.Counting {
		line("lateness: %dms", s.lateness)
	}
	switch s.emit {
	case rules.EmitEvery:
		line("emit: {every: %dms}", s.window.Every)
	default:
		line("emit: %s", s.emit)
	}
	if s.within > 0 {
		line("dedupe: {by: v.id, within: %dms}", s.within)
	}
	if s.having {
		line("having: count() > 1")
	}
	if s.lonely {
		line("having: count() == 1")
	}
	line("select:")
	line("  user: key")
	calls := map[string]string{
		"n": "count()", "total": "sum(v.value)", "most": "max(v.value)", "first": "first(v.text)", "last": "last(v.text)",
		"texts": "list(v.text, 3)", "start": "window.start", "end": "window.end",
	}
	for _, name := range s.selects {
		line("  %s: %s", name, calls[name])
	}
	line("to: case.out")
	return b.String()
}
