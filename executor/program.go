package executor

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

// program is what a task keeps running: its server or a sidecar. One goroutine,
// that of keep, runs it.
type program struct {
	*supervisor
	spec     Sidecar              // the server's has no name
	vars     []string             // its environment
	stops    <-chan time.Duration // gets the grace period each time it is asked to end
	patience time.Duration        // the grace period when the supervisor itself stops it
	lines    *output              // its last lines
	guard    atomic.Int64         // the pid of its guard; 0: it does not run
	well     bool                 // it is ready and may work; guarded by standing
	ready    chan struct{}        // closed when it is ready for the first time
	became   sync.Once            // closes ready
}

func newProgram(s *supervisor, spec Sidecar, stops <-chan time.Duration, patience time.Duration) *program {
	return &program{
		supervisor: s, spec: spec, stops: stops, patience: patience,
		lines: &output{keep: s.task.Logs.tail()}, ready: make(chan struct{}),
	}
}

// title is what messages call it.
func (p *program) title() string {
	if p.isServer() {
		return "server"
	}
	return "sidecar " + p.spec.Name
}

func (p *program) isServer() bool { return p.spec.Name == "" }

// dir is where it runs.
func (p *program) dir() string { return filepath.Join(p.places.sandbox, p.spec.Dir) }

// keep runs the program, again and again as its Restart allows, until it has
// ended for good. It returns how.
func (p *program) keep(ctx context.Context) report {
	args, err := expandAll(p.spec.Command, p.vars)
	if err != nil {
		return p.unstarted(fmt.Errorf("command %w", err))
	}
	for restarts := 0; ; restarts++ {
		begin := time.Now()
		last, again := p.serve(ctx, args)
		if time.Since(begin) >= p.spec.Restart.stable() {
			restarts = 0
		}
		if !again || restarts >= p.spec.Restart.Max {
			return last
		}
		if stop := p.pause(&last, restarts); stop {
			return last
		}
	}
}

// serve runs the program once. It returns how it ends for good unless it is
// started again, and whether that makes sense.
func (p *program) serve(ctx context.Context, args []string) (last report, again bool) {
	line := newLogProbe(p.spec.Ready, p.lines)
	c, closeStreams := p.invocation(args)
	kills := oomKills(os.DirFS("/"))
	process, err := startProcess(c)
	if err != nil {
		closeStreams()
		return p.unstarted(err), false
	}
	p.guard.Store(int64(process.guard))
	defer p.guard.Store(0)
	p.log.Info(p.title()+" started", "pid", process.pid)
	run := &programRun{program: p, process: process, line: line, verdicts: make(chan probed)}
	x := run.wait(ctx)
	closeStreams()
	x.OOM = run.outOfMemory(x, kills, oomKills(os.DirFS("/")))
	last = run.outcome(x)
	failed := last.state == mesos.TASK_FAILED || !p.isServer() && last.state == mesos.TASK_FINISHED
	return last, failed && !run.killed
}

// pause waits before the next start of a program that has failed. It tells
// whether the program is rather to end: when it is asked to, or when a sidecar
// takes the task along.
func (p *program) pause(last *report, restarts int) (stop bool) {
	wait := p.spec.Restart.wait(restarts)
	p.report(false, fmt.Sprintf("restart %d of %d in %v: %s", restarts+1, p.spec.Restart.Max, wait, last.message), last.reason)
	select {
	case grace := <-p.stops:
		p.asked(grace)
		last.state, last.reason = mesos.TASK_KILLED, nil
		return true
	case why := <-p.failures():
		last.message = why + "; " + last.message
		return true
	case <-time.After(wait):
		return false
	}
}

// asked remembers until when a task that is asked to end may take.
func (p *program) asked(grace time.Duration) {
	if p.isServer() {
		p.deadline = time.Now().Add(grace)
	}
}

// failures tells the server of essential sidecars that have ended.
func (p *program) failures() <-chan string {
	if p.isServer() {
		return p.failed
	}
	return nil
}

// unstarted reports that the program could not be started.
func (p *program) unstarted(err error) report {
	return report{
		state:   mesos.TASK_FAILED,
		reason:  mesos.REASON_COMMAND_EXECUTOR_FAILED.Enum(),
		message: p.lines.after(err.Error()),
	}
}

// invocation is what to start, with its output connected. The returned function
// must be called when it has ended.
func (p *program) invocation(args []string) (command, func()) {
	stdout, stderr := p.lines.stream(p.stdout), p.lines.stream(p.stderr)
	c := command{
		args: args, env: p.vars, dir: p.dir(), limits: p.task.Limits, user: p.user,
		stdout: stdout, stderr: stderr,
	}
	if p.isServer() && p.task.Lease != nil {
		c.hold = p.leaseLeft()
	}
	return c, func() { stdout.close(); stderr.close() }
}

// standing is how a task is, all its programs taken together. They tell it from
// their own goroutines.
type standing struct {
	mu      sync.Mutex
	started bool // TASK_RUNNING was told: the server runs
	settled bool // the task ends: how its sidecars are no longer matters
}

// settle makes the end of the task the next that is told.
func (s *standing) settle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settled = true
}

// report tells how a program, and with it the task, is.
func (p *program) report(well bool, message string, reason *mesos.TaskStatus_Reason) {
	st := &p.standing
	st.mu.Lock()
	defer st.mu.Unlock() // also while it is told: what comes later is told later
	p.well = well
	switch {
	case p.isServer():
		st.started, st.settled = true, false
	case st.settled:
		return
	default:
		message = p.title() + ": " + message
	}
	if !st.started {
		p.tell(report{state: mesos.TASK_STARTING, message: message})
		return
	}
	missing := p.missing()
	healthy := missing == ""
	if p.isServer() && well && !healthy {
		message += "; " + missing + " is not ready"
	}
	p.tell(report{state: mesos.TASK_RUNNING, healthy: &healthy, message: message, reason: reason})
}

// missing is the first program that the task is not healthy without; empty: it is
// healthy. Called with the standing locked.
func (s *supervisor) missing() string {
	if !s.server.well {
		return s.server.title()
	}
	for _, c := range s.sidecars {
		if c.spec.Essential && !c.well {
			return c.title()
		}
	}
	return ""
}
