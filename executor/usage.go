package executor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/mesokit/mesokit/executor/internal/proc"
)

// Usage is what the server of a task, with all that it has started, uses of the
// machine. It answers the request "usage", which has no body, and comes by itself
// where Task.Sample is set. It is known on Linux.
type Usage struct {
	Task string `json:"task"`
	// Processes is how many there are.
	Processes int `json:"processes"`
	// CPU is the processor time that they have used since the server was started,
	// with that of processes which have ended since.
	CPU time.Duration `json:"cpu"`
	// Memory is what they have resident, in bytes. What several share counts for
	// each of them.
	Memory int64 `json:"memory"`
}

func (Usage) message() {}

// usage samples the server that runs now.
func (s *supervisor) usage() (Usage, error) {
	guard := s.guard.Load()
	if guard == 0 {
		return Usage{}, errors.New("usage: the server does not run")
	}
	all, err := proc.All()
	if err != nil {
		return Usage{}, fmt.Errorf("usage: %w", err)
	}
	u := usageOf(all, int(guard))
	u.Task = s.id
	return u, nil
}

func (s *supervisor) answerUsage(context.Context, Sandbox, json.RawMessage) (any, error) {
	return s.usage()
}

// usageOf adds up the descendants of guard. The guard itself counts for nothing
// but the children that it has waited for.
func usageOf(all []proc.Process, guard int) Usage {
	children := map[int][]proc.Process{}
	var u Usage
	for _, p := range all {
		children[p.Parent] = append(children[p.Parent], p)
		if p.PID == guard {
			u.CPU += p.Reaped
		}
	}
	for next := children[guard]; len(next) > 0; {
		p := next[0]
		next = append(next[1:], children[p.PID]...)
		u.Processes++
		u.CPU += p.CPU + p.Reaped
		u.Memory += p.Memory
	}
	return u
}
