package mesostest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib/scheduler"

	"github.com/mesokit/mesokit/internal/model"
)

// Cluster is a running Mesos: masters, of which one leads, and agents. Its methods may be
// called from any goroutine.
type Cluster struct {
	cfg     Config
	dir     string
	ctx     context.Context
	cancel  context.CancelFunc
	work    sync.WaitGroup
	once    sync.Once
	masters []*Master

	adding   sync.Mutex     // held while an agent is added
	leases   []net.Listener // addresses of agents
	electing sync.Mutex     // held while a leader comes or goes
	mail     mail

	mu       sync.Mutex
	agents   []*Agent
	address  string // of the leader, or of the last that there was
	registry model.Registry
	change   chan struct{} // closed at the next change
	journal  []string
}

// maxJournal bounds the lines that a failed test prints.
const maxJournal = 200

// configError is what is wrong with a configuration.
type configError struct{ error }

func (e configError) Unwrap() error        { return e.error }
func (e configError) Is(target error) bool { return target == ErrConfig }

// Start starts a cluster. It lives until Close, or until ctx ends.
func Start(ctx context.Context, cfg Config) (*Cluster, error) {
	cfg.Agents = slices.Clone(cfg.Agents)
	if err := cfg.validate(); err != nil {
		return nil, configError{err}
	}
	dir, err := os.MkdirTemp(cfg.Dir, "mesos-")
	if err != nil {
		return nil, fmt.Errorf("mesostest: Dir: %w", err)
	}
	c := &Cluster{cfg: cfg, dir: dir, address: cfg.Address, change: make(chan struct{})}
	c.ctx, c.cancel = context.WithCancel(context.WithoutCancel(ctx))
	if err := c.start(); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	context.AfterFunc(ctx, func() { _ = c.Close() })
	return c, nil
}

func (c *Cluster) start() error {
	if err := c.newMasters(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(c.ctx, patience)
	defer cancel()
	// One after the other, so that the first leads, and ...
	for _, p := range c.masters {
		if err := p.Start(); err != nil {
			return err
		}
		if err := c.Wait(ctx, p.settled); err != nil {
			return fmt.Errorf("%w: no master was elected", err)
		}
	}
	for _, cfg := range c.cfg.Agents {
		a, err := c.AddAgent(cfg)
		if err != nil {
			return err
		}
		// ... so that the i-th agent is always S<i>.
		if err := c.Wait(c.ctx, func() bool { return a.ID() != "" }); err != nil {
			return err
		}
	}
	return nil
}

// AddAgent adds a machine to the running cluster. It registers a moment later.
func (c *Cluster) AddAgent(cfg AgentConfig) (*Agent, error) {
	if err := c.cfg.validateAgent(&cfg); err != nil {
		return nil, configError{fmt.Errorf("mesostest: agent: %w", err)}
	}
	c.adding.Lock()
	defer c.adding.Unlock()
	if err := c.ctx.Err(); err != nil {
		return nil, fmt.Errorf("mesostest: agent: the cluster is closed: %w", err)
	}
	a, err := c.newAgent(len(c.Agents()), cfg)
	if err != nil {
		return nil, err
	}
	c.electing.Lock()
	defer c.electing.Unlock()
	c.mu.Lock()
	c.agents = append(c.agents, a)
	c.mu.Unlock()
	a.connect(c.currentMaster())
	return a, nil
}

// Close ends the cluster: every process of every task, and all files unless
// they are to be kept. It may be called again.
func (c *Cluster) Close() error {
	var err error
	c.once.Do(func() {
		c.adding.Lock()
		defer c.adding.Unlock()
		c.electing.Lock()
		for _, p := range c.masters {
			p.end((*candidacy).leave)
		}
		c.electing.Unlock()
		var wg sync.WaitGroup
		for _, a := range c.Agents() {
			wg.Go(a.Stop)
		}
		wg.Wait()
		c.cancel()
		c.work.Wait()
		for _, l := range c.leases {
			err = errors.Join(err, l.Close())
		}
		if !c.cfg.KeepFiles {
			err = errors.Join(err, os.RemoveAll(c.dir))
		}
	})
	return err
}

// Master is the "host:port" of the leading master, or of the last that led.
func (c *Cluster) Master() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.address
}

// URL is the URL of that master, without a path.
func (c *Cluster) URL() string {
	if c.cfg.TLS != nil {
		return "https://" + c.Master()
	}
	return "http://" + c.Master()
}

// Dir is the directory that holds the agents' work directories.
func (c *Cluster) Dir() string { return c.dir }

// Agent is the i-th agent.
func (c *Cluster) Agent(i int) *Agent { return c.Agents()[i] }

// Agents are all agents, in the order of the configuration, and then those that
// were added.
func (c *Cluster) Agents() []*Agent {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.agents)
}

// listen listens on an address that was perhaps in use a moment ago. A process
// that is being started while a listener is closed keeps it open until it has
// executed its program, so one may have to wait a little.
func listen(address string) (net.Listener, error) {
	const patience, pause = 2 * time.Second, 5 * time.Millisecond
	for start := time.Now(); ; time.Sleep(pause) {
		l, err := net.Listen("tcp", address)
		if !errors.Is(err, syscall.EADDRINUSE) || time.Since(start) > patience {
			return l, err
		}
	}
}

// leaseAddress finds a loopback address that no other cluster on this machine
// uses and keeps it until Close.
func (c *Cluster) leaseAddress() (string, error) {
	if runtime.GOOS != "linux" {
		return "127.0.0.1", nil
	}
	// A listener on a port of its own marks the address as taken, also
	// while the agent is down. What a cluster that was killed left behind may
	// still listen there without it, until its executors have given up.
	const leasePort = 5052
	taken := listening()
	for x := 2; x < 250; x++ {
		for y := 1; y < 250; y++ {
			address := fmt.Sprintf("127.0.%d.%d", x, y)
			if taken[address] {
				continue
			}
			l, err := net.Listen("tcp", net.JoinHostPort(address, fmt.Sprint(leasePort)))
			if err == nil {
				c.mu.Lock()
				defer c.mu.Unlock()
				c.leases = append(c.leases, l)
				return address, nil
			}
		}
	}
	return "", errors.New("mesostest: no loopback address is free: port 5052 is taken on all of 127.0.2.1 to 127.0.249.249")
}

// changed wakes those who wait for a condition.
func (c *Cluster) changed() {
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.change)
	c.change = make(chan struct{})
}

// note keeps a line for a failed test.
func (c *Cluster) note(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	c.cfg.Log.Info(line)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.journal = append(c.journal, time.Now().Format("15:04:05.000 ")+line)
	if len(c.journal) > maxJournal {
		c.journal = slices.Delete(c.journal, 0, len(c.journal)-maxJournal)
	}
}

func (c *Cluster) noteEvent(e *scheduler.Event) {
	switch e.Type {
	case scheduler.Event_UPDATE:
		s := &e.Update.Status
		reason := ""
		if s.Reason != nil {
			reason = s.Reason.String()
		}
		c.note("event UPDATE %s %s %s %q", s.TaskID.Value, s.GetState(), reason, s.GetMessage())
	case scheduler.Event_OFFERS:
		c.note("event OFFERS %d", len(e.Offers.Offers))
	case scheduler.Event_ERROR:
		c.note("event ERROR %q", e.Error.Message)
	default:
		c.note("event %s", e.Type)
	}
}

func (c *Cluster) noteCall(call *scheduler.Call) {
	switch call.Type {
	case scheduler.Call_ACCEPT:
		ops := make([]string, 0, len(call.GetAccept().GetOperations()))
		for i := range call.GetAccept().GetOperations() {
			ops = append(ops, call.Accept.Operations[i].Type.String())
		}
		c.note("call ACCEPT %v", ops)
	case scheduler.Call_KILL:
		if call.Kill != nil {
			c.note("call KILL %s", call.Kill.TaskID.Value)
		}
	default:
		c.note("call %s", call.Type)
	}
}

// listening are the IPv4 addresses on which something listens, from the
// kernel's table: address and port in hexadecimal in the second column, the
// address in the machine's byte order, and the state, 0A for listening, in the
// fourth (proc(5), /proc/net/tcp).
func listening() map[string]bool {
	table, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		return nil // the leases alone have to do
	}
	addresses := map[string]bool{}
	for line := range strings.Lines(string(table)) {
		fields := strings.Fields(line)
		if len(fields) < 4 || fields[3] != "0A" {
			continue
		}
		local, _, _ := strings.Cut(fields[1], ":")
		number, err := strconv.ParseUint(local, 16, 32)
		if err != nil {
			continue
		}
		var ip [4]byte
		binary.NativeEndian.PutUint32(ip[:], uint32(number))
		addresses[netip.AddrFrom4(ip).String()] = true
	}
	return addresses
}
