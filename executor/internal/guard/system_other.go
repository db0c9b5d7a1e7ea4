//go:build unix && !linux

package guard

import "syscall"

// childAttributes puts a child into a process group of its own. There is no
// parent-death signal here: a server outlives a guard that is killed.
func childAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// AdoptOrphans does nothing: orphans go to process 1, and those that have left
// the process group of their server are not ended with it.
func AdoptOrphans() error { return nil }

// killDescendants kills the process group of pid.
func killDescendants(pid int) { _ = syscall.Kill(-pid, syscall.SIGKILL) }
