package processors

import (
	"math"
	"slices"
)

// neighbour is a slice that a step reads.
type neighbour struct {
	cursor  cursor[slice]
	key     int64
	slice   *slice
	touched bool
}

// nearby reads the slices in [start, end).
func (w *windows) nearby(start, end int64) error {
	w.near = w.near[:0]
	c, err := w.series.seek(start)
	for err == nil {
		e := c.entry()
		if e == nil || e.key >= end {
			break
		}
		w.near = append(w.near, neighbour{cursor: c, key: e.key, slice: &e.item})
		err = w.series.next(&c)
	}
	return err
}

// neighbour is the slice that begins at key, nil if there is none.
func (w *windows) neighbour(key int64) *neighbour {
	i, found := slices.BinarySearchFunc(w.near, key, func(n neighbour, key int64) int { return sign(n.key < key, n.key > key) })
	if !found {
		return nil
	}
	return &w.near[i]
}

func (w *windows) touch(n *neighbour) {
	if !n.touched {
		w.series.touch(n.cursor)
		n.touched = true
	}
}

// sent is what is remembered of the results for the window that begins with the slice.
func (n *neighbour) sent() emission {
	if n == nil || n.slice.sent == nil {
		return emission{}
	}
	return *n.slice.sent
}

// send stages what is remembered of a result for the window that begins at start, with the slice n if there is one.
func (w *windows) send(n *neighbour, start int64, last emission) error {
	switch {
	case start == w.start:
		w.own = &last
	case n != nil:
		w.touch(n)
		w.sent = append(w.sent, sending{n.slice, last})
	default:
		x, err := w.series.insert(start)
		if err != nil {
			return err
		}
		x.sent = &last
	}
	return nil
}

// changes adds the results of the record's windows, with EmitChanges. old is the record's slice without it.
func (w *windows) changes(entity string, e *Event, old *pane, r *Result) error {
	first := max(w.start-w.size+w.hop, 0)
	for w.closed(first+w.size, e.Clock) {
		first += w.hop
	}
	if err := w.nearby(first, w.start+w.size); err != nil {
		return err
	}
	left, spare := &w.left[0], &w.left[1]
	w.layout.copy(left, old)
	w.layout.add(left)
	after := w.upTo()
	written := len(r.Outputs)
	for start := w.start; start >= first; start -= w.hop { // from the last to the first, so that a slice is merged once
		n := w.neighbour(start)
		if n != nil && start != w.start {
			w.layout.copy(spare, &n.slice.pane)
			w.layout.merge(spare, left)
			left, spare = spare, left
		}
		for after > 0 && w.near[len(w.near)-len(w.right)+after-1].key >= start+w.size {
			after--
		}
		p := left
		if after > 0 {
			p = &w.now
			w.layout.copy(p, left)
			w.layout.merge(p, &w.right[after-1])
		}
		v := view{entity: entity, start: start, end: start + w.size, cause: e}
		last, emitted, err := w.report.report(&v, p, n.sent(), r)
		if err != nil {
			return err
		}
		if emitted {
			if err := w.send(n, start, last); err != nil {
				return err
			}
		}
	}
	slices.Reverse(r.Outputs[written:])
	for i := range r.Outputs {
		r.Outputs[i].Ordinal = int64(i)
	}
	return nil
}

// upTo merges the slices after the record's, from the first of them up to each, into right.
func (w *windows) upTo() int {
	at, found := slices.BinarySearchFunc(w.near, w.start, func(n neighbour, key int64) int { return sign(n.key < key, n.key > key) })
	if found {
		at++
	}
	w.right = w.right[:0]
	for i, n := range w.near[at:] {
		if i == cap(w.right) {
			w.right = append(w.right, pane{})
		} else {
			w.right = w.right[:i+1] // with its memory
		}
		if i == 0 {
			w.layout.copy(&w.right[0], &n.slice.pane)
			continue
		}
		w.layout.copy(&w.right[i], &w.right[i-1])
		w.layout.merge(&w.right[i], &n.slice.pane)
	}
	return len(w.right)
}

// schedule notes that the record's slice has news, with EmitEvery.
func (w *windows) schedule(e *Event) {
	every := w.rule.Window.Every
	due := floor(max(e.Time, e.Clock), every) + every
	next, news := w.series.marks[markNext], w.series.marks[markNews]
	if next == 0 {
		next, news = due, w.start
	}
	w.series.mark(markNext, min(next, due))
	w.series.mark(markNews, min(news, w.start))
}

// tick adds the results of the windows that have news, with EmitEvery.
func (w *windows) tick(at int64, r *Result) error {
	oldest := max(w.live(at)-1, 0, w.series.marks[markClosed]-w.size+w.hop) // a window that closes now is still open
	start := floor(oldest+w.hop-1, w.hop)
	if err := w.nearby(start, math.MaxInt64); err != nil {
		return err
	}
	w.folds.restart(&w.ticking, start)
	for i := 0; i < len(w.near); {
		n := &w.near[i]
		if !n.slice.news || n.key < start {
			i++
			continue
		}
		start = max(start, n.key-w.size+w.hop)
		if !r.Mute {
			if err := w.interim(start, at, r); err != nil {
				return err
			}
		}
		start += w.hop
	}
	for i := range w.near {
		if n := &w.near[i]; n.slice.news {
			w.touch(n)
			w.read = append(w.read, n.slice)
		}
	}
	w.series.mark(markNext, 0)
	w.series.mark(markNews, 0)
	return nil
}

// interim adds the result of an open window.
func (w *windows) interim(start, at int64, r *Result) error {
	end := start + w.size
	p, err := w.folds.slide(&w.ticking, start, end)
	if err != nil || p == nil {
		return err
	}
	n := w.neighbour(start)
	v := view{row: w.series.row, start: start, end: end, due: at}
	last, emitted, err := w.report.report(&v, p, n.sent(), r)
	if err != nil || !emitted || w.closed(end, at) {
		return err
	}
	return w.send(n, start, last)
}

// news reports whether a slice of a window that closes has news, and what is remembered of its results.
func (w *windows) news(start, end int64) (news bool, last emission, err error) {
	err = w.folds.each(max(start, w.series.marks[markNews]), end, func(e *entry[slice]) { news = news || e.item.news })
	if err != nil || !news {
		return false, emission{}, err
	}
	c, err := w.series.seek(start)
	if e := c.entry(); err == nil && e != nil && e.key == start && e.item.sent != nil {
		last = *e.item.sent
	}
	return news, last, err
}
