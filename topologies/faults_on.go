//go:build faults

package topologies

import (
	"os"
	"strconv"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kversion"
)

// fault reports whether MILLRACE_FAULT takes a defence away:
//
//   - barrier: a batch is marked as taken in before it is stepped, and holds no lock while it is
//   - fencing: no generation, no stable transactional id, and former owners' transactions are left open
//   - endtxn: transactions v1 without a new epoch after a lost connection
//   - output: writers promise the wall clock
//   - merge: a reader takes the time of its fastest writer
//   - offsets: the committed offset passes records that wait
//   - reread: records that are read again count as new
//   - order: out_of_order is taken as 0
//   - cells: of the rows that a commit has changed, one does not get into the changelog
//
// Package processors has some of its own.
func fault(name string) bool { return os.Getenv("MILLRACE_FAULT") == name }

func faultTransactions() []kgo.Opt {
	if !fault("endtxn") {
		return nil
	}
	return []kgo.Opt{kgo.MaxVersions(kversion.V3_7_0())}
}

func faultSuffix() string {
	if fault("fencing") {
		return "-" + strconv.Itoa(os.Getpid())
	}
	return ""
}
