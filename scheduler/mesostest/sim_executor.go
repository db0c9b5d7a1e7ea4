package mesostest

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/executor"

	"github.com/mesokit/mesokit/internal/model"
)

// simExecutor is a container with an executor and its tasks: Mesos's own for a
// command or a group, or one of the framework.
type simExecutor struct {
	agent     *simAgent
	seq       int
	container string
	id        string
	framework mesos.FrameworkID
	owner     *simFramework // nil: a rival's
	single    bool          // ends with its task: it is not one for groups

	stream  string // empty: not connected with the agent
	streams int
	uuids   int
	over    bool // the container is gone
	tasks   []*simTask
	// What the agent has not acknowledged.
	updates []executor.Call_Update
	unseen  []mesos.TaskInfo
}

// simTask is a task as it really is, whatever anybody has been told.
type simTask struct {
	executor *simExecutor
	info     mesos.TaskInfo
	node     string // "": of no node
	plan     TaskPlan
	state    mesos.TaskState
	own      *supervision // nil: package executor has no part in it
	runs     bool         // its server runs
	sick     bool         // its health check fails
	hangs    bool         // the server hears nothing
	deaf     bool         // and neither does its executor, if it is none of Mesos's own
	ending   bool         // it is told to end, or has ended
	ended    bool
	excused  bool // another of its node was launched when Mesos had given it up
}

func (w *World) startContainer(a *simAgent, out model.StartContainer) {
	w.rules.containers++
	e := &simExecutor{
		agent: a, seq: w.rules.containers, container: out.Container, id: out.Executor.ExecutorID.Value, framework: *out.Framework.ID,
		owner:  w.owner(out.Framework.ID.Value),
		single: out.Executor.Type != mesos.ExecutorInfo_DEFAULT,
	}
	a.executors[e.container] = e
	if w.tell != nil {
		w.say("agent %s starts a container for %s", a.cfg.Hostname, e.id)
	}
	w.after(time.Duration(5+w.random.IntN(50))*time.Millisecond, func() {
		if e.over {
			return
		}
		w.toModel(a, model.ContainerStarted{Container: e.container, PID: 1})
		w.subscribeExecutor(e)
	})
}

func (w *World) owner(framework string) *simFramework {
	for _, f := range w.frameworks {
		if slices.Contains(f.ids, framework) {
			return f
		}
	}
	return nil
}

// subscribeExecutor connects an executor with its agent, with all that the
// agent may not have got.
func (w *World) subscribeExecutor(e *simExecutor) {
	if e.over || !e.agent.up || e.stream != "" {
		return
	}
	e.streams++
	e.stream = e.container + "/" + strconv.Itoa(e.streams)
	e.agent.streams[e.stream] = e
	w.call(e, &executor.Call{Type: executor.Call_SUBSCRIBE, Subscribe: &executor.Call_Subscribe{
		UnacknowledgedTasks: slices.Clone(e.unseen), UnacknowledgedUpdates: slices.Clone(e.updates),
	}})
}

// call makes a call of the executor, if it is connected.
func (w *World) call(e *simExecutor, call *executor.Call) {
	if e.stream == "" || e.over {
		return
	}
	call.FrameworkID, call.ExecutorID = e.framework, mesos.ExecutorID{Value: e.id}
	w.toModel(e.agent, model.ExecutorCall{Stream: e.stream, Call: call})
}

func (w *World) heard(e *simExecutor, ev *executor.Event) {
	if e.over || e.stream == "" {
		return
	}
	switch ev.Type {
	case executor.Event_LAUNCH:
		w.begin(e, ev.Launch.Task)
	case executor.Event_LAUNCH_GROUP:
		for _, info := range ev.LaunchGroup.TaskGroup.Tasks {
			w.begin(e, info)
		}
	case executor.Event_KILL:
		if t := e.task(ev.Kill.TaskID.Value); t != nil {
			w.killed(t, ev.Kill.KillPolicy)
		}
	case executor.Event_ACKNOWLEDGED:
		e.acknowledged(ev.Acknowledged)
	case executor.Event_MESSAGE:
		w.told(e, ev.Message.Data)
	case executor.Event_SHUTDOWN:
		w.after(20*time.Millisecond, func() { w.exit(e, 0) })
	}
}

func (e *simExecutor) task(id string) *simTask {
	i := slices.IndexFunc(e.tasks, func(t *simTask) bool { return t.info.TaskID.Value == id })
	if i < 0 {
		return nil
	}
	return e.tasks[i]
}

func (e *simExecutor) acknowledged(ack *executor.Event_Acknowledged) {
	e.updates = slices.DeleteFunc(e.updates, func(u executor.Call_Update) bool { return bytes.Equal(u.Status.UUID, ack.UUID) })
	e.unseen = slices.DeleteFunc(e.unseen, func(t mesos.TaskInfo) bool { return t.TaskID == ack.TaskID })
}

// begin starts a task as its framework has planned it.
func (w *World) begin(e *simExecutor, info mesos.TaskInfo) {
	id := info.TaskID.Value
	if e.task(id) != nil {
		return // the agent repeats itself
	}
	t := &simTask{executor: e, info: info, state: mesos.TASK_STAGING}
	e.tasks, e.unseen = append(e.tasks, t), append(e.unseen, info)
	w.coverage.Tasks++
	switch {
	case e.owner == nil:
		t.plan = w.rival.plan(id)
	case e.owner.Task != nil:
		t.plan = e.owner.Task(info, w.luck("task", e.owner.Name, id))
	}
	if e.owner != nil {
		if e.owner.Node != nil {
			t.node = e.owner.Node(info)
		}
		w.rules.began(w, t)
		if pick, ok := w.take(TaskLate); ok {
			t.plan.Start += time.Duration(pick%120) * time.Second
		}
		if _, ok := w.take(TaskDiesAtOnce); ok {
			w.update(t, mesos.TASK_STARTING, "")
			w.ends(t, mesos.TASK_FAILED, "exit status 1: it fails at once")
			return
		}
	}
	w.update(t, mesos.TASK_STARTING, "")
	if !w.supervise(t) {
		w.after(t.plan.Start+time.Millisecond, func() { w.runs(t) })
	}
}

func (w *World) runs(t *simTask) {
	if t.ending || t.executor.over || t.hangs {
		return
	}
	w.rules.running(w, t)
	w.update(t, mesos.TASK_RUNNING, "")
	if d := t.plan.Ready; d > 0 {
		w.after(d, func() { w.checked(t, true) })
	}
	if d := t.plan.Run; d > 0 {
		w.after(d, func() {
			if t.hangs {
				return
			}
			end := mesos.TASK_FINISHED
			if t.plan.End != 0 {
				end = t.plan.End
			}
			w.ends(t, end, "")
		})
	}
}

// checked is what a health check of a task says, until it says something else.
func (w *World) checked(t *simTask, healthy bool) {
	if t.ending || t.hangs || t.executor.over || !healthy && w.quiet {
		return
	}
	t.sick = !healthy
	w.changes++
	w.report(t, mesos.TaskStatus{State: mesos.TASK_RUNNING.Enum(), Healthy: &healthy, Reason: mesos.REASON_TASK_HEALTH_CHECK_STATUS_UPDATED.Enum()})
	lasts := t.plan.Well
	if healthy {
		lasts = t.plan.Sick
	}
	if lasts > 0 {
		w.after(lasts, func() { w.checked(t, !healthy) })
	}
}

// killed ends a task that was told to, unless its executor hears nothing. One
// that does kills what does not end in time.
func (w *World) killed(t *simTask, policy *mesos.KillPolicy) {
	grace := t.graceOf(policy)
	fenced := t.own != nil && grace < atOnce
	switch {
	case t.deaf:
	case fenced:
		w.ended(t, mesos.TASK_KILLED, "killed at once")
	case t.ending:
	case t.hangs:
		t.hangs = false
		w.endsAfter(t, mesos.TASK_KILLED, "killed after its grace period", grace)
	default:
		if t.plan.Stop > 0 {
			w.update(t, mesos.TASK_KILLING, "")
		}
		w.endsAfter(t, mesos.TASK_KILLED, "", t.plan.Stop)
	}
}

func (w *World) ends(t *simTask, s mesos.TaskState, message string) { w.endsAfter(t, s, message, 0) }

// endsAfter ends a task after some time.
func (w *World) endsAfter(t *simTask, s mesos.TaskState, message string, after time.Duration) {
	if t.ending || t.executor.over {
		return
	}
	t.ending = true
	w.after(after, func() { w.ended(t, s, message) })
}

// ended is the end of a task, and of its executor if it has one of its own.
func (w *World) ended(t *simTask, s mesos.TaskState, message string) {
	if t.ended || t.executor.over {
		return
	}
	t.ending, t.ended = true, true
	w.rules.stopped(w, t)
	w.update(t, s, message)
	if t.executor.single || !slices.ContainsFunc(t.executor.tasks, func(t *simTask) bool { return !t.ending }) {
		w.after(time.Second, func() { w.exit(t.executor, 0) })
	}
}

func (w *World) update(t *simTask, s mesos.TaskState, message string) {
	status := mesos.TaskStatus{State: &s}
	if message != "" {
		status.Message = &message
	}
	w.report(t, status)
}

// report sends a status of a task, now or when the agent is back.
func (w *World) report(t *simTask, status mesos.TaskStatus) {
	e := t.executor
	if e.over {
		return
	}
	e.uuids++
	t.state = status.GetState()
	status.TaskID, status.ExecutorID = t.info.TaskID, &mesos.ExecutorID{Value: e.id}
	status.Source = mesos.SOURCE_EXECUTOR.Enum()
	status.UUID = simUUID(e.container, e.uuids)
	update := executor.Call_Update{Status: status}
	e.updates = append(e.updates, update)
	w.call(e, &executor.Call{Type: executor.Call_UPDATE, Update: &update})
}

// simUUID is 16 bytes that no other status has.
func simUUID(container string, n int) []byte {
	id := make([]byte, 16)
	copy(id, container[:8])
	copy(id[8:], fmt.Sprintf("%08x", n))
	return id
}

// exit ends a container.
func (w *World) exit(e *simExecutor, status int) {
	if e.over {
		return
	}
	for _, t := range e.tasks {
		w.rules.stopped(w, t)
	}
	e.end()
	if e.agent.up {
		w.exitedWith(e, status)
	}
}

// end takes the executor and its tasks down.
func (e *simExecutor) end() {
	e.over = true
	for _, t := range e.tasks {
		t.runs, t.ending = false, true
	}
}

func (w *World) exited(e *simExecutor) { w.exitedWith(e, 9) }

func (w *World) exitedWith(e *simExecutor, status int) {
	delete(e.agent.executors, e.container)
	delete(e.agent.streams, e.stream)
	e.stream = ""
	w.toModel(e.agent, model.ContainerExited{Container: e.container, Status: status})
}
