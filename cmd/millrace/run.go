package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"strconv"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"github.com/spf13/cobra"

	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/schemas/registry"
	"github.com/millrace-io/millrace/topologies"
)

func runCommand(sh *shell) *cobra.Command {
	c := &cobra.Command{
		Use:   "run",
		Short: "Run the rules on a Kafka of your own",
		Long: `Run works until it is asked to stop (SIGTERM, Ctrl-C): it then finishes what is in flight, commits and leaves its groups.
A second signal ends it at once.

Each option can be given as a flag, as a variable (--brokers is MILLRACE_BROKERS), or in millrace.yaml (brokers: …), in
that order of strength. MILLRACE_…_FILE names a file that holds the value.`,
		Example: `  millrace run --brokers kafka-1:9092,kafka-2:9092 --registry http://registry:8081 --rules rules --state /var/lib/millrace
  millrace run --print-config`,
		Args: cobra.NoArgs,
	}
	cfg := bind(sh, c, "connect_timeout", "brokers", "registry", "registry_token", "registry_dir", "rules", "schemas", "app", "instance", "guarantee",
		"state", "http", "advertise", "register", "replication", "commit_interval", "session_timeout", "time", "pace", "wait_for_writers", "log_format", "log_level")
	show := c.Flags().Bool("print-config", false, "print every option with where it comes from, and end")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if err := cfg.resolve(); err != nil {
			return err
		}
		if *show {
			cfg.print(sh.out)
			return nil
		}
		return run(c.Context(), sh, cfg)
	}
	return c
}

func run(ctx context.Context, sh *shell, cfg *config) error {
	set, err := cfg.loadRules()
	if err != nil {
		return err
	}
	state, err := cfg.stateDir()
	if err != nil {
		return err
	}
	logger := sh.logger(cfg.logFormat, cfg.logLevel).With("app", cfg.app, "instance", cfg.instance)
	if limit, err := memlimit.Set(); err == nil && limit < math.MaxInt64 {
		logger.Info("memory limit", "bytes", limit)
	}
	client, err := cfg.connect(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	schemas, err := cfg.openRegistry(ctx)
	if err != nil {
		return err
	}
	if cfg.register {
		if err := registerOutputs(ctx, schemas, set); err != nil {
			return err
		}
	}
	w := newWeb(cfg.app, cfg.guarantee, set, client)
	l, err := cfg.listen(ctx)
	if err != nil {
		return err
	}
	if l != nil {
		defer l.Close() // the server has closed it before, if there is one
	}
	options := topologies.Options{
		App: cfg.app, Brokers: cfg.brokers, Instance: cfg.instance, Set: set, Registry: schemas,
		Guarantee: topologies.Guarantee(cfg.guarantee), StateDir: state, MaxCommitInterval: cfg.commit, SessionTimeout: cfg.session,
		Time: topologies.TimeMode(cfg.time), Pace: cfg.pace, WaitForWriters: cfg.writers,
		Replication: int16(cfg.replication), WallClock: cfg.time == string(topologies.TimeLive), Logger: logger, Metrics: w.registerer(cfg.instance),
		Address: cfg.reachableAt(l),
	}
	if err := options.Validate(); err != nil {
		return &exitError{codeUsage, err}
	}
	worker, err := topologies.NewWorker(ctx, options)
	if err != nil {
		return cfg.advice(err)
	}
	w.join(cfg.instance, worker)
	if l != nil {
		defer w.serve(l)()
		logger.Info("page, metrics and health", "address", l.Addr().String())
	}
	logger.Info("start", "rules", len(set.Rules), "streams", len(set.Streams), "checksum", set.Checksum, "guarantee", cfg.guarantee)
	if err := worker.Run(ctx); err != nil {
		return err
	}
	if ctx.Err() == nil {
		return errors.New("the worker ended by itself")
	}
	logger.Info("stopped")
	return nil
}

// listen opens the port of the web server; nil without one.
func (c *config) listen(ctx context.Context) (net.Listener, error) {
	if c.http == "" {
		return nil, nil
	}
	l, err := listen(ctx, c.http, httpPort)
	if err != nil {
		return nil, fmt.Errorf("http: %w", err)
	}
	return l, nil
}

// reachableAt is where other workers reach the web server: at the host's name, if it listens at every address. "" is nowhere.
func (c *config) reachableAt(l net.Listener) string {
	switch {
	case c.advertise != "" || l == nil:
		return c.advertise
	default:
		host, err := os.Hostname()
		if a, ok := l.Addr().(*net.TCPAddr); ok && a.IP.IsUnspecified() && err == nil {
			return net.JoinHostPort(host, strconv.Itoa(a.Port))
		}
		return reachable(l.Addr())
	}
}

// registerOutputs registers the schemas of the streams that rules write.
func registerOutputs(ctx context.Context, r *registry.Client, set *rules.Set) error {
	for _, s := range set.Streams {
		if s.Source {
			continue
		}
		if _, err := schemaID(ctx, r, s, true); err != nil {
			return err
		}
	}
	return nil
}
