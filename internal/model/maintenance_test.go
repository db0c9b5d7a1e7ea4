package model

import (
	"strings"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	mesosallocator "github.com/mesos/mesos-go/api/v1/lib/allocator"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"
)

func machineAt(hostname string) mesos.MachineID {
	return mesos.MachineID{Hostname: &hostname, IP: new("127.0.0.1")}
}

func windowOf(hostnames ...string) Window {
	w := Window{Unavailability: mesos.Unavailability{Start: mesos.TimeInfo{Nanoseconds: 1}}}
	for _, h := range hostnames {
		w.Machines = append(w.Machines, machineAt(h))
	}
	return w
}

// operate has an operator's request answered.
func (w *world) operate(request OperatorRequest, status int, text string) {
	w.t.Helper()
	r := w.step(Operate{request})
	want(w.t, "status", r.Status, status)
	want(w.t, "text", r.Text, text)
	w.settle()
}

func TestMaintenanceTakesAMachineDownAndUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	c := w.subscribe("*")
	var o mesos.Offer
	for _, x := range c.offers() {
		if x.Hostname == "host0" {
			o = x
		}
	}
	c.accept(o, 0, launchOp(commandTask("t1", o.AgentID.Value, 1, 128)))
	w.settle()
	c.updates(true)
	w.settle()

	w.operate(SetSchedule{[]Window{windowOf("HOST0")}}, 200, "")
	e := c.take(scheduler.Event_INVERSE_OFFERS)
	if e == nil {
		t.Fatal("no inverse offer")
	}
	c.call(&scheduler.Call{Type: scheduler.Call_DECLINE_INVERSE_OFFERS, DeclineInverseOffers: &scheduler.Call_DeclineInverseOffers{
		InverseOfferIDs: []mesos.OfferID{e.InverseOffers.InverseOffers[0].OfferID}, Filters: &mesos.Filters{RefuseSeconds: new(0.0)}}})
	s := w.master.MaintenanceStatus()
	want(t, "draining", len(s.DrainingMachines), 1)
	want(t, "answers", len(s.DrainingMachines[0].Statuses), 1)
	want(t, "answer", *s.DrainingMachines[0].Statuses[0].Status, mesosallocator.InverseOfferStatus_DECLINE)
	w.sleep(2 * time.Second)
	if c.take(scheduler.Event_INVERSE_OFFERS) == nil {
		t.Error("it is not asked again after an answer without a filter")
	}

	c.offers()
	w.operate(StartMaintenance{[]mesos.MachineID{machineAt("host0")}}, 200, "")
	us := c.updates(false)
	want(t, "states", strings.Join(states(us, "t1"), " "), "TASK_LOST")
	want(t, "reason", us[0].GetReason(), mesos.REASON_AGENT_REMOVED)
	want(t, "message", us[0].GetMessage(), "Agent host0 removed: Operator initiated 'Machine DOWN'")
	if c.take(scheduler.Event_RESCIND_INVERSE_OFFER) == nil || c.take(scheduler.Event_FAILURE) == nil {
		t.Error("the inverse offer is not rescinded, or the agent's loss is not told")
	}
	want(t, "agents", len(w.master.GetAgents().Agents), 1)
	want(t, "down", len(w.master.MaintenanceStatus().DownMachines), 1)
	m := w.agents[0]
	want(t, "the agent's process is up", m.up, false)
	want(t, "containers", len(m.containers), 0)

	again := func() {
		m.disconnect()
		m.up = true
		m.step(AgentRestarted{})
		m.connect()
		w.settle()
	}
	again()
	want(t, "agents while it is down", len(w.master.GetAgents().Agents), 1)
	want(t, "the agent's process is up", m.up, false)
	w.operate(SetSchedule{}, 400, `Machine '{"hostname":"host0","ip":"127.0.0.1"}' is deactivated and cannot be removed from the schedule`)

	// A new master knows of it.
	w.master = NewMaster(w.cfg, w.master.Registry(), w.now)
	want(t, "down after a failover", len(w.master.MaintenanceStatus().DownMachines), 1)

	w.operate(StopMaintenance{[]mesos.MachineID{machineAt("host0")}}, 200, "")
	want(t, "windows", len(w.master.Schedule()), 0)
	id := m.agent.ID()
	again()
	want(t, "agents when it is up", len(w.master.GetAgents().Agents), 1)
	want(t, "agent", w.master.GetAgents().Agents[0].AgentInfo.ID.GetValue(), id)
}

func TestMaintenanceErrors(t *testing.T) {
	t.Parallel()
	machine := func(hostname, ip string) []mesos.MachineID { return []mesos.MachineID{{Hostname: &hostname, IP: &ip}} }
	host0 := `Machine '{"hostname":"host0","ip":"127.0.0.1"}' `
	window := func(ids []mesos.MachineID) SetSchedule { return SetSchedule{[]Window{{Machines: ids}}} }
	late := windowOf("host0")
	late.Unavailability.Duration = &mesos.DurationInfo{Nanoseconds: -1}
	for _, tc := range []struct {
		name    string
		request OperatorRequest
		want    string
	}{
		{"no machine in a window", window(nil), "List of machines in the maintenance window is empty"},
		{"negative duration", SetSchedule{[]Window{late}}, "Unavailability 'duration' is negative"},
		{"machine without a name", window(machine("", "")), "Both 'hostname' and 'ip' for a machine are empty"},
		{"no address", window(machine("", "here")), "Failed to parse IPv4: here"},
		{"twice in one window", SetSchedule{[]Window{windowOf("host0", "host0")}}, host0 + "appears more than once in the schedule"},
		{"twice in two windows", SetSchedule{[]Window{windowOf("host0"), windowOf("host0")}}, host0 + "appears more than once in the schedule"},
		{"start nothing", StartMaintenance{}, "List of machines is empty"},
		{"start an unknown machine", StartMaintenance{machine("nowhere", "10.0.0.1")}, `Machine '{"hostname":"nowhere","ip":"10.0.0.1"}' is not part of a maintenance schedule`},
		{"start what is not scheduled", StartMaintenance{machine("host0", "127.0.0.1")}, host0 + "is not in DRAINING mode and cannot be brought down"},
		{"stop what is not down", StopMaintenance{machine("host0", "127.0.0.1")}, host0 + "is not in DOWN mode and cannot be brought up"},
		{"stop nothing", StopMaintenance{}, "List of machines is empty"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 1)
			w.operate(tc.request, 400, tc.want)
			want(t, "windows", len(w.master.Schedule()), 0)
		})
	}
}

func TestAgentForgetsAFrameworkThatIsTornDown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	c := w.subscribe("*")
	o := c.offers()[0]
	c.accept(o, 0, launchOp(commandTask("t1", o.AgentID.Value, 1, 128)))
	w.settle() // nothing is acknowledged
	want(t, "launched", len(w.agents[0].agent.Report().Frameworks[0].Executors[0].Launched), 1)
	c.call(&scheduler.Call{Type: scheduler.Call_TEARDOWN})
	w.settle()
	r := w.agents[0].agent.Report()
	want(t, "frameworks", len(r.Frameworks), 0)
	want(t, "frameworks that had executors", len(r.Completed), 1)
	want(t, "tasks of that", len(r.Completed[0].Completed[0].Completed), 1)
	w.sleep(time.Hour)
	want(t, "updates", len(w.agents[0].agent.updates), 0)
}
