//go:build unix

package chaos

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/schemas"
)

// Quantiles of durations.
type Quantiles struct {
	N                  int
	P50, P95, P99, Max time.Duration
}

func quantiles(ds []time.Duration) Quantiles {
	slices.Sort(ds)
	n := len(ds)
	if n == 0 {
		return Quantiles{}
	}
	return Quantiles{n, ds[n/2], ds[n*95/100], ds[n*99/100], ds[n-1]}
}

func (q Quantiles) String() string {
	ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	return fmt.Sprintf("p50 %.1f ms, p95 %.1f ms, p99 %.1f ms, max %.1f ms of %d", ms(q.P50), ms(q.P95), ms(q.P99), ms(q.Max), q.N)
}

// Latency measures how long events take from the producer's send to a read_committed reader of the stream, which holds
// what the run's rule derives from them, or the events themselves: what the broker and this machine take. It measures
// for a while, after as long a warm-up as it takes processes and connections. Nothing is killed.
func (c Run) Latency(ctx context.Context, stream string, warm, measure time.Duration) (q Quantiles, err error) {
	b, err := startBroker(c.Backend, c.Nodes, c.KafkaDir)
	if err != nil {
		return q, err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	proxy, err := NewProxy(b.addrs, 0)
	if err != nil {
		return q, err
	}
	defer proxy.Close()
	x := &execution{Run: c, broker: b, proxy: proxy, ledger: NewLedger(), out: &Outcome{Run: c}}
	if err := x.prepare(ctx); err != nil {
		return q, err
	}
	defer x.kafka.Close()
	defer x.log.Close()
	defer func() { err = errors.Join(err, x.end()) }()
	p, err := startProcess(0, x.log, func() *exec.Cmd { return x.commandTo(0, b.addrs) })
	if err != nil {
		return q, err
	}
	x.workers = append(x.workers, p)

	var mu sync.Mutex
	sent := map[string]time.Time{}
	took := map[string][]time.Duration{}
	var failed error
	from := time.Now().Add(warm)
	x.load.sent = func(e *Event, at time.Time) {
		mu.Lock()
		defer mu.Unlock()
		sent[identity(e.Account, e.Seq)] = at
	}
	see := func(r *kgo.Record) {
		now := time.Now()
		_, body, err := schemas.Frame(r.Value)
		if err != nil && r.Topic == streamEvents {
			return // poison
		}
		var m map[string]any
		if err == nil {
			m, err = x.live.set.Stream(r.Topic).Schema.DecodeAny(body)
		}
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			if r.Topic != streamEvents {
				failed = err
			}
			return
		}
		if at := sent[fmt.Sprintf("%v/%v", m["account"], m["seq"])]; at.After(from) {
			took[r.Topic] = append(took[r.Topic], now.Sub(at))
		}
	}
	ctx, cancel := context.WithTimeout(ctx, warm+measure+2*time.Second)
	defer cancel()
	var wg sync.WaitGroup
	var following error
	wg.Go(func() { following = follow(ctx, b.addrs, []string{stream}, see) })
	loading, stop := context.WithTimeout(ctx, warm+measure)
	defer stop()
	if err := x.load.run(loading, b.addrs); err != nil {
		return q, err
	}
	wg.Wait()
	if following != nil {
		return q, following
	}
	if failed != nil || len(took[stream]) == 0 {
		return q, fmt.Errorf("no output could be measured: %w\n%s", failed, x.logTail())
	}
	return quantiles(took[stream]), nil
}
