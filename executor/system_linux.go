package executor

import (
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// selfPath starts this binary again, also after its file was replaced.
func selfPath() (string, error) { return "/proc/self/exe", nil }

// childAttributes puts a child into a process group of its own and has the
// kernel kill it when the thread that started it ends.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// adoptOrphans makes this process the parent of descendants whose own parent
// ends (prctl(2), PR_SET_CHILD_SUBREAPER).
func adoptOrphans() error {
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
	all, _ := processes() // without /proc there is nobody to find
	for _, p := range all {
		if p.parent == os.Getpid() {
			_ = syscall.Kill(p.pid, syscall.SIGKILL)
		}
	}
}

// redirect lets the descriptor of to stand for the file from.
func redirect(from, to *os.File) error {
	return unix.Dup3(int(from.Fd()), int(to.Fd()), 0)
}
