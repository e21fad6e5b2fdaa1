package main

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/millrace-io/millrace/topologies/lineage"
)

// explainOptions are explain's own flags.
type explainOptions struct {
	depth   int
	inputs  int
	records int64
	fields  string
	replay  replayOptions
}

// mostEvents bounds the tree of events.
const mostEvents = 1000

func explainCommand(sh *shell) *cobra.Command {
	var o explainOptions
	c := &cobra.Command{
		Use:   "explain EVENT_ID | explain --rule RULE --key KEY",
		Short: "Show what an event was made of, or what a rule does with the records of a key",
		Long: `Explain shows which rule made an event, of which records, what those were made of, and so on back to the source records, by
reading the topics of the rules. It also finds dead letters, late records, and records without an id of their own.

Of the inputs of a rule the fields are shown that the rule reads; of an aggregate's inputs the first, the last, and as many of those
between as --inputs says, found among the records of its key and time.

With --rule and --key it has the rule take the records of the key once more, in memory, and shows what each of them does: to each run
of a detection, with --why-not also why it was not taken, and which run came furthest; for other rules, whether "where" holds.
The records between --from and --to are taken, those that came late as if they had not.`,
		Example: `  millrace explain b5caa1c5-c917-588a-8cee-07dd8c279714
  millrace explain b5caa1c5-c917-588a-8cee-07dd8c279714 --depth 1 --fields amount,country
  millrace explain b5caa1c5-c917-588a-8cee-07dd8c279714 --output json | jq .event.made.rule
  millrace explain --rule risk.takeover --key 17733 --why-not --from 2011-11-01T00:00:00Z`,
		Args: cobra.MaximumNArgs(1),
	}
	cfg := bind(sh, c, "connect_timeout", "brokers", "registry", "registry_token", "registry_dir", "rules", "schemas", "app")
	f := c.Flags()
	f.IntVar(&o.depth, "depth", 0, "how many rules back (0: to the source records)")
	f.IntVar(&o.inputs, "inputs", 5, "how many inputs of an aggregate to show")
	f.Int64Var(&o.records, "records", 10_000_000, "how many records to read at most")
	f.StringVar(&o.fields, "fields", fieldsRead, "which fields to show: read (by the rule), own, all (with the context fields), none, or names")
	o.replay.flags(f)
	output := outputFlag(c, "text", "json")
	c.RunE = func(c *cobra.Command, args []string) error {
		form, err := output()
		if err != nil {
			return err
		}
		if err := o.replay.check(len(args)); err != nil {
			return err
		}
		if err := cfg.resolve(); err != nil {
			return err
		}
		if o.replay.rule != "" {
			return explainRule(c.Context(), sh, cfg, o, form)
		}
		return explain(c.Context(), sh, cfg, o, args[0], form)
	}
	return c
}

func explain(ctx context.Context, sh *shell, cfg *config, o explainOptions, id, form string) error {
	if o.depth < 0 || o.inputs < 2 || o.records < 1 {
		return usage("--depth must not be below 0, --inputs not below 2, --records not below 1")
	}
	set, err := cfg.loadRules()
	if err != nil {
		return err
	}
	client, err := cfg.connect(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	r, err := cfg.openRegistry(ctx)
	if err != nil {
		return err
	}
	answer, err := lineage.Explain(ctx, strings.TrimSpace(id), lineage.Options{
		Client: client, Registry: r, Rules: set, App: cfg.app, Depth: o.depth, Inputs: o.inputs, Events: mostEvents, Records: o.records,
	})
	if _, none := errors.AsType[*lineage.NotFoundError](err); none {
		return &exitError{codeFindings, err}
	}
	if err != nil {
		return err
	}
	p := &lineagePrinter{out: sh.out, dir: cfg.rules, fields: o.fields}
	if form == "json" {
		return sh.json(p.json(answer))
	}
	return p.print(answer)
}

// The values of --fields that are no names.
const (
	fieldsRead = "read"
	fieldsOwn  = "own"
	fieldsAll  = "all"
	fieldsNone = "none"
)

// shown are the fields of an event that --fields asks for.
func (p *lineagePrinter) shown(e *lineage.Event) []lineage.Field {
	named := strings.Split(p.fields, ",")
	var out []lineage.Field
	for _, f := range e.Fields {
		ok := slices.Contains(named, f.Name)
		switch p.fields {
		case fieldsAll:
			ok = true
		case fieldsOwn:
			ok = !f.Context
		case fieldsNone:
			ok = false
		case fieldsRead:
			ok = e.Reads == nil && !f.Context || reads(e.Reads, f.Name)
		}
		if ok {
			out = append(out, f)
		}
	}
	return out
}

// reads reports whether one of the paths leads to the field or into it.
func reads(paths []string, field string) bool {
	return slices.ContainsFunc(paths, func(path string) bool {
		first, _, _ := strings.Cut(path, ".")
		return first == field
	})
}
