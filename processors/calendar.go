package processors

import (
	"container/heap"
)

// calendar is the index of deadlines of one rule in one partition: rows by the time at which they are due. A row is
// registered for its earliest deadline only; entries that a later change has made wrong are passed over when they come up.
type calendar struct {
	times timeHeap // of the buckets
	rows  map[int64][]*Row
}

// add registers the row for the deadline, unless it is registered for an earlier one.
func (c *calendar) add(r *Row, at int64) {
	if at == Never || r.due != 0 && r.due <= at {
		return
	}
	if r.later == 0 {
		r.later = r.due
	}
	r.due = at
	if r.part == 0 { // while its key is at hand
		r.part = uint8(part(r.Key))
	}
	if c.rows == nil {
		c.rows = map[int64][]*Row{}
	}
	b, ok := c.rows[at]
	if !ok {
		heap.Push(&c.times, at)
	}
	c.rows[at] = append(b, r)
}

// taken says that the calendar has given the row out at the deadline at. It reports false for an entry that is wrong by now.
// A later deadline that the row was registered for before stays: a row with something due every minute, and something
// else next year, would otherwise be registered for the latter every minute.
func (r *Row) taken(at int64) bool {
	if r.due != at {
		return false
	}
	r.due, r.later = r.later, 0
	return true
}

// Registered reports whether the row has a deadline to come, or may have: the runtime then keeps the Row, Gone or not, and
// gives it the value when it is read again.
func (r *Row) Registered() bool { return r.due != 0 }

// first is the earliest deadline, Never for none.
func (c *calendar) first() int64 {
	if len(c.times) == 0 {
		return Never
	}
	return c.times[0]
}

// take removes the bucket of the earliest deadline.
func (c *calendar) take() []*Row {
	at := heap.Pop(&c.times).(int64)
	rows := c.rows[at]
	delete(c.rows, at)
	return rows
}

type timeHeap []int64

func (h timeHeap) Len() int           { return len(h) }
func (h timeHeap) Less(i, j int) bool { return h[i] < h[j] }
func (h timeHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *timeHeap) Push(x any)        { *h = append(*h, x.(int64)) }
func (h *timeHeap) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}
