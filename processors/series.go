package processors

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// series keeps items of one entity, sorted by a key of int64, in cells: all in one while they are few, the head; beyond
// that in chunks that the head lists. So a record rewrites one chunk, however many items there are; the head is rewritten
// when a chunk is added or removed. Items of one key stay in the order in which they were inserted.
//
// A step opens the series of an entity, reads it through cursors, says what is to be changed, and commits: the changes are
// made when the runtime applies them. Until then, and if it never does, everything reads as before.
//
//	if err := s.open(state, entity); err != nil { ... }
//	c, err := s.seek(key)
//	if e := c.entry(); e != nil && e.key == key { s.touch(c) } else { item, err := s.insert(key) ... }
//	err = s.commit(r, edit) // edit.Apply changes the touched items
type series[T any] struct {
	codec itemCodec[T]
	cell  string // name of the head; chunks have a number behind it
	shape uint64
	due   func(h *head[T], fired int64) int64
	large int // bytes of items that the head holds at most

	// The step.
	state   State
	entity  string // "" for that of row
	row     *Row
	head    *head[T]
	loaded  []leaf[T]
	highest int // position of a loaded list, -1 for none
	staged  []stagedChange[T]
	marks   [marksMost]int64
	counted int64
	rewrite bool  // the head
	lazy    bool  // chunks that have expired may stay for a while, so that the head is not rewritten for each of them
	sooner  bool  // the head has a deadline that the row is not registered for
	cut     int64 // items with smaller keys have expired
	moved   bool  // the directory has to be changed
	gone    int   // leading chunks that have expired
	empty   bool  // nothing is left
	made    uint64
	fresh   *head[T] // for an entity that has none
	edit    Edit

	free  []*head[T] // of entities that have no items any more
	blank rest       // of heads that have none of their own
}

// itemCodec is how the items of a series are written; key is an item's key, from which times in it are not far.
type itemCodec[T any] interface {
	append(b []byte, key int64, x *T) []byte
	decode(b []byte, key int64, x *T) error // into the zero item
	size(key int64, x *T) int               // what append appends at most
}

const (
	// Limits of the items in the head, and in a chunk; there may always be one. Heads may be longer, because going over to
	// chunks makes every step read two cells.
	headMost, headBytes   = 96, 3 << 10
	chunkMost, chunkBytes = 20, 5 << 8

	marksMost = 3    // words that an operator keeps in the head
	freeMost  = 4096 // heads kept for reuse
)

// entry is an item in its place.
type entry[T any] struct {
	key  int64
	item T
}

// leaf is a list of items that the step has read: the head's own, or a chunk's.
type leaf[T any] struct {
	n     int // position in the directory
	row   *Row
	chunk *chunk[T]
	plan  leafPlan[T]
}

// stagedChange is what a step has staged for an item.
type stagedChange[T any] struct {
	chunk *chunk[T]
	at    int
	kind  stagedKind
	size  int // of a touched item, before
	entry entry[T]
}

type stagedKind uint8

const (
	itemTouched stagedKind = iota
	itemRemoved
	itemInserted
)

func newSeries[T any](codec itemCodec[T], cell string, shape uint64, due func(h *head[T], fired int64) int64) *series[T] {
	return &series[T]{codec: codec, cell: cell, shape: shape, due: due, large: headBytes}
}

// open begins a step with the items of the entity.
func (s *series[T]) open(state State, entity string) error {
	row, err := state.Row(entity, s.cell)
	if err != nil {
		return err
	}
	s.begin(state, entity, row)
	return nil
}

// openRow begins a step with the row of a head, which has a value.
func (s *series[T]) openRow(state State, row *Row) {
	entity, _, _ := strings.Cut(row.Key, "\x00")
	s.begin(state, entity, row)
}

// begin begins a step with a row; the entity may be left to when it is needed.
func (s *series[T]) begin(state State, entity string, row *Row) {
	clear(s.staged)
	clear(s.loaded)
	s.staged, s.loaded, s.highest = s.staged[:0], s.loaded[:0], -1
	s.state, s.entity, s.row = state, entity, row
	s.lazy, s.rewrite, s.sooner, s.moved, s.cut, s.gone, s.empty, s.edit = false, false, false, false, math.MinInt64, 0, false, nil
	s.head, _ = row.Value.(*head[T])
	if s.head == nil {
		if s.fresh == nil {
			s.fresh = s.newHead()
		}
		s.head = s.fresh
	}
	s.marks, s.made, s.counted = s.head.marks, s.head.made, s.head.counted
}

// list gives the list at position n of the directory, the head's own if it has none.
func (s *series[T]) list(n int) (*leaf[T], error) {
	if n <= s.highest { // a step may read many lists, and reads them one after the other
		for i := range s.loaded {
			if s.loaded[i].n == n {
				return &s.loaded[i], nil
			}
		}
	}
	l := leaf[T]{n: n, row: s.row, chunk: &s.head.inline}
	if len(s.head.directory) > 0 {
		x := &s.head.directory[n]
		var err error
		if l.row, err = s.chunkRow(x); err != nil {
			return nil, err
		}
		var ok bool
		if l.chunk, ok = l.row.Value.(*chunk[T]); !ok || len(l.chunk.entries) == 0 {
			return nil, fmt.Errorf("%w: %q of %q is missing", errCell, x.cell, s.row.Key)
		}
	}
	s.loaded, s.highest = append(s.loaded, l), max(s.highest, n)
	return &s.loaded[len(s.loaded)-1], nil
}

func (s *series[T]) chunkRow(x *span) (*Row, error) {
	if s.entity == "" {
		s.entity, _, _ = strings.Cut(s.row.Key, "\x00")
	}
	if x.cell == "" {
		x.cell = s.cell + strconv.FormatUint(x.number, 36)
	}
	return s.state.Row(s.entity, x.cell)
}

// cursor is a place in a series: before an item, or at the end. It is good until the step is over.
type cursor[T any] struct {
	n     int
	chunk *chunk[T]
	at    int
}

// entry is the item behind the cursor, nil at the end.
func (c *cursor[T]) entry() *entry[T] {
	if c.at == len(c.chunk.entries) {
		return nil
	}
	return &c.chunk.entries[c.at]
}

// seek finds the first item whose key is not less than key.
func (s *series[T]) seek(key int64) (cursor[T], error) {
	l, err := s.list(s.head.find(key))
	if err != nil {
		return cursor[T]{}, err
	}
	c := cursor[T]{l.n, l.chunk, l.chunk.search(key)}
	return c, s.settle(&c)
}

// settle moves a cursor at the end of a chunk to the next one.
func (s *series[T]) settle(c *cursor[T]) error {
	if c.at < len(c.chunk.entries) || c.n+1 >= len(s.head.directory) {
		return nil
	}
	l, err := s.list(c.n + 1)
	if err != nil {
		return err
	}
	*c = cursor[T]{l.n, l.chunk, 0}
	return nil
}

// next moves over the item behind the cursor.
func (s *series[T]) next(c *cursor[T]) error {
	c.at++
	return s.settle(c)
}

// prev moves over the item before the cursor; false at the start.
func (s *series[T]) prev(c *cursor[T]) (bool, error) {
	if c.at > 0 {
		c.at--
		return true, nil
	}
	if c.n == 0 {
		return false, nil
	}
	l, err := s.list(c.n - 1)
	if err != nil {
		return false, err
	}
	*c = cursor[T]{l.n, l.chunk, len(l.chunk.entries) - 1}
	return true, nil
}

// touch says that the edit given to commit changes the item behind the cursor, but not its key.
func (s *series[T]) touch(c cursor[T]) {
	e := c.entry()
	s.stage(stagedChange[T]{chunk: c.chunk, at: c.at, kind: itemTouched, size: s.codec.size(e.key, &e.item)})
}

// insert adds an item behind those of its key: the zero item, for the caller to fill before it stages anything else.
func (s *series[T]) insert(key int64) (*T, error) {
	l, err := s.list(s.head.last(key))
	if err != nil {
		return nil, err
	}
	s.stage(stagedChange[T]{chunk: l.chunk, at: l.chunk.search(key + 1), kind: itemInserted, entry: entry[T]{key: key}})
	return &s.staged[len(s.staged)-1].entry.item, nil
}

// remove takes out the item behind the cursor.
func (s *series[T]) remove(c cursor[T]) {
	s.stage(stagedChange[T]{chunk: c.chunk, at: c.at, kind: itemRemoved})
}

func (s *series[T]) stage(x stagedChange[T]) { s.staged = append(s.staged, x) }

// changed reports whether the step has staged anything.
func (s *series[T]) changed() bool { return len(s.staged) > 0 || s.rewrite }

// number counts the records of the entity, as long as there are items, and gives how many there were before.
func (s *series[T]) number() int64 {
	n := s.counted
	s.counted, s.rewrite = n+1, true
	return n
}

// mark sets one of the words that the head keeps for the operator.
func (s *series[T]) mark(i int, v int64) {
	if s.marks[i] != v {
		s.marks[i], s.rewrite = v, true
	}
}

// expire says that items with keys below key count for nothing any more. They go when their cell is rewritten for another
// reason, or when all of a chunk or of the head has expired.
func (s *series[T]) expire(key int64) { s.cut = max(s.cut, key) }
