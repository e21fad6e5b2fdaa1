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
