package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"text/tabwriter"

	"github.com/millrace-io/millrace/e2e/realkafka"
)

// contender is a line of the table.
type contender struct {
	engine, guarantee string
}

var contenders = []contender{
	{"sarama", ""}, {"goka", ""}, {"millrace", "at_least_once"}, {"millrace", "exactly_once"},
}

// name of the contender in the table.
func (c contender) name() string {
	if c.guarantee == "" {
		return c.engine
	}
	return c.engine + " " + c.guarantee
}

// compare measures all contenders on both workloads and both brokers and prints the table. Each run is a process of its
// own; the contenders take turns, so that a disturbance of the machine hits them alike.
func compare(ctx context.Context, c config) error {
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "workload\tbroker\tengine\tevents/s (min / median / max)\tx goka\tx sarama\tCPU us/event\tbroker us/event\tpeak MB\toutputs")
	var failures []error
	for _, mode := range []string{"embedded", "kafka"} {
		b, err := startBroker(mode)
		if errors.Is(err, realkafka.ErrMissing) {
			fmt.Fprintln(os.Stderr, "bench: left out:", err)
			continue
		}
		if err != nil {
			return err
		}
		for _, name := range []string{"w1", "count"} {
			failures = append(failures, compareOne(ctx, c, b, mode, name, table))
		}
		b.stop()
	}
	return errors.Join(append(failures, table.Flush())...)
}

// compareOne measures one workload on one broker and writes its lines.
func compareOne(ctx context.Context, c config, b *broker, mode, name string, table *tabwriter.Writer) error {
	c.mode, c.workload, c.brokers, c.brokerPID = mode, name, b.addr, b.pid
	c.input = fmt.Sprintf("bench-%s-%d", name, c.seed)
	if err := load(ctx, c); err != nil {
		return err
	}
	var failures []error
	results := map[contender][]Result{}
	for i := range c.runs {
		for _, who := range contenders {
			if len(results[who]) < i {
				continue // it failed before and would again
			}
			fmt.Fprintf(os.Stderr, "bench: %s on %s, run %d of %d: %s\n", name, mode, i+1, c.runs, who.name())
			r, err := child(ctx, c, who)
			if err != nil {
				failures = append(failures, fmt.Errorf("%s on %s, %s: %w", name, mode, who.name(), err))
				continue
			}
			results[who] = append(results[who], *r)
		}
	}
	rate := func(who contender) float64 {
		if len(results[who]) == 0 {
			return 0
		}
		return median(results[who]).EventsPerSecond
	}
	for _, who := range contenders {
		runs := results[who]
		if len(runs) == 0 {
			continue
		}
		m := median(runs) // also sorts
		million := float64(m.Events) / 1e6
		fmt.Fprintf(table, "%s\t%s\t%s\t%.0f / %.0f / %.0f\t%s\t%s\t%.2f\t%.2f\t%.0f\t%d\n", name, mode, who.name(),
			runs[0].EventsPerSecond, m.EventsPerSecond, runs[len(runs)-1].EventsPerSecond,
			ratio(m.EventsPerSecond, rate(contender{"goka", ""})), ratio(m.EventsPerSecond, rate(contender{"sarama", ""})),
			m.CPUSeconds/million, m.BrokerSeconds/million, m.PeakMB, m.Outputs)
	}
	return errors.Join(failures...)
}

// child measures one contender in a fresh process.
func child(ctx context.Context, c config, who contender) (*Result, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self,
		"-workload", c.workload, "-mode", c.mode, "-engine", who.engine, "-guarantee", cmp.Or(who.guarantee, "at_least_once"),
		"-n", strconv.Itoa(c.n), "-seed", strconv.FormatUint(c.seed, 10), "-partitions", strconv.Itoa(c.partitions),
		"-brokers", c.brokers, "-broker-pid", strconv.Itoa(c.brokerPID), "-input", c.input, "-timeout", c.timeout.String(),
		"-output", "json")
	out, err := cmd.Output()
	if err != nil {
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			return nil, fmt.Errorf("%w: %s", err, bytes.TrimSpace(exit.Stderr))
		}
		return nil, err
	}
	var r Result
	return &r, json.Unmarshal(out, &r)
}

// median sorts results by rate and gives the one in the middle.
func median(results []Result) Result {
	slices.SortFunc(results, func(a, b Result) int { return cmp.Compare(a.EventsPerSecond, b.EventsPerSecond) })
	return results[len(results)/2]
}

func ratio(a, b float64) string {
	if b == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", a/b)
}
