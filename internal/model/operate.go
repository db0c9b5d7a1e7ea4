package model

import (
	"fmt"

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
	// Principal is who authenticated, or "". What is reserved or created must
	// bear that name.
	Principal string
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
			m.do(Reply{statusBadRequest, "No framework found with specified ID"})
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
	case RequestQuota:
		m.requestQuota(r)
	case RemoveQuota:
		m.removeQuota(r)
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
	by := requester{}
	if r.Principal != "" {
		by.principal = &r.Principal
	}
	in, err := parseOperation(&r.Operation, by)
	if err != nil {
		m.do(Reply{statusBadRequest, err.Error()})
		return
	}
	steps, err := a.conversionsOf(&r.Operation, in, by)
	if err != nil {
		where := fmt.Sprintf(" on agent %s", a)
		if t := r.Operation.Type; t == mesos.Offer_Operation_DESTROY || t == mesos.Offer_Operation_UNRESERVE {
			where = "" // as in Mesos
		}
		m.do(Reply{statusBadRequest, fmt.Sprintf("Invalid %s operation%s: %s", r.Operation.Type, where, err)})
		return
	}
	// Like Mesos, take back offers that help until those alone would do,
	// whatever is free: it may be on its way into an offer. The filter wins
	// the race against the next round.
	c := total(steps)
	var back Resources
	lacking := c.consumed
	for _, o := range a.offersInOrder() {
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
	if r.Operation.Type == mesos.Offer_Operation_DESTROY {
		m.rescindVolumes(a, c.consumed) // a shared one can be in several
	}
	free := a.free()
	for _, step := range steps {
		if free, err = step.apply(free); err != nil {
			m.do(Reply{statusConflict, err.Error()})
			return
		}
	}
	m.do(Reply{Status: statusAccepted})
	m.apply(a, "", &r.Operation, c)
}

// knownAgent reports whether an agent is registered, or was and may come back.
func (m *Master) knownAgent(id string) bool {
	_, admitted := m.registry.Admitted[id]
	_, unreachable := m.registry.Unreachable[id]
	return admitted || unreachable
}

func (m *Master) deactivate(r Deactivate) {
	a := m.agents[r.ID]
	if !r.On {
		if !m.knownAgent(r.ID) {
			m.do(Reply{statusBadRequest, "Unknown agent"})
			return
		}
		m.do(Reply{Status: statusOK})
		m.registry.Deactivated[r.ID] = true
		if a != nil {
			m.deactivateAgent(a)
		}
		return
	}
	switch {
	case !m.registry.Deactivated[r.ID]:
		m.do(Reply{statusBadRequest, "Agent is not deactivated"})
		return
	case a != nil && m.drainInfo(a) != nil && m.drainInfo(a).State == mesos.DrainState_DRAINING:
		m.do(Reply{statusBadRequest, "Agent is still in the DRAINING state"})
		return
	}
	delete(m.registry.Deactivated, r.ID)
	delete(m.registry.Draining, r.ID)
	if a == nil {
		m.do(Reply{statusConflict, "Agent removed while processing the call"})
		return
	}
	m.do(Reply{Status: statusOK})
	a.deactivated = false
}

// deactivateAgent takes back all that was offered of an agent.
func (m *Master) deactivateAgent(a *agent) {
	a.deactivated = true
	m.rescindAgent(a)
	m.rescindInverse(a)
}

func (m *Master) markGone(id string) {
	if _, gone := m.registry.Gone[id]; gone {
		m.do(Reply{Status: statusOK})
		return
	}
	if !m.knownAgent(id) {
		m.do(Reply{statusNotFound, "Agent '" + id + "' not found"})
		return
	}
	m.do(Reply{Status: statusOK})
	m.gone(id)
}
