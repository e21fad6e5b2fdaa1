package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/schemas/registry"
	"github.com/millrace-io/millrace/topologies"
	"github.com/millrace-io/millrace/topologies/kafka"
)

// connect reaches the brokers. The caller closes the client.
func (c *config) connect(ctx context.Context) (*kafka.Client, error) {
	return kafka.Connect(ctx, c.brokers, c.app, c.patience)
}

// openRegistry reaches the registry, or reads the directory in its place.
func (c *config) openRegistry(ctx context.Context) (*registry.Client, error) {
	o := registry.Options{URL: c.registry, Token: c.registryToken, Attempts: 2}
	if c.registryDir != "" {
		o = registry.Options{Dir: c.registryDir}
	}
	r, err := registry.New(o)
	if err != nil {
		return nil, &exitError{codeUsage, err}
	}
	within, cancel := context.WithTimeout(ctx, c.patience)
	defer cancel()
	if _, err := r.Subjects(within); err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		where := c.registryDir
		if u, e := url.Parse(c.registry); where == "" && e == nil {
			where = u.Redacted()
		}
		return nil, &exitError{codeEnvironment, fmt.Errorf("no schema registry answers at %s: %w", where, err)}
	}
	return r, nil
}

// loadRules reads the rules that the options name.
func (c *config) loadRules() (*rules.Set, error) {
	return loadRules(c.rules, c.app, c.schemas...)
}

// stateDir is the absolute path of the state, "" for none.
func (c *config) stateDir() (string, error) {
	if c.state == "" {
		return "", nil
	}
	return filepath.Abs(c.state)
}

// stream finds a declared stream.
func findStream(set *rules.Set, name string) (*rules.Stream, error) {
	if s := set.Stream(name); s != nil {
		return s, nil
	}
	return nil, usage("no stream %q%s", name, didYouMean(name, streamNames(set)))
}

func streamNames(set *rules.Set) []string {
	out := make([]string, len(set.Streams))
	for i, s := range set.Streams {
		out[i] = s.Name
	}
	return out
}

// completeStreams offers the names of streams for the first argument.
func completeStreams(cfg *config) cobra.CompletionFunc {
	return func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveDefault
		}
		if err := cfg.resolve(); err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		set, err := cfg.loadRules()
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		return streamNames(set), cobra.ShellCompDirectiveNoFileComp
	}
}

// schemaID looks a stream's schema up, or registers it.
func schemaID(ctx context.Context, r *registry.Client, s *rules.Stream, register bool) (int32, error) {
	subject := topologies.Subject(s)
	id, err := r.Lookup(ctx, subject, s.Schema.String())
	if register && errors.Is(err, registry.ErrNotFound) {
		id, err = r.Register(ctx, subject, s.Schema.String())
	}
	if errors.Is(err, registry.ErrNotFound) {
		return 0, &exitError{codeEnvironment, &topologies.SchemaError{Subjects: []string{subject}}}
	}
	if err != nil {
		return 0, fmt.Errorf("schema of %s: %w", s.Name, err)
	}
	return id, nil
}

// advice puts the command that helps, with the options in use, behind an error that topologies knows.
func (c *config) advice(err error) error {
	var missing *topologies.MissingError
	var unregistered *topologies.SchemaError
	switch {
	case errors.As(err, &missing):
		return &exitError{codeEnvironment, fmt.Errorf("%w\n  millrace topics apply%s", err, c.inUse("brokers", "rules", "schemas", "app"))}
	case errors.As(err, &unregistered):
		return &exitError{codeEnvironment, fmt.Errorf("%w\n  millrace schemas register%s", err, c.inUse("registry", "rules", "schemas", "app"))}
	}
	return err
}

// inUse repeats options as flags, unless they have their defaults.
func (c *config) inUse(keys ...string) string {
	var with strings.Builder
	for _, key := range keys {
		if v, ok := c.from[key]; ok && v.origin != "default" {
			text := v.text
			if u, e := url.Parse(text); e == nil && u.User != nil {
				text = u.Redacted()
			}
			with.WriteString(" --" + key + " " + quote(text))
		}
	}
	return with.String()
}
