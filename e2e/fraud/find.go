package fraud

import (
	"cmp"
	"slices"
	"strings"
)

// Alerts are those of all cases, by rule, account and time.
func (s *Scenario) Alerts() (out []Alert) {
	for _, c := range s.Cases {
		out = append(out, c.Alerts...)
	}
	return sorted(out)
}

// Find tries all combinations of rows for what the rules must find: the same as is planted, if nothing else fits.
func Find(rows []Row) (out []Alert) {
	by := map[string][]Row{}
	for _, r := range rows {
		by[r.Account] = append(by[r.Account], r)
	}
	for _, of := range by {
		out = append(out, takeovers(of)...)
		for _, l := range of {
			confirmed := slices.ContainsFunc(of, func(r Row) bool {
				return r.Kind == factor && r.Detail == "passed" && r.Device == l.Device && l.At < r.At && r.At < l.At+unconfirmedAfter
			})
			if l.Kind == login && l.Detail == "new device" && !confirmed {
				out = append(out, Alert{Rule: Unconfirmed, At: l.At + unconfirmedAfter, Account: l.Account, Device: l.Device, LoginAt: l.At})
			}
		}
	}
	return sorted(out)
}

// takeovers looks for the four rows that end first, and among these for those that begin first, then goes on behind them.
func takeovers(rows []Row) (out []Alert) {
	for last, r := range rows {
		if !large(r) {
			continue
		}
		if of := takeover(rows[:last+1]); of != nil {
			a := Alert{Rule: Takeover, At: r.At, Account: r.Account, Device: of[0].Device, LoginAt: of[0].At, Field: of[1].Detail}
			for _, p := range of[2:] {
				a.Payments, a.Total = append(a.Payments, p.Detail), a.Total+p.Amount
			}
			return append([]Alert{a}, takeovers(rows[last+1:])...)
		}
	}
	return nil
}

// takeover is the earliest login, change and payment that the last row makes a takeover with.
func takeover(rows []Row) []Row {
	last := rows[len(rows)-1]
	for i, l := range rows {
		for j, c := range rows[i:] {
			for _, p := range rows[i+j : len(rows)-1] {
				if l.Kind == login && l.Detail == "new device" && last.At < l.At+30*minute &&
					c.Kind == change && slices.Contains([]string{"email", "phone", "password"}, c.Detail) && large(p) {
					return []Row{l, c, p, last}
				}
			}
		}
	}
	return nil
}

func large(r Row) bool { return r.Kind == payment && r.Amount >= 300 }

func sorted(alerts []Alert) []Alert {
	slices.SortFunc(alerts, func(a, b Alert) int {
		return cmp.Or(strings.Compare(a.Rule, b.Rule), strings.Compare(a.Account, b.Account), cmp.Compare(a.At, b.At))
	})
	return alerts
}
