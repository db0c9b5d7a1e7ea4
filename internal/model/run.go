package model

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/executor"
)

// run is one run of an executor: a container and the tasks in it.
type run struct {
	framework, executor string
	container           string
	info                mesos.ExecutorInfo
	command             bool // Mesos's own executor, for one task
	pid                 int

	stream     string
	subscribed bool
	ended      bool // the container is gone; statuses are not all acknowledged
	closing    bool // told to shut down

	queued    []RunTasks // to be delivered when it subscribes
	tasks     map[string]*running
	taskOrder []string
	done      []*running // ended and acknowledged, newest last, at most maxDone

	subscribeBy time.Time // late after this
	lateReason  mesos.TaskStatus_Reason
	lateText    string
	killAt      time.Time // end of the grace of a shutdown

	// how the tasks that are left end with the container
	endState  mesos.TaskState
	endReason mesos.TaskStatus_Reason
	endText   string
}

// running is a task on an agent.
type running struct {
	info      mesos.TaskInfo
	state     mesos.TaskState
	status    *mesos.TaskStatus
	delivered bool
}

// end sets how the remaining tasks end, unless that is known already.
func (r *run) end(state mesos.TaskState, reason mesos.TaskStatus_Reason, text string) {
	if r.endText == "" {
		r.endState, r.endReason, r.endText = state, reason, text
	}
}

func (r *run) late(at time.Time, reason mesos.TaskStatus_Reason, text string) {
	r.subscribeBy, r.lateReason, r.lateText = at, reason, text
}

func (a *Agent) run(framework, executor string) *run {
	if f := a.frameworks[framework]; f != nil {
		return f.runs[executor]
	}
	return nil
}

// durationText writes a duration as Mesos does.
func durationText(d time.Duration) string {
	switch {
	case d%time.Hour == 0 && d != 0:
		return fmt.Sprintf("%dhrs", d/time.Hour)
	case d%time.Minute == 0 && d != 0:
		return fmt.Sprintf("%dmins", d/time.Minute)
	case d%time.Second == 0:
		return fmt.Sprintf("%dsecs", d/time.Second)
	}
	return fmt.Sprintf("%gms", float64(d)/float64(time.Millisecond))
}

func (a *Agent) event(r *run, e *executor.Event) {
	if r.stream != "" {
		a.do(ExecutorEvent{r.stream, e})
	}
}

func (a *Agent) tellExecutor(msg TellExecutor) {
	if r := a.run(msg.Framework, msg.Executor); r != nil && r.subscribed && !r.closing {
		a.event(r, &executor.Event{Type: executor.Event_MESSAGE, Message: &executor.Event_Message{Data: msg.Data}})
	}
}

// find returns the run that holds a task.
func (f *served) find(task string) *run {
	for _, id := range sortedKeys(f.runs) {
		if f.runs[id].tasks[task] != nil {
			return f.runs[id]
		}
	}
	return nil
}

func (a *Agent) killTask(msg KillTask) {
	f := a.frameworks[msg.Framework]
	if f == nil {
		return
	}
	r := f.find(msg.Task)
	if r == nil {
		a.report(msg.Framework, a.agentStatus(msg.Task, "", a.dropped(msg.Framework),
			mesos.REASON_EXECUTOR_TERMINATED, "Cannot find executor"), a.dropped(msg.Framework))
		return
	}
	t := r.tasks[msg.Task]
	if terminal(t.state) || r.closing || r.ended {
		return
	}
	if !t.delivered {
		a.killQueued(r, msg.Task)
		return
	}
	a.event(r, &executor.Event{Type: executor.Event_KILL,
		Kill: &executor.Event_Kill{TaskID: t.info.TaskID, KillPolicy: msg.Policy}})
}

// killQueued ends a task that its executor has never seen, with its group.
func (a *Agent) killQueued(r *run, task string) {
	for i, msg := range r.queued {
		if !slices.ContainsFunc(msg.Tasks, func(t mesos.TaskInfo) bool { return t.TaskID.Value == task }) {
			continue
		}
		r.queued = slices.Delete(r.queued, i, i+1)
		text := "Killed before delivery to the executor"
		if msg.Group && !r.subscribed {
			text = "A task within the task group was killed before delivery to the executor"
		}
		for j := range msg.Tasks {
			s := a.agentStatus(msg.Tasks[j].TaskID.Value, r.executor, mesos.TASK_KILLED, mesos.REASON_TASK_KILLED_DURING_LAUNCH, text)
			a.settle(r, s)
		}
		break
	}
	switch {
	case r.command && r.useless():
		a.do(StopContainer{r.container}) // with its one task, which must not begin
	case r.subscribed && r.useless():
		a.shutdown(r)
	}
}

// useless reports whether an executor never got a task and has none to come.
// One that is not there yet is told so when it subscribes.
func (r *run) useless() bool {
	return len(r.queued) == 0 && !slices.ContainsFunc(r.taskOrder, func(id string) bool { return r.tasks[id].delivered }) && len(r.done) == 0
}

// settle records the latest status of a task and reports it.
func (a *Agent) settle(r *run, s mesos.TaskStatus) {
	a.drainStatus(r.framework, &s)
	t := r.tasks[s.TaskID.Value]
	latest := s.GetState()
	if t != nil {
		if terminal(t.state) {
			latest = t.state
		}
		t.state, t.status = latest, &s
	}
	a.report(r.framework, s, latest)
}

// taskDone forgets a task whose end was acknowledged.
func (a *Agent) taskDone(key ref) {
	f := a.frameworks[key.framework]
	if f == nil {
		return
	}
	r := f.find(key.id)
	if r == nil {
		return
	}
	r.finish(r.tasks[key.id])
	delete(r.tasks, key.id)
	r.taskOrder = slices.DeleteFunc(r.taskOrder, func(id string) bool { return id == key.id })
	a.forgetRun(r)
}

// forgetRun drops a run that ended and has nothing left to tell.
func (a *Agent) forgetRun(r *run) {
	if !r.ended || len(r.tasks) > 0 {
		return
	}
	f := a.frameworks[r.framework]
	if f == nil || f.runs[r.executor] != r {
		return
	}
	a.remember(f, r)
	delete(f.runs, r.executor)
	if len(f.runs) == 0 {
		a.forgetFramework(r.framework)
	}
}

// abandon gives up the tasks of a run that nobody will acknowledge.
func (a *Agent) abandon(r *run) {
	for _, id := range r.taskOrder {
		delete(a.updates, ref{r.framework, id})
		r.finish(r.tasks[id])
	}
	r.tasks, r.taskOrder = map[string]*running{}, nil
}

func (a *Agent) shutdownFramework(id string) {
	f := a.frameworks[id]
	if f == nil {
		return
	}
	f.ending = true
	for _, eid := range sortedKeys(f.runs) {
		r := f.runs[eid]
		for _, tid := range r.taskOrder {
			delete(a.updates, ref{id, tid})
		}
		a.shutdown(r)
		if r.ended {
			a.abandon(r)
			a.forgetRun(r)
		}
	}
}

// shutdown tells an executor to end, and sees to it.
func (a *Agent) shutdown(r *run) {
	if r.ended || r.closing {
		return
	}
	r.closing = true
	r.subscribeBy = time.Time{}
	if r.command && r.stream == "" {
		a.do(StopContainer{r.container})
		return
	}
	// Nobody hears it who is not connected. Who connects later is told then.
	a.event(r, &executor.Event{Type: executor.Event_SHUTDOWN})
	grace := a.cfg.ShutdownGrace
	if g := r.info.ShutdownGracePeriod; g != nil {
		grace = time.Duration(g.Nanoseconds)
	}
	r.killAt = a.now.Add(grace)
}

// containerStarted starts the time that the executor has to subscribe;
// fetching does not count.
func (a *Agent) containerStarted(in ContainerStarted) {
	r := a.containers[in.Container]
	if r == nil {
		return
	}
	r.pid = in.PID
	if !r.subscribed {
		r.late(a.now.Add(a.cfg.RegistrationTimeout), mesos.REASON_EXECUTOR_REGISTRATION_TIMEOUT,
			"Executor did not register within "+durationText(a.cfg.RegistrationTimeout))
	}
}

func (a *Agent) containerFailed(in ContainerFailed) {
	r := a.containers[in.Container]
	if r == nil {
		return
	}
	r.end(mesos.TASK_FAILED, cmp.Or(in.Reason, mesos.REASON_CONTAINER_LAUNCH_FAILED), in.Message)
	a.endRun(r, in.Status)
}

func (a *Agent) containerExited(in ContainerExited) {
	if r := a.containers[in.Container]; r != nil {
		a.endRun(r, in.Status)
	}
}

// endRun settles the tasks of a container that is gone.
func (a *Agent) endRun(r *run, status int) {
	delete(a.containers, r.container)
	if r.stream != "" {
		delete(a.streams, r.stream)
		a.do(ExecutorClose{r.stream})
		r.stream = ""
	}
	r.ended, r.subscribed, r.queued = true, false, nil
	r.subscribeBy, r.killAt = time.Time{}, time.Time{}
	if !r.command {
		a.tell(ExecutorExited{r.framework, r.executor, status})
	}
	r.end(mesos.TASK_FAILED, mesos.REASON_EXECUTOR_TERMINATED, "Executor terminated")
	for _, id := range slices.Clone(r.taskOrder) {
		if !terminal(r.tasks[id].state) {
			a.settle(r, a.agentStatus(id, r.executor, r.endState, r.endReason, r.endText))
		}
	}
	if f := a.frameworks[r.framework]; a.leaving || f != nil && f.ending {
		a.abandon(r)
	}
	a.forgetRun(r)
}
