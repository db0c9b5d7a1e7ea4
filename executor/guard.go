package executor

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
)

// A guard is a small process between the executor and one server. It exists for
// the moment when the executor dies without a chance to clean up (SIGKILL, out
// of memory): the guard then finds its control pipe closed and ends the server
// with everything that the server has started. It is also the parent that
// orphans fall to, so that daemons which left the server's process group end
// with it, and no zombies are left. Should the guard itself be killed, the
// kernel kills the server (on Linux; see system_linux.go).
//
// The guard is this same binary, started again with guardVariable set: init
// below takes over before main runs. It reads one guardSpec from its control
// pipe, then guardCommands until the pipe is closed; on its report pipe it
// writes one guardReport when the server was started, or was not, and one when
// nothing of it is left.

// guardVariable in the environment makes a process a guard.
const guardVariable = "MESOKIT_EXECUTOR_GUARD"

const (
	controlFD = 3
	reportFD  = 4
)

type guardSpec struct {
	Path   string // of the program, absolute or relative to Dir
	Args   []string
	Env    []string
	Dir    string
	Limits Limits
	User   *identity     // nil: as the executor
	Hold   time.Duration // as guardCommand.Hold, from the start
}

// guardCommand holds exactly one of its fields.
type guardCommand struct {
	// Signal goes to the server's process group, SIGKILL to every descendant.
	Signal syscall.Signal `json:",omitempty"`
	// Hold is the time after which the guard by itself kills all, unless it is told
	// another; zero: never.
	Hold *time.Duration `json:",omitempty"`
}

// guardReport holds exactly one of its fields.
type guardReport struct {
	PID   int    `json:",omitempty"` // the server runs
	Error string `json:",omitempty"` // it could not be started
	Exit  *exit  `json:",omitempty"` // it has ended, and so has all that it started
}

// exit is how a process ended.
type exit struct {
	Code   int            // when it ended by itself
	Signal syscall.Signal // when a signal ended it; zero otherwise
	Core   bool           // it dumped core
	OOM    bool           // the kernel ended it because the container's memory was used up
	Lost   bool           // nobody knows: the guard was killed, and the server with it
	CPU    time.Duration  // processor time that it and its waited-for children used
}

// String says it in the words of a status message.
func (x exit) String() string {
	switch {
	case x.Lost:
		return "was killed together with its guard process"
	case x.OOM:
		return "was ended by the kernel: the memory of its container is used up"
	case x.Signal != 0 && x.Core:
		return fmt.Sprintf("was ended by %s and dumped core", signalName(x.Signal))
	case x.Signal != 0:
		return "was ended by " + signalName(x.Signal)
	}
	return fmt.Sprintf("exited with status %d", x.Code)
}

func init() {
	if os.Getenv(guardVariable) == "" {
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
	if err := runGuard(control, json.NewEncoder(reports)); err != nil {
		fmt.Fprintln(os.Stderr, "guard:", err)
		code = 1
	}
	// At once: the executor waits for it, nothing is left to flush, and os.Exit
	// takes a second in a binary that was built with the race detector.
	syscall.Exit(code)
}

func runGuard(control io.Reader, reports *json.Encoder) error {
	// A signal to the guard would only get between the executor and its server.
	// Caught rather than ignored: what is ignored stays so in the server.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP, syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT)
	commands := json.NewDecoder(control)
	var spec guardSpec
	if err := commands.Decode(&spec); err != nil {
		return fmt.Errorf("read what to run: %w", err)
	}
	pid, err := spec.start()
	if err != nil {
		return reports.Encode(guardReport{Error: err.Error()})
	}
	if err := reports.Encode(guardReport{PID: pid}); err != nil {
		killDescendants(pid)
	}
	var ending atomic.Bool
	end := func() {
		ending.Store(true)
		killDescendants(pid)
	}
	go obey(commands, pid, end, newHold(spec.Hold, end))
	x, err := reap(pid, &ending)
	if err != nil {
		return err
	}
	return reports.Encode(guardReport{Exit: &x})
}

// start becomes the parent of orphans, sets the limits, which the server
// inherits, and starts it.
func (s guardSpec) start() (pid int, err error) {
	if err := adoptOrphans(); err != nil {
		return 0, err
	}
	if err := s.Limits.apply(); err != nil {
		return 0, err
	}
	// A server of another user can then open /dev/stdout too. One that only
	// writes, as most do, needs nothing of the kind, so an error means little.
	_ = errors.Join(s.User.give(os.Stdout.Chown), s.User.give(os.Stderr.Chown))
	attributes := childAttributes()
	attributes.Credential = s.User.credential()
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
		var c guardCommand
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
func reap(server int, ending *atomic.Bool) (exit, error) {
	var x exit
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
			return exit{}, fmt.Errorf("wait for the server: %w", err)
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

func exitOf(status syscall.WaitStatus, usage syscall.Rusage) exit {
	x := exit{CPU: time.Duration(usage.Utime.Nano() + usage.Stime.Nano())}
	if status.Signaled() {
		x.Signal = status.Signal()
		x.Core = status.CoreDump()
		return x
	}
	x.Code = status.ExitStatus()
	return x
}

// apply sets the limits for this process and all that it starts.
func (l Limits) apply() error {
	if l.OpenFiles > 0 {
		limit := syscall.Rlimit{Cur: l.OpenFiles, Max: l.OpenFiles}
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
			return fmt.Errorf("limits.open_files %d: %w (more than the hard limit needs root)", l.OpenFiles, err)
		}
	}
	if l.NoCore {
		if err := syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{}); err != nil {
			return fmt.Errorf("limits.no_core: %w", err)
		}
	}
	if l.Umask != nil {
		syscall.Umask(*l.Umask)
	}
	return nil
}
