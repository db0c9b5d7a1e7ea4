package mesostest

import (
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"strings"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	mesosmaster "github.com/mesos/mesos-go/api/v1/lib/master"

	"github.com/mesokit/mesokit/internal/model"
)

// The older endpoints, which people's scripts read: what the operator API says
// in other words (src/master/readonly_handler.cpp, src/common/http.cpp).

type object = map[string]any

func writeJSON(w http.ResponseWriter, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		fail(w, err)
		return
	}
	w.Header().Set("Content-Type", typeJSON)
	_, _ = w.Write(b) // the other end may be gone
}

// asJSON turns a message into generic JSON.
func asJSON(msg any) any {
	var v any
	if err := json.Unmarshal(toJSON(msg), &v); err != nil {
		return nil
	}
	return v
}

func (m *master) state() *mesosmaster.Response_GetState {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.machine.GetState()
}

func (m *master) serveState(w http.ResponseWriter, _ *http.Request) {
	s := m.state()
	out := versionFields()
	at := float64(m.started.UnixMilli()) / 1000
	active, inactive := 0, 0
	for i := range s.GetAgents.Agents {
		if s.GetAgents.Agents[i].Active {
			active++
		} else {
			inactive++
		}
	}
	m.mu.Lock()
	unreachable := m.machine.UnreachableAgents()
	m.mu.Unlock()
	maps.Copy(out, (object{
		"id": m.info.ID, "pid": m.info.GetPID(), "hostname": m.info.GetHostname(), "start_time": at, "elected_time": at,
		"leader":           m.info.GetPID(),
		"leader_info":      object{"id": m.info.ID, "pid": m.info.GetPID(), "port": m.info.Port, "hostname": m.info.GetHostname()},
		"activated_slaves": active, "deactivated_slaves": inactive, "unreachable_slaves": unreachable,
		"slaves": slaves(s), "recovered_slaves": []any{}, "frameworks": frameworks(s, s.GetFrameworks.Frameworks),
		"completed_frameworks": frameworks(s, s.GetFrameworks.CompletedFrameworks),
		"orphan_tasks":         []any{}, "unregistered_frameworks": []any{}, "flags": m.flagMap(),
	}))
	writeJSON(w, out)
}

func (m *master) flagMap() object {
	out := object{}
	for _, f := range m.flags() {
		out[f.Name] = f.GetValue()
	}
	return out
}

func (m *master) serveSlaves(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, object{"slaves": slaves(m.state()), "recovered_slaves": []any{}})
}

func (m *master) serveFrameworks(w http.ResponseWriter, _ *http.Request) {
	s := m.state()
	writeJSON(w, object{
		"frameworks":              frameworks(s, s.GetFrameworks.Frameworks),
		"completed_frameworks":    frameworks(s, s.GetFrameworks.CompletedFrameworks),
		"unregistered_frameworks": []any{},
	})
}

func (m *master) serveTasks(w http.ResponseWriter, _ *http.Request) {
	s := m.state()
	all := []any{}
	for _, list := range [][]mesos.Task{s.GetTasks.Tasks, s.GetTasks.UnreachableTasks, s.GetTasks.CompletedTasks} {
		for i := range list {
			all = append(all, taskFields(&list[i]))
		}
	}
	writeJSON(w, object{"tasks": all})
}

func slaves(s *mesosmaster.Response_GetState) []any {
	out := []any{}
	for i := range s.GetAgents.Agents {
		a := &s.GetAgents.Agents[i]
		o := object{
			"id": a.AgentInfo.ID.GetValue(), "hostname": a.AgentInfo.Hostname, "port": a.AgentInfo.GetPort(),
			"attributes": attributeFields(a.AgentInfo.Attributes), "pid": a.GetPID(), "active": a.Active,
			"deactivated": a.GetDeactivated(), "version": a.Version,
			"resources": sum(a.TotalResources, nil), "used_resources": sum(a.AllocatedResources, nil),
			"offered_resources":    sum(a.OfferedResources, nil),
			"reserved_resources":   reserved(a.TotalResources),
			"unreserved_resources": sum(a.TotalResources, func(r *mesos.Resource) bool { return len(r.Reservations) == 0 }),
		}
		if a.RegisteredTime != nil {
			o["registered_time"] = float64(a.RegisteredTime.Nanoseconds) / 1e9
		}
		if a.ReregisteredTime != nil {
			o["reregistered_time"] = float64(a.ReregisteredTime.Nanoseconds) / 1e9
		}
		if a.AgentInfo.Domain != nil {
			o["domain"] = asJSON(a.AgentInfo.Domain)
		}
		var capabilities []any
		for _, c := range a.Capabilities {
			capabilities = append(capabilities, c.Type.String())
		}
		o["capabilities"] = capabilities
		out = append(out, o)
	}
	return out
}

func frameworks(s *mesosmaster.Response_GetState, list []mesosmaster.Response_GetFrameworks_Framework) []any {
	out := []any{}
	for i := range list {
		f := &list[i]
		id := f.FrameworkInfo.ID.GetValue()
		o := object{
			"id": id, "name": f.FrameworkInfo.Name, "user": f.FrameworkInfo.User,
			"failover_timeout": f.FrameworkInfo.GetFailoverTimeout(), "checkpoint": f.FrameworkInfo.GetCheckpoint(),
			"hostname": f.FrameworkInfo.GetHostname(), "webui_url": f.FrameworkInfo.GetWebUiURL(),
			"active": f.Active, "connected": f.Connected, "recovered": f.Recovered,
			"used_resources": sum(f.AllocatedResources, nil), "offered_resources": sum(f.OfferedResources, nil),
			"tasks":             tasksOf(id, s.GetTasks.Tasks),
			"unreachable_tasks": tasksOf(id, s.GetTasks.UnreachableTasks),
			"completed_tasks":   tasksOf(id, s.GetTasks.CompletedTasks),
		}
		if f.FrameworkInfo.Role != nil {
			o["role"] = *f.FrameworkInfo.Role
		}
		if len(f.FrameworkInfo.Roles) > 0 {
			o["roles"] = f.FrameworkInfo.Roles
		}
		var capabilities, offers, executors = []any{}, []any{}, []any{}
		for _, c := range f.FrameworkInfo.Capabilities {
			capabilities = append(capabilities, c.Type.String())
		}
		for j := range f.Offers {
			offers = append(offers, object{
				"id": f.Offers[j].ID.Value, "framework_id": id, "slave_id": f.Offers[j].AgentID.Value,
				"resources": sum(f.Offers[j].Resources, nil),
			})
		}
		for j := range s.GetExecutors.Executors {
			if e := &s.GetExecutors.Executors[j]; e.ExecutorInfo.FrameworkID.GetValue() == id {
				executors = append(executors, object{
					"executor_id": e.ExecutorInfo.ExecutorID.Value, "name": e.ExecutorInfo.GetName(), "framework_id": id,
					"slave_id": e.AgentID.Value, "resources": sum(e.ExecutorInfo.Resources, nil),
					"type": e.ExecutorInfo.Type.String(),
				})
			}
		}
		o["capabilities"], o["offers"], o["executors"] = capabilities, offers, executors
		for name, t := range map[string]*mesos.TimeInfo{
			"registered_time": f.RegisteredTime, "reregistered_time": f.ReregisteredTime, "unregistered_time": f.UnregisteredTime,
		} {
			if t != nil {
				o[name] = float64(t.Nanoseconds) / 1e9
			}
		}
		out = append(out, o)
	}
	return out
}

func tasksOf(framework string, list []mesos.Task) []any {
	out := []any{}
	for i := range list {
		if list[i].FrameworkID.Value == framework {
			out = append(out, taskFields(&list[i]))
		}
	}
	return out
}

func taskFields(t *mesos.Task) object {
	o := object{
		"id": t.TaskID.Value, "name": t.Name, "framework_id": t.FrameworkID.Value, "slave_id": t.AgentID.Value,
		"executor_id": t.GetExecutorID().GetValue(), "state": t.GetState().String(), "resources": sum(t.Resources, nil),
	}
	if len(t.Resources) > 0 {
		o["role"] = t.Resources[0].GetAllocationInfo().GetRole()
	}
	if t.User != nil {
		o["user"] = *t.User
	}
	if t.Labels != nil {
		o["labels"] = asJSON(t.Labels).(object)["labels"]
	}
	if t.Discovery != nil {
		o["discovery"] = asJSON(t.Discovery)
	}
	if t.Container != nil {
		o["container"] = asJSON(t.Container)
	}
	if t.HealthCheck != nil {
		o["health_check"] = asJSON(t.HealthCheck)
	}
	statuses := []any{}
	for i := range t.Statuses {
		s := &t.Statuses[i]
		so := object{"state": s.GetState().String(), "timestamp": s.GetTimestamp()}
		if s.Healthy != nil {
			so["healthy"] = *s.Healthy
		}
		if s.ContainerStatus != nil {
			so["container_status"] = asJSON(s.ContainerStatus)
		}
		statuses = append(statuses, so)
	}
	o["statuses"] = statuses
	return o
}

// sum adds resources up by name, as the older endpoints show them: scalars as
// numbers, ranges as text.
func sum(rs []mesos.Resource, keep func(*mesos.Resource) bool) object {
	out := object{"cpus": 0.0, "gpus": 0.0, "mem": 0.0, "disk": 0.0}
	ranges := map[string][]string{}
	for i := range rs {
		r := &rs[i]
		switch {
		case keep != nil && !keep(r):
		case r.Scalar != nil:
			old, _ := out[r.Name].(float64)
			out[r.Name] = old + r.Scalar.Value
		case r.Ranges != nil:
			for _, g := range r.Ranges.Range {
				ranges[r.Name] = append(ranges[r.Name], rangeText(g))
			}
		case r.Set != nil:
			out[r.Name] = "{" + strings.Join(r.Set.Item, ", ") + "}"
		}
	}
	for name, parts := range ranges {
		out[name] = "[" + strings.Join(parts, ", ") + "]"
	}
	return out
}

// capabilityNames are those of the agents here, as the model reports them.
func capabilityNames() []string {
	var out []string
	for _, c := range model.AgentCapabilities() {
		out = append(out, c.Type.String())
	}
	return out
}

func hostOf(address string) string {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	return host
}

func reserved(rs []mesos.Resource) object {
	out := object{}
	for i := range rs {
		n := len(rs[i].Reservations)
		if n == 0 {
			continue
		}
		role := rs[i].Reservations[n-1].GetRole()
		if out[role] == nil {
			out[role] = sum(rs, func(r *mesos.Resource) bool {
				k := len(r.Reservations)
				return k > 0 && r.Reservations[k-1].GetRole() == role
			})
		}
	}
	return out
}

func attributeFields(as []mesos.Attribute) object {
	out := object{}
	for i := range as {
		a := &as[i]
		switch {
		case a.Text != nil:
			out[a.Name] = a.Text.Value
		case a.Scalar != nil:
			out[a.Name] = a.Scalar.Value
		case a.Ranges != nil:
			parts := make([]string, 0, len(a.Ranges.Range))
			for _, g := range a.Ranges.Range {
				parts = append(parts, rangeText(g))
			}
			out[a.Name] = "[" + strings.Join(parts, ", ") + "]"
		}
	}
	return out
}

func rangeText(g mesos.Value_Range) string { return fmt.Sprintf("%d-%d", g.Begin, g.End) }
