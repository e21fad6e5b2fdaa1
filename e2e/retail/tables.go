package retail

import "slices"

// catalogue tells for each article what its latest sale called it and took for it, when that changes.
func catalogue(rows []Row) (out []Record) {
	type article struct {
		name  string
		price float64
	}
	known := map[string]article{}
	for _, r := range sales(rows) {
		now := article{r.Description, r.Price}
		if old, ok := known[r.StockCode]; ok && old == now {
			continue
		}
		known[r.StockCode] = now
		out = append(out, record(r, r.StockCode, map[string]any{"stock_code": r.StockCode, "name": now.name, "price": now.price}))
	}
	return out
}

// versions are the records of a table by their keys, each in the order of the times from which it holds.
type versions struct {
	of   map[string][]Record
	span int64 // how long each holds at most, in ms; 0 = until the next one
}

func newVersions(records []Record, span int64) versions {
	v := versions{map[string][]Record{}, span}
	for _, r := range records {
		v.of[r.Key] = append(v.of[r.Key], r)
	}
	for _, of := range v.of {
		slices.SortStableFunc(of, byTime)
	}
	return v
}

// at is what holds for the key at a time, nil for nothing.
func (v versions) at(key string, time int64) map[string]any {
	for _, r := range slices.Backward(v.of[key]) {
		if from := r.Fields["occurred_at"].(int64); from <= time {
			if v.span > 0 && time >= from+v.span {
				return nil
			}
			return r.Fields
		}
	}
	return nil
}

// refunds are the regrets whose article was in the catalogue when it was bought.
func refunds(regrets []Record, articles versions) (out []Record) {
	for _, r := range regrets {
		code := r.Fields["stock_code"].(string)
		article := articles.at(code, r.Fields["bought_at"].(int64))
		if article == nil {
			continue
		}
		price, quantity := article["price"].(float64), r.Fields["quantity"].(int64)
		out = append(out, derived(r, "risk.refund", map[string]any{
			"customer_id": r.Key, "stock_code": code, "purchase": r.Fields["purchase"], "cancellation": r.Fields["cancellation"],
			"bought_at": r.Fields["bought_at"], "quantity": quantity, "amount": r.Fields["amount"], "price": price,
			"worth": price * float64(quantity),
		}))
	}
	return out
}

// contexts are the interests whose article is in the catalogue, with its season if it has one.
func contexts(interests []Record, articles, seasons versions) (out []Record) {
	for _, i := range interests {
		code, when := i.Fields["stock_code"].(string), i.Fields["occurred_at"].(int64)
		article := articles.at(code, when)
		if article == nil {
			continue
		}
		fields := map[string]any{
			"customer_id": i.Key, "theme": i.Fields["theme"], "stock_code": code, "name": article["name"], "price": article["price"],
			"units": i.Fields["units"], "in_season": false, "weekly_orders": nil, "weekly_units": nil,
		}
		if season := seasons.at(code, when); season != nil {
			fields["in_season"], fields["weekly_orders"], fields["weekly_units"] = true, season["orders"], season["units"]
		}
		out = append(out, derived(i, "preference.context", fields))
	}
	return out
}
