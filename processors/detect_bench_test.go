package processors

import (
	"fmt"
	"testing"

	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/schemas"
)

const accountStreams = `domain: acc
streams:
  logins: {topic: acc.logins, schema: acc.Login, key: user_id, time: at}
  mfa: {topic: acc.mfa, schema: acc.Mfa, key: user_id, time: at}
  changes: {topic: acc.changes, schema: acc.Change, key: user_id, time: at}
  payments: {topic: acc.payments, schema: acc.Payment, key: user_id, time: at}
  alerts: {topic: acc.alerts, schema: acc.Alert, key: user_id}
  full: {topic: acc.full, schema: acc.Full, key: user_id}
  stalled: {topic: acc.stalled, schema: acc.Full, key: user_id}
`

func accountSchemas() map[string]string {
	record := func(name, more string) string {
		return `{"type":"record","name":"` + name + `","namespace":"acc","fields":[{"name":"user_id","type":"string"},{"name":"event_id","type":"string"}` + more +
			`,{"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}}]}`
	}
	return map[string]string{
		"acc/Login.avsc": record("Login", `,{"name":"new_device","type":"boolean"}`), "acc/Mfa.avsc": record("Mfa", ""),
		"acc/Change.avsc":  record("Change", `,{"name":"attribute","type":"string"}`),
		"acc/Payment.avsc": record("Payment", `,{"name":"amount","type":"double"}`),
		"acc/Full.avsc": `{"type":"record","name":"Full","namespace":"acc","fields":[{"name":"user_id","type":"string"},{"name":"event_id","type":"string"},{"name":"correlation_id","type":"string"},
{"name":"causation_id","type":["null","string"],"default":null},{"name":"confidence","type":"double"},{"name":"version","type":{"type":"map","values":"long"}},
{"name":"lineage","type":{"type":"array","items":{"type":"record","name":"LineageStep","fields":[{"name":"rule","type":"string"},{"name":"rule_version","type":"string"},{"name":"domain","type":"string"},{"name":"event_ids","type":{"type":"array","items":"string"}},{"name":"inputs","type":"long","default":0},{"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}}]}}},
{"name":"text","type":["null","string"],"default":null},{"name":"n","type":"long","default":0},{"name":"amount","type":["null","double"],"default":null},{"name":"ids","type":{"type":"array","items":"string"},"default":[]}]}`,
		"acc/Alert.avsc": `{"type":"record","name":"Alert","namespace":"acc","fields":[{"name":"user_id","type":"string"},{"name":"login","type":["null","string"],"default":null},
{"name":"change","type":["null","string"],"default":null},{"name":"payment","type":["null","string"],"default":null},{"name":"n","type":"long","default":0},{"name":"amount","type":["null","double"],"default":null}]}`,
	}
}

// accountRule is a detection over logins, second factors, changes and payments.
func accountRule(t testing.TB, body string) *rules.Rule {
	t.Helper()
	rule, err := load(accountSchemas(), accountStreams, "domain: acc\nrules:\n  - name: r\n    from: {login: acc.logins, mfa: acc.mfa, change: acc.changes, payment: acc.payments}\n    by: user_id\n"+body)
	if err != nil {
		t.Fatal(err)
	}
	return rule
}

// The rules of workload W4.
const (
	takeover = `    detect:
      pattern: login -> change -> payment
      define: {login: login.new_device, change: 'change.attribute == "email"', payment: payment.amount > 500}
      within: 30m
      skip: none
    select: {user_id: key, login: login.event_id, change: change.event_id, payment: payment.event_id, amount: payment.amount}
    to: acc.alerts
`
	directly = `    detect:
      pattern: 'login , change+[,] , payment'
      within: 30m
      skip: none
    select: {user_id: key, login: login.event_id, n: count(change), change: change.event_id, payment: payment.event_id, amount: payment.amount}
    to: acc.alerts
`
	unproven = `    detect:
      pattern: login -> !mfa
      define: {login: login.new_device}
      within: 5m
    select: {user_id: key, login: login.event_id}
    to: acc.alerts
`
)

// acts makes n records of users as workload W4 has them, step ms apart.
func acts(t testing.TB, rule *rules.Rule, n, users int, step int64) []*Event {
	t.Helper()
	code, err := newCodec(rule)
	if err != nil {
		t.Fatal(err)
	}
	events, next := make([]*Event, n), draws()
	for i := range events {
		at := 1_767_225_600_000 + int64(i)*step
		user, id := fmt.Sprintf("u%06d", next(uint64(users))), fmt.Sprintf("%08x-0000-5000-8000-%012x", i, i)
		fields, input := []any{user, id, at}, 0
		switch k := next(100); {
		case k < 30:
			fields = []any{user, id, next(5) == 0, at}
		case k < 45:
			input = 1
		case k < 65:
			input, fields = 2, []any{user, id, [...]string{"email", "phone", "name", "country"}[next(4)], at}
		default:
			input, fields = 3, []any{user, id, someAmount(next), at}
		}
		if events[i], err = code.event(input, fields, schemas.Context{EventID: id, CorrelationID: id, Entity: user, Priority: "standard", Confidence: 1}); err != nil {
			t.Fatal(err)
		}
	}
	return events
}

func BenchmarkDetect(b *testing.B) {
	for _, x := range []struct{ name, body string }{{"w4a", takeover}, {"w4b", directly}, {"w4c", unproven}} {
		b.Run(x.name, func(b *testing.B) {
			rule := accountRule(b, x.body)
			runEngine(b, rule, acts(b, rule, 500_000, 100_000, 5))
		})
	}
}

// BenchmarkWaitingRuns: what an event costs that extends no run must not depend on how many wait; nor what one costs that begins
// one, when the oldest has timed out.
func BenchmarkWaitingRuns(b *testing.B) {
	for _, what := range []string{"nothing", "begins"} {
		for _, waiting := range []int{10, 1000, 100_000} {
			b.Run(fmt.Sprint(what, "/", waiting), func(b *testing.B) {
				rule := accountRule(b, fmt.Sprintf(`    detect:
      pattern: login -> change -> payment
      define: {login: login.new_device, change: 'change.attribute == "email"', payment: payment.amount > 500}
      within: %dms
      skip: none
      max_partial: 1000000
    select: {user_id: key, login: login.event_id}
    to: acc.alerts
`, waiting))
				x, code, at := newEngine(b, rule), must(newCodec(rule)), int64(1_000_000)
				step := func(e *Event) {
					e.Time = at
					if err := x.step(e); err != nil {
						b.Fatal(err)
					}
				}
				begins := must(code.event(0, []any{"u", "e", true, at}, schemas.Context{EventID: "e", Entity: "u", Confidence: 1}))
				other := must(code.event(2, []any{"u", "e", "phone", at}, schemas.Context{EventID: "e", Entity: "u", Confidence: 1}))
				for range waiting - 1 {
					at++
					step(begins)
				}
				b.ReportAllocs()
				for b.Loop() {
					if what == "begins" {
						at++
						step(begins)
					} else {
						step(other)
					}
				}
			})
		}
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
