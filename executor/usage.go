package executor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/mesokit/mesokit/executor/internal/proc"
)

// Usage is what the server of a task and its sidecars, with all that they have
// started, use of the machine. It answers the request "usage", which has no body,
// and comes by itself where Task.Sample is set. It is known on Linux.
type Usage struct {
	Task string `json:"task"`
	// Processes is how many there are.
	Processes int `json:"processes"`
	// CPU is the processor time that they have used since the server was started,
	// with that of processes which have ended since. One sample may lack that of a
	// process which ended while it was taken.
	CPU time.Duration `json:"cpu"`
	// Memory is what they have resident, in bytes. What several share counts for
	// each of them.
	Memory int64 `json:"memory"`
}

func (Usage) message() {}

// usage samples the programs that run now.
func (s *supervisor) usage() (Usage, error) {
	guards := []int{int(s.server.guard.Load())}
	for _, c := range s.sidecars {
		guards = append(guards, int(c.guard.Load()))
	}
	if slices.Max(guards) == 0 {
		return Usage{}, errors.New("usage: the server does not run")
	}
	all, err := proc.All()
	if err != nil {
		return Usage{}, fmt.Errorf("usage: %w", err)
	}
	u := usageOf(all, guards...)
	u.Task = s.id
	return u, nil
}

func (s *supervisor) answerUsage(context.Context, Sandbox, json.RawMessage) (any, error) {
	return s.usage()
}

// usageOf adds up the descendants of guards. The guards themselves count for nothing
// but the children that they have waited for.
func usageOf(all []proc.Process, guards ...int) Usage {
	children := map[int][]proc.Process{}
	var u Usage
	for _, p := range all {
		children[p.Parent] = append(children[p.Parent], p)
		if slices.Contains(guards, p.PID) {
			u.CPU += p.Reaped
		}
	}
	var next []proc.Process
	for _, guard := range guards {
		if guard > 0 { // zero is the parent of the first process
			next = append(next, children[guard]...)
		}
	}
	for len(next) > 0 {
		p := next[0]
		next = append(next[1:], children[p.PID]...)
		u.Processes++
		u.CPU += p.CPU + p.Reaped
		u.Memory += p.Memory
	}
	return u
}
