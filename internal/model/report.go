package model

import (
	"cmp"
	"slices"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	mesosmaster "github.com/mesos/mesos-go/api/v1/lib/master"
)

// The answers of the operator API, as messages of mesos-go.

func timeInfo(t time.Time) *mesos.TimeInfo {
	if t.IsZero() {
		return nil
	}
	return &mesos.TimeInfo{Nanoseconds: t.UnixNano()}
}

// reported is how operators read resources: reservations as a stack where
// there are any, and as a role where not.
func reported(rs Resources) []mesos.Resource {
	out := rs.Wire(wholeFormat)
	for i := range out {
		if len(out[i].Reservations) == 0 {
			out[i].Role = new("*")
		} else if len(out[i].Reservations) == 1 {
			out[i].Role = out[i].Reservations[0].Role
		}
	}
	return out
}

// GetAgents lists the registered agents in the order of registration.
func (m *Master) GetAgents() *mesosmaster.Response_GetAgents {
	out := &mesosmaster.Response_GetAgents{}
	for _, a := range m.order {
		out.Agents = append(out.Agents, m.reportAgent(a))
	}
	for _, id := range sortedKeys(m.registry.Admitted) {
		if m.agents[id] == nil {
			out.RecoveredAgents = append(out.RecoveredAgents, m.registry.Admitted[id])
		}
	}
	return out
}

func (m *Master) reportAgent(a *agent) mesosmaster.Response_GetAgents_Agent {
	r := mesosmaster.Response_GetAgents_Agent{
		DrainInfo: m.drainInfo(a),
		AgentInfo: a.info, Active: a.connected, Deactivated: new(a.deactivated), Version: m.cfg.Info.GetVersion(),
		PID: new(a.pid()), RegisteredTime: timeInfo(a.registered), ReregisteredTime: timeInfo(a.reregister),
		TotalResources:     reported(a.total),
		AllocatedResources: reported(a.used()),
		OfferedResources:   reported(a.offered()),
		Capabilities:       AgentCapabilities(),
	}
	return r
}

// AgentCapabilities are the capabilities of every agent.
func AgentCapabilities() []mesos.AgentInfo_Capability {
	var out []mesos.AgentInfo_Capability
	for _, c := range []mesos.AgentInfo_Capability_Type{
		mesos.AgentInfo_Capability_MULTI_ROLE, mesos.AgentInfo_Capability_HIERARCHICAL_ROLE,
		mesos.AgentInfo_Capability_RESERVATION_REFINEMENT, mesos.AgentInfo_Capability_RESOURCE_PROVIDER,
		mesos.AgentInfo_Capability_RESIZE_VOLUME, mesos.AgentInfo_Capability_AGENT_OPERATION_FEEDBACK,
		mesos.AgentInfo_Capability_AGENT_DRAINING, mesos.AgentInfo_Capability_TASK_RESOURCE_LIMITS,
	} {
		out = append(out, mesos.AgentInfo_Capability{Type: c})
	}
	return out
}

// used is what tasks and executors hold of an agent.
func (a *agent) used() Resources {
	var rs Resources
	for _, key := range sortedRefs(a.tasks) {
		rs = rs.Plus(a.tasks[key].held)
	}
	for _, key := range sortedRefs(a.executors) {
		rs = rs.Plus(a.executors[key].resources)
	}
	return rs
}

// offered is what is in offers of an agent.
func (a *agent) offered() Resources {
	var rs Resources
	for _, id := range sortedKeys(a.offers) {
		rs = rs.Plus(a.offers[id].resources)
	}
	return rs
}

// GetFrameworks lists the frameworks in the order of their first appearance.
func (m *Master) GetFrameworks() *mesosmaster.Response_GetFrameworks {
	out := &mesosmaster.Response_GetFrameworks{}
	for _, f := range m.framesInOrder() {
		out.Frameworks = append(out.Frameworks, m.reportFramework(f))
	}
	for _, f := range m.endedFrameworks() {
		out.CompletedFrameworks = append(out.CompletedFrameworks, m.reportFramework(f))
	}
	return out
}

func (m *Master) endedFrameworks() []*framework {
	var out []*framework
	for _, f := range m.completed {
		out = append(out, f)
	}
	slices.SortFunc(out, func(a, b *framework) int { return a.seq - b.seq })
	return out
}

func (m *Master) reportFramework(f *framework) mesosmaster.Response_GetFrameworks_Framework {
	r := mesosmaster.Response_GetFrameworks_Framework{
		FrameworkInfo: f.info, Active: f.stream != "", Connected: f.stream != "", Recovered: f.recovered,
		RegisteredTime: timeInfo(f.registered), ReregisteredTime: timeInfo(f.reregistered),
		UnregisteredTime: timeInfo(f.unregistered),
	}
	var offered, used Resources
	for _, o := range f.offersInOrder() {
		r.Offers = append(r.Offers, m.wireOffer(o))
		offered = offered.Plus(o.resources)
	}
	for _, t := range f.tasksInOrder() {
		used = used.Plus(t.held)
	}
	for _, a := range m.order {
		for _, key := range sortedRefs(a.executors) {
			if key.framework == f.id {
				used = used.Plus(a.executors[key].resources)
			}
		}
	}
	r.AllocatedResources, r.OfferedResources = reported(used), reported(offered)
	return r
}

// GetTasks lists the tasks by what became of them.
func (m *Master) GetTasks() *mesosmaster.Response_GetTasks {
	out := &mesosmaster.Response_GetTasks{}
	for _, f := range append(m.framesInOrder(), m.endedFrameworks()...) {
		for _, t := range f.tasksInOrder() {
			out.Tasks = append(out.Tasks, t.report(f))
		}
		for _, id := range sortedKeys(f.unreachable) {
			out.UnreachableTasks = append(out.UnreachableTasks, f.unreachable[id].report(f))
		}
		for _, t := range f.ended {
			out.CompletedTasks = append(out.CompletedTasks, t.report(f))
		}
	}
	return out
}

func (t *task) report(f *framework) mesos.Task {
	r := mesos.Task{
		Name: t.info.Name, TaskID: t.info.TaskID, FrameworkID: mesos.FrameworkID{Value: f.id}, AgentID: t.info.AgentID,
		State: new(t.state), Resources: reported(t.resources), Statuses: slices.Clone(t.statuses),
		Labels: t.info.Labels, Discovery: t.info.Discovery, Container: t.info.Container,
		HealthCheck: t.info.HealthCheck, KillPolicy: t.info.KillPolicy,
	}
	if t.info.Executor != nil {
		r.ExecutorID = &t.info.Executor.ExecutorID
	}
	if t.sent != nil {
		r.StatusUpdateState, r.StatusUpdateUUID = t.sent.State, t.sent.UUID
	}
	if f.info.User != "" {
		r.User = new(f.info.User)
	}
	return r
}

// GetExecutors lists the custom and default executors.
func (m *Master) GetExecutors() *mesosmaster.Response_GetExecutors {
	out := &mesosmaster.Response_GetExecutors{}
	for _, a := range m.order {
		for _, key := range sortedRefs(a.executors) {
			out.Executors = append(out.Executors, mesosmaster.Response_GetExecutors_Executor{
				ExecutorInfo: a.executors[key].info, AgentID: mesos.AgentID{Value: a.id},
			})
		}
	}
	return out
}

// GetOperations lists the operations whose end is not acknowledged.
func (m *Master) GetOperations() *mesosmaster.Response_GetOperations {
	out := &mesosmaster.Response_GetOperations{}
	for _, a := range m.order {
		for _, uuid := range sortedKeys(a.operations) {
			out.Operations = append(out.Operations, a.operations[uuid].on(a.id))
		}
	}
	return out
}

// on is an operation on an agent as it is reported.
func (op *Operation) on(agent string) mesos.Operation {
	out := mesos.Operation{
		AgentID: &mesos.AgentID{Value: agent}, Info: op.Info, LatestStatus: op.Status,
		Statuses: []mesos.OperationStatus{op.Status}, UUID: mesos.UUID{Value: op.UUID},
	}
	if op.Framework != "" {
		out.FrameworkID = &mesos.FrameworkID{Value: op.Framework}
	}
	return out
}

// GetRoles lists the roles in use with what they hold.
func (m *Master) GetRoles() *mesosmaster.Response_GetRoles {
	roles := map[string]*mesos.Role{}
	used := map[string]Resources{}
	get := func(name string) *mesos.Role {
		if roles[name] == nil {
			roles[name] = &mesos.Role{Name: name, Weight: cmp.Or(m.registry.Weights[name], 1)}
		}
		return roles[name]
	}
	for _, f := range m.framesInOrder() {
		for _, r := range f.roles {
			role := get(r)
			role.Frameworks = append(role.Frameworks, mesos.FrameworkID{Value: f.id})
		}
		for _, t := range f.tasksInOrder() {
			used[t.role] = used[t.role].Plus(t.held)
		}
		for _, o := range f.offersInOrder() {
			used[o.role] = used[o.role].Plus(o.resources)
		}
	}
	for _, a := range m.order {
		for _, r := range a.total {
			if name := r.reservedFor(); name != "" {
				get(name)
			}
		}
	}
	out := &mesosmaster.Response_GetRoles{}
	for _, name := range sortedKeys(roles) {
		roles[name].Resources = reported(used[name])
		out.Roles = append(out.Roles, *roles[name])
	}
	return out
}

// GetState is all of the above that describes the cluster.
func (m *Master) GetState() *mesosmaster.Response_GetState {
	return &mesosmaster.Response_GetState{
		GetTasks: m.GetTasks(), GetExecutors: m.GetExecutors(), GetFrameworks: m.GetFrameworks(), GetAgents: m.GetAgents(),
	}
}

// Schedule returns the maintenance schedule.
func (m *Master) Schedule() []Window { return slices.Clone(m.registry.Schedule) }

// UnreachableAgents counts the agents that were given up and may come back.
func (m *Master) UnreachableAgents() int { return len(m.registry.Unreachable) }
