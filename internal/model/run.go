package model

import (
	"fmt"
	"slices"
	"strconv"
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

// runTasks launches tasks, on a running executor or a new one.
func (a *Agent) runTasks(msg RunTasks) {
	if len(msg.Tasks) == 0 {
		return
	}
	fid := msg.Framework.ID.GetValue()
	f := a.frameworks[fid]
	if f != nil && f.find(msg.Tasks[0].TaskID.Value) != nil {
		return // the message comes twice
	}
	if f == nil {
		f = &served{info: msg.Framework, runs: map[string]*run{}}
		a.frameworks[fid] = f
		defer func() {
			if len(f.runs) == 0 {
				a.forgetFramework(fid)
			}
		}()
	}
	if f.ending {
		return
	}
	info := a.executorInfo(fid, msg)
	r := f.runs[info.ExecutorID.Value]
	if reason, text := a.refusal(r, msg); text != "" {
		executor := info.ExecutorID.Value
		if reason == mesos.REASON_GC_ERROR {
			executor = "" // nobody has looked at the executor yet
		}
		a.dropTasks(msg, executor, reason, text)
		if msg.NewExecutor && msg.Executor != nil && r == nil {
			a.tell(ExecutorExited{fid, executor, -1}) // the master counts on one
		}
		return
	}
	switch {
	case r != nil && (r.ended || r.closing):
		text := "Executor terminating"
		if r.ended {
			text = "Executor terminated"
		}
		a.dropTasks(msg, "", mesos.REASON_EXECUTOR_TERMINATED, text)
		return
	case r == nil:
		r = a.startRun(f, fid, info, msg)
	default:
		if volumes := volumesOf(msg.Tasks); len(volumes) > 0 {
			a.do(AttachVolumes{r.container, volumes})
		}
	}
	for i := range msg.Tasks {
		id := msg.Tasks[i].TaskID.Value
		r.tasks[id] = &running{info: msg.Tasks[i], state: mesos.TASK_STAGING}
		r.taskOrder = append(r.taskOrder, id)
	}
	r.queued = append(r.queued, msg)
	a.deliver(r)
}

// dropTasks reports tasks that cannot be run.
func (a *Agent) dropTasks(msg RunTasks, executor string, reason mesos.TaskStatus_Reason, text string) {
	fid := msg.Framework.ID.GetValue()
	for i := range msg.Tasks {
		a.report(fid, a.agentStatus(msg.Tasks[i].TaskID.Value, executor, a.dropped(fid), reason, text), a.dropped(fid))
	}
}

// refusal says why tasks cannot be run, or nothing if they can, as far as that
// is known before their executor is looked at (Slave::run and Slave::__run).
func (a *Agent) refusal(r *run, msg RunTasks) (mesos.TaskStatus_Reason, string) {
	for i := range msg.Tasks {
		if text := limitsRefusal(&msg.Tasks[i]); text != "" {
			return mesos.REASON_GC_ERROR, text // the reason that Mesos gives
		}
	}
	if a.draining != nil {
		return mesos.REASON_AGENT_DRAINING, "Task was received while agent was already draining"
	}
	for i := range msg.Tasks {
		if !a.has(msg.Tasks[i].Resources) {
			return mesos.REASON_RESOURCES_UNKNOWN,
				"The checkpointed resources being used by the task or task group are unknown to the agent"
		}
	}
	if msg.Executor != nil && !a.has(msg.Executor.Resources) {
		return mesos.REASON_RESOURCES_UNKNOWN, "The checkpointed resources being used by the executor are unknown to the agent"
	}
	switch {
	case msg.Executor == nil && r != nil:
		return mesos.REASON_TASK_INVALID, "Cannot reuse an already existing executor for a command task"
	case msg.Executor != nil && msg.NewExecutor && r != nil:
		// The master has lost count of it. What it counts for the new one
		// must be given back when the old one is gone.
		if r.ended {
			a.tell(ExecutorExited{r.framework, r.executor, -1})
		} else {
			a.shutdown(r)
		}
		return mesos.REASON_EXECUTOR_TERMINATED, "Master wants to launch executor, but one already exists"
	case msg.Executor != nil && !msg.NewExecutor && r == nil:
		return mesos.REASON_EXECUTOR_TERMINATED, "No executor is expected to launch and there is none running"
	}
	return 0, ""
}

// limitsRefusal says why a task's limits cannot be kept: the agent has no
// cgroups (Slave::validateResourceLimitsAndIsolators).
func limitsRefusal(t *mesos.TaskInfo) string {
	if t.Container != nil && t.Container.GetType() == mesos.ContainerInfo_DOCKER {
		return ""
	}
	if _, ok := t.Limits["cpus"]; ok {
		return "CPU limits can only be set on tasks launched in Mesos containers when the agent has loaded the 'cgroups/cpu' isolator"
	}
	if _, ok := t.Limits["mem"]; ok {
		return "Memory limits can only be set on tasks launched in Mesos containers when the agent has loaded the 'cgroups/mem' isolator"
	}
	return ""
}

// has reports whether the reservations and volumes among the resources have
// been made on the agent.
func (a *Agent) has(in []mesos.Resource) bool {
	rs, err := NewResources(in)
	return err == nil && !slices.ContainsFunc(rs.Allocated(""), func(r resource) bool {
		return (r.dynamic() || r.volume()) && !a.total.Contains(Resources{r})
	})
}

func (a *Agent) dropped(framework string) mesos.TaskState {
	if f := a.frameworks[framework]; f != nil && hasCapability(&f.info, mesos.FrameworkInfo_Capability_PARTITION_AWARE) {
		return mesos.TASK_DROPPED
	}
	return mesos.TASK_LOST
}

// executorInfo returns the message's executor, or the one that Mesos makes up
// for a command task.
func (a *Agent) executorInfo(framework string, msg RunTasks) mesos.ExecutorInfo {
	if msg.Executor != nil {
		return *msg.Executor
	}
	t := &msg.Tasks[0]
	return mesos.ExecutorInfo{
		ExecutorID:  mesos.ExecutorID{Value: t.TaskID.Value},
		FrameworkID: &mesos.FrameworkID{Value: framework},
		Name:        new("Command Executor (Task: " + t.TaskID.Value + ")"),
		Source:      new(t.TaskID.Value),
		Command:     t.Command,
	}
}

func (a *Agent) startRun(f *served, fid string, info mesos.ExecutorInfo, msg RunTasks) *run {
	a.nextContainer++
	r := &run{
		framework: fid, executor: info.ExecutorID.Value, info: info, command: msg.Executor == nil,
		container: uuidText(hashUUID(a.cfg.Name + "/" + a.id + "/container/" + strconv.Itoa(a.nextContainer))),
		tasks:     map[string]*running{},
	}
	f.runs[r.executor] = r
	a.containers[r.container] = r
	start := StartContainer{Container: r.container, Framework: f.info, Executor: info}
	if r.command {
		start.Task = &msg.Tasks[0]
	}
	start.Volumes = append(volumesIn(info.Resources), volumesOf(msg.Tasks)...)
	a.do(start)
	return r
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

func volumesOf(tasks []mesos.TaskInfo) []mesos.Resource {
	var out []mesos.Resource
	for i := range tasks {
		out = append(out, volumesIn(tasks[i].Resources)...)
	}
	return out
}

func volumesIn(rs []mesos.Resource) []mesos.Resource {
	var out []mesos.Resource
	for i := range rs {
		if rs[i].Disk != nil && rs[i].Disk.Persistence != nil {
			out = append(out, rs[i])
		}
	}
	return out
}

// deliver hands queued tasks to a subscribed executor.
func (a *Agent) deliver(r *run) {
	if !r.subscribed || r.stream == "" {
		return
	}
	for _, msg := range r.queued {
		if msg.Group {
			g := mesos.TaskGroupInfo{}
			for i := range msg.Tasks {
				if t := r.tasks[msg.Tasks[i].TaskID.Value]; t != nil && !terminal(t.state) {
					t.delivered = true
					g.Tasks = append(g.Tasks, msg.Tasks[i])
				}
			}
			if len(g.Tasks) == len(msg.Tasks) {
				a.event(r, &executor.Event{Type: executor.Event_LAUNCH_GROUP, LaunchGroup: &executor.Event_LaunchGroup{TaskGroup: g}})
			}
			continue
		}
		for i := range msg.Tasks {
			if t := r.tasks[msg.Tasks[i].TaskID.Value]; t != nil && !terminal(t.state) {
				t.delivered = true
				a.event(r, &executor.Event{Type: executor.Event_LAUNCH, Launch: &executor.Event_Launch{Task: msg.Tasks[i]}})
			}
		}
	}
	r.queued = nil
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
	r.end(mesos.TASK_FAILED, mesos.REASON_CONTAINER_LAUNCH_FAILED, in.Message)
	a.endRun(r, 1<<8)
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
