package model

import (
	"cmp"
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
	nth  int // of all that this master has had; Master.order is in this order
	info mesos.AgentInfo
	ip   string
	port int

	link        string
	connected   bool
	deactivated bool      // by an operator
	missed      int       // pings in a row
	leftAt      time.Time // when its connection broke; zero while connected
	registered  time.Time
	reregister  time.Time

	// total is all there is, unallocated; allocated is what offers, tasks
	// and executors hold of it. total contains allocated (checked by
	// Master.Check).
	total, allocated Resources
	freeMemo         freeMemo

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

func (a *agent) tasksInOrder() []*task { return slices.SortedFunc(maps.Values(a.tasks), bySeq) }

func (a *agent) offersInOrder() []*offer {
	return slices.SortedFunc(maps.Values(a.offers), func(x, y *offer) int { return cmp.Compare(x.seq, y.seq) })
}

func (a *agent) active() bool { return a.connected && !a.deactivated }

// freeMemo is what an agent has free, as long as what it was made of is the same.
type freeMemo struct {
	total, allocated, free Resources
	// number is another one whenever free, or what else decides about offers of
	// the agent, may be different. No other agent of the master has it.
	number int
}

// free returns what can be offered. A shared volume can be, whoever uses it.
func (a *agent) free() Resources {
	memo := &a.freeMemo
	if memo.number == 0 || !memo.total.same(a.total) || !memo.allocated.same(a.allocated) {
		alone := func(r resource) bool { return !r.shared() }
		rest := a.total.only(alone).less(a.allocated.only(alone).Allocated(""))
		*memo = freeMemo{a.total, a.allocated, rest.Plus(a.total.only(resource.shared)), max(memo.number, a.nth<<32) + 1}
	}
	return memo.free
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
	case Unregister:
		m.removeAgent(a, "the agent unregistered")
	}
}

func (m *Master) registerAgent(from string, msg Register) {
	if m.turnAway(from, msg.Agent) {
		return
	}
	// The same agent asking again has not heard the answer.
	if a := m.links[from]; a != nil {
		m.send(a, Registered{ID: a.id, Silence: m.silence()})
		return
	}
	for _, old := range sortedKeys(m.absent) {
		a := m.absent[old]
		if a.ip == msg.Agent.IP && a.port == msg.Agent.Port && a.info.Hostname == msg.Agent.Info.Hostname {
			m.removeAgent(a, "a new agent registered at the same address")
		}
	}
	id := fmt.Sprintf("%s-S%d", m.cfg.Info.ID, m.nextAgent)
	m.nextAgent++
	a := m.addAgent(id, from, msg.Agent)
	a.registered = m.now
	m.agentAdded(a)
	m.send(a, Registered{ID: id, Silence: m.silence()})
}

// turnAway refuses an agent whose machine is under maintenance. It takes no
// notice of one with a fault domain if the master has none, and so cannot tell
// whether the agent is far away.
func (m *Master) turnAway(from string, d AgentDescription) bool {
	if m.down(machineOf(mesos.MachineID{Hostname: new(d.Info.Hostname), IP: new(d.IP)})) {
		m.do(Send{from, ShutdownAgent{"Machine is `DOWN`"}})
		return true
	}
	return d.Info.Domain != nil && m.cfg.Info.Domain == nil
}

func (m *Master) addAgent(id, from string, d AgentDescription) *agent {
	a := &agent{
		id: id, nth: m.agentsHad, offers: map[string]*offer{}, inverse: map[string]*inverseOffer{}, tasks: map[ref]*task{},
		executors: map[ref]*executorInfo{}, operations: map[string]*operation{},
		answers: map[string]mesosallocator.InverseOfferStatus{}, deactivated: m.registry.Deactivated[id],
	}
	m.agents[id] = a
	m.agentsHad++
	m.order = append(m.order, a)
	m.connect(a, from, d)
	return a
}

// connect takes over what an agent says of itself.
func (m *Master) connect(a *agent, from string, d AgentDescription) {
	delete(m.links, a.link)
	delete(m.absent, a.id)
	a.leftAt = time.Time{}
	if !slices.EqualFunc(a.info.Attributes, d.Info.Attributes, func(x, y mesos.Attribute) bool { return x.Equal(&y) }) {
		for _, f := range m.frameworks {
			maps.DeleteFunc(f.filters, func(k filterKey, _ []filter) bool { return k.agent == a.id })
		}
	}
	a.info, a.ip, a.port = d.Info, d.IP, d.Port
	a.info.ID = &mesos.AgentID{Value: a.id}
	a.total = d.Total
	a.freeMemo.total = nil // whom its offers may go to is weighed anew
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
	known := a != nil
	if known && (a.ip != msg.Agent.IP || a.info.Hostname != msg.Agent.Info.Hostname) {
		m.do(Send{from, ShutdownAgent{"Agent attempted to reregister with different IP / hostname"}})
		return
	}
	if known {
		if !a.total.Equal(msg.Agent.Total) {
			m.rescindAgent(a) // they may hold what is no longer there
		}
		m.connect(a, from, msg.Agent)
		m.compare(a, msg)
	} else {
		a = m.addAgent(msg.ID, from, msg.Agent)
		a.registered = m.now
		text := "Unknown agent reregistered"
		switch {
		case wasUnreachable:
			text = "Unreachable agent re-reregistered"
		case admitted:
			text = "" // by the master before this one
		}
		m.adopt(a, msg, text)
		m.agentAdded(a)
	}
	a.reregister = m.now
	if len(m.registry.Admitted) <= len(m.agents) {
		m.recoverBy = time.Time{}
	}
	m.send(a, Registered{ID: a.id, Silence: m.silence(), Reconcile: m.unreported(a, msg)})
	m.compareOperations(a, msg.Operations)
	if d, ok := m.registry.Draining[a.id]; ok {
		m.send(a, DrainAgent{d.MaxGrace, d.MarkGone})
		defer m.checkDrained(a)
	}
	if known {
		m.killAgain(a, msg)
	}
	for i := range msg.Frameworks {
		id := msg.Frameworks[i].ID.GetValue()
		if f := m.frameworks[id]; f != nil {
			m.send(a, UpdateFramework{f.info})
		} else if m.completed[id] != nil {
			m.send(a, ShutdownFramework{id})
		}
	}
}

// killAgain repeats the kills that may have been lost with a connection.
func (m *Master) killAgain(a *agent, msg Reregister) {
	for _, t := range msg.Tasks {
		mine := a.tasks[ref{t.Framework, t.Info.TaskID.Value}]
		if mine != nil && mine.killed && !terminal(t.State) {
			m.send(a, KillTask{t.Framework, t.Info.TaskID.Value, nil})
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
			f.recovered = true // for as long as it takes: Mesos gives it no timeout
			m.frameworks[id] = f
			m.frameworkChanged(f, true)
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
			t.seq = old.seq
		}
		if text != "" {
			s := m.masterStatus(id, a.id, reported.State, mesos.REASON_AGENT_REREGISTERED, text)
			t.describe(&s)
			m.emit(f, updateEvent(s))
		}
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
	held := rs
	if terminal(reported.State) {
		held = nil // its resources may be another's by now
	}
	t := m.addTask(f, a, reported.Info, held, roleOf(rs, f))
	t.resources, t.state = rs, reported.State
	t.sent = reported.Unacknowledged
	if reported.Status != nil {
		t.statuses = []mesos.TaskStatus{*reported.Status}
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
		if f := m.frameworks[t.Framework]; f != nil && a.tasks[ref{t.Framework, t.Info.TaskID.Value}] == nil && !terminal(t.State) {
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
