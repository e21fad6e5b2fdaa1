package processors

// Warm reads a little of what Fire and Step need of each of the rows, at most warmMost, which may be those of any operator of
// the rule. Rows lie anywhere in memory, and each step would have to wait for its own; reads that do not depend on each other
// are under way together, which takes a fraction of the time when there are more rows than caches hold. It changes nothing;
// what it returns means nothing but that the reads were made.
func (w *windows) Warm(rows []*Row) int64 { return w.series.warm(rows) }

// warmMost is how many rows are warmed at a time: more would drive each other out of the nearest cache.
const warmMost = 64

func (s *series[T]) warm(rows []*Row) (sum int64) {
	var heads [warmMost]*head[T]
	rows = rows[:min(len(rows), warmMost)]
	for i, r := range rows {
		heads[i], _ = r.Value.(*head[T])
	}
	var items [warmMost][]entry[T]
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
