package mesostest

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/mesokit/mesokit/internal/model"
)

// Master is one of the masters of a [Cluster]: a process that leads or stands
// by. Its methods may be called at any time, from any goroutine.
type Master struct {
	c       *Cluster
	index   int
	running *gate // closed while the process is paused

	starting sync.Mutex // held to start the process

	mu        sync.Mutex
	address   string
	server    *http.Server // nil while the process is down
	info      mesos.MasterInfo
	machine   *master    // nil unless it leads
	leader    string     // to whom it redirects unless it leads; "" if there is none
	candidacy *candidacy // nil without ZooKeeper
}

// Masters are all masters, in the order of the configuration.
func (c *Cluster) Masters() []*Master { return slices.Clone(c.masters) }

// Address is the "host:port" of the master.
func (p *Master) Address() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.address
}

// Up reports whether the master's process runs: not after [Master.Kill].
func (p *Master) Up() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.server != nil
}

// Leads reports whether the master is the leading one.
func (p *Master) Leads() bool { return p.leading() != nil }

func (p *Master) leading() *master {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.machine
}

// settled reports whether the master leads or knows who does.
func (p *Master) settled() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.machine != nil || p.leader != ""
}

// Start starts a master that was killed. Without ZooKeeper it leads when Start
// returns; otherwise it takes part in the election.
func (p *Master) Start() error {
	p.starting.Lock()
	defer p.starting.Unlock()
	if p.Up() {
		return nil
	}
	if err := p.serve(); err != nil {
		return err
	}
	p.mu.Lock()
	server, info := p.server, p.info
	p.mu.Unlock()
	if p.c.cfg.ZooKeeper == "" {
		return p.c.elect(p, server)
	}
	return p.contend(server, info)
}

// serve starts the process as a master that does not lead.
func (p *Master) serve() error {
	l, err := listen(p.Address())
	if err != nil {
		return fmt.Errorf("mesostest: address of master %d: %w", p.index, err)
	}
	info, err := p.c.masterInfo(l.Addr())
	if err != nil {
		return errors.Join(err, l.Close())
	}
	server := &http.Server{
		Handler: http.HandlerFunc(p.answer), ReadHeaderTimeout: time.Minute,
		ErrorLog: slog.NewLogLogger(p.c.cfg.Log.Handler(), slog.LevelDebug),
	}
	if p.c.cfg.TLS != nil {
		secure := p.c.cfg.TLS.Clone()
		secure.NextProtos = []string{"http/1.1"} // Mesos has no other
		l = tls.NewListener(l, secure)
	}
	p.mu.Lock()
	p.server, p.info, p.address, p.leader = server, info, l.Addr().String(), ""
	p.mu.Unlock()
	p.c.work.Go(func() {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			p.c.cfg.Log.Error("master stopped serving", "error", err)
		}
	})
	p.c.note("master %s serves at %s", info.ID, l.Addr())
	return nil
}

// answer is for what the master serves as a leader or as a standby.
func (p *Master) answer(w http.ResponseWriter, r *http.Request) {
	if !p.running.wait(r.Context()) {
		return
	}
	p.mu.Lock()
	handler := standby(p.leader)
	if p.machine != nil {
		handler = p.machine.handler
	}
	p.mu.Unlock()
	handler.ServeHTTP(w, r)
}

// Kill ends the master's process without a word to anybody: a standby goes on
// redirecting to a leader that was killed until its session in ZooKeeper has
// expired. Agents and their tasks go on.
func (p *Master) Kill() {
	p.c.electing.Lock()
	defer p.c.electing.Unlock()
	p.end((*candidacy).vanish)
}

// Pause stops the master's process as SIGSTOP does: connections stay open, and
// nothing is answered, sent or taken note of until Resume. A leader that is
// paused for longer than its session in ZooKeeper lasts is replaced, and ends.
func (p *Master) Pause() {
	p.running.set(false)
	p.mu.Lock()
	machine, candidacy := p.machine, p.candidacy
	p.mu.Unlock()
	if machine != nil {
		machine.mu.Lock() // what it was about to do is done
		defer machine.mu.Unlock()
	}
	if candidacy != nil {
		candidacy.wire.cut()
	}
	p.c.note("master at %s paused", p.Address())
}

// Paused reports whether the master's process is stopped by [Master.Pause].
func (p *Master) Paused() bool { return !p.running.isOpen() }

// Resume lets a master that was paused go on.
func (p *Master) Resume() {
	p.mu.Lock()
	candidacy := p.candidacy
	p.mu.Unlock()
	if candidacy != nil {
		candidacy.wire.mend()
	}
	p.c.note("master at %s resumed", p.Address())
	p.running.set(true)
}

// end ends the process; the election is left by leave. The lock electing is
// held.
func (p *Master) end(leave func(*candidacy)) {
	p.stepDown()
	p.mu.Lock()
	server, candidacy, id := p.server, p.candidacy, p.info.ID
	p.server, p.candidacy = nil, nil
	p.mu.Unlock()
	p.running.set(true)
	if candidacy != nil {
		leave(candidacy)
	}
	if server == nil {
		return
	}
	if err := server.Close(); err != nil {
		p.c.cfg.Log.Debug("close master", "error", err)
	}
	p.c.note("master %s stopped", id)
	p.c.changed()
}

// stepDown ends the leadership, if the master leads. The lock electing is held.
func (p *Master) stepDown() {
	p.mu.Lock()
	m := p.machine
	p.machine = nil
	p.mu.Unlock()
	if m == nil {
		return
	}
	registry := m.stop()
	p.c.mu.Lock()
	p.c.registry = registry
	p.c.mu.Unlock()
	for _, a := range p.c.Agents() {
		a.disconnect(true)
	}
	p.c.changed()
}

// redirect tells a standby who leads; nobody if leader is empty.
func (p *Master) redirect(leader string) {
	p.mu.Lock()
	p.leader = leader
	p.mu.Unlock()
	p.c.changed()
}

// elect makes a master lead, with what the last leader remembered, unless the
// process that was elected, server, is no more.
func (c *Cluster) elect(p *Master, server *http.Server) error {
	c.electing.Lock()
	defer c.electing.Unlock()
	if p.leading() != nil {
		return nil
	}
	for _, other := range c.masters {
		if other.Leads() { // and has not noticed yet that it leads no more
			other.end((*candidacy).vanish)
		}
	}
	p.mu.Lock()
	if p.server != server {
		p.mu.Unlock()
		return nil
	}
	c.mu.Lock()
	registry := c.registry
	c.mu.Unlock()
	m, err := c.newMaster(p.info, registry, p.running)
	if err != nil {
		p.mu.Unlock()
		return err
	}
	// Who finds that it leads finds its address in the cluster too.
	c.mu.Lock()
	c.address = p.address
	c.mu.Unlock()
	p.machine = m
	p.mu.Unlock()
	for _, a := range c.Agents() {
		a.connect(m)
	}
	c.note("master %s leads", m.info.ID)
	c.changed()
	return nil
}

// leader is the leading master, or nil.
func (c *Cluster) leader() *Master {
	i := slices.IndexFunc(c.masters, (*Master).Leads)
	if i < 0 {
		return nil
	}
	return c.masters[i]
}

func (c *Cluster) currentMaster() *master {
	for _, p := range c.masters {
		if m := p.leading(); m != nil {
			return m
		}
	}
	return nil
}

// join connects an agent to the leader. None comes or goes meanwhile: the agent
// would keep to one that is no more.
func (c *Cluster) join(a *Agent) {
	c.electing.Lock()
	defer c.electing.Unlock()
	a.connect(c.currentMaster())
}

// StopMaster ends the leading master as if it were killed. Agents and their
// tasks go on; the registry is kept for the next leader.
func (c *Cluster) StopMaster() {
	if p := c.leader(); p != nil {
		p.Kill()
	}
}

// StartMaster starts the masters that are down, each at the address that it
// had. Without ZooKeeper the master leads when StartMaster returns, also after
// [Cluster.StandBy].
func (c *Cluster) StartMaster() error {
	for _, p := range c.masters {
		if c.cfg.ZooKeeper == "" && !p.Leads() {
			p.Kill() // it stands by: a leader has another ID
		}
		if err := p.Start(); err != nil {
			return err
		}
	}
	return nil
}

// RestartMaster is StopMaster and StartMaster.
func (c *Cluster) RestartMaster() error {
	c.StopMaster()
	return c.StartMaster()
}

// newMaster makes a leader with what the last one remembered.
func (c *Cluster) newMaster(info mesos.MasterInfo, registry model.Registry, running *gate) (*master, error) {
	least, err := parseMinOffer(c.cfg.MinOffer)
	if err != nil {
		return nil, err
	}
	return startMaster(c, model.Config{
		Info: info, AllocationInterval: c.cfg.AllocationInterval, OfferTimeout: c.cfg.OfferTimeout,
		PingInterval: c.cfg.PingInterval, MaxMissedPings: c.cfg.MaxMissedPings,
		ReregisterTimeout: c.cfg.ReregisterTimeout, Heartbeat: c.cfg.Heartbeat, MinOffer: least,
	}, registry, running), nil
}

// newMasters prepares the masters, which are down.
func (c *Cluster) newMasters() error {
	host, _, err := net.SplitHostPort(c.cfg.Address)
	if err != nil {
		return err
	}
	for i := range 1 + c.cfg.Standbys {
		p := &Master{c: c, index: i, running: newGate(), address: c.cfg.Address}
		p.running.set(true)
		if i > 0 {
			p.address = net.JoinHostPort(host, "0")
		}
		c.masters = append(c.masters, p)
	}
	return nil
}
