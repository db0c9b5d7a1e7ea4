package executor

import (
	"context"
	"encoding/json"
	"errors"
	"time"
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
	u, err := usageBelow(int(guard))
	u.Task = s.id
	return u, err
}

func (s *supervisor) answerUsage(context.Context, Sandbox, json.RawMessage) (any, error) {
	return s.usage()
}

// processStat is a line of the process table.
type processStat struct {
	pid, parent int
	cpu         time.Duration // of itself
	reaped      time.Duration // of its children that have ended and been waited for
	memory      int64         // resident bytes
}

// usageOf adds up the descendants of guard. The guard itself counts for nothing
// but the children that it has waited for.
func usageOf(all []processStat, guard int) Usage {
	children := map[int][]processStat{}
	var u Usage
	for _, p := range all {
		children[p.parent] = append(children[p.parent], p)
		if p.pid == guard {
			u.CPU += p.reaped
		}
	}
	for next := children[guard]; len(next) > 0; {
		p := next[0]
		next = append(next[1:], children[p.pid]...)
		u.Processes++
		u.CPU += p.cpu + p.reaped
		u.Memory += p.memory
	}
	return u
}
