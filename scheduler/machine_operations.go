package scheduler

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	sched "github.com/mesos/mesos-go/api/v1/lib/scheduler"
)

// An operation that never arrived is told by nobody, so one that says nothing
// is asked for.
const (
	operationPatience    = time.Minute
	operationPatienceMax = 15 * time.Minute
)

// checkOperations returns the operations of an accept that carry an id and so
// have an outcome, or why they cannot be sent.
func (m *Machine) checkOperations(agent string, operations []mesos.Offer_Operation) ([]Operation, error) {
	var watched []Operation
	seen := map[string]bool{}
	for _, op := range operations {
		if op.ID == nil {
			continue
		}
		id := op.ID.Value
		switch {
		case id == "" || strings.Contains(id, "/"):
			return nil, fmt.Errorf("operation id %q must not be empty nor contain a slash", id)
		case op.Launch != nil || op.LaunchGroup != nil:
			return nil, fmt.Errorf("operation %q is a %s: tasks have statuses instead of an outcome", id, op.Type)
		case m.operations.has(id) || seen[id]:
			return nil, fmt.Errorf("operation %q is under way: every one needs an id of its own", id)
		}
		seen[id] = true
		watched = append(watched, Operation{ID: id, Agent: strings.Clone(agent), Type: op.Type, Status: mesos.OperationStatus{
			OperationID: &mesos.OperationID{Value: id}, State: mesos.OPERATION_PENDING,
		}, Since: m.now})
	}
	return watched, nil
}

// withoutIDs are operations for a master that would drop those which have an id.
func withoutIDs(operations []mesos.Offer_Operation) []mesos.Offer_Operation {
	plain := slices.Clone(operations)
	for i := range plain {
		plain[i].ID = nil
	}
	return plain
}

func (m *Machine) startOperations(operations []Operation) {
	for _, op := range operations {
		m.operations.set(op.ID, &op)
		m.saveOperation(&op)
		m.agenda.set(alarm{alarmOperation, op.ID}, m.now.Add(operationPatience))
	}
}

// operationUpdated takes the status of an operation in, and reports whether it
// is one of ours that is under way.
func (m *Machine) operationUpdated(s mesos.OperationStatus) bool {
	m.acknowledgeOperation(s)
	if s.OperationID == nil {
		return false
	}
	op, ok := m.operations.at(s.OperationID.Value)
	if !ok || op.Status.State == s.State {
		return false
	}
	op.Status, op.Since = s, m.now
	m.saveOperation(op)
	attrs := []slog.Attr{slog.String("operation", op.ID), slog.String("type", op.Type.String()), slog.String("agent", op.Agent)}
	if s.GetMessage() != "" {
		attrs = append(attrs, slog.String("message", s.GetMessage()))
	}
	m.note(strings.ToLower(strings.ReplaceAll(s.State.String(), "_", " ")), attrs...)
	return true
}

// forgetOperation drops an operation that has ended, after the handler has
// seen how.
func (m *Machine) forgetOperation(ev Event) {
	up, ok := ev.(OperationUpdated)
	if !ok || up.Status.OperationID == nil {
		return
	}
	id := up.Status.OperationID.Value
	if op, ok := m.operations.at(id); ok && operationEnded(op.Status.State) {
		m.dropOperation(id)
	}
}

func (m *Machine) dropOperation(id string) {
	m.operations.drop(id)
	m.agenda.drop(alarm{alarmOperation, id})
	m.save(prefixOperation+id, nil)
}

// operationEnded says whether an operation in this state is over. Where the
// agent cannot be reached or recovers, it is not.
func operationEnded(s mesos.OperationState) bool {
	switch s {
	case mesos.OPERATION_PENDING, mesos.OPERATION_UNREACHABLE, mesos.OPERATION_RECOVERING:
		return false
	}
	return true
}

// acknowledgeOperation answers where the status asks for it: the agent or the
// resource provider repeats it until then.
func (m *Machine) acknowledgeOperation(s mesos.OperationStatus) {
	if s.UUID == nil || len(s.UUID.Value) == 0 || s.OperationID == nil {
		return
	}
	m.send(&sched.Call{Type: sched.Call_ACKNOWLEDGE_OPERATION_STATUS,
		AcknowledgeOperationStatus: &sched.Call_AcknowledgeOperationStatus{
			AgentID:            s.AgentID,
			ResourceProviderID: s.ResourceProviderID,
			UUID:               s.UUID.Value,
			OperationID:        *s.OperationID,
		}})
}

// askOperations asks for operations that are under way, and again later.
func (m *Machine) askOperations(ids []string) {
	call := &sched.Call_ReconcileOperations{}
	for _, id := range ids {
		op, ok := m.operations.at(id)
		if !ok || !m.connected {
			continue // a subscription begins with asking for everything
		}
		call.Operations = append(call.Operations, sched.Call_ReconcileOperations_Operation{
			OperationID: mesos.OperationID{Value: id}, AgentID: &mesos.AgentID{Value: op.Agent},
			ResourceProviderID: op.Status.ResourceProviderID,
		})
		wait := min(max(m.now.Sub(op.Since), operationPatience), operationPatienceMax)
		m.agenda.set(alarm{alarmOperation, id}, m.now.Add(wait))
	}
	if len(call.Operations) > 0 {
		m.send(&sched.Call{Type: sched.Call_RECONCILE_OPERATIONS, ReconcileOperations: call})
	}
}

func (m *Machine) askAllOperations() {
	var ids []string
	for id := range m.operations.all("") {
		ids = append(ids, id)
	}
	m.askOperations(ids)
}

// operationRecord is an Operation in the store.
type operationRecord struct {
	Agent  string    `json:"agent"`
	Type   int32     `json:"type"`
	Status []byte    `json:"status"`
	Since  time.Time `json:"since"`
}

func (m *Machine) saveOperation(op *Operation) {
	m.save(prefixOperation+op.ID, mustMarshal(json.Marshal(operationRecord{
		Agent: op.Agent, Type: int32(op.Type), Status: mustMarshal(op.Status.Marshal()), Since: op.Since,
	})))
}

func (m *Machine) restoreOperation(id string, value []byte) error {
	var record operationRecord
	if err := json.Unmarshal(value, &record); err != nil {
		return err
	}
	op := &Operation{ID: id, Agent: record.Agent, Type: mesos.Offer_Operation_Type(record.Type), Since: record.Since}
	m.operations.set(id, op)
	return op.Status.Unmarshal(record.Status)
}
