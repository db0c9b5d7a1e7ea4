//go:build unix && !linux

package executor

import (
	"errors"
	"os"
	"syscall"
)

// selfPath is the file of this binary.
func selfPath() (string, error) { return os.Executable() }

// childAttributes puts a child into a process group of its own. There is no
// parent-death signal here: a server outlives a guard that is killed.
func childAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// adoptOrphans does nothing: orphans go to process 1, and those that have left
// the process group of their server are not ended with it.
func adoptOrphans() error { return nil }

// killDescendants kills the process group of pid.
func killDescendants(pid int) { _ = syscall.Kill(-pid, syscall.SIGKILL) }

// usageBelow needs the process table as Linux shows it.
func usageBelow(int) (Usage, error) {
	return Usage{}, errors.New("usage: not known on this system: want Linux")
}

// redirect lets the descriptor of to stand for the file from.
func redirect(from, to *os.File) error {
	return syscall.Dup2(int(from.Fd()), int(to.Fd()))
}
