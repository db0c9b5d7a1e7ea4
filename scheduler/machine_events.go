package scheduler

import (
	"bytes"
	"log/slog"
	"strings"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	sched "github.com/mesos/mesos-go/api/v1/lib/scheduler"
)

// apply changes the machine as the event says, and reports whether the handler
// has to hear of it. What it does not hear changes nothing in its view.
func (m *Machine) apply(ev Event) bool {
	switch ev := ev.(type) {
	case Subscribed:
		m.subscribed(ev)
	case Disconnected:
		m.disconnected(ev)
	case Removed:
		m.removed()
	case Offered:
		return m.offered(ev)
	case Rescinded:
		m.dropOffer(ev.Offer)
	case InverseOffered:
		return m.inverseOffered(ev)
	case InverseRescinded:
		m.inverse.drop(ev.Offer)
	case Updated:
		return m.updated(ev.Status)
	case OperationUpdated:
		return m.operationUpdated(ev.Status)
	case AgentLost:
		m.note("agent lost", slog.String("agent", ev.Agent))
		m.dropOffersOf(ev.Agent)
	case Tick:
		m.tick()
	case JobProgress:
		return m.jobs[ev.Name]
	case JobDone:
		if !m.jobs[ev.Name] {
			return false
		}
		delete(m.jobs, ev.Name)
	}
	return true
}

func (m *Machine) subscribed(ev Subscribed) {
	m.endSubscription()
	if ev.FrameworkID != m.identity.FrameworkID {
		m.surveyed = true // a new framework has no tasks
		m.identity.FrameworkID = ev.FrameworkID
		m.saveIdentity()
	}
	m.connected, m.master = true, masterOf(ev.Master)
	attrs := []slog.Attr{slog.String("framework", ev.FrameworkID), slog.String("master", strings.TrimSpace(m.master.Hostname+" "+m.master.Version))}
	var lacks []string
	for _, f := range m.master.Lacks() {
		lacks = append(lacks, f.String())
	}
	if len(lacks) > 0 {
		attrs = append(attrs, slog.String("lacks", strings.Join(lacks, ", ")))
	}
	m.note("subscribed", attrs...)
	if m.identity.Teardown {
		m.sendTeardown()
		return
	}
	m.reconcileAll()
	m.askAllOperations()
	for id, k := range m.kills.all("") {
		m.sendKill(id, k)
	}
}

func (m *Machine) disconnected(ev Disconnected) {
	m.endSubscription()
	m.note("disconnected", slog.String("reason", ev.Reason))
}

// endSubscription drops what is void without it. Kills stay: they go on with
// the next one.
func (m *Machine) endSubscription() {
	m.connected = false
	m.dropOffers()
	m.inverse.clear()
	for id, k := range m.kills.all("") {
		k.wait = 0
		m.agenda.drop(alarm{alarmKill, id})
	}
	m.stopReconciling()
	for _, r := range m.demand.roles {
		m.agenda.drop(alarm{alarmRevive, r.role})
	}
}

// removed ends the framework: the master knows it no more and has killed its
// tasks.
func (m *Machine) removed() {
	m.endSubscription()
	m.kills.clear()
	for id := range m.operations.all("") {
		m.dropOperation(id)
	}
	if !m.identity.Teardown {
		m.note("framework removed by the master", slog.String("framework", m.identity.FrameworkID))
		m.identity.FrameworkID = ""
		m.saveIdentity()
		for _, t := range m.tasks.all("") {
			if !Terminal(t.Status.GetState()) {
				m.become(t, mesos.TaskStatus{
					TaskID:  t.Info.TaskID,
					State:   mesos.TASK_KILLED.Enum(),
					Source:  mesos.SOURCE_MASTER.Enum(),
					AgentID: t.Status.AgentID,
				})
			}
		}
		return
	}
	m.note("framework torn down", slog.String("framework", m.identity.FrameworkID))
	for id := range m.tasks.all("") {
		m.tasks.drop(id)
		m.save(prefixTask+id, nil)
		m.save(prefixStatus+id, nil)
	}
	m.identity = identity{Seed: m.identity.Seed}
	m.save(keyIdentity, nil)
	m.effects.Done = true
}

// offered reports false where nothing came of the event.
func (m *Machine) offered(ev Offered) bool {
	if !m.connected {
		return false
	}
	for _, o := range ev.Offers {
		m.offers.add(&heldOffer{offer: o, came: m.now})
	}
	return len(ev.Offers) > 0
}

func (m *Machine) inverseOffered(ev InverseOffered) bool {
	if !m.connected {
		return false
	}
	for _, o := range ev.Offers {
		m.inverse.set(o.OfferID.Value, &o)
		start := time.Unix(0, o.Unavailability.Start.Nanoseconds).UTC()
		m.note("agent asked for back", slog.String("agent", o.AgentID.GetValue()), slog.Time("from", start))
	}
	return len(ev.Offers) > 0
}

// updated takes a status in. The acknowledgement is in the same effects as the
// save, and so leaves after it.
func (m *Machine) updated(s mesos.TaskStatus) bool {
	id, state := s.TaskID.Value, s.GetState()
	t, known := m.tasks.at(id)
	m.acknowledge(s, t)
	if !known {
		m.strayed(s, m.AdoptUnknown)
		return false
	}
	reconciled := m.answered(id)
	before := t.Status.GetState()
	switch {
	case Terminal(before):
		m.strayed(s, false) // the first end stands
	case len(s.UUID) > 0 && bytes.Equal(s.UUID, t.Status.UUID):
	case s.GetReason() == mesos.REASON_RECONCILIATION && state == before:
		// It repeats what was said of the state, without the data.
	case regresses(before, state):
	default:
		m.become(t, s)
		return true
	}
	return reconciled
}

// become saves a status as the task's.
func (m *Machine) become(t *task, s mesos.TaskStatus) {
	if s.AgentID == nil {
		s.AgentID = t.Status.AgentID
	}
	before := t.Status.GetState()
	t.Status = s
	if s.GetState() != before {
		t.Since = m.now
		if Terminal(s.GetState()) {
			m.endKill(s.TaskID.Value)
		}
		m.agenda.drop(alarm{alarmAsk, s.TaskID.Value})
		if unsettled(s.GetState()) {
			m.watch(s.TaskID.Value, askPatience)
		}
		if before == mesos.TASK_UNREACHABLE && t.Killing {
			m.startKill(s.TaskID.Value, t.agent(), t.grace) // its agent can hear it now
		}
		m.noteStatus(s)
	}
	m.saveStatus(t)
}

func (m *Machine) noteStatus(s mesos.TaskStatus) {
	attrs := []slog.Attr{slog.String("task", s.TaskID.Value)}
	if s.AgentID != nil {
		attrs = append(attrs, slog.String("agent", s.AgentID.Value))
	}
	if s.Reason != nil {
		attrs = append(attrs, slog.String("reason", s.Reason.String()))
	}
	if s.GetMessage() != "" {
		attrs = append(attrs, slog.String("message", s.GetMessage()))
	}
	m.note("task "+strings.ToLower(strings.TrimPrefix(s.GetState().String(), "TASK_")), attrs...)
}

// regresses says whether a status is older than what is known: reconciliation
// may tell of RUNNING before the STARTING that an agent still repeats.
// UNREACHABLE and KILLING end in any state.
func regresses(from, to mesos.TaskState) bool {
	rank := func(s mesos.TaskState) int {
		switch s {
		case mesos.TASK_STAGING:
			return 1
		case mesos.TASK_STARTING:
			return 2
		}
		return 3
	}
	return from != mesos.TASK_UNREACHABLE && rank(to) < rank(from)
}

// acknowledge lets the agent send the next status of the task. Only statuses
// with a uuid wait for it; the master's own have none.
func (m *Machine) acknowledge(s mesos.TaskStatus, t *task) {
	if len(s.UUID) == 0 {
		return
	}
	agent := s.AgentID
	if agent == nil && t != nil {
		agent = &mesos.AgentID{Value: t.agent()}
	}
	if agent == nil {
		return // nobody to tell it to
	}
	m.send(&sched.Call{Type: sched.Call_ACKNOWLEDGE, Acknowledge: &sched.Call_Acknowledge{
		AgentID: *agent, TaskID: s.TaskID, UUID: s.UUID,
	}})
}

// tick does what is due.
func (m *Machine) tick() {
	var operations []string
	for _, a := range m.agenda.due(m.now) {
		switch a.kind {
		case alarmHold:
			m.release(a.key)
		case alarmKill:
			if k, ok := m.kills.at(a.key); ok {
				m.sendKill(a.key, k)
			}
		case alarmAsk:
			m.askAfter(a.key)
		case alarmOperation:
			operations = append(operations, a.key)
		case alarmReconcile:
			m.reconcileRound()
		case alarmImplicit:
			m.reconcileImplicitly()
		case alarmHandler:
			m.due = append(m.due, a.key)
		case alarmRevive:
			// Whatever the reason for the Tick, the handler is asked and the
			// offers are steered after it.
		}
	}
	m.askOperations(operations)
}
