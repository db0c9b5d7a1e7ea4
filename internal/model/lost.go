package model

import (
	"maps"
	"slices"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"
)

// An agent leaves the books in one of three ways: removed (it registers anew,
// or its machine goes under maintenance), unreachable (it may come back), or
// gone (it never will).

// agentClosed: the agent may be back at once; what was offered of it may not.
func (m *Master) agentClosed(from string) {
	a := m.links[from]
	if a == nil || !a.connected {
		return
	}
	a.connected, a.leftAt = false, m.now
	m.absent[a.id] = a
	delete(m.links, from)
	m.rescindAgent(a)
	m.rescindInverse(a)
	// A framework that does not checkpoint loses its executors with the
	// agent's process.
	for _, f := range m.framesInOrder() {
		if !f.info.GetCheckpoint() {
			m.loseTasks(f, a, mesos.REASON_AGENT_DISCONNECTED, "Agent "+a.info.Hostname+" disconnected")
		}
	}
}

// giveUpAbsent gives up the agents whose connections broke too long ago.
func (m *Master) giveUpAbsent() {
	for _, id := range sortedKeys(m.absent) {
		if a := m.absent[id]; !m.now.Before(a.leftAt.Add(m.cfg.ReregisterTimeout)) {
			m.markUnreachable(a, "agent did not reregister within "+durationText(m.cfg.ReregisterTimeout)+" after disconnecting")
		}
	}
}

func (m *Master) pingAgents() {
	for _, a := range slices.Clone(m.order) {
		if a.missed >= m.cfg.MaxMissedPings {
			m.markUnreachable(a, "health check timed out")
			continue
		}
		a.missed++
		m.send(a, Ping{Connected: true})
	}
}

// giveUpRecovered marks agents that never came back after a restart.
func (m *Master) giveUpRecovered() {
	m.recoverBy = time.Time{}
	for _, id := range sortedKeys(m.registry.Admitted) {
		if m.agents[id] == nil {
			delete(m.registry.Admitted, id)
			m.registry.Unreachable[id] = m.now
			m.sendLost(id)
		}
	}
}

// removeAgent takes an agent off the books that must register anew. Its tasks
// are lost, also to frameworks that know of partitions (Master::_removeSlave).
func (m *Master) removeAgent(a *agent, cause string) {
	delete(m.registry.Admitted, a.id)
	delete(m.registry.Draining, a.id)
	delete(m.registry.Deactivated, a.id)
	for _, f := range m.framesInOrder() {
		m.loseTasks(f, a, mesos.REASON_AGENT_REMOVED, "Agent "+a.info.Hostname+" removed: "+cause)
	}
	a.operations = map[string]*operation{}
	m.dropAgent(a)
	m.agentRemoved(a.id)
}

// loseTasks takes what a framework has on an agent off the books, the tasks as
// lost.
func (m *Master) loseTasks(f *framework, a *agent, reason mesos.TaskStatus_Reason, text string) {
	for _, t := range a.tasksInOrder() {
		if t.framework != f.id {
			continue
		}
		s := m.masterStatus(t.info.TaskID.Value, a.id, mesos.TASK_LOST, reason, text)
		t.name(&s)
		m.setState(t, &s, mesos.TASK_LOST)
		m.forget(t)
		m.emit(f, updateEvent(s))
	}
	for _, key := range sortedRefs(a.executors) {
		if key.framework == f.id {
			m.removeExecutor(a, key)
		}
	}
}

// markUnreachable gives an agent up until it registers again.
func (m *Master) markUnreachable(a *agent, text string) {
	m.registry.Unreachable[a.id] = m.now
	delete(m.registry.Admitted, a.id)
	m.settleOperations(a, mesos.OPERATION_UNREACHABLE, "Agent was marked unreachable")
	m.giveUp(a, text, &mesos.TimeInfo{Nanoseconds: m.now.UnixNano()})
}

// gone takes an agent that will never come back off the books.
func (m *Master) gone(id string) {
	const text = "Agent has been marked gone"
	m.registry.Gone[id] = m.now
	delete(m.registry.Admitted, id)
	delete(m.registry.Unreachable, id)
	delete(m.registry.Draining, id)
	delete(m.registry.Deactivated, id)
	a := m.agents[id]
	if a != nil {
		m.send(a, ShutdownAgent{text})
		m.settleOperations(a, mesos.OPERATION_GONE_BY_OPERATOR, text)
		m.giveUp(a, text, nil)
		return
	}
	for _, f := range m.framesInOrder() {
		for _, t := range slices.SortedFunc(maps.Values(f.unreachable), bySeq) {
			if t.info.AgentID.Value == id {
				s := m.givenUpStatus(f, t, text, nil)
				m.setState(t, &s, s.GetState())
				m.emit(f, updateEvent(s))
				delete(f.unreachable, t.info.TaskID.Value)
				m.forget(t)
			}
		}
	}
}

// givenUpStatus is the status of a task on an agent that is unreachable since
// some time, or else gone.
func (m *Master) givenUpStatus(f *framework, t *task, text string, since *mesos.TimeInfo) mesos.TaskStatus {
	state, reason := mesos.TASK_UNREACHABLE, mesos.REASON_AGENT_REMOVED
	switch {
	case !f.partitionAware():
		state = mesos.TASK_LOST
	case since == nil:
		state, reason = mesos.TASK_GONE_BY_OPERATOR, mesos.REASON_AGENT_REMOVED_BY_OPERATOR
	}
	s := m.masterStatus(t.info.TaskID.Value, t.info.AgentID.Value, state, reason, text)
	t.name(&s)
	s.UnreachableTime = since
	return s
}

// giveUp takes an agent off the books that is unreachable since some time, or
// else gone (Master::__removeSlave). Frameworks that know nothing of
// partitions find its tasks among the unreachable ones in both cases.
func (m *Master) giveUp(a *agent, text string, since *mesos.TimeInfo) {
	for _, t := range a.tasksInOrder() {
		f := m.frameworks[t.framework]
		s := m.givenUpStatus(f, t, text, since)
		m.setState(t, &s, s.GetState())
		if since == nil && f.partitionAware() {
			m.forget(t)
		} else {
			m.release(t)
			delete(a.tasks, ref{f.id, t.info.TaskID.Value})
			delete(f.tasks, t.info.TaskID.Value)
			t.agent = nil
			f.unreachable[t.info.TaskID.Value] = t
		}
		m.emit(f, updateEvent(s))
	}
	for _, key := range sortedRefs(a.executors) {
		m.removeExecutor(a, key)
	}
	m.dropAgent(a)
}

// dropAgent takes an agent off the books that has nothing left but offers, and
// tells the frameworks.
func (m *Master) dropAgent(a *agent) {
	m.rescindAgent(a)
	m.rescindInverse(a)
	delete(m.links, a.link)
	delete(m.agents, a.id)
	delete(m.absent, a.id)
	a.connected = false
	m.order = slices.DeleteFunc(m.order, func(x *agent) bool { return x == a })
	m.sendLost(a.id)
}

// sendLost tells all frameworks that an agent is lost.
func (m *Master) sendLost(id string) {
	for _, f := range m.framesInOrder() {
		m.emit(f, &scheduler.Event{Type: scheduler.Event_FAILURE,
			Failure: &scheduler.Event_Failure{AgentID: &mesos.AgentID{Value: id}}})
	}
}
