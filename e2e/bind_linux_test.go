package e2e_test

import (
	"os/exec"
	"syscall"
)

// bind ends a process with the tests, should they be killed before they can.
func bind(c *exec.Cmd) { c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
