package executor

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"syscall"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

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

// programRun is one run of a program, from its start to its end.
type programRun struct {
	*program
	process  *process
	line     *logProbe
	verdicts chan probed

	passing bool // the last verdict on readiness
	ready   bool
	killed  bool             // asked to stop from outside: the task ends as killed
	fault   string           // why the supervisor itself stops the program
	phase   stopPhase        // how far the stop has come
	end     <-chan time.Time // of grace
	grace   time.Duration
	before  <-chan string // stages of the steps before the signal; closed when they are done
	signal  syscall.Signal
	overdue bool     // it did not end within grace
	lease   leaseRun // of a server
}

// stopPhase says how far the end of a program has come. It only grows.
type stopPhase int

const (
	running    stopPhase = iota
	preparing            // the steps of Stop.Before
	signalled            // Stop.Signal was sent
	terminated           // SIGKILL was sent
)

// wait follows the program until it has ended.
func (r *programRun) wait(work context.Context) exit {
	ctx, cancel := context.WithCancelCause(work)
	defer cancel(errEnded)
	within := r.started(ctx)
	if r.isServer() {
		r.startOthers(work)
	}
	defer r.beginLease()()
	var sample <-chan time.Time
	if every := r.task.Sample; every > 0 && r.isServer() {
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		sample = ticker.C
	}
	failures := r.failures()
	for {
		select {
		case x := <-r.process.exit:
			return x
		case grace := <-r.stops:
			r.killed = true
			r.asked(grace)
			r.beginStop(ctx, grace)
		case why := <-failures:
			r.fail(ctx, why)
		case v := <-r.verdicts:
			r.judge(ctx, v)
		case <-within:
			if !r.ready {
				r.fail(ctx, fmt.Sprintf("not ready within %v", r.spec.Ready.Within))
			}
		case stage, more := <-r.before:
			if more {
				r.killing(stage)
				continue
			}
			r.before = nil
			r.sendSignal()
		case <-r.end:
			r.kill()
		case <-sample:
			r.sample()
		case m := <-r.lease.inbox:
			r.granted(ctx, m)
		case <-r.lease.renew:
			r.say(Renew{r.id, r.grants.ask(time.Now())})
		case <-r.lease.end:
			r.lapse(ctx)
		case err := <-r.lease.ended:
			r.lapseEnded(err)
		case err := <-r.lease.undone:
			r.leaseUndone(ctx, err)
		}
	}
}

// sample tells what the server uses. What cannot be known now may be next time.
func (r *programRun) sample() {
	u, err := r.usage()
	if err != nil {
		r.log.Warn("usage is not sampled", "error", err)
		return
	}
	r.say(u)
}

// started reports the start and begins to probe. The returned channel delivers
// when the program should have become ready.
func (r *programRun) started(ctx context.Context) (within <-chan time.Time) {
	ready := r.spec.Ready
	r.health(ready == nil, fmt.Sprintf("started pid %d", r.process.pid), nil)
	if ready == nil {
		r.becomeReady(ctx)
		return nil
	}
	if ready.Within > 0 {
		within = time.After(ready.Within)
	}
	if r.line != nil {
		go func() {
			select {
			case <-r.line.seen:
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
func (r *programRun) probe(ctx context.Context, p Probe, live bool) {
	c, err := r.check(p)
	if err != nil {
		r.fail(ctx, fmt.Sprintf("probe: %v", err))
		return
	}
	go watch(ctx, p, c, live, func(v verdict) { r.verdict(ctx, probed{live, v}) })
}

func (r *programRun) check(p Probe) (check, error) {
	if p.Func == "" {
		return newCheck(p, command{env: r.vars, dir: r.dir(), limits: r.task.Limits, user: r.user})
	}
	running := make(chan struct{}, 1) // has an element while the function runs
	f := func(ctx context.Context, s Sandbox) error {
		defer func() { <-running }()
		return r.steps[p.Func](ctx, s)
	}
	return func(ctx context.Context) error {
		select {
		case running <- struct{}{}:
		default: // it did not heed the end of its last attempt
			return fmt.Errorf("func %q: %w", p.Func, errLeft)
		}
		_, err := r.call(ctx, f, "")
		return err
	}, nil
}

func (r *programRun) verdict(ctx context.Context, p probed) {
	select {
	case r.verdicts <- p:
	case <-ctx.Done():
	}
}

func (r *programRun) becomeReady(ctx context.Context) {
	first := !r.ready
	r.ready = true
	r.became.Do(func() { close(r.program.ready) })
	if first && r.spec.Live != nil {
		r.probe(ctx, *r.spec.Live, true)
	}
}

// judge acts on a verdict. While the server is being stopped it is expected to
// fail, so nothing is said then.
func (r *programRun) judge(ctx context.Context, v probed) {
	switch {
	case r.phase != running || v.live && v.ok:
	case v.live:
		r.fail(ctx, fmt.Sprintf("no longer alive: %v", v.why))
	case errors.Is(v.why, ErrHopeless):
		r.fail(ctx, fmt.Sprintf("never ready: %v", v.why))
	case v.ok:
		r.health(true, "ready", mesos.REASON_TASK_HEALTH_CHECK_STATUS_UPDATED.Enum())
		r.becomeReady(ctx)
	default:
		r.health(false, fmt.Sprintf("not ready: %v", v.why), mesos.REASON_TASK_HEALTH_CHECK_STATUS_UPDATED.Enum())
	}
}

// health tells how the program is. A server that has lost its lease is not well.
func (r *programRun) health(passing bool, message string, reason *mesos.TaskStatus_Reason) {
	r.passing = passing
	r.report(passing && !r.lease.lapsed, message, reason)
}

// killing reports a stage of the stop.
func (r *programRun) killing(message string) {
	r.log.Info("stopping", "program", r.title(), "stage", message)
	if r.killed && r.isServer() {
		r.tell(report{state: mesos.TASK_KILLING, message: message})
	}
}

// fail stops a program that cannot stay.
func (r *programRun) fail(ctx context.Context, why string) {
	if r.phase == running {
		r.fault = why
		r.log.Warn(r.title()+" is stopped", "because", why)
		r.beginStop(ctx, r.patience)
	}
}

// atOnce is the grace below which a program is not asked, but killed: Kill of a
// scheduler that fences says the least that Mesos has words for. A server that
// is asked to end may still acknowledge what it must not.
const atOnce = time.Millisecond

// beginStop starts the sequence that ends a program, or only moves its deadline
// when it has begun.
func (r *programRun) beginStop(ctx context.Context, grace time.Duration) {
	r.grace = grace
	if grace < atOnce && r.phase != terminated {
		r.kill()
		return
	}
	r.end = time.After(grace)
	if r.phase != running {
		return
	}
	var sidecars []*sidecar // to be stopped before it
	if r.killed && r.isServer() {
		r.standing.settle()
		sidecars = r.running(false)
	}
	r.signal, _ = signalNumber(r.spec.Stop.Signal) // validated
	if len(r.spec.Stop.Before) == 0 && len(sidecars) == 0 {
		r.sendSignal()
		return
	}
	r.phase = preparing
	stages := make(chan string)
	r.before = stages
	deadline := r.deadline
	go func() {
		defer close(stages)
		tell := func(stage string) {
			select {
			case stages <- stage:
			case <-ctx.Done():
			}
		}
		r.runBefore(ctx, tell)
		for _, c := range sidecars {
			tell("stopping: " + c.title())
			c.stop(deadline)
			select {
			case <-c.ended:
			case <-ctx.Done():
			}
		}
	}()
}

// runBefore runs the steps of Stop.Before. What fails there must not keep the
// program from being stopped.
func (r *programRun) runBefore(ctx context.Context, tell func(stage string)) {
	for _, step := range r.spec.Stop.Before {
		tell("stopping: " + step.Name)
		done, err := r.step(ctx, step)
		switch {
		case ctx.Err() != nil:
			return // the program has ended
		case err != nil:
			tell(fmt.Sprintf("%s failed: %v", step.Name, err))
		case done != "":
			tell(done)
		}
	}
}

func (r *programRun) sendSignal() {
	if r.phase >= signalled {
		return
	}
	r.phase = signalled
	r.killing(fmt.Sprintf("sent %s, SIGKILL after %v", signalName(r.signal), r.grace))
	r.process.signal(r.signal)
}

func (r *programRun) kill() {
	r.phase = terminated
	r.overdue = true
	r.killing(fmt.Sprintf("sent SIGKILL after %v", r.grace))
	r.process.kill()
}

// outcome is the report of the end.
func (r *programRun) outcome(x exit) report {
	r.log.Info(r.title()+" ended", "pid", r.process.pid, "how", x, "cpu", x.CPU)
	message := x.String()
	if r.isServer() {
		message = "server " + message
		r.blameLease(x)
	}
	if r.overdue {
		message += fmt.Sprintf(", not having ended within %v", r.grace)
	}
	if r.fault != "" {
		message = r.fault + "; " + message
	}
	last := report{state: mesos.TASK_FAILED, message: r.lines.after(message)}
	switch {
	case r.killed:
		last.state = mesos.TASK_KILLED
	case r.fault == "" && x.Signal == 0 && x.Code == 0 && !x.Lost:
		last.state = mesos.TASK_FINISHED
	case x.OOM:
		last.reason = mesos.REASON_CONTAINER_LIMITATION_MEMORY.Enum()
	default:
		last.reason = mesos.REASON_COMMAND_EXECUTOR_FAILED.Enum()
	}
	return last
}

// outOfMemory tells whether it was for want of memory that the program has ended,
// by how many processes the kernel has killed for that in the container before it
// started and by now. It may have been a child of the program, which then could
// not go on.
func (r *programRun) outOfMemory(x exit, before, after int) bool {
	if before < 0 || after <= before || x.Lost {
		return false
	}
	if x.Signal == syscall.SIGKILL {
		return r.phase != terminated
	}
	return r.phase == running && (x.Signal != 0 || x.Code != 0)
}
