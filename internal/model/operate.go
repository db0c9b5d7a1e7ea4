package model

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

// Operate is a request of an operator. It is answered by one [Reply].
type Operate struct{ Request OperatorRequest }

func (Operate) masterInput() {}

// OperatorRequest is one of the operator's calls that change something.
type OperatorRequest interface{ operatorRequest() }

// TeardownFramework removes a framework.
type TeardownFramework struct{ ID string }

// MarkGone says that an agent will never come back.
type MarkGone struct{ ID string }

// Deactivate stops or, if On, resumes offers of an agent.
type Deactivate struct {
	ID string
	On bool
}

// ChangeResources carries out a reservation or volume operation on an agent.
type ChangeResources struct {
	AgentID   string
	Operation mesos.Offer_Operation
}

func (ChangeResources) operatorRequest()   {}
func (TeardownFramework) operatorRequest() {}
func (MarkGone) operatorRequest()          {}
func (Deactivate) operatorRequest()        {}

func (m *Master) operate(in Operate) {
	switch r := in.Request.(type) {
	case SetSchedule:
		m.setSchedule(r.Windows)
	case StartMaintenance:
		m.startMaintenance(r.Machines)
	case StopMaintenance:
		m.stopMaintenance(r.Machines)
	case SetWeights:
		m.setWeights(r)
	case TeardownFramework:
		f := m.frameworks[r.ID]
		if f == nil {
			m.do(Reply{statusBadRequest, "No framework found with ID " + r.ID})
			return
		}
		m.do(Reply{Status: statusOK})
		m.removeFramework(f)
	case MarkGone:
		m.markGone(r.ID)
	case Deactivate:
		m.deactivate(r)
	case SetQuota:
		m.setQuota(r)
	case Drain:
		m.drain(r)
	case ChangeResources:
		m.changeResources(r)
	}
}

// changeResources applies an operator's operation. Offers that stand in its
// way are rescinded (Master::Http::_operation).
func (m *Master) changeResources(r ChangeResources) {
	a := m.agents[r.AgentID]
	if a == nil {
		m.do(Reply{statusBadRequest, "No agent found with specified ID"})
		return
	}
	c, err := m.conversionOf(&r.Operation, a, nil)
	if err != nil {
		text := fmt.Sprintf("Invalid %s operation on agent %s: %s", r.Operation.Type, a, err)
		if invalid := (invalidResources{}); errors.As(err, &invalid) {
			text = err.Error()
		}
		m.do(Reply{statusBadRequest, text})
		return
	}
	// Like Mesos, take back offers that help until those alone would do,
	// whatever is free: it may be on its way into an offer. The filter wins
	// the race against the next round.
	var back Resources
	lacking := c.consumed
	for _, o := range slices.SortedFunc(maps.Values(a.offers), func(x, y *offer) int { return cmp.Compare(x.seq, y.seq) }) {
		offered := o.resources.Allocated("")
		rest := lacking.less(offered)
		if rest.Equal(lacking) {
			continue
		}
		lacking, back = rest, back.Plus(offered)
		m.rescind(o)
		m.recoverResources(o.framework, a, o.role, o.resources, defaultRefuse)
		if back.Contains(c.consumed) {
			break
		}
	}
	if !a.free().Contains(c.consumed) {
		m.do(Reply{statusConflict, fmt.Sprintf("%s does not contain %s", a.free(), c.consumed)})
		return
	}
	m.do(Reply{Status: statusAccepted})
	m.apply(a, "", &r.Operation, c)
}

func (m *Master) deactivate(r Deactivate) {
	a := m.agents[r.ID]
	if a == nil {
		m.do(Reply{statusNotFound, "Agent not found"})
		return
	}
	m.do(Reply{Status: statusOK})
	a.deactivated = !r.On
	if r.On {
		delete(m.registry.Deactivated, r.ID)
		delete(m.registry.Draining, r.ID)
		m.dirty[a.id] = true
		return
	}
	m.registry.Deactivated[r.ID] = true
	m.rescindAgent(a)
}

func (m *Master) markGone(id string) {
	a := m.agents[id]
	_, admitted := m.registry.Admitted[id]
	_, unreachable := m.registry.Unreachable[id]
	if a == nil && !admitted && !unreachable {
		m.do(Reply{statusNotFound, "Agent not found"})
		return
	}
	m.do(Reply{Status: statusOK})
	m.gone(id)
}

// gone takes an agent that will never come back off the books.
func (m *Master) gone(id string) {
	a := m.agents[id]
	m.registry.Gone[id] = m.now
	delete(m.registry.Admitted, id)
	delete(m.registry.Unreachable, id)
	for _, f := range m.framesInOrder() {
		for _, t := range slices.SortedFunc(maps.Values(f.unreachable), bySeq) {
			if t.info.AgentID.Value == id {
				delete(f.unreachable, t.info.TaskID.Value)
				m.goneTask(f, t)
			}
		}
		for _, t := range f.tasksInOrder() {
			if a != nil && t.agent == a {
				m.goneTask(f, t)
			}
		}
	}
	if a != nil {
		m.send(a, ShutdownAgent{"Agent has been marked gone"})
		m.rescindAgent(a)
		m.dropAgent(a)
	}
}

func (m *Master) goneTask(f *framework, t *task) {
	s := m.masterStatus(t.info.TaskID.Value, t.info.AgentID.Value, f.lost(mesos.TASK_GONE_BY_OPERATOR),
		mesos.REASON_AGENT_REMOVED_BY_OPERATOR, "Agent has been marked gone")
	if !terminal(t.state) {
		m.setState(t, &s, f.lost(mesos.TASK_GONE_BY_OPERATOR))
		m.emit(f, updateEvent(s))
	}
	m.forget(t)
}
