package executor

import (
	"context"
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

// serverRun is the part of a supervisor's work during which its server runs.
type serverRun struct {
	*supervisor
	process  *process
	lines    *logProbe
	verdicts chan probed

	passing  bool // the last verdict on readiness
	ready    bool
	killed   bool      // asked to stop from outside: the task ends as killed
	fault    string    // why the supervisor itself stops the server
	phase    stopPhase // how far the stop has come
	deadline <-chan time.Time
	grace    time.Duration
	before   <-chan string // stages of the steps before the signal; closed when they are done
	signal   syscall.Signal
	overdue  bool // it did not end within grace
	lease    leaseRun
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
	defer r.beginLease()()
	var sample <-chan time.Time
	if every := r.task.Sample; every > 0 {
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		sample = ticker.C
	}
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
		case <-sample:
			r.sample()
		case m := <-r.inbox:
			r.granted(m)
		case <-r.lease.renew:
			r.say(Renew{r.id, r.grants.ask(time.Now())})
		case <-r.lease.end:
			r.lapse(ctx)
		case err := <-r.lease.ended:
			r.lapseEnded(err)
		}
	}
}

// sample tells what the server uses. What cannot be known now may be next time.
func (r *serverRun) sample() {
	u, err := r.usage()
	if err != nil {
		r.log.Warn("usage is not sampled", "error", err)
		return
	}
	r.say(u)
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
	c, err := r.check(p)
	if err != nil {
		r.fail(ctx, fmt.Sprintf("probe: %v", err))
		return
	}
	go watch(ctx, p, c, live, func(v verdict) { r.verdict(ctx, probed{live, v}) })
}

func (r *serverRun) check(p Probe) (check, error) {
	if p.Func == "" {
		return newCheck(p, command{env: r.env, dir: r.dir(), user: r.user})
	}
	return func(ctx context.Context) error {
		_, err := r.call(ctx, r.steps[p.Func], "")
		return err
	}, nil
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

// report tells how the server is. Whoever has lost the lease is not healthy.
func (r *serverRun) report(healthy bool, message string, reason *mesos.TaskStatus_Reason) {
	r.passing = healthy
	healthy = healthy && !r.lease.lapsed
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
	r.overdue = true
	r.killing(fmt.Sprintf("sent SIGKILL after %v", r.grace))
	r.process.kill()
}

// outcome is the terminal report.
func (r *serverRun) outcome(x exit) report {
	r.log.Info("server ended", "pid", r.process.pid, "how", x, "cpu", x.CPU)
	message := "server " + x.String()
	if r.task.Lease != nil && r.fault == "" && x.Signal == syscall.SIGKILL && time.Now().After(r.grants.until) {
		// The guard was faster, for instance because the executor was frozen.
		r.fault = fmt.Sprintf("lease ended: no grant for %v", r.task.Lease.Within)
	}
	if r.overdue {
		message += fmt.Sprintf(", not having ended within %v", r.grace)
	}
	failed := mesos.REASON_COMMAND_EXECUTOR_FAILED.Enum()
	if x.OOM {
		failed = mesos.REASON_CONTAINER_LIMITATION_MEMORY.Enum()
	}
	if r.fault != "" {
		message = r.fault + "; " + message
	}
	switch {
	case r.killed:
		return report{state: mesos.TASK_KILLED, message: r.withTail(message)}
	case r.fault != "":
		return report{state: mesos.TASK_FAILED, reason: failed, message: r.withTail(message)}
	case x.Signal == 0 && x.Code == 0 && !x.Lost:
		return report{state: mesos.TASK_FINISHED, message: r.withTail(message)}
	}
	return report{state: mesos.TASK_FAILED, reason: failed, message: r.withTail(message)}
}
