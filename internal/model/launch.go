package model

import (
	"slices"
	"strconv"
	"strings"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/executor"
)

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
		if reason == mesos.REASON_GC_ERROR {
			// Like Mesos, which leaves it at that: the master goes on
			// counting an executor that never was.
			a.dropTasks(msg, "", reason, text)
			return
		}
		a.dropTasks(msg, info.ExecutorID.Value, reason, text)
		if msg.NewExecutor && msg.Executor != nil && r == nil {
			a.tell(ExecutorExited{fid, info.ExecutorID.Value, -1}) // the master counts on one
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
		Name:        new("Command Executor (Task: " + t.TaskID.Value + ") (Command: " + commandText(t.Command) + ")"),
		Source:      new(t.TaskID.Value),
		Command:     t.Command,
		Container:   t.Container,
	}
}

// commandText writes the beginning of a command, as the name of an executor
// has it (Slave::getExecutorInfo).
func commandText(c *mesos.CommandInfo) string {
	cut := func(s string) string {
		if len(s) > 15 {
			return s[:12] + "..."
		}
		return s
	}
	switch {
	case c.GetShell() && c.GetValue() == "":
		return "NO COMMAND"
	case c.GetShell():
		return "sh -c '" + cut(c.GetValue()) + "'"
	case c.GetValue() == "":
		return "NO EXECUTABLE"
	}
	return "[" + cut(c.GetValue()+", "+strings.Join(c.GetArguments(), ", ")) + "]"
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
