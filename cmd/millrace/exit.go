package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/millrace-io/millrace/rules"
)

// Exit codes, for scripts.
const (
	codeGood        = 0
	codeFindings    = 1   // what was looked at is not as it should be
	codeUsage       = 2   // the command line, the configuration or, at start, the rules
	codeEnvironment = 3   // broker, registry, disk
	codeInterrupted = 130 // a command that is to come to an end was interrupted
)

// exitError is an error with the exit code that it leads to.
type exitError struct {
	code int
	err  error // nil: everything has been said
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// usage makes an error about the command line or the configuration.
func usage(format string, args ...any) error {
	return &exitError{codeUsage, fmt.Errorf(format, args...)}
}

// findings is the error of a command that has printed what it found.
func findings() error { return &exitError{code: codeFindings} }

// exitCode says how a command that ended with err exits. What nobody has classed comes from outside: the network, the
// disk, the broker.
func exitCode(err error) int {
	var exit *exitError
	var list rules.ErrorList
	switch {
	case err == nil:
		return codeGood
	case errors.As(err, &exit):
		return exit.code
	case errors.As(err, &list):
		return codeUsage
	case errors.Is(err, context.Canceled):
		return codeInterrupted
	case errors.Is(err, fs.ErrNotExist):
		return codeUsage
	}
	return codeEnvironment
}
