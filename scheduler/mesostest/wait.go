package mesostest

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

// patience bounds a wait in a test that has no deadline of its own.
const patience = time.Minute

// New starts a cluster that ends with the test. If the test fails, it prints
// the last events and where the sandboxes are, and keeps them.
func New(t testing.TB, options ...Option) *Cluster {
	t.Helper()
	var cfg Config
	for _, o := range options {
		o(&cfg)
	}
	c, err := Start(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			c.cfg.KeepFiles = true
			t.Logf("mesostest: sandboxes are kept in %s; last events:\n%s", c.dir, c.Journal())
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// Journal is the last that happened, one event a line.
func (c *Cluster) Journal() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return strings.Join(c.journal, "\n")
}

// Task is a task as the master knows it.
type Task struct {
	ID          string
	FrameworkID string
	AgentID     string
	State       mesos.TaskState
	Statuses    []mesos.TaskStatus // oldest first
}

// Tasks are the tasks that the master knows and that have not ended, as they
// were launched. There are none while the master is stopped.
func (c *Cluster) Tasks() []Task {
	m := c.currentMaster()
	if m == nil {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []Task
	for _, t := range m.machine.Tasks() {
		out = append(out, Task(t))
	}
	return out
}

// Wait waits until the condition holds; it is looked at whenever something
// changes. The error, when ctx ends first, wraps its cause.
func (c *Cluster) Wait(ctx context.Context, condition func() bool) error {
	for {
		c.mu.Lock()
		change := c.change
		c.mu.Unlock()
		if condition() {
			return nil
		}
		select {
		case <-change:
		case <-ctx.Done():
			return fmt.Errorf("mesostest: wait: %w", context.Cause(ctx))
		}
	}
}

// WaitRunning fails the test unless exactly n tasks run before its deadline,
// or within a minute if it has none.
func (c *Cluster) WaitRunning(t testing.TB, n int) {
	t.Helper()
	running := 0
	c.wait(t, func() bool {
		running = 0
		for _, x := range c.Tasks() {
			if x.State == mesos.TASK_RUNNING {
				running++
			}
		}
		return running == n
	}, func() string { return fmt.Sprintf("%d tasks run, want %d", running, n) })
}

// WaitTask waits until the task has been in the state, which may be the last
// of it, and returns it.
func (c *Cluster) WaitTask(t testing.TB, id string, state mesos.TaskState) Task {
	t.Helper()
	var found Task
	c.wait(t, func() bool {
		x, ok := c.Task(id)
		if !ok {
			return false
		}
		found = x
		if x.State == state {
			return true
		}
		for i := range x.Statuses {
			if x.Statuses[i].GetState() == state {
				return true
			}
		}
		return false
	}, func() string {
		if found.ID == "" {
			return fmt.Sprintf("task %s is not known, want it to be %s", id, state)
		}
		return fmt.Sprintf("task %s is %s, want %s", id, found.State, state)
	})
	return found
}

// WaitAgents waits until n agents are registered and connected.
func (c *Cluster) WaitAgents(t testing.TB, n int) {
	t.Helper()
	have := 0
	c.wait(t, func() bool {
		m := c.currentMaster()
		if m == nil {
			return false
		}
		m.mu.Lock()
		defer m.mu.Unlock()
		have = m.machine.ActiveAgents()
		return have == n
	}, func() string { return fmt.Sprintf("%d agents are active, want %d", have, n) })
}

// WaitLeader waits until a master leads, and returns it.
func (c *Cluster) WaitLeader(t testing.TB) *Master {
	t.Helper()
	var leader *Master
	c.wait(t, func() bool {
		leader = c.leader()
		return leader != nil
	}, func() string { return "no master leads" })
	return leader
}

// Task finds a task by its ID, among those that ended too.
func (c *Cluster) Task(id string) (Task, bool) {
	m := c.currentMaster()
	if m == nil {
		return Task{}, false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	x, ok := m.machine.Task(id)
	return Task(x), ok
}

func (c *Cluster) wait(t testing.TB, condition func() bool, problem func() string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit(t))
	defer cancel()
	if err := c.Wait(ctx, condition); err != nil {
		t.Fatalf("%s: %s", err, problem())
	}
}

// limit leaves a test that has a deadline the time to say what is wrong.
func limit(t testing.TB) time.Duration {
	d, ok := t.(interface{ Deadline() (time.Time, bool) })
	if !ok {
		return patience
	}
	at, ok := d.Deadline()
	if !ok {
		return patience
	}
	return min(patience, max(time.Until(at)-5*time.Second, time.Second))
}
