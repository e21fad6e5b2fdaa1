package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/millrace-io/millrace/rules"
)

// graph is what a set of rules looks like: streams, and rules that lead from some to others.
type graph struct {
	Domains []string      `json:"domains"`
	Streams []graphStream `json:"streams"`
	Rules   []graphRule   `json:"rules"`
}

type graphStream struct {
	Name        string `json:"name"`
	Domain      string `json:"domain"`
	Topic       string `json:"topic"`
	Schema      string `json:"schema"`
	Key         string `json:"key,omitempty"`
	Source      bool   `json:"source"` // no rule writes it
	Description string `json:"description,omitempty"`
}

type graphRule struct {
	ID          string   `json:"id"`
	Domain      string   `json:"domain"`
	Kind        string   `json:"kind"`
	From        []string `json:"from"` // in the order of the rule
	To          []string `json:"to"`   // in the order of its routes
	Version     string   `json:"version"`
	Description string   `json:"description,omitempty"`
	Pattern     string   `json:"pattern,omitempty"` // of a detection
}

// newGraph describes a set; everything is in the order of names.
func newGraph(set *rules.Set) *graph {
	g := &graph{Domains: []string{}, Streams: []graphStream{}, Rules: []graphRule{}}
	for _, s := range set.Streams {
		g.Domains = append(g.Domains, s.Domain)
		g.Streams = append(g.Streams, graphStream{s.Name, s.Domain, s.Topic, s.Schema.Name(), s.Key, s.Source, s.Description})
	}
	for _, r := range set.Rules {
		g.Domains = append(g.Domains, r.Domain)
		x := graphRule{ID: r.ID, Domain: r.Domain, Kind: r.Kind.String(), From: []string{}, To: []string{}, Version: r.Version, Description: r.Description}
		for _, in := range r.Inputs {
			x.From = add(x.From, in.Stream.Name)
		}
		for _, to := range r.Routes {
			x.To = add(x.To, to.Stream.Name)
		}
		if d := r.Detect; d != nil {
			x.Pattern = d.Canonical()
			if d.Timeouts != nil {
				for _, to := range d.Timeouts.Routes {
					x.To = add(x.To, to.Stream.Name)
				}
			}
		}
		g.Rules = append(g.Rules, x)
	}
	slices.Sort(g.Domains)
	g.Domains = slices.Compact(g.Domains)
	return g
}

// only is the part of the graph that a rule is in.
func (g *graph) only(id string) *graph {
	out := &graph{Domains: []string{}, Streams: []graphStream{}, Rules: []graphRule{}}
	for _, r := range g.Rules {
		if r.ID != id {
			continue
		}
		out.Rules = append(out.Rules, r)
		out.Domains = append(out.Domains, r.Domain)
		for _, s := range g.Streams {
			if slices.Contains(r.From, s.Name) || slices.Contains(r.To, s.Name) {
				out.Streams = append(out.Streams, s)
				out.Domains = append(out.Domains, s.Domain)
			}
		}
	}
	slices.Sort(out.Domains)
	out.Domains = slices.Compact(out.Domains)
	return out
}

func add(list []string, s string) []string {
	if slices.Contains(list, s) {
		return list
	}
	return append(list, s)
}

func graphCommand(sh *shell) *cobra.Command {
	c := &cobra.Command{
		Use:   "graph",
		Short: "Show which rules lead from which streams to which",
		Example: `  millrace graph
  millrace graph --format mermaid > topology.mmd
  millrace graph --rule risk.takeover`,
		Args: cobra.NoArgs,
	}
	cfg := bind(sh, c, "rules", "schemas", "app")
	format := c.Flags().String("format", "text", "text, mermaid or json")
	name := c.Flags().String("rule", "", "show one rule, and the pattern that it detects (domain.name)")
	c.RunE = func(*cobra.Command, []string) error {
		if err := cfg.resolve(); err != nil {
			return err
		}
		set, err := loadRules(cfg.rules, cfg.app, cfg.schemas...)
		if err != nil {
			return err
		}
		g := newGraph(set)
		var one *rules.Rule
		if *name != "" {
			if one = set.Rule(*name); one == nil {
				return usage("--rule %s: no such rule is enabled; `millrace graph` lists them", *name)
			}
			g = g.only(*name)
		}
		detects := one != nil && one.Detect != nil
		switch *format {
		case "text":
			g.text(sh.out)
			if detects {
				patternText(sh.out, one)
			}
		case "mermaid":
			if detects {
				patternMermaid(sh.out, one)
				return nil
			}
			g.mermaid(sh.out)
		case "json":
			return sh.json(g)
		default:
			return usage("--format %s: use text, mermaid or json", *format)
		}
		return nil
	}
	return c
}

// text lists each domain's streams and rules.
func (g *graph) text(w io.Writer) {
	for i, d := range g.Domains {
		if i > 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintln(w, d)
		var rows [][]string
		for _, s := range g.Streams {
			if s.Domain != d {
				continue
			}
			kind := "derived"
			if s.Source {
				kind = "source"
			}
			rows = append(rows, []string{"  stream", s.Name, kind, "topic " + s.Topic})
		}
		for _, r := range g.Rules {
			if r.Domain == d {
				rows = append(rows, []string{"  rule", r.ID, r.Kind, strings.Join(r.From, ", ") + " -> " + strings.Join(r.To, ", ")})
			}
		}
		table(w, []string{"", "", "", ""}, rows)
	}
}

// mermaid draws a flow chart: streams are stadiums, rules boxes. Nodes are numbered, because names may hold what
// Mermaid takes for syntax.
func (g *graph) mermaid(w io.Writer) {
	stream := map[string]int{}
	for i, s := range g.Streams {
		stream[s.Name] = i
	}
	fmt.Fprintln(w, "flowchart LR")
	for i, d := range g.Domains {
		fmt.Fprintf(w, "  subgraph d%d [\"%s\"]\n", i, d)
		for j, s := range g.Streams {
			if s.Domain == d {
				fmt.Fprintf(w, "    s%d([\"%s\"])\n", j, s.Name)
			}
		}
		for j, r := range g.Rules {
			if r.Domain == d {
				fmt.Fprintf(w, "    r%d[\"%s\"]\n", j, r.ID)
			}
		}
		fmt.Fprintln(w, "  end")
	}
	for i, r := range g.Rules {
		for _, from := range r.From {
			fmt.Fprintf(w, "  s%d --> r%d\n", stream[from], i)
		}
		for _, to := range r.To {
			fmt.Fprintf(w, "  r%d --> s%d\n", i, stream[to])
		}
	}
}
