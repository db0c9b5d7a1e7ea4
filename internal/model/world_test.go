package model

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/executor"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"
)

// world runs a master, agents and their containers in virtual time. Messages
// between master and agents wait in queues, where tests may lose or repeat
// them.
type world struct {
	t        *testing.T
	now      time.Time
	cfg      Config
	master   *Master
	agents   []*machine
	streams  map[string][]*scheduler.Event
	closed   map[string]bool
	reply    Reply
	restarts int
}

// machine is an agent with what surrounds it.
type machine struct {
	w          *world
	agent      *Agent
	link       string // "" while there is no connection
	up, cut    bool
	toMaster   []AgentMessage
	toAgent    []MasterMessage
	containers map[string]*StartContainer
	streams    map[string]string // container by stream
	volumes    map[string]bool
	links      int
}

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func newWorld(t *testing.T, agents int) *world {
	t.Helper()
	w := &world{
		t: t, now: epoch, streams: map[string][]*scheduler.Event{}, closed: map[string]bool{},
		cfg: Config{Info: mesos.MasterInfo{ID: "M0"}, PingInterval: time.Second, MaxMissedPings: 3},
	}
	w.master = NewMaster(w.cfg, Registry{}, w.now)
	for i := range agents {
		w.addAgent(fmt.Sprintf("host%d", i))
	}
	w.settle()
	return w
}

func (w *world) addAgent(hostname string) *machine {
	info := mesos.AgentInfo{Hostname: hostname, Port: new(int32(5051)), Resources: []mesos.Resource{
		scalarOf("cpus", 4), scalarOf("mem", 2048), scalarOf("disk", 4096),
		{Name: "ports", Type: mesos.RANGES.Enum(), Ranges: &mesos.Value_Ranges{Range: []mesos.Value_Range{{Begin: 31000, End: 31099}}}},
	}}
	a, err := NewAgent(AgentConfig{Name: hostname, Info: info, IP: "127.0.0.1"}, w.now)
	if err != nil {
		w.t.Fatal(err)
	}
	m := &machine{w: w, agent: a, up: true, containers: map[string]*StartContainer{}, streams: map[string]string{}, volumes: map[string]bool{}}
	w.agents = append(w.agents, m)
	m.connect()
	return m
}

func scalarOf(name string, v float64) mesos.Resource {
	return mesos.Resource{Name: name, Type: mesos.SCALAR.Enum(), Scalar: &mesos.Value_Scalar{Value: v}}
}

func (m *machine) connect() {
	m.links++
	m.link = fmt.Sprintf("%s/%d", m.agent.cfg.Name, m.links)
	m.toMaster, m.toAgent = nil, nil
	m.step(MasterFound{})
}

func (m *machine) disconnect() {
	if m.link == "" {
		return
	}
	link := m.link
	m.link, m.toMaster, m.toAgent = "", nil, nil
	m.w.step(AgentClosed{From: link})
}

// step steps the agent and does what it wants done.
func (m *machine) step(in AgentInput) ExecutorReply {
	var reply ExecutorReply
	if !m.up {
		return reply
	}
	for _, out := range m.agent.Step(m.w.now, in) {
		switch out := out.(type) {
		case ExecutorReply:
			reply = out
		case TellMaster:
			if m.link != "" && !m.cut {
				m.toMaster = append(m.toMaster, out.Message)
			}
		case StartContainer:
			m.containers[out.Container] = &out
		case StopContainer:
			m.exit(out.Container, 9)
		case ExecutorEvent:
			m.executorEvent(out)
		case MakeVolume:
			m.volumes[out.Volume.Disk.Persistence.ID] = true
		case RemoveVolume:
			delete(m.volumes, out.Volume.Disk.Persistence.ID)
		case Exit:
			m.up = false
		}
	}
	return reply
}

// start lets the executor of a container subscribe.
func (m *machine) start(container string) {
	c := m.containers[container]
	if c == nil {
		return
	}
	m.step(ContainerStarted{Container: container, PID: 1})
	stream := "x" + container
	m.streams[stream] = container
	m.step(ExecutorCall{Stream: stream, Call: &executor.Call{
		Type: executor.Call_SUBSCRIBE, ExecutorID: c.Executor.ExecutorID, FrameworkID: *c.Framework.ID,
		Subscribe: &executor.Call_Subscribe{},
	}})
}

func (m *machine) exit(container string, status int) {
	if m.containers[container] == nil {
		return
	}
	delete(m.containers, container)
	m.step(ContainerExited{Container: container, Status: status})
}

// executorEvent plays an executor that does as it is told at once.
func (m *machine) executorEvent(e ExecutorEvent) {
	c := m.containers[m.streams[e.Stream]]
	if c == nil {
		return
	}
	update := func(task mesos.TaskID, s mesos.TaskState) {
		m.step(ExecutorCall{Call: &executor.Call{
			Type: executor.Call_UPDATE, ExecutorID: c.Executor.ExecutorID, FrameworkID: *c.Framework.ID,
			Update: &executor.Call_Update{Status: mesos.TaskStatus{
				TaskID: task, State: &s, Source: mesos.SOURCE_EXECUTOR.Enum(),
				UUID: hashUUID(fmt.Sprint(m.w.now, task.Value, s, m.agent.nextUUID)),
			}},
		}})
	}
	switch e.Event.Type {
	case executor.Event_LAUNCH:
		update(e.Event.Launch.Task.TaskID, mesos.TASK_RUNNING)
	case executor.Event_KILL:
		update(e.Event.Kill.TaskID, mesos.TASK_KILLED)
		if c.Task != nil {
			m.exit(c.Container, 0)
		}
	case executor.Event_SHUTDOWN:
		m.exit(c.Container, 0)
	}
}

// step steps the master, checks what must always hold, and delivers.
func (w *world) step(in Input) Reply {
	w.t.Helper()
	var reply Reply
	for _, out := range w.master.Step(w.now, in) {
		switch out := out.(type) {
		case Reply:
			reply = out
		case Emit:
			if w.closed[out.Stream] {
				w.t.Fatalf("event %s on a closed stream", out.Event.Type)
			}
			w.streams[out.Stream] = append(w.streams[out.Stream], out.Event)
		case Close:
			w.closed[out.Stream] = true
		case Send:
			for _, m := range w.agents {
				if m.link == out.To && !m.cut {
					m.toAgent = append(m.toAgent, out.Message)
				}
			}
		}
	}
	if err := w.master.Check(); err != nil {
		w.t.Fatal(err)
	}
	w.reply = reply
	return reply
}

// deliver hands over the oldest message of a random queue.
func (w *world) deliver(r *rand.Rand) bool {
	var ready []func()
	for _, m := range w.agents {
		if len(m.toMaster) > 0 && !m.cut {
			ready = append(ready, func() {
				msg := m.toMaster[0]
				m.toMaster = m.toMaster[1:]
				w.step(AgentSaid{From: m.link, Message: msg})
			})
		}
		if len(m.toAgent) > 0 && m.up && !m.cut {
			ready = append(ready, func() {
				msg := m.toAgent[0]
				m.toAgent = m.toAgent[1:]
				m.step(MasterSaid{Message: msg})
			})
		}
		for _, id := range sortedKeys(m.containers) {
			if m.up && !slices.Contains(mapValues(m.streams), id) {
				ready = append(ready, func() { m.start(id) })
			}
		}
	}
	if len(ready) == 0 {
		return false
	}
	i := 0
	if r != nil {
		i = r.IntN(len(ready))
	}
	ready[i]()
	return true
}

func mapValues(m map[string]string) []string {
	var out []string
	for _, v := range m {
		out = append(out, v)
	}
	return out
}

// settle delivers all messages.
func (w *world) settle() {
	for w.deliver(nil) {
	}
}

// sleep lets time pass, waking the machines when they want to be.
func (w *world) sleep(d time.Duration) {
	until := w.now.Add(d)
	for {
		at := w.master.Wake()
		for _, m := range w.agents {
			if t := m.agent.Wake(); m.up && !t.IsZero() && t.Before(at) {
				at = t
			}
		}
		if at.After(until) {
			break
		}
		if at.After(w.now) {
			w.now = at
		} else {
			w.now = w.now.Add(time.Millisecond)
		}
		w.step(Tick{})
		for _, m := range w.agents {
			m.step(Tick{})
		}
		w.settle()
	}
	w.now = until
	w.settle()
}

// client is a scheduler in the world.
type client struct {
	w      *world
	id     string
	stream string
	n      int
	info   mesos.FrameworkInfo
}

func (w *world) subscribe(roles ...string) *client {
	w.t.Helper()
	c := &client{w: w, info: mesos.FrameworkInfo{
		User: "root", Name: "test", Roles: roles, Checkpoint: new(true), FailoverTimeout: new(60.0),
		Capabilities: []mesos.FrameworkInfo_Capability{
			{Type: mesos.FrameworkInfo_Capability_MULTI_ROLE}, {Type: mesos.FrameworkInfo_Capability_PARTITION_AWARE},
			{Type: mesos.FrameworkInfo_Capability_RESERVATION_REFINEMENT},
		},
	}}
	c.connect()
	return c
}

func (c *client) connect() {
	c.n++
	c.stream = fmt.Sprintf("%s/%s/%d", c.id, c.info.Roles[0], c.n+c.w.restarts*1000)
	info := c.info
	call := &scheduler.Call{Type: scheduler.Call_SUBSCRIBE, Subscribe: &scheduler.Call_Subscribe{FrameworkInfo: &info}}
	if c.id != "" {
		info.ID = &mesos.FrameworkID{Value: c.id}
		call.FrameworkID = info.ID
	}
	if r := c.w.step(Call{Stream: c.stream, Call: call}); r.Status != 200 {
		c.w.t.Fatalf("SUBSCRIBE: %d %s", r.Status, r.Text)
	}
	e := c.take(scheduler.Event_SUBSCRIBED)
	if e == nil {
		c.w.t.Fatalf("SUBSCRIBE: %v", c.w.streams[c.stream])
	}
	c.id = e.Subscribed.FrameworkID.Value
}

func (c *client) call(call *scheduler.Call) Reply {
	c.w.t.Helper()
	call.FrameworkID = &mesos.FrameworkID{Value: c.id}
	return c.w.step(Call{Stream: c.stream, Call: call})
}

// take removes and returns the next event of a type, or nil.
func (c *client) take(kind scheduler.Event_Type) *scheduler.Event {
	es := c.w.streams[c.stream]
	for i, e := range es {
		if e.Type == kind {
			c.w.streams[c.stream] = append(es[:i:i], es[i+1:]...)
			return e
		}
	}
	return nil
}

// offers takes all offers that have come.
func (c *client) offers() []mesos.Offer {
	var out []mesos.Offer
	for e := c.take(scheduler.Event_OFFERS); e != nil; e = c.take(scheduler.Event_OFFERS) {
		out = append(out, e.Offers.Offers...)
	}
	return out
}

// updates takes the updates that have come, and acknowledges them if ack.
func (c *client) updates(ack bool) []mesos.TaskStatus {
	var out []mesos.TaskStatus
	for e := c.take(scheduler.Event_UPDATE); e != nil; e = c.take(scheduler.Event_UPDATE) {
		s := e.Update.Status
		out = append(out, s)
		if ack && len(s.UUID) > 0 {
			c.call(&scheduler.Call{Type: scheduler.Call_ACKNOWLEDGE, Acknowledge: &scheduler.Call_Acknowledge{
				AgentID: *s.AgentID, TaskID: s.TaskID, UUID: s.UUID}})
		}
	}
	return out
}

func commandTask(id, agent string, cpus, mem float64) mesos.TaskInfo {
	return mesos.TaskInfo{
		Name: id, TaskID: mesos.TaskID{Value: id}, AgentID: mesos.AgentID{Value: agent},
		Resources: []mesos.Resource{scalarOf("cpus", cpus), scalarOf("mem", mem)},
		Command:   &mesos.CommandInfo{Value: new("sleep 600")},
	}
}

func (c *client) accept(o mesos.Offer, refuse float64, ops ...mesos.Offer_Operation) Reply {
	return c.call(&scheduler.Call{Type: scheduler.Call_ACCEPT, Accept: &scheduler.Call_Accept{
		OfferIDs: []mesos.OfferID{o.ID}, Operations: ops, Filters: &mesos.Filters{RefuseSeconds: &refuse},
	}})
}

func launchOp(tasks ...mesos.TaskInfo) mesos.Offer_Operation {
	return mesos.Offer_Operation{Type: mesos.Offer_Operation_LAUNCH, Launch: &mesos.Offer_Operation_Launch{TaskInfos: tasks}}
}

// states are the states of a task in updates, without repetitions.
func states(us []mesos.TaskStatus, task string) []string {
	var out []string
	var last []byte
	for _, u := range us {
		if u.TaskID.Value == task && (len(u.UUID) == 0 || !bytes.Equal(u.UUID, last)) {
			out = append(out, u.GetState().String())
			last = u.UUID
		}
	}
	return out
}
