package topologies

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/millrace-io/millrace/schemas"
)

// running starts workers and returns a function that stops them and waits.
func (c *cluster) running(os ...Options) (stop func()) {
	c.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, len(os))
	for _, o := range os {
		w, err := NewWorker(ctx, o)
		if err != nil {
			cancel()
			c.t.Fatal(err)
		}
		go func() { done <- w.Run(ctx) }()
	}
	return func() {
		c.t.Helper()
		cancel()
		for range os {
			if err := <-done; err != nil {
				c.t.Error(err)
			}
		}
	}
}

// await polls until f is true.
func (c *cluster) await(what string, f func() bool) {
	c.t.Helper()
	deadline := time.Now().Add(60 * time.Second)
	for !f() {
		if time.Now().After(deadline) {
			for _, s := range c.set.Streams {
				c.t.Logf("%s: %d records", s.Topic, len(c.read(s.Topic)))
			}
			for _, r := range c.read("millrace.web.dead") {
				c.t.Logf("dead: %s %s %s", r.Header(HeaderDeadRule), r.Header(HeaderDeadCode), r.Header(HeaderDeadError))
				break
			}
			c.t.Fatalf("timeout waiting for %s", what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func TestWorker(t *testing.T) {
	for _, guarantee := range []Guarantee{ExactlyOnce, AtLeastOnce} {
		t.Run(string(guarantee), func(t *testing.T) {
			set := webSet(t)
			c := newCluster(t, set, 4)
			const n = 2000
			for i := range n {
				page := any(fmt.Sprintf("p%d", i%7))
				if i%10 == 0 {
					page = nil
				}
				c.produce("web.clicks", fmt.Sprintf("u%d", i%50), 4, fmt.Sprintf("e%d", i), fmt.Sprintf("u%d", i%50), page, float64(i%10), int64(1_700_000_000_000+i))
			}
			if err := c.client.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			o := c.options("w0")
			o.Guarantee = guarantee
			stop := c.running(o)
			c.await("all counts", func() bool {
				return len(c.read("web.counts")) >= n && len(c.read("web.big")) >= n*4/10 && len(c.read("web.bypage")) >= n*9/10
			})
			stop()
			if got := len(c.read("web.big")); got != n*4/10 {
				t.Errorf("big: %d records, want %d", got, n*4/10)
			}
			last := map[string]int64{}
			for _, r := range c.read("web.counts") {
				_, body, err := schemas.Frame(r.Value)
				if err != nil {
					t.Fatal(err)
				}
				m, err := set.Stream("web.counts").Schema.DecodeAny(body)
				if err != nil {
					t.Fatal(err)
				}
				if got := m["n"].(int64); got != last[string(r.Key)]+1 {
					t.Fatalf("count of %s is %d after %d", r.Key, got, last[string(r.Key)])
				}
				last[string(r.Key)]++
			}
			if len(last) != 50 || last["u7"] != n/50 {
				t.Errorf("%d users, u7 counted %d", len(last), last["u7"])
			}
			if got := len(c.read("millrace.web.dead")); got != 0 {
				t.Errorf("%d dead letters", got)
			}
		})
	}
}
