package processors

import (
	"fmt"
	"math"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// head is the first cell of a series: its items, or where they are. Most heads have few items and nothing else, and lie in
// one piece of memory.
type head[T any] struct {
	inline chunk[T] // the items while there is no directory
	*rest           // never nil; that of the series, which must not be changed, while there is nothing in it
	quiet  int64    // of the operator, in memory only, as long as no item changes
	few    [2]entry[T]
}

// rest is what heads of many items have, and what operators want to be kept.
type rest struct {
	directory []span
	made      uint64 // number of the last chunk
	counted   int64  // records, if that is of interest
	marks     [marksMost]int64

	// What is not written down.
	hint hint
	memo any // of the operator, about items as they are: it clears it in an Edit that makes it wrong
}

// newHead gives an empty head.
func (s *series[T]) newHead() *head[T] {
	if n := len(s.free); n > 0 {
		h := s.free[n-1]
		s.free = s.free[:n-1]
		return h
	}
	h := &head[T]{rest: &s.blank}
	h.inline = chunk[T]{of: s, entries: h.few[:0]}
	return h
}

// items are those that lie in the head. It does not go through the slice when they are few: the processor then reads them
// from memory together with the head and not after it, which is most of what a head costs that is not in a cache.
func (h *head[T]) items() []entry[T] {
	if cap(h.inline.entries) == len(h.few) {
		return h.few[:len(h.inline.entries)]
	}
	return h.inline.entries
}

// own makes the rest of the head one that can be changed.
func (h *head[T]) own() *rest {
	if h.rest == &h.inline.of.blank {
		h.rest = &rest{}
	}
	return h.rest
}

// forget drops the operator's memo.
func (h *head[T]) forget() {
	if h.memo != nil {
		h.memo = nil
	}
}

// chunk is a list of items of a series, and the cell of those that do not lie in the head.
type chunk[T any] struct {
	of      *series[T]
	entries []entry[T]
	bytes   int // of the entries, at most
}

// span is a chunk in the directory.
type span struct {
	first  int64 // no key in it is smaller, none in the chunk before is larger
	number uint64
	tied   bool   // the chunk before has items of the key first, too
	cell   string // its name, once it was needed
}

// hint remembers the first key above from, as far as that is known: it lies in a chunk.
type hint struct {
	known     bool
	from, key int64
}

// Due implements DueCell.
func (h *head[T]) Due(fired int64) int64 { return h.inline.of.due(h, fired) }

// above is the first key above key, math.MaxInt64 for none. Unless exact it is not known, but not smaller.
func (h *head[T]) above(key int64) (first int64, exact bool) {
	if len(h.directory) == 0 {
		items := h.items()
		if i := skip(items, key+1); i < len(items) {
			return items[i].key, true
		}
		return math.MaxInt64, true
	}
	if h.hint.known && h.hint.from <= key && key < h.hint.key {
		return h.hint.key, true
	}
	return max(key+1, h.directory[h.find(key+1)].first), false
}

// learn makes above exact for key, until the step is over that changes it.
func (s *series[T]) learn(key int64) error {
	c, err := s.seek(key + 1)
	if err != nil {
		return err
	}
	x := hint{true, key, math.MaxInt64}
	if e := c.entry(); e != nil {
		x.key = e.key
	}
	s.head.own().hint = x
	return nil
}

// foresee has the runtime look at the head's deadline if key, which is to be inserted, is the first above before.
func (s *series[T]) foresee(key, before int64) error {
	first, exact := s.head.above(before)
	if !exact {
		if err := s.learn(before); err != nil {
			return err
		}
		first, _ = s.head.above(before)
	}
	s.sooner = key < first
	return nil
}

// find is the position of the first chunk that may have an item with a key of key or more.
func (h *head[T]) find(key int64) int {
	n := len(h.directory)
	if n < 2 || h.directory[n-1].first < key { // most look for the latest
		return max(n-1, 0)
	}
	i, found := slices.BinarySearchFunc(h.directory, key, func(s span, key int64) int { return sign(s.first < key, s.first > key) })
	if found && !h.directory[i].tied {
		return i
	}
	return max(i-1, 0)
}

// last is the position of the chunk where an item behind all with keys up to key belongs.
func (h *head[T]) last(key int64) int {
	n := len(h.directory)
	if n < 2 || h.directory[n-1].first <= key {
		return max(n-1, 0)
	}
	i, _ := slices.BinarySearchFunc(h.directory, key, func(s span, key int64) int { return sign(s.first <= key, s.first > key) })
	return max(i-1, 0)
}

// search is the position of the first entry with a key of key or more.
func (c *chunk[T]) search(key int64) int { return search(c.entries, key) }

// search looks behind the last entry first, where most belong.
func search[T any](entries []entry[T], key int64) int {
	low, high := 0, len(entries)
	if high == 0 || entries[high-1].key < key {
		return high
	}
	if high == 1 || entries[high-2].key < key {
		return high - 1
	}
	for low < high {
		if mid := int(uint(low+high) >> 1); entries[mid].key < key {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low
}

// skip is search for a key that is near the front: it does not touch what lies behind.
func skip[T any](entries []entry[T], key int64) int {
	for i := range min(len(entries), 4) {
		if entries[i].key >= key {
			return i
		}
	}
	return search(entries, key)
}

// Field numbers of heads and chunks; never reuse one.
const (
	headShape     protowire.Number = 1 // fixed64
	headMade      protowire.Number = 2
	headNumbered  protowire.Number = 3 // up to 0.2: per chunk its first key as a distance, zigzag, and its number twice, plus 1 if tied
	headItem      protowire.Number = 4 // its key as a distance, zigzag, then what the codec writes
	headCounted   protowire.Number = 5
	headMark      protowire.Number = 8             // zigzag; the next numbers are of the other marks
	headDirectory protowire.Number = 8 + marksMost // per chunk the distances of first key and number, zigzag, the latter twice, plus 1 if tied

	chunkShape = headShape
	chunkItem  = headItem
)

// Append implements Cell.
func (h *head[T]) Append(b []byte) []byte {
	b = append(b, formatHead)
	b = protowire.AppendFixed64(protowire.AppendTag(b, headShape, protowire.Fixed64Type), h.inline.of.shape)
	b = appendVarint(b, headMade, h.made)
	b = appendVarint(b, headCounted, uint64(h.counted))
	for i, mark := range h.marks {
		b = appendVarint(b, headMark+protowire.Number(i), protowire.EncodeZigZag(mark))
	}
	if len(h.directory) > 0 {
		return appendMessage(b, headDirectory, h.appendDirectory)
	}
	return h.inline.append(b)
}

func (h *head[T]) appendDirectory(b []byte) []byte {
	last, number := int64(0), uint64(0)
	for _, s := range h.directory {
		n := protowire.EncodeZigZag(int64(s.number-number)) << 1
		if s.tied {
			n++
		}
		b = protowire.AppendVarint(protowire.AppendVarint(b, protowire.EncodeZigZag(s.first-last)), n)
		last, number = s.first, s.number
	}
	return b
}

// Size implements Cell.
func (h *head[T]) Size() int { return 76 + 14*len(h.directory) + h.inline.size() }

// Append implements Cell.
func (c *chunk[T]) Append(b []byte) []byte {
	b = append(b, formatChunk)
	b = protowire.AppendFixed64(protowire.AppendTag(b, chunkShape, protowire.Fixed64Type), c.of.shape)
	return c.append(b)
}

func (c *chunk[T]) append(b []byte) []byte {
	last := int64(0)
	for i := range c.entries {
		e := &c.entries[i]
		b = appendMessage(b, chunkItem, func(b []byte) []byte {
			return c.of.codec.append(protowire.AppendVarint(b, protowire.EncodeZigZag(e.key-last)), e.key, &e.item)
		})
		last = e.key
	}
	return b
}

// Size implements Cell.
func (c *chunk[T]) Size() int { return 16 + c.size() }

func (c *chunk[T]) size() int { return c.bytes + entrySlack*len(c.entries) }

// entryBytes is what an item takes beside what the codec writes; at most entrySlack more.
const (
	entryBytes = 9
	entrySlack = 8
)

func (s *series[T]) size(e *entry[T]) int { return entryBytes + s.codec.size(e.key, &e.item) }

// decode reads the cell of a head or a chunk; nil for one of another shape.
func (s *series[T]) decode(b []byte) (Cell, error) {
	if len(b) == 0 || b[0] != formatHead && b[0] != formatChunk {
		return nil, fmt.Errorf("%w: unknown format %v", errCell, b[:min(1, len(b))])
	}
	h := s.newHead()
	if shape, err := h.decode(b[1:]); err != nil || shape != s.shape {
		return nil, err
	}
	if b[0] == formatChunk {
		return &h.inline, nil
	}
	return h, nil
}

func (h *head[T]) decode(b []byte) (shape uint64, err error) {
	foreign := false
	err = eachField(b, func(n protowire.Number, v uint64, p []byte) error {
		switch n {
		case headShape:
			shape, foreign = v, v != h.inline.of.shape
		case headMark, headMark + 1, headMark + 2:
			h.own().marks[n-headMark] = protowire.DecodeZigZag(v)
		case headMade:
			h.own().made = v
		case headCounted:
			h.own().counted = int64(v)
		case headDirectory:
			return h.decodeDirectory(p, false)
		case headNumbered:
			return h.decodeDirectory(p, true)
		case headItem:
			if foreign {
				return nil
			}
			return h.inline.decode(p)
		default: // of a later version
		}
		return nil
	})
	return shape, err
}

func (h *head[T]) decodeDirectory(b []byte, numbered bool) error {
	last, before := int64(0), uint64(0)
	for len(b) > 0 {
		step, n := protowire.ConsumeVarint(b)
		if n < 0 {
			return errCell
		}
		number, m := protowire.ConsumeVarint(b[n:])
		last += protowire.DecodeZigZag(step)
		if i := len(h.directory) - 1; m < 0 || i >= 0 && h.directory[i].first > last {
			return errCell
		}
		if x := number >> 1; numbered {
			before = x
		} else {
			before += uint64(protowire.DecodeZigZag(x))
		}
		h.own().directory = append(h.directory, span{first: last, number: before, tied: number&1 == 1})
		b = b[n+m:]
	}
	return nil
}

func (c *chunk[T]) decode(b []byte) error {
	step, n := protowire.ConsumeVarint(b)
	if n < 0 {
		return errCell
	}
	e := entry[T]{key: protowire.DecodeZigZag(step)}
	if i := len(c.entries) - 1; i >= 0 {
		if e.key += c.entries[i].key; e.key < c.entries[i].key {
			return errCell
		}
	}
	if err := c.of.codec.decode(b[n:], e.key, &e.item); err != nil {
		return err
	}
	c.entries = append(c.entries, e)
	c.bytes += c.of.size(&e)
	return nil
}
