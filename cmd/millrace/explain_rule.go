package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/pflag"

	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/topologies/lineage"
)

// replayOptions are the flags of explain --rule.
type replayOptions struct {
	rule, key string
	whyNot    bool
	from, to  string
}

func (o *replayOptions) flags(f *pflag.FlagSet) {
	f.StringVar(&o.rule, "rule", "", "show what this rule (domain.name) does with the records of --key")
	f.StringVar(&o.key, "key", "", "the key: what `by` of the rule gives")
	f.BoolVar(&o.whyNot, "why-not", false, "with --rule: say which condition does not hold, and what it reads")
	f.StringVar(&o.from, "from", "", "with --rule: only records of this event time or later (RFC 3339, or a span back from now as 1h)")
	f.StringVar(&o.to, "to", "", "with --rule: only records of an event time before this")
}

// check looks at whether the flags go together.
func (o *replayOptions) check(args int) error {
	switch {
	case o.rule == "" && (o.key != "" || o.whyNot || o.from != "" || o.to != ""):
		return usage("--key, --why-not, --from and --to go with --rule")
	case o.rule == "" && args == 0:
		return usage("name an event id, or --rule and --key")
	case o.rule != "" && args > 0:
		return usage("either an event id or --rule")
	case o.rule != "" && o.key == "":
		return usage("--rule needs --key: whose records it is to take")
	}
	return nil
}

// bound reads a bound of event times, the zero time for none.
func bound(flag, s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t, nil
	}
	if d, err := time.ParseDuration(s); err == nil && d > 0 {
		return now.Add(-d), nil
	}
	return time.Time{}, usage("%s %s: use a time like 2011-11-08T00:00:00Z, or a span like 1h", flag, s)
}

// explainRule shows what a rule does with the records of a key.
func explainRule(ctx context.Context, sh *shell, cfg *config, o explainOptions, form string) error {
	now := time.Now()
	from, err := bound("--from", o.replay.from, now)
	if err != nil {
		return err
	}
	to, err := bound("--to", o.replay.to, now)
	if err != nil {
		return err
	}
	if o.records < 1 {
		return usage("--records must not be below 1")
	}
	set, err := cfg.loadRules()
	if err != nil {
		return err
	}
	rule, err := findRule(set, o.replay.rule)
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
	answer, err := lineage.Replay(ctx, lineage.ReplayOptions{
		Client: client, Registry: r, Rules: set, Rule: rule, Key: o.replay.key, From: from, To: to, Records: o.records,
	})
	if _, none := errors.AsType[*lineage.NoRecordError](err); none {
		return &exitError{codeFindings, err}
	}
	if err != nil {
		return err
	}
	p := &replayPrinter{lineagePrinter{out: sh.out, dir: cfg.rules, fields: o.fields}, rule, o.replay.whyNot}
	if form == "json" {
		return sh.json(p.json(answer))
	}
	return p.print(answer)
}

// findRule finds a rule by its domain and name.
func findRule(set *rules.Set, id string) (*rules.Rule, error) {
	if r := set.Rule(id); r != nil {
		return r, nil
	}
	var names []string
	for _, r := range set.Rules {
		names = append(names, r.ID)
	}
	return nil, usage("--rule %s: no such rule is enabled%s", id, didYouMean(id, names))
}
