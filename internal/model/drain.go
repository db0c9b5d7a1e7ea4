package model

import (
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

// Drain empties an agent: no new tasks, and those that run are killed.
type Drain struct {
	ID string
	// MaxGrace shortens the grace periods of the tasks; nil leaves them.
	MaxGrace *time.Duration
	// MarkGone marks the agent gone when it is empty.
	MarkGone bool
}

func (Drain) operatorRequest() {}

// DrainAgent tells an agent to kill its tasks.
type DrainAgent struct {
	MaxGrace *time.Duration
	MarkGone bool
}

func (DrainAgent) masterMessage() {}

func (m *Master) drain(r Drain) {
	a := m.agents[r.ID]
	if a != nil && m.unavailability(a) != nil {
		m.do(Reply{statusBadRequest, "Agent " + a.id + " is part of a maintenance schedule under Machine " + a.info.Hostname + " (" + a.ip + ")"})
		return
	}
	if !m.knownAgent(r.ID) {
		m.do(Reply{statusBadRequest, "Unknown agent"})
		return
	}
	m.do(Reply{Status: statusOK})
	m.registry.Draining[r.ID] = r
	m.registry.Deactivated[r.ID] = true
	if a == nil {
		return // it hears of it when it comes back
	}
	m.deactivateAgent(a)
	m.send(a, DrainAgent{r.MaxGrace, r.MarkGone})
	m.checkDrained(a)
}

// drained reports whether nothing is left on the agent.
func (a *agent) drained() bool { return len(a.tasks) == 0 && len(a.operations) == 0 }

// checkDrained marks an agent gone if that is what it was drained for.
func (m *Master) checkDrained(a *agent) {
	if d, ok := m.registry.Draining[a.id]; ok && d.MarkGone && a.drained() && m.agents[a.id] == a {
		m.gone(a.id)
	}
}

// drainInfo says how far draining is, or nil.
func (m *Master) drainInfo(a *agent) *mesos.DrainInfo {
	d, ok := m.registry.Draining[a.id]
	if !ok {
		return nil
	}
	info := &mesos.DrainInfo{State: mesos.DrainState_DRAINING, Config: mesos.DrainConfig{MarkGone: new(d.MarkGone)}}
	if d.MaxGrace != nil {
		info.Config.MaxGracePeriod = &mesos.DurationInfo{Nanoseconds: int64(*d.MaxGrace)}
	}
	if a.drained() {
		info.State = mesos.DrainState_DRAINED
	}
	return info
}

// drainTasks is the agent's side: every task is killed, with the shorter of
// its grace period and the drain's.
func (a *Agent) drainTasks(msg DrainAgent) {
	if a.idle() {
		return
	}
	a.draining = &msg
	for _, fid := range sortedKeys(a.frameworks) {
		f := a.frameworks[fid]
		for _, eid := range sortedKeys(f.runs) {
			for _, id := range append([]string(nil), f.runs[eid].taskOrder...) {
				t := f.runs[eid].tasks[id]
				var policy *mesos.KillPolicy
				own := t.info.KillPolicy.GetGracePeriod()
				if msg.MaxGrace != nil && (own == nil || int64(*msg.MaxGrace) < own.Nanoseconds) {
					policy = &mesos.KillPolicy{GracePeriod: &mesos.DurationInfo{Nanoseconds: int64(*msg.MaxGrace)}}
				}
				a.killTask(KillTask{Framework: fid, Task: id, Policy: policy})
			}
		}
	}
}

// drainStatus marks the end of a task that was killed because of a drain.
func (a *Agent) drainStatus(framework string, s *mesos.TaskStatus) {
	if a.draining == nil || s.GetState() != mesos.TASK_KILLING && s.GetState() != mesos.TASK_KILLED {
		return
	}
	s.Reason = mesos.REASON_AGENT_DRAINING.Enum()
	f := a.frameworks[framework]
	if a.draining.MarkGone && f != nil && hasCapability(&f.info, mesos.FrameworkInfo_Capability_PARTITION_AWARE) {
		s.State = mesos.TASK_GONE_BY_OPERATOR.Enum()
	}
}
