package executor

import (
	"fmt"
	"syscall"
	"time"
)

// exit is how a process ended.
type exit struct {
	Code   int            // when it ended by itself
	Signal syscall.Signal // when a signal ended it; zero otherwise
	Core   bool           // it dumped core
	Held   bool           // its guard ended it, because the lease was over
	OOM    bool           // the kernel ended it, or a child, because the container's memory was used up
	Lost   bool           // nobody knows: the guard was killed, and the server with it
	CPU    time.Duration  // processor time that it and its waited-for children used
}

// String says it in the words of a status message.
func (x exit) String() string {
	switch {
	case x.Lost:
		return "was killed together with its guard process"
	case x.OOM && x.Signal == syscall.SIGKILL:
		return "was ended by the kernel: the memory of its container is used up"
	case x.OOM: // a child was
		x.OOM = false
		return x.String() + ", after the kernel had ended a process: the memory of its container is used up"
	case x.Signal != 0 && x.Core:
		return fmt.Sprintf("was ended by %s and dumped core", signalName(x.Signal))
	case x.Signal != 0:
		return "was ended by " + signalName(x.Signal)
	}
	return fmt.Sprintf("exited with status %d", x.Code)
}
