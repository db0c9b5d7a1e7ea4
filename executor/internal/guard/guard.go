package guard

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/mesokit/mesokit/executor/internal/proc"
)

// Variable in the environment makes a process a guard.
const Variable = "MESOKIT_EXECUTOR_GUARD"

// The descriptors of the two pipes in the guard: the first of os/exec's
// ExtraFiles.
const (
	controlFD = 3
	reportFD  = 4
)

// Spec says what to run.
type Spec struct {
	Path   string // of the program, absolute or relative to Dir
	Args   []string
	Env    []string
	Dir    string
	Limits Limits
	User   *User         // nil: as the executor
	Hold   time.Duration // as Command.Hold, from the start
}

// Command is what the executor says later. It holds exactly one of its fields.
type Command struct {
	// Signal goes to the server's process group, SIGKILL to every descendant.
	Signal syscall.Signal `json:",omitempty"`
	// Hold is the time after which the guard by itself kills all, unless it is told
	// another; zero: never.
	Hold *time.Duration `json:",omitempty"`
}

// Report is what the guard says. It holds exactly one of its fields.
type Report struct {
	PID   int    `json:",omitempty"` // the server runs
	Error string `json:",omitempty"` // it could not be started
	Exit  *Exit  `json:",omitempty"` // it has ended, and so has all that it started
}

// Exit is how the program ended.
type Exit struct {
	Code   int            // when it ended by itself
	Signal syscall.Signal // when a signal ended it; zero otherwise
	Core   bool           // it dumped core
	Held   bool           // the guard ended it, when Command.Hold was over
	CPU    time.Duration  // processor time that it and its waited-for children used
}

func init() {
	if os.Getenv(Variable) == "" {
		return
	}
	// The kernel sends the parent-death signal when the thread that started the
	// child ends, not when its process does. The main thread lives longest, and
	// init runs on it.
	runtime.LockOSThread()
	control := os.NewFile(controlFD, "control")
	reports := os.NewFile(reportFD, "report")
	syscall.CloseOnExec(controlFD)
	syscall.CloseOnExec(reportFD)
	code := 0
	if err := run(control, json.NewEncoder(reports)); err != nil {
		fmt.Fprintln(os.Stderr, "guard:", err)
		code = 1
	}
	// At once: the executor waits for it, nothing is left to flush, and os.Exit
	// takes a second in a binary that was built with the race detector.
	syscall.Exit(code)
}

func run(control io.Reader, reports *json.Encoder) error {
	// A signal to the guard would only get between the executor and its server.
	// Caught rather than ignored: what is ignored stays so in the server.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP, syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT)
	commands := json.NewDecoder(control)
	var spec Spec
	if err := commands.Decode(&spec); err != nil {
		return fmt.Errorf("read what to run: %w", err)
	}
	pid, err := spec.start()
	if err != nil {
		return reports.Encode(Report{Error: err.Error()})
	}
	if err := reports.Encode(Report{PID: pid}); err != nil {
		killDescendants(pid)
	}
	var ending, held atomic.Bool
	end := func() {
		ending.Store(true)
		killDescendants(pid)
	}
	hold := newHold(spec.Hold, func() {
		held.Store(!ending.Load())
		end()
	})
	go obey(commands, pid, end, hold)
	proc.Trim() // from here on it waits
	x, err := reap(pid, &ending)
	if err != nil {
		return err
	}
	x.Held = held.Load()
	return reports.Encode(Report{Exit: &x})
}

// start becomes the parent of orphans, sets the limits, which the server
// inherits, and starts it.
func (s Spec) start() (pid int, err error) {
	if err := AdoptOrphans(); err != nil {
		return 0, err
	}
	if err := s.Limits.apply(); err != nil {
		return 0, err
	}
	for _, f := range []*os.File{os.Stdout, os.Stderr} {
		// A server of another user can then open /dev/stdout too. One that only
		// writes, as most do, needs nothing of the kind, so an error means little.
		if info, err := f.Stat(); err == nil && info.Mode()&os.ModeNamedPipe != 0 {
			_ = s.User.Give(f.Chown)
		}
	}
	attributes := childAttributes()
	attributes.Credential = s.User.Credential()
	pid, err = syscall.ForkExec(s.Path, s.Args, &syscall.ProcAttr{
		Dir:   s.Dir,
		Env:   s.Env,
		Files: []uintptr{0, 1, 2},
		Sys:   attributes,
	})
	if err != nil {
		return 0, fmt.Errorf("start %s in %s: %w", s.Path, s.Dir, err)
	}
	return pid, nil
}

// obey carries out commands until the executor closes the pipe or is gone.
func obey(commands *json.Decoder, pid int, end func(), held *time.Timer) {
	for {
		var c Command
		if err := commands.Decode(&c); err != nil {
			c.Signal = syscall.SIGKILL
		}
		switch {
		case c.Signal == syscall.SIGKILL:
			end()
			return
		case c.Hold != nil && *c.Hold == 0:
			held.Stop()
		case c.Hold != nil:
			held.Reset(*c.Hold)
		default:
			// ESRCH: the group has just ended, which reap will report.
			_ = syscall.Kill(-pid, c.Signal)
		}
	}
}

// newHold calls end after d, or never if that is zero.
func newHold(d time.Duration, end func()) *time.Timer {
	if d > 0 {
		return time.AfterFunc(d, end)
	}
	held := time.AfterFunc(time.Hour, end)
	held.Stop()
	return held
}

// reap waits for all children, the server and whatever orphans came to the
// guard. Once the server has ended the others are killed. It returns when none
// is left, with the end of the server.
func reap(server int, ending *atomic.Bool) (Exit, error) {
	var x Exit
	for {
		var status syscall.WaitStatus
		var usage syscall.Rusage
		pid, err := syscall.Wait4(-1, &status, 0, &usage)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case errors.Is(err, syscall.ECHILD):
			return x, nil
		case err != nil:
			return Exit{}, fmt.Errorf("wait for the server: %w", err)
		}
		if pid == server {
			x = exitOf(status, usage)
			ending.Store(true)
		}
		// Children of the one that was just reaped are now children of the guard.
		if ending.Load() {
			killDescendants(server)
		}
	}
}

func exitOf(status syscall.WaitStatus, usage syscall.Rusage) Exit {
	x := Exit{CPU: time.Duration(usage.Utime.Nano() + usage.Stime.Nano())}
	if status.Signaled() {
		x.Signal = status.Signal()
		x.Core = status.CoreDump()
		return x
	}
	x.Code = status.ExitStatus()
	return x
}
