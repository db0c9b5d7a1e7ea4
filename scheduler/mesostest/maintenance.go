package mesostest

import (
	"io"
	"net/http"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	mesosmaintenance "github.com/mesos/mesos-go/api/v1/lib/maintenance"

	"github.com/mesokit/mesokit/internal/model"
)

// The older endpoints by which operators change things: JSON in the body of a
// POST or PUT, and what is set as the answer to a GET (src/master/http.cpp,
// src/master/weights_handler.cpp).

func scheduleRequest(s *mesosmaintenance.Schedule) model.SetSchedule {
	var ws []model.Window
	for _, w := range s.Windows {
		ws = append(ws, model.Window{Machines: w.MachineIDs, Unavailability: w.Unavailability})
	}
	return model.SetSchedule{Windows: ws}
}

// schedule is the maintenance schedule. The lock must be held.
func (m *master) schedule() mesosmaintenance.Schedule {
	var s mesosmaintenance.Schedule
	for _, w := range m.machine.Schedule() {
		s.Windows = append(s.Windows, mesosmaintenance.Window{MachineIDs: w.Machines, Unavailability: w.Unavailability})
	}
	return s
}

// posted reads the JSON of a request's body.
func posted(w http.ResponseWriter, r *http.Request) (any, error) {
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "Failed to read the body: %s", err)
	}
	v, err := parseJSON(data)
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "%s", err)
	}
	return v, nil
}

// elements converts a JSON array into messages, each by way of element.
func elements(v any, element func(any) error) error {
	list, ok := v.([]any)
	if !ok {
		return refuse(http.StatusBadRequest, "Expecting a JSON array")
	}
	for _, item := range list {
		if err := element(item); err != nil {
			return refuse(http.StatusBadRequest, "%s", err)
		}
	}
	return nil
}

// otherMethod refuses a method, naming those that would do.
func otherMethod(w http.ResponseWriter, r *http.Request, allowed string) {
	w.Header().Set("Allow", allowed)
	respond(w, http.StatusMethodNotAllowed, "405 Method Not Allowed. Expecting one of { '"+allowed+"' }, but received '"+r.Method+"'.")
}

// operate steps a request of an operator, unless reading it has failed.
func (m *master) operate(w http.ResponseWriter, request model.OperatorRequest, err error) {
	if err != nil {
		fail(w, err)
		return
	}
	reply := m.step(model.Operate{Request: request})
	respond(w, reply.Status, reply.Text)
}

func (m *master) serveSchedule(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodGet:
		m.mu.Lock()
		s := m.schedule()
		m.mu.Unlock()
		writeJSON(w, asJSON(&s))
	case http.MethodPost:
		s := &mesosmaintenance.Schedule{}
		v, err := posted(w, r)
		if err == nil {
			if err = fromJSON(v, s, "Schedule"); err != nil {
				err = refuse(http.StatusBadRequest, "%s", err)
			}
		}
		m.operate(w, scheduleRequest(s), err)
	default:
		otherMethod(w, r, "GET', 'POST")
	}
}

func (m *master) serveMaintenanceStatus(w http.ResponseWriter, _ *http.Request) {
	m.mu.Lock()
	s := m.machine.MaintenanceStatus()
	m.mu.Unlock()
	writeJSON(w, asJSON(&s))
}

// serveMachines takes machines down or up.
func (m *master) serveMachines(request func([]mesos.MachineID) model.OperatorRequest) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			otherMethod(w, r, http.MethodPost)
			return
		}
		var ids []mesos.MachineID
		v, err := posted(w, r)
		if err == nil {
			err = elements(v, func(item any) error {
				var id mesos.MachineID
				err := fromJSON(item, &id, "MachineID")
				ids = append(ids, id)
				return err
			})
		}
		m.operate(w, request(ids), err)
	}
}

func (m *master) serveWeights(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodGet:
		m.mu.Lock()
		weights := m.machine.Weights()
		m.mu.Unlock()
		out := []any{}
		for i := range weights {
			out = append(out, asJSON(&weights[i]))
		}
		writeJSON(w, out)
	case http.MethodPut:
		var weights []mesos.WeightInfo
		v, err := posted(w, r)
		if err == nil {
			err = elements(v, func(item any) error {
				var info mesos.WeightInfo
				err := fromJSON(item, &info, "WeightInfo")
				weights = append(weights, info)
				return err
			})
		}
		m.operate(w, model.SetWeights{Weights: weights}, err)
	default:
		otherMethod(w, r, "GET', 'PUT")
	}
}
