package model

import (
	"bytes"
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
	if f == nil {
		f = &served{runs: map[string]*run{}}
		a.frameworks[fid] = f
	}
	f.info = msg.Framework
	info := a.executorInfo(fid, msg)
	r := f.runs[info.ExecutorID.Value]
	if r != nil && (r.ended || r.closing) {
		for i := range msg.Tasks {
			a.report(fid, a.agentStatus(msg.Tasks[i].TaskID.Value, r.executor, a.dropped(fid),
				mesos.REASON_EXECUTOR_TERMINATED, "Executor terminating"), a.dropped(fid))
		}
		return
	}
	if r == nil {
		r = a.startRun(f, fid, info, msg)
	} else if volumes := volumesOf(msg.Tasks); len(volumes) > 0 {
		a.do(AttachVolumes{r.container, volumes})
	}
	for i := range msg.Tasks {
		id := msg.Tasks[i].TaskID.Value
		r.tasks[id] = &running{info: msg.Tasks[i], state: mesos.TASK_STAGING}
		r.taskOrder = append(r.taskOrder, id)
	}
	r.queued = append(r.queued, msg)
	a.deliver(r)
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
		Name:        ptr("Command Executor (Task: " + t.TaskID.Value + ")"),
		Source:      ptr(t.TaskID.Value),
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
	if r := a.run(msg.Framework, msg.Executor); r != nil && r.subscribed {
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
	if terminal(t.state) {
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
		if msg.Group {
			text = "A task within the task group was killed before delivery to the executor"
		}
		for j := range msg.Tasks {
			s := a.agentStatus(msg.Tasks[j].TaskID.Value, r.executor, mesos.TASK_KILLED, mesos.REASON_TASK_KILLED_DURING_LAUNCH, text)
			a.settle(r, s)
		}
		break
	}
	if len(r.queued) == 0 && !slices.ContainsFunc(r.taskOrder, func(id string) bool { return !terminal(r.tasks[id].state) }) {
		a.do(StopContainer{r.container})
	}
}

// settle records the latest status of a task and reports it.
func (a *Agent) settle(r *run, s mesos.TaskStatus) {
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
	delete(f.runs, r.executor)
	if len(f.runs) == 0 {
		delete(a.frameworks, r.framework)
	}
}

func (a *Agent) shutdownFramework(id string) {
	f := a.frameworks[id]
	if f == nil {
		return
	}
	for _, eid := range sortedKeys(f.runs) {
		r := f.runs[eid]
		// Nobody is left to acknowledge anything.
		for _, tid := range r.taskOrder {
			delete(a.updates, ref{id, tid})
		}
		a.shutdown(r)
		if r.ended {
			r.tasks, r.taskOrder = map[string]*running{}, nil
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
	if r.stream == "" {
		a.do(StopContainer{r.container})
		return
	}
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
	a.forgetRun(r)
}

// executorCall answers a call over the executor API.
func (a *Agent) executorCall(in ExecutorCall) {
	c := in.Call
	fail := func(status int, text string) { a.do(ExecutorReply{status, text}) }
	if err := validateExecutorCall(c); err != nil {
		fail(statusBadRequest, "Failed to validate Executor::Call: "+err.Error())
		return
	}
	f := a.frameworks[c.FrameworkID.Value]
	if f == nil {
		fail(statusBadRequest, "Framework cannot be found")
		return
	}
	r := f.runs[c.ExecutorID.Value]
	if r == nil || r.ended {
		fail(statusBadRequest, "Executor cannot be found")
		return
	}
	if c.Type != executor.Call_SUBSCRIBE && !r.subscribed {
		fail(statusForbidden, "Executor is not subscribed")
		return
	}
	switch c.Type {
	case executor.Call_SUBSCRIBE:
		a.do(ExecutorReply{Status: statusOK})
		a.subscribeExecutor(f, r, in.Stream, c.Subscribe)
	case executor.Call_UPDATE:
		a.do(ExecutorReply{Status: statusAccepted})
		a.executorUpdate(r, c.Update.Status)
	case executor.Call_MESSAGE:
		a.do(ExecutorReply{Status: statusAccepted})
		a.tell(ExecutorSaid{r.framework, r.executor, c.Message.Data})
	}
}

func validateExecutorCall(c *executor.Call) error {
	present := func(field string, ok bool) error {
		if ok {
			return nil
		}
		return fmt.Errorf("Expecting '%s' to be present", field)
	}
	switch c.Type {
	case executor.Call_SUBSCRIBE:
		return present("subscribe", c.Subscribe != nil)
	case executor.Call_UPDATE:
		if c.Update == nil {
			return present("update", false)
		}
		s := &c.Update.Status
		switch {
		case len(s.UUID) == 0:
			return present("uuid", false)
		case len(s.UUID) != 16:
			return validateUUID(s.UUID)
		case s.Source == nil || *s.Source != mesos.SOURCE_EXECUTOR:
			return fmt.Errorf("Received Call from executor with invalid source '%s'. Expecting 'source' to be SOURCE_EXECUTOR", s.GetSource())
		case s.State == nil:
			return present("state", false)
		case *s.State == mesos.TASK_STAGING:
			return fmt.Errorf("Received TASK_STAGING from executor '%s' which is not allowed", c.ExecutorID.Value)
		}
	case executor.Call_MESSAGE:
		return present("message", c.Message != nil)
	default:
		return present("type", false)
	}
	return nil
}

func (a *Agent) subscribeExecutor(f *served, r *run, stream string, sub *executor.Call_Subscribe) {
	if r.stream != "" {
		delete(a.streams, r.stream)
		a.do(ExecutorClose{r.stream})
	}
	again := r.lateReason == mesos.REASON_EXECUTOR_REREGISTRATION_TIMEOUT
	r.stream, r.subscribed, r.subscribeBy = stream, true, time.Time{}
	a.streams[stream] = r
	a.event(r, &executor.Event{Type: executor.Event_SUBSCRIBED, Subscribed: &executor.Event_Subscribed{
		ExecutorInfo: r.info, FrameworkInfo: f.info, AgentInfo: a.cfg.Info,
		ContainerID: &mesos.ContainerID{Value: r.container},
	}})
	for i := range sub.UnacknowledgedUpdates {
		a.executorUpdate(r, sub.UnacknowledgedUpdates[i].Status)
	}
	if r.closing {
		a.event(r, &executor.Event{Type: executor.Event_SHUTDOWN})
		return
	}
	if again {
		a.dropUnseen(r, sub.UnacknowledgedTasks)
		if !a.registered {
			a.register() // this was perhaps the last to wait for
		}
	}
	a.deliver(r)
}

// dropUnseen settles tasks that were on their way to an executor when the
// agent went down: neither it nor the agent's record has heard of them.
func (a *Agent) dropUnseen(r *run, seen []mesos.TaskInfo) {
	for _, id := range slices.Clone(r.taskOrder) {
		t := r.tasks[id]
		if t.state != mesos.TASK_STAGING || !t.delivered ||
			slices.ContainsFunc(seen, func(x mesos.TaskInfo) bool { return x.TaskID.Value == id }) {
			continue
		}
		a.settle(r, a.agentStatus(id, r.executor, a.dropped(r.framework), mesos.REASON_AGENT_RESTARTED,
			"Task launched during agent restart"))
	}
}

// executorUpdate takes a status from an executor, and acknowledges it: from
// now on it is the agent that must get it through.
func (a *Agent) executorUpdate(r *run, s mesos.TaskStatus) {
	s.AgentID = &mesos.AgentID{Value: a.id}
	s.ExecutorID = &mesos.ExecutorID{Value: r.executor}
	if s.Timestamp == nil {
		s.Timestamp = ptr(seconds(a.now))
	}
	s.ContainerStatus = a.containerStatus(r, s.ContainerStatus)
	if t := r.tasks[s.TaskID.Value]; t == nil || !terminal(t.state) || !bytes.Equal(t.status.UUID, s.UUID) {
		a.settle(r, s)
	}
	a.event(r, &executor.Event{Type: executor.Event_ACKNOWLEDGED,
		Acknowledged: &executor.Event_Acknowledged{TaskID: s.TaskID, UUID: s.UUID}})
}

func (a *Agent) containerStatus(r *run, from *mesos.ContainerStatus) *mesos.ContainerStatus {
	cs := mesos.ContainerStatus{}
	if from != nil {
		cs = *from
	}
	if cs.ContainerID == nil {
		cs.ContainerID = &mesos.ContainerID{Value: r.container}
	} else if cs.ContainerID.Parent != nil && cs.ExecutorPID == nil {
		return &cs // nested, and not running yet
	}
	if len(cs.NetworkInfos) == 0 {
		cs.NetworkInfos = []mesos.NetworkInfo{{IPAddresses: []mesos.NetworkInfo_IPAddress{
			{Protocol: ptr(mesos.IPv4), IPAddress: ptr(a.cfg.IP)},
		}}}
	}
	if cs.ExecutorPID == nil && r.pid != 0 {
		cs.ExecutorPID = ptr(uint32(r.pid))
	}
	return &cs
}

// executorClosed: an executor whose connection broke may come back, as long as
// its container lives.
func (a *Agent) executorClosed(stream string) {
	r := a.streams[stream]
	if r == nil {
		return
	}
	delete(a.streams, stream)
	r.stream = ""
}
