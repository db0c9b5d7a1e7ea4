package mesostest

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/mesokit/mesokit/internal/model"
	"github.com/mesokit/mesokit/internal/sandbox"
)

// Leads reports whether there is a master, and one that leads: not after
// [Cluster.StopMaster] or [Cluster.StandBy].
func (c *Cluster) Leads() bool { return c.currentMaster() != nil }

// ActiveAgents counts the agents that are registered and connected.
func (c *Cluster) ActiveAgents() int {
	m := c.currentMaster()
	if m == nil {
		return 0
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.machine.ActiveAgents()
}

// Up reports whether the agent's process runs: not after [Agent.Kill] or
// [Agent.Stop].
func (a *Agent) Up() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.up
}

// Partitioned reports whether the agent is cut off from the master.
func (a *Agent) Partitioned() bool { return a.cut.Load() }

// Reset is Stop, and the start of a new agent in the place of the old: with
// the same name and resources, but an empty work directory and no ID. The
// master takes it for another agent, as it does when the work directory of a
// real one was removed.
func (a *Agent) Reset() error {
	a.Stop()
	a.mu.Lock()
	machine, err := a.another()
	if err == nil {
		a.machine, a.pending = machine, nil
	}
	dir := string(a.dir)
	a.mu.Unlock()
	if err != nil {
		return err
	}
	// In one step, for what ends late may still write to it.
	old := dir + "." + randomUUID()
	if err := os.Rename(dir, old); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("mesostest: empty the work directory: %w", err)
	}
	if err := os.RemoveAll(old); err != nil {
		return fmt.Errorf("mesostest: empty the work directory: %w", err)
	}
	return a.Start()
}

// another is a machine like the agent's that has never registered.
func (a *Agent) another() (*model.Agent, error) {
	_, port, err := net.SplitHostPort(a.address)
	if err != nil {
		return nil, err
	}
	n, err := strconv.ParseInt(port, 10, 32)
	if err != nil {
		return nil, err
	}
	resources, err := parseResources(a.cfg.Resources)
	if err != nil {
		return nil, err
	}
	attributes, err := parseAttributes(a.cfg.Attributes)
	if err != nil {
		return nil, err
	}
	return model.NewAgent(model.AgentConfig{
		Name: randomUUID(), IP: a.cfg.Address,
		Info: mesos.AgentInfo{
			Hostname: a.cfg.Hostname, Port: ptr(int32(n)),
			Resources: resources, Attributes: attributes, Domain: domain(a.cfg.Region, a.cfg.Zone),
		},
		RegistrationTimeout: a.cfg.RegistrationTimeout, ShutdownGrace: a.cfg.ShutdownGrace,
		ReregistrationTimeout: a.cfg.ReregistrationTimeout, RetryMin: a.cfg.RetryMin,
	}, time.Now())
}

// StartAt starts an agent that was stopped, on a machine that has got another
// address meanwhile, and kept its name; empty: a loopback address that is free.
// A master that still has the agent among its own shuts it down for good, as
// Mesos does: first wait until the agent is unreachable, or another master leads.
func (a *Agent) StartAt(address string) error {
	a.living.Lock()
	defer a.living.Unlock()
	if a.Up() {
		return fmt.Errorf("mesostest: agent %s: wants to be stopped before it gets another address", a.cfg.Hostname)
	}
	if address == "" {
		free, err := a.c.leaseAddress()
		if err != nil {
			return err
		}
		address = free
	}
	a.mu.Lock()
	_, port, err := net.SplitHostPort(a.address)
	if err == nil {
		a.cfg.Address, a.address = address, net.JoinHostPort(address, port)
	}
	a.mu.Unlock()
	if err != nil {
		return fmt.Errorf("mesostest: agent %s: %w", a.cfg.Hostname, err)
	}
	return a.start()
}

// UseDir is Stop, and Start with another work directory, which is made if it
// is not there and stays when the cluster is closed.
func (a *Agent) UseDir(dir string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return fmt.Errorf("mesostest: work directory %q: %w", dir, err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("mesostest: work directory: %w", err)
	}
	a.Stop()
	a.mu.Lock()
	a.dir = sandbox.WorkDir(dir)
	a.mu.Unlock()
	return a.Start()
}

// Process is the first process of a container on an agent; it has descendants.
type Process struct {
	PID         int
	FrameworkID string
	ExecutorID  string // a command task's executor has the task's ID
	TaskID      string // "" if it is a custom executor, which runs any number
	ContainerID string
	Sandbox     string // the directory in which it was started
}

// Processes are what runs on the machine, also while its agent does not.
func (a *Agent) Processes() []Process {
	a.mu.Lock()
	containers := slices.Collect(maps.Values(a.containers))
	a.mu.Unlock()
	var all []Process
	for _, c := range containers {
		all = append(all, c.processes()...)
	}
	slices.SortFunc(all, func(x, y Process) int {
		return cmp.Or(cmp.Compare(x.FrameworkID, y.FrameworkID), cmp.Compare(x.ExecutorID, y.ExecutorID),
			cmp.Compare(x.TaskID, y.TaskID), cmp.Compare(x.ContainerID, y.ContainerID))
	})
	return all
}

func (c *container) processes() []Process {
	c.mu.Lock()
	process, task, pod := c.process, c.task, c.pod
	c.mu.Unlock()
	var all []Process
	add := func(p *sandbox.Container, task string) {
		select {
		case <-p.Done():
			return
		default:
		}
		all = append(all, Process{
			PID: p.PID(), FrameworkID: c.start.Framework.ID.GetValue(), ExecutorID: c.start.Executor.ExecutorID.Value,
			TaskID: task, ContainerID: cmp.Or(p.Run().Nested, p.Run().ContainerID), Sandbox: p.Directory(),
		})
	}
	if process != nil {
		add(process, "")
	}
	if task != nil {
		add(task.Container(), c.start.Task.TaskID.Value)
	}
	if pod != nil {
		pod.mu.Lock()
		defer pod.mu.Unlock()
		for _, group := range pod.groups {
			for _, m := range group {
				if m.task != nil && !m.over {
					add(m.task.Container(), m.info.TaskID.Value)
				}
			}
		}
	}
	return all
}
