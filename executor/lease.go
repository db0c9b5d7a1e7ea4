package executor

import (
	"context"
	"errors"
	"fmt"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

// A Lease is for a server that must never run twice, such as a primary that
// takes writes. It may do so only while the scheduler goes on to grant it; when
// the grants stop coming, for whatever reason, it is stopped or made harmless
// by itself, so that after Over the scheduler may start another elsewhere, even
// if it can no longer reach this one.
//
// The executor asks with Renew and the scheduler answers with Grant. A grant
// counts from the moment at which it was asked for, on the executor's clock, so
// the time that messages take only shortens it. A frozen executor does not
// lengthen it: the guard process keeps the time too. Suspending the whole
// machine does, because its clock stands still with it.
//
// The lease is the server's: sidecars run without it, and end with the task.
type Lease struct {
	// Within is how long a grant holds: at least one second. The executor asks four
	// times as often.
	Within time.Duration `json:"within"`
	// End makes the server harmless when the lease has ended, for instance read-only.
	// It must have a Timeout. The server then stays, unhealthy, with the message
	// "lease ended: " and the step's Done. If End fails or is nil, the server is
	// killed with SIGKILL and the task fails.
	End *Step `json:"end,omitempty"`
	// Again undoes End when a lease that has ended is granted anew, for instance makes
	// the server writable; without it nothing is done then. It must have a Timeout.
	// The message is "lease granted again: " and the step's Done. If Again fails the
	// server stays unhealthy, and it is tried with the next grant. If the lease ends
	// during Again, that is broken off before End runs.
	Again *Step `json:"again,omitempty"`
}

// Renew asks for a lease.
type Renew struct {
	Task string `json:"task"`
	// Number tells the attempts apart.
	Number int `json:"number"`
}

// Grant answers a Renew: it repeats Task and Number. A scheduler that has given
// the task up does not answer.
type Grant struct {
	Task   string `json:"task"`
	Number int    `json:"number"`
}

func (Renew) message() {}
func (Grant) message() {}

// Over tells when a server has surely ended, or become harmless, whose last
// Grant was sent at that time. It allows the clocks of two machines to differ in
// speed by a twentieth; with a lease of a few seconds little of that is left for
// the kernel to end the server in. The scheduler's own clock must not be set
// forward meanwhile, nor may another scheduler with another clock judge by a time
// that this one stored: see scheduler.View.Steady.
func (l Lease) Over(lastGrant time.Time) time.Time {
	return lastGrant.Add((l.Within + l.endTimeout()) * 21 / 20)
}

func (l Lease) endTimeout() time.Duration {
	if l.End == nil {
		return 0
	}
	return l.End.Timeout
}

func (l *Lease) validate() error {
	switch {
	case l == nil:
		return nil
	case l.Within < time.Second:
		return fmt.Errorf("lease.within %v: want at least 1s", l.Within)
	case l.End != nil && l.End.Timeout <= 0:
		return fmt.Errorf("lease.end.timeout %v: want more than zero, as it delays the end of the lease", l.End.Timeout)
	case l.Again != nil && l.End == nil:
		return fmt.Errorf("lease.again (%s) without lease.end: there would be nothing to undo", l.Again.Name)
	case l.Again != nil && l.Again.Timeout <= 0:
		return fmt.Errorf("lease.again.timeout %v: want more than zero", l.Again.Timeout)
	}
	if l.End != nil {
		if err := l.End.validate(); err != nil {
			return fmt.Errorf("lease.end.%w", err)
		}
	}
	if l.Again != nil {
		if err := l.Again.validate(); err != nil {
			return fmt.Errorf("lease.again.%w", err)
		}
	}
	return nil
}

// grants is what an executor knows of one lease.
type grants struct {
	within time.Duration
	asked  []time.Time // of the latest attempts, at most maxAsked
	first  int         // the number of asked[0]
	until  time.Time   // when the lease ends; zero: it was never granted
}

// maxAsked is how many attempts may still be answered: those of the last two
// terms and more. An older answer would not lengthen anything.
const maxAsked = 16

// ask returns the number of a new attempt.
func (g *grants) ask(now time.Time) (number int) {
	g.asked = append(g.asked, now)
	if len(g.asked) > maxAsked {
		g.asked = g.asked[1:]
		g.first++
	}
	return g.first + len(g.asked) - 1
}

// grant takes an answer and tells whether the lease holds longer because of it.
func (g *grants) grant(number int) bool {
	i := number - g.first
	if i < 0 || i >= len(g.asked) {
		return false
	}
	until := g.asked[i].Add(g.within)
	if !until.After(g.until) {
		return false
	}
	g.until = until
	return true
}

// awaitLease asks for the lease until it is granted.
func (s *supervisor) awaitLease(ctx context.Context) error {
	s.grants.within = s.task.Lease.Within
	again := time.NewTicker(s.task.Lease.Within / 4)
	defer again.Stop()
	s.say(Renew{s.id, s.grants.ask(time.Now())})
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-again.C:
			s.say(Renew{s.id, s.grants.ask(time.Now())})
		case why := <-s.failed: // an essential sidecar that was ready has ended
			return errors.New(why)
		case m := <-s.inbox:
			g, ok := m.(Grant)
			if ok && s.grants.grant(g.Number) && time.Now().Before(s.grants.until) {
				s.tell(report{state: mesos.TASK_STARTING, message: "lease granted"})
				return nil
			}
		}
	}
}

// leaseRun keeps the lease of a running server. Without a lease its channels are
// nil and never deliver.
type leaseRun struct {
	inbox <-chan Message   // gets grants
	renew <-chan time.Time // time to ask again
	end   <-chan time.Time // the lease has ended; nil: it had, and was not granted since

	lapsed bool         // the server is not to work: Lease.End was begun, and not undone since
	ended  <-chan error // Lease.End is done; nil: it is not under way
	undone <-chan error // Lease.Again is done; nil: it is not under way
	undo   func()       // breaks Lease.Again off
}

func (r *programRun) beginLease() (stop func()) {
	if r.task.Lease == nil || !r.isServer() {
		return func() {}
	}
	r.lease.inbox = r.inbox
	ticker := time.NewTicker(r.task.Lease.Within / 4)
	r.lease.renew = ticker.C
	r.holdLease()
	return ticker.Stop
}

// leaseLeft is how long the guard is to let the server run.
func (s *supervisor) leaseLeft() time.Duration {
	return max(1, time.Until(s.grants.until)+s.task.Lease.endTimeout())
}

// holdLease lets the server run until the lease ends, and has the guard kill
// it should the executor then be unable to.
func (r *programRun) holdLease() {
	r.lease.end = time.After(time.Until(r.grants.until))
	r.process.hold(r.leaseLeft())
}

func (r *programRun) granted(ctx context.Context, m Message) {
	g, ok := m.(Grant)
	if !ok || !r.grants.grant(g.Number) || time.Now().After(r.grants.until) {
		return
	}
	if r.lease.ended != nil || r.phase == terminated {
		return // too late: the end is under way, and asks again when it is done
	}
	// From here on the lease ends anew, also while it is being undone.
	r.holdLease()
	switch {
	case !r.lease.lapsed || r.lease.undone != nil || r.phase != running:
	case r.task.Lease.Again == nil:
		r.lease.lapsed = false
		r.health(r.passing, "lease granted again", nil)
	default:
		ctx, cancel := context.WithCancel(ctx)
		r.lease.undo = cancel
		r.lease.undone = r.leaseStep(ctx, *r.task.Lease.Again)
	}
}

// leaseStep begins a step and returns what delivers its end.
func (r *programRun) leaseStep(ctx context.Context, step Step) <-chan error {
	ended := make(chan error, 1)
	go func() {
		_, err := r.step(ctx, step)
		ended <- err
	}()
	return ended
}

// leaseUndone is called when Lease.Again is done.
func (r *programRun) leaseUndone(ctx context.Context, err error) {
	r.lease.undone = nil
	r.lease.undo()
	again := r.task.Lease.Again
	switch {
	case errors.Is(err, errLeft): // it may yet undo what End does
		r.lapseKill(fmt.Sprintf("lease granted again, but %s: %v", again.Name, err))
	case r.lease.end == nil: // it has ended meanwhile
		r.beginLapse(ctx)
	case r.phase != running:
		r.lease.lapsed = err != nil // a server that is being stopped is not well again
	case err != nil:
		r.health(r.passing, fmt.Sprintf("lease granted again, but %s failed: %v", again.Name, err), nil)
	default:
		r.lease.lapsed = false
		r.health(r.passing, "lease granted again: "+again.done(), nil)
	}
}

// lapse is called when the lease has ended.
func (r *programRun) lapse(ctx context.Context) {
	r.lease.end = nil
	r.lease.lapsed = true
	r.log.Warn("lease ended", "within", r.task.Lease.Within)
	if r.lease.undone != nil {
		r.lease.undo() // what undoes Lease.End must be over before that runs
		return
	}
	r.beginLapse(ctx)
}

func (r *programRun) beginLapse(ctx context.Context) {
	if r.task.Lease.End == nil {
		r.lapseKill(r.lapseFault(nil))
		return
	}
	r.lease.ended = r.leaseStep(ctx, *r.task.Lease.End)
}

// lapseEnded is called when Lease.End is done.
func (r *programRun) lapseEnded(err error) {
	r.lease.ended = nil
	if err != nil {
		r.lapseKill(r.lapseFault(fmt.Errorf("%s: %w", r.task.Lease.End.Name, err)))
		return
	}
	r.process.hold(0)
	if r.phase == running {
		r.health(r.passing, "lease ended: "+r.task.Lease.End.done(), nil)
	}
}

// blameLease gives the end of the lease as the fault where the guard was faster
// than the executor, for instance because that was frozen.
func (r *programRun) blameLease(x exit) {
	if x.Held && r.fault == "" {
		r.fault = r.lapseFault(nil)
	}
}

// lapseFault says that the lease has ended, and why the server could not stay.
func (r *programRun) lapseFault(err error) string {
	return errors.Join(fmt.Errorf("lease ended: no grant for %v", r.task.Lease.Within), err).Error()
}

func (r *programRun) lapseKill(fault string) {
	r.phase = terminated
	r.fault = fault
	r.process.kill()
}
