package model

import (
	"bytes"
	"cmp"
	"maps"
	"slices"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"
)

// task is the master's account of a task.
type task struct {
	seq       int
	framework string
	agent     *agent // nil when unreachable or ended
	info      mesos.TaskInfo
	role      string
	resources Resources // what it was launched with, allocated
	held      Resources // the same until it ends, then nothing

	state    mesos.TaskState // latest known, which frees resources
	statuses []mesos.TaskStatus
	// sent is the last status forwarded from the agent. When it is
	// terminal and acknowledged the task is forgotten.
	sent *mesos.TaskStatus
	// killed is set when a KILL was passed on; it is repeated when the
	// agent registers again.
	killed bool
}

// maxStatuses bounds the statuses kept for one task.
const maxStatuses = 100

func bySeq(a, b *task) int { return cmp.Compare(a.seq, b.seq) }

// terminal reports whether no other state can follow.
func terminal(s mesos.TaskState) bool {
	switch s {
	case mesos.TASK_FINISHED, mesos.TASK_FAILED, mesos.TASK_KILLED, mesos.TASK_ERROR, mesos.TASK_LOST,
		mesos.TASK_DROPPED, mesos.TASK_GONE, mesos.TASK_GONE_BY_OPERATOR:
		return true
	}
	return false
}

func (m *Master) addTask(f *framework, a *agent, info mesos.TaskInfo, rs Resources, role string) *task {
	m.nextTask++
	t := &task{
		seq: m.nextTask, framework: f.id, agent: a, info: info, role: role,
		resources: rs, held: rs, state: mesos.TASK_STAGING,
	}
	f.tasks[info.TaskID.Value] = t
	a.tasks[ref{f.id, info.TaskID.Value}] = t
	a.allocated = a.allocated.Plus(rs)
	m.taskAdded(f, t)
	return t
}

// setState records a status, in place of the last one if that is of the same
// state, and frees the resources of a task that ended or cannot be reached
// (Master::updateTask).
func (m *Master) setState(t *task, status *mesos.TaskStatus, latest mesos.TaskState) {
	news := status.GetReason() == mesos.REASON_TASK_CHECK_STATUS_UPDATED ||
		status.GetReason() == mesos.REASON_TASK_HEALTH_CHECK_STATUS_UPDATED
	if n := len(t.statuses); n > 0 && t.statuses[n-1].GetState() == status.GetState() {
		t.statuses = slices.Clone(t.statuses[:n-1])
	} else {
		news = true
	}
	kept := *status
	kept.Data = nil
	t.statuses = append(t.statuses, kept)
	if len(t.statuses) > maxStatuses {
		t.statuses = slices.Clone(t.statuses[1:])
	}
	if !terminal(t.state) {
		t.state = latest
		if terminal(latest) || latest == mesos.TASK_UNREACHABLE {
			m.release(t)
		}
	}
	if news {
		m.taskUpdated(t, status)
	}
}

func (m *Master) release(t *task) {
	if t.agent != nil {
		t.agent.allocated, _ = t.agent.allocated.Minus(t.held)
	}
	t.held = nil
}

// forget takes a task off the books.
func (m *Master) forget(t *task) {
	m.release(t)
	if t.agent != nil {
		delete(t.agent.tasks, ref{t.framework, t.info.TaskID.Value})
		t.agent = nil
	}
	f := m.frameworks[t.framework]
	if f == nil {
		return
	}
	delete(f.tasks, t.info.TaskID.Value)
	f.ended = append(f.ended, t)
	if len(f.ended) > maxEnded {
		f.ended = slices.Clone(f.ended[1:])
	}
}

func updateEvent(s mesos.TaskStatus) *scheduler.Event {
	return &scheduler.Event{Type: scheduler.Event_UPDATE, Update: &scheduler.Event_Update{Status: s}}
}

// masterStatus builds a status that the master makes up. It has no UUID: it
// needs no acknowledgement.
func (m *Master) masterStatus(task, agent string, state mesos.TaskState, reason mesos.TaskStatus_Reason, text string) mesos.TaskStatus {
	s := mesos.TaskStatus{
		TaskID: mesos.TaskID{Value: task}, State: &state, Message: &text, Source: new(mesos.SOURCE_MASTER),
		Reason: &reason, Timestamp: new(seconds(m.now)),
	}
	if agent != "" {
		s.AgentID = &mesos.AgentID{Value: agent}
	}
	return s
}

// statusUpdate takes an agent's report and passes it on.
func (m *Master) statusUpdate(a *agent, u StatusUpdate) {
	f := m.frameworks[u.Framework]
	if f == nil {
		return
	}
	m.emit(f, updateEvent(u.Status))
	t := a.tasks[ref{u.Framework, u.Status.TaskID.Value}]
	if t == nil {
		return
	}
	t.sent = &u.Status
	m.setState(t, &u.Status, u.Latest)
}

func (m *Master) acknowledge(f *framework, ack *scheduler.Call_Acknowledge) {
	a := m.agents[ack.AgentID.Value]
	if a == nil || !a.connected {
		return // the agent sends again what it does not hear back about
	}
	t := a.tasks[ref{f.id, ack.TaskID.Value}]
	if t != nil && t.sent == nil {
		return // it is of no status that this master has sent
	}
	if t != nil && terminal(t.sent.GetState()) && bytes.Equal(t.sent.UUID, ack.UUID) {
		m.forget(t)
	}
	m.send(a, AcknowledgeStatus{f.id, ack.TaskID.Value, ack.UUID})
	m.checkDrained(a)
}

func (m *Master) kill(f *framework, k *scheduler.Call_Kill) {
	t := f.tasks[k.TaskID.Value]
	if t == nil {
		m.reconcile(f, []scheduler.Call_Reconcile_Task{{TaskID: k.TaskID, AgentID: k.AgentID}})
		return
	}
	if k.AgentID != nil && k.AgentID.Value != t.agent.id {
		return // names another agent: ignored
	}
	t.killed = true
	m.send(t.agent, KillTask{f.id, k.TaskID.Value, k.KillPolicy})
}

// reconcile answers with the latest states: of all tasks if none is named.
func (m *Master) reconcile(f *framework, tasks []scheduler.Call_Reconcile_Task) {
	if len(tasks) == 0 {
		for _, t := range f.tasksInOrder() {
			m.emit(f, updateEvent(m.latest(f, t)))
		}
		return
	}
	for _, named := range tasks {
		m.reconcileOne(f, named.TaskID.Value, named.AgentID.GetValue())
	}
}

func (m *Master) latest(f *framework, t *task) mesos.TaskStatus {
	state := t.state
	if t.sent != nil {
		state = t.sent.GetState()
	}
	s := m.masterStatus(t.info.TaskID.Value, t.agent.id, state, mesos.REASON_RECONCILIATION, "Reconciliation: Latest task state")
	t.describe(&s)
	return s
}

// name adds to a status the executor of the task, if it is not Mesos's own.
func (t *task) name(s *mesos.TaskStatus) {
	if t.info.Executor != nil {
		s.ExecutorID = &mesos.ExecutorID{Value: t.info.Executor.ExecutorID.Value}
	}
}

// describe adds to a status what is known of the task: of its health and its
// check what the last one said, of its container what any has.
func (t *task) describe(s *mesos.TaskStatus) {
	t.name(s)
	if n := len(t.statuses); n > 0 {
		s.Healthy, s.CheckStatus = t.statuses[n-1].Healthy, t.statuses[n-1].CheckStatus
	}
	for i := len(t.statuses) - 1; i >= 0 && s.ContainerStatus == nil; i-- {
		s.ContainerStatus = t.statuses[i].ContainerStatus
	}
}

func (m *Master) reconcileOne(f *framework, id, agentID string) {
	if t := f.tasks[id]; t != nil {
		m.emit(f, updateEvent(m.latest(f, t)))
		return
	}
	answer := func(state mesos.TaskState, text string) {
		m.emit(f, updateEvent(m.masterStatus(id, agentID, f.lost(state), mesos.REASON_RECONCILIATION, "Reconciliation: "+text)))
	}
	_, admitted := m.registry.Admitted[agentID]
	unreachable, isUnreachable := m.registry.Unreachable[agentID]
	switch {
	case agentID != "" && m.agents[agentID] != nil:
		answer(mesos.TASK_GONE, "Task is unknown to the agent")
	case agentID != "" && admitted:
		// The agent has not registered with this master yet: no answer.
	case agentID == "" && m.waitsForAgents():
		// The task may be on one of those.
	case isUnreachable:
		s := m.masterStatus(id, agentID, f.lost(mesos.TASK_UNREACHABLE), mesos.REASON_RECONCILIATION, "Reconciliation: Task is unreachable")
		s.UnreachableTime = &mesos.TimeInfo{Nanoseconds: unreachable.UnixNano()}
		m.emit(f, updateEvent(s))
	case !m.registry.Gone[agentID].IsZero():
		answer(mesos.TASK_GONE_BY_OPERATOR, "Task is gone")
	default:
		answer(mesos.TASK_UNKNOWN, "Task is unknown")
	}
}

// waitsForAgents reports whether an agent of the registry has not come back.
func (m *Master) waitsForAgents() bool {
	return !m.recoverBy.IsZero() && len(m.registry.Admitted) > len(m.agents)
}

// ref names a task or an executor of a framework.
type ref struct{ framework, id string }

func sortedRefs[V any](in map[ref]V) []ref {
	return slices.SortedFunc(maps.Keys(in), func(a, b ref) int {
		return cmp.Or(cmp.Compare(a.framework, b.framework), cmp.Compare(a.id, b.id))
	})
}
