package model

import (
	"slices"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	mesosmaster "github.com/mesos/mesos-go/api/v1/lib/master"
)

// Watch turns the events of the operator API on or off.
type Watch struct{ On bool }

func (Watch) masterInput() {}

// Observed is an event of the operator API, for all who watch.
type Observed struct{ Event *mesosmaster.Event }

func (Observed) masterOutput() {}

func (m *Master) taskAdded(f *framework, t *task) {
	if m.watched {
		m.do(Observed{&mesosmaster.Event{Type: mesosmaster.Event_TASK_ADDED, TaskAdded: &mesosmaster.Event_TaskAdded{Task: t.report(f)}}})
	}
}

func (m *Master) taskUpdated(t *task, s *mesos.TaskStatus) {
	if m.watched {
		m.do(Observed{&mesosmaster.Event{Type: mesosmaster.Event_TASK_UPDATED, TaskUpdated: &mesosmaster.Event_TaskUpdated{
			FrameworkID: mesos.FrameworkID{Value: t.framework}, Status: *s, State: new(t.state)}}})
	}
}

func (m *Master) agentAdded(a *agent) {
	if m.watched {
		m.do(Observed{&mesosmaster.Event{Type: mesosmaster.Event_AGENT_ADDED, AgentAdded: &mesosmaster.Event_AgentAdded{Agent: m.reportAgent(a)}}})
	}
}

func (m *Master) agentRemoved(id string) {
	if m.watched {
		m.do(Observed{&mesosmaster.Event{Type: mesosmaster.Event_AGENT_REMOVED,
			AgentRemoved: &mesosmaster.Event_AgentRemoved{AgentID: mesos.AgentID{Value: id}}}})
	}
}

func (m *Master) frameworkChanged(f *framework, isNew bool) {
	switch {
	case !m.watched:
	case isNew:
		m.do(Observed{&mesosmaster.Event{Type: mesosmaster.Event_FRAMEWORK_ADDED,
			FrameworkAdded: &mesosmaster.Event_FrameworkAdded{Framework: m.reportFramework(f)}}})
	default:
		m.do(Observed{&mesosmaster.Event{Type: mesosmaster.Event_FRAMEWORK_UPDATED,
			FrameworkUpdated: &mesosmaster.Event_FrameworkUpdated{Framework: m.reportFramework(f)}}})
	}
}

func (m *Master) frameworkRemoved(f *framework) {
	if m.watched {
		m.do(Observed{&mesosmaster.Event{Type: mesosmaster.Event_FRAMEWORK_REMOVED,
			FrameworkRemoved: &mesosmaster.Event_FrameworkRemoved{FrameworkInfo: f.info}}})
	}
}

// Metrics are the gauges of the master that people watch, under Mesos's names.
func (m *Master) Metrics() map[string]float64 {
	out := map[string]float64{
		"master/elected": 1, "master/uptime_secs": m.now.Sub(m.started).Seconds(),
		"master/slaves_connected": 0, "master/slaves_disconnected": 0, "master/slaves_active": 0, "master/slaves_inactive": 0,
		"master/slaves_unreachable":  float64(len(m.registry.Unreachable)),
		"master/outstanding_offers":  float64(len(m.offers)),
		"master/frameworks_active":   0,
		"master/frameworks_inactive": 0,
	}
	count := func(name string, on bool, yes, no string) {
		if on {
			out[name+yes]++
		} else {
			out[name+no]++
		}
	}
	total, used := map[string]int64{"cpus": 0, "mem": 0, "disk": 0, "gpus": 0}, map[string]int64{}
	for _, a := range m.order {
		count("master/slaves_", a.connected, "connected", "disconnected")
		count("master/slaves_", a.active(), "active", "inactive")
		a.total.scalars(total, 1)
		a.used().scalars(used, 1)
	}
	for name, v := range total {
		out["master/"+name+"_total"] = float64(v) / 1000
		out["master/"+name+"_used"] = float64(used[name]) / 1000
		out["master/"+name+"_percent"] = 0
		if v > 0 {
			out["master/"+name+"_percent"] = float64(used[name]) / float64(v)
		}
	}
	states := map[mesos.TaskState]string{
		mesos.TASK_STAGING: "staging", mesos.TASK_STARTING: "starting", mesos.TASK_RUNNING: "running", mesos.TASK_KILLING: "killing",
		mesos.TASK_UNREACHABLE: "unreachable", mesos.TASK_FINISHED: "finished", mesos.TASK_FAILED: "failed", mesos.TASK_KILLED: "killed",
		mesos.TASK_LOST: "lost", mesos.TASK_ERROR: "error", mesos.TASK_DROPPED: "dropped", mesos.TASK_GONE: "gone",
		mesos.TASK_GONE_BY_OPERATOR: "gone_by_operator",
	}
	for _, name := range states {
		out["master/tasks_"+name] = 0
	}
	for _, f := range slices.Concat(m.framesInOrder(), m.endedFrameworks()) {
		if f.unregistered.IsZero() {
			count("master/frameworks_", f.stream != "", "active", "inactive")
		}
		for _, t := range f.tasks {
			out["master/tasks_"+states[t.state]]++
		}
		for _, t := range f.unreachable {
			out["master/tasks_"+states[t.state]]++
		}
		for _, t := range f.ended {
			out["master/tasks_"+states[t.state]]++
		}
	}
	return out
}
