package mesostest

import (
	"fmt"
	"net/http"
	"path/filepath"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	mesosagent "github.com/mesos/mesos-go/api/v1/lib/agent"

	"github.com/mesokit/mesokit/internal/model"
	"github.com/mesokit/mesokit/internal/sandbox"
)

// routes are the endpoints of an agent, by themselves and under its name, as
// libprocess has them.
func (a *Agent) routes() http.Handler {
	mux := http.NewServeMux()
	handle := func(path string, h http.HandlerFunc) {
		mux.HandleFunc(path, h)
		mux.HandleFunc("/slave(1)"+path, h)
	}
	common := &facilities{files: a.attached}
	common.files.handle(mux)
	handle("/api/v1/executor", a.serveExecutor)
	handle("/api/v1", func(w http.ResponseWriter, r *http.Request) { a.serveOperator(w, r, common) })
	handle("/health", func(w http.ResponseWriter, _ *http.Request) { respond(w, http.StatusOK, "") })
	handle("/version", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, versionFields()) })
	handle("/flags", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, object{"flags": a.flags()}) })
	handle("/state", a.serveState)
	handle("/state.json", a.serveState)
	handle("/containers", a.serveContainers)
	handle("/monitor/statistics", a.serveStatistics)
	handle("/metrics/snapshot", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, a.metrics()) })
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		respond(w, http.StatusNotFound, fmt.Sprintf("404 Not Found: the agent of mesostest does not serve %s", r.URL.Path))
	})
	return mux
}

// sandboxOf is the directory of a run.
func (a *Agent) sandboxOf(id, framework string, e *model.ExecutorReport) string {
	return a.workDir().Sandbox(sandbox.Run{
		AgentID: id, FrameworkID: framework, ExecutorID: e.Info.ExecutorID.Value, ContainerID: e.Container,
	})
}

// attached are the sandboxes by the three paths that Mesos gives them
// (Framework::addExecutor in src/slave/slave.cpp).
func (a *Agent) attached() map[string]string {
	report := a.report()
	out := map[string]string{}
	id := report.Info.ID.GetValue()
	attach := func(framework string, executors []model.ExecutorReport) {
		for i := range executors {
			dir := a.sandboxOf(id, framework, &executors[i])
			real, err := filepath.EvalSymlinks(dir)
			if err != nil {
				continue // not made yet, or removed
			}
			executor := executors[i].Info.ExecutorID.Value
			out[dir] = real
			out[filepath.Join(filepath.Dir(dir), "latest")] = real
			out["/frameworks/"+framework+"/executors/"+executor+"/runs/latest"] = real
		}
	}
	// What runs comes last: the latest run wins.
	for _, fs := range [][]model.FrameworkReport{report.Completed, report.Frameworks} {
		for i := range fs {
			framework := fs[i].Info.ID.GetValue()
			attach(framework, fs[i].Completed)
			attach(framework, fs[i].Executors)
		}
	}
	return out
}

func (a *Agent) flags() map[string]string {
	return map[string]string{
		"attributes": a.cfg.Attributes, "hostname": a.cfg.Hostname, "isolation": "posix/cpu,posix/mem,filesystem/posix",
		"resources": a.cfg.Resources, "work_dir": a.Dir(), "ip": a.Address(),
		"recovery_timeout": a.cfg.RecoveryTimeout.String(), "executor_reregistration_timeout": a.cfg.ReregistrationTimeout.String(),
	}
}

// serveState is /state (Http::state in src/slave/http.cpp).
func (a *Agent) serveState(w http.ResponseWriter, _ *http.Request) {
	report := a.report()
	var allocated []mesos.Resource
	id := report.Info.ID.GetValue()
	describe := func(fs []model.FrameworkReport) []any {
		out := []any{}
		for i := range fs {
			out = append(out, a.frameworkFields(id, &fs[i]))
			for _, e := range fs[i].Executors {
				allocated = append(allocated, e.Resources...)
			}
		}
		return out
	}
	unreserved := func(r *mesos.Resource) bool { return len(r.Reservations) == 0 }
	out := versionFields()
	out["id"], out["pid"], out["hostname"] = id, "slave(1)@"+a.endpoint(), a.cfg.Hostname
	out["capabilities"] = capabilityNames()
	out["resources"] = sum(report.Total, nil)
	out["reserved_resources"] = reserved(report.Total)
	out["unreserved_resources"] = sum(report.Total, unreserved)
	out["attributes"] = attributeFields(report.Info.Attributes)
	out["flags"] = a.flags()
	out["resource_providers"] = []any{}
	out["frameworks"], out["completed_frameworks"] = describe(report.Frameworks), describe(report.Completed)
	out["reserved_resources_allocated"] = reserved(allocated)
	out["unreserved_resources_allocated"] = sum(allocated, unreserved)
	full, plain := object{}, []any{}
	for i := range report.Total {
		r := &report.Total[i]
		if n := len(r.Reservations); n > 0 {
			role := r.Reservations[n-1].GetRole()
			list, _ := full[role].([]any)
			full[role] = append(list, asJSON(r))
		} else {
			plain = append(plain, asJSON(r))
		}
	}
	out["reserved_resources_full"], out["unreserved_resources_full"] = full, plain
	if report.Info.Domain != nil {
		out["domain"] = asJSON(report.Info.Domain)
	}
	if d := drainConfig(report.Draining); d != nil {
		out["drain_config"] = asJSON(d)
	}
	if host := a.c.Master(); host != "" {
		out["master_hostname"] = hostOf(host)
	}
	writeJSON(w, out)
}

func drainConfig(d *model.DrainAgent) *mesos.DrainConfig {
	if d == nil {
		return nil
	}
	out := &mesos.DrainConfig{MarkGone: new(d.MarkGone)}
	if d.MaxGrace != nil {
		out.MaxGracePeriod = &mesos.DurationInfo{Nanoseconds: int64(*d.MaxGrace)}
	}
	return out
}

func (a *Agent) frameworkFields(id string, f *model.FrameworkReport) object {
	o := object{
		"id": f.Info.ID.GetValue(), "name": f.Info.Name, "user": f.Info.User,
		"failover_timeout": f.Info.GetFailoverTimeout(), "checkpoint": f.Info.GetCheckpoint(), "hostname": f.Info.GetHostname(),
	}
	if f.Info.Principal != nil {
		o["principal"] = *f.Info.Principal
	}
	if f.Info.Role != nil || len(f.Info.Roles) == 0 {
		o["role"] = f.Info.GetRole()
	} else {
		o["roles"] = f.Info.Roles
	}
	list := func(es []model.ExecutorReport) []any {
		out := []any{}
		for i := range es {
			out = append(out, a.executorFields(id, f.Info.ID.GetValue(), &es[i]))
		}
		return out
	}
	o["executors"], o["completed_executors"] = list(f.Executors), list(f.Completed)
	return o
}

func (a *Agent) executorFields(id, framework string, e *model.ExecutorReport) object {
	o := object{
		"id": e.Info.ExecutorID.Value, "name": e.Info.GetName(), "source": e.Info.GetSource(), "container": e.Container,
		"directory": a.sandboxOf(id, framework, e), "resources": sum(e.Resources, nil),
	}
	if len(e.Info.Resources) > 0 {
		o["role"] = e.Info.Resources[0].GetAllocationInfo().GetRole()
	}
	if e.Info.Labels != nil {
		o["labels"] = asJSON(e.Info.Labels).(object)["labels"]
	}
	if e.Info.Type != mesos.ExecutorInfo_UNKNOWN {
		o["type"] = e.Info.Type.String()
	}
	list := func(lists ...[]mesos.Task) []any {
		out := []any{}
		for _, ts := range lists {
			for i := range ts {
				out = append(out, taskFields(&ts[i]))
			}
		}
		return out
	}
	o["tasks"], o["completed_tasks"] = list(e.Launched), list(e.Completed, e.Terminated)
	queued := []any{}
	for i := range e.Queued {
		t := &e.Queued[i]
		q := object{"id": t.TaskID.Value, "name": t.Name, "slave_id": t.AgentID.Value, "resources": sum(t.Resources, nil)}
		if len(t.Resources) > 0 {
			q["role"] = t.Resources[0].GetAllocationInfo().GetRole()
		}
		if t.Command != nil {
			q["command"] = asJSON(t.Command)
		}
		queued = append(queued, q)
	}
	o["queued_tasks"] = queued
	return o
}

// containerFields is what both endpoints of containers begin with.
func (u *used) containerFields() object {
	return object{
		"framework_id": u.framework, "executor_id": u.executor.Info.ExecutorID.Value,
		"executor_name": u.executor.Info.GetName(), "source": u.executor.Info.GetSource(), "statistics": asJSON(u.statistics),
	}
}

func (a *Agent) serveStatistics(w http.ResponseWriter, _ *http.Request) {
	out := []any{}
	for _, u := range a.usage() {
		out = append(out, u.containerFields())
	}
	writeJSON(w, out)
}

func (a *Agent) containerStatus(u *used) *mesos.ContainerStatus {
	ipv4 := mesos.IPv4
	s := &mesos.ContainerStatus{
		ContainerID:  &mesos.ContainerID{Value: u.executor.Container},
		NetworkInfos: []mesos.NetworkInfo{{IPAddresses: []mesos.NetworkInfo_IPAddress{{Protocol: &ipv4, IPAddress: new(a.Address())}}}},
	}
	if u.pid > 0 {
		s.ExecutorPID = new(uint32(u.pid))
	}
	return s
}

// serveContainers is /containers, of all containers or those that the query
// names.
func (a *Agent) serveContainers(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if q.Has("container_id") && (q.Has("executor_id") || q.Has("framework_id")) || q.Has("executor_id") && !q.Has("framework_id") {
		fail(w, refuse(http.StatusBadRequest, "Supported query parameters are container_id only, framework_id only, or executor_id and framework_id only"))
		return
	}
	named := func(key, value string) bool { return !q.Has(key) || q.Get(key) == value }
	out := []any{}
	for _, u := range a.usage() {
		if named("container_id", u.executor.Container) && named("framework_id", u.framework) && named("executor_id", u.executor.Info.ExecutorID.Value) {
			o := u.containerFields()
			o["container_id"], o["status"] = u.executor.Container, asJSON(a.containerStatus(&u))
			out = append(out, o)
		}
	}
	writeJSON(w, out)
}

// metrics are the gauges of an agent that people watch, under Mesos's names.
func (a *Agent) metrics() map[string]float64 {
	out := map[string]float64{"slave/registered": 0, "slave/frameworks_active": 0, "slave/executors_running": 0, "slave/tasks_running": 0}
	report := a.report()
	if report.Info.ID != nil {
		out["slave/registered"] = 1
	}
	for _, f := range report.Frameworks {
		out["slave/frameworks_active"]++
		for _, e := range f.Executors {
			if e.Over {
				continue
			}
			out["slave/executors_running"]++
			for i := range e.Launched {
				if e.Launched[i].GetState() == mesos.TASK_RUNNING {
					out["slave/tasks_running"]++
				}
			}
		}
	}
	return out
}

// serveOperator is the operator API of an agent.
func (a *Agent) serveOperator(w http.ResponseWriter, r *http.Request, common *facilities) {
	call := &mesosagent.Call{}
	kind, err := operatorCall(w, r, "agent", call)
	if err != nil {
		fail(w, err)
		return
	}
	if set := call.SetLoggingLevel; call.Type == mesosagent.Call_SET_LOGGING_LEVEL && set != nil {
		common.level.set(set.Level, time.Duration(set.Duration.Nanoseconds))
		respond(w, http.StatusOK, "")
		return
	}
	response, err := a.answer(call, common)
	if err != nil {
		fail(w, err)
		return
	}
	writeMessage(w, kind, response)
}

// answer answers a call to an agent that only asks.
func (a *Agent) answer(c *mesosagent.Call, common *facilities) (*mesosagent.Response, error) {
	missing := func(field string) error {
		return refuse(http.StatusBadRequest, "Failed to validate agent::Call: Expecting '%s' to be present", field)
	}
	out := &mesosagent.Response{}
	switch c.Type {
	case mesosagent.Call_GET_HEALTH:
		out.Type, out.GetHealth = mesosagent.Response_GET_HEALTH, &mesosagent.Response_GetHealth{Healthy: true}
	case mesosagent.Call_GET_VERSION:
		out.Type, out.GetVersion = mesosagent.Response_GET_VERSION, &mesosagent.Response_GetVersion{VersionInfo: versionInfo()}
	case mesosagent.Call_SET_LOGGING_LEVEL:
		return nil, missing("set_logging_level")
	case mesosagent.Call_GET_LOGGING_LEVEL:
		out.Type, out.GetLoggingLevel = mesosagent.Response_GET_LOGGING_LEVEL, &mesosagent.Response_GetLoggingLevel{Level: common.level.get()}
	case mesosagent.Call_LIST_FILES:
		if c.ListFiles == nil {
			return nil, missing("list_files")
		}
		infos, err := common.files.browse(c.ListFiles.Path)
		out.Type, out.ListFiles = mesosagent.Response_LIST_FILES, &mesosagent.Response_ListFiles{FileInfos: infos}
		return out, err
	case mesosagent.Call_READ_FILE:
		if c.ReadFile == nil {
			return nil, missing("read_file")
		}
		size, data, err := common.files.read(c.ReadFile.Path, c.ReadFile.Offset, c.ReadFile.Length)
		out.Type, out.ReadFile = mesosagent.Response_READ_FILE, &mesosagent.Response_ReadFile{Size_: size, Data: data}
		return out, err
	case mesosagent.Call_GET_METRICS:
		if c.GetMetrics == nil {
			return nil, missing("get_metrics")
		}
		out.Type, out.GetMetrics = mesosagent.Response_GET_METRICS, &mesosagent.Response_GetMetrics{Metrics: metricsOf(a.metrics())}
	case mesosagent.Call_GET_AGENT:
		report := a.report()
		out.Type, out.GetAgent = mesosagent.Response_GET_AGENT, &mesosagent.Response_GetAgent{
			AgentInfo: &report.Info, DrainConfig: drainConfig(report.Draining)}
	case mesosagent.Call_GET_CONTAINERS:
		out.Type, out.GetContainers = mesosagent.Response_GET_CONTAINERS, a.getContainers()
	case mesosagent.Call_GET_OPERATIONS:
		out.Type, out.GetOperations = mesosagent.Response_GET_OPERATIONS, &mesosagent.Response_GetOperations{Operations: a.report().Operations}
	case mesosagent.Call_GET_RESOURCE_PROVIDERS: // there are none
		out.Type, out.GetResourceProviders = mesosagent.Response_GET_RESOURCE_PROVIDERS, &mesosagent.Response_GetResourceProviders{}
	case mesosagent.Call_GET_STATE, mesosagent.Call_GET_FRAMEWORKS, mesosagent.Call_GET_EXECUTORS, mesosagent.Call_GET_TASKS:
		a.getState(c.Type, out)
	default:
		return nil, refuse(http.StatusNotImplemented, "mesostest does not implement the agent's operator call %s", c.Type)
	}
	return out, nil
}

func (a *Agent) getContainers() *mesosagent.Response_GetContainers {
	out := &mesosagent.Response_GetContainers{}
	for _, u := range a.usage() {
		out.Containers = append(out.Containers, mesosagent.Response_GetContainers_Container{
			FrameworkID: &mesos.FrameworkID{Value: u.framework}, ExecutorID: &u.executor.Info.ExecutorID,
			ExecutorName: new(u.executor.Info.GetName()), ContainerID: mesos.ContainerID{Value: u.executor.Container},
			ContainerStatus: a.containerStatus(&u), ResourceStatistics: u.statistics,
		})
	}
	return out
}

// getState sets the part of the state that a call asks for, or all of it.
func (a *Agent) getState(kind mesosagent.Call_Type, out *mesosagent.Response) {
	report := a.report()
	frameworks, executors, tasks := &mesosagent.Response_GetFrameworks{}, &mesosagent.Response_GetExecutors{}, &mesosagent.Response_GetTasks{}
	add := func(f *model.FrameworkReport) {
		for i := range f.Executors {
			e := &f.Executors[i]
			executors.Executors = append(executors.Executors, mesosagent.Response_GetExecutors_Executor{ExecutorInfo: e.Info})
			tasks.LaunchedTasks = append(tasks.LaunchedTasks, e.Launched...)
			tasks.TerminatedTasks = append(tasks.TerminatedTasks, e.Terminated...)
			tasks.CompletedTasks = append(tasks.CompletedTasks, e.Completed...)
			for j := range e.Queued {
				t := &e.Queued[j]
				tasks.QueuedTasks = append(tasks.QueuedTasks, mesos.Task{Name: t.Name, TaskID: t.TaskID, FrameworkID: *f.Info.ID,
					AgentID: t.AgentID, State: mesos.TASK_STAGING.Enum(), Resources: t.Resources, Labels: t.Labels})
			}
		}
		for i := range f.Completed {
			executors.CompletedExecutors = append(executors.CompletedExecutors, mesosagent.Response_GetExecutors_Executor{ExecutorInfo: f.Completed[i].Info})
			tasks.CompletedTasks = append(tasks.CompletedTasks, f.Completed[i].Completed...)
		}
	}
	for i := range report.Frameworks {
		frameworks.Frameworks = append(frameworks.Frameworks, mesosagent.Response_GetFrameworks_Framework{FrameworkInfo: report.Frameworks[i].Info})
		add(&report.Frameworks[i])
	}
	for i := range report.Completed {
		frameworks.CompletedFrameworks = append(frameworks.CompletedFrameworks, mesosagent.Response_GetFrameworks_Framework{FrameworkInfo: report.Completed[i].Info})
		add(&report.Completed[i])
	}
	switch kind {
	case mesosagent.Call_GET_FRAMEWORKS:
		out.Type, out.GetFrameworks = mesosagent.Response_GET_FRAMEWORKS, frameworks
	case mesosagent.Call_GET_EXECUTORS:
		out.Type, out.GetExecutors = mesosagent.Response_GET_EXECUTORS, executors
	case mesosagent.Call_GET_TASKS:
		out.Type, out.GetTasks = mesosagent.Response_GET_TASKS, tasks
	default:
		out.Type, out.GetState = mesosagent.Response_GET_STATE, &mesosagent.Response_GetState{
			GetFrameworks: frameworks, GetExecutors: executors, GetTasks: tasks}
	}
}
