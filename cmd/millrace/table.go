package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/millrace-io/millrace/topologies"
)

func tableCommand(sh *shell) *cobra.Command {
	c := &cobra.Command{Use: "table", Short: "Read the tables of a worker that runs", Args: cobra.NoArgs}
	c.AddCommand(tableGetCommand(sh), tableListCommand(sh))
	c.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
	return c
}

func tableGetCommand(sh *shell) *cobra.Command {
	c := &cobra.Command{
		Use:   "get TABLE KEY",
		Short: "Show the row of a key (exit code 1 when there is none)",
		Long: `Get asks a worker for the row of a key in a table, as the rules see it now. Any worker will do: it asks the one that has the
row. The exit code is 1 when there is no row, and 3 when nobody can say.`,
		Example: `  millrace table get inventory.catalogue 85123A
  millrace table get inventory.catalogue 85123A --http worker-1:8080 --output json | jq .value.price`,
		Args: cobra.ExactArgs(2),
	}
	worker, output := workerFlag(sh, c), outputFlag(c, "text", "json")
	c.RunE = func(c *cobra.Command, args []string) error {
		form, err := output()
		if err != nil {
			return err
		}
		address, err := worker()
		if err != nil {
			return err
		}
		if args[0] == "" || args[1] == "" {
			return usage("name a table and a key")
		}
		return tableGet(c.Context(), sh, address, args[0], args[1], form)
	}
	return c
}

func tableListCommand(sh *shell) *cobra.Command {
	c := &cobra.Command{
		Use:     "list",
		Short:   "List the tables, and where their rows are",
		Example: `  millrace table list --http worker-1:8080`,
		Args:    cobra.NoArgs,
	}
	worker, output := workerFlag(sh, c), outputFlag(c, "text", "json")
	c.RunE = func(c *cobra.Command, _ []string) error {
		form, err := output()
		if err != nil {
			return err
		}
		address, err := worker()
		if err != nil {
			return err
		}
		return tableList(c.Context(), sh, address, form)
	}
	return c
}

// workerFlag adds --http, which names the worker to ask: where `run` and `dev` listen, unless it says something else.
func workerFlag(sh *shell, c *cobra.Command) func() (string, error) {
	cfg := bind(sh, c, "http")
	c.Flags().Lookup("http").Usage = "address of a worker's http"
	return func() (string, error) {
		if err := cfg.resolve(); err != nil {
			return "", err
		}
		host, port, err := net.SplitHostPort(strings.TrimSuffix(strings.TrimPrefix(cfg.http, "http://"), "/"))
		if err != nil || port == "" || strings.ContainsAny(cfg.http, "@?#") {
			return "", usage("--http %s: want host:port", cfg.http)
		}
		if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
			host = "127.0.0.1"
		}
		return net.JoinHostPort(host, port), nil
	}
}

func tableGet(ctx context.Context, sh *shell, address, table, key, form string) error {
	ctx, cancel := context.WithTimeout(ctx, 4*tableTimeout)
	defer cancel()
	a, status, err := getRow(ctx, address, table, key, false)
	switch {
	case err != nil:
		return noWorker(address, err)
	case status == http.StatusOK && a.Found && form == "json":
		return sh.json(a)
	case status == http.StatusOK && a.Found:
		a.print(sh)
		return nil
	case a.Code == codeNoRow:
		return &exitError{codeFindings, fmt.Errorf("%s", a.Error)}
	case a.Code == codeNoTable:
		return usage("%s", a.Error)
	case a.Error != "":
		return &exitError{codeEnvironment, fmt.Errorf("%s", a.Error)}
	}
	return noWorker(address, fmt.Errorf("it answers %d %s", status, http.StatusText(status)))
}

func (a *tableJSON) print(sh *shell) {
	age := "unknown"
	if a.Age != nil {
		age = (time.Duration(*a.Age) * time.Millisecond).String()
	}
	where := a.Worker
	if a.Partition != nil {
		where += ", partition " + strconv.Itoa(int(*a.Partition))
	}
	table(sh.out, []string{"", ""}, [][]string{
		{"value", string(a.Value)}, {"occurred at", a.OccurredAt}, {"age", age}, {"event id", a.EventID}, {"worker", where},
	})
}

func tableList(ctx context.Context, sh *shell, address, form string) error {
	ctx, cancel := context.WithTimeout(ctx, 4*tableTimeout)
	defer cancel()
	out := []topologies.TableStatus{}
	status, err := getJSON(ctx, address, "/api/tables", false, &out)
	switch {
	case err != nil:
		return noWorker(address, err)
	case status != http.StatusOK:
		return noWorker(address, fmt.Errorf("it answers %d %s", status, http.StatusText(status)))
	case form == "json":
		return sh.json(out)
	case len(out) == 0:
		sh.say("no stream is declared as a table")
		return nil
	}
	rows := make([][]string, len(out))
	for i, t := range out {
		rows[i] = []string{t.Name, t.Key, fmt.Sprintf("%d of %d", len(t.Here), t.Partitions), t.Group}
	}
	table(sh.out, []string{"table", "key", ">partitions here", "group"}, rows)
	return nil
}

func noWorker(address string, err error) error {
	return &exitError{codeEnvironment, fmt.Errorf("no worker answers at %s: %w", address, err)}
}
