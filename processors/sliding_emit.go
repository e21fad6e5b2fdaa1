package processors

import (
	"math"
	"slices"

	"github.com/millrace-io/millrace/rules"
)

// results adds what is due at the time at: the window that ends at end closes, and, with EmitEvery, others may have news.
func (w *sliding) results(end, at int64, r *Result) error {
	tick := w.series.marks[markNext]
	switch {
	case w.rule.Emit == rules.EmitChanges:
		return nil
	case tick != 0 && tick <= at:
		first := w.series.marks[markNews]
		w.series.mark(markNext, 0)
		w.series.mark(markNews, 0)
		return w.tick(max(end, w.series.marks[markClosed]+1), first, at, r)
	case end <= w.series.marks[markClosed]:
		return nil
	}
	there, err := w.there(end)
	if err != nil || !there {
		return err
	}
	return w.tell(end, at, r)
}

// there reports whether there is a window that ends at end, if it has records. That is known unless the deadline was a
// guess of due.
func (w *sliding) there(end int64) (bool, error) {
	h := w.series.head
	if x, ok := h.memo.(*summed); len(h.directory) == 0 || ok && x.next == end {
		return true, nil
	}
	start := end - w.size
	if start < 0 {
		return false, nil
	}
	for _, key := range [...]int64{end, start - 1} {
		if x, err := w.from(key); err != nil || x != nil && x.key == key {
			return err == nil, err
		}
	}
	if start > 0 {
		return false, nil
	}
	x, err := w.from(0)
	return err == nil && x != nil && x.key <= end, err
}

// tell adds the result of a window that a deadline brings. With EmitEvery there is none if the last one still holds.
func (w *sliding) tell(end, at int64, r *Result) error {
	if r.Mute {
		return nil
	}
	start := end - w.size
	p, heard, err := w.sums.between(start, end)
	if err != nil || p == nil {
		return err
	}
	n := int64(1)
	if w.rule.Emit == rules.EmitEvery {
		n = p.count
		made, err := w.made(end)
		if err != nil || max(made, heard) < at {
			return err
		}
	}
	v := view{entity: w.entity, start: start, end: end, due: at}
	_, _, err = w.report.report(&v, p, emission{n: n - 1}, r)
	return err
}

// made is when the result was due of the record that made a window without being in it, 0 for other windows.
func (w *sliding) made(end int64) (int64, error) {
	x, err := w.from(end)
	if err != nil || x != nil && x.key == end {
		return 0, err
	}
	start := end - w.size
	if x, err = w.from(start - 1); err != nil || x == nil || x.key != start-1 {
		return 0, err
	}
	return x.item.made, nil
}

// schedule notes that the record's moment has news, with EmitEvery.
func (w *sliding) schedule(e *Event) {
	w.heard = tickAfter(e, w.rule.Window.Every)
	next, news := w.series.marks[markNext], w.series.marks[markNews]
	if next == 0 {
		next, news = w.heard, w.at
	}
	w.series.mark(markNext, min(next, w.heard))
	w.series.mark(markNews, min(news, w.at))
}

// tick adds the results of the open windows that have news: none ends before first, the first moment that has any, or
// before end.
func (w *sliding) tick(end, first, at int64, r *Result) error {
	for {
		next, err := w.nextEnd(max(end, first) - 1)
		if err != nil || next == math.MaxInt64 {
			return err
		}
		if err := w.tell(next, at, r); err != nil {
			return err
		}
		end = next + 1
	}
}

// neighbourMoment is a moment that a step reads.
type neighbourMoment struct {
	key    int64
	moment *moment
}

// changes adds the results of the windows that the record lies in or makes, with EmitChanges. old is its moment without it.
func (w *sliding) changes(v *view, old *pane, closed int64, r *Result) error {
	if err := w.nearby(); err != nil {
		return err
	}
	w.mergeNear(old)
	w.findEnds(closed)
	for _, end := range w.ends {
		v.start, v.end = end-w.size, end
		if err := w.change(v, old, r); err != nil {
			return err
		}
	}
	return nil
}

// nearby reads the moments that share a window with the record, and those that make one that it lies in.
func (w *sliding) nearby() error {
	w.near = w.near[:0]
	c, err := w.series.seek(w.at - w.size - 1)
	for err == nil {
		x := c.entry()
		if x == nil || x.key > w.endAfter(w.at) {
			break
		}
		w.near = append(w.near, neighbourMoment{x.key, &x.item})
		err = w.series.next(&c)
	}
	return err
}

// position is where the moments begin that are not before key.
func (w *sliding) position(key int64) int {
	i, _ := slices.BinarySearchFunc(w.near, key, func(n neighbourMoment, key int64) int { return sign(n.key < key, n.key > key) })
	return i
}

func (w *sliding) has(key int64) bool {
	i := w.position(key)
	return i < len(w.near) && w.near[i].key == key
}

// mergeNear merges the moments up to the record's, which is old, from each on, and those after it up to each.
func (w *sliding) mergeNear(old *pane) {
	left, right := w.position(w.at), w.position(w.at+1)
	w.left, w.right = panes(w.left, left+1), panes(w.right, len(w.near)-right+1)
	w.layout.copy(&w.left[left], old)
	for i := left - 1; i >= 0; i-- {
		w.layout.copy(&w.left[i], &w.near[i].moment.pane)
		w.layout.merge(&w.left[i], &w.left[i+1])
	}
	w.layout.clear(&w.right[0])
	for i, x := range w.near[right:] {
		w.layout.copy(&w.right[i+1], &w.right[i])
		w.layout.merge(&w.right[i+1], &x.moment.pane)
	}
}

// panes is a list of n panes that takes the memory of list.
func panes(list []pane, n int) []pane {
	list = list[:cap(list)]
	for len(list) < n {
		list = append(list, pane{})
	}
	return list[:n]
}

// findEnds finds the ends of the open windows that the record lies in, and of the one that begins after it.
func (w *sliding) findEnds(closed int64) {
	w.ends = append(w.ends[:0], w.endOf(w.at))
	for _, x := range w.near {
		switch {
		case x.key < w.at:
			w.ends = append(w.ends, w.endAfter(x.key))
		case x.key > w.at && x.key <= w.at+w.size:
			w.ends = append(w.ends, w.endOf(x.key))
		}
	}
	if after := w.endAfter(w.at); w.moment == nil && w.position(w.at+1) < len(w.near) && !w.has(after) {
		w.ends = append(w.ends, after)
	}
	slices.Sort(w.ends)
	w.ends = slices.DeleteFunc(slices.Compact(w.ends), func(end int64) bool { return end <= closed })
}

// change adds the result of a window if the record changes what is selected. What was written last is not remembered, but
// worked out from the moments without the record: an event would otherwise rewrite every window that it lies in.
func (w *sliding) change(v *view, old *pane, r *Result) error {
	at, to := w.position(w.at), w.position(v.end+1)-w.position(w.at+1)
	w.layout.clear(&w.before)
	if v.start <= w.at {
		w.layout.copy(&w.before, &w.left[min(w.position(v.start), at)])
	}
	w.layout.merge(&w.before, &w.right[to])
	last := emission{n: w.before.count}
	p := &w.before
	if v.start <= w.at {
		p = &w.after
		w.layout.copy(p, &w.before)
		w.layout.add(p)
		if w.before.count > 0 && w.wasThere(v, old) {
			var err error
			if last.selected, err = w.selected(v, r); err != nil {
				return err
			}
		}
	} else {
		last.n--
	}
	_, _, err := w.report.report(v, p, last, r)
	return err
}

// wasThere reports whether there was the window before the record came.
func (w *sliding) wasThere(v *view, old *pane) bool {
	if v.start == 0 || v.end == w.at && old.count > 0 || v.end != w.at && w.has(v.end) {
		return true // no window begins before the epoch: any record in the first one makes it
	}
	return w.has(v.start - 1)
}

// selected is the fingerprint of the values that the window had before the record came, nil if nothing was written.
func (w *sliding) selected(v *view, r *Result) ([]byte, error) {
	dropped := r.Dropped
	a, err := w.report.answer(v, &w.before, r)
	r.Dropped = dropped
	if err != nil || a.route == nil {
		return nil, err
	}
	return slices.Clone(a.finger), nil
}
