package main

import (
	"context"
	"errors"
)

var errNotYet = errors.New("millrace itself is not measured yet")

// millrace is a workload's rule, loaded from a rule file and run by a worker as `millrace run` does it.
func millrace(config) (engine, error) { return engine{}, errNotYet }

// inProcess runs the workload's rule over decoded events, without a broker.
func inProcess(context.Context, config) (*Result, error) { return nil, errNotYet }
