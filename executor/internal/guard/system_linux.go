package guard

import (
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/mesokit/mesokit/executor/internal/proc"
)

// childAttributes puts a child into a process group of its own and has the
// kernel kill it when the thread that started it ends.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// AdoptOrphans makes this process the parent of descendants whose own parent
// ends (prctl(2), PR_SET_CHILD_SUBREAPER).
func AdoptOrphans() error {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("become the parent of orphans: %w", err)
	}
	return nil
}

// killDescendants kills the group of pid and all direct children of this
// process. Grandchildren become children when their parents are gone, so that
// who calls it after each child that ends kills them all.
func killDescendants(pid int) {
	// Errors mean that it is already gone.
	_ = syscall.Kill(-pid, syscall.SIGKILL)
	all, _ := proc.All() // without /proc there is nobody to find
	for _, p := range all {
		if p.Parent == os.Getpid() {
			_ = syscall.Kill(p.PID, syscall.SIGKILL)
		}
	}
}
