package processors

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/schemas"
)

const (
	paymentSchema = `{"type":"record","name":"Payment","namespace":"pay","fields":[{"name":"user_id","type":"string"},{"name":"amount","type":"double"},
{"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}}]}`
	spendSchema = `{"type":"record","name":"Spend","namespace":"pay","fields":[{"name":"user_id","type":"string"},{"name":"n","type":"long","default":0},
{"name":"sum","type":["null","double"],"default":null},{"name":"avg","type":["null","double"],"default":null},{"name":"most","type":["null","double"],"default":null},
{"name":"deviation","type":["null","double"],"default":null},
{"name":"window_start","type":{"type":"long","logicalType":"timestamp-millis"}},{"name":"window_end","type":{"type":"long","logicalType":"timestamp-millis"}}]}`
	payStreams = `domain: pay
streams:
  payments: {topic: pay.payments, schema: pay.Payment, key: user_id, time: at, out_of_order: 5s}
  spend: {topic: pay.spend, schema: pay.Spend, key: user_id}
`
	spendSelect = `    select: {user_id: key, n: count(), sum: sum(p.amount), avg: avg(p.amount), window_start: window.start, window_end: window.end}
    having: sum(p.amount) > 1000
    to: pay.spend
`
)

// spendRule is a rule over payments.
func spendRule(t testing.TB, body string) *rules.Rule {
	t.Helper()
	rule, err := load(map[string]string{"pay/Payment.avsc": paymentSchema, "pay/Spend.avsc": spendSchema}, payStreams,
		"domain: pay\nrules:\n  - name: r\n    from: {p: pay.payments}\n    by: p.user_id\n"+body)
	if err != nil {
		t.Fatal(err)
	}
	return rule
}

// payments makes n payments of users in turn, step ms apart, one in five up to 5 s late; 1 in 20 is large.
func payments(t testing.TB, rule *rules.Rule, n, users int, step float64) []*Event {
	t.Helper()
	code, err := newCodec(rule)
	if err != nil {
		t.Fatal(err)
	}
	events := make([]*Event, n)
	next := draws()
	for i := range events {
		at := behindTime(next, i, step)
		amount := someAmount(next)
		user := fmt.Sprintf("u%06d", next(uint64(users)))
		if events[i], err = code.event(0, []any{user, amount, at}, schemas.Context{Entity: user}); err != nil {
			t.Fatal(err)
		}
	}
	return events
}

// draws gives numbers below n, the same ones every time.
func draws() func(n uint64) int64 {
	random := uint64(1)
	return func(n uint64) int64 {
		random = mix(random + 0x9e3779b97f4a7c15)
		return int64(random % n)
	}
}

// behindTime is the event time of record i, step ms after the one before; one in five is up to 5 s late.
func behindTime(next func(uint64) int64, i int, step float64) int64 {
	at := 1_767_225_600_000 + int64(float64(i)*step)
	if next(5) == 0 {
		at -= next(5000)
	}
	return at
}

// someAmount is above 500 once in 20 times.
func someAmount(next func(uint64) int64) float64 {
	amount := float64(next(400)) / 4
	if next(20) == 0 {
		amount += 500
	}
	return amount
}

// engine runs a rule as the runtime does, without writing anything.
type engine struct {
	op      Operator
	timed   Timed
	task    *Task
	rows    map[string]*Row
	key     []byte
	result  Result
	outputs int
	fired   int
	latest  int64
	written int // bytes of changed cells, if counted
	count   bool
}

func newEngine(t testing.TB, rule *rules.Rule) *engine {
	op, err := New(rule)
	if err != nil {
		t.Fatal(err)
	}
	timed, _ := op.(Timed)
	return &engine{op: op, timed: timed, task: NewTask(op, slices.Repeat([]bool{true}, len(rule.Inputs))), rows: map[string]*Row{}}
}

// Row implements State.
func (x *engine) Row(entity, cell string) (*Row, error) {
	x.key = append(append(append(append(x.key[:0], entity...), 0), 'r', 0), cell...)
	row := x.rows[string(x.key)]
	if row == nil {
		row = &Row{Key: string(x.key)}
		x.rows[row.Key] = row
	}
	return row, nil
}

func (x *engine) step(e *Event) error {
	if at := e.Time - 5000; at > x.latest {
		x.latest = at
		if err := x.advance(at); err != nil {
			return err
		}
	}
	e.Clock = x.task.Clock()
	x.result.Reset()
	if err := x.op.Step(x, e, &x.result); err != nil {
		return err
	}
	x.apply()
	return nil
}

func (x *engine) advance(at int64) error {
	for i := range x.op.Rule().Inputs {
		x.task.SetTime(i, at)
	}
	var due Due
	for x.task.Next(&due) {
		x.result.Reset()
		if err := x.timed.Fire(x, due.Row, due.At, &x.result); err != nil {
			return err
		}
		x.apply()
		x.task.FiredRow(due.Row, due.At)
		x.fired++
	}
	return nil
}

func (x *engine) apply() {
	for i := range x.result.Changes {
		x.result.Changes[i].Apply()
	}
	x.task.Applied(x.result.Changes)
	x.outputs += len(x.result.Outputs)
	if x.count {
		for _, c := range x.result.Changes {
			if c.Kept {
				continue
			}
			x.written += len(c.Row.Key)
			if c.Row.Value != nil {
				x.written += len(c.Row.Value.Append(nil))
			}
		}
	}
}

func runEngine(b *testing.B, rule *rules.Rule, events []*Event) {
	b.ReportAllocs()
	x := newEngine(b, rule)
	span := events[len(events)-1].Time - events[0].Time + 60_000
	span -= span % 60_000
	i := 0
	for b.Loop() {
		if err := x.step(events[i]); err != nil {
			b.Fatal(err)
		}
		events[i].Time += span // the same again, later
		if i++; i == len(events) {
			i = 0
		}
	}
	b.ReportMetric(float64(x.outputs)/float64(b.N), "results/op")
	b.ReportMetric(float64(x.fired)/float64(b.N), "closings/op")
}

// BenchmarkSpend is workload W2: many users, most with one payment in a slice.
func BenchmarkSpend(b *testing.B) {
	for _, window := range []string{"{size: 5m}", "{size: 5m, hop: 1m}"} {
		b.Run(strings.NewReplacer(": ", "=", " ", "").Replace(window), func(b *testing.B) {
			rule := spendRule(b, "    window: "+window+"\n"+spendSelect)
			runEngine(b, rule, payments(b, rule, 500_000, 100_000, 2))
		})
	}
}

// BenchmarkHopping: a window hopping 60 times must not cost much more than a tumbling one.
func BenchmarkHopping(b *testing.B) {
	for _, window := range []string{"{size: 60s}", "{size: 60s, hop: 12s}", "{size: 60s, hop: 1s}"} {
		for _, more := range []string{"", "most: max(p.amount), "} {
			b.Run(strings.NewReplacer(": ", "=", " ", "").Replace(window)+"/"+strings.TrimSuffix(more, ": max(p.amount), "), func(b *testing.B) {
				rule := spendRule(b, "    window: "+window+"\n"+strings.NewReplacer("sum: sum", more+"sum: sum", "> 1000", "> 1000000").Replace(spendSelect))
				runEngine(b, rule, payments(b, rule, 200_000, 100, 1))
			})
		}
	}
}

// BenchmarkOpenWindows: what an event costs must not depend on how many windows its key has open.
func BenchmarkOpenWindows(b *testing.B) {
	for _, emit := range []string{"final", "changes"} {
		for _, open := range []int{10, 100, 1000, 10_000} {
			b.Run(fmt.Sprintf("%s/%d", emit, open), func(b *testing.B) {
				size, body := 1, spendSelect
				if emit == "final" { // one window after the other stays open for late records
					body = fmt.Sprintf("    lateness: %ds\n", open) + spendSelect
				}
				rule := spendRule(b, fmt.Sprintf("    window: {size: %ds}\n    emit: %s\n", size, emit)+body)
				if emit == "changes" {
					rule.Lateness = int64(open) * 1000
				}
				events := payments(b, rule, 100_000, 1, 250)
				b.ReportAllocs()
				x := newEngine(b, rule)
				i, warm := 0, 4*open
				one := func() {
					if err := x.step(events[i]); err != nil {
						b.Fatal(err)
					}
					events[i].Time += 100_000 * 250
					if i++; i == len(events) {
						i = 0
					}
				}
				for range warm {
					one()
				}
				x.count = true
				for b.Loop() {
					one()
				}
				b.ReportMetric(float64(x.written)/float64(b.N), "written-B/op")
			})
		}
	}
}
