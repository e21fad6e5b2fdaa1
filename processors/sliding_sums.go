package processors

import (
	"math"
	"math/bits"
)

// sums merges the moments of windows. Few are merged anew every time. For more a tree of mergers is kept with the head, in
// memory only, so that it takes O(log n) to add a record or to merge a window, whatever the order in which records come.
type sums struct {
	layout *layout
	series *series[moment]
	few    pane  // scratch
	heard  int64 // of few
}

// summed is what is remembered with a head whose moments lie in chunks.
type summed struct {
	root *sum  // nil: not made yet
	next int64 // the end of the first window that has not closed yet; 0: not known
}

// sum is the merger of the moments in [from, from+1<<bits), a node of a binary trie over their keys without nodes of one
// child. Its keys lie in [first, last]; some of the moments may have expired since it was made.
type sum struct {
	from        int64
	bits        int
	first, last int64
	n           int  // moments
	known       bool // pane and heard are up to date
	pane        pane
	heard       int64
	low, high   *sum // nil: a leaf, whose moments have to be merged one by one
}

// leafMost is how many moments a leaf has before it is split.
const leafMost = 16

// of is the memory of a head.
func (s *sums) of(h *head[moment]) *summed {
	x, ok := h.memo.(*summed)
	if !ok {
		x = &summed{}
		h.own().memo = x
	}
	return x
}

// between is the merger of the moments in [start, end], nil for none, and the largest heard of them. It is good until the
// next call.
func (s *sums) between(start, end int64) (*pane, int64, error) {
	s.layout.clear(&s.few)
	s.heard = 0
	h := s.series.head
	if len(h.directory) == 0 {
		i, j := h.inline.search(start), h.inline.search(end+1)
		if j == i+1 {
			x := &h.inline.entries[i].item
			return &x.pane, x.heard, nil
		}
		for ; i < j; i++ {
			s.merge(&s.few, &s.heard, &h.inline.entries[i].item)
		}
	} else if err := s.query(start, end); err != nil {
		return nil, 0, err
	}
	if s.few.count == 0 {
		return nil, 0, nil
	}
	return &s.few, s.heard, nil
}

func (s *sums) merge(p *pane, heard *int64, x *moment) {
	s.layout.merge(p, &x.pane)
	*heard = max(*heard, x.heard)
}

// query merges into few what the tree has in [start, end].
func (s *sums) query(start, end int64) error {
	x := s.of(s.series.head)
	if x.root == nil {
		root, err := s.plant()
		if err != nil {
			return err
		}
		x.root = root
	}
	return s.collect(x.root, start, end)
}

// prune takes out of the tree what has expired: moments before start.
func (s *sums) prune(start int64) {
	if x, ok := s.series.head.memo.(*summed); ok && x.root != nil {
		x.root = x.root.prune(start)
	}
}

// plant makes the tree of all moments, a leaf that is split where it is looked at.
func (s *sums) plant() (*sum, error) {
	c, err := s.series.seek(math.MaxInt64)
	if err != nil {
		return nil, err
	}
	if _, err := s.series.prev(&c); err != nil {
		return nil, err
	}
	last := c.entry().key
	t := newLeaf(s.series.head.directory[0].first)
	t.stretch(last)
	t.last, t.n = last, math.MaxInt32
	return t, nil
}

func newLeaf(key int64) *sum { return &sum{from: key, first: key, last: key, n: 1} }

// stretch makes the range of the node one that has key, too.
func (t *sum) stretch(key int64) {
	t.bits = max(t.bits, bits.Len64(uint64(t.from^key)))
	t.from &^= 1<<t.bits - 1
}

func (t *sum) covers(key int64) bool { return key>>t.bits == t.from>>t.bits }

// prune takes out nodes all of whose moments have expired. Mergers above them keep what they have, and are not asked for it
// any more.
func (t *sum) prune(start int64) *sum {
	switch {
	case t.last < start:
		return nil
	case t.low == nil:
		return t
	}
	if t.low = t.low.prune(start); t.low == nil {
		return t.high
	}
	return t
}

// collect merges into few what the node has in [start, end].
func (s *sums) collect(t *sum, start, end int64) error {
	switch {
	case t.last < start || end < t.first:
		return nil
	case t.low == nil && t.n > leafMost:
		if err := s.split(t); err != nil {
			return err
		}
		return s.collect(t, start, end)
	case start <= t.first && t.last <= end:
		if err := s.know(t); err != nil {
			return err
		}
		s.layout.merge(&s.few, &t.pane)
		s.heard = max(s.heard, t.heard)
		return nil
	case t.low == nil:
		return s.each(max(start, t.first), min(end, t.last), func(x *entry[moment]) { s.merge(&s.few, &s.heard, &x.item) })
	}
	if err := s.collect(t.low, start, end); err != nil {
		return err
	}
	return s.collect(t.high, start, end)
}

// each calls do for every moment in [start, end].
func (s *sums) each(start, end int64, do func(x *entry[moment])) error {
	c, err := s.series.seek(start)
	for err == nil {
		x := c.entry()
		if x == nil || x.key > end {
			break
		}
		do(x)
		err = s.series.next(&c)
	}
	return err
}

// know merges the moments of a node.
func (s *sums) know(t *sum) error {
	if t.known {
		return nil
	}
	s.layout.clear(&t.pane)
	t.heard, t.known = 0, true
	if t.low == nil {
		return s.each(t.first, t.last, func(x *entry[moment]) { s.merge(&t.pane, &t.heard, &x.item) })
	}
	for _, part := range [...]*sum{t.low, t.high} {
		if err := s.know(part); err != nil {
			return err
		}
		s.layout.merge(&t.pane, &part.pane)
		t.heard = max(t.heard, part.heard)
	}
	return nil
}

// split gives a leaf two children, unless it turns out to have few moments.
func (s *sums) split(t *sum) error {
	var keys []int64
	if err := s.each(t.first, t.last, func(x *entry[moment]) { keys = append(keys, x.key) }); err != nil {
		return err
	}
	t.divide(keys)
	return nil
}

// divide makes a leaf the node of the keys.
func (t *sum) divide(keys []int64) {
	t.known = false // it may have had moments that are gone
	if t.n = len(keys); t.n == 0 {
		return
	}
	t.first, t.last = keys[0], keys[len(keys)-1]
	if len(keys) <= leafMost {
		return
	}
	t.from, t.bits = t.first, 0
	t.stretch(t.last)
	middle := t.from + 1<<(t.bits-1)
	n := 0
	for keys[n] < middle {
		n++
	}
	t.low, t.high = newLeaf(keys[0]), newLeaf(keys[n])
	for _, x := range keys[1:n] {
		t.low.stretch(x)
	}
	for _, x := range keys[n+1:] {
		t.high.stretch(x)
	}
	t.low.divide(keys[:n])
	t.high.divide(keys[n:])
}

// added brings the tree up to date when the record that the layout has read has been added to the moment of key, which may
// be a new one.
func (s *sums) added(key, heard int64, fresh bool) {
	if x, ok := s.series.head.memo.(*summed); ok && x.root != nil {
		x.root = s.insert(x.root, key, heard, fresh)
	}
}

func (s *sums) insert(t *sum, key, heard int64, fresh bool) *sum {
	if !t.covers(key) {
		if t.low != nil || t.n >= leafMost {
			return join(t, newLeaf(key))
		}
		t.stretch(key)
	}
	t.first, t.last = min(t.first, key), max(t.last, key)
	if fresh {
		t.n++
	}
	if t.known {
		s.layout.add(&t.pane)
		t.heard = max(t.heard, heard)
	}
	switch {
	case t.low == nil:
	case key < t.from+1<<(t.bits-1):
		t.low = s.insert(t.low, key, heard, fresh)
	default:
		t.high = s.insert(t.high, key, heard, fresh)
	}
	return t
}

// join is the node above two.
func join(a, b *sum) *sum {
	if b.from < a.from {
		a, b = b, a
	}
	t := &sum{from: a.from, bits: a.bits, first: a.first, last: b.last, n: a.n + b.n, low: a, high: b}
	t.stretch(b.from)
	return t
}
