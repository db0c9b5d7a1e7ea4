package model

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	mesosallocator "github.com/mesos/mesos-go/api/v1/lib/allocator"
	mesosmaintenance "github.com/mesos/mesos-go/api/v1/lib/maintenance"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"
)

// Window is a time when machines will not be available.
type Window struct {
	Machines       []mesos.MachineID
	Unavailability mesos.Unavailability
}

// inverseOffer asks a framework to leave an agent.
type inverseOffer struct {
	id        string
	seq       int
	framework *framework
	agent     *agent
}

// SetSchedule replaces the maintenance schedule.
type SetSchedule struct{ Windows []Window }

// StartMaintenance takes scheduled machines down: their agents are removed and
// may not register.
type StartMaintenance struct{ Machines []mesos.MachineID }

// StopMaintenance brings machines that are down up, and takes them from the
// schedule.
type StopMaintenance struct{ Machines []mesos.MachineID }

func (SetSchedule) operatorRequest()      {}
func (StartMaintenance) operatorRequest() {}
func (StopMaintenance) operatorRequest()  {}

// machineKey identifies a machine as Mesos compares them: hostname in any case,
// and address, both as given or not.
type machineKey struct {
	hostname, ip string
	named, at    bool // hostname and ip are set
}

func machineOf(id mesos.MachineID) machineKey {
	return machineKey{strings.ToLower(id.GetHostname()), id.GetIP(), id.Hostname != nil, id.IP != nil}
}

// machine is where the agent runs.
func (a *agent) machine() machineKey { return machineOf(a.machineID()) }

func (a *agent) machineID() mesos.MachineID {
	return mesos.MachineID{Hostname: new(a.info.Hostname), IP: new(a.ip)}
}

func machineText(id mesos.MachineID) string {
	fields := map[string]string{}
	if id.Hostname != nil {
		fields["hostname"] = *id.Hostname
	}
	if id.IP != nil {
		fields["ip"] = *id.IP
	}
	b, _ := json.Marshal(fields) // strings always have a form
	return "Machine '" + string(b) + "'"
}

// The checks of machines and schedules are those of src/master/maintenance.cpp.

func validateMachines(ids []mesos.MachineID, seen map[machineKey]bool) error {
	for _, id := range ids {
		if id.GetHostname() == "" && id.GetIP() == "" {
			return errors.New("Both 'hostname' and 'ip' for a machine are empty")
		}
		if ip, err := netip.ParseAddr(id.GetIP()); id.GetIP() != "" && (err != nil || !ip.Is4()) {
			return fmt.Errorf("Failed to parse IPv4: %s", id.GetIP())
		}
		if seen[machineOf(id)] {
			return fmt.Errorf("%s appears more than once in the schedule", machineText(id))
		}
		seen[machineOf(id)] = true
	}
	return nil
}

func (m *Master) validateSchedule(ws []Window) error {
	seen := map[machineKey]bool{}
	for _, w := range ws {
		if len(w.Machines) == 0 {
			return errors.New("List of machines in the maintenance window is empty")
		}
		if d := w.Unavailability.Duration; d != nil && d.Nanoseconds < 0 {
			return errors.New("Unavailability 'duration' is negative")
		}
		if err := validateMachines(w.Machines, seen); err != nil {
			return err
		}
	}
	for _, id := range m.registry.Down {
		if !seen[machineOf(id)] {
			return fmt.Errorf("%s is deactivated and cannot be removed from the schedule", machineText(id))
		}
	}
	return nil
}

// down reports whether maintenance took the machine down.
func (m *Master) down(id machineKey) bool {
	return slices.ContainsFunc(m.registry.Down, func(d mesos.MachineID) bool { return machineOf(d) == id })
}

// known reports whether the master has heard of the machine, from an agent or
// in the schedule.
func (m *Master) known(id machineKey) bool {
	return m.unavailable(id) != nil || slices.ContainsFunc(m.order, func(a *agent) bool { return a.machine() == id })
}

// unavailable returns the announced unavailability of a machine, or nil.
func (m *Master) unavailable(id machineKey) *mesos.Unavailability {
	for i := range m.registry.Schedule {
		w := &m.registry.Schedule[i]
		if slices.ContainsFunc(w.Machines, func(x mesos.MachineID) bool { return machineOf(x) == id }) {
			return &w.Unavailability
		}
	}
	return nil
}

func (m *Master) unavailability(a *agent) *mesos.Unavailability {
	if len(m.registry.Schedule) == 0 {
		return nil
	}
	return m.unavailable(a.machine())
}

// setSchedule announces maintenance. What was offered is offered again with
// the news on it, agent by agent as in Mesos.
func (m *Master) setSchedule(ws []Window) {
	if err := m.validateSchedule(ws); err != nil {
		m.do(Reply{statusBadRequest, err.Error()})
		return
	}
	m.do(Reply{Status: statusOK})
	m.registry.Schedule = ws
	for _, a := range m.order {
		m.rescindAgent(a)
		m.rescindInverse(a)
		a.answers = map[string]mesosallocator.InverseOfferStatus{}
		for _, f := range m.frameworks {
			delete(f.filters, filterKey{inverseRole, a.id})
		}
		m.dirty[a.id] = true
	}
	m.allocateDirty()
	m.inviteMaintenance()
}

// checkMachines says why machines cannot go from one state to another.
func (m *Master) checkMachines(ids []mesos.MachineID, wrong func(machineKey) bool, text string) error {
	if len(ids) == 0 {
		return errors.New("List of machines is empty")
	}
	if err := validateMachines(ids, map[machineKey]bool{}); err != nil {
		return err
	}
	for _, id := range ids {
		switch {
		case !m.known(machineOf(id)):
			return fmt.Errorf("%s is not part of a maintenance schedule", machineText(id))
		case wrong(machineOf(id)):
			return errors.New(machineText(id) + " " + text)
		}
	}
	return nil
}

func (m *Master) startMaintenance(ids []mesos.MachineID) {
	err := m.checkMachines(ids, func(id machineKey) bool { return m.unavailable(id) == nil || m.down(id) },
		"is not in DRAINING mode and cannot be brought down")
	if err != nil {
		m.do(Reply{statusBadRequest, err.Error()})
		return
	}
	m.do(Reply{Status: statusOK})
	for _, id := range ids {
		for _, a := range slices.Clone(m.order) {
			if a.machine() == machineOf(id) {
				m.send(a, ShutdownAgent{"Operator initiated 'Machine DOWN'"})
				m.removeAgent(a, "Operator initiated 'Machine DOWN'")
			}
		}
	}
	m.registry.Down = append(slices.Clip(m.registry.Down), ids...)
}

func (m *Master) stopMaintenance(ids []mesos.MachineID) {
	err := m.checkMachines(ids, func(id machineKey) bool { return !m.down(id) }, "is not in DOWN mode and cannot be brought up")
	if err != nil {
		m.do(Reply{statusBadRequest, err.Error()})
		return
	}
	m.do(Reply{Status: statusOK})
	up := func(x mesos.MachineID) bool {
		return slices.ContainsFunc(ids, func(id mesos.MachineID) bool { return machineOf(id) == machineOf(x) })
	}
	m.registry.Down = slices.DeleteFunc(slices.Clone(m.registry.Down), up)
	var ws []Window
	for _, w := range m.registry.Schedule {
		w.Machines = slices.DeleteFunc(slices.Clone(w.Machines), up)
		if len(w.Machines) > 0 {
			ws = append(ws, w)
		}
	}
	m.registry.Schedule = ws
}

// MaintenanceStatus tells which machines are to leave, with what frameworks
// answered, and which are down.
func (m *Master) MaintenanceStatus() mesosmaintenance.ClusterStatus {
	var out mesosmaintenance.ClusterStatus
	for _, w := range m.registry.Schedule {
		for _, id := range w.Machines {
			if m.down(machineOf(id)) {
				continue
			}
			d := mesosmaintenance.ClusterStatus_DrainingMachine{ID: id}
			for _, a := range m.order {
				if a.machine() == machineOf(id) {
					for _, framework := range sortedKeys(a.answers) {
						d.Statuses = append(d.Statuses, a.answers[framework])
					}
				}
			}
			out.DrainingMachines = append(out.DrainingMachines, d)
		}
	}
	out.DownMachines = slices.Clone(m.registry.Down)
	return out
}

// inviteMaintenance asks frameworks to leave agents that will be unavailable.
func (m *Master) inviteMaintenance() {
	if len(m.registry.Schedule) == 0 {
		return
	}
	for _, f := range m.framesInOrder() {
		if f.stream == "" {
			continue
		}
		e := &scheduler.Event{Type: scheduler.Event_INVERSE_OFFERS, InverseOffers: &scheduler.Event_InverseOffers{}}
		for _, a := range m.order {
			u := m.unavailability(a)
			if u == nil || !m.uses(f, a) || m.asked(f, a) {
				continue
			}
			i := &inverseOffer{id: fmt.Sprintf("%s-O%d", m.cfg.Info.ID, m.nextOffer), seq: m.nextOffer, framework: f, agent: a}
			m.nextOffer++
			m.inverse[i.id], f.inverse[i.id], a.inverse[i.id] = i, i, i
			e.InverseOffers.InverseOffers = append(e.InverseOffers.InverseOffers, mesos.InverseOffer{
				OfferID: mesos.OfferID{Value: i.id}, URL: a.url(), FrameworkID: mesos.FrameworkID{Value: f.id},
				AgentID: &mesos.AgentID{Value: a.id}, Unavailability: *u,
			})
		}
		if len(e.InverseOffers.InverseOffers) > 0 {
			m.emit(f, e)
		}
	}
}

// uses reports whether a framework has resources of an agent.
func (m *Master) uses(f *framework, a *agent) bool {
	for key := range a.tasks {
		if key.framework == f.id {
			return true
		}
	}
	for key := range a.executors {
		if key.framework == f.id {
			return true
		}
	}
	for _, o := range a.offers {
		if o.framework == f {
			return true
		}
	}
	return false
}

// asked reports whether an inverse offer is out, or was answered lately.
func (m *Master) asked(f *framework, a *agent) bool {
	for _, i := range a.inverse {
		if i.framework == f {
			return true
		}
	}
	fs := f.filters[filterKey{inverseRole, a.id}]
	return slices.ContainsFunc(fs, func(x filter) bool { return x.until.After(m.now) })
}

// inverseRole keys the filters of inverse offers; no role has this name.
const inverseRole = "\x00inverse"

func (m *Master) removeInverse(i *inverseOffer) {
	delete(m.inverse, i.id)
	delete(i.framework.inverse, i.id)
	delete(i.agent.inverse, i.id)
}

// rescindInverse takes back the inverse offers of an agent.
func (m *Master) rescindInverse(a *agent) {
	for _, id := range sortedKeys(a.inverse) {
		i := a.inverse[id]
		m.removeInverse(i)
		m.emit(i.framework, &scheduler.Event{Type: scheduler.Event_RESCIND_INVERSE_OFFER,
			RescindInverseOffer: &scheduler.Event_RescindInverseOffer{InverseOfferID: mesos.OfferID{Value: i.id}}})
	}
}

// answerInverse notes what a framework says to inverse offers. It is asked
// again when its filter has run out.
func (m *Master) answerInverse(f *framework, ids []mesos.OfferID, answer mesosallocator.InverseOfferStatus_Status, filters *mesos.Filters) {
	for _, id := range ids {
		i := f.inverse[id.Value]
		if i == nil {
			continue
		}
		m.removeInverse(i)
		i.agent.answers[f.id] = mesosallocator.InverseOfferStatus{
			Status: &answer, FrameworkID: mesos.FrameworkID{Value: f.id}, Timestamp: mesos.TimeInfo{Nanoseconds: m.now.UnixNano()},
		}
		if d := refuse(filters); d > 0 {
			f.filters[filterKey{inverseRole, i.agent.id}] = []filter{{until: m.now.Add(d)}}
		}
	}
}
