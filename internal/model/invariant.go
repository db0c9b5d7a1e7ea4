package model

import (
	"fmt"
)

// Check returns an error if something does not hold that always must:
//
//   - On every agent, what offers, tasks and executors hold adds up to what is
//     allocated, and the agent has that much: nothing is handed out twice but
//     shared volumes.
//   - An offer is on the books of one framework and one agent, and that
//     framework is connected.
//   - A task that has ended holds nothing, and no task is on two lists.
//   - An agent is registered, unreachable or gone, and no two of these.
func (m *Master) Check() error {
	for _, a := range m.order {
		if err := m.checkAgent(a); err != nil {
			return err
		}
	}
	for _, id := range sortedKeys(m.offers) {
		o := m.offers[id]
		switch {
		case o.framework.offers[id] != o || o.agent.offers[id] != o:
			return fmt.Errorf("model: offer %s is not with framework %s and agent %s", id, o.framework.id, o.agent.id)
		case o.framework.stream == "":
			return fmt.Errorf("model: offer %s is with framework %s, which is not connected", id, o.framework.id)
		case m.agents[o.agent.id] != o.agent:
			return fmt.Errorf("model: offer %s is of agent %s, which is not registered", id, o.agent.id)
		}
	}
	for _, id := range sortedKeys(m.frameworks) {
		if err := m.checkFramework(m.frameworks[id]); err != nil {
			return err
		}
	}
	return m.checkRegistry()
}

func (m *Master) checkAgent(a *agent) error {
	var sum Resources
	for _, id := range sortedKeys(a.offers) {
		if m.offers[id] != a.offers[id] {
			return fmt.Errorf("model: agent %s has offer %s, which does not exist", a.id, id)
		}
		sum = sum.Plus(a.offers[id].resources)
	}
	for _, key := range sortedRefs(a.tasks) {
		t := a.tasks[key]
		if terminal(t.state) && len(t.held) > 0 {
			return fmt.Errorf("model: task %s has ended (%s) and holds %s", key.id, t.state, t.held)
		}
		sum = sum.Plus(t.held)
	}
	for _, key := range sortedRefs(a.executors) {
		sum = sum.Plus(a.executors[key].resources)
	}
	if !sum.Equal(a.allocated) {
		return fmt.Errorf("model: agent %s: offers, tasks and executors hold %s, but allocated are %s", a.id, sum, a.allocated)
	}
	if !a.total.Contains(a.allocated.Allocated("").mapEach(resource.single)) {
		return fmt.Errorf("model: agent %s has %s, but allocated are %s", a.id, a.total, a.allocated)
	}
	return nil
}

func (m *Master) checkFramework(f *framework) error {
	for _, id := range sortedKeys(f.tasks) {
		t := f.tasks[id]
		switch {
		case f.unreachable[id] != nil:
			return fmt.Errorf("model: task %s is both here and unreachable", id)
		case t.agent == nil || t.agent.tasks[ref{f.id, id}] != t:
			return fmt.Errorf("model: task %s is with framework %s but with no agent", id, f.id)
		}
	}
	if f.stream != "" && m.streams[f.stream] != f {
		return fmt.Errorf("model: framework %s has a stream that is not open", f.id)
	}
	return nil
}

func (m *Master) checkRegistry() error {
	for _, id := range sortedKeys(m.agents) {
		_, admitted := m.registry.Admitted[id]
		_, unreachable := m.registry.Unreachable[id]
		_, gone := m.registry.Gone[id]
		if !admitted || unreachable || gone {
			return fmt.Errorf("model: agent %s is registered, but admitted=%t unreachable=%t gone=%t", id, admitted, unreachable, gone)
		}
	}
	return nil
}
