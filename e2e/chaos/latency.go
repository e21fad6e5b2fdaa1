//go:build unix

package chaos

import (
	"context"
	"fmt"
	"os/exec"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/schemas"
)

// Latency is how long events take from the producer's send to a read_committed reader of what was derived from them.
type Latency struct {
	Run
	Events             int
	P50, P95, P99, Max time.Duration
}

// Latency measures the run's rule, whose output goes to the stream, for a while, after as long a warm-up as it takes
// processes and connections. Nothing is killed.
func (c Run) Latency(ctx context.Context, stream string, warm, measure time.Duration) (*Latency, error) {
	b, err := startBroker(c.Backend, c.Nodes, c.KafkaDir)
	if err != nil {
		return nil, err
	}
	defer b.close()
	proxy, err := NewProxy(b.addrs, 0)
	if err != nil {
		return nil, err
	}
	defer proxy.Close()
	x := &execution{Run: c, broker: b, proxy: proxy, ledger: NewLedger(), out: &Outcome{Run: c}}
	if err := x.prepare(ctx); err != nil {
		return nil, err
	}
	defer x.kafka.Close()
	defer x.log.Close()
	defer x.end()
	p, err := startProcess(0, x.log, func() *exec.Cmd { return x.commandTo(0, b.addrs) })
	if err != nil {
		return nil, err
	}
	x.workers = append(x.workers, p)

	var mu sync.Mutex
	sent := map[string]time.Time{}
	var took []time.Duration
	var failed error
	from := time.Now().Add(warm)
	x.load.sent = func(e *Event, at time.Time) {
		mu.Lock()
		defer mu.Unlock()
		sent[identity(e.Account, e.Seq)] = at
	}
	s := x.live.set.Stream(stream)
	see := func(r *kgo.Record) {
		now := time.Now()
		_, body, err := schemas.Frame(r.Value)
		if err == nil {
			var m map[string]any
			if m, err = s.Schema.DecodeAny(body); err == nil {
				mu.Lock()
				defer mu.Unlock()
				id := fmt.Sprintf("%v/%v", m["account"], m["seq"])
				if at := sent[id]; at.After(from) {
					took = append(took, now.Sub(at))
				}
				delete(sent, id)
				return
			}
		}
		failed = err
	}
	ctx, cancel := context.WithTimeout(ctx, warm+measure+2*time.Second)
	defer cancel()
	var wg sync.WaitGroup
	var following error
	wg.Go(func() { following = follow(ctx, b.addrs, []string{stream}, see) })
	loading, stop := context.WithTimeout(ctx, warm+measure)
	defer stop()
	if err := x.load.run(loading, b.addrs); err != nil {
		return nil, err
	}
	wg.Wait()
	if following != nil {
		return nil, following
	}
	if failed != nil || len(took) == 0 {
		return nil, fmt.Errorf("no output could be measured: %w\n%s", failed, x.logTail())
	}
	slices.Sort(took)
	n := len(took)
	return &Latency{Run: c, Events: n, P50: took[n/2], P95: took[n*95/100], P99: took[n*99/100], Max: took[n-1]}, nil
}
