package mesostest

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	mesosmaster "github.com/mesos/mesos-go/api/v1/lib/master"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"

	"github.com/mesokit/mesokit/internal/model"
)

// version is the Mesos that this package follows.
const version = "1.12.0"

// quotaV2 is the capability QUOTA_V2, which mesos-go has no name for.
const quotaV2 mesos.MasterInfo_Capability_Type = 3

// master runs a model.Master behind its HTTP API: the leader's part of a
// Master.
type master struct {
	c       *Cluster
	machine *model.Master
	info    mesos.MasterInfo
	started time.Time
	handler http.Handler
	running *gate // closed while the process is paused

	mu       sync.Mutex
	timer    *time.Timer
	streams  map[string]*queue[*scheduler.Event] // open scheduler streams
	links    map[string]*link                    // connections of agents
	watchers map[*queue[*mesosmaster.Event]]bool // open streams of the operator API
	down     bool
}

// link is a connection between an agent and the master: two queues, one for
// each direction, that lose everything while the link is cut.
type link struct {
	name     string
	toMaster *queue[model.AgentMessage]
	toAgent  *queue[model.MasterMessage]
	cut      func() bool
}

// randomUUID is for what must differ from run to run.
func randomUUID() string {
	h := hex.EncodeToString(newUUID())
	return fmt.Sprintf("%s-%s-%s-%s-%s", h[:8], h[8:12], h[12:16], h[16:20], h[20:])
}

// newUUID is a random UUID as statuses have it.
func newUUID() []byte {
	var b [16]byte
	rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return b[:]
}

// masterInfo is what a new run of a master at the address says of itself.
func (c *Cluster) masterInfo(address net.Addr) (mesos.MasterInfo, error) {
	host, port, err := net.SplitHostPort(address.String())
	if err != nil {
		return mesos.MasterInfo{}, err
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		return mesos.MasterInfo{}, err
	}
	info := mesos.MasterInfo{
		ID: randomUUID(), Port: new(uint32(n)), PID: new("master@" + address.String()),
		Hostname: &host, Version: new(version),
		Address:      &mesos.Address{Hostname: &host, IP: &host, Port: int32(n)},
		Domain:       domain(c.cfg.Region, c.cfg.Zone),
		Capabilities: masterCapabilities(),
	}
	if ip := net.ParseIP(host).To4(); ip != nil {
		info.IP = binary.LittleEndian.Uint32(ip) // in network order on a little endian machine, as Mesos has it
	}
	return info, nil
}

// masterCapabilities are what a master of the version says that it can do.
func masterCapabilities() []mesos.MasterInfo_Capability {
	return []mesos.MasterInfo_Capability{
		{Type: mesos.MasterInfo_Capability_AGENT_UPDATE}, {Type: mesos.MasterInfo_Capability_AGENT_DRAINING}, {Type: quotaV2},
	}
}

// startMaster starts a leader with what the last one remembered.
func startMaster(c *Cluster, cfg model.Config, registry model.Registry, running *gate) *master {
	m := &master{
		c: c, info: cfg.Info, started: time.Now(), running: running,
		streams: map[string]*queue[*scheduler.Event]{}, links: map[string]*link{},
		watchers: map[*queue[*mesosmaster.Event]]bool{},
	}
	m.handler = m.routes()
	m.machine = model.NewMaster(cfg, registry, m.started)
	m.mu.Lock() // the timer may fire before it is kept
	defer m.mu.Unlock()
	m.timer = time.AfterFunc(time.Until(m.machine.Wake()), func() { m.step(model.Tick{}) })
	return m
}

// lock takes the lock as soon as the master is not paused.
func (m *master) lock() {
	for {
		m.running.wait(m.c.ctx)
		m.mu.Lock()
		if m.running.isOpen() || m.c.ctx.Err() != nil {
			return
		}
		m.mu.Unlock()
	}
}

// step hands an input to the machine and its outputs to whom they are for. It
// returns the reply to a call.
func (m *master) step(in model.Input) model.Reply {
	m.lock()
	defer m.mu.Unlock()
	return m.stepLocked(in)
}

func (m *master) stepLocked(in model.Input) model.Reply {
	reply := model.Reply{Status: http.StatusServiceUnavailable}
	if m.down {
		return reply
	}
	for _, out := range m.machine.Step(time.Now(), in) {
		switch out := out.(type) {
		case model.Reply:
			reply = out
		case model.Emit:
			m.c.noteEvent(out.Event)
			if q := m.streams[out.Stream]; q != nil {
				q.push(out.Event)
			}
		case model.Observed:
			for q := range m.watchers {
				q.push(out.Event)
			}
		case model.Close:
			if q := m.streams[out.Stream]; q != nil {
				q.close()
				delete(m.streams, out.Stream)
			}
		case model.Send:
			if l := m.links[out.To]; l != nil && !l.cut() {
				l.toAgent.push(out.Message)
			}
		}
	}
	m.timer.Reset(max(0, time.Until(m.machine.Wake())))
	m.c.changed()
	return reply
}

// subscribe steps a SUBSCRIBE with a queue ready for its events.
func (m *master) subscribe(call model.Call) (*queue[*scheduler.Event], model.Reply) {
	m.lock()
	defer m.mu.Unlock()
	q := newQueue[*scheduler.Event]()
	m.streams[call.Stream] = q
	reply := m.stepLocked(call)
	if reply.Status != http.StatusOK {
		delete(m.streams, call.Stream)
	}
	return q, reply
}

// unsubscribe tells the machine that a scheduler has gone.
func (m *master) unsubscribe(stream string) {
	m.lock()
	defer m.mu.Unlock()
	if q := m.streams[stream]; q != nil {
		q.close()
		delete(m.streams, stream)
		m.stepLocked(model.StreamClosed{Stream: stream})
	}
}

// connect opens a link for an agent.
func (m *master) connect(ctx context.Context, a *Agent, deliver func(model.MasterMessage)) *link {
	l := &link{
		name: randomUUID(), cut: a.cut.Load,
		toMaster: newQueue[model.AgentMessage](), toAgent: newQueue[model.MasterMessage](),
	}
	m.mu.Lock()
	m.links[l.name] = l
	m.mu.Unlock()
	toMaster, toAgent := "to master "+l.name, "to agent "+l.name
	m.c.work.Go(func() {
		l.toMaster.each(ctx, func(msg model.AgentMessage) {
			m.c.carry(toMaster, said(a, msg), func() { m.hear(l, msg) })
		})
	})
	m.c.work.Go(func() {
		l.toAgent.each(ctx, func(msg model.MasterMessage) {
			m.c.carry(toAgent, heard(a, msg), func() { deliver(msg) })
		})
	})
	return l
}

// hear takes what an agent says, unless it comes late over a link that is no
// more.
func (m *master) hear(l *link, msg model.AgentMessage) {
	m.lock()
	defer m.mu.Unlock()
	if m.links[l.name] == l {
		m.stepLocked(model.AgentSaid{From: l.name, Message: msg})
	}
}

// disconnect closes an agent's link. A partition hides even that. A master that
// is paused learns of it later.
func (m *master) disconnect(l *link, silently bool) {
	l.toMaster.close()
	l.toAgent.close()
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.links, l.name)
	switch {
	case silently:
	case m.running.isOpen():
		m.stepLocked(model.AgentClosed{From: l.name})
	default:
		m.c.work.Go(func() { m.step(model.AgentClosed{From: l.name}) })
	}
}

// stop ends the leadership at once and returns the registry.
func (m *master) stop() model.Registry {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.down = true
	m.timer.Stop()
	for _, q := range m.streams {
		q.close()
	}
	for q := range m.watchers {
		q.close()
	}
	for _, l := range m.links {
		l.toMaster.close()
		l.toAgent.close()
	}
	return m.machine.Registry()
}
