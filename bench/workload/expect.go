package workload

import (
	"fmt"
	"math"
	"slices"
	"strconv"
)

const (
	minute = int64(60_000)
	// within is how long a change is good for a payment (w3), and how long a pattern may take (w4a, w4b).
	within = 30 * minute
	// large is what payments of w3 and w4a must exceed.
	large = 500.0
)

// Expect says what a rule must put out for a data set: not as an engine finds it, event by event, but from all events at
// once.
func Expect(rule string, seed uint64, n int) (Sum, error) {
	var sum Sum
	events, err := Events(SetOf(rule), seed, n)
	if err != nil {
		return sum, err
	}
	switch rule {
	case "w1":
		for e := range events {
			if e.Attribute == "country" && e.Confidence >= 0.6 {
				sum.AddLine(AppendW1(nil, e.EventID, e.UserID, e.OccurredAt, e.Region, e.OldValue, e.NewValue,
					e.Confidence, e.Confidence*80+e.Score*20))
			}
		}
		return sum, nil
	case "count":
		counts := map[string]int64{}
		for e := range events {
			counts[e.UserID]++
			sum.AddLine(AppendCount(nil, e.UserID, counts[e.UserID]))
		}
		return sum, nil
	case "w2":
		return windows(slices.Collect(copies(events))), nil
	}
	byUser := map[string][]Event{}
	for e := range events {
		byUser[e.UserID] = append(byUser[e.UserID], *e)
	}
	for _, own := range byUser {
		slices.SortStableFunc(own, func(a, b Event) int { return int(a.OccurredAt - b.OccurredAt) })
		for i := range own {
			switch rule {
			case "w3":
				sum.Add(pairs(own, i))
			case "w4a":
				sum.Add(takeover(own, i))
			case "w4b":
				sum.Add(burst(own, i))
			case "w4c":
				sum.Add(unproved(own, i))
			default:
				return sum, fmt.Errorf("no rule %q; there are %v", rule, Rules)
			}
		}
	}
	return sum, nil
}

func copies(events func(func(*Event) bool)) func(func(Event) bool) {
	return func(yield func(Event) bool) {
		events(func(e *Event) bool { return yield(*e) })
	}
}

// windows is w2: five minutes, every minute, those above 1000 that have ended when the last event is in.
func windows(events []Event) Sum {
	const size, hop = 5 * minute, minute
	type cell struct {
		who string
		end int64
	}
	type total struct {
		n       int64
		quarter int64
	}
	totals := map[cell]total{}
	newest := int64(math.MinInt64)
	for _, e := range events {
		newest = max(newest, e.OccurredAt)
		first := (e.OccurredAt/hop + 1) * hop // the end of the earliest window that holds it, all are on minutes
		for end := first; end < first+size; end += hop {
			t := totals[cell{e.UserID, end}]
			totals[cell{e.UserID, end}] = total{t.n + 1, t.quarter + asQuarters.integer(e.Amount)}
		}
	}
	var sum Sum
	for c, t := range totals {
		if t.quarter <= 4*1000 || c.end > newest-OutOfOrder {
			continue
		}
		average := float64(t.quarter) / 4 / float64(t.n)
		sum.AddLine(line(c.who, c.end-size, c.end, t.n, t.quarter, asThousands.integer(average)))
	}
	return sum
}

// pairs is w3 for the payment at i of a user's events: every change of the half hour before it.
func pairs(own []Event, i int) (sum Sum) {
	p := &own[i]
	if p.Kind != Payment || p.Amount <= large {
		return sum
	}
	for j := i - 1; j >= 0 && own[j].OccurredAt >= p.OccurredAt-within; j-- {
		if c := &own[j]; c.Kind == Change {
			sum.AddLine(line(p.UserID, c.EventID, p.EventID, c.Attribute, asQuarters.integer(p.Amount), p.OccurredAt))
		}
	}
	return sum
}

// takeover is w4a for the login at i: the next change of the e-mail address after it, the next large payment after that.
func takeover(own []Event, i int) (sum Sum) {
	login := &own[i]
	if login.Kind != Login || !login.NewDevice {
		return sum
	}
	var change *Event
	for j := i + 1; j < len(own) && own[j].OccurredAt-login.OccurredAt < within; j++ {
		switch e := &own[j]; {
		case change == nil && e.Kind == Change && e.Attribute == "email":
			change = e
		case change != nil && e.Kind == Payment && e.Amount > large:
			sum.AddLine(line(e.UserID, login.EventID, change.EventID, e.EventID, asQuarters.integer(e.Amount), e.OccurredAt))
			return sum
		}
	}
	return sum
}

// burst is w4b for the login at i: one or more changes and a payment, directly one after the other.
func burst(own []Event, i int) (sum Sum) {
	login := &own[i]
	if login.Kind != Login {
		return sum
	}
	j := i + 1
	for j < len(own) && own[j].Kind == Change {
		j++
	}
	changes := int64(j - i - 1)
	if changes == 0 || j == len(own) || own[j].Kind != Payment || own[j].OccurredAt-login.OccurredAt >= within {
		return sum
	}
	p := &own[j]
	sum.AddLine(line(p.UserID, login.EventID, changes, own[j-1].EventID, p.EventID, asQuarters.integer(p.Amount), p.OccurredAt))
	return sum
}

// unproved is w4c for the login at i: no second factor in the five minutes after it.
func unproved(own []Event, i int) (sum Sum) {
	login := &own[i]
	if login.Kind != Login || !login.NewDevice {
		return sum
	}
	deadline := login.OccurredAt + 5*minute
	for j := i + 1; j < len(own) && own[j].OccurredAt < deadline; j++ {
		if own[j].Kind == Mfa {
			return sum
		}
	}
	sum.AddLine(line(login.UserID, login.EventID, deadline))
	return sum
}

// line joins texts and integers.
func line(fields ...any) []byte {
	var b []byte
	for i, f := range fields {
		if i > 0 {
			b = append(b, '|')
		}
		switch f := f.(type) {
		case string:
			b = append(b, f...)
		case int64:
			b = strconv.AppendInt(b, f, 10)
		}
	}
	return b
}
