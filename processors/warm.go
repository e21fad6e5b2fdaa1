package processors

import "github.com/millrace-io/millrace/processors/nfa"

// Warmer is an operator whose rows can be read ahead. Rows lie anywhere in memory, and each step has to wait for its own;
// reads that do not depend on each other are under way together, which takes a fraction of the time when there are more rows
// than caches hold.
type Warmer interface {
	Operator

	// Head names the cell that a step reads first.
	Head() string

	// Warm reads a little of what Fire and Step need of each of the rows, at most WarmMost, which may be those of any
	// operator of the rule. It changes nothing; what it returns means nothing but that the reads were made.
	Warm(rows []*Row) int64
}

// WarmMost is how many rows are warmed at a time: more would drive each other out of the nearest cache.
const WarmMost = 64

// Head implements Warmer.
func (w *windows) Head() string { return cellWindows }

// Warm implements Warmer.
func (w *windows) Warm(rows []*Row) int64 { return w.series.warm(rows) }

// Head implements Warmer.
func (w *sessions) Head() string { return cellSessions }

// Warm implements Warmer.
func (w *sessions) Warm(rows []*Row) int64 { return w.series.warm(rows) }

// Head implements Warmer.
func (w *sliding) Head() string { return cellMoments }

// Warm implements Warmer.
func (w *sliding) Warm(rows []*Row) int64 { return w.series.warm(rows) }

// Head implements Warmer.
func (w *joining) Head() string { return w.sides[0].series.cell }

// Warm implements Warmer.
func (w *joining) Warm(rows []*Row) int64 { return w.sides[0].series.warm(rows) }

// Head implements Warmer.
func (w *detecting) Head() string { return cellAll }

// Warm implements Warmer.
func (w *detecting) Warm(rows []*Row) (sum int64) {
	var cells [WarmMost]*detected
	rows = rows[:min(len(rows), WarmMost)]
	for i, r := range rows {
		cells[i], _ = r.Value.(*detected)
	}
	for depth := range nfa.TouchDepth {
		for _, c := range cells[:len(rows)] {
			if c != nil {
				sum += c.state.Touch(depth)
			}
		}
	}
	return sum
}

func (s *series[T]) warm(rows []*Row) (sum int64) {
	var heads [WarmMost]*head[T]
	rows = rows[:min(len(rows), WarmMost)]
	for i, r := range rows {
		heads[i], _ = r.Value.(*head[T])
	}
	var items [WarmMost][]entry[T]
	for i, h := range heads[:len(rows)] {
		if h != nil {
			items[i] = h.items()
			sum += h.few[0].key
		}
	}
	for _, list := range items[:len(rows)] {
		for i := range min(len(list), 4) {
			sum += list[i].key
		}
	}
	return sum
}
