package mesostest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib/executor"

	"github.com/mesokit/mesokit/internal/model"
	"github.com/mesokit/mesokit/internal/sandbox"
)

// agentPort is where real agents listen, and these do where each has an
// address of its own.
const agentPort = 5051

// Agent is one machine of a [Cluster] with a Mesos agent on it. Its methods
// may be called at any time, from any goroutine.
type Agent struct {
	c       *Cluster
	index   int
	cfg     AgentConfig
	address string // host:port of the executor API; changed, as cfg.Address is, while living and mu are held
	dir     sandbox.WorkDir
	fetcher *sandbox.Fetcher
	machine *model.Agent

	mu         sync.Mutex
	timer      *time.Timer
	server     *http.Server // nil while the agent is down
	link       *link        // nil while there is no master
	endLink    context.CancelFunc
	streams    map[string]func(*executor.Event) // open executor streams
	closers    map[string]func()
	containers map[string]*container
	up         bool
	pending    []func() // to be done when the agent is up again

	cut atomic.Bool // off the network

	living     sync.Mutex // held while the agent's process starts or ends
	connecting sync.Mutex // held to make a connection to the master
}

// newAgent prepares an agent that is down.
func (c *Cluster) newAgent(index int, cfg AgentConfig) (*Agent, error) {
	if cfg.Address == "" && !cfg.Pretend {
		address, err := c.leaseAddress()
		if err != nil {
			return nil, err
		}
		cfg.Address = address
	}
	if cfg.Pretend {
		cfg.Address = cmp.Or(cfg.Address, "127.0.0.1")
		cfg.Hostname = cmp.Or(cfg.Hostname, fmt.Sprintf("agent%d", index))
	}
	if cfg.Hostname == "" {
		cfg.Hostname = cfg.Address
	}
	if cfg.Environment == nil {
		cfg.Environment = map[string]string{}
		if path, ok := os.LookupEnv("PATH"); ok {
			cfg.Environment["PATH"] = path
		}
	}
	dir := filepath.Join(c.dir, fmt.Sprintf("agent%d", index))
	if cfg.Dir != "" {
		var err error
		if dir, err = filepath.Abs(cfg.Dir); err == nil {
			err = os.MkdirAll(dir, 0o755)
		}
		if err != nil {
			return nil, fmt.Errorf("mesostest: Agents[%d]: Dir: %w", index, err)
		}
	}
	a := &Agent{
		c: c, index: index, cfg: cfg, dir: sandbox.WorkDir(dir),
		streams: map[string]func(*executor.Event){}, closers: map[string]func(){}, containers: map[string]*container{},
	}
	a.fetcher = &sandbox.Fetcher{CacheDir: filepath.Join(c.dir, fmt.Sprintf("cache%d", index))}
	l, err := a.listen()
	if err != nil {
		return nil, err
	}
	if l != nil {
		a.address = l.Addr().String()
	} else {
		a.address = a.pretendAddress()
	}
	if a.machine, err = a.another(); err != nil {
		err = fmt.Errorf("mesostest: Agents[%d]: Resources: %w", index, err)
		if l != nil {
			err = errors.Join(err, l.Close())
		}
		return nil, err
	}
	a.timer = time.AfterFunc(time.Hour, func() { a.step(model.Tick{}) })
	a.serve(l)
	return a, nil
}

// listen opens the agent's own port, the same as before if there was one. It
// opens none if the agent only pretends.
func (a *Agent) listen() (net.Listener, error) {
	if a.cfg.Pretend {
		return nil, nil
	}
	address := a.address
	if address == "" {
		port := 0
		if a.cfg.Address != "127.0.0.1" {
			port = agentPort
		}
		address = net.JoinHostPort(a.cfg.Address, fmt.Sprint(port))
	}
	l, err := listen(address)
	if errors.Is(err, syscall.EADDRINUSE) && a.address == "" {
		// Somebody listens there on all addresses, perhaps a real agent.
		l, err = listen(net.JoinHostPort(a.cfg.Address, "0"))
	}
	if err != nil {
		return nil, fmt.Errorf("mesostest: agent %d: %w", a.index, err)
	}
	return l, nil
}

// serve starts the agent's process: its API on l, if there is one.
func (a *Agent) serve(l net.Listener) {
	if l == nil {
		a.mu.Lock()
		a.up = true
		a.mu.Unlock()
		return
	}
	server := &http.Server{Handler: a.routes(), ReadHeaderTimeout: time.Minute}
	a.mu.Lock()
	a.server, a.up = server, true
	a.mu.Unlock()
	a.c.work.Go(func() {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			a.c.cfg.Log.Error("agent stopped serving", "agent", a.cfg.Hostname, "error", err)
		}
	})
}

// Hostname is the agent's name.
func (a *Agent) Hostname() string { return a.cfg.Hostname }

// Address is the IP address of the machine.
func (a *Agent) Address() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.cfg.Address
}

// endpoint is host:port of the executor API.
func (a *Agent) endpoint() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.address
}

// Dir is the agent's work directory.
func (a *Agent) Dir() string { return string(a.workDir()) }

func (a *Agent) workDir() sandbox.WorkDir {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.dir
}

// ID is the agent's ID, or "" before it has registered.
func (a *Agent) ID() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.machine.ID()
}

// Sandbox is the directory of the latest run of an executor; a command task's
// executor has the task's ID. The path may lead nowhere.
func (a *Agent) Sandbox(frameworkID, executorID string) string {
	latest := filepath.Join(a.Dir(), "slaves", a.ID(), "frameworks", frameworkID, "executors", executorID, "runs", "latest")
	if target, err := filepath.EvalSymlinks(latest); err == nil {
		return target
	}
	return latest
}

// step hands an input to the machine and does what it wants done.
func (a *Agent) step(in model.AgentInput) model.ExecutorReply {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.stepLocked(in)
}

func (a *Agent) stepLocked(in model.AgentInput) model.ExecutorReply {
	reply := model.ExecutorReply{Status: http.StatusServiceUnavailable, Text: "Agent has not finished recovery"}
	if !a.up {
		return reply
	}
	for _, out := range a.machine.Step(time.Now(), in) {
		switch out := out.(type) {
		case model.ExecutorReply:
			reply = out
		case model.TellMaster:
			if a.link != nil && !a.cut.Load() {
				a.link.toMaster.push(out.Message)
			}
		case model.ExecutorEvent:
			if deliver := a.streams[out.Stream]; deliver != nil {
				deliver(out.Event)
			}
		case model.Exit:
			// Not here: it needs the lock.
			a.c.work.Go(a.exit)
		case model.ExecutorClose:
			a.closeStream(out.Stream)
		default:
			a.contain(out)
		}
	}
	if at := a.machine.Wake(); !at.IsZero() {
		a.timer.Reset(max(0, time.Until(at)))
	}
	a.c.changed()
	return reply
}

func (a *Agent) closeStream(name string) {
	if end := a.closers[name]; end != nil {
		end()
	}
	delete(a.streams, name)
	delete(a.closers, name)
}

// connect makes a connection to the master m, if the agent is up.
func (a *Agent) connect(m *master) {
	a.connecting.Lock()
	defer a.connecting.Unlock()
	a.disconnect(false)
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.up || m == nil {
		return
	}
	ctx, cancel := context.WithCancel(a.c.ctx)
	var l *link
	l = m.connect(ctx, a, func(msg model.MasterMessage) {
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.link == l && !a.cut.Load() {
			a.stepLocked(model.MasterSaid{Message: msg})
		}
	})
	a.link, a.endLink = l, func() { cancel(); m.disconnect(l, a.cut.Load()) }
	a.stepLocked(model.MasterFound{})
}

// whenUp calls f now if the agent is up, and else when it is started.
func (a *Agent) whenUp(f func()) {
	a.mu.Lock()
	up := a.up
	if !up {
		a.pending = append(a.pending, f)
	}
	a.mu.Unlock()
	if up {
		f()
	}
}

// disconnect breaks the connection to the master.
func (a *Agent) disconnect(lost bool) {
	a.mu.Lock()
	end := a.endLink
	a.link, a.endLink = nil, nil
	if lost {
		a.stepLocked(model.MasterLost{})
	}
	a.mu.Unlock()
	if end != nil {
		end()
	}
}

// down ends the agent's process. What it runs goes on.
func (a *Agent) down() {
	a.living.Lock()
	defer a.living.Unlock()
	a.end()
}

// end does that with the lock living held: who sees that the agent is down and
// starts it must not lose the new connection to the end of the old one.
func (a *Agent) end() {
	a.mu.Lock()
	server := a.server
	a.server, a.up = nil, false
	a.timer.Stop()
	for name := range maps.Clone(a.streams) {
		a.closeStream(name)
	}
	a.mu.Unlock()
	if server != nil {
		if err := server.Close(); err != nil {
			a.c.cfg.Log.Debug("close agent", "error", err)
		}
	}
	a.disconnect(false)
}

// exit ends the agent's process as the master told it to.
func (a *Agent) exit() {
	a.living.Lock()
	defer a.living.Unlock()
	a.mu.Lock()
	leaving := a.machine.Leaving()
	a.mu.Unlock()
	if !leaving {
		return // it was started again meanwhile
	}
	a.c.note("agent %s exited: the master shut it down", a.cfg.Hostname)
	a.end()
	a.c.changed()
}

// Kill ends the agent's process with everything that it runs left running, as
// kill -9 of mesos-agent does. [Agent.Start] brings it back.
func (a *Agent) Kill() {
	a.c.note("agent %s killed", a.cfg.Hostname)
	a.down()
}

// Stop takes the whole machine away: the agent and everything that it runs.
// The disk stays; [Agent.Start] brings agent and volumes back, as after a
// reboot.
func (a *Agent) Stop() {
	a.c.note("agent %s stopped", a.cfg.Hostname)
	a.down()
	a.destroyAll()
}

// Retire ends the agent for good, as SIGUSR1 does a real one: it takes leave of
// the master, whose frameworks lose its tasks at once, and then ends all that
// it runs. [Agent.Reset] puts a new one in its place.
func (a *Agent) Retire() {
	a.c.note("agent %s retires", a.cfg.Hostname)
	a.step(model.AgentRetired{})
}

// Start starts an agent that was killed or stopped. After Kill it finds its
// executors again.
func (a *Agent) Start() error {
	a.living.Lock()
	defer a.living.Unlock()
	return a.start()
}

func (a *Agent) start() error {
	if a.Up() {
		return nil
	}
	l, err := a.listen()
	if err != nil {
		return err
	}
	a.c.note("agent %s started", a.cfg.Hostname)
	// The machine must know of the restart before executors come back.
	a.mu.Lock()
	a.up = true
	a.stepLocked(model.AgentRestarted{Alive: len(a.containers) > 0, IP: a.cfg.Address})
	a.mu.Unlock()
	a.serve(l)
	a.mu.Lock()
	commands, pending := a.commands(), a.pending
	a.pending = nil
	a.mu.Unlock()
	for _, c := range commands {
		c.resubscribe()
	}
	for _, f := range pending {
		f()
	}
	a.c.join(a)
	return nil
}

// Restart is Kill and Start: the agent comes back to what it ran.
func (a *Agent) Restart() error {
	a.Kill()
	return a.Start()
}

// Partition cuts the agent off from the master: what is sent is lost, and no
// one is told. Executors and their processes go on.
func (a *Agent) Partition() {
	a.c.note("agent %s partitioned", a.cfg.Hostname)
	a.cut.Store(true)
}

// Heal ends a partition. The connection is made anew, since messages were lost
// on the old one: the agent registers again.
func (a *Agent) Heal() {
	a.c.note("agent %s healed", a.cfg.Hostname)
	if a.cut.Swap(false) {
		a.c.join(a)
	}
}

// serveExecutor is the executor API of the agent.
func (a *Agent) serveExecutor(w http.ResponseWriter, r *http.Request) {
	err := onlyPost(r)
	call := &executor.Call{}
	if err == nil {
		err = decodeCall(w, r, call)
	}
	if err != nil {
		fail(w, err)
		return
	}
	if call.Type != executor.Call_SUBSCRIBE {
		if reply, ok := arrive(a.c, r, a.executorWay(call), a.executorMessage(call, call.Type.String(), true),
			func() model.ExecutorReply { return a.step(model.ExecutorCall{Call: call}) }); ok {
			respond(w, reply.Status, reply.Text)
		}
		return
	}
	kind, err := accepts(r)
	if err != nil {
		fail(w, err)
		return
	}
	name := randomUUID()
	events := newQueue[*executor.Event]()
	reply := a.subscribe(name, call, events.push, events.close)
	if reply.Status != http.StatusOK {
		respond(w, reply.Status, reply.Text)
		return
	}
	defer a.unsubscribe(name)
	w.Header().Set("Content-Type", kind)
	w.WriteHeader(http.StatusOK)
	arrived := newQueue[*executor.Event]()
	go func() {
		defer arrived.close()
		events.each(r.Context(), func(e *executor.Event) {
			a.c.carry("events of "+name, a.executorMessage(call, e.Type.String(), false), func() { arrived.push(e) })
		})
	}()
	stream(w, r, arrived, 0, func(e *executor.Event) ([]byte, error) { return encode(kind, e) }, nil)
}

// subscribe steps a SUBSCRIBE with somebody ready for its events.
func (a *Agent) subscribe(name string, call *executor.Call, deliver func(*executor.Event), end func()) model.ExecutorReply {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.streams[name], a.closers[name] = deliver, end
	reply := a.stepLocked(model.ExecutorCall{Stream: name, Call: call})
	if reply.Status != http.StatusOK {
		delete(a.streams, name)
		delete(a.closers, name)
	}
	return reply
}

func (a *Agent) unsubscribe(name string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.streams[name] != nil {
		a.closeStream(name)
		a.stepLocked(model.ExecutorClosed{Stream: name})
	}
}
