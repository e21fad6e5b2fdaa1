package replay

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Expect says what must be in each derived stream, as far as plain counting tells: how often each text is there that
// Text makes of a record. What depends on more than times and numbers is not in the texts.
func Expect(day []Event) map[string]map[string]int {
	events := slices.Clone(day)
	slices.SortStableFunc(events, func(a, b Event) int { return cmp.Compare(a.At, b.At) }) // of one user: as they arrived
	x := expectation{}
	seen := map[string]int64{}
	var clean, all []Event
	for _, e := range events {
		if e.Order != "" {
			if at, ok := seen[e.User+e.Order]; ok && e.At < at+10*minute {
				continue
			}
			seen[e.User+e.Order] = e.At
			clean = append(clean, e)
			x.add("replay.clean", e.User, e.At, e.Order)
		}
		all = append(all, e)
	}
	x.lines(clean)
	x.users(all)
	visits := slices.DeleteFunc(slices.Clone(events), func(e Event) bool { return e.Order != "" })
	x.seen(clean, visits)
	x.shops(clean, visits)
	x.growth(clean)
	x.references(clean, visits)
	return x
}

// Text is what Expect counts of a record: its key, its event time, and the fields of Fields.
func Text(key string, at int64, fields ...any) string {
	return strings.TrimSpace(fmt.Sprintln(append([]any{key, at}, fields...)...))
}

// Fields names the fields of a stream's records that Text gets.
func Fields(stream string) []string {
	switch stream {
	case "replay.clean":
		return []string{"order_id"}
	case "replay.lines":
		return []string{"units", "user", "shop"}
	case "replay.item_totals", "replay.shop_totals", "replay.shop_fives":
		return []string{"n"}
	case "replay.item_spans", "replay.item_news":
		return []string{"start", "end", "n", "units"}
	case "replay.shop_spans":
		return []string{"start", "end", "n"}
	case "replay.sessions":
		return []string{"start", "end", "n", "units"}
	case "replay.activity":
		return []string{"orders", "visits"}
	case "replay.seen":
		return []string{"shop", "order", "at"}
	case "replay.busy":
		return []string{"shop", "n"}
	case "replay.shop_visits":
		return []string{"n"}
	case "replay.growth", "replay.shop_boths", "replay.item_shops":
		return []string{"one", "other"}
	default:
		return nil
	}
}

type expectation map[string]map[string]int

func (x expectation) add(stream, key string, at int64, fields ...any) {
	if x[stream] == nil {
		x[stream] = map[string]int{}
	}
	x[stream][Text(key, at, fields...)]++
}

// span is what a window holds.
type span struct {
	start, end, n, units, newest int64
}

func (s *span) take(at, units int64) {
	s.n++
	s.units += units
	s.newest = max(s.newest, at)
}

// spanKey is a window of a key.
type spanKey struct {
	key        string
	start, end int64
}

type spans map[spanKey]*span

func (s spans) at(key string, start, end int64) *span {
	k := spanKey{key, start, end}
	if s[k] == nil {
		s[k] = &span{start: start, end: end}
	}
	return s[k]
}

// lines counts by item and by shop. Orders come by time.
func (x expectation) lines(clean []Event) {
	byItem, byShop := map[string]int64{}, map[string]int64{}
	itemSpans, itemHours, shopSpans := spans{}, spans{}, spans{}
	quarters := map[spanKey]span{} // an hour as it is at the end of a quarter that brought something
	for _, e := range clean {
		for _, l := range e.Lines {
			byItem[l.Item]++
			byShop[e.Shop]++
			x.add("replay.lines", l.Item, e.At, l.Units, e.User, e.Shop)
			x.add("replay.item_totals", l.Item, e.At, byItem[l.Item])
			x.add("replay.shop_totals", e.Shop, e.At, byShop[e.Shop])
			if byShop[e.Shop]%5 == 0 {
				x.add("replay.shop_fives", e.Shop, e.At, 5)
			}
			for start := e.At / (10 * minute) * (10 * minute); start > e.At-hour; start -= 10 * minute {
				itemSpans.at(l.Item, start, start+hour).take(e.At, l.Units)
			}
			shopSpans.at(e.Shop, e.At/(10*minute)*(10*minute), (e.At/(10*minute)+1)*(10*minute)).take(e.At, 0)
			in := itemHours.at(l.Item, e.At/hour*hour, (e.At/hour+1)*hour)
			in.take(e.At, l.Units)
			quarters[spanKey{l.Item, in.start, e.At / (15 * minute)}] = *in
		}
	}
	for k, s := range itemSpans {
		x.add("replay.item_spans", k.key, s.newest, s.start, s.end, s.n, s.units)
	}
	for k, s := range shopSpans {
		x.add("replay.shop_spans", k.key, s.newest, s.start, s.end, s.n)
	}
	for k, s := range quarters {
		x.add("replay.item_news", k.key, s.newest, s.start, s.end, s.n, s.units)
	}
}

// users counts by user. Orders that are not dropped and visits come by time.
func (x expectation) users(all []Event) {
	const gap = 30 * minute
	type state struct {
		orders, visits int64
		session        span
		first          map[string]int64
	}
	states := map[string]*state{}
	done := func(user string, s *span) { x.add("replay.sessions", user, s.newest, s.start, s.end, s.n, s.units) }
	// Of one user and time, orders come before visits.
	slices.SortStableFunc(all, func(a, b Event) int {
		return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(len(b.Order), 0)-cmp.Compare(len(a.Order), 0))
	})
	for _, e := range all {
		s := states[e.User]
		if s == nil {
			s = &state{first: map[string]int64{}}
			states[e.User] = s
		}
		order := int64(cmp.Compare(len(e.Order), 0))
		s.orders += order
		s.visits += 1 - order
		x.add("replay.activity", e.User, e.At, s.orders, s.visits)
		if s.session.n > 0 && e.At-s.session.end > gap {
			done(e.User, &s.session)
			s.session = span{}
		}
		if s.session.n == 0 {
			s.session.start = e.At
		}
		s.session.end = e.At
		s.session.take(e.At, order)
		if at, ok := s.first[e.Shop]; !ok || e.At >= at+hour {
			s.first[e.Shop] = e.At
			x.add("replay.firsts", e.User, e.At)
		}
	}
	for user, s := range states {
		done(user, &s.session)
	}
}
