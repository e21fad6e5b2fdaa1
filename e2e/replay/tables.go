package replay

import (
	"cmp"
	"slices"
)

// seen pairs orders with the visits of their shop from 20 minutes before to 5 minutes after them.
func (x expectation) seen(clean, visits []Event) {
	for _, o := range clean {
		some := false
		for _, v := range visits {
			if v.User == o.User && v.Shop == o.Shop && v.At >= o.At-20*minute && v.At <= o.At+5*minute {
				x.add("replay.seen", o.User, max(o.At, v.At), o.Shop, o.Order, v.At)
				some = true
			}
		}
		if !some {
			x.add("replay.seen", o.User, o.At, o.Shop, o.Order, nil)
		}
	}
}

// shops tells what was sold and visited in a shop so far: of one time, all that was sold comes first.
func (x expectation) shops(clean, visits []Event) {
	type state struct{ sold, seen int64 }
	states := map[string]*state{}
	at := func(shop string) *state {
		if states[shop] == nil {
			states[shop] = &state{}
		}
		return states[shop]
	}
	number := func(n int64) any {
		if n == 0 {
			return nil
		}
		return n
	}
	all := slices.Concat(clean, visits)
	slices.SortStableFunc(all, func(a, b Event) int { return cmp.Compare(a.At, b.At) })
	for _, e := range all {
		s := at(e.Shop)
		for range e.Lines {
			s.sold++
			x.add("replay.shop_boths", e.Shop, e.At, s.sold, number(s.seen))
		}
		if e.Order == "" {
			s.seen++
			x.add("replay.shop_visits", e.Shop, e.At, s.seen)
			x.add("replay.shop_boths", e.Shop, e.At, number(s.sold), s.seen)
			x.add("replay.busy", e.User, e.At, e.Shop, number(s.sold))
		}
	}
}

// growth tells how often an item was sold so far, and half an hour before.
func (x expectation) growth(clean []Event) {
	sold := map[string][]int64{} // times
	for _, e := range clean {
		for _, l := range e.Lines {
			times := append(sold[l.Item], e.At)
			sold[l.Item] = times
			var ago any
			if n, _ := slices.BinarySearch(times, e.At-30*minute+1); n > 0 {
				ago = int64(n)
			}
			x.add("replay.growth", l.Item, e.At, int64(len(times)), ago)
		}
	}
}

// references tells for each item how often it was sold, and how often the shop was visited that sold it last: whenever one of
// the two changes. Of one time, all that was sold comes first, and is answered when all of it is known.
func (x expectation) references(clean, visits []Event) {
	type item struct {
		n    int64
		shop string
	}
	items, seen := map[string]*item{}, map[string]int64{}
	number := func(shop string) any {
		if seen[shop] == 0 {
			return nil
		}
		return seen[shop]
	}
	all := slices.Concat(clean, visits)
	slices.SortStableFunc(all, func(a, b Event) int { // the last of one time is that of the last user
		return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(len(b.Order), 0)-cmp.Compare(len(a.Order), 0), cmp.Compare(a.User, b.User))
	})
	for from := 0; from < len(all); {
		to := from
		var sold []Line // of one time
		var shops []string
		for ; to < len(all) && all[to].At == all[from].At; to++ {
			for _, l := range all[to].Lines {
				if items[l.Item] == nil {
					items[l.Item] = &item{}
				}
				items[l.Item].n++
				items[l.Item].shop = all[to].Shop
				sold, shops = append(sold, l), append(shops, all[to].Shop)
			}
		}
		for i, l := range sold {
			if now := items[l.Item]; now.shop == shops[i] {
				x.add("replay.item_shops", l.Item, all[from].At, now.n, number(now.shop))
			}
		}
		for _, e := range all[from:to] {
			if e.Order != "" {
				continue
			}
			seen[e.Shop]++
			for name, i := range items {
				if i.shop == e.Shop {
					x.add("replay.item_shops", name, e.At, i.n, seen[e.Shop])
				}
			}
		}
		from = to
	}
}
