//go:build !faults

package topologies

import "github.com/twmb/franz-go/pkg/kgo"

// The chaos harness builds with the tag `faults` to show that it notices what these switches take away.

func transactionVersion() []kgo.Opt { return nil }

const (
	faultNoBarrier = false // offsets may run ahead of their outputs
	faultNoFencing = false // a zombie's offsets and transactions are accepted
)
