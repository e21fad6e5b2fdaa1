package main

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"
)

// configFile is read from the working directory when it is there and --config names no other.
const configFile = "millrace.yaml"

// maxConfigFile bounds configuration and secret files.
const maxConfigFile = 1 << 20

// config finds a command's options: a flag wins over MILLRACE_…, that over millrace.yaml, that over the default.
type config struct {
	options
	sh    *shell
	path  string
	flags *pflag.FlagSet
	used  []*setting // by this command
	from  map[string]found
}

// found is a value with where it was found.
type found struct {
	text, origin string
}

// bind gives the command flags for the options with these keys.
func bind(sh *shell, c *cobra.Command, keys ...string) *config {
	cfg := &config{sh: sh, flags: c.Flags(), from: map[string]found{}}
	cfg.flags.StringVar(&cfg.path, "config", "", "configuration file (default: "+configFile+", if there is one)")
	for _, s := range cfg.settings() {
		if !slices.Contains(keys, s.key) {
			continue
		}
		cfg.used = append(cfg.used, s)
		f := cfg.flags.VarPF(&flagValue{setting: s, text: s.standard}, s.flag(), "", s.usage)
		if s.toggle {
			f.NoOptDefVal = "true"
		}
	}
	return cfg
}

// flagValue checks a flag's text where it is read and keeps it for resolve.
type flagValue struct {
	*setting
	text string
}

func (v *flagValue) String() string { return v.text }

func (v *flagValue) Set(s string) error {
	v.text = s
	return v.set(s)
}

func (v *flagValue) Type() string {
	if v.toggle {
		return "bool"
	}
	return "string"
}

// resolve sets the command's options. It reports everything that is wrong at once.
func (c *config) resolve() error {
	file, err := c.readFile()
	errs := []error{err}
	for _, s := range c.used {
		v, err := c.find(s, file)
		if err == nil && v.text == "" && v.origin == "default" {
			continue
		}
		if err == nil {
			err = s.set(v.text)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", v.where(s), err))
		}
		c.from[s.key] = v
	}
	if err := errors.Join(errs...); err != nil {
		return &exitError{codeUsage, err}
	}
	return nil
}

// where says where a bad value is.
func (f found) where(s *setting) string {
	if f.origin == s.variable() || strings.HasPrefix(f.origin, "--") || strings.HasSuffix(f.origin, "_FILE") {
		return f.origin
	}
	return f.origin + ": " + s.key
}

func (c *config) find(s *setting, file map[string]found) (found, error) {
	if f := c.flags.Lookup(s.flag()); f.Changed {
		return found{f.Value.String(), "--" + s.flag()}, nil
	}
	if v, ok := c.sh.env(s.variable()); ok {
		return found{v, s.variable()}, nil
	}
	if path, ok := c.sh.env(s.variable() + "_FILE"); ok { // how secrets get into containers
		v := found{origin: s.variable() + "_FILE"}
		b, err := readSmall(path)
		v.text = strings.TrimRight(string(b), "\r\n")
		return v, err
	}
	if v, ok := file[s.key]; ok {
		return v, nil
	}
	return found{s.standard, "default"}, nil
}

func readSmall(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxConfigFile+1))
	if err == nil && len(b) > maxConfigFile {
		err = fmt.Errorf("%s is larger than %d bytes", path, maxConfigFile)
	}
	return b, err
}

// readFile reads the configuration file. Keys of other commands are fine in it, unknown ones are not.
func (c *config) readFile() (map[string]found, error) {
	path := c.path
	if path == "" {
		path, _ = c.sh.env("MILLRACE_CONFIG")
	}
	optional := path == ""
	if optional {
		path = configFile
	}
	b, err := readSmall(path)
	if optional && errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return parseConfig(path, b, c.settings())
}

// parseConfig reads the keys and values of a configuration file: a flat mapping of texts, numbers, truth values and
// lists of them.
func parseConfig(path string, b []byte, known []*setting) (map[string]found, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(b, &doc); err != nil {
		return nil, fmt.Errorf("%s: %s", path, strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if len(doc.Content) == 0 {
		return nil, nil
	}
	root := doc.Content[0]
	if root.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("%s:%d: want `key: value` lines", path, root.Line)
	}
	keys := make([]string, len(known))
	for i, s := range known {
		keys[i] = s.key
	}
	out := map[string]found{}
	var errs []error
	for i := 0; i < len(root.Content); i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		origin := fmt.Sprintf("%s:%d", path, key.Line)
		text, ok := flat(value)
		switch _, twice := out[key.Value]; {
		case !slices.Contains(keys, key.Value):
			errs = append(errs, fmt.Errorf("%s: unknown key %q%s", origin, key.Value, didYouMean(key.Value, keys)))
		case twice:
			errs = append(errs, fmt.Errorf("%s: %s is there twice", origin, key.Value))
		case !ok:
			errs = append(errs, fmt.Errorf("%s: %s: want a value or a list of values", origin, key.Value))
		default:
			out[key.Value] = found{text, origin}
		}
	}
	return out, errors.Join(errs...)
}

// flat is the text of a value as its flag would have it.
func flat(n *yaml.Node) (string, bool) {
	switch n.Kind {
	case yaml.ScalarNode:
		if n.Tag == "!!null" {
			return "", true
		}
		return n.Value, true
	case yaml.SequenceNode:
		parts := make([]string, len(n.Content))
		for i, e := range n.Content {
			if e.Kind != yaml.ScalarNode {
				return "", false
			}
			parts[i] = e.Value
		}
		return strings.Join(parts, ","), true
	default:
		return "", false
	}
}

// didYouMean is a hint when one of the names is close to the unknown one.
func didYouMean(unknown string, names []string) string {
	best, least := "", 1+len(unknown)/3
	for _, n := range names {
		if d := distance(strings.ReplaceAll(unknown, "-", "_"), n); d < least {
			best, least = n, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %s?", best)
}

// distance is Levenshtein's.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := before
			if a[i] != b[j] {
				cost++
			}
			before = row[j+1]
			row[j+1] = min(cost, row[j]+1, before+1)
		}
	}
	return row[len(b)]
}

// print shows each value with its origin, in the form of a configuration file. Secrets are masked.
func (c *config) print(w io.Writer) {
	width := 0
	lines := make([][2]string, 0, len(c.used))
	for _, s := range c.used {
		v, ok := c.from[s.key]
		if !ok {
			v = found{"", "default"}
		}
		line := s.key + ": " + shown(s, v.text)
		width = max(width, len(line))
		lines = append(lines, [2]string{line, v.origin})
	}
	for _, l := range lines {
		fmt.Fprintf(w, "%-*s  # %s\n", width, l[0], l[1])
	}
}

func shown(s *setting, text string) string {
	if s.secret && text != "" {
		return `"***"`
	}
	if u, err := url.Parse(text); err == nil && u.User != nil {
		text = u.Redacted()
	}
	if text == "" || strings.ContainsAny(text, " #,:[]{}\"'&*!|>%@`") {
		return fmt.Sprintf("%q", text)
	}
	return text
}
