package model

import (
	"bytes"
	"slices"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"
)

// Operations whose outcome somebody wants to know are on the books of the
// master from ACCEPT until the outcome is acknowledged.

// operation is the master's account of one.
type operation struct {
	Operation
	agent    *agent
	statuses []mesos.OperationStatus
}

func operationEvent(s mesos.OperationStatus) *scheduler.Event {
	return &scheduler.Event{Type: scheduler.Event_UPDATE_OPERATION_STATUS,
		UpdateOperationStatus: &scheduler.Event_UpdateOperationStatus{Status: s}}
}

// operationUpdate takes an agent's report of an operation and passes it on. A
// framework that is gone will not acknowledge it, so the master does.
func (m *Master) operationUpdate(a *agent, u OperationUpdate) {
	op := a.operations[string(u.UUID)]
	f := m.frameworks[u.Framework]
	if op != nil {
		u.Status.OperationID = op.Info.ID
		f = m.frameworks[op.Framework]
		op.update(u.Status)
	}
	if f != nil && u.Status.OperationID != nil {
		m.emit(f, operationEvent(u.Status))
	}
	ended := op != nil && op.Status.State != mesos.OPERATION_PENDING
	switch {
	case u.Status.UUID == nil && ended: // nobody need acknowledge it
		delete(a.operations, string(u.UUID))
	case u.Status.UUID != nil && m.completed[u.Framework] != nil:
		delete(a.operations, string(u.UUID))
		m.send(a, AcknowledgeOperation{u.Status.UUID.Value})
	default:
		return
	}
	m.checkDrained(a)
}

func (op *operation) update(s mesos.OperationStatus) {
	if n := len(op.statuses); n == 0 || !op.statuses[n-1].Equal(&s) {
		op.statuses = append(op.statuses, s)
	}
	if op.Status.State == mesos.OPERATION_PENDING {
		op.Status = s
	}
}

// acknowledgeOperation takes an operation off the books. It does nothing about
// one that is not there, or a status that was never sent.
func (m *Master) acknowledgeOperation(f *framework, ack *scheduler.Call_AcknowledgeOperationStatus) {
	a := m.agents[ack.AgentID.Value]
	if a == nil || !a.connected {
		return
	}
	op := a.operationOf(f, ack.OperationID.Value)
	sent := func(s mesos.OperationStatus) bool { return bytes.Equal(s.UUID.GetValue(), ack.UUID) }
	if op == nil || !slices.ContainsFunc(op.statuses, sent) {
		return
	}
	delete(a.operations, string(op.UUID))
	m.send(a, AcknowledgeOperation{ack.UUID})
	m.checkDrained(a)
}

// operationOf finds an operation by the ID that its framework gave it.
func (a *agent) operationOf(f *framework, id string) *operation {
	for _, uuid := range sortedKeys(a.operations) {
		if op := a.operations[uuid]; op.Framework == f.id && op.Info.ID.GetValue() == id {
			return op
		}
	}
	return nil
}

// settleOperations tells frameworks what has become of their operations on an
// agent that is given up, and takes all off the books.
func (m *Master) settleOperations(a *agent, state mesos.OperationState, text string) {
	for _, uuid := range sortedKeys(a.operations) {
		op := a.operations[uuid]
		if f := m.frameworks[op.Framework]; f != nil && op.Info.ID != nil {
			m.emit(f, operationEvent(mesos.OperationStatus{
				OperationID: op.Info.ID, State: state, Message: &text, AgentID: &mesos.AgentID{Value: a.id},
			}))
		}
	}
	a.operations = map[string]*operation{}
}

// compareOperations settles the account of an agent that registers again with
// the operations that it reports. It is asked about those that it does not
// know: they may be on their way to it.
func (m *Master) compareOperations(a *agent, reported []Operation) {
	known := map[string]bool{}
	for _, op := range reported {
		known[string(op.UUID)] = true
		if a.operations[string(op.UUID)] == nil {
			a.operations[string(op.UUID)] = &operation{Operation: op, agent: a, statuses: []mesos.OperationStatus{op.Status}}
		}
	}
	var lost [][]byte
	for _, uuid := range sortedKeys(a.operations) {
		if !known[uuid] {
			lost = append(lost, []byte(uuid))
		}
	}
	if len(lost) > 0 {
		m.send(a, ReconcileOperations{lost})
	}
}

// reconcileOperations answers with the latest statuses: of all operations if
// none is named. They carry no UUID, for they are not to be acknowledged.
func (m *Master) reconcileOperations(f *framework, named []scheduler.Call_ReconcileOperations_Operation) {
	if len(named) == 0 {
		for _, a := range m.order {
			for _, uuid := range sortedKeys(a.operations) {
				if op := a.operations[uuid]; op.Framework == f.id {
					m.emit(f, operationEvent(op.latest()))
				}
			}
		}
		return
	}
	for _, n := range named {
		m.emit(f, operationEvent(m.operationStatus(f, n)))
	}
}

func (op *operation) latest() mesos.OperationStatus {
	s := op.Status
	if n := len(op.statuses); n > 0 {
		s = op.statuses[n-1]
	}
	s.UUID = nil
	return s
}

func (m *Master) operationStatus(f *framework, n scheduler.Call_ReconcileOperations_Operation) mesos.OperationStatus {
	for _, a := range m.order {
		if op := a.operationOf(f, n.OperationID.Value); op != nil {
			return op.latest()
		}
	}
	s := mesos.OperationStatus{
		OperationID: &mesos.OperationID{Value: n.OperationID.Value}, AgentID: n.AgentID, ResourceProviderID: n.ResourceProviderID,
	}
	agentID := n.AgentID.GetValue()
	_, admitted := m.registry.Admitted[agentID]
	text := ""
	switch {
	case n.AgentID == nil:
		s.State, text = mesos.OPERATION_UNKNOWN, "Operation is unknown and no 'agent_id' was provided"
	case m.agents[agentID] != nil:
		s.State, text = mesos.OPERATION_UNKNOWN, "Operation is unknown"
	case admitted:
		s.State, text = mesos.OPERATION_RECOVERING, "Agent is recovered but has not re-registered"
	case !m.registry.Unreachable[agentID].IsZero():
		s.State, text = mesos.OPERATION_UNREACHABLE, "Agent is unreachable"
	case !m.registry.Gone[agentID].IsZero():
		s.State, text = mesos.OPERATION_GONE_BY_OPERATOR, "Agent marked gone by operator"
	default:
		s.State, text = mesos.OPERATION_UNKNOWN, "Both operation and agent are unknown"
	}
	s.Message = new("Reconciliation: " + text)
	return s
}
