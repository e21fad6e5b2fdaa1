package retail

import (
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
}

// Expect computes what the shipped rules make of rows: per stream, the records to be found in its topic. Streams for
// which LastPerKey holds are listed with the last record of each key only, in the order of the keys.
func Expect(rows []Row) map[string][]Record {
	out := map[string][]Record{
		"commerce.purchases":     purchases(rows),
		"preference.interests":   interests(rows),
		"preference.changes":     slices.Concat(homeCountry(rows), spendBand(rows)),
		"inventory.reservations": movement(rows, "sale"),
		"inventory.returns":      movement(rows, "return"),
		"inventory.adjustments":  movement(rows, "charge", "gift", "correction"),
		"inventory.demand":       demand(rows),
	}
	small, large := cancellation(rows)
	changes := out["preference.changes"]
	out["risk.signals"] = slices.Concat(small, newCountry(changes), spendSurge(changes))
	out["risk.reviews"] = large
	out["risk.profile"] = profile(slices.Concat(out["risk.signals"], large))
	out["inventory.holds"] = hold(out["risk.profile"])
	return out
}

// LastPerKey tells whether only the newest record of each key is determined in stream, because a running aggregate
// writes it from more than one writer's records. All other streams are determined record by record.
func LastPerKey(stream string) bool {
	return stream == "risk.profile" || stream == "inventory.holds" || stream == "inventory.demand"
}

// SequenceField names the field that, together with the key, makes an ordered sequence of a stream's records: their
// order is determined, while records that differ in it may come in any order. It is "" where the key alone does.
func SequenceField(stream string) string {
	switch stream {
	case "preference.changes":
		return "attribute" // one rule per attribute
	case "risk.signals":
		return "factor" // one rule per factor, or an exclusive pair of factors
	case "inventory.reservations", "inventory.returns", "inventory.adjustments":
		return "customer_id" // re-keyed: the key of the records they come from
	default:
		return ""
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
		out = append(out, signal(c, either(moved, "country_changed", "foreign_market"), either(moved, 0.4, 0.2)))
	}
	return out
}

func spendSurge(changes []Record) (out []Record) {
	for _, c := range changes {
		if c.Fields["attribute"] == "spend_band" && c.Fields["value"] == "high" {
			out = append(out, signal(c, "spend_surge", 0.3))
		}
	}
	return out
}

func profile(signals []Record) []Record {
	type state struct {
		score, amount sum
		n             int64
		worst         float64
		since, until  int64
	}
	states := map[string]*state{}
	for _, s := range signals {
		st, when := at(states, s.Key), s.Fields["occurred_at"].(int64)
		if st.n == 0 {
			st.since = math.MaxInt64
		}
		st.n++
		st.score.add(s.Fields["score"].(float64))
		st.amount.add(s.Fields["amount"].(float64))
		st.worst = max(st.worst, s.Fields["score"].(float64))
		st.since, st.until = min(st.since, when), max(st.until, when)
	}
	return lastOf(states, func(key string, st *state) map[string]any {
		score := st.score.value()
		return map[string]any{
			"customer_id": key, "score": score, "level": either(score >= 1, "high", either(score >= 0.5, "elevated", "normal")),
			"signals": st.n, "worst": st.worst, "amount": st.amount.value(), "since": st.since, "until": st.until,
		}
	})
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

func demand(rows []Row) []Record {
	type state struct {
		units, orders, largest int64
		revenue                sum
	}
	states := map[string]*state{}
	for _, r := range rows {
		if r.Goods() && r.Sold() {
			st := at(states, r.StockCode)
			st.units += r.Quantity
			st.orders++
			st.largest = max(st.largest, r.Quantity)
			st.revenue.add(r.Amount())
		}
	}
	return lastOf(states, func(key string, st *state) map[string]any {
		return map[string]any{
			"stock_code": key, "units": st.units, "orders": st.orders, "largest": st.largest, "revenue": st.revenue.value(),
		}
	})
}

func hold(profiles []Record) (out []Record) {
	for _, p := range profiles {
		if p.Fields["level"] == "normal" {
			continue
		}
		out = append(out, Record{Key: p.Key, Fields: map[string]any{
			"customer_id": p.Key, "score": p.Fields["score"], "reason": p.Fields["level"],
			"review_by": p.Fields["until"].(int64) + 24*60*60*1000,
		}})
	}
	return out
}

// record adds what every event takes over from the purchase that caused it.
func record(cause Row, key string, fields map[string]any) Record {
	fields["occurred_at"], fields["correlation_id"] = cause.At, cause.Invoice
	return Record{Key: key, Fields: fields}
}

func signal(cause Record, factor string, score float64) Record {
	return Record{Key: cause.Key, Fields: map[string]any{
		"customer_id": cause.Key, "factor": factor, "score": score, "amount": 0.0, "invoice": nil, "stock_code": nil,
		"occurred_at": cause.Fields["occurred_at"], "correlation_id": cause.Fields["correlation_id"],
	}}
}

func lastOf[S any](states map[string]*S, fields func(key string, s *S) map[string]any) (out []Record) {
	for key, s := range states {
		out = append(out, Record{Key: key, Fields: fields(key, s)})
	}
	slices.SortFunc(out, func(a, b Record) int { return strings.Compare(a.Key, b.Key) })
	return out
}

func at[S any](states map[string]*S, key string) *S {
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
