package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/topologies/kafka"
)

// tailOptions are tail's own flags.
type tailOptions struct {
	from     string
	where    string
	n        int64
	noFollow bool
}

func tailCommand(sh *shell) *cobra.Command {
	var o tailOptions
	c := &cobra.Command{
		Use:   "tail STREAM",
		Short: "Show the records of a stream, decoded",
		Long: `Tail shows committed records of a stream (or of any topic, such as a dead-letter topic) as they come, until Ctrl-C.
--where takes a condition in the rule language; the record is called event.`,
		Example: `  millrace tail risk.signals --from beginning -n 10
  millrace tail risk.signals --where 'event.score > 0.5 && event.factor == "cancellation"'
  millrace tail risk.signals --from 2011-11-08T00:00:00Z --no-follow --output json | jq .value`,
		Args: cobra.ExactArgs(1),
	}
	cfg := bind(sh, c, "connect_timeout", "brokers", "registry", "registry_token", "registry_dir", "rules", "schemas", "app")
	f := c.Flags()
	f.StringVar(&o.from, "from", "end", "beginning, end, an offset, or a time (RFC 3339, or a span back from now as 1h)")
	f.StringVar(&o.where, "where", "", "only records for which this condition holds")
	f.Int64VarP(&o.n, "number", "n", 0, "end after so many records (0: never)")
	f.BoolVar(&o.noFollow, "no-follow", false, "end at the end of the stream")
	output := outputFlag(c, "text", "json")
	c.ValidArgsFunction = completeStreams(cfg)
	c.RunE = func(c *cobra.Command, args []string) error {
		form, err := output()
		if err != nil {
			return err
		}
		if err := cfg.resolve(); err != nil {
			return err
		}
		return tail(c.Context(), sh, cfg, o, args[0], form)
	}
	return c
}

func tail(ctx context.Context, sh *shell, cfg *config, o tailOptions, name, form string) error {
	start, err := parseStart(o.from, time.Now())
	if err != nil {
		return err
	}
	topic, filter, err := tailed(cfg, name, o.where)
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
	from, err := start.offsets(ctx, client, topic)
	if err != nil {
		return err
	}
	if len(from) == 0 {
		return usage("no stream and no topic %q", name)
	}
	v := &viewer{ctx: ctx, registry: r, filter: filter, json: form == "json", out: sh.out}
	seen := int64(0)
	each := func(r *kafka.Record) error {
		if r.Control || start.before(r) {
			return nil
		}
		shown, err := v.show(r)
		if err != nil {
			return err
		}
		if shown {
			seen++
		}
		if o.n > 0 && seen >= o.n {
			return kafka.ErrStop
		}
		return nil
	}
	if o.noFollow {
		to, err := client.StableEnds(ctx, topic)
		if err != nil {
			return err
		}
		err = client.Scan(ctx, from, to, each)
		return errors.Join(err, v.close(sh))
	}
	err = client.Follow(ctx, from, each)
	if err == nil && ctx.Err() != nil && o.n > 0 {
		err = ctx.Err() // fewer than were asked for
	}
	return errors.Join(err, v.close(sh))
}

// tailed finds the topic of a stream, or takes the name as that of a topic, and compiles the condition.
func tailed(cfg *config, name, where string) (topic string, _ *rules.Filter, err error) {
	_, noDir := os.Stat(cfg.rules)
	if noDir != nil && where == "" {
		return name, nil, nil // topics can be read without rules
	}
	set, err := cfg.loadRules()
	if err != nil {
		return "", nil, err
	}
	s := set.Stream(name)
	switch {
	case s != nil && where == "":
		return s.Topic, nil, nil
	case s != nil:
		f, err := rules.CompileFilter("--where", where, s.Schema)
		return s.Topic, f, err
	}
	for _, x := range set.Streams {
		if x.Topic == name {
			return tailed(cfg, x.Name, where)
		}
	}
	if where != "" {
		_, err := findStream(set, name)
		return "", nil, err
	}
	if hint := didYouMean(name, streamNames(set)); hint != "" {
		return "", nil, usage("no stream %q%s", name, hint)
	}
	return name, nil, nil
}

// start is where tail begins.
type start struct {
	at     time.Time
	offset int64
	kind   startKind
}

type startKind uint8

const (
	fromBeginning startKind = iota
	fromEnd
	fromOffset
	fromTime
)

func parseStart(s string, now time.Time) (start, error) {
	switch s {
	case "beginning":
		return start{kind: fromBeginning}, nil
	case "end":
		return start{kind: fromEnd}, nil
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil && n >= 0 {
		return start{kind: fromOffset, offset: n}, nil
	}
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return start{kind: fromTime, at: t}, nil
	}
	if d, err := time.ParseDuration(s); err == nil && d > 0 {
		return start{kind: fromTime, at: now.Add(-d)}, nil
	}
	return start{}, usage("--from %s: use beginning, end, an offset, a time like 2011-11-08T00:00:00Z, or a span like 1h", s)
}

// offsets gives where to begin in each partition.
func (s start) offsets(ctx context.Context, c *kafka.Client, topic string) (kafka.Offsets, error) {
	switch s.kind {
	case fromEnd:
		return c.StableEnds(ctx, topic)
	case fromTime:
		return c.Since(ctx, s.at, topic)
	case fromBeginning, fromOffset:
	}
	out, err := c.Starts(ctx, topic)
	for p, first := range out {
		out[p] = max(first, s.offset)
	}
	return out, err
}

// before says whether a record is older than what was asked for: brokers answer with a whole batch.
func (s start) before(r *kafka.Record) bool { return s.kind == fromTime && r.Timestamp.Before(s.at) }

func (v *viewer) close(sh *shell) error {
	if v.undecoded > 0 && v.filter != nil {
		sh.say("millrace: %s could not be decoded and tested", count(int(v.undecoded), "record"))
	}
	if v.failed > 0 {
		return &exitError{codeFindings, fmt.Errorf("the condition failed for %s, first: %w", count(int(v.failed), "record"), v.failure)}
	}
	return nil
}
