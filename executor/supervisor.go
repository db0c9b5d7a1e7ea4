package executor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/mesokit/mesokit/executor/internal/guard"
)

// supervisor takes one task through its life: files, steps, sidecars, server,
// end. Its goroutine is run; the executor talks to it through stops and inbox and
// hears of it through tell.
type supervisor struct {
	id     string
	task   Task
	places places
	env    []string // of the task's processes
	envErr error    // why there is none
	steps  map[string]StepFunc
	stdout io.Writer
	stderr io.Writer
	log    *slog.Logger
	tell   func(report)
	say    func(Message)

	// user is whom the task's processes and files belong to; nil: as the executor.
	// It is known after identify.
	user       *guard.User
	userErr    error
	identified sync.Once

	// stops gets the grace period each time the task is asked to end; a later one
	// may shorten the time.
	stops    chan time.Duration
	deadline time.Time    // of the end that was asked for; zero: none was
	inbox    chan Message // gets secrets and grants as they come
	grants   grants       // of the lease, if the task has one

	server   *program
	sidecars []*sidecar
	standing standing
	failed   chan string // why an essential sidecar has ended; has room for all of them
}

// stepGrace is what a function has to return in when its context has ended.
const stepGrace = 5 * time.Second

var (
	errStopped = errors.New("the task was asked to stop")
	errEnded   = errors.New("the server has ended")
	errLeft    = errors.New("the function goes on")
)

// run carries the task out; its last report is terminal.
func (s *supervisor) run(ctx context.Context) {
	var last report
	if err := s.prepare(ctx); err != nil {
		last = s.unprepared(err)
	} else {
		last = s.server.keep(ctx)
	}
	s.stopSidecars()
	s.tell(last)
}

// unprepared reports that the task ended before its server ran.
func (s *supervisor) unprepared(err error) report {
	if errors.Is(err, errStopped) {
		message := "killed before the server was started"
		if err != errStopped {
			message += ": " + err.Error()
		}
		return report{
			state:   mesos.TASK_KILLED,
			reason:  mesos.REASON_TASK_KILLED_DURING_LAUNCH.Enum(),
			message: message[:min(len(message), maxMessage)],
		}
	}
	return s.server.unstarted(err)
}

// prepare does what comes before the server. A request to stop ends it. The
// sidecars that it starts go on until work ends.
func (s *supervisor) prepare(work context.Context) error {
	ctx, cancel := context.WithCancelCause(work)
	defer cancel(nil)
	stopped := make(chan bool, 1)
	go func() {
		select {
		case grace := <-s.stops:
			s.deadline = time.Now().Add(grace)
			cancel(errStopped)
			stopped <- true
		case <-ctx.Done():
			stopped <- false
		}
	}()
	err := s.prepareSteps(ctx)
	if err == nil {
		err = s.startFirst(ctx, work)
	}
	if err == nil && s.task.Lease != nil {
		err = s.awaitLease(ctx)
	}
	cancel(nil)
	switch {
	case !<-stopped || errors.Is(err, errStopped):
		return err
	case err == nil: // it was asked when all was done, and nobody will ask again
		return errStopped
	}
	return fmt.Errorf("%w: %w", errStopped, err)
}

func (s *supervisor) prepareSteps(ctx context.Context) error {
	for use, name := range s.task.functions() {
		if s.steps[name] == nil {
			return fmt.Errorf("%s: func %q: this executor has no such function", use, name)
		}
	}
	if err := s.prepareEnv(); err != nil {
		return err
	}
	if err := s.identify(); err != nil {
		return err
	}
	for _, c := range s.task.Checksums {
		if err := s.places.verify(ctx, c); err != nil {
			return err
		}
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
	return nil
}

// identify finds out whom the task's processes run as. Requests may come before the
// task itself needs to know; they must not run as another.
func (s *supervisor) identify() error {
	s.identified.Do(func() { s.user, s.userErr = lookupUser(s.task.User) })
	return s.userErr
}

// prepareEnv gives all programs their environments.
func (s *supervisor) prepareEnv() error {
	if s.envErr != nil {
		return s.envErr
	}
	if s.server != nil {
		s.server.vars = s.env
	}
	for _, c := range s.sidecars {
		var err error
		if c.vars, err = taskEnvironment(s.env, c.spec.Env, s.places.sandbox); err != nil {
			return fmt.Errorf("%s: %w", c.title(), err)
		}
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
	return await(ctx, func() (string, error) {
		log := s.server.lines.stream(s.stdout)
		defer log.close()
		box := s.sandbox(log)
		box.Report = func(message string) { done = message }
		err := f(ctx, box)
		return done, err
	})
}

// await calls a framework's function. When ctx ends it should notice, and leave
// things in order; one that does not is left behind, since it must not keep the
// task from ending.
func await[T any](ctx context.Context, f func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	results := make(chan result, 1)
	go func() {
		var r result
		r.err = protect(func() (err error) {
			r.value, err = f()
			return err
		})
		results <- r
	}()
	var none T
	select {
	case r := <-results:
		if r.err != nil && ctx.Err() != nil {
			return none, cutShort(ctx, r.err)
		}
		return r.value, r.err
	case <-ctx.Done():
	}
	select {
	case r := <-results:
		return none, cutShort(ctx, r.err)
	case <-time.After(stepGrace):
		return none, fmt.Errorf("%w: %w", context.Cause(ctx), errLeft)
	}
}

// cutShort is why a function was ended, with what it says itself: often what it was
// waiting for, which is what somebody has to mend.
func cutShort(ctx context.Context, said error) error {
	why := context.Cause(ctx)
	switch {
	case said == nil, said == ctx.Err():
		return why
	case errors.Is(said, why):
		return said
	}
	return fmt.Errorf("%w: %w", why, said)
}

func (s *supervisor) sandbox(log io.Writer) Sandbox {
	return Sandbox{
		Dir: s.places.sandbox, TaskID: s.id, Env: s.env, Log: log,
		Run:    s.runProgram,
		Report: func(string) {},
	}
}

// runProgram runs a program of a step to its end.
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

// command is a program of a step with its output connected. The returned
// function must be called when the program has ended.
func (s *supervisor) command(args []string) (command, func()) {
	stdout, stderr := s.server.lines.stream(s.stdout), s.server.lines.stream(s.stderr)
	c := command{
		args: args, env: s.env, dir: s.places.sandbox, limits: s.task.Limits, user: s.user,
		stdout: stdout, stderr: stderr,
	}
	return c, func() { stdout.close(); stderr.close() }
}
