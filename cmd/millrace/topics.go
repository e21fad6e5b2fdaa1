package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/millrace-io/millrace/topologies"
)

func topicsCommand(sh *shell) *cobra.Command {
	c := &cobra.Command{Use: "topics", Short: "The topics that the rules need", Args: cobra.NoArgs}
	c.AddCommand(
		topicsSub(sh, "plan", "Show which topics exist and which are missing (exit code 1 when some are)", false),
		topicsSub(sh, "apply", "Create the topics that are missing", true),
	)
	c.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
	return c
}

func topicsSub(sh *shell, name, short string, apply bool) *cobra.Command {
	c := &cobra.Command{
		Use: name, Short: short, Args: cobra.NoArgs,
		Example: "  millrace topics " + name + " --brokers kafka:9092 --rules rules --partitions 12",
	}
	cfg := bind(sh, c, "connect_timeout", "brokers", "rules", "schemas", "app", "partitions", "replication")
	output := outputFlag(c, "text", "json")
	c.RunE = func(c *cobra.Command, _ []string) error {
		form, err := output()
		if err != nil {
			return err
		}
		if err := cfg.resolve(); err != nil {
			return err
		}
		return topics(c.Context(), sh, cfg, form, apply)
	}
	return c
}

// topicsJSON is the output for programs.
type topicsJSON struct {
	Exist   []topicJSON           `json:"exist"`
	Missing []topologies.Creation `json:"missing,omitempty"`
	Created []topologies.Creation `json:"created,omitempty"`
}

type topicJSON struct {
	Name       string               `json:"name"`
	Kind       topologies.TopicKind `json:"kind"`
	Partitions int32                `json:"partitions"`
}

func topics(ctx context.Context, sh *shell, cfg *config, form string, apply bool) error {
	set, err := cfg.loadRules()
	if err != nil {
		return err
	}
	client, err := cfg.connect(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	plan, have, err := topologies.PlanFor(ctx, client.Kgo(), cfg.app, set, int32(cfg.partitions))
	if err != nil {
		return err
	}
	out := topicsJSON{Exist: []topicJSON{}, Missing: plan.Missing(have, topologies.Options{App: cfg.app})}
	for _, t := range plan.Topics {
		if n := have.Partitions(t.Name); n > 0 {
			out.Exist = append(out.Exist, topicJSON{t.Name, t.Kind, n})
		}
	}
	if apply {
		if err := topologies.Create(ctx, client.Kgo(), out.Missing, int16(cfg.replication)); err != nil {
			return err
		}
		out.Created, out.Missing = out.Missing, nil
	}
	if form == "json" {
		err = sh.json(out)
	} else {
		out.print(sh)
	}
	if err == nil && len(out.Missing) > 0 {
		return findings()
	}
	return err
}

func (o *topicsJSON) print(sh *shell) {
	var rows [][]string
	for _, t := range o.Exist {
		rows = append(rows, []string{"exists", t.Name, string(t.Kind), strconv.Itoa(int(t.Partitions)), ""})
	}
	more := func(state string, cs []topologies.Creation) {
		for _, c := range cs {
			var config []string
			for _, k := range slices.Sorted(maps.Keys(c.Config)) {
				config = append(config, k+"="+c.Config[k])
			}
			rows = append(rows, []string{state, c.Name, string(c.Kind), strconv.Itoa(int(c.Partitions)), strings.Join(config, " ")})
		}
	}
	more("missing", o.Missing)
	more("created", o.Created)
	slices.SortFunc(rows, func(a, b []string) int { return strings.Compare(a[1], b[1]) })
	table(sh.out, []string{"state", "topic", "kind", ">partitions", "configuration"}, rows)
	switch {
	case len(o.Missing) > 0:
		fmt.Fprintf(sh.out, "\n%s missing: millrace topics apply\n", count(len(o.Missing), "topic"))
	case len(o.Created) > 0:
		fmt.Fprintf(sh.out, "\n%s created\n", count(len(o.Created), "topic"))
	default:
		fmt.Fprintln(sh.out, "\nnothing is missing")
	}
}
