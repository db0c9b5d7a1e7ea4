package executor

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
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
	for _, child := range children(os.Getpid()) {
		_ = syscall.Kill(child, syscall.SIGKILL)
	}
}

// children are the processes whose parent is pid, found as ps finds them: not
// every kernel has /proc/<pid>/task/<tid>/children.
func children(pid int) []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var found []int
	for _, e := range entries {
		child, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		stat, err := os.ReadFile("/proc/" + e.Name() + "/stat")
		if err == nil && parentInStat(stat) == pid {
			found = append(found, child)
		}
	}
	return found
}

// parentInStat reads the fourth field of /proc/<pid>/stat. The second is the
// name of the program in parentheses and may itself hold spaces and parentheses.
func parentInStat(stat []byte) int {
	end := bytes.LastIndexByte(stat, ')')
	fields := bytes.Fields(stat[end+1:])
	if end < 0 || len(fields) < 2 {
		return -1
	}
	parent, err := strconv.Atoi(string(fields[1]))
	if err != nil {
		return -1
	}
	return parent
}

// redirect lets the descriptor of to stand for the file from.
func redirect(from, to *os.File) error {
	return unix.Dup3(int(from.Fd()), int(to.Fd()), 0)
}
