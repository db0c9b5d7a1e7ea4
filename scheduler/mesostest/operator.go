package mesostest

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/gogo/protobuf/proto"
	mesos "github.com/mesos/mesos-go/api/v1/lib"
	mesosmaster "github.com/mesos/mesos-go/api/v1/lib/master"

	"github.com/mesokit/mesokit/internal/model"
)

// facilities are what masters and agents have in common for those who look at
// them.
type facilities struct {
	files files
	level verbosity
}

// serveOperator is the operator API.
func (m *master) serveOperator(w http.ResponseWriter, r *http.Request, common *facilities) {
	call := &mesosmaster.Call{}
	kind, err := operatorCall(w, r, "master", call)
	if err != nil {
		fail(w, err)
		return
	}
	if _, ok := arrive(m.c, r, "calls of operators", Message{Name: "operator/" + call.Type.String(), ToMaster: true}, func() bool { return true }); !ok {
		return
	}
	if call.Type == mesosmaster.Call_SUBSCRIBE {
		m.serveEvents(w, r, kind)
		return
	}
	if set := call.SetLoggingLevel; call.Type == mesosmaster.Call_SET_LOGGING_LEVEL && set != nil {
		common.level.set(set.Level, time.Duration(set.Duration.Nanoseconds))
		respond(w, http.StatusOK, "")
		return
	}
	if request, err := requestOf(call); err != nil {
		fail(w, err)
		return
	} else if request != nil {
		reply := m.step(model.Operate{Request: request})
		respond(w, reply.Status, reply.Text)
		return
	}
	response, err := m.answer(call, common)
	if err != nil {
		fail(w, err)
		return
	}
	writeMessage(w, kind, response)
}

func writeMessage(w http.ResponseWriter, kind string, msg proto.Message) {
	b, err := encode(kind, msg)
	if err != nil {
		fail(w, err)
		return
	}
	w.Header().Set("Content-Type", kind)
	_, _ = w.Write(b) // the other end may be gone
}

// typedCall is a call to a master or an agent.
type typedCall[T ~int32] interface {
	proto.Message
	GetType() T
}

// operatorCall reads an operator's call to a master or an agent, as to says,
// and returns the encoding for the answer.
func operatorCall[T ~int32](w http.ResponseWriter, r *http.Request, to string, call typedCall[T]) (kind string, err error) {
	if err := onlyPost(r); err != nil {
		return "", err
	}
	if err := decodeCall(w, r, call); err != nil {
		return "", err
	}
	if call.GetType() == 0 {
		return "", refuse(http.StatusBadRequest, "Failed to validate %s::Call: Expecting 'type' to be present", to)
	}
	return accepts(r)
}

// decodeCall reads the call of an operator or an executor.
func decodeCall(w http.ResponseWriter, r *http.Request, call proto.Message) error {
	data, kind, err := body(w, r)
	if err != nil {
		return err
	}
	if kind == typeProtobuf {
		if proto.Unmarshal(data, call) != nil {
			return refuse(http.StatusBadRequest, "Failed to parse body into Call protobuf")
		}
	} else {
		v, err := parseJSON(data)
		if err == nil {
			err = fromJSON(v, call, "Call")
		}
		if err != nil {
			return refuse(http.StatusBadRequest, "%s", err)
		}
	}
	return nil
}

// requestOf turns a call that changes something into a request of the model;
// nil for the others.
func requestOf(c *mesosmaster.Call) (model.OperatorRequest, error) {
	missing := func(field string) error {
		return refuse(http.StatusBadRequest, "Failed to validate master::Call: Expecting '%s' to be present", field)
	}
	switch c.Type {
	case mesosmaster.Call_UPDATE_MAINTENANCE_SCHEDULE:
		if c.UpdateMaintenanceSchedule == nil {
			return nil, missing("update_maintenance_schedule")
		}
		return scheduleRequest(&c.UpdateMaintenanceSchedule.Schedule), nil
	case mesosmaster.Call_START_MAINTENANCE:
		if c.StartMaintenance == nil {
			return nil, missing("start_maintenance")
		}
		return model.StartMaintenance{Machines: c.StartMaintenance.Machines}, nil
	case mesosmaster.Call_STOP_MAINTENANCE:
		if c.StopMaintenance == nil {
			return nil, missing("stop_maintenance")
		}
		return model.StopMaintenance{Machines: c.StopMaintenance.Machines}, nil
	case mesosmaster.Call_UPDATE_WEIGHTS:
		if c.UpdateWeights == nil {
			return nil, missing("update_weights")
		}
		return model.SetWeights{Weights: c.UpdateWeights.WeightInfos}, nil
	case mesosmaster.Call_SET_LOGGING_LEVEL:
		return nil, missing("set_logging_level")
	case mesosmaster.Call_TEARDOWN:
		if c.Teardown == nil {
			return nil, missing("teardown")
		}
		return model.TeardownFramework{ID: c.Teardown.FrameworkID.Value}, nil
	case mesosmaster.Call_MARK_AGENT_GONE:
		if c.MarkAgentGone == nil {
			return nil, missing("mark_agent_gone")
		}
		return model.MarkGone{ID: c.MarkAgentGone.AgentID.Value}, nil
	case mesosmaster.Call_DEACTIVATE_AGENT:
		if c.DeactivateAgent == nil {
			return nil, missing("deactivate_agent")
		}
		return model.Deactivate{ID: c.DeactivateAgent.AgentID.Value}, nil
	case mesosmaster.Call_REACTIVATE_AGENT:
		if c.ReactivateAgent == nil {
			return nil, missing("reactivate_agent")
		}
		return model.Deactivate{ID: c.ReactivateAgent.AgentID.Value, On: true}, nil
	case mesosmaster.Call_DRAIN_AGENT:
		if c.DrainAgent == nil {
			return nil, missing("drain_agent")
		}
		d := model.Drain{ID: c.DrainAgent.AgentID.Value, MarkGone: c.DrainAgent.GetMarkGone()}
		if g := c.DrainAgent.MaxGracePeriod; g != nil {
			d.MaxGrace = new(time.Duration(g.Seconds)*time.Second + time.Duration(g.Nanos))
		}
		return d, nil
	case mesosmaster.Call_UPDATE_QUOTA:
		if c.UpdateQuota == nil {
			return nil, missing("update_quota")
		}
		return model.SetQuota{Configs: c.UpdateQuota.QuotaConfigs, Force: c.UpdateQuota.GetForce()}, nil
	case mesosmaster.Call_SET_QUOTA:
		if c.SetQuota == nil {
			return nil, missing("set_quota")
		}
		return model.RequestQuota{Request: c.SetQuota.QuotaRequest}, nil
	case mesosmaster.Call_REMOVE_QUOTA:
		if c.RemoveQuota == nil {
			return nil, missing("remove_quota")
		}
		return model.RemoveQuota{Role: c.RemoveQuota.Role}, nil
	}
	return resourceRequest(c, missing)
}

// resourceRequest does the same for the calls that change an agent's resources.
func resourceRequest(c *mesosmaster.Call, missing func(string) error) (model.OperatorRequest, error) {
	change := func(agent mesos.AgentID, op mesos.Offer_Operation) (model.OperatorRequest, error) {
		return model.ChangeResources{AgentID: agent.Value, Operation: op}, nil
	}
	switch c.Type {
	case mesosmaster.Call_RESERVE_RESOURCES:
		if x := c.ReserveResources; x != nil {
			return change(x.AgentID, mesos.Offer_Operation{
				Type: mesos.Offer_Operation_RESERVE, Reserve: &mesos.Offer_Operation_Reserve{Source: x.Source, Resources: x.Resources}})
		}
		return nil, missing("reserve_resources")
	case mesosmaster.Call_UNRESERVE_RESOURCES:
		if x := c.UnreserveResources; x != nil {
			return change(x.AgentID, mesos.Offer_Operation{
				Type: mesos.Offer_Operation_UNRESERVE, Unreserve: &mesos.Offer_Operation_Unreserve{Resources: x.Resources}})
		}
		return nil, missing("unreserve_resources")
	case mesosmaster.Call_CREATE_VOLUMES:
		if x := c.CreateVolumes; x != nil {
			return change(x.AgentID, mesos.Offer_Operation{
				Type: mesos.Offer_Operation_CREATE, Create: &mesos.Offer_Operation_Create{Volumes: x.Volumes}})
		}
		return nil, missing("create_volumes")
	case mesosmaster.Call_DESTROY_VOLUMES:
		if x := c.DestroyVolumes; x != nil {
			return change(x.AgentID, mesos.Offer_Operation{
				Type: mesos.Offer_Operation_DESTROY, Destroy: &mesos.Offer_Operation_Destroy{Volumes: x.Volumes}})
		}
		return nil, missing("destroy_volumes")
	case mesosmaster.Call_GROW_VOLUME:
		x := c.GrowVolume
		if x == nil {
			return nil, missing("grow_volume")
		}
		if x.AgentID == nil {
			return nil, noAgent
		}
		return change(*x.AgentID, mesos.Offer_Operation{Type: mesos.Offer_Operation_GROW_VOLUME,
			GrowVolume: &mesos.Offer_Operation_GrowVolume{Volume: x.Volume, Addition: x.Addition}})
	case mesosmaster.Call_SHRINK_VOLUME:
		x := c.ShrinkVolume
		if x == nil {
			return nil, missing("shrink_volume")
		}
		if x.AgentID == nil {
			return nil, noAgent
		}
		return change(*x.AgentID, mesos.Offer_Operation{Type: mesos.Offer_Operation_SHRINK_VOLUME,
			ShrinkVolume: &mesos.Offer_Operation_ShrinkVolume{Volume: x.Volume, Subtract: x.Subtract}})
	}
	return nil, nil
}

var noAgent = refuse(http.StatusBadRequest,
	"Failed to validate master::Call: Expecting 'agent_id' to be present; only agent default resources are supported right now")

// answer answers a call that only asks.
func (m *master) answer(c *mesosmaster.Call, common *facilities) (*mesosmaster.Response, error) {
	missing := func(field string) error {
		return refuse(http.StatusBadRequest, "Failed to validate master::Call: Expecting '%s' to be present", field)
	}
	out := &mesosmaster.Response{}
	switch c.Type {
	case mesosmaster.Call_GET_LOGGING_LEVEL:
		out.Type, out.GetLoggingLevel = mesosmaster.Response_GET_LOGGING_LEVEL, &mesosmaster.Response_GetLoggingLevel{Level: common.level.get()}
		return out, nil
	case mesosmaster.Call_LIST_FILES:
		if c.ListFiles == nil {
			return nil, missing("list_files")
		}
		infos, err := common.files.browse(c.ListFiles.Path)
		out.Type, out.ListFiles = mesosmaster.Response_LIST_FILES, &mesosmaster.Response_ListFiles{FileInfos: infos}
		return out, err
	case mesosmaster.Call_READ_FILE:
		if c.ReadFile == nil {
			return nil, missing("read_file")
		}
		size, data, err := common.files.read(c.ReadFile.Path, c.ReadFile.Offset, c.ReadFile.Length)
		out.Type, out.ReadFile = mesosmaster.Response_READ_FILE, &mesosmaster.Response_ReadFile{Size_: size, Data: data}
		return out, err
	}
	return m.tell(c)
}

// tell answers a call that asks for what the machine knows.
func (m *master) tell(c *mesosmaster.Call) (*mesosmaster.Response, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := &mesosmaster.Response{}
	switch c.Type {
	case mesosmaster.Call_GET_HEALTH:
		out.Type, out.GetHealth = mesosmaster.Response_GET_HEALTH, &mesosmaster.Response_GetHealth{Healthy: true}
	case mesosmaster.Call_GET_VERSION:
		out.Type, out.GetVersion = mesosmaster.Response_GET_VERSION, &mesosmaster.Response_GetVersion{VersionInfo: versionInfo()}
	case mesosmaster.Call_GET_MASTER:
		at := float64(m.started.UnixMilli()) / 1000
		out.Type, out.GetMaster = mesosmaster.Response_GET_MASTER, &mesosmaster.Response_GetMaster{
			MasterInfo: &m.info, StartTime: &at, ElectedTime: &at}
	case mesosmaster.Call_GET_FLAGS:
		out.Type, out.GetFlags = mesosmaster.Response_GET_FLAGS, &mesosmaster.Response_GetFlags{Flags: m.flags()}
	case mesosmaster.Call_GET_STATE:
		out.Type, out.GetState = mesosmaster.Response_GET_STATE, m.machine.GetState()
	case mesosmaster.Call_GET_AGENTS:
		out.Type, out.GetAgents = mesosmaster.Response_GET_AGENTS, m.machine.GetAgents()
	case mesosmaster.Call_GET_FRAMEWORKS:
		out.Type, out.GetFrameworks = mesosmaster.Response_GET_FRAMEWORKS, m.machine.GetFrameworks()
	case mesosmaster.Call_GET_TASKS:
		out.Type, out.GetTasks = mesosmaster.Response_GET_TASKS, m.machine.GetTasks()
	case mesosmaster.Call_GET_EXECUTORS:
		out.Type, out.GetExecutors = mesosmaster.Response_GET_EXECUTORS, m.machine.GetExecutors()
	case mesosmaster.Call_GET_OPERATIONS:
		out.Type, out.GetOperations = mesosmaster.Response_GET_OPERATIONS, m.machine.GetOperations()
	case mesosmaster.Call_GET_ROLES:
		out.Type, out.GetRoles = mesosmaster.Response_GET_ROLES, m.machine.GetRoles()
	case mesosmaster.Call_GET_QUOTA:
		out.Type, out.GetQuota = mesosmaster.Response_GET_QUOTA, &mesosmaster.Response_GetQuota{
			Status: m.machine.QuotaStatus()}
	case mesosmaster.Call_GET_METRICS:
		if c.GetMetrics == nil {
			return nil, refuse(http.StatusBadRequest, "Failed to validate master::Call: Expecting 'get_metrics' to be present")
		}
		out.Type, out.GetMetrics = mesosmaster.Response_GET_METRICS, &mesosmaster.Response_GetMetrics{Metrics: metricsOf(m.machine.Metrics())}
	case mesosmaster.Call_GET_MAINTENANCE_SCHEDULE:
		out.Type = mesosmaster.Response_GET_MAINTENANCE_SCHEDULE
		out.GetMaintenanceSchedule = &mesosmaster.Response_GetMaintenanceSchedule{Schedule: m.schedule()}
	case mesosmaster.Call_GET_MAINTENANCE_STATUS:
		out.Type, out.GetMaintenanceStatus = mesosmaster.Response_GET_MAINTENANCE_STATUS, &mesosmaster.Response_GetMaintenanceStatus{
			Status: m.machine.MaintenanceStatus()}
	case mesosmaster.Call_GET_WEIGHTS:
		out.Type, out.GetWeights = mesosmaster.Response_GET_WEIGHTS, &mesosmaster.Response_GetWeights{WeightInfos: m.machine.Weights()}
	default:
		return nil, refuse(http.StatusNotImplemented, "mesostest does not implement the operator call %s", c.Type)
	}
	return out, nil
}

// Mesos tells when it was built; this is the build that was recorded.
const (
	buildDate = "2026-11-20 23:20:12"
	buildTime = 1795216812.0
)

func versionInfo() mesos.VersionInfo {
	return mesos.VersionInfo{Version: version, BuildDate: new(buildDate), BuildTime: new(buildTime), BuildUser: new("")}
}

// metricsOf lists metrics in the order of their names.
func metricsOf(values map[string]float64) []mesos.Metric {
	var out []mesos.Metric
	for _, name := range slices.Sorted(maps.Keys(values)) {
		out = append(out, mesos.Metric{Name: name, Value: new(values[name])})
	}
	return out
}

func versionFields() object {
	return object{"build_date": buildDate, "build_time": buildTime, "build_user": "", "version": version}
}

func (m *master) flags() []mesos.Flag {
	cfg := &m.c.cfg
	out := []mesos.Flag{
		{Name: "agent_ping_timeout", Value: new(cfg.PingInterval.String())},
		{Name: "allocation_interval", Value: new(cfg.AllocationInterval.String())},
		{Name: "authenticate_http_frameworks", Value: new(fmt.Sprint(len(cfg.Credentials) > 0))},
		{Name: "max_agent_ping_timeouts", Value: new(fmt.Sprint(cfg.MaxMissedPings))},
		{Name: "port", Value: new(fmt.Sprint(m.info.Port))},
	}
	if cfg.OfferTimeout > 0 {
		out = append(out, mesos.Flag{Name: "offer_timeout", Value: new(cfg.OfferTimeout.Round(time.Millisecond).String())})
	}
	return out
}
