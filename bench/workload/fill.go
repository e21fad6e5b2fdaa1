package workload

import "fmt"

// What the text fields are drawn from. A value that occurs twice is drawn twice as often.
var (
	sources    = []string{"profile-svc", "assistant", "checkout", "crm-sync"}
	regions    = []string{"eu-west-1", "eu-north-1", "us-east-1", "ap-south-1"}
	priorities = []string{"critical", "standard", "standard", "bulk"}
	attributes = []string{
		"country", "language", "country", "currency", "email", "theme",
		"address", "country", "phone", "newsletter", "size", "channel",
	}
	countries  = []string{"NO", "SE", "DE", "FR", "GB", "US", "IN", "BR", "JP", "PL"}
	values     = []string{"alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel"}
	devices    = []string{"ios", "android", "web", "tablet"}
	currencies = []string{"EUR", "USD", "NOK", "GBP"}
	merchants  = []string{"grocer-17", "travel-4", "books-9", "media-2", "fuel-31", "games-8"}
	payMethods = []string{"card", "wallet", "transfer"}
	states     = []string{"settled", "settled", "settled", "pending"}
	signIns    = []string{"password", "passkey", "sso"}
	factors    = []string{"totp", "push", "sms"}
)

// begin fills what all kinds have.
func (g *generator) begin(kind Kind, who string, at int64) *Event {
	g.event = Event{Kind: kind, UserID: who, OccurredAt: at}
	e, r := &g.event, &g.random
	e.EventID = r.uuid()
	e.CorrelationID = r.uuid()
	e.RecordedAt = at + int64(r.below(200))
	e.Source = r.of(sources)
	e.Region = r.of(regions)
	e.Confidence = float64(r.below(128)) / 128
	e.Priority = r.of(priorities)
	return e
}

func (g *generator) change(who string, at int64, attribute string) *Event {
	e, r := g.begin(Change, who, at), &g.random
	if r.oneIn(2) {
		e.CausationID = r.uuid()
	}
	e.Attribute = attribute
	domain := values
	if attribute == "country" {
		domain = countries
	}
	if !r.oneIn(10) {
		e.OldValue = r.of(domain)
	}
	e.NewValue = r.of(domain)
	e.SessionID = fmt.Sprintf("s%08x", uint32(r.next()))
	e.Device = r.of(devices)
	e.Version = int64(r.below(5000))
	e.Consent = !r.oneIn(4)
	e.Score = float64(r.below(64)) / 64
	return e
}

func (g *generator) payment(who string, at int64, amount float64) *Event {
	e, r := g.begin(Payment, who, at), &g.random
	e.Amount = amount
	e.Currency = r.of(currencies)
	e.Merchant = r.of(merchants)
	e.Method = r.of(payMethods)
	e.Status = r.of(states)
	return e
}

func (g *generator) login(who string, at int64, newDevice bool) *Event {
	e, r := g.begin(Login, who, at), &g.random
	e.NewDevice = newDevice
	i := r.below(256)
	e.IP = fmt.Sprintf("10.%d.%d.%d", i, i*7%256, i*13%256)
	e.Device = r.of(devices)
	e.Method = r.of(signIns)
	return e
}

func (g *generator) mfa(who string, at int64, ok bool) *Event {
	e := g.begin(Mfa, who, at)
	e.Method = g.random.of(factors)
	e.OK = ok
	return e
}

// amount is between 1 and 200, but one in twenty is large.
func (g *generator) amount() float64 {
	if g.random.oneIn(20) {
		return g.largeAmount()
	}
	return float64(4+g.random.below(797)) / 4
}

// largeAmount is between 500.25 and 2000.
func (g *generator) largeAmount() float64 { return float64(2001+g.random.below(6000)) / 4 }
