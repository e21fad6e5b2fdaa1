package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/millrace-io/millrace/rules"
)

func checkCommand(sh *shell) *cobra.Command {
	c := &cobra.Command{
		Use:   "check [DIR...]",
		Short: "Find what is wrong with rule files",
		Long: `Check reads the rule files of each directory (default: rules) as a worker does, and prints all errors of all files.
What passes here starts. The exit code is 1 when there are errors. Warnings (W…) change neither.`,
		Example: `  millrace check
  millrace check --output json team/rules | jq -r '.errors[].code'`,
	}
	schemaDirs := c.Flags().StringSlice("schemas", nil, "further directories with Avro schemas (*.avsc)")
	output := outputFlag(c, "text", "json")
	c.RunE = func(_ *cobra.Command, dirs []string) error {
		form, err := output()
		if err != nil {
			return err
		}
		if len(dirs) == 0 {
			dirs = []string{"rules"}
		}
		var r checkReport
		for _, dir := range dirs {
			if err := r.check(dir, *schemaDirs); err != nil {
				return err
			}
		}
		return r.print(sh, form)
	}
	return c
}

// checkReport is what check found in all directories.
type checkReport struct {
	list, warnings          rules.ErrorList
	streams, rules, domains int
}

func (r *checkReport) check(dir string, schemaDirs []string) error {
	set, err := loadRules(dir, "", schemaDirs...)
	var list rules.ErrorList
	switch {
	case errors.As(err, &list):
		r.list = append(r.list, list...)
		return nil
	case err != nil:
		return err
	}
	r.warnings = append(r.warnings, within(dir, set.Warnings)...)
	domains := map[string]bool{}
	for _, s := range set.Streams {
		domains[s.Domain] = true
	}
	for _, x := range set.Rules {
		domains[x.Domain] = true
	}
	r.streams += len(set.Streams)
	r.rules += len(set.Rules)
	r.domains += len(domains)
	return nil
}

// checkJSON is the output for programs.
type checkJSON struct {
	Errors   []ruleErrorJSON `json:"errors"`
	Warnings []ruleErrorJSON `json:"warnings,omitempty"`
	Streams  int             `json:"streams"`
	Rules    int             `json:"rules"`
	Domains  int             `json:"domains"`
}

type ruleErrorJSON struct {
	File    string `json:"file"`
	Line    int    `json:"line"`
	Column  int    `json:"column"`
	Rule    string `json:"rule,omitempty"`
	Code    string `json:"code"`
	Message string `json:"message"`
	Help    string `json:"help,omitempty"`
}

func (r *checkReport) print(sh *shell, form string) error {
	if form == "json" {
		out := checkJSON{Errors: findingsJSON(r.list), Warnings: findingsJSON(r.warnings), Streams: r.streams, Rules: r.rules, Domains: r.domains}
		if err := sh.json(out); err != nil {
			return err
		}
	} else if len(r.list) == 0 {
		printFindings(sh.out, r.warnings, sh.color(sh.out))
		good := []string{count(r.streams, "stream"), count(r.rules, "rule"), count(r.domains, "domain")}
		if len(r.warnings) > 0 {
			good = append(good, count(len(r.warnings), "warning"))
		}
		fmt.Fprintf(sh.out, "good: %s\n", strings.Join(good, ", "))
	} else {
		printRuleErrors(sh.out, r.list, sh.color(sh.out))
	}
	if len(r.list) > 0 {
		return findings()
	}
	return nil
}

// findingsJSON is never nil: programs expect a list.
func findingsJSON(list rules.ErrorList) []ruleErrorJSON {
	out := make([]ruleErrorJSON, 0, len(list))
	for _, e := range list {
		out = append(out, ruleErrorJSON{e.File, e.Line, e.Column, e.Rule, e.Code, e.Msg, e.Help})
	}
	return out
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// printRuleErrors prints errors with their source lines, and how many they are.
func printRuleErrors(w io.Writer, list rules.ErrorList, color bool) {
	printFindings(w, list, color)
	fmt.Fprintln(w, count(len(list), "error"))
}

// printFindings prints errors or warnings with their source lines.
func printFindings(w io.Writer, list rules.ErrorList, color bool) {
	for _, e := range list {
		text := e.Text()
		if color {
			text = paint(text)
		}
		fmt.Fprintln(w, text)
	}
}

// paint makes the first line of an error bold and its carets red.
func paint(text string) string {
	lines := strings.Split(text, "\n")
	for i, l := range lines {
		switch {
		case i == 0:
			lines[i] = "\x1b[1m" + l + "\x1b[0m"
		case strings.Trim(l, " |^~") == "" && strings.Contains(l, "^"):
			at := strings.IndexByte(l, '^')
			lines[i] = l[:at] + "\x1b[31m" + l[at:] + "\x1b[0m"
		}
	}
	return strings.Join(lines, "\n")
}
