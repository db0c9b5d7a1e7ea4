package mesostest

import (
	"fmt"
	"net/http"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	mesosmaster "github.com/mesos/mesos-go/api/v1/lib/master"

	"github.com/mesokit/mesokit/internal/model"
)

// routes are the endpoints of the master.
func (m *master) routes() http.Handler {
	mux := http.NewServeMux()
	handle := func(path string, h http.HandlerFunc) {
		mux.HandleFunc(path, h)
		mux.HandleFunc("/master"+path, h)
	}
	handle("/api/v1/scheduler", m.serveScheduler)
	// A master without a directory for logs has no files to show.
	common := &facilities{files: func() map[string]string { return nil }}
	common.files.handle(mux)
	handle("/api/v1", func(w http.ResponseWriter, r *http.Request) { m.serveOperator(w, r, common) })
	handle("/maintenance/schedule", m.serveSchedule)
	handle("/maintenance/status", m.serveMaintenanceStatus)
	handle("/machine/down", m.serveMachines(func(ids []mesos.MachineID) model.OperatorRequest { return model.StartMaintenance{Machines: ids} }))
	handle("/machine/up", m.serveMachines(func(ids []mesos.MachineID) model.OperatorRequest { return model.StopMaintenance{Machines: ids} }))
	handle("/weights", m.serveWeights)
	handle("/flags", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, object{"flags": m.flagMap()}) })
	handle("/health", func(w http.ResponseWriter, _ *http.Request) { respond(w, http.StatusOK, "") })
	handle("/version", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, versionFields()) })
	handle("/state", m.serveState)
	handle("/state.json", m.serveState)
	handle("/slaves", m.serveSlaves)
	handle("/frameworks", m.serveFrameworks)
	handle("/tasks", m.serveTasks)
	handle("/roles", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, m.roles()) })
	handle("/metrics/snapshot", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, m.metrics()) })
	handle("/redirect", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", "//"+m.c.Master())
		respond(w, http.StatusTemporaryRedirect, "")
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		respond(w, http.StatusNotFound, fmt.Sprintf("404 Not Found: mesostest does not serve %s", r.URL.Path))
	})
	return mux
}

// serveEvents is SUBSCRIBE of the operator API: the state, and then what
// changes.
func (m *master) serveEvents(w http.ResponseWriter, r *http.Request, kind string) {
	events := newQueue[*mesosmaster.Event]()
	m.lock()
	if m.down {
		m.mu.Unlock()
		respond(w, http.StatusServiceUnavailable, "")
		return
	}
	m.watchers[events] = true
	m.stepLocked(model.Watch{On: true})
	interval := m.c.cfg.Heartbeat
	events.push(&mesosmaster.Event{Type: mesosmaster.Event_SUBSCRIBED, Subscribed: &mesosmaster.Event_Subscribed{
		GetState: m.machine.GetState(), HeartbeatIntervalSeconds: new(interval.Seconds()),
	}})
	m.mu.Unlock()
	defer func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.watchers, events)
		m.stepLocked(model.Watch{On: len(m.watchers) > 0})
	}()
	w.Header().Set("Content-Type", kind)
	w.WriteHeader(http.StatusOK)
	stream(w, r, events, interval, func(e *mesosmaster.Event) ([]byte, error) {
		m.running.wait(r.Context())
		return encode(kind, e)
	}, &mesosmaster.Event{Type: mesosmaster.Event_HEARTBEAT})
}

func (m *master) metrics() map[string]float64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.machine.Metrics()
}

// roles is what the older endpoint says of roles.
func (m *master) roles() object {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := []any{}
	for _, role := range m.machine.GetRoles().Roles {
		ids := []string{}
		for _, id := range role.Frameworks {
			ids = append(ids, id.Value)
		}
		out = append(out, object{"name": role.Name, "weight": role.Weight, "frameworks": ids, "resources": sum(role.Resources, nil)})
	}
	return object{"roles": out}
}
