// Package fraud makes the scenario of testdata/fraud: days of a bank's accounts, with frauds planted in them and near misses
// beside these. It knows what is planted, and finds it again by trying all combinations, sharing no code with millrace.
package fraud

import (
	"cmp"
	"encoding/csv"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Row is something that happened on an account.
type Row struct {
	At      int64 // ms since the epoch
	Kind    string
	Account string
	Device  string
	Detail  string  // login: known device, new device; factor: passed, failed; change: field; payment: reference
	Amount  float64 // of a payment, in pounds
}

// Kinds of rows.
const (
	login   = "login"
	factor  = "factor"
	change  = "change"
	payment = "payment"
)

const (
	ms     = int64(1)
	second = 1000 * ms
	minute = 60 * second
	hour   = 60 * minute
)

// Days and accounts of the scenario.
const (
	days     = 5
	accounts = 120
)

// Scenario is what Generate makes.
type Scenario struct {
	Rows  []Row // in the order of their times
	Cases []Case
}

// Case is a fraud, or a near miss, on an account of its own with ordinary sessions around it.
type Case struct {
	Name    string
	Account string
	Alerts  []Alert // that rules must find on the account, all of them, in the order of their times per rule
}

// Alert is what a rule must write.
type Alert struct {
	Rule     string // Takeover or Unconfirmed
	At       int64
	Account  string
	Device   string
	LoginAt  int64
	Field    string   // Takeover: that was changed
	Payments []string // Takeover
	Total    float64  // Takeover
}

// The rules.
const (
	Takeover    = "takeover"
	Unconfirmed = "unconfirmed"
)

// Generate makes a scenario; the same seed gives the same.
func Generate(seed uint64) *Scenario {
	g := &generator{Rand: rand.New(rand.NewPCG(seed, seed)), begin: time.Date(2026, time.March, 2, 0, 0, 0, 0, time.UTC).UnixMilli()}
	numbers := g.Perm(accounts)
	s := &Scenario{}
	for i, n := range numbers {
		g.account = fmt.Sprintf("acc-%04d", 1000+n)
		g.devices = 1
		planted := int64(0)
		if i < len(plans) {
			planted = g.begin + hour*int64(20+g.IntN(24*days-40)) + int64(g.IntN(int(hour)))
			s.Cases = append(s.Cases, g.plant(plans[i], planted))
		}
		g.ordinary(planted)
	}
	slices.SortFunc(s.Cases, func(a, b Case) int { return strings.Compare(a.Account, b.Account) })
	slices.SortStableFunc(g.rows, func(a, b Row) int {
		return cmp.Or(cmp.Compare(a.At, b.At), strings.Compare(a.Account, b.Account))
	})
	s.Rows = g.rows
	return s
}

type generator struct {
	*rand.Rand
	rows     []Row
	begin    int64
	account  string
	devices  int // that the account has been used from
	payments int
}

func (g *generator) add(at int64, kind, device, detail string, amount float64) *Row {
	g.rows = append(g.rows, Row{at, kind, g.account, device, detail, amount})
	return &g.rows[len(g.rows)-1]
}

// device names one of the account.
func (g *generator) device(n int) string { return fmt.Sprintf("%s-d%d", g.account, n) }

func (g *generator) pay(at int64, device string, amount float64) (reference string) {
	g.payments++
	reference = fmt.Sprintf("P%05d", g.payments)
	g.add(at, payment, device, reference, amount)
	return reference
}

// ordinary fills an account's days with sessions of its owner, except for some hours around the time of what is planted. None
// of them is a fraud: a new device is confirmed, and the profile is never changed from it before money is sent.
func (g *generator) ordinary(planted int64) {
	end := g.begin + days*24*hour
	for at := g.begin + g.between(0, 12*hour); at < end-3*hour; at += g.between(3*hour, 30*hour) {
		if planted-6*hour < at && at < planted+6*hour {
			continue
		}
		switch g.IntN(6) {
		case 0:
			g.newDevice(at)
		case 1:
			g.settings(at)
		default:
			g.visit(at)
		}
	}
}

// between is a duration from from to before to.
func (g *generator) between(from, to int64) int64 { return from + g.Int64N(to-from) }

func (g *generator) amount() float64 {
	return float64(g.IntN(60_000)+100) / 100
}

// visit is a session from a known device, with payments.
func (g *generator) visit(at int64) {
	d := g.device(g.IntN(g.devices))
	g.add(at, login, d, "known device", 0)
	for range g.IntN(5) {
		at += g.between(5*second, 8*minute)
		g.pay(at, d, g.amount())
	}
}

// settings is a session from a known device in which the profile is changed, with a second factor, before payments.
func (g *generator) settings(at int64) {
	d := g.device(g.IntN(g.devices))
	g.add(at, login, d, "known device", 0)
	for range 1 + g.IntN(2) {
		at += g.between(10*second, 4*minute)
		g.add(at, factor, d, "passed", 0)
		g.add(at+g.between(second, 20*second), change, d, pick(g, "email", "phone", "password", "address", "language"), 0)
	}
	for range g.IntN(4) {
		at += g.between(30*second, 8*minute)
		g.pay(at, d, g.amount())
	}
}

// newDevice is a session from a new device that is confirmed: with payments, and then perhaps a change.
func (g *generator) newDevice(at int64) {
	d := g.device(g.devices)
	g.devices++
	g.add(at, login, d, "new device", 0)
	at += g.between(5*second, 2*minute)
	if g.IntN(4) == 0 {
		g.add(at, factor, d, "failed", 0)
		at += g.between(5*second, 2*minute)
	}
	g.add(at, factor, d, "passed", 0)
	for range g.IntN(4) {
		at += g.between(30*second, 4*minute)
		g.pay(at, d, g.amount())
	}
	if g.IntN(2) == 0 {
		g.add(at+g.between(second, minute), change, d, pick(g, "email", "phone", "password", "address", "language"), 0)
	}
}

func pick[T any](g *generator, of ...T) T { return of[g.IntN(len(of))] }

// Heading is the first line of the file of rows.
const Heading = "at,kind,account,device,detail,amount"

// layout of times, in UTC.
const layout = "2006-01-02 15:04:05.000"

func text(at int64) string { return time.UnixMilli(at).UTC().Format(layout) }

// WriteRows writes the rows as a CSV file.
func (s *Scenario) WriteRows(w io.Writer) error {
	lines := [][]string{strings.Split(Heading, ",")}
	for _, r := range s.Rows {
		amount := ""
		if r.Kind == payment {
			amount = strconv.FormatFloat(r.Amount, 'f', 2, 64)
		}
		lines = append(lines, []string{text(r.At), r.Kind, r.Account, r.Device, r.Detail, amount})
	}
	return csv.NewWriter(w).WriteAll(lines)
}

// WriteCases writes the cases as a CSV file: a line for each alert, and one without an alert for each near miss.
func (s *Scenario) WriteCases(w io.Writer) error {
	lines := [][]string{{"account", "case", "alert", "at", "device", "login_at", "field", "payments", "total"}}
	for _, c := range s.Cases {
		for _, a := range c.Alerts {
			total := ""
			if a.Rule == Takeover {
				total = strconv.FormatFloat(a.Total, 'f', 2, 64)
			}
			lines = append(lines, []string{
				c.Account, c.Name, a.Rule, text(a.At), a.Device, text(a.LoginAt), a.Field, strings.Join(a.Payments, " "), total,
			})
		}
		if len(c.Alerts) == 0 {
			lines = append(lines, []string{c.Account, c.Name, "none", "", "", "", "", "", ""})
		}
	}
	return csv.NewWriter(w).WriteAll(lines)
}
