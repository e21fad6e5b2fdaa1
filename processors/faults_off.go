//go:build !faults

package processors

// With the tag `faults` the simulation shows that it notices what is taken away.

func fault(string) bool { return false }
