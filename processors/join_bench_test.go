package processors

import (
	"fmt"
	"testing"

	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/schemas"
)

const (
	moveSchema = `{"type":"record","name":"Move","namespace":"risk","fields":[{"name":"user_id","type":"string"},{"name":"country","type":"string"},{"name":"score","type":"double"},
{"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}}]}`
	signalSchema = `{"type":"record","name":"Signal","namespace":"risk","fields":[{"name":"user_id","type":"string"},{"name":"country","type":["null","string"],"default":null},{"name":"amount","type":["null","double"],"default":null}]}`
	moveStreams  = `domain: risk
streams:
  moves: {topic: risk.moves, schema: risk.Move, key: user_id, time: at, out_of_order: 5s}
  payments: {topic: risk.payments, schema: pay.Payment, key: user_id, time: at, out_of_order: 5s}
  signals: {topic: risk.signals, schema: risk.Signal, key: user_id}
`
)

// movedThenSpent is a join of moves and payments.
func movedThenSpent(t testing.TB, join, where string) *rules.Rule {
	t.Helper()
	rule, err := load(map[string]string{"risk/Move.avsc": moveSchema, "pay/Payment.avsc": paymentSchema, "risk/Signal.avsc": signalSchema}, moveStreams,
		"domain: risk\nrules:\n  - name: r\n    from: {m: risk.moves, p: risk.payments}\n    by: user_id\n    join: "+join+"\n    where: "+where+
			"\n    select:\n      user_id: key\n      country: m.country\n      amount: p?.amount\n    to: risk.signals\n")
	if err != nil {
		t.Fatal(err)
	}
	return rule
}

// movesAndPayments makes n records of users, half of each stream, step ms apart, one in five up to 5 s late; of the amounts one in
// 20 is above 500. Their contexts are those of records without context fields.
func movesAndPayments(t testing.TB, rule *rules.Rule, n, users int, step float64) []*Event {
	t.Helper()
	code, err := newCodec(rule)
	if err != nil {
		t.Fatal(err)
	}
	events := make([]*Event, n)
	next := draws()
	for i := range events {
		at := behindTime(next, i, step)
		user, input := fmt.Sprintf("u%06d", next(uint64(users))), int(next(2))
		fields := []any{user, "NO", float64(next(100)) / 100, at}
		if input == 1 {
			fields = []any{user, someAmount(next), at}
		}
		id := schemas.InputID("topic", 0, int64(i))
		if events[i], err = code.event(input, fields, schemas.Context{EventID: id, CorrelationID: id, Entity: user, Confidence: 1}); err != nil {
			t.Fatal(err)
		}
	}
	return events
}

// BenchmarkJoin: 100 000 users, a window of half an hour; matches are few, or as many as events.
func BenchmarkJoin(b *testing.B) {
	for _, c := range []struct {
		name, join, where string
		users             int
	}{
		{"inner", "{within: {after: 30m}}", "p.amount > 500 && m.score > 0.9 * p.amount / 500", 100_000},
		{"inner,all", "{within: {after: 30m}}", "m.score > p.amount", 100_000},
		{"left", "{type: left, within: {after: 30m}}", "p.amount > 500", 100_000},
		{"inner,crowded", "{within: {after: 30m}}", "p.amount > 500 && m.score > p.amount", 100},
	} {
		b.Run(c.name, func(b *testing.B) {
			rule := movedThenSpent(b, c.join, c.where)
			runEngine(b, rule, movesAndPayments(b, rule, 500_000, c.users, 2))
		})
	}
}
