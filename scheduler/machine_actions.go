package scheduler

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	sched "github.com/mesos/mesos-go/api/v1/lib/scheduler"

	"github.com/mesokit/mesokit/scheduler/state"
)

// minWake keeps a handler that asks for a Tick in the past from spinning.
const minWake = 10 * time.Millisecond

// act carries out one decision of the handler.
func (m *Machine) act(action Action) {
	switch a := action.(type) {
	case Accept:
		m.accept(a)
	case Decline:
		m.decline(a)
	case Hold:
		m.hold(a)
	case Want:
		m.want(a)
	case Register:
		m.register(a)
	case Kill:
		m.kill(a)
	case Yield:
		m.yield(a)
	case Shutdown:
		m.send(&sched.Call{Type: sched.Call_SHUTDOWN, Shutdown: &sched.Call_Shutdown{
			ExecutorID: mesos.ExecutorID{Value: a.Executor}, AgentID: mesos.AgentID{Value: a.Agent},
		}})
	case Message:
		m.send(&sched.Call{Type: sched.Call_MESSAGE, Message: &sched.Call_Message{
			AgentID:    mesos.AgentID{Value: a.Agent},
			ExecutorID: mesos.ExecutorID{Value: a.Executor},
			Data:       a.Data,
		}})
	case Remember:
		m.remember(a)
	case Forget:
		m.forget(a)
	case Start:
		if name := a.Job.Name; !m.jobs[name] {
			m.jobs[name] = true
			m.effects.Start = append(m.effects.Start, a.Job)
		}
	case Cancel:
		if m.jobs[a.Job] {
			m.effects.Cancel = append(m.effects.Cancel, a.Job)
		}
	case Answer:
		m.effects.Answer = append(m.effects.Answer, a)
	case Note:
		m.effects.Note = append(m.effects.Note, a)
	case WakeAt:
		m.wakeAt(a.Time, a.Key)
	case Teardown:
		m.teardown()
	}
}

// accept launches and reserves. What it refuses would be refused by the master
// too, or worse: would start a task under an id that is already taken.
func (m *Machine) accept(a Accept) {
	launched, operations, err := m.checkAccept(a)
	if err != nil {
		m.note("accept refused", slog.String("error", err.Error()))
		return
	}
	if !m.master.Has(OperationFeedback) {
		a.Operations, operations = withoutIDs(a.Operations), nil
	}
	m.startOperations(operations)
	for _, l := range launched {
		t := &task{Task: Task{
			Info: l.info,
			Status: mesos.TaskStatus{
				TaskID:  l.info.TaskID,
				State:   mesos.TASK_STAGING.Enum(),
				AgentID: &mesos.AgentID{Value: l.info.AgentID.Value},
			},
			Since: m.now,
		}}
		id := l.info.TaskID.Value
		m.tasks.set(id, t)
		m.save(prefixTask+id, l.record)
		m.saveStatus(t)
		m.watch(id, askPatience)
		m.note("task launched", slog.String("task", id), slog.String("agent", l.info.AgentID.Value))
	}
	for _, id := range a.Offers {
		m.dropOffer(id.Value)
	}
	m.send(&sched.Call{Type: sched.Call_ACCEPT, Accept: &sched.Call_Accept{
		OfferIDs:   a.Offers,
		Operations: a.Operations,
		Filters:    refuseFor(0), // what is left over comes back at once
	}})
}

// launch is a task that an accept starts. The info is a copy of our own, made
// of the record: the handler's shares memory with the event of the offer.
type launch struct {
	info   mesos.TaskInfo
	record []byte
}

// checkAccept returns what an accept starts, or why it cannot be.
func (m *Machine) checkAccept(a Accept) ([]launch, []Operation, error) {
	agent, err := m.agentOf(a.Offers)
	if err != nil {
		return nil, nil, err
	}
	operations, err := m.checkOperations(agent, a.Operations)
	if err != nil {
		return nil, nil, err
	}
	launched, err := m.checkLaunches(agent, a.Operations)
	return launched, operations, err
}

func (m *Machine) checkLaunches(agent string, operations []mesos.Offer_Operation) ([]launch, error) {
	seen := map[string]bool{}
	var launched []launch
	for _, info := range launches(operations) {
		id := info.TaskID.Value
		switch {
		case id == "" || strings.Contains(id, "/"):
			return nil, fmt.Errorf("task id %q must not be empty nor contain a slash", id)
		case info.AgentID.Value != agent:
			return nil, fmt.Errorf("task %q is for agent %q, the offers are of %q", id, info.AgentID.Value, agent)
		case m.tasks.has(id) || m.kills.has(id) || seen[id]:
			return nil, fmt.Errorf("task %q was launched before: every incarnation needs an id of its own", id)
		}
		seen[id] = true
		record, err := encodeTask(info)
		if err == nil {
			info, err = decodeTask(record)
		}
		if err != nil {
			return nil, fmt.Errorf("task %q: %w", id, err)
		}
		launched = append(launched, launch{info, record})
	}
	return launched, nil
}

// agentOf returns the agent that made offers which are all held.
func (m *Machine) agentOf(offers []mesos.OfferID) (agent string, err error) {
	if len(offers) == 0 {
		return "", errors.New("it names no offer")
	}
	seen := map[string]bool{}
	for i, id := range offers {
		o, ok := m.offers.byID[id.Value]
		switch {
		case !ok:
			return "", fmt.Errorf("offer %q is not held", id.Value)
		case seen[id.Value]:
			return "", fmt.Errorf("offer %q is named twice", id.Value)
		case i > 0 && o.offer.AgentID.Value != agent:
			return "", fmt.Errorf("offers are of the agents %q and %q: one accept is for one agent", agent, o.offer.AgentID.Value)
		}
		seen[id.Value], agent = true, o.offer.AgentID.Value
	}
	return agent, nil
}

// launches are the tasks that operations start.
func launches(operations []mesos.Offer_Operation) []mesos.TaskInfo {
	var infos []mesos.TaskInfo
	for _, op := range operations {
		if op.Launch != nil {
			infos = append(infos, op.Launch.TaskInfos...)
		}
		if op.LaunchGroup != nil {
			infos = append(infos, op.LaunchGroup.TaskGroup.Tasks...)
		}
	}
	return infos
}

// yield answers the inverse offers that are still asked.
func (m *Machine) yield(a Yield) {
	var asked []mesos.OfferID
	for _, id := range a.Offers {
		if m.inverse.has(id.Value) {
			asked = append(asked, id)
			m.inverse.drop(id.Value)
		}
	}
	switch {
	case len(asked) == 0:
	case a.Agree:
		accept := &sched.Call_AcceptInverseOffers{InverseOfferIDs: asked}
		if a.Refuse > 0 {
			accept.Filters = refuseFor(a.Refuse)
		}
		m.send(&sched.Call{Type: sched.Call_ACCEPT_INVERSE_OFFERS, AcceptInverseOffers: accept})
	default:
		m.send(&sched.Call{Type: sched.Call_DECLINE_INVERSE_OFFERS,
			DeclineInverseOffers: &sched.Call_DeclineInverseOffers{InverseOfferIDs: asked, Filters: refuseFor(a.Refuse)}})
	}
}

func (m *Machine) remember(a Remember) {
	if err := state.Check([]state.Record{{Key: prefixHandler + a.Key}}); a.Key == "" || err != nil {
		m.note("remember refused", slog.String("key", a.Key), slog.Any("error", err))
		return
	}
	before, known := m.records.at(a.Key)
	switch {
	case a.Value == nil && known:
		m.records.drop(a.Key)
		m.save(prefixHandler+a.Key, nil)
	case a.Value != nil && (!known || !bytes.Equal(before, a.Value)):
		value := append([]byte{}, a.Value...)
		m.records.set(a.Key, value)
		m.save(prefixHandler+a.Key, value)
	}
}

func (m *Machine) forget(a Forget) {
	t, ok := m.tasks.at(a.Task)
	if !ok {
		return
	}
	if s := t.Status.GetState(); !Terminal(s) {
		m.note("forget refused: the task has not ended", slog.String("task", a.Task), slog.String("state", s.String()))
		return
	}
	m.tasks.drop(a.Task)
	m.save(prefixTask+a.Task, nil)
	m.save(prefixStatus+a.Task, nil)
}

func (m *Machine) wakeAt(at time.Time, key string) {
	if at.IsZero() {
		return
	}
	if soon := m.now.Add(minWake); at.Before(soon) {
		at = soon
	}
	what := alarm{alarmHandler, key}
	if before, ok := m.agenda.at[what]; !ok || at.Before(before) {
		m.agenda.set(what, at)
	}
}

func (m *Machine) teardown() {
	if m.identity.Teardown {
		return
	}
	m.identity.Teardown = true
	m.saveIdentity()
	m.note("teardown decided")
	m.sendTeardown()
}

func (m *Machine) sendTeardown() {
	m.send(&sched.Call{Type: sched.Call_TEARDOWN})
}
