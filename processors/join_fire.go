package processors

import "math"

// sweepLeast is how long records that bring no result are left where they are at least, in ms: they go many at a time.
const sweepLeast = 1000

// due is the earliest deadline of a head after fired: that of a record that may come out, else one by which many have gone.
func (x *side) due(h *head[joined], fired int64) int64 {
	closed := x.live(fired) - 1 // at fired records up to here were done with
	if x.unmatched {
		if at := x.opening(h, closed); at != Never {
			return max(at, fired+1)
		}
	}
	var last int64
	switch n := len(h.directory); {
	case n > 1:
		last = h.directory[n/2].first
	case n == 1:
		last = max(closed, h.directory[0].first)
	default:
		var ok bool
		if last, ok = h.inline.last(); !ok {
			return Never
		}
	}
	sweep := max(x.bound/16, sweepLeast)
	return max(floor(x.deadline(last), sweep)+sweep, fired+1)
}

// opening is the first deadline of a record after closed that has matched none, Never for none. For one in a chunk it may be
// that of one that has matched, or as early as it could be: then it is found out.
func (x *side) opening(h *head[joined], closed int64) int64 {
	if len(h.directory) > 0 {
		if key, _ := h.above(closed); key != math.MaxInt64 {
			return x.deadline(key)
		}
		return Never
	}
	items := h.items()
	for i := skip(items, closed+1); i < len(items); i++ {
		if !items[i].item.matched() {
			return x.deadline(items[i].key)
		}
	}
	return Never
}

// Fire implements Timed.
func (w *joining) Fire(s State, row *Row, at int64, r *Result) error {
	w.entity, _ = cellOf(row.Key)
	w.env.Key, w.env.Item, w.result = w.entity, nil, r
	clear(w.touched)
	w.touched = w.touched[:0]
	h, _ := row.Value.(*head[joined])
	for i := len(w.sides) - 1; i >= 0; i-- { // of one deadline those of later inputs come first
		x := &w.sides[i]
		if own := h != nil && h.inline.of == x.series; own {
			return w.close(s, x, row, at)
		}
		if !x.unmatched {
			continue
		}
		other, err := s.Row(w.entity, x.series.cell)
		if err != nil {
			return err
		}
		if c, ok := other.Value.(DueCell); ok && c.Due(at-1) == at {
			if err := w.close(s, x, other, at); err != nil {
				return err
			}
		}
	}
	return nil
}

// close adds the results of the records of a side that stop waiting at the time at. It may have done so already.
func (w *joining) close(s State, x *side, row *Row, at int64) error {
	x.series.begin(s, w.entity, row)
	last := at - x.bound - 1
	if x.unmatched {
		if err := w.expel(x, last, at); err != nil {
			return err
		}
		if len(x.series.head.directory) > 0 {
			if err := x.series.learn(last); err != nil {
				return err
			}
		}
	}
	x.series.expire(last + 1)
	return x.series.commit(w.result, nil)
}

// expel adds the results of the records at the time at that match none, and takes them out.
func (w *joining) expel(x *side, time, due int64) error {
	c, err := x.series.seek(time)
	for ; err == nil; err = x.series.next(&c) {
		e := c.entry()
		if e == nil || e.key > time {
			break
		}
		if e.item.matched() {
			continue
		}
		x.series.remove(c)
		if w.result.Mute {
			continue
		}
		if err := w.look(x, e); err != nil {
			return err
		}
		if err := w.alone(x, due); err != nil {
			return err
		}
	}
	return err
}
