//go:build !faults

package topologies

import "github.com/twmb/franz-go/pkg/kgo"

// With the tag `faults` the chaos harness and the simulation show that they notice what is taken away.

func fault(string) bool { return false }

func faultTransactions() []kgo.Opt { return nil }

func faultSuffix() string { return "" }
