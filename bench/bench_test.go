package main

import (
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
)

// TestMeasure: what is measured is right, also for the baselines.
func TestMeasure(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	for _, name := range []string{"w1", "count"} {
		for _, engine := range []string{"goka", "sarama"} {
			t.Run(name+" "+engine, func(t *testing.T) {
				r, err := measure(t.Context(), config{
					workload: name, engine: engine, mode: "embedded", n: 5000, seed: 42, partitions: 8,
					brokers: strings.Join(cluster.ListenAddrs(), ","), timeout: time.Minute,
				})
				if err != nil {
					t.Fatal(err)
				}
				if r.Outputs == 0 || r.Seconds <= 0 || r.CPUSeconds <= 0 || r.PeakMB <= 0 {
					t.Errorf("%+v", r)
				}
				if (r.Checksum == "") != (engine == "sarama") {
					t.Errorf("checksum %q", r.Checksum)
				}
			})
		}
	}
}

// TestInProcess: the engine alone is right for any seed, and nothing of windows that have closed is left.
func TestInProcess(t *testing.T) {
	for _, name := range []string{"w1", "w2", "w3", "w4a", "w4b", "w4c", "count"} {
		for _, seed := range []uint64{1, 7919, 1 << 40} {
			n := 20_000
			if name == "w4a" { // logins that lead to nothing come first
				n = 100_000
			}
			r, err := measure(t.Context(), config{workload: name, mode: "engine", engine: "millrace", n: n, seed: seed})
			if err != nil {
				t.Fatalf("%s, seed %d: %v", name, seed, err)
			}
			if r.Outputs == 0 || r.Checksum == "" {
				t.Errorf("%s, seed %d: %+v", name, seed, r)
			}
		}
	}
}

// TestCurves: what an event writes to the changelog does not grow with what its key has open or buffered, nor with the
// number of keys, and windows that have closed leave nothing.
func TestCurves(t *testing.T) {
	for _, c := range curves() {
		if len(c.points) < 4 {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			var first *cost
			for _, x := range c.points[:3] {
				got, err := c.make(x).measure(1, 5000, 1)
				if err != nil {
					t.Fatal(err)
				}
				if first == nil {
					first = got
				}
				t.Logf("%d: %.0f ns, %.0f bytes an event, %d outputs", x, got.ns, got.bytes, got.outputs)
				if got.bytes == 0 || got.bytes > 2*first.bytes {
					t.Errorf("%d: %.0f bytes an event; %.0f bytes at %d", x, got.bytes, first.bytes, c.points[0])
				}
				if closes := !strings.Contains(c.make(x).rule, "unbounded"); got.cells > 0 && closes {
					t.Errorf("%d: %d cells are left", x, got.cells)
				}
			}
		})
	}
}

func TestFlags(t *testing.T) {
	if _, err := parse([]string{"-workload", "w1", "-mode", "engine", "-n", "10", "-seed", "7", "-output", "json"}); err != nil {
		t.Error(err)
	}
	_, err := parse([]string{"-workload", "w9", "-engine", "none", "-n", "0"})
	if err == nil {
		t.Fatal("faulty flags are accepted")
	}
	for _, part := range []string{"-workload w9", "-engine none", "-n, "} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q is not named in %q", part, err)
		}
	}
}
