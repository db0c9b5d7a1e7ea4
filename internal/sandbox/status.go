package sandbox

import (
	"errors"
	"fmt"
	"syscall"
)

// ErrNoStatus says that a process is gone and nobody learnt how it ended: it
// was not a child of this program, and whoever started it was not there to
// wait for it.
var ErrNoStatus = errors.New("sandbox: exit status unknown")

// Status is how a process ended, as wait(2) encodes it; Mesos puts the same
// number into the FAILURE event of an executor (2304 for exit code 9).
type Status int

// Success reports whether the process exited with code 0.
func (s Status) Success() bool { return s == 0 }

// ExitCode is the code that the process exited with, -1 if a signal ended it.
func (s Status) ExitCode() int { return s.wait().ExitStatus() }

func (s Status) wait() syscall.WaitStatus { return syscall.WaitStatus(s) }

// String is the status in the words of Mesos (WSTRINGIFY): "exited with status
// 7", "terminated with signal Killed".
func (s Status) String() string {
	w := s.wait()
	switch {
	case w.Exited():
		return fmt.Sprintf("exited with status %d", w.ExitStatus())
	case w.Signaled() && w.CoreDump():
		return "terminated with signal " + signalName(w.Signal()) + " (core dumped)"
	case w.Signaled():
		return "terminated with signal " + signalName(w.Signal())
	default:
		return fmt.Sprintf("wait status %d", int(s))
	}
}

// signalName is what strsignal(3) says. The names that Go knows are the same
// but for the case of the first letter.
func signalName(s syscall.Signal) string {
	name := []byte(s.String())
	if len(name) > 0 && 'a' <= name[0] && name[0] <= 'z' {
		name[0] -= 'a' - 'A'
	}
	return string(name)
}
