package retail

// regrets pairs sales with the cancellations of the same article by the same customer in the 30 days from then on. Rows are in
// the order of their times, so that the pairs come out in the order in which their second rows stand.
func regrets(rows []Row) (out []Record) {
	earlier := map[[2]string][]Row{} // by customer and article
	for _, r := range rows {
		if r.Guest || !r.Sold() && !r.Cancelled() {
			continue
		}
		article := [2]string{r.Customer, r.StockCode}
		for _, e := range earlier[article] {
			switch {
			case r.Cancelled() && e.Sold() && r.At <= e.At+30*day:
				out = append(out, regret(e, r, r))
			case r.Sold() && e.Cancelled() && e.At == r.At: // of one minute
				out = append(out, regret(r, e, r))
			}
		}
		earlier[article] = append(earlier[article], r)
	}
	return out
}

// regret is the pair that a row completes.
func regret(bought, back, second Row) Record {
	x := record(second, back.Customer, map[string]any{
		"customer_id": back.Customer, "stock_code": back.StockCode, "purchase": bought.Invoice, "cancellation": back.Invoice,
		"bought_at": bought.At, "kept": back.At - bought.At, "quantity": -back.Quantity, "amount": -back.Amount(),
	})
	x.rule = "risk.regret"
	return x
}
