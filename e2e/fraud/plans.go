package fraud

// plan is a case before it has an account and a time. Steps are told by their time after the beginning, in ms.
type plan struct {
	name   string
	steps  []step
	alerts []planned
}

type step struct {
	at     int64
	kind   string
	device int // 0: the owner's; others are new to the account
	detail string
	amount float64
}

// planned is an alert, by the numbers of the steps that it comes from.
type planned struct {
	rule  string
	login int
	field int
	spend []int
}

// unconfirmedAfter is how long a second factor may take, less a moment.
const unconfirmedAfter = 5 * minute

func known(at int64) step                          { return step{at, login, 0, "known device", 0} }
func fresh(at int64, device int) step              { return step{at, login, device, "new device", 0} }
func passed(at int64, device int) step             { return step{at, factor, device, "passed", 0} }
func failed(at int64, device int) step             { return step{at, factor, device, "failed", 0} }
func changed(at int64, field string) step          { return step{at, change, 1, field, 0} }
func paid(at int64, amount float64) step           { return step{at, payment, 1, "", amount} }
func taken(login, field int, spend ...int) planned { return planned{Takeover, login, field, spend} }
func silent(login int) planned                     { return planned{rule: Unconfirmed, login: login} }

// plans are all cases: every scenario has each of them once.
var plans = []plan{
	{"takeover", []step{
		fresh(0, 1), passed(20*second, 1), changed(2*minute, "email"), paid(5*minute, 950), paid(7*minute, 420.5),
	}, []planned{taken(0, 2, 3, 4)}},
	{"takeover, nothing confirmed", []step{
		fresh(0, 1), changed(minute, "phone"), paid(2*minute, 300), paid(3*minute, 300),
	}, []planned{taken(0, 1, 2, 3), silent(0)}},
	{"takeover in its last moment", []step{
		fresh(0, 1), passed(second, 1), changed(10*minute, "password"), paid(29*minute, 800), paid(30*minute-ms, 500),
	}, []planned{taken(0, 2, 3, 4)}},
	{"takeover among other things", []step{
		fresh(0, 1), passed(second, 1), paid(minute, 700), changed(2*minute, "language"), changed(3*minute, "email"), paid(4*minute, 12), known(5 * minute),
		paid(6*minute, 640), changed(7*minute, "phone"), paid(8*minute, 299.99), failed(9*minute, 1), paid(10*minute, 310),
	}, []planned{taken(0, 4, 7, 11)}},
	{"takeover, and they go on", []step{
		fresh(0, 1), passed(second, 1), changed(minute, "email"), paid(2*minute, 900), paid(3*minute, 901), paid(4*minute, 902), paid(5*minute, 903),
	}, []planned{taken(0, 2, 3, 4)}},
	{"two takeovers", []step{
		fresh(0, 1), passed(second, 1), changed(minute, "email"), paid(2*minute, 500), paid(3*minute, 501),
		fresh(4*minute, 2), passed(5*minute, 2), changed(6*minute, "phone"), paid(7*minute, 502), paid(8*minute, 503),
	}, []planned{taken(0, 2, 3, 4), taken(5, 7, 8, 9)}},
	{"takeover, two logins", []step{
		fresh(0, 1), passed(second, 1), fresh(minute, 2), passed(2*minute, 2), changed(3*minute, "email"), paid(4*minute, 333), paid(5*minute, 444),
	}, []planned{taken(0, 4, 5, 6)}},
	{"takeover, the first login too early", []step{
		fresh(0, 1), passed(second, 1), fresh(15*minute, 2), passed(16*minute, 2), changed(17*minute, "password"), paid(18*minute, 333), paid(30*minute, 444),
	}, []planned{taken(2, 4, 5, 6)}},
	{"near miss: the second payment half an hour later", []step{
		fresh(0, 1), passed(second, 1), changed(minute, "email"), paid(2*minute, 900), paid(30*minute, 900),
	}, nil},
	{"near miss: too late by 1 ms", []step{
		fresh(0, 1), passed(second, 1), changed(minute, "email"), paid(2*minute, 900), paid(30*minute+ms, 900),
	}, nil},
	{"near miss: change before login", []step{
		changed(0, "email"), fresh(minute, 1), passed(2*minute, 1), paid(3*minute, 900), paid(4*minute, 900),
	}, nil},
	{"near miss: change by 1 ms too early", []step{
		changed(0, "email"), fresh(ms, 1), passed(2*minute, 1), paid(3*minute, 900), paid(4*minute, 900),
	}, nil},
	{"near miss: a payment before the change", []step{
		fresh(0, 1), passed(second, 1), paid(minute, 900), changed(2*minute, "email"), paid(3*minute, 900),
	}, nil},
	{"near miss: change last", []step{
		fresh(0, 1), passed(second, 1), paid(minute, 900), paid(2*minute, 900), changed(3*minute, "email"),
	}, nil},
	{"near miss: one payment", []step{
		fresh(0, 1), passed(second, 1), changed(minute, "email"), paid(2*minute, 9000),
	}, nil},
	{"near miss: amounts below", []step{
		fresh(0, 1), passed(second, 1), changed(minute, "email"), paid(2*minute, 299.99), paid(3*minute, 299.99), paid(4*minute, 900),
	}, nil},
	{"near miss: known device", []step{
		known(0), changed(minute, "email"), paid(2*minute, 900), paid(3*minute, 900),
	}, nil},
	{"near miss: harmless change", []step{
		fresh(0, 1), passed(second, 1), changed(minute, "language"), changed(2*minute, "address"), paid(3*minute, 900), paid(4*minute, 900),
	}, nil},
	{"unconfirmed", []step{fresh(0, 1)}, []planned{silent(0)}},
	{"unconfirmed, with payments", []step{fresh(0, 1), paid(minute, 20), paid(4*minute, 800)}, []planned{silent(0)}},
	{"confirmed too late by 1 ms", []step{fresh(0, 1), passed(unconfirmedAfter+ms, 1)}, []planned{silent(0)}},
	{"confirmed when the time is over", []step{fresh(0, 1), passed(unconfirmedAfter, 1)}, []planned{silent(0)}},
	{"confirmed before the login", []step{passed(0, 1), fresh(ms, 1)}, []planned{silent(1)}},
	{"confirmed on another device", []step{fresh(0, 1), passed(minute, 0)}, []planned{silent(0)}},
	{"second factor failed", []step{fresh(0, 1), failed(minute, 1), failed(2*minute, 1)}, []planned{silent(0)}},
	{"one of two logins unconfirmed", []step{fresh(0, 1), fresh(minute, 2), passed(2*minute, 2)}, []planned{silent(0)}},
	{"two logins unconfirmed", []step{fresh(0, 1), fresh(ms, 2)}, []planned{silent(0), silent(1)}},
	{"near miss: confirmed in the last moment", []step{fresh(0, 1), passed(unconfirmedAfter-ms, 1)}, nil},
	{"near miss: failed, then confirmed", []step{fresh(0, 1), failed(minute, 1), passed(4*minute, 1)}, nil},
	{"near miss: two logins, both confirmed", []step{fresh(0, 1), fresh(minute, 1), passed(2*minute, 1)}, nil},
	{"near miss: known device, no second factor", []step{known(0), paid(minute, 900)}, nil},
}

// plant makes a plan's rows on the account, from at on.
func (g *generator) plant(p plan, at int64) Case {
	c := Case{Name: p.name, Account: g.account}
	rows := make([]Row, len(p.steps))
	for i, s := range p.steps {
		device := g.device(0)
		if s.device > 0 {
			device = g.device(100 + s.device)
		}
		if s.kind == payment {
			g.pay(at+s.at, device, s.amount)
		} else {
			g.add(at+s.at, s.kind, device, s.detail, 0)
		}
		rows[i] = g.rows[len(g.rows)-1]
	}
	for _, x := range p.alerts {
		first := rows[x.login]
		a := Alert{Rule: x.rule, At: first.At + unconfirmedAfter, Account: g.account, Device: first.Device, LoginAt: first.At}
		if x.rule == Takeover {
			a.Field = rows[x.field].Detail
			for _, n := range x.spend {
				a.Payments, a.At = append(a.Payments, rows[n].Detail), rows[n].At
				a.Total += rows[n].Amount
			}
		}
		c.Alerts = append(c.Alerts, a)
	}
	return c
}
