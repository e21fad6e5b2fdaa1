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
