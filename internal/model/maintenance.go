package model

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"
)

// Window is a time when machines will not be available.
type Window struct {
	Machines       []mesos.MachineID
	Unavailability mesos.Unavailability
}

// inverseOffer asks a framework to leave an agent.
type inverseOffer struct {
	id        string
	seq       int
	framework *framework
	agent     *agent
}

// Operate is a request of an operator. It is answered by one [Reply].
type Operate struct{ Request OperatorRequest }

func (Operate) masterInput() {}

// OperatorRequest is one of the operator's calls that change something.
type OperatorRequest interface{ operatorRequest() }

// SetSchedule replaces the maintenance schedule.
type SetSchedule struct{ Windows []Window }

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
func (SetSchedule) operatorRequest()       {}
func (TeardownFramework) operatorRequest() {}
func (MarkGone) operatorRequest()          {}
func (Deactivate) operatorRequest()        {}

func (m *Master) operate(in Operate) {
	switch r := in.Request.(type) {
	case SetSchedule:
		m.setSchedule(r.Windows)
		m.do(Reply{Status: statusOK})
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
// way are rescinded.
func (m *Master) changeResources(r ChangeResources) {
	a := m.agents[r.AgentID]
	if a == nil {
		m.do(Reply{statusBadRequest, "No agent found with specified ID"})
		return
	}
	c, err := m.conversionOf(&r.Operation, a, nil)
	if err != nil {
		m.do(Reply{statusBadRequest, fmt.Sprintf("Invalid %s operation on agent %s: %s", r.Operation.Type, a, err)})
		return
	}
	for _, o := range slices.SortedFunc(maps.Values(a.offers), func(x, y *offer) int { return cmp.Compare(x.seq, y.seq) }) {
		if a.free().Contains(c.consumed) {
			break
		}
		m.rescind(o)
	}
	if !a.free().Contains(c.consumed) {
		m.do(Reply{statusConflict, fmt.Sprintf("Invalid %s operation: %s does not contain %s", r.Operation.Type, a.free(), c.consumed)})
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

// windowOf returns the announced unavailability of an agent, or nil.
func (m *Master) unavailability(a *agent) *mesos.Unavailability {
	for i := range m.schedule {
		for _, id := range m.schedule[i].Machines {
			if (id.GetHostname() == "" || id.GetHostname() == a.info.Hostname) && (id.GetIP() == "" || id.GetIP() == a.ip) {
				return &m.schedule[i].Unavailability
			}
		}
	}
	return nil
}

// setSchedule announces maintenance. What was offered is offered again with
// the news on it.
func (m *Master) setSchedule(ws []Window) {
	m.schedule = ws
	for _, a := range m.order {
		m.rescindAgent(a)
		for _, id := range sortedKeys(a.inverse) {
			m.removeInverse(a.inverse[id])
		}
		m.dirty[a.id] = true
	}
	m.allocateDirty()
	m.inviteMaintenance()
}

// inviteMaintenance asks frameworks to leave agents that will be unavailable.
func (m *Master) inviteMaintenance() {
	if len(m.schedule) == 0 {
		return
	}
	for _, f := range m.framesInOrder() {
		if f.stream == "" {
			continue
		}
		e := &scheduler.Event{Type: scheduler.Event_INVERSE_OFFERS, InverseOffers: &scheduler.Event_InverseOffers{}}
		for _, a := range m.order {
			u := m.unavailability(a)
			if u == nil || !m.uses(f, a) || m.asked(f, a) {
				continue
			}
			i := &inverseOffer{id: fmt.Sprintf("%s-O%d", m.cfg.Info.ID, m.nextOffer), seq: m.nextOffer, framework: f, agent: a}
			m.nextOffer++
			m.inverse[i.id], f.inverse[i.id], a.inverse[i.id] = i, i, i
			e.InverseOffers.InverseOffers = append(e.InverseOffers.InverseOffers, mesos.InverseOffer{
				OfferID: mesos.OfferID{Value: i.id}, URL: a.url(), FrameworkID: mesos.FrameworkID{Value: f.id},
				AgentID: &mesos.AgentID{Value: a.id}, Unavailability: *u,
			})
		}
		if len(e.InverseOffers.InverseOffers) > 0 {
			m.emit(f, e)
		}
	}
}

// uses reports whether a framework has resources of an agent.
func (m *Master) uses(f *framework, a *agent) bool {
	for key := range a.tasks {
		if key.framework == f.id {
			return true
		}
	}
	for _, o := range a.offers {
		if o.framework == f {
			return true
		}
	}
	return false
}

// asked reports whether an inverse offer is out, or was answered lately.
func (m *Master) asked(f *framework, a *agent) bool {
	for _, i := range a.inverse {
		if i.framework == f {
			return true
		}
	}
	fs := f.filters[filterKey{inverseRole, a.id}]
	return slices.ContainsFunc(fs, func(x filter) bool { return x.until.After(m.now) })
}

// inverseRole keys the filters of inverse offers; no role has this name.
const inverseRole = "\x00inverse"

func (m *Master) removeInverse(i *inverseOffer) {
	delete(m.inverse, i.id)
	delete(i.framework.inverse, i.id)
	delete(i.agent.inverse, i.id)
}

func (m *Master) answerInverse(f *framework, ids []mesos.OfferID, _ bool, filters *mesos.Filters) {
	for _, id := range ids {
		i := f.inverse[id.Value]
		if i == nil {
			continue
		}
		m.removeInverse(i)
		key := filterKey{inverseRole, i.agent.id}
		f.filters[key] = []filter{{until: m.now.Add(max(refuse(filters), m.cfg.AllocationInterval))}}
	}
}
