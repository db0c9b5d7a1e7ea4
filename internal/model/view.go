package model

import (
	"cmp"
	"slices"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

// TaskView is a task as a master knows it.
type TaskView struct {
	ID          string
	FrameworkID string
	AgentID     string
	State       mesos.TaskState
	Statuses    []mesos.TaskStatus // oldest first
}

func (t *task) view() TaskView {
	return TaskView{
		ID: t.info.TaskID.Value, FrameworkID: t.framework, AgentID: t.info.AgentID.Value,
		State: t.state, Statuses: slices.Clone(t.statuses),
	}
}

// Tasks returns the tasks that have not ended, unreachable ones too, as they
// were launched.
func (m *Master) Tasks() []TaskView {
	var all []*task
	for _, f := range m.frameworks {
		for _, t := range f.tasks {
			if !terminal(t.state) {
				all = append(all, t)
			}
		}
		for _, t := range f.unreachable {
			all = append(all, t)
		}
	}
	slices.SortFunc(all, bySeq)
	out := make([]TaskView, len(all))
	for i, t := range all {
		out[i] = t.view()
	}
	return out
}

// Task finds the latest task of an ID, among those that ended too.
func (m *Master) Task(id string) (TaskView, bool) {
	var best *task
	look := func(t *task) {
		if t != nil && (best == nil || cmp.Compare(t.seq, best.seq) > 0) {
			best = t
		}
	}
	for _, fs := range []map[string]*framework{m.frameworks, m.completed} {
		for _, f := range fs {
			look(f.tasks[id])
			look(f.unreachable[id])
			for _, t := range f.ended {
				if t.info.TaskID.Value == id {
					look(t)
				}
			}
		}
	}
	if best == nil {
		return TaskView{}, false
	}
	return best.view(), true
}

// ActiveAgents counts the agents that are connected and not deactivated.
func (m *Master) ActiveAgents() int {
	n := 0
	for _, a := range m.order {
		if a.active() {
			n++
		}
	}
	return n
}
