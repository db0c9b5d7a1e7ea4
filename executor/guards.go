package executor

import (
	"os/exec"
	"sync"

	"github.com/mesokit/mesokit/executor/internal/guard"
)

// guards are those that this process has started. Should one of them be killed,
// its orphans fall to this process, the next above it that adopts.
var guards guardTable

type guardTable struct {
	mu       sync.Mutex // held also while a guard starts, so that it is never seen unknown
	pids     map[int]bool
	adopting bool // this process is an executor, whose children are its own affair
}

// adopt makes this process the parent of what a guard leaves.
func (g *guardTable) adopt() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := guard.AdoptOrphans(); err != nil {
		return err
	}
	g.adopting = true
	return nil
}

func (g *guardTable) start(cmd *exec.Cmd) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := cmd.Start(); err != nil {
		return err
	}
	if g.pids == nil {
		g.pids = map[int]bool{}
	}
	g.pids[cmd.Process.Pid] = true
	return nil
}

func (g *guardTable) ended(pid int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.pids, pid)
}
