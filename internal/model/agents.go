package model

import (
	"fmt"
	"maps"
	"slices"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	mesosallocator "github.com/mesos/mesos-go/api/v1/lib/allocator"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"
)

// agent is the master's account of a registered agent.
type agent struct {
	id   string
	info mesos.AgentInfo
	ip   string
	port int

	link        string
	connected   bool
	deactivated bool // by an operator
	missed      int  // pings in a row
	registered  time.Time
	reregister  time.Time

	// total is all there is, unallocated; allocated is what offers, tasks
	// and executors hold of it. total contains allocated (checked by
	// Master.Check).
	total, allocated Resources

	offers     map[string]*offer
	inverse    map[string]*inverseOffer
	tasks      map[ref]*task
	executors  map[ref]*executorInfo
	operations map[string]*operation // by UUID, until acknowledged
	// answers to inverse offers, by framework, since the last schedule
	answers map[string]mesosallocator.InverseOfferStatus
}

type executorInfo struct {
	info      mesos.ExecutorInfo
	role      string
	resources Resources
}

// operation is an operation whose outcome the framework wants to know.
type operation struct {
	Operation
	agent *agent
}

func (a *agent) tasksInOrder() []*task { return slices.SortedFunc(maps.Values(a.tasks), bySeq) }

func (a *agent) active() bool { return a.connected && !a.deactivated }

// free returns what can be offered.
func (a *agent) free() Resources {
	rest, _ := a.total.Minus(a.allocated.Allocated(""))
	return rest
}

func (a *agent) url() *mesos.URL {
	return &mesos.URL{
		Scheme:  "http",
		Address: mesos.Address{Hostname: new(a.info.Hostname), IP: new(a.ip), Port: int32(a.port)},
		Path:    new("/slave(1)"),
	}
}

// pid is the agent's name in messages.
func (a *agent) pid() string { return fmt.Sprintf("slave(1)@%s:%d", a.ip, a.port) }

// String names the agent as Mesos's messages do.
func (a *agent) String() string { return fmt.Sprintf("%s at %s (%s)", a.id, a.pid(), a.info.Hostname) }

func (m *Master) agentSaid(from string, msg AgentMessage) {
	switch msg := msg.(type) {
	case Register:
		m.registerAgent(from, msg)
		return
	case Reregister:
		m.reregisterAgent(from, msg)
		return
	}
	a := m.links[from]
	if a == nil {
		return // not registered over this connection: it will be, then it sends again
	}
	switch msg := msg.(type) {
	case Pong:
		a.missed = 0
	case StatusUpdate:
		m.statusUpdate(a, msg)
	case ExecutorExited:
		m.executorExited(a, msg)
	case ExecutorSaid:
		if f := m.frameworks[msg.Framework]; f != nil {
			m.emit(f, &scheduler.Event{Type: scheduler.Event_MESSAGE, Message: &scheduler.Event_Message{
				AgentID: mesos.AgentID{Value: a.id}, ExecutorID: mesos.ExecutorID{Value: msg.Executor}, Data: msg.Data,
			}})
		}
	case OperationUpdate:
		m.operationUpdate(a, msg)
	}
}

func (m *Master) registerAgent(from string, msg Register) {
	// The same agent asking again has not heard the answer.
	if a := m.links[from]; a != nil {
		m.send(a, Registered{ID: a.id, Silence: m.silence()})
		return
	}
	if m.turnAway(from, msg.Agent) {
		return
	}
	id := fmt.Sprintf("%s-S%d", m.cfg.Info.ID, m.nextAgent)
	m.nextAgent++
	a := m.addAgent(id, from, msg.Agent)
	a.registered = m.now
	m.agentAdded(a)
	m.send(a, Registered{ID: id, Silence: m.silence()})
}

// turnAway refuses an agent whose machine is under maintenance.
func (m *Master) turnAway(from string, d AgentDescription) bool {
	down := m.down(machineOf(mesos.MachineID{Hostname: new(d.Info.Hostname), IP: new(d.IP)}))
	if down {
		m.do(Send{from, ShutdownAgent{"Machine is `DOWN`"}})
	}
	return down
}

func (m *Master) addAgent(id, from string, d AgentDescription) *agent {
	a := &agent{
		id: id, offers: map[string]*offer{}, inverse: map[string]*inverseOffer{}, tasks: map[ref]*task{},
		executors: map[ref]*executorInfo{}, operations: map[string]*operation{},
		answers: map[string]mesosallocator.InverseOfferStatus{}, deactivated: m.registry.Deactivated[id],
	}
	m.agents[id] = a
	m.order = append(m.order, a)
	m.connect(a, from, d)
	return a
}

// connect takes over what an agent says of itself.
func (m *Master) connect(a *agent, from string, d AgentDescription) {
	delete(m.links, a.link)
	a.info, a.ip, a.port = d.Info, d.IP, d.Port
	a.info.ID = &mesos.AgentID{Value: a.id}
	a.total = d.Total
	a.link, a.connected, a.missed = from, true, 0
	m.links[from] = a
	m.registry.Admitted[a.id] = a.info
	delete(m.registry.Unreachable, a.id)
	m.dirty[a.id] = true
}

// silence is how long an agent may wait for a ping.
func (m *Master) silence() time.Duration {
	return m.cfg.PingInterval*time.Duration(m.cfg.MaxMissedPings) + m.cfg.PingInterval
}

func (m *Master) reregisterAgent(from string, msg Reregister) {
	if _, gone := m.registry.Gone[msg.ID]; gone {
		m.do(Send{from, ShutdownAgent{"Agent has been marked gone"}})
		return
	}
	if m.turnAway(from, msg.Agent) {
		return
	}
	_, wasUnreachable := m.registry.Unreachable[msg.ID]
	_, admitted := m.registry.Admitted[msg.ID]
	a := m.agents[msg.ID]
	if a == nil {
		a = m.addAgent(msg.ID, from, msg.Agent)
		a.registered = m.now
		switch {
		case wasUnreachable:
			m.adopt(a, msg, "Unreachable agent re-reregistered")
		case admitted:
			m.adopt(a, msg, "")
		default:
			m.adopt(a, msg, "Unknown agent reregistered")
		}
		m.agentAdded(a)
	} else {
		m.rescindAgent(a)
		m.connect(a, from, msg.Agent)
		m.compare(a, msg)
	}
	a.reregister = m.now
	if len(m.registry.Admitted) <= len(m.agents) {
		m.recoverBy = time.Time{}
	}
	m.send(a, Registered{ID: a.id, Silence: m.silence(), Reconcile: m.unreported(a, msg)})
	if d, ok := m.registry.Draining[a.id]; ok {
		m.send(a, DrainAgent{d.MaxGrace, d.MarkGone})
		defer m.checkDrained(a)
	}
	for _, t := range msg.Tasks {
		mine := a.tasks[ref{t.Framework, t.Info.TaskID.Value}]
		if mine != nil && mine.killed && !terminal(t.State) {
			m.send(a, KillTask{t.Framework, t.Info.TaskID.Value, nil})
		}
		if mine == nil && m.completed[t.Framework] != nil {
			m.send(a, ShutdownFramework{t.Framework})
		}
	}
	for i := range msg.Executors {
		if id := msg.Executors[i].FrameworkID.GetValue(); m.completed[id] != nil {
			m.send(a, ShutdownFramework{id})
		}
	}
}

// adopt takes over the tasks and executors of an agent that this master has
// no account of, and tells their frameworks so unless text is empty.
func (m *Master) adopt(a *agent, msg Reregister, text string) {
	for i := range msg.Frameworks {
		info := &msg.Frameworks[i]
		id := info.ID.GetValue()
		if m.frameworks[id] == nil && m.completed[id] == nil {
			f := newFramework(id, len(m.frameworks)+len(m.completed), info)
			f.recovered = true
			f.removeAt = m.now.Add(f.failoverTimeout())
			m.frameworks[id] = f
		}
	}
	for i := range msg.Executors {
		m.adoptExecutor(a, &msg.Executors[i])
	}
	for _, reported := range msg.Tasks {
		f := m.frameworks[reported.Framework]
		if f == nil {
			continue
		}
		id := reported.Info.TaskID.Value
		old := f.unreachable[id]
		delete(f.unreachable, id)
		t := m.adoptTask(f, a, reported)
		if old != nil {
			t.seq, t.killed = old.seq, old.killed
		}
		if text != "" {
			s := m.masterStatus(id, a.id, reported.State, mesos.REASON_AGENT_REREGISTERED, text)
			t.describe(&s)
			m.emit(f, updateEvent(s))
		}
	}
	for _, op := range msg.Operations {
		a.operations[string(op.UUID)] = &operation{op, a}
	}
	// What was unreachable there and has not come back is gone. Mesos tells
	// nobody; whoever reconciles learns it.
	for _, f := range m.frameworks {
		maps.DeleteFunc(f.unreachable, func(_ string, t *task) bool { return t.info.AgentID.Value == a.id })
	}
}

func (m *Master) adoptExecutor(a *agent, info *mesos.ExecutorInfo) {
	f := m.frameworks[info.FrameworkID.GetValue()]
	if f == nil {
		return
	}
	rs, err := NewResources(info.Resources)
	if err != nil {
		return
	}
	m.addExecutor(f, a, info, rs, roleOf(rs, f))
}

func (m *Master) adoptTask(f *framework, a *agent, reported Task) *task {
	rs, err := NewResources(reported.Info.Resources)
	if err != nil {
		rs = nil
	}
	t := m.addTask(f, a, reported.Info, rs, roleOf(rs, f))
	t.state = reported.State
	t.sent = reported.Unacknowledged
	if reported.Status != nil {
		t.statuses = []mesos.TaskStatus{*reported.Status}
	}
	if terminal(t.state) {
		m.release(t)
	}
	return t
}

// roleOf returns the role that resources are allocated to.
func roleOf(rs Resources, f *framework) string {
	if len(rs) > 0 && rs[0].role != "" {
		return rs[0].role
	}
	if len(f.roles) > 0 {
		return f.roles[0]
	}
	return "*"
}

// compare settles the account of a known agent with what it reports.
func (m *Master) compare(a *agent, msg Reregister) {
	reported := map[ref]bool{}
	for i := range msg.Executors {
		reported[ref{msg.Executors[i].FrameworkID.GetValue(), msg.Executors[i].ExecutorID.Value}] = true
	}
	for _, key := range sortedRefs(a.executors) {
		if !reported[key] {
			m.removeExecutor(a, key)
		}
	}
	for i := range msg.Executors {
		info := &msg.Executors[i]
		if a.executors[ref{info.FrameworkID.GetValue(), info.ExecutorID.Value}] == nil {
			m.adoptExecutor(a, info)
		}
	}
	for _, t := range msg.Tasks {
		mine := a.tasks[ref{t.Framework, t.Info.TaskID.Value}]
		if mine != nil && t.Status != nil {
			m.setState(mine, t.Status, t.State)
		}
		if f := m.frameworks[t.Framework]; mine == nil && f != nil && !terminal(t.State) {
			m.adoptTask(f, a, t)
		}
	}
}

// unreported lists the tasks of the account that the agent did not report.
func (m *Master) unreported(a *agent, msg Reregister) []Unreported {
	reported := map[ref]bool{}
	for _, t := range msg.Tasks {
		reported[ref{t.Framework, t.Info.TaskID.Value}] = true
	}
	var out []Unreported
	for _, key := range sortedRefs(a.tasks) {
		if f := m.frameworks[key.framework]; f != nil && !reported[key] {
			out = append(out, Unreported{key.framework, key.id, f.lost(mesos.TASK_DROPPED)})
		}
	}
	return out
}

// agentClosed: the agent may be back at once; what was offered of it may not.
func (m *Master) agentClosed(from string) {
	a := m.links[from]
	if a == nil || !a.connected {
		return
	}
	a.connected = false
	delete(m.links, from)
	m.rescindAgent(a)
	// A framework that does not checkpoint loses its executors with the
	// agent's process.
	for _, f := range m.framesInOrder() {
		if !f.info.GetCheckpoint() {
			m.dropFromAgent(f, a)
		}
	}
}

func (m *Master) dropFromAgent(f *framework, a *agent) {
	m.loseTasks(f, a, mesos.REASON_AGENT_DISCONNECTED, "Agent "+a.info.Hostname+" disconnected")
}

// loseTasks takes what a framework has on an agent off the books, the tasks as
// lost.
func (m *Master) loseTasks(f *framework, a *agent, reason mesos.TaskStatus_Reason, text string) {
	for _, t := range a.tasksInOrder() {
		if t.framework != f.id {
			continue
		}
		s := m.masterStatus(t.info.TaskID.Value, a.id, mesos.TASK_LOST, reason, text)
		if t.info.Executor != nil {
			s.ExecutorID = &mesos.ExecutorID{Value: t.info.Executor.ExecutorID.Value}
		}
		m.setState(t, &s, mesos.TASK_LOST)
		m.forget(t)
		m.emit(f, updateEvent(s))
	}
	for _, key := range sortedRefs(a.executors) {
		if key.framework == f.id {
			m.removeExecutor(a, key)
		}
	}
}

func (m *Master) pingAgents() {
	for _, a := range slices.Clone(m.order) {
		if a.missed >= m.cfg.MaxMissedPings {
			m.markUnreachable(a)
			continue
		}
		a.missed++
		m.send(a, Ping{Connected: true})
	}
}

// markUnreachable gives an agent up until it registers again.
func (m *Master) markUnreachable(a *agent) {
	m.registry.Unreachable[a.id] = m.now
	delete(m.registry.Admitted, a.id)
	m.rescindAgent(a)
	for _, t := range a.tasksInOrder() {
		f := m.frameworks[t.framework]
		if terminal(t.state) || f == nil {
			m.forget(t)
			continue
		}
		id := t.info.TaskID.Value
		s := m.masterStatus(id, a.id, f.lost(mesos.TASK_UNREACHABLE), mesos.REASON_AGENT_REMOVED, "health check timed out")
		s.UnreachableTime = &mesos.TimeInfo{Nanoseconds: m.now.UnixNano()}
		t.statuses = append(t.statuses, s)
		m.release(t)
		t.agent = nil
		t.state = mesos.TASK_UNREACHABLE
		delete(f.tasks, id)
		f.unreachable[id] = t
		m.emit(f, updateEvent(s))
	}
	m.dropAgent(a)
}

// dropAgent takes an agent off the books and tells the frameworks.
func (m *Master) dropAgent(a *agent) {
	for _, id := range sortedKeys(a.inverse) {
		m.removeInverse(a.inverse[id])
	}
	delete(m.links, a.link)
	delete(m.agents, a.id)
	a.connected = false
	m.order = slices.DeleteFunc(m.order, func(x *agent) bool { return x == a })
	m.agentRemoved(a.id)
	for _, f := range m.framesInOrder() {
		m.emit(f, &scheduler.Event{Type: scheduler.Event_FAILURE,
			Failure: &scheduler.Event_Failure{AgentID: &mesos.AgentID{Value: a.id}}})
	}
}

// giveUpRecovered marks agents that never came back after a restart.
func (m *Master) giveUpRecovered() {
	m.recoverBy = time.Time{}
	for _, id := range sortedKeys(m.registry.Admitted) {
		if m.agents[id] != nil {
			continue
		}
		delete(m.registry.Admitted, id)
		m.registry.Unreachable[id] = m.now
		for _, f := range m.framesInOrder() {
			m.emit(f, &scheduler.Event{Type: scheduler.Event_FAILURE,
				Failure: &scheduler.Event_Failure{AgentID: &mesos.AgentID{Value: id}}})
		}
	}
}

func (m *Master) addExecutor(f *framework, a *agent, info *mesos.ExecutorInfo, rs Resources, role string) {
	a.executors[ref{f.id, info.ExecutorID.Value}] = &executorInfo{*info, role, rs}
	a.allocated = a.allocated.Plus(rs)
}

func (m *Master) removeExecutor(a *agent, key ref) {
	if e := a.executors[key]; e != nil {
		delete(a.executors, key)
		a.allocated, _ = a.allocated.Minus(e.resources)
	}
}

func (m *Master) executorExited(a *agent, msg ExecutorExited) {
	key := ref{msg.Framework, msg.Executor}
	if a.executors[key] == nil {
		return
	}
	m.removeExecutor(a, key)
	if f := m.frameworks[msg.Framework]; f != nil {
		m.emit(f, &scheduler.Event{Type: scheduler.Event_FAILURE, Failure: &scheduler.Event_Failure{
			AgentID: &mesos.AgentID{Value: a.id}, ExecutorID: &mesos.ExecutorID{Value: msg.Executor},
			Status: new(int32(msg.Status)),
		}})
	}
}
