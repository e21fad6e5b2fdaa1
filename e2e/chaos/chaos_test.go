//go:build unix

package chaos

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/millrace-io/millrace/e2e/realkafka"
	"github.com/millrace-io/millrace/topologies"
)

var seed = flag.Uint64("seed", 0, "repeats the load and the faults of a run; 0 = by the clock")

// rate is what two cores carry beside the broker.
const rate = 400

func theSeed() uint64 {
	if *seed == 0 {
		*seed = uint64(time.Now().UnixNano()) % 1_000_000
	}
	return *seed
}

// buildWorker builds the worker once per test.
func buildWorker(t *testing.T, tags string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "worker")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-tags", tags, "-o", path, "./worker").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}

// do carries a run out and prints what it has shown.
func do(t *testing.T, r Run) *Outcome {
	t.Helper()
	r.Seed, r.Name, r.Logf, r.Dir = theSeed(), t.Name(), t.Logf, t.TempDir()
	if keep := os.Getenv("MILLRACE_CHAOS_DIR"); keep != "" {
		r.Dir = filepath.Join(keep, strings.ReplaceAll(t.Name(), "/", "-"))
		if err := os.RemoveAll(r.Dir); err != nil {
			t.Fatal(err)
		}
		r.KafkaDir = filepath.Join(r.Dir, "kafka")
	}
	if r.Drain == 0 {
		r.Drain = time.Minute
	}
	start := time.Now()
	out, err := r.Do(t.Context())
	switch {
	case errors.Is(err, realkafka.ErrMissing) && os.Getenv("CI") != "true":
		t.Skip(err)
	case err != nil:
		t.Fatalf("seed %d: %v", r.Seed, err)
	}
	t.Logf("seed %d, %v: %v", r.Seed, time.Since(start).Round(time.Second), &out.Report)
	t.Logf("%d kills, %d freezes, %d crashes, %d late EndTxn, %d lost answers, %d other ends; drained after %v; recovery p50 %v p95 %v max %v of %d",
		out.Kills, out.Freezes, out.Crashes, out.Late, out.LostAnswers, out.Exits, out.Drained.Round(time.Millisecond),
		out.P50.Round(time.Millisecond), out.P95.Round(time.Millisecond), out.Max.Round(time.Millisecond), out.Measured)
	for i, n := range out.Notes {
		if i < 5 || r.Mutant == "" {
			t.Log(n)
		}
	}
	return out
}

// sound fails the test if the run shows damage or something that was not shown.
func sound(t *testing.T, out *Outcome) {
	t.Helper()
	if out.Damaged() {
		t.Errorf("seed %d: damage", out.Seed)
	}
	if out.Stuck {
		t.Errorf("seed %d: not everything was processed in time", out.Seed)
	}
	if out.LateEvery > 0 && out.Late == 0 {
		t.Error("no EndTxn was late")
	}
}

// TestSmoke is a short run without Kafka, for every build.
func TestSmoke(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	sound(t, do(t, Run{
		Backend: Embedded, Guarantee: topologies.ExactlyOnce, Rate: 200, LateEvery: 10, Worker: buildWorker(t, ""),
		Schedule: Schedule{Workers: 2, Kills: 4, Freezes: 1, Gap: time.Second, Session: 2 * time.Second},
	}))
}

func TestChaos(t *testing.T) {
	if os.Getenv("MILLRACE_CHAOS") == "" {
		t.Skip("`make chaos` runs this")
	}
	t.Logf("seed %d: -seed %[1]d repeats load and faults", theSeed())
	var outs []*Outcome
	worker := buildWorker(t, "")
	for _, r := range []Run{
		{Name: "embedded", Backend: Embedded, Guarantee: topologies.ExactlyOnce, Schedule: Schedule{Kills: 100, Freezes: 12}},
		{Name: "embedded", Backend: Embedded, Guarantee: topologies.AtLeastOnce, Schedule: Schedule{Kills: 30, Freezes: 5}},
		{Name: "kafka", Backend: Kafka, Guarantee: topologies.ExactlyOnce, Schedule: Schedule{Kills: 100, Freezes: 12}},
		{Name: "kafka", Backend: Kafka, Guarantee: topologies.AtLeastOnce, Schedule: Schedule{Kills: 30, Freezes: 5}},
		// Three nodes, of which two are always there. After a crash of all replicas, Kafka 4.3.1 was seen to call a
		// transaction committed whose markers it had not written, which no client can make good.
		{Name: "crashes", Backend: Kafka, Nodes: 3, Guarantee: topologies.ExactlyOnce, Schedule: Schedule{Kills: 15, Freezes: 3, Nodes: 3, Crashes: 4, Gap: 2 * time.Second}},
	} {
		t.Run(r.Name+"/"+string(r.Guarantee), func(t *testing.T) {
			r.Rate, r.Burst, r.LateEvery, r.Worker = rate, rate, 10, worker
			s := &r.Schedule
			s.Workers, s.Session, s.Down = 3, 2*time.Second, 2*time.Second
			if s.Gap == 0 {
				s.Gap = 1100 * time.Millisecond
			}
			out := do(t, r)
			outs = append(outs, out)
			sound(t, out)
			if s.Crashes == 0 && (out.P50 > 2*time.Second || out.Measured == 0) {
				t.Errorf("median time from a kill to the next output is %v of %d", out.P50, out.Measured)
			}
		})
	}
	t.Log("\n" + table(outs))
}

// TestChaosMutants shows that the harness would notice if a defence did not work.
func TestChaosMutants(t *testing.T) {
	if os.Getenv("MILLRACE_CHAOS") == "" {
		t.Skip("`make chaos` runs this")
	}
	var outs []*Outcome
	worker := buildWorker(t, "faults")
	for _, c := range []struct {
		backend Backend
		mutant  string
	}{{Embedded, "barrier"}, {Embedded, "fencing"}, {Embedded, "endtxn"}, {Kafka, "endtxn"}} {
		m := c.mutant
		t.Run(string(c.backend)+"/"+m, func(t *testing.T) {
			r := Run{
				Backend: c.backend, Guarantee: topologies.ExactlyOnce, Mutant: m, Rate: rate, Burst: rate, Worker: worker, Drain: 20 * time.Second,
				Schedule: Schedule{Workers: 3, Kills: 25, Gap: time.Second, Session: 2 * time.Second},
			}
			switch m {
			case "fencing":
				r.Schedule.Kills, r.Schedule.Freezes = 5, 8
			case "endtxn":
				r.Schedule.Kills, r.LateEvery = 5, 10
				if c.backend == Kafka { // which ends fewer transactions in the same time
					r.LateEvery, r.Schedule.Gap = 4, 5*time.Second
				}
			}
			out := do(t, r)
			outs = append(outs, out)
			if !out.Damaged() {
				t.Errorf("seed %d: nobody notices that %s is missing", out.Seed, m)
			}
		})
	}
	t.Log("\n" + table(outs))
}

// table puts the outcomes one below the other.
func table(outs []*Outcome) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "run\tinputs\tkills\tzombies\tbroker crashes\tlate EndTxn\tlost\tdoubled\twrong\trepeated\trecovery p50\t")
	for _, o := range outs {
		name := o.Name[strings.Index(o.Name, "/")+1:]
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%v\t\n", name, o.Inputs, o.Kills, o.Freezes, o.Crashes, o.Late,
			o.Lost, o.Doubled, o.Wrong, o.Repeated, o.P50.Round(time.Millisecond))
	}
	if err := w.Flush(); err != nil {
		return err.Error()
	}
	return b.String()
}
