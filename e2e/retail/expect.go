package retail

import (
	"cmp"
	"math"
	"math/big"
	"slices"
	"strings"
)

// Record is one expected event: its Kafka key and the values of some of its fields. Values are string, int64, float64,
// bool, []string or nil; times are milliseconds since the epoch.
type Record struct {
	Key    string
	Fields map[string]any

	origin   int    // number of the row that set the chain of rules off
	rule     string // that wrote the record
	optional bool   // it may be missing
}

// Expect computes what the shipped rules make of rows, which are in the order of their times: per stream, the records to
// be found in its topic, those of a key and SequenceFields in their order.
func Expect(rows []Row) map[string][]Record {
	out := map[string][]Record{
		"commerce.purchases":     purchases(rows),
		"preference.interests":   interests(rows),
		"preference.changes":     slices.Concat(homeCountry(rows), spendBand(rows)),
		"inventory.reservations": movement(rows, "sale"),
		"inventory.returns":      movement(rows, "return"),
		"inventory.adjustments":  movement(rows, "charge", "gift", "correction"),
		"inventory.demand":       demand(rows),
		"inventory.seasons":      seasons(rows),
		"preference.visits":      visits(rows),
		"risk.spend":             spend(rows),
		"risk.regrets":           regrets(rows),
		"inventory.catalogue":    catalogue(rows),
		"risk.reversals":         reversals(rows),
		"risk.bursts":            bursts(rows),
	}
	out["preference.lapses"] = lapses(out["preference.visits"])
	articles := newVersions(out["inventory.catalogue"], 0)
	out["risk.refunds"] = refunds(out["risk.regrets"], articles)
	out["preference.context"] = contexts(out["preference.interests"], articles, newVersions(out["inventory.seasons"], 2*day))
	small, large := cancellation(rows)
	changes := out["preference.changes"]
	out["risk.signals"] = slices.Concat(small, newCountry(changes), spendSurge(changes))
	out["risk.reviews"] = large
	out["risk.profile"] = profile(out["risk.signals"], large)
	out["inventory.holds"] = hold(out["risk.profile"])
	out["preference.trends"] = trends(out["preference.interests"])
	return out
}

// Least is how many of the records there are at least: some may be missing.
func Least(records []Record) (n int) {
	for _, r := range records {
		if !r.optional {
			n++
		}
	}
	return n
}

// SequenceFields names the fields that, together with the key, make an ordered sequence of a stream's records: their
// order is determined, while records that differ in one of them may come in any order. Where there are none the key alone does.
func SequenceFields(stream string) []string {
	switch stream {
	case "preference.changes":
		return []string{"attribute"} // one rule per attribute
	case "risk.signals":
		return []string{"factor"} // one rule per factor, or an exclusive pair of factors
	case "risk.spend":
		return []string{"span"} // one rule per span
	case "risk.regrets", "preference.context":
		return []string{"stock_code"} // of one article they come in the order of the rows
	case "risk.refunds":
		return []string{"stock_code", "purchase", "bought_at", "quantity", "amount"} // pairs of one time are told apart by their ids alone
	case "inventory.reservations", "inventory.returns", "inventory.adjustments":
		return []string{"customer_id"} // re-keyed: the key of the records they come from
	default:
		return nil
	}
}

func purchases(rows []Row) (out []Record) {
	for _, r := range rows {
		description := any(r.Description)
		if r.Description == "" {
			description = nil
		}
		out = append(out, record(r, r.Customer, map[string]any{
			"customer_id": r.Customer, "guest": r.Guest, "invoice": r.Invoice, "cancelled": r.Cancelled(),
			"stock_code": r.StockCode, "description": description, "words": words(r), "quantity": r.Quantity,
			"unit_price": r.Price, "amount": r.Amount(), "country": r.Country,
		}))
	}
	return out
}

// words splits at single spaces only, so that other white space stays part of a word.
func words(r Row) []string {
	return slices.DeleteFunc(strings.Split(strings.ToUpper(r.Description), " "), func(w string) bool { return w == "" })
}

var themes = []string{"CHRISTMAS", "VINTAGE", "HEART", "RETROSPOT", "CAKE", "GARDEN", "KITCHEN"}

func interests(rows []Row) (out []Record) {
	for _, r := range rows {
		for _, word := range words(r) {
			if r.Sold() && slices.Contains(themes, word) {
				out = append(out, record(r, r.Customer, map[string]any{
					"customer_id": r.Customer, "theme": strings.ToLower(word), "stock_code": r.StockCode,
					"units": r.Quantity, "confidence": either(r.Guest, 0.5, 0.9),
				}))
			}
		}
	}
	return out
}

func homeCountry(rows []Row) (out []Record) {
	first, last := map[string]string{}, map[string]string{}
	for _, r := range rows {
		if r.Guest || r.Country == "Unspecified" || last[r.Customer] == r.Country {
			continue
		}
		if first[r.Customer] == "" {
			first[r.Customer] = r.Country
		}
		last[r.Customer] = r.Country
		out = append(out, record(r, r.Customer, map[string]any{
			"customer_id": r.Customer, "attribute": "country", "value": r.Country, "initial": first[r.Customer],
		}))
	}
	return out
}

func spendBand(rows []Row) (out []Record) {
	spent, band := map[string]*sum{}, map[string]string{}
	for _, r := range rows {
		if r.Guest {
			continue
		}
		total := at(spent, r.Customer).add(r.Amount())
		now := either(total >= 2000, "high", either(total >= 500, "medium", "low"))
		if band[r.Customer] == now {
			continue
		}
		band[r.Customer] = now
		out = append(out, record(r, r.Customer, map[string]any{
			"customer_id": r.Customer, "attribute": "spend_band", "value": now, "initial": nil,
		}))
	}
	return out
}

func cancellation(rows []Row) (signals, reviews []Record) {
	for _, r := range rows {
		if !r.Cancelled() {
			continue
		}
		large := r.Amount() <= -100
		s := record(r, r.Customer, map[string]any{
			"customer_id": r.Customer, "factor": "cancellation", "score": either(large, 0.5, 0.1),
			"amount": -r.Amount(), "invoice": r.Invoice, "stock_code": r.StockCode,
		})
		s.rule = "risk.cancellation"
		if large {
			reviews = append(reviews, s)
		} else {
			signals = append(signals, s)
		}
	}
	return signals, reviews
}

func newCountry(changes []Record) (out []Record) {
	for _, c := range changes {
		moved := c.Fields["value"] != c.Fields["initial"]
		if c.Fields["attribute"] != "country" || c.Fields["value"] == "United Kingdom" && !moved {
			continue
		}
		out = append(out, signal("risk.new-country", c, either(moved, "country_changed", "foreign_market"), either(moved, 0.4, 0.2)))
	}
	return out
}

func spendSurge(changes []Record) (out []Record) {
	for _, c := range changes {
		if c.Fields["attribute"] == "spend_band" && c.Fields["value"] == "high" {
			out = append(out, signal("risk.spend-surge", c, "spend_surge", 0.3))
		}
	}
	return out
}

// profile takes signals and reviews of a customer by their times; of one time first the signals, then the reviews, both in
// the order of the rows behind them.
func profile(signals, reviews []Record) (out []Record) {
	type state struct {
		score, amount sum
		n             int64
		worst         float64
		since, until  int64
	}
	states := map[string]*state{}
	for _, s := range slices.SortedStableFunc(slices.Values(slices.Concat(ordered(signals), ordered(reviews))), byTime) {
		st, when := at(states, s.Key), s.Fields["occurred_at"].(int64)
		if st.n == 0 {
			st.since = math.MaxInt64
		}
		st.n++
		score, amount := st.score.add(s.Fields["score"].(float64)), st.amount.add(s.Fields["amount"].(float64))
		st.worst = max(st.worst, s.Fields["score"].(float64))
		st.since, st.until = min(st.since, when), max(st.until, when)
		out = append(out, derived(s, "risk.profile", map[string]any{
			"customer_id": s.Key, "score": score, "level": either(score >= 1, "high", either(score >= 0.5, "elevated", "normal")),
			"signals": st.n, "worst": st.worst, "amount": amount, "since": st.since, "until": st.until,
		}))
	}
	return out
}

// movement yields the rows that mean one of kinds for the stock.
func movement(rows []Row, kinds ...string) (out []Record) {
	for _, r := range rows {
		kind := "correction"
		switch {
		case !r.Goods():
			kind = "charge"
		case r.Cancelled():
			kind = "return"
		case r.Sold():
			kind = "sale"
		case r.Quantity > 0 && !r.Guest:
			kind = "gift"
		}
		if slices.Contains(kinds, kind) {
			out = append(out, record(r, r.StockCode, map[string]any{
				"stock_code": r.StockCode, "customer_id": r.Customer, "invoice": r.Invoice, "kind": kind, "units": r.Quantity,
			}))
		}
	}
	return out
}

// sales are the sales of articles by their times; of one time, by the customer, and those of a customer as in the file.
func sales(rows []Row) []Row {
	rows = slices.DeleteFunc(slices.Clone(rows), func(r Row) bool { return !r.Goods() || !r.Sold() })
	slices.SortStableFunc(rows, func(a, b Row) int {
		return cmp.Or(cmp.Compare(a.At, b.At), strings.Compare(a.Customer, b.Customer))
	})
	return rows
}

func demand(rows []Row) (out []Record) {
	type state struct {
		units, orders, largest int64
		revenue                sum
	}
	states := map[string]*state{}
	for _, r := range sales(rows) {
		st := at(states, r.StockCode)
		st.units += r.Quantity
		st.orders++
		st.largest = max(st.largest, r.Quantity)
		out = append(out, record(r, r.StockCode, map[string]any{
			"stock_code": r.StockCode, "units": st.units, "orders": st.orders, "largest": st.largest,
			"revenue": st.revenue.add(r.Amount()),
		}))
	}
	return out
}

// hold takes profiles of a customer by their times; of one time, in the order of the rows behind them. The order of two
// profiles that go back to one row is determined, but not foreseeable: the higher score may come first, and then the lower
// one changes nothing.
func hold(profiles []Record) (out []Record) {
	type state struct {
		score       float64
		reason      string
		until, seen int64
	}
	states := map[string]state{}
	profiles = slices.DeleteFunc(ordered(profiles), func(p Record) bool { return p.Fields["level"] == "normal" })
	for i, p := range profiles {
		old := states[p.Key]
		score := max(old.score, p.Fields["score"].(float64))
		now := state{score, either(score >= 1, "high", "elevated"), max(old.until, p.Fields["until"].(int64)), 1}
		if now == old {
			continue
		}
		states[p.Key] = now
		h := derived(p, "inventory.hold", map[string]any{
			"customer_id": p.Key, "score": now.score, "reason": now.reason, "review_by": now.until + day,
		})
		h.optional = i+1 < len(profiles) && profiles[i+1].origin == p.origin
		out = append(out, h)
	}
	return out
}

// ordered brings records of one stream into the order in which a rule takes those of a key: by time, by the row behind
// them, and by the rule that wrote them.
func ordered(records []Record) []Record {
	return slices.SortedStableFunc(slices.Values(records), func(a, b Record) int {
		return cmp.Or(byTime(a, b), cmp.Compare(a.origin, b.origin), strings.Compare(a.rule, b.rule))
	})
}

func byTime(a, b Record) int {
	return cmp.Compare(a.Fields["occurred_at"].(int64), b.Fields["occurred_at"].(int64))
}

// record adds what every event takes over from the purchase that caused it.
func record(cause Row, key string, fields map[string]any) Record {
	fields["occurred_at"], fields["correlation_id"] = cause.At, cause.Invoice
	return Record{Key: key, Fields: fields, origin: cause.Number}
}

// derived adds what every event takes over from the event that caused it.
func derived(cause Record, rule string, fields map[string]any) Record {
	fields["occurred_at"], fields["correlation_id"] = cause.Fields["occurred_at"], cause.Fields["correlation_id"]
	return Record{Key: cause.Key, Fields: fields, origin: cause.origin, rule: rule}
}

func signal(rule string, cause Record, factor string, score float64) Record {
	return derived(cause, rule, map[string]any{
		"customer_id": cause.Key, "factor": factor, "score": score, "amount": 0.0, "invoice": nil, "stock_code": nil,
	})
}

func at[K comparable, S any](states map[K]*S, key K) *S {
	if states[key] == nil {
		states[key] = new(S)
	}
	return states[key]
}

func either[T any](condition bool, yes, no T) T {
	if condition {
		return yes
	}
	return no
}

// sum adds doubles without rounding: 2,200 bits hold every sum of doubles that are neither huge nor tiny. Its value is
// rounded once, at the end.
type sum struct{ exact big.Float }

func (s *sum) add(x float64) float64 {
	s.exact.SetPrec(2200)
	s.exact.Add(&s.exact, new(big.Float).SetFloat64(x))
	return s.value()
}

func (s *sum) value() float64 {
	v, _ := s.exact.Float64()
	return v
}
