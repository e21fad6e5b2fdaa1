//go:build !linux

package e2e_test

import "os/exec"

// bind does what can be done only on Linux.
func bind(*exec.Cmd) {}
