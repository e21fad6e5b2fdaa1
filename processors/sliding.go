package processors

import (
	"math"

	"github.com/millrace-io/millrace/rules"
)

// cellMoments is the head of the moments of an entity.
const cellMoments = "m"

// sliding is the operator of sliding windows. A window of size ms, both bounds included, ends with every record, or begins
// right after it if there are other records in it; none begins before the epoch. Windows of one end are one window. The
// records of one event time are kept as one moment; what a window has is the merger of its moments, and whether there is
// a window follows from them, so that a record changes one moment, however many windows it lies in.
type sliding struct {
	rule           *rules.Rule
	env            rules.Env
	report         *reporter
	layout         *layout
	series         *series[moment]
	sums           sums
	size, lateness int64

	// The step.
	entity string
	at     int64   // of the record
	moment *moment // of the record, which is there already, or nil
	heard  int64   // with EmitEvery: when the record's results are due
	next   int64   // the end of the first window that has not closed yet, if the step has found it, else -1

	// Scratch memory of results other than final ones.
	near          []neighbourMoment
	left, right   []pane // mergers of near: from each to the record, and from the record to each
	before, after pane   // of a window, without and with the record
	ends          []int64
}

func newSliding(rule *rules.Rule) *sliding {
	w := &sliding{rule: rule, env: newEnv(rule), size: rule.Window.Size, lateness: rule.Lateness}
	w.report = newReporter(rule, &w.env)
	w.layout = w.report.layout
	w.series = newSeries(momentCodec{w.layout}, cellMoments, shapeOf(rule), w.due)
	w.sums = sums{layout: w.layout, series: w.series}
	return w
}

// Rule implements Operator.
func (w *sliding) Rule() *rules.Rule { return w.rule }

// Decode implements Operator.
func (w *sliding) Decode(b []byte) (Cell, error) { return w.series.decode(b) }

// Lag implements Timed.
func (w *sliding) Lag() int64 {
	if w.rule.Emit == rules.EmitChanges {
		return -1
	}
	return w.size + w.lateness + 1
}

// deadline is when the window closes that ends at end.
func (w *sliding) deadline(end int64) int64 { return end + w.lateness + 1 }

// closed is the largest end of windows that have closed at the time clock.
func (w *sliding) closed(clock int64) int64 {
	if clock < math.MinInt64+w.lateness+w.size+2 {
		return math.MinInt64 + w.size + 1
	}
	return clock - w.lateness - 1
}

// endOf is the end of the window that ends with a record at the time at.
func (w *sliding) endOf(at int64) int64 { return max(at, w.size) }

// endAfter is the end of the window that begins after a record at the time at.
func (w *sliding) endAfter(at int64) int64 { return at + 1 + w.size }

// Step implements Operator.
func (w *sliding) Step(s State, e *Event, r *Result) error {
	entity, ok, err := enterGroup(w.rule, &w.env, e, r)
	if !ok {
		return err
	}
	if err := w.layout.read(&w.env, e, e.Time); err != nil {
		return err
	}
	if err := w.series.open(s, entity); err != nil {
		return err
	}
	w.begin(e.Time)
	closed := w.closed(e.Clock)
	if ok, err := w.accepts(closed); !ok {
		r.Late = 1
		return err
	}
	if w.endOf(w.at) <= closed {
		r.Partly = 1
		w.series.mark(markClosed, max(w.series.marks[markClosed], closed))
	}
	if w.layout.listed {
		w.layout.order = w.series.number()
	}
	if err := w.take(entity, e, closed, r); err != nil {
		return err
	}
	w.series.lazy = true
	w.series.expire(closed - w.size)
	return w.series.commit(r, w)
}

func (w *sliding) begin(at int64) { w.at, w.moment, w.heard, w.next = at, nil, 0, -1 }

// accepts reports whether the record lies in a window that has not closed: in that which ends with it, in one that ends
// with a later record, or in one that begins after an earlier record.
func (w *sliding) accepts(closed int64) (bool, error) {
	switch {
	case w.at < 0 || w.at+w.size <= closed:
		return false, nil
	case w.endOf(w.at) > closed:
		return true, nil
	}
	x, err := w.from(closed + 1)
	if err != nil || x != nil && x.key <= w.at+w.size {
		return err == nil, err
	}
	x, err = w.from(closed - w.size)
	return err == nil && x != nil && x.key < w.at, err
}

// from is the first moment that is not before key, nil for none.
func (w *sliding) from(key int64) (*entry[moment], error) {
	c, err := w.series.seek(key)
	if err != nil {
		return nil, err
	}
	return c.entry(), nil
}

// take stages the record and, with EmitChanges, adds its results.
func (w *sliding) take(entity string, e *Event, closed int64, r *Result) error {
	c, err := w.series.seek(w.at)
	if err != nil {
		return err
	}
	old := &w.layout.none
	if x := c.entry(); x != nil && x.key == w.at {
		w.moment, old = &x.item, &x.item.pane
		w.series.touch(c)
	}
	if err := w.layout.check(old); err != nil {
		return err
	}
	switch w.rule.Emit {
	case rules.EmitChanges:
		if err := w.changes(&view{entity: entity, cause: e}, old, closed, r); err != nil {
			return err
		}
	case rules.EmitEvery:
		w.schedule(e)
	default: // results come when windows close
	}
	if w.moment != nil {
		return nil
	}
	w.foresee(closed)
	x, err := w.series.insert(w.at)
	if err != nil {
		return err
	}
	w.layout.add(&x.pane)
	x.made, x.heard = w.heard, w.heard
	return nil
}

// foresee notes the ends of windows that the record's moment makes. If one is the first of all the runtime has to know.
func (w *sliding) foresee(closed int64) {
	end := w.endOf(w.at)
	if end <= closed {
		end = w.endAfter(w.at)
	}
	if x, ok := w.series.head.memo.(*summed); ok && end < x.next {
		w.next, w.series.sooner = end, true
	}
}

// Apply implements Edit: it changes the moment that was there.
func (w *sliding) Apply() {
	if w.moment != nil {
		w.layout.add(&w.moment.pane)
		w.moment.heard = w.heard
	}
	if w.at >= 0 {
		w.sums.added(w.at, w.heard, w.moment == nil)
	}
	w.settle()
}

// settle puts down the first end, if the step has found it.
func (w *sliding) settle() {
	if w.next >= 0 {
		w.sums.of(w.series.head).next = w.next
	}
}

// due is the earliest deadline of a head after fired.
func (w *sliding) due(h *head[moment], fired int64) int64 {
	if len(h.directory) == 0 && len(h.inline.entries) == 0 {
		return Never
	}
	if w.rule.Emit == rules.EmitChanges {
		return w.expiry(h, fired)
	}
	closed := max(w.closed(fired), h.marks[markClosed])
	var end int64
	switch x, known := h.memo.(*summed); {
	case len(h.directory) == 0:
		end = w.nextInline(h.inline.entries, closed)
	case known && x.next > closed:
		end = x.next
	default: // as early as it could be: then it is found out
		end = max(closed+1, w.endOf(h.directory[0].first))
	}
	at := int64(Never)
	if end != math.MaxInt64 {
		at = w.deadline(end)
	}
	if tick := h.marks[markNext]; tick != 0 {
		at = min(at, tick)
	}
	return max(at, fired+1)
}

// expiry is when moments can be dropped that bring no results: all of them if they are in one cell, else the first.
func (w *sliding) expiry(h *head[moment], fired int64) int64 {
	key, _ := h.above(w.closed(fired) - w.size - 1)
	if last, ok := h.inline.last(); ok {
		key = max(key, last)
	}
	if key == math.MaxInt64 {
		return Never
	}
	return max(w.deadline(w.endAfter(key)), fired+1)
}

// nextInline is the first end of windows after closed, math.MaxInt64 for none.
func (w *sliding) nextInline(entries []entry[moment], closed int64) int64 {
	list := chunk[moment]{entries: entries}
	end := int64(math.MaxInt64)
	if i := list.search(closed - w.size); i < len(entries) {
		end = w.endAfter(entries[i].key)
	}
	if closed < w.size && entries[0].key <= w.size {
		return min(end, w.size)
	}
	if i := list.search(max(closed+1, w.size)); i < len(entries) {
		end = min(end, entries[i].key)
	}
	return end
}

// nextEnd is the same of the series.
func (w *sliding) nextEnd(closed int64) (int64, error) {
	end := int64(math.MaxInt64)
	x, err := w.from(closed - w.size)
	if err != nil || x == nil {
		return end, err
	}
	end = w.endAfter(x.key)
	if closed < w.size && x.key <= w.size {
		return min(end, w.size), nil
	}
	if x, err = w.from(max(closed+1, w.size)); err == nil && x != nil {
		end = min(end, x.key)
	}
	return end, err
}

// Fire implements Timed.
func (w *sliding) Fire(s State, row *Row, at int64, r *Result) error {
	w.series.openRow(s, row)
	w.begin(-1)
	w.entity, _ = cellOf(row.Key)
	clear(w.env.Records)
	w.env.Item = nil
	end := w.closed(at)
	w.sums.prune(end - w.size)
	if err := w.results(end, at, r); err != nil {
		return err
	}
	w.series.expire(end - w.size)
	if len(w.series.head.directory) > 0 {
		if err := w.learn(end); err != nil {
			return err
		}
	}
	before := len(r.Changes)
	if err := w.series.commit(r, w); err != nil {
		return err
	}
	if len(r.Changes) == before {
		w.settle()
	}
	return nil
}

// learn finds out which deadline comes next after the window that ends at end has closed.
func (w *sliding) learn(end int64) (err error) {
	if w.rule.Emit == rules.EmitChanges {
		return w.series.learn(end - w.size - 1)
	}
	w.next, err = w.nextEnd(max(end, w.series.marks[markClosed]))
	return err
}
