package topologies

import (
	"slices"
	"strconv"

	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/schemas"
)

// simWindow is a window of a key with its records.
type simWindow struct {
	start, end int64
	in         []simArrival
	n          int64  // results so far
	said       string // what was selected for the last one
	news       bool   // records have come since
}

// simWindows evaluates a rule with windows for one key.
type simWindows struct {
	*simRule
	ref  *simReference
	rule *rules.Rule
	key  string
	open []*simWindow // by start
}

func (ref *simReference) windowed(r *simRule, rule *rules.Rule, key string, in []simArrival) {
	w := &simWindows{simRule: r, ref: ref, rule: rule, key: key}
	switch {
	case r.window.Kind == rules.Counting:
		w.counting(in)
	case r.emit == rules.EmitFinal:
		w.final(in)
	default:
		for i := range in {
			w.fire(in[i].at)
			w.take(in[:i+1])
		}
		w.fire(1 << 60)
	}
}

// put writes a result with the event id that the parts make; false says that having drops it.
func (w *simWindows) put(out *simEvent, origin schemas.Origin, ordinal int64, parts ...int64) bool {
	if out.v < w.having {
		return false
	}
	id := []string{w.rule.ID, w.rule.Version, w.key}
	for _, x := range parts {
		id = append(id, strconv.FormatInt(x, 10))
	}
	out.origin, out.rule, out.ordinal, out.id = origin, w.rule.ID, ordinal, schemas.EventID(id...)
	w.ref.write(w.simRule, out)
	return true
}

// due is the origin of what a deadline brings.
func (w *simWindows) due(at int64) schemas.Origin {
	return schemas.Origin{Stream: w.rule.ID, Key: w.key, Offset: at}
}

func (w *simWindows) counting(in []simArrival) {
	n := int(w.window.N)
	for number := 1; number*n <= len(in); number++ {
		part := in[(number-1)*n : number*n]
		w.put(w.result(w.key, part), part[n-1].origin, int64(number), int64(number), 1)
	}
}

// deadline is when a window closes.
func (w *simWindows) deadline(x *simWindow) int64 {
	switch w.window.Kind {
	case rules.Session:
		return x.end + w.window.Gap + w.lateness + 1
	case rules.Sliding:
		return x.end + w.lateness + 1
	default:
		return x.end + w.lateness
	}
}

// final writes every window that has records once.
func (w *simWindows) final(in []simArrival) {
	for i := range in {
		w.take(in[:i+1])
	}
	for _, x := range w.open {
		at := w.deadline(x)
		w.put(w.result(w.key, x.in), w.due(at), 0, x.start, x.end, 1)
	}
}

// take puts the last of the records into its windows.
func (w *simWindows) take(in []simArrival) {
	e := in[len(in)-1]
	switch w.window.Kind {
	case rules.Session:
		w.session(e)
		return
	case rules.Sliding:
		w.sliding(in)
	default:
		for start := e.at - e.at%w.window.Hop; start >= 0 && start > e.at-w.window.Size; start -= w.window.Hop {
			x := w.find(start, start+w.window.Size)
			x.in, x.news = append(x.in, e), true
		}
	}
	if w.emit != rules.EmitChanges {
		return
	}
	ordinal := e.place(simFan, 0)
	for _, x := range w.open {
		if x.start <= e.at && e.at <= x.end && x.news {
			x.news = false
			w.change(x, e, &ordinal)
		}
	}
}

// find gives the window with those bounds.
func (w *simWindows) find(start, end int64) *simWindow {
	i, found := slices.BinarySearchFunc(w.open, start, func(x *simWindow, start int64) int { return int(x.start - start) })
	if !found {
		w.open = slices.Insert(w.open, i, &simWindow{start: start, end: end})
	}
	return w.open[i]
}

// change writes a window if what is selected has changed.
func (w *simWindows) change(x *simWindow, e simArrival, ordinal *int64) {
	out := w.result(w.key, x.in)
	said := strconv.Itoa(w.route(out)) + out.selected()
	if said == x.said {
		return
	}
	x.n++
	n := x.n
	if w.window.Kind == rules.Sliding {
		n = int64(len(x.in))
	}
	x.said = said
	w.put(out, e.origin, *ordinal, x.start, x.end, n)
	*ordinal++
}

// sliding: a window ends with the record, and one begins after each earlier one.
func (w *simWindows) sliding(in []simArrival) {
	size, at := w.window.Size, in[len(in)-1].at
	ends := []int64{max(at, size)}
	for _, y := range in {
		if y.at < at && y.at+1+size >= at {
			ends = append(ends, y.at+1+size)
		}
	}
	for _, end := range ends {
		x := w.find(end-size, end)
		x.in, x.news = nil, true
		for _, y := range in {
			if x.start <= y.at && y.at <= x.end {
				x.in = append(x.in, y)
			}
		}
	}
}

// session: the record makes the last session longer, or begins one.
func (w *simWindows) session(e simArrival) {
	var x *simWindow
	if n := len(w.open); n > 0 && e.at-w.open[n-1].end <= w.window.Gap {
		x = w.open[n-1]
	} else {
		x = &simWindow{start: e.at, end: e.at}
		w.open = append(w.open, x)
	}
	before := *x
	x.end, x.in, x.news = e.at, append(x.in, e), true
	if w.emit != rules.EmitChanges {
		return
	}
	ordinal := e.place(simFan, 0)
	out := w.result(w.key, x.in)
	said := strconv.Itoa(w.route(out)) + out.selected()
	if said == before.said {
		return
	}
	if before.said != "" {
		old := w.result(w.key, before.in)
		old.gone = true
		x.n++
		w.put(old, e.origin, ordinal, before.start, before.end, x.n)
		ordinal++
	}
	x.n++
	x.said = said
	w.put(out, e.origin, ordinal, x.start, x.end, x.n)
}

// fire writes what is due up to the time, with EmitEvery, and closes windows.
func (w *simWindows) fire(until int64) {
	for {
		closing, tick := int64(1<<62), int64(1<<62)
		for _, x := range w.open {
			closing = min(closing, w.deadline(x))
			if x.news && w.emit == rules.EmitEvery {
				last := x.in[len(x.in)-1].at
				tick = min(tick, last-last%w.window.Every+w.window.Every)
			}
		}
		at := min(closing, tick)
		if at > until {
			return
		}
		ordinal := int64(0)
		for _, x := range w.open {
			if w.emit == rules.EmitEvery && x.news && (at == tick || w.deadline(x) == at) {
				w.interim(x, at, &ordinal)
			}
		}
		w.open = slices.DeleteFunc(w.open, func(x *simWindow) bool { return w.deadline(x) <= at })
	}
}

func (w *simWindows) interim(x *simWindow, at int64, ordinal *int64) {
	x.n++
	n := x.n
	if w.window.Kind == rules.Sliding {
		n = int64(len(x.in))
	}
	x.news = false
	w.put(w.result(w.key, x.in), w.due(at), *ordinal, x.start, x.end, n)
	*ordinal++
}
