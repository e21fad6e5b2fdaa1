package e2e_test

import (
	"os/exec"
	"syscall"
)

// bind makes a command the head of a process group, and lets it end with the tests, should they be killed before they
// can end it.
func bind(c *exec.Cmd) {
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
