package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/topologies"
)

func schemasCommand(sh *shell) *cobra.Command {
	c := &cobra.Command{Use: "schemas", Short: "The schemas of the streams, and of the registry", Args: cobra.NoArgs}
	c.AddCommand(schemasList(sh), schemasRegister(sh))
	c.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
	return c
}

// subjectJSON is a registered schema.
type subjectJSON struct {
	Subject string `json:"subject"`
	ID      int32  `json:"id"`
	Name    string `json:"name"`             // of the record
	Stream  string `json:"stream,omitempty"` // whose values it is of
}

func schemasList(sh *shell) *cobra.Command {
	c := &cobra.Command{Use: "list", Short: "List the registry's subjects with their newest schemas", Args: cobra.NoArgs}
	cfg := bind(sh, c, "connect_timeout", "registry", "registry_token", "registry_dir")
	output := outputFlag(c, "text", "json")
	c.RunE = func(c *cobra.Command, _ []string) error {
		form, err := output()
		if err != nil {
			return err
		}
		if err := cfg.resolve(); err != nil {
			return err
		}
		ctx := c.Context()
		r, err := cfg.openRegistry(ctx)
		if err != nil {
			return err
		}
		subjects, err := r.Subjects(ctx)
		if err != nil {
			return err
		}
		out := []subjectJSON{}
		for _, s := range subjects {
			schema, id, err := r.Latest(ctx, s)
			if err != nil {
				sh.say("millrace: %s: %v", s, err)
				continue
			}
			out = append(out, subjectJSON{Subject: s, ID: id, Name: schema.Name()})
		}
		return printSubjects(sh, form, out)
	}
	return c
}

func schemasRegister(sh *shell) *cobra.Command {
	c := &cobra.Command{
		Use:   "register [STREAM...]",
		Short: "Register the schemas of streams (default: all)",
		Example: `  millrace schemas register --registry http://registry:8081
  millrace schemas register risk.signals`,
	}
	cfg := bind(sh, c, "connect_timeout", "registry", "registry_token", "rules", "schemas", "app")
	output := outputFlag(c, "text", "json")
	c.ValidArgsFunction = completeStreams(cfg)
	c.RunE = func(c *cobra.Command, names []string) error {
		form, err := output()
		if err != nil {
			return err
		}
		if err := cfg.resolve(); err != nil {
			return err
		}
		return register(c.Context(), sh, cfg, form, names)
	}
	return c
}

func register(ctx context.Context, sh *shell, cfg *config, form string, names []string) error {
	set, err := cfg.loadRules()
	if err != nil {
		return err
	}
	streams := set.Streams
	if len(names) > 0 {
		streams = make([]*rules.Stream, len(names))
		for i, n := range names {
			if streams[i], err = findStream(set, n); err != nil {
				return err
			}
		}
	}
	r, err := cfg.openRegistry(ctx)
	if err != nil {
		return err
	}
	out := []subjectJSON{}
	for _, s := range streams {
		id, err := r.Register(ctx, topologies.Subject(s), s.Schema.String())
		if err != nil {
			return fmt.Errorf("schema of %s: %w", s.Name, err)
		}
		out = append(out, subjectJSON{topologies.Subject(s), id, s.Schema.Name(), s.Name})
	}
	return printSubjects(sh, form, out)
}

func printSubjects(sh *shell, form string, subjects []subjectJSON) error {
	if form == "json" {
		return sh.json(subjects)
	}
	rows := make([][]string, len(subjects))
	for i, s := range subjects {
		rows[i] = []string{strconv.Itoa(int(s.ID)), s.Subject, s.Name}
	}
	table(sh.out, []string{">id", "subject", "schema"}, rows)
	return nil
}
