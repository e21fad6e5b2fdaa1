package processors

// folds merges the slices of windows, one window after the other. Few slices are merged anew every time. For more a running
// fold is kept with the head, in memory only: functions that can be undone take in the slice that comes and take out the
// one that goes; of others there are mergers of all slices from each on, up to some middle, and the merger of those that came
// after it (two stacks, one of them summed up), so that every slice is merged three times, however many a window has.
type folds struct {
	layout     *layout
	series     *series[slice]
	invertible bool
	few        pane // scratch
}

// foldFew is how many slices are merged anew for every window.
const foldFew = 8

// fold is the merger of the slices in [from, next).
type fold struct {
	from, middle, next int64
	back               pane     // of those in [middle, next)
	front              []suffix // of those in [from, middle): the last is of all of them, the first of the last one
}

// suffix is the merger of the slices from key on.
type suffix struct {
	key  int64
	pane pane
}

// closing is the merger of the slices in [start, end), nil for none. Later calls for the head have later windows.
func (f *folds) closing(start, end int64) (*pane, error) {
	h := f.series.head
	if len(h.directory) == 0 {
		items := h.items()
		i := skip(items, start)
		j := i
		for j < len(items) && items[j].key < end && j-i <= foldFew {
			j++
		}
		if j-i <= foldFew {
			return f.merge(items[i:j]), nil
		}
	}
	x, ok := h.memo.(*fold)
	if !ok {
		x = &fold{from: start, middle: start, next: start}
		h.own().memo = x
	}
	p, err := f.slide(x, start, end)
	if err != nil || p == nil || !f.layout.lossy(p) {
		return p, err
	}
	// How the mergers of such sketches were grouped shows, and that depends on what is in memory.
	f.layout.clear(&f.few)
	return &f.few, f.each(start, end, func(e *entry[slice]) { f.layout.merge(&f.few, &e.item.pane) })
}

// merge merges slices anew.
func (f *folds) merge(entries []entry[slice]) *pane {
	for len(entries) > 0 && entries[0].item.pane.count == 0 {
		entries = entries[1:]
	}
	switch len(entries) {
	case 0:
		return nil
	case 1:
		return &entries[0].item.pane
	}
	f.layout.copy(&f.few, &entries[0].item.pane)
	for i := range entries[1:] {
		f.layout.merge(&f.few, &entries[1+i].item.pane)
	}
	return &f.few
}

// slide moves a fold on to the slices in [start, end).
func (f *folds) slide(x *fold, start, end int64) (*pane, error) {
	if start < x.from || end < x.next {
		f.restart(x, start)
	}
	if err := f.forget(x, start); err != nil {
		return nil, err
	}
	if err := f.each(x.next, end, func(e *entry[slice]) { f.layout.merge(&x.back, &e.item.pane) }); err != nil {
		return nil, err
	}
	x.next = end
	switch n := len(x.front); {
	case n == 0 && x.back.count == 0:
		return nil, nil
	case n == 0:
		return &x.back, nil
	case x.back.count == 0:
		return &x.front[n-1].pane, nil
	default:
		f.layout.copy(&f.few, &x.front[n-1].pane)
		f.layout.merge(&f.few, &x.back)
		return &f.few, nil
	}
}

func (f *folds) restart(x *fold, start int64) {
	f.layout.clear(&x.back)
	x.from, x.middle, x.next, x.front = start, start, start, x.front[:0]
}

// each calls do for every slice in [start, end).
func (f *folds) each(start, end int64, do func(e *entry[slice])) error {
	c, err := f.series.seek(start)
	for err == nil {
		e := c.entry()
		if e == nil || e.key >= end {
			break
		}
		do(e)
		err = f.series.next(&c)
	}
	return err
}

// leave takes the slices before start out of the fold of the head, while they are still there.
func (f *folds) leave(start int64) error {
	if x, ok := f.series.head.memo.(*fold); ok {
		return f.forget(x, start)
	}
	return nil
}

// forget takes out the slices before start.
func (f *folds) forget(x *fold, start int64) error {
	switch {
	case start <= x.from:
		return nil
	case start >= x.next:
		f.restart(x, start)
		return nil
	case f.invertible:
		err := f.each(x.from, start, func(e *entry[slice]) { f.layout.subtract(&x.back, &e.item.pane) })
		x.from = start
		return err
	}
	x.from = start
	for n := len(x.front); n > 0 && x.front[n-1].key < start; n-- {
		x.front = x.front[:n-1]
	}
	if start <= x.middle {
		return nil
	}
	return f.turn(x)
}

// turn makes the mergers of all slices from each on.
func (f *folds) turn(x *fold) error {
	x.front = x.front[:0]
	c, err := f.series.seek(x.next)
	for err == nil {
		var ok bool
		if ok, err = f.series.prev(&c); !ok || c.entry().key < x.from {
			break
		}
		n := len(x.front)
		if n == cap(x.front) {
			x.front = append(x.front, suffix{})
		} else {
			x.front = x.front[:n+1] // with its memory
		}
		p := &x.front[n]
		p.key = c.entry().key
		f.layout.copy(&p.pane, &c.entry().item.pane)
		if n > 0 {
			f.layout.merge(&p.pane, &x.front[n-1].pane)
		}
	}
	f.layout.clear(&x.back)
	x.middle = x.next
	return err
}

// added brings the fold of the head up to date when the record that the layout has read has been added to a slice.
func (f *folds) added(key int64) {
	x, ok := f.series.head.memo.(*fold)
	switch {
	case !ok || key < x.from || key >= x.next:
	case f.invertible:
		f.layout.add(&x.back)
	default:
		f.drop()
	}
}

// drop forgets the fold of the head.
func (f *folds) drop() { f.series.head.forget() }
