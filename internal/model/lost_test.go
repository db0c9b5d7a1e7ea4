package model

import (
	"strings"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/executor"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"
)

// told sums up what a framework hears: events and states, in order.
func (c *client) told() string {
	var out []string
	for _, e := range c.w.streams[c.stream] {
		switch {
		case e.Update != nil:
			s := e.Update.Status
			out = append(out, strings.Join([]string{s.GetState().String(), s.GetReason().String(), s.GetMessage()}, " "))
		case e.UpdateOperationStatus != nil:
			s := e.UpdateOperationStatus.Status
			out = append(out, s.State.String()+" "+s.GetMessage())
		default:
			out = append(out, e.Type.String())
		}
	}
	c.w.streams[c.stream] = nil
	return strings.Join(out, "; ")
}

// Whatever takes an agent away, its tasks and operations are settled, with the
// states, reasons and texts of Mesos.
func TestAgentsLeave(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, aware, unaware string
		leave                func(w *world)
	}{
		{"unreachable",
			"OPERATION_UNREACHABLE Agent was marked unreachable; TASK_UNREACHABLE REASON_AGENT_REMOVED health check timed out; RESCIND; FAILURE",
			"OPERATION_UNREACHABLE Agent was marked unreachable; TASK_LOST REASON_AGENT_REMOVED health check timed out; RESCIND; FAILURE",
			func(w *world) { w.agents[0].cut = true; w.sleep(5 * time.Second) }},
		{"gone",
			"OPERATION_GONE_BY_OPERATOR Agent has been marked gone; TASK_GONE_BY_OPERATOR REASON_AGENT_REMOVED_BY_OPERATOR Agent has been marked gone; RESCIND; FAILURE",
			"OPERATION_GONE_BY_OPERATOR Agent has been marked gone; TASK_LOST REASON_AGENT_REMOVED Agent has been marked gone; RESCIND; FAILURE",
			func(w *world) { w.operate(MarkGone{"M0-S0"}, 200, "") }},
		{"retired",
			"TASK_LOST REASON_AGENT_REMOVED Agent host0 removed: the agent unregistered; RESCIND; FAILURE",
			"TASK_LOST REASON_AGENT_REMOVED Agent host0 removed: the agent unregistered; RESCIND; FAILURE",
			func(w *world) { w.agents[0].step(AgentRetired{}); w.settle() }},
		{"replaced",
			"RESCIND; TASK_LOST REASON_AGENT_REMOVED Agent host0 removed: a new agent registered at the same address; FAILURE; OFFERS",
			"RESCIND; TASK_LOST REASON_AGENT_REMOVED Agent host0 removed: a new agent registered at the same address; FAILURE; OFFERS",
			func(w *world) { w.agents[0].disconnect(); w.addAgent("host0"); w.settle() }},
		{"away too long",
			"RESCIND; OPERATION_UNREACHABLE Agent was marked unreachable; " +
				"TASK_UNREACHABLE REASON_AGENT_REMOVED agent did not reregister within 2secs after disconnecting; FAILURE",
			"RESCIND; OPERATION_UNREACHABLE Agent was marked unreachable; TASK_LOST REASON_AGENT_REMOVED agent did not reregister within 2secs after disconnecting; FAILURE",
			func(w *world) {
				w.master.cfg.ReregisterTimeout = 2 * time.Second
				w.agents[0].disconnect()
				w.agents[0].up = false
				w.sleep(3 * time.Second)
			}},
	} {
		for _, aware := range []bool{true, false} {
			name, expect := tc.name+" unaware", tc.unaware
			if aware {
				name, expect = tc.name, tc.aware
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, 1)
				c := w.subscribe("db")
				if !aware {
					c.info.Capabilities = append(c.info.Capabilities[:1:1], c.info.Capabilities[2])
					c.connect()
					w.sleep(time.Second)
				}
				o := c.offers()[0]
				c.accept(o, 0, launchOp(commandTask("t1", o.AgentID.Value, 1, 64)),
					mesos.Offer_Operation{Type: mesos.Offer_Operation_RESERVE, ID: &mesos.OperationID{Value: "r"},
						Reserve: &mesos.Offer_Operation_Reserve{Resources: reservedFor("db", "r", scalarOf("cpus", 1))}})
				w.settle()
				c.updates(true)
				w.settle()
				w.sleep(time.Second) // and the rest is offered
				c.told()
				tc.leave(w)
				want(t, "told", c.told(), expect)
			})
		}
	}
}

// Agents that cannot be right are turned away.
func TestAgentsTurnedAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	far := AgentDescription{IP: "127.0.0.2", Port: 5051, Info: mesos.AgentInfo{Hostname: "far", Domain: &mesos.DomainInfo{FaultDomain: &mesos.DomainInfo_FaultDomain{}}}}
	want(t, "answers to an agent with a domain", len(w.master.Step(w.now, AgentSaid{From: "x", Message: Register{far}})), 0)
	moved := AgentDescription{IP: "127.0.0.2", Port: 5051, Info: mesos.AgentInfo{Hostname: "host0"}}
	out := w.master.Step(w.now, AgentSaid{From: "x", Message: Reregister{Agent: moved, ID: "M0-S0"}})
	want(t, "answer to an agent elsewhere", out[0].(Send).Message.(ShutdownAgent).Message, "Agent attempted to reregister with different IP / hostname")
}

// An agent that was unreachable comes back at another address, under its id.
func TestAgentComesBackElsewhere(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	c := w.subscribe("db")
	m := w.agents[0]
	m.cut = true
	for range 10 {
		w.sleep(time.Second)
	}
	want(t, "agents without it", len(w.master.GetAgents().Agents), 0)
	m.disconnect()
	m.cut = false
	m.step(AgentRestarted{IP: "127.0.0.2"})
	m.connect()
	w.settle()
	w.sleep(time.Second)
	os := c.offers()
	want(t, "the agent", os[len(os)-1].AgentID.Value, "M0-S0")
	want(t, "its address", os[len(os)-1].URL.Address.GetIP(), "127.0.0.2")
}

// An operation that never reached its agent is dropped when the agent is asked
// about it.
func TestLostOperation(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	c := w.subscribe("db")
	o := c.offers()[0]
	c.accept(o, 0, mesos.Offer_Operation{Type: mesos.Offer_Operation_RESERVE, ID: &mesos.OperationID{Value: "r"},
		Reserve: &mesos.Offer_Operation_Reserve{Resources: reservedFor("db", "r", scalarOf("cpus", 1))}})
	want(t, "pending", w.master.GetOperations().Operations[0].LatestStatus.State, mesos.OPERATION_PENDING)
	m := w.agents[0]
	m.toAgent = nil
	m.disconnect()
	m.connect()
	w.settle()
	if got := c.told(); !strings.Contains(got, "OPERATION_DROPPED") {
		t.Errorf("told %q, want OPERATION_DROPPED", got)
	}
	want(t, "operations", len(w.master.GetOperations().Operations), 0)
	if !w.master.order[0].total.Equal(m.agent.total) {
		t.Errorf("the agent has %s, the master thinks %s", m.agent.total, w.master.order[0].total)
	}
	for _, r := range []struct {
		op    scheduler.Call_ReconcileOperations_Operation
		state string
	}{
		{scheduler.Call_ReconcileOperations_Operation{OperationID: mesos.OperationID{Value: "r"}, AgentID: &mesos.AgentID{Value: "M0-S0"}},
			"OPERATION_UNKNOWN Reconciliation: Operation is unknown"},
		{scheduler.Call_ReconcileOperations_Operation{OperationID: mesos.OperationID{Value: "r"}},
			"OPERATION_UNKNOWN Reconciliation: Operation is unknown and no 'agent_id' was provided"},
		{scheduler.Call_ReconcileOperations_Operation{OperationID: mesos.OperationID{Value: "r"}, AgentID: &mesos.AgentID{Value: "S9"}},
			"OPERATION_UNKNOWN Reconciliation: Both operation and agent are unknown"},
	} {
		c.told()
		c.call(&scheduler.Call{Type: scheduler.Call_RECONCILE_OPERATIONS,
			ReconcileOperations: &scheduler.Call_ReconcileOperations{Operations: []scheduler.Call_ReconcileOperations_Operation{r.op}}})
		want(t, "reconciled", c.told(), r.state)
	}
}

// The master acknowledges what a framework that is gone cannot.
func TestOperationOfAFrameworkThatIsGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	c := w.subscribe("db")
	c.accept(c.offers()[0], 0, mesos.Offer_Operation{Type: mesos.Offer_Operation_RESERVE, ID: &mesos.OperationID{Value: "r"},
		Reserve: &mesos.Offer_Operation_Reserve{Resources: reservedFor("db", "r", scalarOf("cpus", 1))}})
	w.settle()
	c.call(&scheduler.Call{Type: scheduler.Call_ACKNOWLEDGE_OPERATION_STATUS, AcknowledgeOperationStatus: &scheduler.Call_AcknowledgeOperationStatus{
		AgentID: &mesos.AgentID{Value: "M0-S0"}, OperationID: mesos.OperationID{Value: "r"}, UUID: make([]byte, 16)}})
	want(t, "operations when another status was acknowledged", len(w.master.GetOperations().Operations), 1)
	c.call(&scheduler.Call{Type: scheduler.Call_TEARDOWN})
	w.sleep(time.Minute) // the agent repeats itself
	want(t, "operations of the agent", len(w.agents[0].agent.operations), 0)
	want(t, "operations", len(w.master.GetOperations().Operations), 0)
}

// What an agent cannot run it says so, and the executor that the master counted
// on is off the books.
func TestRefusedLaunches(t *testing.T) {
	t.Parallel()
	unlimited := func(x *mesos.TaskInfo) { x.Limits = map[string]mesos.Value_Scalar{"mem": {Value: 1000}} }
	for _, tc := range []struct {
		name, want string
		change     func(w *world, x *mesos.TaskInfo)
	}{
		{"limits", "TASK_DROPPED REASON_GC_ERROR Memory limits can only be set on tasks launched in Mesos containers when the agent has loaded the 'cgroups/mem' isolator",
			func(_ *world, x *mesos.TaskInfo) { unlimited(x) }},
		{"draining", "TASK_DROPPED REASON_AGENT_DRAINING Task was received while agent was already draining; FAILURE",
			func(w *world, _ *mesos.TaskInfo) {
				w.agents[0].agent.frameworks["other"] = &served{runs: map[string]*run{}}
				w.agents[0].step(MasterSaid{DrainAgent{}})
			}},
		{"reservation that the agent has not", "TASK_DROPPED REASON_RESOURCES_UNKNOWN " +
			"The checkpointed resources being used by the task or task group are unknown to the agent; FAILURE",
			func(w *world, x *mesos.TaskInfo) {
				x.Resources = append(x.Resources, reservedFor("db", "r", scalarOf("disk", 1))...)
			}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 1)
			c := w.subscribe("db")
			o := c.offers()[0]
			task := commandTask("t1", o.AgentID.Value, 1, 64)
			task.Command, task.Executor = nil, custom("e", scalarOf("cpus", 0.1), scalarOf("mem", 32))
			tc.change(w, &task)
			ops := []mesos.Offer_Operation{launchOp(task)}
			if len(task.Resources) > 2 { // the message that makes the reservation is lost
				ops = append([]mesos.Offer_Operation{{Type: mesos.Offer_Operation_RESERVE,
					Reserve: &mesos.Offer_Operation_Reserve{Resources: reservedFor("db", "r", scalarOf("disk", 1))}}}, ops...)
			}
			c.accept(o, 0, ops...)
			m := w.agents[0]
			if _, ok := m.toAgent[0].(Apply); ok {
				m.toAgent = m.toAgent[1:]
			}
			w.settle()
			want(t, "told", c.told(), tc.want)
			if tc.name != "limits" { // where Mesos does not tell
				want(t, "executors", len(w.master.GetExecutors().Executors), 0)
			}
		})
	}
}

// Master and agent disagree about an executor: neither gives in silently.
func TestExecutorsThatMasterAndAgentSeeDifferently(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	c := w.subscribe("*")
	launch := func(id string) {
		w.sleep(time.Second)
		o := c.offers()[0]
		task := commandTask(id, o.AgentID.Value, 0.5, 64)
		task.Command, task.Executor = nil, custom("e", scalarOf("cpus", 0.1), scalarOf("mem", 32))
		c.accept(o, 0, launchOp(task))
		w.settle()
	}
	launch("t1")
	c.told()
	w.master.removeExecutor(w.master.order[0], ref{c.id, "e"})
	launch("t2")
	if got := c.told(); !strings.Contains(got, "TASK_DROPPED REASON_EXECUTOR_TERMINATED Master wants to launch executor, but one already exists") {
		t.Errorf("told %q", got)
	}
	want(t, "executors", len(w.master.GetExecutors().Executors), 0)
	w.sleep(20 * time.Second)
	for len(c.updates(true)) > 0 { // up to the end of the executor
		w.settle()
	}
	launch("t3")
	c.updates(true)
	for _, r := range w.agents[0].agent.containers {
		w.agents[0].exit(r.container, 0)
	}
	w.agents[0].toMaster = nil // the master never hears of it
	for key := range w.agents[0].agent.updates {
		delete(w.agents[0].agent.updates, key)
	}
	delete(w.agents[0].agent.frameworks, c.id)
	c.told()
	launch("t4")
	if got := c.told(); !strings.Contains(got, "TASK_DROPPED REASON_EXECUTOR_TERMINATED No executor is expected to launch and there is none running") {
		t.Errorf("told %q", got)
	}
}

// A custom executor whose only task is killed before it has subscribed hears
// nothing but SHUTDOWN.
func TestKilledBeforeDelivery(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	c := w.subscribe("*")
	o := c.offers()[0]
	task := commandTask("t1", o.AgentID.Value, 0.5, 64)
	task.Command, task.Executor = nil, custom("e", scalarOf("cpus", 0.1), scalarOf("mem", 32))
	c.accept(o, 0, launchOp(task))
	m := w.agents[0]
	m.step(MasterSaid{m.toAgent[0]})
	m.toAgent = nil
	c.call(&scheduler.Call{Type: scheduler.Call_KILL, Kill: &scheduler.Call_Kill{TaskID: mesos.TaskID{Value: "t1"}}})
	m.step(MasterSaid{m.toAgent[0]})
	m.toAgent = nil
	var heard []string
	for _, out := range m.agent.Step(w.now, ExecutorCall{Stream: "s", Call: &executor.Call{Type: executor.Call_SUBSCRIBE,
		ExecutorID: mesos.ExecutorID{Value: "e"}, FrameworkID: mesos.FrameworkID{Value: c.id}, Subscribe: &executor.Call_Subscribe{}}}) {
		if e, ok := out.(ExecutorEvent); ok {
			heard = append(heard, e.Event.Type.String())
		}
	}
	want(t, "executor heard", strings.Join(heard, " "), "SHUTDOWN")
	for len(m.toMaster) > 0 {
		msg := m.toMaster[0]
		m.toMaster = m.toMaster[1:]
		w.step(AgentSaid{From: m.link, Message: msg})
	}
	want(t, "states", strings.Join(states(c.updates(false), "t1"), " "), "TASK_KILLED")
}

// Agents judge by what a framework is now.
func TestUpdatedFramework(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	c := w.subscribe("*")
	o := c.offers()[0]
	c.accept(o, 0, launchOp(commandTask("t1", o.AgentID.Value, 1, 64)))
	w.settle()
	info := c.info
	info.ID, info.Capabilities = &mesos.FrameworkID{Value: c.id}, c.info.Capabilities[:1]
	c.call(&scheduler.Call{Type: scheduler.Call_UPDATE_FRAMEWORK, UpdateFramework: &scheduler.Call_UpdateFramework{FrameworkInfo: info}})
	want(t, "status", w.reply.Status, 200)
	w.settle()
	want(t, "state of what is dropped", w.agents[0].agent.dropped(c.id), mesos.TASK_LOST)
}

// An agent comes back with a port less than a task was given, for the reservation
// and the launch were lost. Until it has said that the task never came, nothing
// else of what the task was given is offered, as in Mesos, where what is missing
// is taken for none.
func TestPartOfATaskIsMissing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	c := w.subscribe("db")
	ports := func(first, last uint64) []mesos.Resource {
		return reservedFor("db", "r", mesos.Resource{Name: "ports", Type: mesos.RANGES.Enum(),
			Ranges: &mesos.Value_Ranges{Range: []mesos.Value_Range{{Begin: first, End: last}}}})
	}
	reserve := func(rs []mesos.Resource) mesos.Offer_Operation {
		return mesos.Offer_Operation{Type: mesos.Offer_Operation_RESERVE, Reserve: &mesos.Offer_Operation_Reserve{Resources: rs}}
	}
	c.accept(c.offers()[0], 0, reserve(ports(31000, 31001)))
	w.settle()
	w.sleep(2 * time.Second)
	o, m := c.offers()[0], w.agents[0]
	task := commandTask("t1", o.AgentID.Value, 1, 64)
	task.Resources = append(task.Resources, ports(31000, 31002)...)
	c.accept(o, 0, reserve(ports(31002, 31002)), launchOp(task))
	m.disconnect() // with both
	m.connect()
	for _, out := range w.master.Step(w.now, AgentSaid{From: m.link, Message: m.toMaster[0]}) {
		if send, ok := out.(Send); ok {
			m.toAgent = append(m.toAgent, send.Message)
		}
	}
	m.toMaster = nil
	free := w.master.agents["M0-S0"].free().only(func(r resource) bool { return r.reservedFor() != "" })
	want(t, "reserved ports that are free", free.String(), "{}")
	w.settle()
	w.sleep(2 * time.Second)
	want(t, "states", strings.Join(states(c.updates(true), "t1"), " "), "TASK_DROPPED")
	free = w.master.agents["M0-S0"].total.only(func(r resource) bool { return r.reservedFor() != "" })
	want(t, "reserved ports", free.String(), "ports(reservations: [(DYNAMIC,db,{resource_id: r})]):[31000-31001]")
}
