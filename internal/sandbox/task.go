package sandbox

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"syscall"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

// TaskConfig is what it takes to run a command task.
type TaskConfig struct {
	// Container says where and how; its Command is the task's and need not be
	// set.
	Container Config
	// Task brings a command and no executor.
	Task mesos.TaskInfo
	// Killing says that the framework has the capability TASK_KILLING_STATE
	// and is told of it.
	Killing bool
	// Address is where HTTP and TCP checks connect to, a host without a port.
	// Empty is 127.0.0.1, the only one that Mesos knows; health checks over
	// IPv6 always connect to ::1.
	Address string
	// Report gets every status of the task, in order, from one goroutine. It
	// may block, but not for Destroy: the task goes on and its statuses wait. They carry the task
	// and executor IDs, state, source, timestamp, UUID, and where they apply
	// message, reason, healthy and check_status; the agent's ID and the
	// container's status are for the agent to add.
	Report func(mesos.TaskStatus)
}

// defaultGrace is how long a task has between SIGTERM and SIGKILL when no kill
// policy says otherwise, as in Mesos's command executor.
const defaultGrace = 3 * time.Second

// lingering is how long processes that the task left behind may go on after
// its end: as long as the command executor stays to see its last status off.
const lingering = time.Second

// A Task is a command task: a container and the executor that Mesos would put
// in front of it (src/launcher/executor.cpp). As that executor is a process of
// its own, an agent that only plays its restart keeps its tasks and lets Report
// block until it is back; [AttachTask] is for another program. It is safe for
// use by several goroutines.
type Task struct {
	cfg       TaskConfig
	container *Container

	kills     chan time.Duration // grace periods asked for
	abandoned context.Context    // ended by Destroy: report no more
	abandon   context.CancelFunc
	statuses  *mailbox[mesos.TaskStatus]
	done      chan struct{} // closed when all is reported and no process is left
}

// StartTask starts the container of a command task and then reports
// TASK_STARTING, TASK_RUNNING and what follows. The context bounds the
// fetching; it does not end the task. The error is a *[LaunchError], and then
// nothing is reported.
func StartTask(ctx context.Context, cfg TaskConfig) (*Task, error) {
	if err := cfg.takeCommand(); err != nil {
		return nil, launchError(err)
	}
	c, err := Start(ctx, cfg.Container)
	if err != nil {
		return nil, err
	}
	t := newTask(cfg, c)
	t.report(t.status(mesos.TASK_STARTING))
	running := t.status(mesos.TASK_RUNNING)
	t.report(running)
	go t.run(running)
	return t, nil
}

// takeCommand makes the task's command that of the container.
func (cfg *TaskConfig) takeCommand() error {
	if cfg.Task.Command == nil || cfg.Task.Command.Value == nil {
		return fmt.Errorf("sandbox: task %q has no command value", cfg.Task.TaskID.Value)
	}
	cfg.Container.Command = *cfg.Task.Command
	return nil
}

// AttachTask takes up a command task that was started earlier and whose
// TASK_RUNNING was reported, perhaps by another program. Its checks start
// anew. If the task ended meanwhile and nobody saw how, it has failed.
func AttachTask(cfg TaskConfig) (*Task, error) {
	if err := cfg.takeCommand(); err != nil {
		return nil, err
	}
	c, err := Attach(cfg.Container.WorkDir, cfg.Container.Run)
	if err != nil {
		return nil, err
	}
	if c.vars, err = cfg.Container.variables(c.Directory()); err != nil {
		return nil, err
	}
	if c.owner, err = cfg.Container.owner(); err != nil {
		return nil, err
	}
	t := newTask(cfg, c)
	go t.run(t.status(mesos.TASK_RUNNING))
	return t, nil
}

func newTask(cfg TaskConfig, c *Container) *Task {
	t := &Task{
		cfg: cfg, container: c,
		kills:    make(chan time.Duration),
		statuses: newMailbox[mesos.TaskStatus](),
		done:     make(chan struct{}),
	}
	t.abandoned, t.abandon = context.WithCancel(context.Background())
	return t
}

// Container is the task's container. To destroy it use [Task.Destroy].
func (t *Task) Container() *Container { return t.container }

// Done is closed when the last status has been reported and no process of the
// task is left.
func (t *Task) Done() <-chan struct{} { return t.done }

// Kill asks the task to end: SIGTERM now, SIGKILL when the grace period is
// over. The policy may be nil; it wins over the task's own. Asking again can
// only shorten the time that is left.
func (t *Task) Kill(policy *mesos.KillPolicy) { t.askKill(t.grace(policy)) }

// grace is the time between SIGTERM and SIGKILL under the policy, which may be
// nil, and the task's own.
func (t *Task) grace(policy *mesos.KillPolicy) time.Duration {
	for _, p := range []*mesos.KillPolicy{policy, t.cfg.Task.KillPolicy} {
		if g := p.GetGracePeriod(); g != nil {
			return time.Duration(g.Nanoseconds)
		}
	}
	return defaultGrace
}

// Shutdown asks the task to end because its executor has to: with what the
// agent's shutdown grace leaves after the two seconds that the command
// executor keeps for itself.
func (t *Task) Shutdown() {
	t.askKill(max(0, t.cfg.Container.Environment.ShutdownGrace-2*time.Second))
}

func (t *Task) askKill(grace time.Duration) {
	select {
	case t.kills <- grace:
	case <-t.container.Done():
	case <-t.done:
	}
}

// Destroy kills every process of the task at once and reports nothing more,
// as when the whole agent goes. It returns when no process is left.
func (t *Task) Destroy(ctx context.Context) error {
	t.abandon()
	if err := t.container.Destroy(ctx); err != nil {
		return err
	}
	select {
	case <-t.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("sandbox: destroying task %s: %w", t.cfg.Task.TaskID.Value, context.Cause(ctx))
	}
}

// run is the life of the task from TASK_RUNNING on. Nobody else changes its
// state, and nothing that it does may block, so that it is there to escalate.
func (t *Task) run(last mesos.TaskStatus) {
	defer close(t.done)
	reported := make(chan struct{})
	go t.deliver(reported)
	checking, stop := context.WithCancel(t.abandoned)
	var checks sync.WaitGroup
	results := make(chan checkResult)
	t.startChecks(checking, &checks, results)
	l := life{task: t, last: last, results: results, stopChecks: stop}
	l.live()
	stop()
	checks.Wait()
	t.settle()
	t.statuses.close()
	<-reported
}

// deliver hands the statuses to the agent.
func (t *Task) deliver(reported chan<- struct{}) {
	defer close(reported)
	for status := range t.statuses.all(t.abandoned) {
		t.cfg.Report(status)
	}
}

// settle ends what the task left behind.
func (t *Task) settle() {
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for end := time.Now().Add(lingering); time.Now().Before(end); <-tick.C {
		if left, err := t.container.members(); err != nil || len(left) == 0 || t.abandoned.Err() != nil {
			break
		}
	}
	// Destroy gives up only on a process that SIGKILL does not end.
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_ = t.container.Destroy(ctx)
}

func (t *Task) report(s mesos.TaskStatus) { t.statuses.put(s) }

// status is a status of the task from scratch, with an empty check status if
// it is checked, as the command executor makes them.
func (t *Task) status(state mesos.TaskState) mesos.TaskStatus {
	source := mesos.SOURCE_EXECUTOR
	s := mesos.TaskStatus{
		TaskID:     t.cfg.Task.TaskID,
		State:      &state,
		Source:     &source,
		ExecutorID: &mesos.ExecutorID{Value: t.cfg.Container.Run.ExecutorID},
	}
	if c := t.cfg.Task.Check; c != nil {
		s.CheckStatus = emptyCheckStatus(c.Type)
	}
	return stamp(s)
}

// stamp makes a status a new one: with a UUID and a time of its own.
func stamp(s mesos.TaskStatus) mesos.TaskStatus {
	now := float64(time.Now().UnixMicro()) / 1e6
	s.Timestamp = &now
	s.UUID = make([]byte, 16)
	_, _ = rand.Read(s.UUID)          // never fails
	s.UUID[6] = s.UUID[6]&0x0f | 0x40 // RFC 9562: version 4
	s.UUID[8] = s.UUID[8]&0x3f | 0x80 // and its variant
	return s
}

// life is the state of a running task; one goroutine has it.
type life struct {
	task       *Task
	last       mesos.TaskStatus // the last that was reported
	results    <-chan checkResult
	stopChecks context.CancelFunc
	completion <-chan time.Time // the task has run too long

	killed    bool      // SIGTERM was sent, once
	killedAt  time.Time // and when
	deadline  time.Time // SIGKILL is due; meaningful while killed
	escalate  <-chan time.Time
	unhealthy bool // killed because of its health
	overdue   bool // killed because of its maximum completion time
}

// live returns when the process has ended and that is reported.
func (l *life) live() {
	t := l.task
	if d := t.cfg.Task.GetMaxCompletionTime().GetNanoseconds(); d > 0 {
		timer := time.NewTimer(time.Duration(d))
		defer timer.Stop()
		l.completion = timer.C
	}
	for {
		select {
		case <-t.container.Done():
			l.end()
			return
		case grace := <-t.kills:
			l.kill(grace)
		case <-l.completion:
			l.overdue = true
			l.kill(0)
		case <-l.escalate:
			l.escalate = nil
			// Who has become somebody else's process is left to Destroy.
			_ = t.container.Signal(syscall.SIGKILL)
		case r := <-l.results:
			l.checked(r)
		}
	}
}

// kill begins the escalation or shortens it.
func (l *life) kill(grace time.Duration) {
	l.completion = nil
	if l.killed {
		if due := l.killedAt.Add(grace); due.Before(l.deadline) {
			l.deadline = due
			l.escalate = time.After(time.Until(due))
		}
		return
	}
	if l.task.cfg.Killing && !l.overdue {
		l.report(l.task.status(mesos.TASK_KILLING))
	}
	l.stopChecks()
	_ = l.task.container.Signal(syscall.SIGTERM) // SIGKILL follows anyway
	l.killed, l.killedAt = true, time.Now()
	l.deadline = l.killedAt.Add(grace)
	l.escalate = time.After(grace)
}

// checked reports the outcome of a check, and kills what is not well.
func (l *life) checked(r checkResult) {
	if l.killed {
		return
	}
	s := stamp(l.last)
	switch r := r.(type) {
	case checkStatus:
		s.CheckStatus = r.status
		s.Reason = mesos.REASON_TASK_CHECK_STATUS_UPDATED.Enum()
	case health:
		s.Healthy = &r.healthy
		s.Reason = mesos.REASON_TASK_HEALTH_CHECK_STATUS_UPDATED.Enum()
	}
	l.report(s)
	if h, ok := r.(health); ok && h.kill {
		l.unhealthy = true
		l.kill(l.task.grace(nil))
	}
}

// end reports how the process ended.
func (l *life) end() {
	status, err := l.task.container.Wait(context.Background()) // it is done
	message, state := "Command "+status.String(), mesos.TASK_FAILED
	switch {
	case errors.Is(err, ErrNoStatus):
		message = "Failed to get exit status for Command"
	case err != nil:
		message = "Failed to get exit status for Command: " + err.Error()
	case l.overdue:
	case l.killed:
		state = mesos.TASK_KILLED
	case status.Success():
		state = mesos.TASK_FINISHED
	}
	s := l.task.status(state)
	s.Message = &message
	if l.overdue && err == nil {
		s.Reason = mesos.REASON_MAX_COMPLETION_TIME_REACHED.Enum()
	}
	if l.unhealthy {
		healthy := false
		s.Healthy = &healthy
	}
	l.report(s)
}

func (l *life) report(s mesos.TaskStatus) {
	l.last = s
	l.task.report(s)
}
