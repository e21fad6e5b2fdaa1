package main

import (
	"fmt"
	"testing/fstest"

	"github.com/millrace-io/millrace/bench/baseline"
	"github.com/millrace-io/millrace/bench/workload"
	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/schemas"
)

// definition is a workload as a domain team would write it. Its topics are set by each run.
type definition struct {
	input  string // declares the stream of events
	output string // and that of the results
	rule   string
}

const (
	changes  = "  changes: {topic: bench.changes, schema: preference.Change, key: user_id, time: occurred_at}\n"
	payments = "  payments: {topic: bench.payments, schema: commerce.Payment, key: user_id, time: occurred_at, out_of_order: 5s}\n"
)

var definitions = map[string]definition{
	"w1": {
		changes, "  risks: {topic: bench.risks, schema: bench.Risk, key: user_id}\n", `
  - name: w1
    from: {change: bench.changes}
    where: change.attribute == "country" && change.confidence >= 0.6
    select:
      cause_id: change.event_id
      user_id: change.user_id
      occurred_at: to_millis(change.occurred_at)
      region: change.region
      previous: change.old_value
      current: change.new_value
      confidence: change.confidence
      risk: change.confidence * 80 + change.score * 20
    to: bench.risks
`,
	},
	"w2": {
		payments, "  spend: {topic: bench.spend, schema: bench.Spend, key: user_id}\n", `
  - name: w2
    from: {payment: bench.payments}
    by: payment.user_id
    window: {size: 5m, hop: 1m}
    select:
      user_id: key
      window_start: to_millis(window.start)
      window_end: to_millis(window.end)
      n: count()
      sum: sum(payment.amount)
      avg: avg(payment.amount)
    having: sum(payment.amount) > 1000
    emit: final
    to: bench.spend
`,
	},
	"w3": {
		"  changes: {topic: bench.changes, schema: preference.Change, key: user_id, time: occurred_at, out_of_order: 5s}\n" + payments,
		"  spent: {topic: bench.spent, schema: bench.Spent, key: user_id}\n", `
  - name: w3
    from: {change: bench.changes, payment: bench.payments}
    by: user_id
    join: {within: {after: 30m}}
    where: payment.amount > 500
    select:
      user_id: key
      change_id: change.event_id
      payment_id: payment.event_id
      attribute: change.attribute
      amount: payment.amount
      occurred_at: to_millis(payment.occurred_at)
    to: bench.spent
`,
	},
	"w4a": {
		logins + changes + paid, "  takeovers: {topic: bench.takeovers, schema: bench.Takeover, key: user_id}\n", `
  - name: w4a
    from: {login: bench.logins, change: bench.changes, payment: bench.payments}
    by: user_id
    detect:
      pattern: login -> change -> payment
      define:
        login: login.new_device
        change: change.attribute == "email"
        payment: payment.amount > 500
      within: 30m
      skip: none
    select:
      user_id: key
      login_id: login.event_id
      change_id: change.event_id
      payment_id: payment.event_id
      amount: payment.amount
      occurred_at: to_millis(payment.occurred_at)
    to: bench.takeovers
`,
	},
	"w4b": {
		logins + mfas + changes + paid, "  bursts: {topic: bench.bursts, schema: bench.Burst, key: user_id}\n", `
  - name: w4b
    from: {login: bench.logins, mfa: bench.mfas, change: bench.changes, payment: bench.payments}
    by: user_id
    detect:
      pattern: login , change+[,] , payment
      within: 30m
      skip: none
    select:
      user_id: key
      login_id: login.event_id
      changes: count(change)
      change_id: change.event_id
      payment_id: payment.event_id
      amount: payment.amount
      occurred_at: to_millis(payment.occurred_at)
    to: bench.bursts
`,
	},
	"w4c": {
		logins + mfas, "  unproved: {topic: bench.unproved, schema: bench.Unproved, key: user_id}\n", `
  - name: w4c
    from: {login: bench.logins, mfa: bench.mfas}
    by: user_id
    detect:
      pattern: login -> !mfa
      define: {login: login.new_device}
      within: 5m
      skip: none
    select:
      user_id: key
      login_id: login.event_id
      deadline: to_millis(login.occurred_at) + 300000
    to: bench.unproved
`,
	},
	"count": {
		changes, "  counts: {topic: bench.counts, schema: bench.Count, key: user_id}\n", `
  - name: count
    from: {change: bench.changes}
    by: change.user_id
    unbounded: true
    emit: each
    select: {user_id: key, n: count()}
    to: bench.counts
`,
	},
}

// The streams of w4.
const (
	paid   = "  payments: {topic: bench.payments, schema: commerce.Payment, key: user_id, time: occurred_at}\n"
	logins = "  logins: {topic: bench.logins, schema: auth.Login, key: user_id, time: occurred_at}\n"
	mfas   = "  mfas: {topic: bench.mfas, schema: auth.Mfa, key: user_id, time: occurred_at}\n"
)

// The outputs of w4.
const (
	takeoverSchema = `{"type":"record","namespace":"bench","name":"Takeover","fields":[
	{"name":"user_id","type":"string"},
	{"name":"login_id","type":"string"},
	{"name":"change_id","type":"string"},
	{"name":"payment_id","type":"string"},
	{"name":"amount","type":"double"},
	{"name":"occurred_at","type":"long"}]}`
	burstSchema = `{"type":"record","namespace":"bench","name":"Burst","fields":[
	{"name":"user_id","type":"string"},
	{"name":"login_id","type":"string"},
	{"name":"changes","type":"long"},
	{"name":"change_id","type":"string"},
	{"name":"payment_id","type":"string"},
	{"name":"amount","type":"double"},
	{"name":"occurred_at","type":"long"}]}`
	unprovedSchema = `{"type":"record","namespace":"bench","name":"Unproved","fields":[
	{"name":"user_id","type":"string"},
	{"name":"login_id","type":"string"},
	{"name":"deadline","type":"long"}]}`
)

// spentSchema is the output of w3.
const spentSchema = `{"type":"record","namespace":"bench","name":"Spent","fields":[
	{"name":"user_id","type":"string"},
	{"name":"change_id","type":"string"},
	{"name":"payment_id","type":"string"},
	{"name":"attribute","type":"string"},
	{"name":"amount","type":"double"},
	{"name":"occurred_at","type":"long"}]}`

// kindsOf are the kinds of events that a workload reads, in the order of its rule's inputs.
func kindsOf(workloadName string) []workload.Kind {
	switch workloadName {
	case "w2":
		return []workload.Kind{workload.Payment}
	case "w3":
		return []workload.Kind{workload.Change, workload.Payment}
	case "w4a":
		return []workload.Kind{workload.Login, workload.Change, workload.Payment}
	case "w4b":
		return []workload.Kind{workload.Login, workload.Mfa, workload.Change, workload.Payment}
	case "w4c":
		return []workload.Kind{workload.Login, workload.Mfa}
	}
	return []workload.Kind{workload.Change}
}

// spendSchema is the output of w2.
const spendSchema = `{"type":"record","namespace":"bench","name":"Spend","fields":[
	{"name":"user_id","type":"string"},
	{"name":"window_start","type":"long"},
	{"name":"window_end","type":"long"},
	{"name":"n","type":"long"},
	{"name":"sum","type":"double"},
	{"name":"avg","type":"double"}]}`

// loadRule compiles a workload's rule.
func loadRule(workloadName string) (*rules.Set, error) {
	d, ok := definitions[workloadName]
	if !ok {
		return nil, fmt.Errorf("no rule for workload %q", workloadName)
	}
	return d.load()
}

func (d definition) load() (*rules.Set, error) {
	catalog, err := schemas.LoadCatalog(fstest.MapFS{
		"preference/Change.avsc": {Data: []byte(workload.Schema(workload.Change))},
		"commerce/Payment.avsc":  {Data: []byte(workload.Schema(workload.Payment))},
		"auth/Login.avsc":        {Data: []byte(workload.Schema(workload.Login))},
		"auth/Mfa.avsc":          {Data: []byte(workload.Schema(workload.Mfa))},
		"bench/Takeover.avsc":    {Data: []byte(takeoverSchema)},
		"bench/Burst.avsc":       {Data: []byte(burstSchema)},
		"bench/Unproved.avsc":    {Data: []byte(unprovedSchema)},
		"bench/Risk.avsc":        {Data: []byte(baseline.RiskSchema)},
		"bench/Count.avsc":       {Data: []byte(baseline.CountSchema)},
		"bench/Spend.avsc":       {Data: []byte(spendSchema)},
		"bench/Spent.avsc":       {Data: []byte(spentSchema)},
	})
	if err != nil {
		return nil, err
	}
	return rules.Load(fstest.MapFS{
		"bench/streams.yaml": {Data: []byte("domain: bench\nstreams:\n" + d.input + d.output)},
		"bench/rules.yaml":   {Data: []byte("domain: bench\nrules:" + d.rule)},
	}, rules.Options{Catalog: catalog})
}
