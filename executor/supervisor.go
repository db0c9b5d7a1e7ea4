package executor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/mesokit/mesokit/executor/internal/guard"
)

// supervisor takes one task through its life: files, steps, server, end. Its
// goroutine is run; the executor talks to it through stops and hears of it
// through tell.
type supervisor struct {
	id     string
	task   Task
	places places
	env    []string     // of the task's processes
	envErr error        // why there is none
	user   *guard.User  // of the task's processes and files; nil: as the executor
	guard  atomic.Int64 // the pid of the server's guard; 0: the server does not run
	// patience is the grace period when the supervisor itself stops the server.
	patience time.Duration
	steps    map[string]StepFunc
	stdout   io.Writer
	stderr   io.Writer
	log      *slog.Logger
	tell     func(report)
	say      func(Message)

	// stops gets the grace period each time the task is asked to end; a later one
	// may shorten the time.
	stops  chan time.Duration
	inbox  chan Message // gets secrets and grants as they come
	grants grants       // of the lease, if the task has one
	output output
}

const (
	// maxMessage bounds the message of an update, in bytes: it is kept by the
	// agent, the master and the scheduler.
	maxMessage = 8 << 10
	// lastLines comes before the last lines of the output in a message.
	lastLines = "; last lines:\n"
	// stepGrace is what a function has to return in when its context has ended.
	stepGrace = 5 * time.Second
)

var (
	errStopped = errors.New("the task was asked to stop")
	errEnded   = errors.New("the server has ended")
)

// run carries the task out; its last report is terminal.
func (s *supervisor) run(ctx context.Context) {
	s.output.keep = s.task.Logs.tail()
	if err := s.prepare(ctx); err != nil {
		s.tell(s.unprepared(err))
		return
	}
	args, err := expandAll(s.task.Command, s.env)
	if err != nil {
		s.tell(s.unprepared(fmt.Errorf("command %w", err)))
		return
	}
	for restarts := 0; ; restarts++ {
		last, again := s.serve(ctx, args)
		if !again || restarts >= s.task.Restart.Max {
			s.tell(last)
			return
		}
		if !s.pause(last, restarts) {
			last.state, last.reason = mesos.TASK_KILLED, nil
			s.tell(last)
			return
		}
	}
}

// serve runs the server once. It returns how the task ends unless the server is
// started again, and whether that makes sense.
func (s *supervisor) serve(ctx context.Context, args []string) (last report, again bool) {
	lines := newLogProbe(s.task.Ready, &s.output)
	c, closeStreams := s.command(args)
	c.dir = s.dir()
	if s.task.Lease != nil {
		c.hold = s.leaseLeft()
	}
	p, err := startProcess(c)
	if err != nil {
		closeStreams()
		return s.unprepared(err), false
	}
	kills := oomKills(os.DirFS("/"))
	s.guard.Store(int64(p.guard))
	defer s.guard.Store(0)
	s.log.Info("server started", "pid", p.pid)
	run := &serverRun{supervisor: s, process: p, lines: lines, verdicts: make(chan probed)}
	x := run.wait(ctx)
	closeStreams()
	x.OOM = x.Signal == syscall.SIGKILL && run.phase != terminated && oomKills(os.DirFS("/")) > kills
	last = run.outcome(x)
	return last, last.state == mesos.TASK_FAILED && !run.killed
}

// dir is where the server runs.
func (s *supervisor) dir() string { return filepath.Join(s.places.sandbox, s.task.Dir) }

// pause waits before the next start of a server that has failed. It returns
// false when the task is asked to stop meanwhile.
func (s *supervisor) pause(failed report, restarts int) bool {
	wait := s.task.Restart.wait(restarts)
	failed.state = mesos.TASK_RUNNING
	failed.healthy = new(bool)
	failed.message = fmt.Sprintf("restart %d of %d in %v: %s", restarts+1, s.task.Restart.Max, wait, failed.message)
	s.tell(failed)
	select {
	case <-s.stops:
		return false
	case <-time.After(wait):
		return true
	}
}

// unprepared reports that the task ended before its server ran.
func (s *supervisor) unprepared(err error) report {
	if errors.Is(err, errStopped) {
		return report{
			state:   mesos.TASK_KILLED,
			reason:  mesos.REASON_TASK_KILLED_DURING_LAUNCH.Enum(),
			message: "killed before the server was started",
		}
	}
	return report{
		state:   mesos.TASK_FAILED,
		reason:  mesos.REASON_COMMAND_EXECUTOR_FAILED.Enum(),
		message: s.withTail(err.Error()),
	}
}

// withTail adds the last lines of the output to a message.
func (s *supervisor) withTail(message string) string {
	message = message[:min(len(message), maxMessage/2)]
	if tail := s.output.tail(maxMessage - len(message) - len(lastLines)); tail != "" {
		message += lastLines + tail
	}
	return message
}

// prepare does what comes before the server. A request to stop ends it.
func (s *supervisor) prepare(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stopped := make(chan bool, 1)
	go func() {
		select {
		case <-s.stops:
			cancel(errStopped)
			stopped <- true
		case <-ctx.Done():
			stopped <- false
		}
	}()
	err := s.prepareSteps(ctx)
	cancel(nil)
	if <-stopped { // perhaps when all was done: nobody will ask again
		return errStopped
	}
	return err
}

func (s *supervisor) prepareSteps(ctx context.Context) error {
	for use, name := range s.task.functions() {
		if s.steps[name] == nil {
			return fmt.Errorf("%s: func %q: this executor has no such function", use, name)
		}
	}
	if s.envErr != nil {
		return s.envErr
	}
	var err error
	if s.user, err = lookupUser(s.task.User); err != nil {
		return err
	}
	if err := s.places.give(s.user); err != nil {
		return err
	}
	if err := s.places.writeFiles(s.task.Files, s.env, s.user); err != nil {
		return err
	}
	s.tell(report{state: mesos.TASK_STARTING, message: "files written"})
	if len(s.task.Secrets) > 0 {
		if err := s.awaitSecrets(ctx); err != nil {
			return err
		}
		s.tell(report{state: mesos.TASK_STARTING, message: "secrets written"})
	}
	for _, step := range s.task.Init {
		done, err := s.step(ctx, step)
		if err != nil {
			return fmt.Errorf("step %s: %w", step.Name, err)
		}
		if done != "" {
			s.tell(report{state: mesos.TASK_STARTING, message: done})
		}
	}
	if s.task.Lease != nil {
		return s.awaitLease(ctx)
	}
	return nil
}

// step runs one step and returns the message of its update, which is empty when
// the step was skipped.
func (s *supervisor) step(ctx context.Context, step Step) (done string, err error) {
	if step.Unless != "" {
		skip, err := s.places.exists(step.Unless)
		if err != nil || skip {
			return "", err
		}
	}
	if step.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, step.Timeout, fmt.Errorf("not done within %v", step.Timeout))
		defer cancel()
	}
	done = step.done()
	if step.Func == "" {
		args, err := expandAll(step.Command, s.env)
		if err != nil {
			return "", fmt.Errorf("command %w", err)
		}
		return done, s.runProgram(ctx, args...)
	}
	return s.call(ctx, s.steps[step.Func], done)
}

// call runs a function and returns the message that it reported, or done.
func (s *supervisor) call(ctx context.Context, f StepFunc, done string) (string, error) {
	log := s.output.stream(s.stdout)
	type result struct {
		done string
		err  error
	}
	results := make(chan result, 1)
	go func() {
		r := result{done: done}
		box := s.sandbox(log)
		box.Report = func(message string) { r.done = message }
		r.err = protect(func() error { return f(ctx, box) })
		log.close()
		results <- r
	}()
	select {
	case r := <-results:
		return r.done, r.err
	case <-ctx.Done():
	}
	// A function should notice, and leave things in order; one that does not must
	// not keep the task from ending.
	select {
	case <-results:
	case <-time.After(stepGrace):
	}
	return "", context.Cause(ctx)
}

func (s *supervisor) sandbox(log io.Writer) Sandbox {
	return Sandbox{
		Dir: s.places.sandbox, TaskID: s.id, Env: s.env, Log: log,
		Run:    s.runProgram,
		Report: func(string) {},
	}
}

// runProgram runs a program of the task, other than its server, to its end.
func (s *supervisor) runProgram(ctx context.Context, args ...string) error {
	if len(args) == 0 {
		return errors.New("no program to run")
	}
	c, closeStreams := s.command(args)
	defer closeStreams()
	return runProcess(ctx, c)
}

// protect calls a framework's function. A panic in it is its error: the servers
// of the executor are worth more than a step or a request.
func protect(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return f()
}

// command is a program of the task with its output connected. The returned
// function must be called when the program has ended.
func (s *supervisor) command(args []string) (command, func()) {
	stdout, stderr := s.output.stream(s.stdout), s.output.stream(s.stderr)
	c := command{
		args: args, env: s.env, dir: s.places.sandbox, limits: s.task.Limits, user: s.user,
		stdout: stdout, stderr: stderr,
	}
	return c, func() { stdout.close(); stderr.close() }
}
