package retail

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strings"
)

const (
	minute = int64(60_000)
	hour   = 60 * minute
	day    = 24 * hour

	visitGap = 2 * hour
)

// Due is the event time by which a record of a stream is written when it sums up a time that has to be over first: windows,
// which are exclusive, end there; a visit is over when its gap is; a customer stays away for as long as it takes. It is the
// smallest time for records of all other streams.
func Due(stream string, r Record) int64 {
	end, _ := plain("end", r.Fields["end"]).(int64)
	switch stream {
	case "risk.spend", "inventory.seasons", "preference.trends":
		return end
	case "preference.visits":
		return end + visitGap + 1
	case "preference.lapses": // a visit that would have prevented it is known by then
		at, _ := plain("occurred_at", r.Fields["occurred_at"]).(int64)
		return at + visitGap + 1
	default:
		return math.MinInt64
	}
}

// DueBy leaves the records that are written when event time has come to at.
func DueBy(stream string, records []Record, at int64) []Record {
	return slices.DeleteFunc(slices.Clone(records), func(r Record) bool { return Due(stream, r) > at })
}

// spend is what customers spend in hours and days.
func spend(rows []Row) []Record {
	rows = slices.DeleteFunc(slices.Clone(rows), func(r Row) bool { return r.Guest })
	hours := slices.DeleteFunc(spendIn(rows, "hour", hour, 15*minute), func(r Record) bool { return r.Fields["spend"].(float64) < 1000 })
	return slices.Concat(hours, spendIn(rows, "day", day, day))
}

func spendIn(rows []Row, span string, size, hop int64) []Record {
	return windowed(rows, customerOf, timeOf, size, hop, func(w window[Row]) map[string]any {
		var total sum
		largest := math.Inf(-1)
		for _, r := range w.items {
			total.add(r.Amount())
			largest = max(largest, r.Amount())
		}
		return map[string]any{
			"customer_id": w.key, "span": span, "lines": int64(len(w.items)), "orders": different(w.items, invoiceOf),
			"spend": total.value(), "largest": largest,
		}
	})
}

// seasons is the demand for articles in weeks that begin every day.
func seasons(rows []Row) []Record {
	rows = slices.DeleteFunc(slices.Clone(rows), func(r Row) bool { return !r.Goods() || !r.Sold() })
	all := windowed(rows, func(r Row) string { return r.StockCode }, timeOf, 7*day, day, func(w window[Row]) map[string]any {
		var revenue sum
		units := int64(0)
		for _, r := range w.items {
			revenue.add(r.Amount())
			units += r.Quantity
		}
		return map[string]any{
			"stock_code": w.key, "units": units, "orders": int64(len(w.items)), "customers": different(w.items, customerOf),
			"revenue": revenue.value(),
		}
	})
	for _, r := range all {
		r.Fields["occurred_at"] = r.Fields["end"]
	}
	return slices.DeleteFunc(all, func(r Record) bool { return r.Fields["orders"].(int64) < 10 })
}

// trends is the demand for themes day by day.
func trends(interests []Record) []Record {
	text := func(field string) func(Record) string {
		return func(r Record) string { return r.Fields[field].(string) }
	}
	when := func(r Record) int64 { return r.Fields["occurred_at"].(int64) }
	return windowed(interests, text("theme"), when, day, day, func(w window[Record]) map[string]any {
		units := int64(0)
		for _, r := range w.items {
			units += r.Fields["units"].(int64)
		}
		return map[string]any{
			"theme": w.key, "lines": int64(len(w.items)), "units": units, "customers": different(w.items, text("customer_id")),
			"favourites": favourites(w.items, text("stock_code")),
		}
	})
}

// favourites are the three most frequent values, equals in their order.
func favourites[T any](items []T, of func(T) string) []string {
	times := map[string]int{}
	for _, x := range items {
		times[of(x)]++
	}
	most := slices.SortedFunc(maps.Keys(times), func(a, b string) int {
		return cmp.Or(times[b]-times[a], strings.Compare(a, b))
	})
	return most[:min(3, len(most))]
}

// visits are sales of a customer with at most visitGap from one to the next.
func visits(rows []Row) (out []Record) {
	open := map[string]*window[Row]{}
	end := func(w *window[Row]) {
		var total sum
		units := int64(0)
		for _, r := range w.items {
			total.add(r.Amount())
			units += r.Quantity
		}
		out = append(out, w.record(map[string]any{
			"customer_id": w.key, "opened_by": w.items[0].Invoice, "orders": different(w.items, invoiceOf),
			"lines": int64(len(w.items)), "units": units, "spend": total.value(),
		}, w.end))
	}
	for _, r := range rows {
		if !r.Sold() {
			continue
		}
		w := open[r.Customer]
		if w == nil || r.At-w.end > visitGap {
			if w != nil {
				end(w)
			}
			w = &window[Row]{key: r.Customer, start: r.At}
			open[r.Customer] = w
		}
		w.items, w.end = append(w.items, r), r.At
	}
	for _, key := range slices.Sorted(maps.Keys(open)) {
		end(open[key])
	}
	return out
}

// window is what one key has in one stretch of time.
type window[T any] struct {
	key        string
	start, end int64
	items      []T
}

// windowed cuts time into stretches of size that begin at every multiple of hop, and says for each key and stretch with
// something in it what result makes of it: in the order in which they end.
func windowed[T any](items []T, key func(T) string, when func(T) int64, size, hop int64, result func(window[T]) map[string]any) (out []Record) {
	type place struct {
		end int64
		key string
	}
	all, newest := map[place]*window[T]{}, map[place]int64{}
	for _, x := range items {
		for start := when(x) / hop * hop; start > when(x)-size; start -= hop {
			p := place{start + size, key(x)}
			w := at(all, p)
			w.key, w.start, w.end, w.items = p.key, start, p.end, append(w.items, x)
			newest[p] = max(newest[p], when(x))
		}
	}
	order := slices.SortedFunc(maps.Keys(all), func(a, b place) int {
		return cmp.Or(cmp.Compare(a.end, b.end), strings.Compare(a.key, b.key))
	})
	for _, p := range order {
		out = append(out, all[p].record(result(*all[p]), newest[p]))
	}
	return out
}

// record is the window's result: its event time is that of the newest of what it holds.
func (w *window[T]) record(fields map[string]any, newest int64) Record {
	fields["start"], fields["end"], fields["occurred_at"] = w.start, w.end, newest
	return Record{Key: w.key, Fields: fields}
}

func customerOf(r Row) string { return r.Customer }
func invoiceOf(r Row) string  { return r.Invoice }
func timeOf(r Row) int64      { return r.At }

func different[T any](items []T, of func(T) string) int64 {
	found := map[string]bool{}
	for _, x := range items {
		found[of(x)] = true
	}
	return int64(len(found))
}
