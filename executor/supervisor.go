package executor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"regexp"
	"syscall"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

// supervisor takes one task through its life: files, steps, server, end. Its
// goroutine is run; the executor talks to it through stops and hears of it
// through tell.
type supervisor struct {
	id     string
	task   Task
	places places
	env    []string // of the task's processes
	envErr error    // why there is none
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
	stops   chan time.Duration
	secrets chan Secret // get the secrets of the task as they come
	output  output
}

const (
	// maxMessage bounds the message of an update, in bytes: it is kept by the
	// agent, the master and the scheduler.
	maxMessage = 8 << 10
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
	lines := newLogProbe(s.task.Ready, &s.output)
	c, closeStreams := s.command(args)
	p, err := startProcess(c)
	if err != nil {
		closeStreams()
		s.tell(s.unprepared(err))
		return
	}
	kills := oomKills(os.DirFS("/"))
	s.log.Info("server started", "pid", p.pid)
	run := &serverRun{supervisor: s, process: p, lines: lines, verdicts: make(chan probed)}
	x := run.wait(ctx)
	closeStreams()
	x.OOM = x.Signal == syscall.SIGKILL && run.phase != terminated && oomKills(os.DirFS("/")) > kills
	s.tell(run.outcome(x))
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
	if tail := s.output.tail(maxMessage - len(message) - 20); tail != "" {
		message += "; last lines:\n" + tail
	}
	return message
}

// prepare does what comes before the server. A request to stop ends it.
func (s *supervisor) prepare(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watching := make(chan struct{})
	go func() {
		defer close(watching)
		select {
		case <-s.stops:
			cancel(errStopped)
		case <-ctx.Done():
		}
	}()
	err := s.prepareSteps(ctx)
	cancel(nil)
	<-watching
	if errors.Is(context.Cause(ctx), errStopped) {
		return errStopped
	}
	return err
}

func (s *supervisor) prepareSteps(ctx context.Context) error {
	for _, step := range append(append([]Step(nil), s.task.Init...), s.task.Stop.Before...) {
		if step.Func != "" && s.steps[step.Func] == nil {
			return fmt.Errorf("step %s: func %q: this executor has no such function", step.Name, step.Func)
		}
	}
	if s.envErr != nil {
		return s.envErr
	}
	if err := s.places.writeFiles(s.task.Files, s.env); err != nil {
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
		args: args, env: s.env, dir: s.places.sandbox, limits: s.task.Limits,
		stdout: stdout, stderr: stderr,
	}
	return c, func() { stdout.close(); stderr.close() }
}

// logProbe is a probe of kind Log: seen is closed when a line has matched.
type logProbe struct{ seen chan struct{} }

// newLogProbe watches the output, from before the server starts so that no line
// is missed. It returns nil when the probe is of another kind.
func newLogProbe(p *Probe, o *output) *logProbe {
	if p == nil || p.Log == "" {
		return nil
	}
	pattern := regexp.MustCompile(p.Log) // validated
	l := &logProbe{seen: make(chan struct{})}
	matched := false
	o.watchLines(func(line string) {
		if !matched && pattern.MatchString(line) {
			matched = true
			close(l.seen)
		}
	})
	return l
}

// probed is a verdict of one of the two probes of a server.
type probed struct {
	live bool // of Task.Live; otherwise of Task.Ready
	verdict
}

// serverRun is the part of a supervisor's work during which its server runs.
type serverRun struct {
	*supervisor
	process  *process
	lines    *logProbe
	verdicts chan probed

	ready    bool
	killed   bool      // asked to stop from outside: the task ends as killed
	fault    string    // why the supervisor itself stops the server
	phase    stopPhase // how far the stop has come
	deadline <-chan time.Time
	grace    time.Duration
	before   <-chan string // stages of the steps before the signal; closed when they are done
	signal   syscall.Signal
}

// stopPhase says how far the end of a server has come. It only grows.
type stopPhase int

const (
	running    stopPhase = iota
	preparing            // the steps of Stop.Before
	signalled            // Stop.Signal was sent
	terminated           // SIGKILL was sent
)

// wait follows the server until it has ended.
func (r *serverRun) wait(ctx context.Context) exit {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(errEnded)
	within := r.started(ctx)
	for {
		select {
		case x := <-r.process.exit:
			return x
		case grace := <-r.stops:
			r.killed = true
			r.beginStop(ctx, grace)
		case v := <-r.verdicts:
			r.judge(ctx, v)
		case <-within:
			if !r.ready {
				r.fail(ctx, fmt.Sprintf("not ready within %v", r.task.Ready.Within))
			}
		case stage, more := <-r.before:
			if more {
				r.killing(stage)
				continue
			}
			r.before = nil
			r.sendSignal()
		case <-r.deadline:
			r.kill()
		}
	}
}

// started reports the start and begins to probe. The returned channel delivers
// when the server should have become ready.
func (r *serverRun) started(ctx context.Context) (within <-chan time.Time) {
	ready := r.task.Ready
	r.report(ready == nil, fmt.Sprintf("started pid %d", r.process.pid), nil)
	if ready == nil {
		r.becomeReady(ctx)
		return nil
	}
	if ready.Within > 0 {
		within = time.After(ready.Within)
	}
	if r.lines != nil {
		go func() {
			select {
			case <-r.lines.seen:
				r.verdict(ctx, probed{verdict: verdict{ok: true}})
			case <-ctx.Done():
			}
		}()
		return within
	}
	r.probe(ctx, *ready, false)
	return within
}

// probe watches one of the two probes until ctx ends.
func (r *serverRun) probe(ctx context.Context, p Probe, live bool) {
	c, err := newCheck(p, command{env: r.env, dir: r.places.sandbox})
	if err != nil {
		r.fail(ctx, fmt.Sprintf("probe: %v", err))
		return
	}
	go watch(ctx, p, c, live, func(v verdict) { r.verdict(ctx, probed{live, v}) })
}

func (r *serverRun) verdict(ctx context.Context, p probed) {
	select {
	case r.verdicts <- p:
	case <-ctx.Done():
	}
}

func (r *serverRun) becomeReady(ctx context.Context) {
	first := !r.ready
	r.ready = true
	if first && r.task.Live != nil {
		r.probe(ctx, *r.task.Live, true)
	}
}

// judge acts on a verdict. While the server is being stopped it is expected to
// fail, so nothing is said then.
func (r *serverRun) judge(ctx context.Context, v probed) {
	switch {
	case r.phase != running || v.live && v.ok:
	case v.live:
		r.fail(ctx, fmt.Sprintf("no longer alive: %v", v.why))
	case v.ok:
		r.report(true, "ready", mesos.REASON_TASK_HEALTH_CHECK_STATUS_UPDATED.Enum())
		r.becomeReady(ctx)
	default:
		r.report(false, fmt.Sprintf("not ready: %v", v.why), mesos.REASON_TASK_HEALTH_CHECK_STATUS_UPDATED.Enum())
	}
}

func (r *serverRun) report(healthy bool, message string, reason *mesos.TaskStatus_Reason) {
	r.tell(report{state: mesos.TASK_RUNNING, healthy: &healthy, message: message, reason: reason})
}

// killing reports a stage of the stop.
func (r *serverRun) killing(message string) {
	r.log.Info("stopping", "stage", message)
	if r.killed {
		r.tell(report{state: mesos.TASK_KILLING, message: message})
	}
}

// fail stops a server that cannot stay.
func (r *serverRun) fail(ctx context.Context, why string) {
	if r.phase == running {
		r.fault = why
		r.log.Warn("server is stopped", "because", why)
		r.beginStop(ctx, r.patience)
	}
}

// beginStop starts the sequence that ends the server, or only moves its
// deadline when it has begun.
func (r *serverRun) beginStop(ctx context.Context, grace time.Duration) {
	r.grace = grace
	r.deadline = time.After(grace)
	if r.phase != running {
		return
	}
	r.signal, _ = signalNumber(r.task.Stop.Signal) // validated
	if len(r.task.Stop.Before) == 0 {
		r.sendSignal()
		return
	}
	r.phase = preparing
	stages := make(chan string)
	r.before = stages
	go func() {
		defer close(stages)
		r.runBefore(ctx, func(stage string) {
			select {
			case stages <- stage:
			case <-ctx.Done():
			}
		})
	}()
}

// runBefore runs the steps of Stop.Before. What fails there must not keep the
// server from being stopped.
func (r *serverRun) runBefore(ctx context.Context, tell func(stage string)) {
	for _, step := range r.task.Stop.Before {
		tell("stopping: " + step.Name)
		done, err := r.step(ctx, step)
		switch {
		case ctx.Err() != nil:
			return // the server has ended
		case err != nil:
			tell(fmt.Sprintf("%s failed: %v", step.Name, err))
		case done != "":
			tell(done)
		}
	}
}

func (r *serverRun) sendSignal() {
	if r.phase >= signalled {
		return
	}
	r.phase = signalled
	r.killing(fmt.Sprintf("sent %s, SIGKILL after %v", signalName(r.signal), r.grace))
	r.process.signal(r.signal)
}

func (r *serverRun) kill() {
	r.phase = terminated
	r.killing(fmt.Sprintf("sent SIGKILL after %v", r.grace))
	r.process.signal(syscall.SIGKILL)
}

// outcome is the terminal report.
func (r *serverRun) outcome(x exit) report {
	r.log.Info("server ended", "pid", r.process.pid, "how", x, "cpu", x.CPU)
	message := "server " + x.String()
	if r.phase == terminated {
		message += fmt.Sprintf(", not having ended within %v", r.grace)
	}
	failed := mesos.REASON_COMMAND_EXECUTOR_FAILED.Enum()
	if x.OOM {
		failed = mesos.REASON_CONTAINER_LIMITATION_MEMORY.Enum()
	}
	switch {
	case r.fault != "":
		return report{state: mesos.TASK_FAILED, reason: failed, message: r.withTail(r.fault + "; " + message)}
	case r.killed:
		return report{state: mesos.TASK_KILLED, message: r.withTail(message)}
	case x.Signal == 0 && x.Code == 0 && !x.Lost:
		return report{state: mesos.TASK_FINISHED, message: r.withTail(message)}
	}
	return report{state: mesos.TASK_FAILED, reason: failed, message: r.withTail(message)}
}
