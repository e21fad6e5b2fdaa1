package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/millrace-io/millrace/rules"
)

const greeting = `millrace turns events of one domain into context for others, by rules that you write, on Kafka.
  millrace dev --rules rules --feed testdata/retail/feed.yaml    everything in one process, on a month of purchases
  millrace check rules                                           find what is wrong with rule files
  millrace run --brokers HOST:9092 --registry http://HOST:8081   a worker on your own Kafka
All commands: millrace help. One of them: millrace help COMMAND.
`

// execute runs one command line and returns its exit code.
func execute(ctx context.Context, sh *shell, args []string) int {
	root, started := newRoot(sh)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return codeGood
	}
	code := exitCode(err)
	if !started() { // cobra's own errors: unknown command, number of arguments
		code = codeUsage
	}
	var exit *exitError
	switch {
	case code == codeInterrupted:
		sh.say("millrace: interrupted")
	case !errors.As(err, &exit) || exit.err != nil:
		report(sh, err)
	}
	return code
}

// report tells the user what went wrong.
func report(sh *shell, err error) {
	if list, ok := errors.AsType[rules.ErrorList](err); ok {
		printRuleErrors(sh.err, list, sh.color(sh.err))
		return
	}
	sh.say("millrace: %s", strings.TrimRight(err.Error(), "\n"))
}

// newRoot builds the commands. started says whether a command has begun its work.
func newRoot(sh *shell) (root *cobra.Command, started func() bool) {
	began := false
	root = &cobra.Command{
		Use:           "millrace",
		Short:         "Rules turn events of one domain into context for others, on Kafka",
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprint(sh.out, greeting)
			return err
		},
		PersistentPreRun: func(*cobra.Command, []string) { began = true },
	}
	root.SetIn(sh.in)
	root.SetOut(sh.out)
	root.SetErr(sh.err)
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usage("%w\nSee %s --help", err, c.CommandPath())
	})
	root.AddCommand(runCommand(sh), devCommand(sh), checkCommand(sh), produceCommand(sh), tailCommand(sh), explainCommand(sh), topicsCommand(sh), schemasCommand(sh), tableCommand(sh), graphCommand(sh), versionCommand(sh))
	return root, func() bool { return began }
}

// outputFlag adds --output with the forms that a command has; the first is the default.
func outputFlag(c *cobra.Command, forms ...string) func() (string, error) {
	name := c.Flags().StringP("output", "o", forms[0], "output: "+strings.Join(forms, " or "))
	_ = c.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(forms, cobra.ShellCompDirectiveNoFileComp))
	return func() (string, error) {
		for _, f := range forms {
			if *name == f {
				return f, nil
			}
		}
		return "", usage("--output %s: use %s", *name, strings.Join(forms, " or "))
	}
}
