package processors

import (
	"cmp"
	"math"
	"slices"
)

// leafPlan is what a step does to a list of items.
type leafPlan[T any] struct {
	changed bool
	longer  int         // items that it adds
	grown   int         // bytes that they take
	cut     int         // leading items that have expired
	middle  bool        // something is inserted before items that stay
	piece   int         // items to a chunk when the list is split
	chunks  []*chunk[T] // that splitting adds
	spans   []span      // of them
}

// commit adds the changes of the rows to r. edit, which may be nil, changes the items that were touched. The step is over.
func (s *series[T]) commit(r *Result, edit Edit) error {
	s.edit = edit
	s.tally()
	if err := s.age(); err != nil {
		return err
	}
	before := len(r.Changes)
	left := max(len(s.head.directory), 1) - s.gone
	for i := range s.loaded {
		l := &s.loaded[i]
		if l.plan.changed && l.length() == 0 {
			left--
		}
	}
	if err := s.drop(r); err != nil {
		return err
	}
	if s.empty = left == 0; s.empty {
		if s.row.Value != nil {
			r.Changes = append(r.Changes, Change{Row: s.row})
		}
	} else if err := s.write(r); err != nil {
		return err
	}
	if n := len(r.Changes); n > before {
		r.Changes[n-1].Edit = s
	}
	return nil
}

// length is how many items the list will have.
func (l *leaf[T]) length() int { return len(l.chunk.entries) + l.plan.longer - l.plan.cut }

// tally sums up what is staged for each list.
func (s *series[T]) tally() {
	for i := range s.staged {
		x := &s.staged[i]
		l := s.listOf(x.chunk)
		l.plan.changed = true
		switch x.kind {
		case itemInserted:
			l.plan.longer++
			l.plan.grown += s.size(&x.entry)
			l.plan.middle = l.plan.middle || x.at < len(l.chunk.entries)
			if d := s.head.directory; len(d) > 0 && x.entry.key < d[l.n].first {
				s.rewrite, s.moved = true, true
			}
		case itemRemoved:
			l.plan.longer--
			l.plan.grown -= s.size(&x.chunk.entries[x.at])
		case itemTouched:
		}
	}
}

func (s *series[T]) listOf(c *chunk[T]) *leaf[T] {
	for i := range s.loaded {
		if s.loaded[i].chunk == c {
			return &s.loaded[i]
		}
	}
	return nil
}

// age finds what has expired: of the lists that are rewritten the leading items, else whole lists only.
func (s *series[T]) age() error {
	if s.cut == math.MinInt64 {
		return nil
	}
	if len(s.head.directory) == 0 {
		l, err := s.list(0)
		if err != nil {
			return err
		}
		n := s.expiredItems(l)
		if l.plan.changed = l.plan.changed || n == len(l.chunk.entries); l.plan.changed {
			l.plan.cut = n
		}
		return nil
	}
	for i := range s.loaded {
		if l := &s.loaded[i]; l.plan.changed {
			l.plan.cut = s.expiredItems(l)
		}
	}
	n := len(s.head.directory)
	for s.gone < n {
		expired, err := s.expiredChunk(s.gone)
		if err != nil {
			return err
		}
		if !expired {
			break
		}
		s.gone++
	}
	if s.lazy && s.gone < min(n, 1+n/lazyShare) && !s.moved {
		s.gone = 0
	}
	return nil
}

// lazyShare is the share of chunks that may have expired before the head is rewritten for them.
const lazyShare = 16

// expiredItems counts the leading items of a list that have expired, up to the first that the step inserts or removes.
func (s *series[T]) expiredItems(l *leaf[T]) int {
	n := skip(l.chunk.entries, s.cut)
	for i := range s.staged {
		if x := &s.staged[i]; x.chunk == l.chunk && x.kind != itemTouched {
			n = min(n, x.at)
		}
	}
	return n
}

// expiredChunk reports whether all of a chunk has expired. Only the last one has to be read for that.
func (s *series[T]) expiredChunk(n int) (bool, error) {
	for i := range s.loaded {
		if l := &s.loaded[i]; l.n == n && l.plan.changed {
			return false, nil
		}
	}
	if n+1 < len(s.head.directory) {
		next := &s.head.directory[n+1]
		return next.first < s.cut || next.first == s.cut && !next.tied, nil
	}
	l, err := s.list(n)
	return err == nil && l.chunk.entries[len(l.chunk.entries)-1].key < s.cut, err
}

// drop deletes the chunks of which nothing is left.
func (s *series[T]) drop(r *Result) error {
	for n := range s.gone {
		row, err := s.chunkRow(&s.head.directory[n])
		if err != nil {
			return err
		}
		r.Changes = append(r.Changes, Change{Row: row})
		s.rewrite, s.moved = true, true
	}
	for i := range s.loaded {
		if l := &s.loaded[i]; l.plan.changed && l.row != s.row && l.length() == 0 {
			r.Changes = append(r.Changes, Change{Row: l.row})
			s.rewrite, s.moved = true, true
		}
	}
	return nil
}

// write changes the chunks that stay, and the head if it has to.
func (s *series[T]) write(r *Result) error {
	for i := range s.loaded {
		l := &s.loaded[i]
		if !l.plan.changed || l.length() == 0 {
			continue
		}
		if err := s.split(l, r); err != nil {
			return err
		}
		if l.row == s.row {
			s.rewrite = true
		} else {
			r.Changes = append(r.Changes, Change{Row: l.row, Value: l.chunk})
		}
	}
	if s.rewrite || s.sooner {
		r.Changes = append(r.Changes, Change{Row: s.row, Value: s.head, Kept: !s.rewrite})
	}
	return nil
}

// split makes room for the parts of a list that will be too long.
func (s *series[T]) split(l *leaf[T], r *Result) error {
	n, bytes := l.length(), l.chunk.bytes+l.plan.grown
	if l.row == s.row && (n <= headMost && bytes <= s.large || n == 1) {
		return nil
	}
	most := chunkMost
	if bytes > chunkBytes {
		most = min(max(chunkBytes*(len(l.chunk.entries)+l.plan.longer)/bytes, 1), chunkMost)
	}
	if n <= most && l.row != s.row {
		return nil
	}
	l.plan.piece = most
	if l.plan.middle { // more will come in between
		pieces := n/most + 1
		l.plan.piece = (n + pieces - 1) / pieces
	}
	added := (n + l.plan.piece - 1) / l.plan.piece
	if l.row != s.row {
		added--
	}
	s.rewrite, s.moved = true, true
	for range added {
		s.made++
		x := span{number: s.made}
		row, err := s.chunkRow(&x)
		if err != nil {
			return err
		}
		c := &chunk[T]{of: s}
		l.plan.chunks, l.plan.spans = append(l.plan.chunks, c), append(l.plan.spans, x)
		r.Changes = append(r.Changes, Change{Row: row, Value: c})
	}
	return nil
}

// Apply implements Edit: it makes the changes of the step.
func (s *series[T]) Apply() {
	if s.edit != nil {
		s.edit.Apply()
	}
	h := s.head
	if s.empty {
		s.recycle(h)
		return
	}
	if h == s.fresh {
		s.fresh = nil
	}
	if s.marks != h.marks || s.made != h.made || s.counted != h.counted {
		x := h.own()
		x.marks, x.made, x.counted = s.marks, s.made, s.counted
	}
	s.weighTouched()
	s.cutLists()
	s.sortStaged()
	for i := range s.staged {
		s.make(&s.staged[i])
	}
	if s.moved {
		s.redirect()
	}
}

// recycle keeps the memory of a head for the next entity.
func (s *series[T]) recycle(h *head[T]) {
	if h == s.fresh || len(s.free) == freeMost {
		return
	}
	clear(h.inline.entries)
	h.inline, h.rest, h.quiet = chunk[T]{of: s, entries: h.inline.entries[:0]}, &s.blank, 0
	s.free = append(s.free, h)
}

// weighTouched counts the bytes of the items that the edit has changed.
func (s *series[T]) weighTouched() {
	for i := range s.staged {
		if x := &s.staged[i]; x.kind == itemTouched {
			e := &x.chunk.entries[x.at]
			x.chunk.bytes += s.codec.size(e.key, &e.item) - x.size
		}
	}
}

// cutLists takes the expired items out of the lists that are rewritten.
func (s *series[T]) cutLists() {
	for i := range s.loaded {
		l := &s.loaded[i]
		if l.plan.cut == 0 {
			continue
		}
		for j := range l.chunk.entries[:l.plan.cut] {
			l.chunk.bytes -= s.size(&l.chunk.entries[j])
		}
		l.chunk.entries = slices.Delete(l.chunk.entries, 0, l.plan.cut)
		for j := range s.staged {
			if s.staged[j].chunk == l.chunk {
				s.staged[j].at -= l.plan.cut
			}
		}
	}
	if s.head.hint.known && s.head.hint.key < s.cut {
		s.head.hint.known = false
	}
}

// sortStaged puts the changes in an order in which none of them moves the place of a later one.
func (s *series[T]) sortStaged() {
	if len(s.staged) < 2 {
		return
	}
	slices.Reverse(s.staged)
	slices.SortStableFunc(s.staged, func(a, b stagedChange[T]) int {
		return cmp.Or(cmp.Compare(b.at, a.at), cmp.Compare(a.kind, b.kind), cmp.Compare(b.entry.key, a.entry.key))
	})
}

// make makes a change.
func (s *series[T]) make(x *stagedChange[T]) {
	c, hint := x.chunk, &s.head.hint // which can be changed if it is known
	switch x.kind {
	case itemTouched:
	case itemRemoved:
		e := &c.entries[x.at]
		c.bytes -= s.size(e)
		if hint.known && hint.key == e.key {
			hint.known = false
		}
		c.entries = slices.Delete(c.entries, x.at, x.at+1)
	case itemInserted:
		c.bytes += s.size(&x.entry)
		if key := x.entry.key; hint.known && key > hint.from && key < hint.key {
			hint.key = key
		}
		moves := len(c.entries) == cap(c.entries)
		c.entries = slices.Insert(c.entries, x.at, x.entry)
		if moves && c == &s.head.inline {
			clear(s.head.few[:]) // they lie elsewhere now
		}
	}
}

// redirect brings the directory up to date: chunks that were split, emptied or have expired.
func (s *series[T]) redirect() {
	h := s.head
	slices.SortFunc(s.loaded, func(a, b leaf[T]) int { return cmp.Compare(b.n, a.n) })
	for i := range s.loaded {
		l := &s.loaded[i]
		switch {
		case !l.plan.changed:
		case len(l.chunk.entries) == 0:
			h.directory = slices.Delete(h.directory, l.n, l.n+1)
		default:
			s.deal(l)
		}
	}
	h.directory = slices.Delete(h.directory, 0, s.gone)
}

// deal spreads the items of a list over its chunks.
func (s *series[T]) deal(l *leaf[T]) {
	h, entries := s.head, l.chunk.entries
	if l.plan.chunks != nil {
		h.own()
	}
	at := l.n // where the next chunk belongs in the directory
	if l.row != s.row {
		h.directory[at].first = min(h.directory[at].first, entries[0].key)
		at++
	}
	if l.plan.chunks == nil {
		return
	}
	if l.row != s.row {
		l.chunk.entries, entries = entries[:l.plan.piece], entries[l.plan.piece:]
		l.chunk.weigh()
	} else {
		l.chunk.entries, l.chunk.bytes = h.few[:0], 0
	}
	dealt := entries
	last, some := l.chunk.last()
	for i, c := range l.plan.chunks {
		n := min(l.plan.piece, len(entries))
		c.entries, entries = append(make([]entry[T], 0, chunkMost), entries[:n]...), entries[n:]
		c.weigh()
		x := l.plan.spans[i]
		x.first = c.entries[0].key
		x.tied = some && last == x.first
		h.directory = slices.Insert(h.directory, at, x)
		last, some = c.last()
		at++
	}
	clear(dealt)
}

// last is the key of the last item.
func (c *chunk[T]) last() (key int64, ok bool) {
	if len(c.entries) == 0 {
		return 0, false
	}
	return c.entries[len(c.entries)-1].key, true
}

// weigh counts the bytes anew.
func (c *chunk[T]) weigh() {
	c.bytes = 0
	for i := range c.entries {
		c.bytes += c.of.size(&c.entries[i])
	}
}
