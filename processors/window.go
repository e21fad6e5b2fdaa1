package processors

import (
	"math"
	"strings"

	"github.com/millrace-io/millrace/rules"
)

// cellWindows is the head of the slices of an entity.
const cellWindows = "w"

// Words that the head of the slices keeps.
const (
	markClosed = 0 // windows that end here or before have closed, although a record for later ones came after that
	markNext   = 1 // with EmitEvery: when results are due next, 0 while no slice has news
	markNews   = 2 // with EmitEvery: no slice before this one has news
)

// windows is the operator of tumbling and hopping windows: [start, end), aligned to the epoch. A record is added to the one
// slice of hop ms that it lies in; a window is the merger of its slices.
type windows struct {
	rule                *rules.Rule
	env                 rules.Env
	report              *reporter
	layout              *layout
	series              *series[slice]
	size, hop, lateness int64
	folds               folds
	steady              bool // having says the same of the same records, whatever the window

	// The step.
	start int64     // of the record's slice, negative without a record
	slice *slice    // which is there already, or nil
	own   *emission // of the window that begins with it, if it has a new result
	sent  []sending // new results of other windows
	read  []*slice  // that have no news any more

	// Scratch memory of results other than final ones.
	near    []neighbour
	left    [2]pane // of the slices up to the record's
	right   []pane  // of those after it
	now     pane    // of both
	ticking fold
}

// sending is what is remembered of a result for the window that begins with a slice.
type sending struct {
	slice    *slice
	emission emission
}

func newWindows(rule *rules.Rule) *windows {
	w := &windows{rule: rule, env: newEnv(rule), size: rule.Window.Size, hop: rule.Window.Hop, lateness: rule.Lateness}
	if rule.Window.Kind == rules.Tumbling {
		w.hop = w.size
	}
	w.report = newReporter(rule, &w.env)
	w.layout = w.report.layout
	w.series = newSeries(sliceCodec{w.layout, w.hop}, cellWindows, shapeOf(rule), w.due)
	w.steady = rule.Emit == rules.EmitFinal && rule.Having != nil && !strings.Contains(rule.Having.Canonical(), "window") && rule.Lateness == 0
	w.folds = folds{layout: w.layout, series: w.series, invertible: w.layout.invertible()}
	return w
}

// Rule implements Operator.
func (w *windows) Rule() *rules.Rule { return w.rule }

// Decode implements Operator.
func (w *windows) Decode(b []byte) (Cell, error) { return w.series.decode(b) }

// Lag implements Timed.
func (w *windows) Lag() int64 {
	if w.rule.Emit == rules.EmitChanges {
		return -1
	}
	if w.rule.EndTimed() {
		return w.lateness
	}
	return w.size + w.lateness
}

// closed reports whether the window that ends at end has closed at the time clock.
func (w *windows) closed(end, clock int64) bool { return end+w.lateness <= clock }

// live is the first key of slices that have an open window at the time clock.
func (w *windows) live(clock int64) int64 {
	if clock < math.MinInt64+w.size+w.lateness {
		return math.MinInt64 + 1
	}
	if fault("expiry") {
		clock += w.hop
	}
	return clock - w.lateness - w.size + 1
}

// firstEnd is the end of the first window that a slice belongs to: none begins before the epoch.
func (w *windows) firstEnd(start int64) int64 { return max(start+w.hop, w.size) }

// Step implements Operator.
func (w *windows) Step(s State, e *Event, r *Result) error {
	entity, ok, err := enterGroup(w.rule, &w.env, e, r)
	if !ok {
		return err
	}
	w.begin(e.Time - e.Time%w.hop)
	if e.Time < 0 || w.closed(w.start+w.size, e.Clock) {
		r.Late = 1
		return nil
	}
	if err := w.layout.read(&w.env, e, e.Time); err != nil {
		return err
	}
	if err := w.series.open(s, entity); err != nil {
		return err
	}
	if w.layout.listed {
		w.layout.order = w.series.number()
	}
	if w.closed(w.firstEnd(w.start), e.Clock) {
		r.Partly = 1
		w.series.mark(markClosed, max(w.series.marks[markClosed], floor(e.Clock-w.lateness, w.hop)))
	}
	if err := w.take(entity, e, r); err != nil {
		return err
	}
	w.series.lazy = true
	w.series.expire(w.live(e.Clock))
	return w.series.commit(r, w)
}

func (w *windows) begin(start int64) {
	w.start, w.slice, w.own = start, nil, nil
	w.sent, w.read = w.sent[:0], w.read[:0]
}

// floor is the largest multiple of unit that is not above x.
func floor(x, unit int64) int64 {
	if m := x % unit; m < 0 {
		return x - m - unit
	}
	return x - x%unit
}

// take stages the record and, with EmitChanges, its results.
func (w *windows) take(entity string, e *Event, r *Result) error {
	c, err := w.series.seek(w.start)
	if err != nil {
		return err
	}
	old := &w.layout.none
	if x := c.entry(); x != nil && x.key == w.start {
		w.slice, old = &x.item, &x.item.pane
		w.series.touch(c)
	}
	if err := w.layout.check(old); err != nil {
		return err
	}
	switch w.rule.Emit {
	case rules.EmitChanges:
		if err := w.changes(entity, e, old, r); err != nil {
			return err
		}
	case rules.EmitEvery:
		w.schedule(e)
	default: // results come when windows close
	}
	if w.slice != nil {
		return nil
	}
	x, err := w.series.insert(w.start)
	if err != nil {
		return err
	}
	w.layout.add(&x.pane)
	x.sent, x.news = w.own, w.rule.Emit == rules.EmitEvery
	return w.foresee(e.Clock)
}

// foresee has the runtime look at the head's deadline if the record's slice, which is new, is the first of all: it may come
// before the one that the row is registered for.
func (w *windows) foresee(clock int64) error {
	if len(w.series.head.directory) == 0 {
		return nil // the head is written anyway
	}
	return w.series.foresee(w.start, w.live(clock)-1)
}

// Apply implements Edit: it changes the slices that were there.
func (w *windows) Apply() {
	if w.slice != nil {
		w.layout.add(&w.slice.pane)
		w.slice.news = w.rule.Emit == rules.EmitEvery
		if w.own != nil {
			w.slice.sent = w.own
		}
	}
	for i := range w.sent {
		x := &w.sent[i]
		if x.slice.sent == nil {
			x.slice.sent = &emission{}
		}
		*x.slice.sent = x.emission
	}
	for _, x := range w.read {
		x.news = false
	}
	if w.start >= 0 {
		w.series.head.quiet = 0
		w.folds.added(w.start)
	}
}

// due is the earliest deadline of a head after fired.
func (w *windows) due(h *head[slice], fired int64) int64 {
	next := h.marks[markNext]
	if w.rule.Emit == rules.EmitChanges || w.rule.Emit == rules.EmitEvery && next == 0 {
		return w.expiry(h, fired)
	}
	at := w.closing(h, fired)
	if next > max(fired, 0) {
		at = min(at, next)
	}
	return at
}

// closing is when the first window closes that has records.
func (w *windows) closing(h *head[slice], fired int64) int64 {
	for key, _ := h.above(w.live(fired) - 1); key != math.MaxInt64; key, _ = h.above(key) {
		end := max(w.firstEnd(key), h.marks[markClosed]+w.hop, h.quiet)
		if w.closed(end, fired) {
			end = floor(fired-w.lateness, w.hop) + w.hop
		}
		if end <= key+w.size || key%w.hop != 0 { // a key that is not exact: look again when its first window may close
			return end + w.lateness
		}
	}
	if h.quiet > 0 {
		return w.expiry(h, fired)
	}
	return Never
}

// expiry is when slices can be dropped that bring no results: all of them if they are in one cell, else the first.
func (w *windows) expiry(h *head[slice], fired int64) int64 {
	key, _ := h.above(w.live(fired) - 1)
	if last, ok := h.inline.last(); ok {
		key = max(key, last)
	}
	if key == math.MaxInt64 {
		return Never
	}
	return key + w.size + w.lateness
}

// Fire implements Timed.
func (w *windows) Fire(s State, row *Row, at int64, r *Result) error {
	w.begin(-1)
	w.series.begin(s, "", row)
	clear(w.env.Records)
	w.env.Item = nil
	var err error
	switch {
	case w.rule.Emit == rules.EmitChanges:
	case w.rule.Emit == rules.EmitEvery && w.series.marks[markNext] == at:
		err = w.tick(at, r)
	case w.rule.Emit == rules.EmitEvery && (w.series.marks[markNext] == 0 || w.series.marks[markNews] >= at-w.lateness):
	case !r.Mute:
		err = w.final(at, r)
	}
	if err != nil {
		return err
	}
	live := w.live(at)
	if len(w.series.head.directory) > 0 {
		if err := w.series.learn(live - 1); err != nil {
			return err
		}
	} else if last, _ := w.series.head.inline.last(); last >= live && !w.series.changed() {
		return nil // the most frequent end of a window
	}
	w.series.expire(live)
	return w.series.commit(r, w)
}

// final adds the result of the window that closes.
func (w *windows) final(at int64, r *Result) error {
	end := at - w.lateness
	start := end - w.size
	if start < 0 || start%w.hop != 0 || end <= w.series.marks[markClosed] {
		return nil
	}
	var last emission
	if w.rule.Emit == rules.EmitEvery {
		news, sent, err := w.news(start, end)
		if err != nil || !news {
			return err
		}
		last = sent
	}
	p, err := w.folds.closing(start, end)
	if err != nil || p == nil {
		return err
	}
	v, dropped := view{row: w.series.row, start: start, end: end, due: at}, r.Dropped
	_, emitted, err := w.report.report(&v, p, last, r)
	if err != nil {
		w.folds.drop()
		return err
	}
	if !emitted && r.Dropped == dropped {
		w.rest(start, end)
	}
	return w.folds.leave(start + w.hop)
}

// rest has the next windows closed without a look at them as long as they have the records of the one in [start, end), of
// which having has said no. A lateness would not allow that: a late record may make a result of such a window, which has an
// event time above which nothing must have been promised by then.
func (w *windows) rest(start, end int64) {
	h := w.series.head
	if !w.steady || len(h.directory) > 0 {
		return
	}
	items := h.items()
	items = items[skip(items, start):]
	h.quiet = items[0].key + w.hop + w.size
	if n := search(items, end); n < len(items) {
		h.quiet = min(h.quiet, items[n].key+w.hop)
	}
}
