//go:build !faults

package topologies

import "github.com/twmb/franz-go/pkg/kgo"

// The chaos harness builds its workers with the tag `faults`, to show that it notices what is taken away there.

func fault(string) bool { return false }

func faultTransactions() []kgo.Opt { return nil }

func faultSuffix() string { return "" }
