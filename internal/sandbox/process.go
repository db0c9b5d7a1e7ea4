package sandbox

import (
	"errors"
	"syscall"
)

// process is one row of the system's table of processes.
type process struct {
	pid, parent, group, session int
	// started is the start time in a unit of the system's own: with the pid
	// it tells a process from a later one of the same number.
	started string
	// defunct processes have ended and wait for their parent to notice.
	defunct bool
}

// family is the living processes among table that belong to the process of
// that pid and start time: itself, its session, its process group, those for
// which carries is true, and the descendants of all these. The process itself
// may be gone.
func family(table []process, pid int, started string, carries func(pid int) bool) []process {
	// As long as a session or a group has members the system gives its number
	// to no new process. So if the pid has a new owner, those who bear its
	// number are not ours.
	owned := true
	for _, p := range table {
		if p.pid == pid && p.started != started {
			owned = false
		}
	}
	children := make(map[int][]process)
	var found, queue []process
	for _, p := range table {
		children[p.parent] = append(children[p.parent], p)
		if owned && (p.pid == pid || p.session == pid || p.group == pid) || carries(p.pid) {
			queue = append(queue, p)
		}
	}
	seen := make(map[int]bool)
	for len(queue) > 0 {
		p := queue[0]
		queue = queue[1:]
		if seen[p.pid] {
			continue
		}
		seen[p.pid] = true
		queue = append(queue, children[p.pid]...)
		if !p.defunct {
			found = append(found, p)
		}
	}
	return found
}

// kill sends sig to a process; that it is gone already is no error.
func kill(pid int, sig syscall.Signal) error {
	if err := syscall.Kill(pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	return nil
}
