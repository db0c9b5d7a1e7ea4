package executor

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/mesokit/mesokit/executor/internal/proc"
)

// endOrphans kills what a guard that was killed has left, such as daemons in
// sessions of their own.
func (g *guardTable) endOrphans(guard int) {
	// They are orphans as soon as the guard is a zombie.
	for errors.Is(unix.Waitid(unix.P_PID, guard, nil, unix.WEXITED|unix.WNOWAIT, nil), unix.EINTR) {
	}
	for {
		orphans := g.orphans()
		if len(orphans) == 0 {
			return
		}
		for _, pid := range orphans { // their children are orphans then
			_ = syscall.Kill(pid, syscall.SIGKILL)
			for {
				if _, err := syscall.Wait4(pid, nil, 0, nil); !errors.Is(err, syscall.EINTR) {
					break
				}
			}
		}
	}
}

// orphans are the children of this process that it did not start: neither are
// they guards, nor have they its process group, as what it starts otherwise.
func (g *guardTable) orphans() []int {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.adopting {
		return nil
	}
	all, _ := proc.All() // without /proc there is nobody to find
	var orphans []int
	for _, p := range all {
		if p.Parent == os.Getpid() && p.Group != syscall.Getpgrp() && !g.pids[p.PID] {
			orphans = append(orphans, p.PID)
		}
	}
	return orphans
}
