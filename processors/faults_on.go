//go:build faults

package processors

import "os"

// fault reports whether MILLRACE_FAULT takes a defence away:
//
//   - expiry: windows drop a slice when the last of its windows is still open
func fault(name string) bool { return os.Getenv("MILLRACE_FAULT") == name }
