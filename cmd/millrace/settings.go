package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/millrace-io/millrace/topologies"
)

const (
	logText = "text"
	logJSON = "json"
)

// options are what a flag, an environment variable or millrace.yaml can say. Where each value comes from is config's
// matter.
type options struct {
	brokers       []string
	registry      string
	registryToken string
	registryDir   string
	rules         string
	schemas       []string
	app           string
	instance      string
	guarantee     string
	state         string
	http          string
	advertise     string
	register      bool
	partitions    int
	replication   int
	commit        time.Duration
	session       time.Duration
	patience      time.Duration
	time          string
	pace          float64
	writers       time.Duration
	logFormat     string
	logLevel      string
}

// setting is one option with its texts: key is its name in millrace.yaml, with - for _ that of its flag, and in upper
// case behind MILLRACE_ that of its variable.
type setting struct {
	key      string
	usage    string
	standard string // default
	toggle   bool
	secret   bool
	set      func(text string) error
}

func (s *setting) flag() string     { return strings.ReplaceAll(s.key, "_", "-") }
func (s *setting) variable() string { return "MILLRACE_" + strings.ToUpper(s.key) }

// settings is the table of all options.
func (o *options) settings() []*setting {
	host, _ := os.Hostname() // without one the instance has to be given
	guarantees := []string{string(topologies.ExactlyOnce), string(topologies.AtLeastOnce)}
	return []*setting{
		{key: "brokers", usage: "Kafka bootstrap servers, comma-separated", standard: "127.0.0.1:9092", set: addresses(&o.brokers)},
		{key: "registry", usage: "URL of the schema registry", standard: "http://127.0.0.1:8081", set: webAddress(&o.registry)},
		{key: "registry_token", usage: "bearer token for the registry", secret: true, set: text(&o.registryToken)},
		{key: "registry_dir", usage: "directory with schemas in place of a registry", set: text(&o.registryDir)},
		{key: "rules", usage: "directory with the rules", standard: "rules", set: text(&o.rules)},
		{key: "schemas", usage: "further directories with Avro schemas, comma-separated", set: list(&o.schemas)},
		{key: "app", usage: "prefix of groups, internal topics and transactional ids", standard: "millrace", set: text(&o.app)},
		{key: "instance", usage: "name of this worker, unique and the same after a restart", standard: instanceName(host), set: text(&o.instance)},
		{key: "guarantee", usage: strings.Join(guarantees, " or "), standard: guarantees[0], set: oneOf(&o.guarantee, guarantees...)},
		{key: "state", usage: "directory for the local copy of the state (default: in memory, restored at start)", set: text(&o.state)},
		{key: "http", usage: "address of metrics, health and the page; empty for none", standard: ":8080", set: text(&o.http)},
		{key: "advertise", usage: "host:port at which the other workers reach this one's http (default: where it listens)", set: advertised(&o.advertise)},
		{key: "register", usage: "register missing output schemas", standard: "false", toggle: true, set: toggle(&o.register)},
		{key: "partitions", usage: "partitions of topics to create for streams that don't say", standard: "4", set: number(&o.partitions, 1, 10_000)},
		{key: "replication", usage: "replicas of topics to create; -1 is the broker's default", standard: "-1", set: number(&o.replication, -1, 100)},
		{key: "commit_interval", usage: "longest time between commits under load", standard: "1s", set: span(&o.commit)},
		{key: "session_timeout", usage: "after which a silent worker's partitions go to others", standard: "6s", set: span(&o.session)},
		{key: "time", usage: "what moves event time: live (records, and silence by the clock) or events (records alone)", standard: string(topologies.TimeLive), set: oneOf(&o.time, string(topologies.TimeLive), string(topologies.TimeEvents))},
		{key: "pace", usage: "how many times faster than the clock event time goes by in silence, for a replay that is played so fast", standard: "1", set: factor(&o.pace)},
		{key: "wait_for_writers", usage: "how long a writer of a derived stream may say nothing before it is taken as not running", standard: "5m", set: span(&o.writers)},
		{key: "connect_timeout", usage: "how long broker and registry may take to answer at start", standard: "10s", set: span(&o.patience)},
		{key: "log_format", usage: "text or json (default: text on a terminal, else json)", set: oneOf(&o.logFormat, "", logText, logJSON)},
		{key: "log_level", usage: "debug, info, warn or error", standard: "info", set: level(&o.logLevel)},
	}
}

// instanceName makes a host name fit for an instance.
func instanceName(host string) string {
	return regexp.MustCompile(`[^A-Za-z0-9._-]`).ReplaceAllString(host, "-")
}

func text(p *string) func(string) error {
	return func(s string) error { *p = s; return nil }
}

func list(p *[]string) func(string) error {
	return func(s string) error {
		*p = nil
		for part := range strings.SplitSeq(s, ",") {
			if part = strings.TrimSpace(part); part != "" {
				*p = append(*p, part)
			}
		}
		return nil
	}
}

func addresses(p *[]string) func(string) error {
	set := list(p)
	return func(s string) error {
		if err := set(s); err != nil {
			return err
		}
		if len(*p) == 0 {
			return errors.New("name at least one host:port")
		}
		for _, a := range *p {
			if host, port, ok := strings.Cut(a, ":"); host == "" || ok && port == "" || strings.Contains(a, "/") {
				return fmt.Errorf("%q is no host:port", a)
			}
		}
		return nil
	}
}

func advertised(p *string) func(string) error {
	return func(s string) error {
		if host, port, err := net.SplitHostPort(s); s != "" && (err != nil || host == "" || port == "" || strings.ContainsAny(s, "/@?#")) {
			return fmt.Errorf("%q is no host:port", s)
		}
		*p = s
		return nil
	}
}

func webAddress(p *string) func(string) error {
	return func(s string) error {
		u, err := url.Parse(s)
		if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
			return errors.New("want an address like http://host:8081") // the text may hold a password
		}
		*p = s
		return nil
	}
}

func oneOf(p *string, of ...string) func(string) error {
	return func(s string) error {
		if !slices.Contains(of, s) {
			return fmt.Errorf("%q: use %s", s, strings.Join(slices.DeleteFunc(slices.Clone(of), func(x string) bool { return x == "" }), " or "))
		}
		*p = s
		return nil
	}
}

func toggle(p *bool) func(string) error {
	return func(s string) error {
		v, err := strconv.ParseBool(s)
		if err != nil {
			return fmt.Errorf("%q: use true or false", s)
		}
		*p = v
		return nil
	}
}

func number(p *int, least, most int) func(string) error {
	return func(s string) error {
		v, err := strconv.Atoi(s)
		if err != nil || v < least || v > most {
			return fmt.Errorf("%q: use a number from %d to %d", s, least, most)
		}
		*p = v
		return nil
	}
}

func factor(p *float64) func(string) error {
	return func(s string) error {
		v, err := strconv.ParseFloat(strings.TrimSuffix(s, "x"), 64)
		if err != nil || !(v > 0) || v > 1e6 {
			return fmt.Errorf("%q: use a number above 0, up to 1000000", s)
		}
		*p = v
		return nil
	}
}

func span(p *time.Duration) func(string) error {
	return func(s string) error {
		v, err := time.ParseDuration(s)
		if err != nil || v <= 0 {
			return fmt.Errorf("%q: use a time like 500ms or 6s", s)
		}
		*p = v
		return nil
	}
}

func level(p *string) func(string) error {
	return func(s string) error {
		var l slog.Level
		if err := l.UnmarshalText([]byte(s)); err != nil {
			return fmt.Errorf("%q: use debug, info, warn or error", s)
		}
		*p = s
		return nil
	}
}
