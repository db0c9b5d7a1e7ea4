package executor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

// A Sidecar is a process that a task keeps running beside its server: an exporter
// of its metrics, or the failover controller of a name node. It has a process
// group and a guard of its own; user, limits, files and sandbox are the task's.
//
// The task is one for Mesos, with one status. Updates that concern a sidecar
// begin with "sidecar" and its name, and the task is healthy when its server
// and all sidecars that are Essential are.
//
// A sidecar is to run for as long as the server does, so each end of its own is
// a failure, also one with status 0. It is then started again as Restart
// allows, also when the server is; after that, the task goes on without it,
// unless it is Essential. When the server has ended, its sidecars are stopped,
// and then the task ends as the server did.
type Sidecar struct {
	// Name tells the sidecars of a task apart.
	Name string `json:"name"`
	// Command is the program and its arguments, as Task.Command.
	Command []string `json:"command"`
	// First sidecars start, in order, before the server does, each when the one
	// before is ready, and are stopped after it. The others start, in order and
	// without waiting, as soon as the server runs. When the task is killed they are
	// stopped before the server, after the steps of Stop.Before, which may need
	// them. All of them stop in the reverse of the order in which they started.
	First bool `json:"first,omitempty"`
	// Essential has the task fail, its server stopped, when the sidecar has ended
	// for good.
	Essential bool `json:"essential,omitempty"`
	// Dir is where it runs, as Task.Dir.
	Dir string `json:"dir,omitempty"`
	// Env are variables besides those of the task, whose values they may refer to.
	Env map[string]string `json:"env,omitempty"`
	// Ready, Live and Restart are those of the sidecar, as in Task. The steps of
	// Stop.Before run as the task's.
	Ready   *Probe  `json:"ready,omitempty"`
	Live    *Probe  `json:"live,omitempty"`
	Restart Restart `json:"restart,omitzero"`
	// Stop is how it is asked to end. Its Grace is five seconds when zero, and
	// never reaches beyond the end of the task's.
	Stop Stop `json:"stop,omitzero"`
}

// sidecarGrace is the grace period of a sidecar that names none.
const sidecarGrace = 5 * time.Second

func validateSidecars(sidecars []Sidecar) error {
	for i, c := range sidecars {
		if c.Name == "" {
			return fmt.Errorf("sidecars[%d].name is empty: want what to call it", i)
		}
		if slices.ContainsFunc(sidecars[:i], func(other Sidecar) bool { return other.Name == c.Name }) {
			return fmt.Errorf("sidecars[%d].name %q is there twice", i, c.Name)
		}
		if err := c.validate(); err != nil {
			return fmt.Errorf("sidecars[%d].%w (sidecar %s)", i, err, c.Name)
		}
	}
	return nil
}

// validate checks what a sidecar has in common with the server of a task.
func (c Sidecar) validate() error {
	if len(c.Command) == 0 || c.Command[0] == "" {
		return errors.New("command is empty: want a program and its arguments")
	}
	if c.Dir != "" {
		if err := validatePath(c.Dir); err != nil {
			return fmt.Errorf("dir %w", err)
		}
	}
	if err := validateEnv(c.Env); err != nil {
		return err
	}
	if err := c.Ready.validate(); err != nil {
		return fmt.Errorf("ready.%w", err)
	}
	if err := c.Live.validate(); err != nil {
		return fmt.Errorf("live.%w", err)
	}
	if c.Live != nil && c.Live.Log != "" {
		return fmt.Errorf("live.log %q: a log line that was once seen says nothing about later: want tcp, http, command or func", c.Live.Log)
	}
	if err := c.Restart.validate(); err != nil {
		return err
	}
	return c.Stop.validate()
}

// server is the server of t as a sidecar is described.
func (t Task) server() Sidecar {
	return Sidecar{Command: t.Command, Dir: t.Dir, Env: t.Env, Ready: t.Ready, Live: t.Live, Restart: t.Restart, Stop: t.Stop}
}

// sidecar is one that belongs to a supervisor, whose goroutine starts and stops
// it. It runs in a goroutine of its own.
type sidecar struct {
	*program
	begun bool               // it was started
	end   chan time.Duration // asks it to stop, within that time
	ended chan struct{}      // closed when it has ended for good
}

func newSidecar(s *supervisor, spec Sidecar) *sidecar {
	c := &sidecar{end: make(chan time.Duration, 16), ended: make(chan struct{})}
	patience := spec.Stop.Grace
	if patience == 0 {
		patience = sidecarGrace
	}
	c.program = newProgram(s, spec, c.end, patience)
	return c
}

// start lets it run. When it ends though nobody has asked, that is told, and a
// task to which it is essential hears of it through failed.
func (c *sidecar) start(ctx context.Context) {
	c.begun = true
	go func() {
		defer close(c.ended)
		last := c.keep(ctx)
		if last.state == mesos.TASK_KILLED {
			return
		}
		c.report(false, last.message, last.reason)
		if c.spec.Essential {
			why, _, _ := strings.Cut(last.message, lastLines)
			c.failed <- c.title() + ": " + why
		}
	}()
}

// startFirst starts the sidecars that come before the server. work is their
// context, and that of ctx ends the wait for them.
func (s *supervisor) startFirst(ctx, work context.Context) error {
	for _, c := range s.sidecars {
		if !c.spec.First {
			continue
		}
		c.start(work)
		select {
		case <-c.ready:
		case why := <-s.failed: // perhaps one that was ready
			return errors.New(why)
		case <-c.ended:
			if c.spec.Essential {
				return errors.New(<-s.failed)
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// startOthers starts the sidecars that come after the server, once.
func (s *supervisor) startOthers(work context.Context) {
	for _, c := range s.sidecars {
		if !c.begun {
			c.start(work)
		}
	}
}

// running are the sidecars to be stopped, in that order.
func (s *supervisor) running(first bool) []*sidecar {
	var all []*sidecar
	for _, c := range slices.Backward(s.sidecars) {
		if c.begun && c.spec.First == first {
			all = append(all, c)
		}
	}
	return all
}

// stop asks the sidecar to end within its own grace and by the deadline, unless
// that is zero.
func (c *sidecar) stop(deadline time.Time) {
	grace := c.patience
	if !deadline.IsZero() {
		grace = max(0, min(grace, time.Until(deadline)))
	}
	select {
	case c.end <- grace:
	default: // so many requests are waiting that one more tells nothing
	}
}

// stopSidecars ends all sidecars when the server has ended, or will not start.
// A request to stop that comes meanwhile may shorten the time.
func (s *supervisor) stopSidecars() {
	s.standing.settle()
	for _, c := range append(s.running(false), s.running(true)...) {
		c.stop(s.deadline)
		for ended := false; !ended; {
			select {
			case <-c.ended:
				ended = true
			case grace := <-s.stops:
				s.deadline = time.Now().Add(grace)
				c.stop(s.deadline)
			}
		}
	}
}
