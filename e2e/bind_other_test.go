//go:build unix && !linux

package e2e_test

import (
	"os/exec"
	"syscall"
)

// bind makes a command the head of a process group.
func bind(c *exec.Cmd) { c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }
