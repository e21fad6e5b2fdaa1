package retail

import (
	"maps"
	"slices"
)

const (
	reversalWithin = 14 * day
	burstWithin    = hour
	lapseWithin    = 30 * day
	lapseAfter     = 7 * day
)

// reversals are the bulk purchases after which a customer cancels two lines. The oldest purchase that is not over has at least
// as many cancellations as any other, so that it is always the one told of, and nothing that came before stays in mind.
func reversals(rows []Row) (out []Record) {
	type bulk struct {
		bought Row
		back   []Row
	}
	open := map[string][]bulk{}
	for _, r := range rows {
		of := slices.DeleteFunc(open[r.Customer], func(b bulk) bool { return r.At >= b.bought.At+reversalWithin })
		switch {
		case r.Cancelled():
			for i := range of {
				of[i].back = append(of[i].back, r)
			}
			if len(of) > 0 && len(of[0].back) == 2 {
				out = append(out, reversal(of[0].bought, of[0].back))
				of = nil
			}
		case r.Quantity >= 100 && r.Price > 0:
			of = append(of, bulk{bought: r})
		}
		open[r.Customer] = of
	}
	return out
}

func reversal(bought Row, back []Row) Record {
	var amount sum
	var units int64
	var invoices []string
	for _, r := range back {
		amount.add(r.Amount())
		units += r.Quantity
		invoices = append(invoices, r.Invoice)
	}
	return record(back[len(back)-1], bought.Customer, map[string]any{
		"customer_id": bought.Customer, "purchase": bought.Invoice, "stock_code": bought.StockCode, "bought_at": bought.At,
		"units": bought.Quantity, "amount": bought.Amount(), "cancellations": invoices, "cancelled_units": -units,
		"cancelled_amount": -amount.value(),
	})
}

// bursts are the sales of an article that two sales to other countries follow within an hour.
func bursts(rows []Row) (out []Record) {
	rows = slices.DeleteFunc(sales(rows), func(r Row) bool { return r.Country == "Unspecified" })
	open := map[string][][]Row{}
	for _, r := range rows {
		of := slices.DeleteFunc(open[r.StockCode], func(b []Row) bool { return r.At >= b[0].At+burstWithin })
		for i, b := range of {
			if !slices.ContainsFunc(b, func(x Row) bool { return x.Country == r.Country }) {
				of[i] = append(b, r)
			}
			if len(of[i]) == 3 {
				out = append(out, burst(of[i]))
			}
		}
		of = slices.DeleteFunc(of, func(b []Row) bool { return len(b) == 3 })
		open[r.StockCode] = append(of, []Row{r})
	}
	return out
}

func burst(sales []Row) Record {
	var countries, customers []string
	units, amount := int64(0), 0.0
	for _, r := range sales {
		countries, customers = append(countries, r.Country), append(customers, r.Customer)
		units, amount = units+r.Quantity, amount+r.Amount()
	}
	return record(sales[2], sales[0].StockCode, map[string]any{
		"stock_code": sales[0].StockCode, "countries": countries, "customers": customers, "start": sales[0].At, "end": sales[2].At,
		"units": units, "amount": amount,
	})
}

// lapses are the pairs of large visits, one the next large one after the other, that no visit follows for a week.
func lapses(visits []Record) (out []Record) {
	by := map[string][]Record{}
	for _, v := range visits {
		by[v.Key] = append(by[v.Key], v)
	}
	number := func(v Record, field string) int64 { return v.Fields[field].(int64) }
	spend := func(v Record) float64 { return v.Fields["spend"].(float64) }
	for _, key := range slices.Sorted(maps.Keys(by)) {
		var before *Record
		for i, v := range by[key] {
			if spend(v) < 500 {
				continue
			}
			quiet := i+1 == len(by[key]) || number(by[key][i+1], "end") >= number(v, "end")+lapseAfter
			if before != nil && number(v, "end") < number(*before, "end")+lapseWithin && quiet {
				out = append(out, Record{Key: key, Fields: map[string]any{
					"customer_id": key, "since": number(v, "end"), "orders": number(*before, "orders") + number(v, "orders"),
					"spend": spend(*before) + spend(v), "occurred_at": number(v, "end") + lapseAfter,
					"days_between": float64(number(v, "start")-number(*before, "end")) / float64(day),
				}})
			}
			before = &v
		}
	}
	return out
}
