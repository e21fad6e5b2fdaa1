//go:build unix

package chaos

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/millrace-io/millrace/e2e/realkafka"
	"github.com/millrace-io/millrace/topologies"
)

var latency = flag.Bool("latency", false, "measure the latency of one hop on a real Kafka")

// TestLatency holds what one hop takes at 1,000 events a second on a real Kafka, of an otherwise idle machine.
func TestLatency(t *testing.T) {
	if !*latency {
		t.Skip("-latency measures")
	}
	worker := buildWorker(t, "")
	for _, c := range []struct {
		guarantee topologies.Guarantee
		p50, p99  time.Duration
	}{
		{topologies.ExactlyOnce, 15 * time.Millisecond, 50 * time.Millisecond},
		{topologies.AtLeastOnce, 5 * time.Millisecond, 20 * time.Millisecond},
	} {
		for name, stream := range map[string]string{"pass": streamPassed, "tally": streamTallies, "the event itself": streamEvents} {
			t.Run(fmt.Sprintf("%s/%s", c.guarantee, name), func(t *testing.T) {
				rule := name
				if stream == streamEvents {
					rule = "pass"
				}
				r := Run{
					Name: t.Name(), Backend: Kafka, Guarantee: c.guarantee, Rules: rule, Seed: theSeed(), Rate: 1000, Worker: worker,
					Dir: t.TempDir(), Logf: t.Logf, Schedule: Schedule{Workers: 1, Session: 6 * time.Second},
				}
				if keep := os.Getenv("MILLRACE_CHAOS_DIR"); keep != "" {
					r.Dir = filepath.Join(keep, "latency", string(c.guarantee)+"-"+rule)
				}
				q, err := r.Latency(t.Context(), stream, 10*time.Second, 20*time.Second)
				switch {
				case errors.Is(err, realkafka.ErrMissing) && os.Getenv("CI") != "true":
					t.Skip(err)
				case err != nil:
					t.Fatal(err)
				}
				t.Log(q)
				if stream != streamEvents && (q.P50 > c.p50 || q.P99 > c.p99) {
					t.Errorf("p50 %v and p99 %v: wanted at most %v and %v", q.P50, q.P99, c.p50, c.p99)
				}
			})
		}
	}
}
