package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"time"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"github.com/spf13/cobra"

	"github.com/millrace-io/millrace/processors"
	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/topologies"
)

// devOptions are the flags of dev. Unlike those of run they come from the command line alone: a configuration for a
// real cluster must not change what an experiment does.
type devOptions struct {
	rules      string
	schemas    []string
	feeds      []string
	input      string
	once       bool
	pace       string
	played     pace // what pace says
	state      string
	workers    int
	partitions int
	guarantee  string
	kafka      string
	registry   string
	http       string
	app        string
	logLevel   string
}

func devCommand(sh *shell) *cobra.Command {
	var o devOptions
	c := &cobra.Command{
		Use:   "dev",
		Short: "Everything in one process: broker, registry, feeds, worker, page",
		Long: `Dev starts an embedded Kafka broker and schema registry that any client can use, creates the topics of the rules'
streams, plays the feeds into them and runs the rules. With --once it ends when all input is processed, and prints what
is in the streams. With --state a later dev goes on where this one ended, and plays no event twice.`,
		Example: `  millrace dev --rules rules --feed testdata/retail/feed.yaml
  millrace dev --rules rules --feed testdata/retail/feed.yaml --once --output json
  millrace dev --rules rules --feed testdata/retail/feed.yaml --pace 3600x --state /tmp/millrace`,
		Args: cobra.NoArgs,
	}
	f := c.Flags()
	f.StringVar(&o.rules, "rules", "rules", "directory with the rules")
	f.StringSliceVar(&o.schemas, "schemas", nil, "further directories with Avro schemas")
	f.StringArrayVar(&o.feeds, "feed", nil, "feed file to play; may be given several times")
	f.StringVar(&o.input, "input", "", "file to play in place of the one that the feed names")
	f.BoolVar(&o.once, "once", false, "end when all input is processed, and print a summary")
	f.StringVar(&o.pace, "pace", "max", "how fast feeds are played, by event time: max, realtime, or 60x")
	f.StringVar(&o.state, "state", "", "directory that broker, registry and tables are kept in (default: in memory)")
	f.IntVar(&o.workers, "workers", 1, "number of workers")
	f.IntVar(&o.partitions, "partitions", 4, "partitions of streams that don't say")
	f.StringVar(&o.guarantee, "guarantee", string(topologies.ExactlyOnce), "exactly_once or at_least_once")
	f.StringVar(&o.kafka, "kafka", "", "address of the broker (default: 127.0.0.1:9092, or another port if that is taken)")
	f.StringVar(&o.registry, "registry", "", "address of the registry (default: 127.0.0.1:8081, or another port)")
	f.StringVar(&o.http, "http", "", "address of page, metrics and health (default: 127.0.0.1:8080, or another port)")
	f.StringVar(&o.app, "app", "millrace", "prefix of groups, internal topics and transactional ids")
	f.StringVar(&o.logLevel, "log-level", "warn", "debug, info, warn or error")
	output := outputFlag(c, "text", "json")
	c.RunE = func(c *cobra.Command, _ []string) error {
		form, err := output()
		if err != nil {
			return err
		}
		err = dev(c.Context(), sh, o, form)
		if !o.once && errors.Is(err, context.Canceled) {
			return nil // Ctrl-C is how it ends
		}
		return err
	}
	return c
}

// check finds out what is wrong before anything is started.
func (o *devOptions) check() (pace, error) {
	var guarantee, level_ string
	switch p, err := parsePace(o.pace); {
	case err != nil:
		return 0, err
	case o.workers < 1 || o.workers > 64:
		return 0, usage("--workers %d: use 1 to 64", o.workers)
	case o.partitions < 1 || o.partitions > 1000:
		return 0, usage("--partitions %d: use 1 to 1000", o.partitions)
	case o.input != "" && len(o.feeds) != 1:
		return 0, usage("--input takes the place of a feed's file: give exactly one --feed")
	default:
		if err := oneOf(&guarantee, string(topologies.ExactlyOnce), string(topologies.AtLeastOnce))(o.guarantee); err != nil {
			return 0, usage("--guarantee %w", err)
		}
		if err := level(&level_)(o.logLevel); err != nil {
			return 0, usage("--log-level %w", err)
		}
		return p, nil
	}
}

func dev(ctx context.Context, sh *shell, o devOptions, form string) (err error) {
	if o.played, err = o.check(); err != nil {
		return err
	}
	set, err := loadRules(o.rules, o.app, o.schemas...)
	if err != nil {
		return err
	}
	feeds, err := loadFeeds(o.feeds, o.input, set)
	if err != nil {
		return err
	}
	defer closeFeeds(feeds)
	logger := sh.logger(logText, o.logLevel)
	if _, err := memlimit.Set(); err != nil {
		logger.Debug("no memory limit", "reason", err)
	}
	e, err := startEmbedded(ctx, o, set, logger)
	if err != nil {
		return err
	}
	defer func() {
		if e := e.close(); err == nil {
			err = e
		}
	}()
	team, err := startTeam(ctx, o, e, set, logger)
	if err != nil {
		return err
	}
	defer team.stop()
	l, err := listen(ctx, o.http, httpPort)
	if err != nil {
		return fmt.Errorf("http: %w", err)
	}
	defer team.web.serve(l)()
	p := &player{client: e.client, app: o.app, pace: o.played, ids: e.ids, feeds: feeds}
	s := &session{sh: sh, options: o, embedded: e, team: team, player: p, set: set, page: "http://" + reachable(l.Addr())}
	if o.once {
		return s.once(ctx, form)
	}
	return s.stay(ctx, form)
}

func loadFeeds(paths []string, input string, set *rules.Set) ([]*openFeed, error) {
	var out []*openFeed
	for _, p := range paths {
		f, err := loadFeed(p, input, set)
		if err != nil {
			closeFeeds(out)
			return nil, err
		}
		out = append(out, f)
	}
	return out, nil
}

func closeFeeds(feeds []*openFeed) {
	for _, f := range feeds {
		f.data.Close() //nolint:errcheck // it was only read
	}
}

// session is a dev that has started.
type session struct {
	sh       *shell
	options  devOptions
	embedded *embedded
	team     *team
	player   *player
	set      *rules.Set
	page     string
}

// process plays the feeds and waits until everything is processed, with a bar on a terminal.
func (s *session) process(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	b := newBar(s.sh)
	defer b.clear()
	played := make(chan error, 1)
	go func() { played <- s.player.play(ctx) }()
	tick := time.NewTicker(barInterval)
	defer tick.Stop()
	for playing := true; playing; {
		select {
		case err := <-played:
			if err != nil {
				return err
			}
			playing = false
		case err := <-s.team.ended:
			cancel(err)
			<-played //nolint:errcheck // it ends by the cancellation, whose cause is returned
			return err
		case <-tick.C:
			share, n := s.player.progress()
			b.draw(share, thousands(n)+" events")
		}
	}
	_, n := s.player.progress()
	d := newDrain(s.embedded.client, s.team.plan())
	if s.options.once {
		s.team.reach(processors.Ended)
		d.done = s.team.done
	} else if last := s.player.last.Load(); last > 0 {
		s.team.reach(last + 1) // else partitions whose last event is older would hold the others back
	}
	return d.wait(ctx, func(left backlog) {
		b.draw(1, fmt.Sprintf("%s events, %s records to go", thousands(n), thousands(left.records)))
	}, s.team.trouble)
}

// once processes everything and prints what came out.
func (s *session) once(ctx context.Context, form string) error {
	begin := time.Now()
	if err := s.process(ctx); err != nil {
		return err
	}
	took := time.Since(begin)
	sum, err := summarize(ctx, s.embedded.client, s.set, s.team.plan())
	if err != nil {
		return err
	}
	s.team.stop()
	for _, m := range s.team.web.all() {
		sum.add(m.worker.Rules())
	}
	sum.Guarantee, sum.Seconds = s.options.guarantee, took.Round(time.Millisecond).Seconds()
	if took > 0 {
		sum.EventsPerSecond = float64(int64(float64(s.player.sent.Load()) / took.Seconds()))
	}
	if form == "json" {
		err = s.sh.json(sum)
	} else {
		sum.print(s.sh)
	}
	if err != nil {
		return err
	}
	return s.player.report(s.sh)
}

// time is what moves event time: bounded input ends, and everything pending comes out.
func (o *devOptions) time() topologies.TimeMode {
	if o.once {
		return topologies.TimeEvents
	}
	return topologies.TimeLive
}

// addresses are where the parts of dev are.
type addressesJSON struct {
	Kafka    string `json:"kafka"`
	Registry string `json:"registry"`
	HTTP     string `json:"http"`
}

// stay plays the feeds and runs until it is interrupted, which is a good end.
func (s *session) stay(ctx context.Context, form string) error {
	if form == "json" {
		if err := s.sh.json(addressesJSON{s.embedded.broker.address, s.embedded.registry.url, s.page}); err != nil {
			return err
		}
	} else {
		s.greet()
	}
	err := s.process(ctx)
	if ctx.Err() != nil {
		return nil //nolint:nilerr // Ctrl-C is how this command ends
	}
	if err != nil {
		return err
	}
	bad := s.player.report(s.sh)
	if len(s.player.feeds) > 0 {
		if bad != nil {
			s.sh.say("millrace: %v", bad)
		}
		s.sh.say("%s events were played, all are processed; still running, Ctrl-C ends it", thousands(s.player.sent.Load()))
	}
	select {
	case <-ctx.Done():
		return bad
	case err := <-s.team.ended:
		return err
	}
}

// greet says where everything is.
func (s *session) greet() {
	e := s.embedded
	stream := ""
	for _, x := range s.set.Streams {
		if stream == "" || !x.Source {
			stream = x.Name
		}
		if !x.Source {
			break
		}
	}
	rows := [][]string{{"broker", e.broker.address}, {"registry", e.registry.url}, {"page", s.page}}
	table(s.sh.out, []string{"", ""}, rows)
	if stream != "" {
		fmt.Fprintf(s.sh.out, "watch     millrace tail %s --rules %s --brokers %s --registry %s\n", stream, quote(s.options.rules), e.broker.address, e.registry.url)
	}
}

// quote makes a path fit for a shell.
func quote(s string) string {
	for _, r := range s {
		if ('a' > r || r > 'z') && ('A' > r || r > 'Z') && ('0' > r || r > '9') && r != '/' && r != '.' && r != '-' && r != '_' && r != ':' && r != ',' {
			return strconv.Quote(s)
		}
	}
	return s
}

// statePath is a path below --state, "" without one.
func (o *devOptions) statePath(parts ...string) (string, error) {
	if o.state == "" {
		return "", nil
	}
	dir, err := filepath.Abs(o.state)
	return filepath.Join(append([]string{dir}, parts...)...), err
}
