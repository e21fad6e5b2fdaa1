package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/millrace-io/millrace/rules"
)

// patternText prints what a detection looks for: its pattern as a tree, each stage with whose records it takes and when.
func patternText(w io.Writer, r *rules.Rule) {
	d := r.Detect
	within := "no limit"
	if d.Within > 0 {
		within = "within " + rules.FormatDuration(d.Within)
	}
	skip := d.Skip.String()
	if d.Skip == rules.SkipToFirst || d.Skip == rules.SkipToLast {
		skip += "(" + d.Stages[d.SkipTo].Name + ")"
	}
	fmt.Fprintf(w, "\npattern: %s\n%s, skip %s\n", d.Canonical(), within, skip)
	table(w, []string{"", "", ""}, patternRows(r, d.Pattern, "  ", ""))
}

// patternRows lists a part and its parts; sign is what stands before it.
func patternRows(r *rules.Rule, p *rules.Pattern, indent, sign string) [][]string {
	head := indent + sign + partName(r.Detect, p)
	if p.Op == rules.Take {
		s := r.Detect.Stages[p.Stage]
		return [][]string{{head, r.Inputs[s.Input].Stream.Name, strings.Join(stageClauses(s), ", ")}}
	}
	rows := [][]string{{head, "", ""}}
	for _, q := range p.Parts {
		sign := ""
		if q.Contiguity != 0 {
			sign = q.Contiguity.String() + " "
		}
		rows = append(rows, patternRows(r, q, indent+"  ", sign)...)
	}
	return rows
}

// partName is what a part is, and how often it matches.
func partName(d *rules.Detect, p *rules.Pattern) string {
	name := p.Op.String()
	if p.Op == rules.Take {
		name = d.Stages[p.Stage].Name
	}
	if p.Negated {
		name = "!" + name
	}
	q := p.Quantifier()
	if q != "" && p.Op != rules.Take {
		name += " "
	}
	return name + q
}

// stageClauses lists what a record has to meet at a stage, as the rule file says it.
func stageClauses(s rules.Stage) []string {
	var out []string
	if s.Where != nil {
		out = append(out, "where "+oneLine(s.Where.Source()))
	}
	if s.Until != nil {
		out = append(out, "until "+oneLine(s.Until.Source()))
	}
	if s.Gap > 0 {
		out = append(out, "within "+rules.FormatDuration(s.Gap))
	}
	return out
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// patternMermaid draws the pattern: stages as boxes, negated ones as hexagons, groups around their parts.
func patternMermaid(w io.Writer, r *rules.Rule) {
	fmt.Fprintln(w, "flowchart LR")
	m := &mermaidPattern{w: w, rule: r}
	m.part(r.Detect.Pattern, "  ")
	for _, e := range m.edges {
		fmt.Fprintln(w, "  "+e)
	}
}

// mermaidPattern writes nodes as it meets them, and then the edges between them.
type mermaidPattern struct {
	w     io.Writer
	rule  *rules.Rule
	edges []string
	nodes int
}

// part draws a part and returns the name of its node.
func (m *mermaidPattern) part(p *rules.Pattern, indent string) string {
	id := fmt.Sprintf("p%d", m.nodes)
	m.nodes++
	if p.Op == rules.Take {
		m.stage(p, id, indent)
		return id
	}
	fmt.Fprintf(m.w, "%ssubgraph %s [\"%s\"]\n", indent, id, mermaidLabel(partName(m.rule.Detect, p)))
	before := ""
	for _, q := range p.Parts {
		node := m.part(q, indent+"  ")
		if p.Op == rules.Sequence && before != "" {
			m.edges = append(m.edges, fmt.Sprintf("%s -->|\"%s\"| %s", before, mermaidLabel(q.Contiguity.String()), node))
		}
		before = node
	}
	fmt.Fprintln(m.w, indent+"end")
	return id
}

func (m *mermaidPattern) stage(p *rules.Pattern, id, indent string) {
	s := m.rule.Detect.Stages[p.Stage]
	lines := append([]string{partName(m.rule.Detect, p), m.rule.Inputs[s.Input].Stream.Name}, stageClauses(s)...)
	for i, l := range lines {
		lines[i] = mermaidLabel(l)
	}
	left, right := "[", "]"
	if p.Negated {
		left, right = "{{", "}}"
	}
	fmt.Fprintf(m.w, "%s%s%s\"%s\"%s\n", indent, id, left, strings.Join(lines, "<br/>"), right)
}

// mermaidLabel writes text so that Mermaid takes none of it for syntax.
func mermaidLabel(text string) string {
	return strings.NewReplacer("#", "#35;", `"`, "#quot;", "<", "#lt;", ">", "#gt;", "&", "#amp;", "`", "#96;").Replace(text)
}
