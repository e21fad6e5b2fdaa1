//go:build unix

package e2e_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/e2e/fraud"
	"github.com/millrace-io/millrace/e2e/retail"
)

// frauds is the scenario of a seed; seed 1 is the one in testdata.
func frauds(t *testing.T, seed uint64) *month {
	t.Helper()
	s := fraud.Generate(seed)
	m := &month{
		rules: "testdata/fraud/rules", feed: "testdata/fraud/feed.yaml",
		sources: []string{"account.logins", "account.factors", "account.changes", "account.payments"},
		rows:    len(s.Rows), end: s.Rows[len(s.Rows)-1].At + 1, want: map[string][]retail.Record{},
	}
	for _, a := range s.Alerts() {
		fields := map[string]any{"account": a.Account, "device": a.Device, "login_at": a.LoginAt, "occurred_at": a.At}
		stream := "fraud.unconfirmed"
		if a.Rule == fraud.Takeover {
			stream = "fraud.takeovers"
			fields["field"], fields["payments"], fields["total"] = a.Field, a.Payments, a.Total
		}
		m.want[stream] = append(m.want[stream], retail.Record{Key: a.Account, Fields: fields})
	}
	if seed == 1 {
		return m
	}
	var file bytes.Buffer
	if err := s.WriteRows(&file); err != nil {
		t.Fatal(err)
	}
	m.input = filepath.Join(t.TempDir(), "activity.csv")
	if err := os.WriteFile(m.input, file.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return m
}

// Everything planted is found, and nothing else, with any number of workers and partitions and under both guarantees.
func TestFrauds(t *testing.T) {
	sameAnswers(t, frauds(t, 1), []setting{
		{1, 4, "exactly_once"},
		{2, 12, "at_least_once"},
	})
}

// The same when the events come bit by bit and a worker is killed after each: by turns when it has told what is due, and while
// it reads.
func (j job) bitByBit(t *testing.T, s servers, m *month, sources []*kgo.Record, first *answers) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	r := j.prepare(t, s, m)
	r.startWorkers(t)
	for i := range j.kills {
		from, to := len(sources)*i/(j.kills+1), len(sources)*(i+1)/(j.kills+1)
		r.workers[i%j.workers].ready(t)
		r.give(ctx, t, sources[from:to])
		if i%2 == 0 { // half a day before the last event so far, every partition is past what is due
			due := m.dueBy(sources[to-1].Timestamp.Add(-12 * time.Hour).UnixMilli())
			if err := r.until(ctx, func() bool { return r.answers.derived() >= due }); err != nil {
				t.Fatalf("after %d kills, %d of %d alerts: %v", i, r.answers.derived(), due, err)
			}
		}
		r.restart(t, i)
	}
	r.give(ctx, t, sources[len(sources)*j.kills/(j.kills+1):])
	r.finish(ctx, t, first)
}

// dueBy is how many alerts there are with event times until at.
func (m *month) dueBy(at int64) (n int) {
	for _, records := range m.want {
		for _, r := range records {
			if r.Fields["occurred_at"].(int64) <= at {
				n++
			}
		}
	}
	return n
}

func killedFrauds(t *testing.T, seed uint64, s func(*testing.T) servers, jobs ...job) {
	m := frauds(t, seed)
	first, sources := played(t, m)
	for _, j := range jobs {
		t.Run(fmt.Sprintf("seed %d, %v", seed, j), func(t *testing.T) { j.bitByBit(t, s(t), m, sources, first) })
	}
}

func TestFraudsKilled(t *testing.T) {
	killedFrauds(t, 2, embeddedServers, job{2, 4, "exactly_once", 6}, job{2, 4, "at_least_once", 6})
}

func TestFraudsRealKafka(t *testing.T) {
	long(t)
	killedFrauds(t, 1, realServers, job{2, 4, "exactly_once", 6}, job{2, 4, "at_least_once", 4})
	killedFrauds(t, 3, realServers, job{3, 8, "exactly_once", 6})
}
