package frameworks

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	sched "github.com/mesos/mesos-go/api/v1/lib/scheduler"
	"github.com/stretchr/testify/assert"

	"github.com/mesokit/mesokit/internal/model"
	"github.com/mesokit/mesokit/scheduler"
)

// schedule plans a maintenance of agents, from a time from now on; a duration
// of 0 has no end.
func (w *world) schedule(start, duration time.Duration, agents ...*fakeAgent) {
	var m []mesos.MachineID
	for _, a := range agents {
		m = append(m, w.machineID(a))
	}
	u := mesos.Unavailability{Start: mesos.TimeInfo{Nanoseconds: w.now.Add(start).UnixNano()}}
	if duration > 0 {
		u.Duration = &mesos.DurationInfo{Nanoseconds: duration.Nanoseconds()}
	}
	w.mesos(model.Operate{Request: model.SetSchedule{Windows: []model.Window{{Machines: m, Unavailability: u}}}})
}

func (w *world) machineID(a *fakeAgent) mesos.MachineID {
	info := w.master.GetAgents().Agents
	for _, i := range info {
		if i.AgentInfo.ID.Value == a.model.ID() {
			ip := "127.0.0." + string(rune('1'+a.index))
			return mesos.MachineID{Hostname: &i.AgentInfo.Hostname, IP: &ip}
		}
	}
	w.t.Fatalf("agent %d is not registered", a.index)
	return mesos.MachineID{}
}

// agreed counts the inverse offers that were accepted.
func (w *world) agreed() *int {
	n := new(int)
	w.before = func(c *sched.Call) {
		if c.Type == sched.Call_ACCEPT_INVERSE_OFFERS {
			*n++
		}
	}
	return n
}

func TestMaintenance(t *testing.T) {
	t.Parallel()
	w := newWorld(t, versionedService(3), 5, agentResources)
	w.until(time.Minute, "ready", w.allReady(3))
	n := w.status().Nodes[1]
	agreed := w.agreed()
	w.schedule(time.Hour, 30*time.Minute, w.agentOf(n))
	w.pass(50 * time.Minute)
	assert.Equal(t, 3, w.status().Ready, "it is too early")
	assert.Zero(t, *agreed)
	w.until(8*time.Minute, "it is down", func() bool { return w.status().Ready == 2 })
	w.until(time.Minute, "that is answered", func() bool { return *agreed == 1 })
	assert.Contains(t, w.status().Nodes[1].Waits, "maintenance of agent "+n.Place.Hostname+" to end at")
	w.pass(20 * time.Minute)
	assert.Equal(t, 2, w.status().Ready)
	w.until(30*time.Minute, "it is back in its place", w.allReady(3))
	after := w.status().Nodes[1]
	assert.Equal(t, n.Place.Agent, after.Place.Agent)
	assert.Equal(t, 2, after.Incarnation)
	assert.Zero(t, after.Failures)
	assert.Equal(t, 1, *agreed, "one answer holds for the whole window")
}

// Maintenance has a deadline: what the service can spare is not kept waiting by
// Rollout.Parallel, nor by a node that is down for an update.
func TestMaintenanceGoesAsFastAsTheServiceCanSpare(t *testing.T) {
	t.Parallel()
	s := versionedService(4)
	s.Pods[0].Spare = func(context.Context, Deployment, []Node) error { return nil }
	w := newWorld(t, s, 4, agentResources)
	w.until(time.Minute, "ready", w.allReady(4))
	n := w.status().Nodes
	agreed := w.agreed()
	w.schedule(time.Hour, time.Hour, w.agentOf(n[0]), w.agentOf(n[1]), w.agentOf(n[2]))
	w.pass(time.Hour - 7*time.Minute)
	assert.Equal(t, 4, w.status().Ready, "it is too early")
	w.until(6*time.Minute, "all three are down in time", func() bool { return w.status().Ready == 1 && *agreed == 3 })
	w.until(2*time.Hour, "they are back", w.allReady(4))
	assert.Equal(t, 3, *agreed)
}

// A node that cannot be spared when its maintenance begins says so, and so does
// the answer to the master.
func TestMaintenanceThatIsMissed(t *testing.T) {
	t.Parallel()
	s := versionedService(2)
	s.Pods[0].Spare = func(context.Context, Deployment, []Node) error { return nil }
	w := newWorld(t, s, 2, agentResources)
	w.until(time.Minute, "ready", w.allReady(2))
	held := true
	w.gate = func(job scheduler.Job) error {
		if job.Kind == spareKind && held {
			return errors.New("it is the primary")
		}
		return nil
	}
	declined := 0
	agreed := 0
	w.before = func(c *sched.Call) {
		switch c.Type {
		case sched.Call_DECLINE_INVERSE_OFFERS:
			declined++
		case sched.Call_ACCEPT_INVERSE_OFFERS:
			agreed++
		}
	}
	w.schedule(30*time.Minute, time.Hour, w.agentOf(w.status().Nodes[0]))
	w.pass(29 * time.Minute)
	assert.Zero(t, declined)
	assert.Contains(t, w.status().Nodes[0].Waits, "to be spared for maintenance at 2026-01-01T00:30")
	w.pass(10 * time.Minute)
	assert.Greater(t, declined, 1)
	assert.Contains(t, strings.Join(w.notes, "\n"), "maintenance begins while it runs node=node-0")
	held = false
	w.until(5*time.Minute, "it is down after all", func() bool { return agreed == 1 && w.status().Ready == 1 })
}

// A routine is told that a node is wanted to stop before it does.
func TestRoutinesAreToldWhoIsToStop(t *testing.T) {
	t.Parallel()
	s := versionedService(3)
	s.Pods[0].Spare = func(context.Context, Deployment, []Node) error { return nil }
	var seen []string
	s.Routines = []Routine{RoutineOf[int, int]{
		Name: "r", Look: func(context.Context, Deployment, int) (int, error) { return 0, nil },
		Decide: func(_ time.Time, d Deployment, before int, _ News[int]) (int, []Order) {
			for _, n := range d.Nodes {
				if why := n.Name + " " + d.Stopping(n.Name); d.Stopping(n.Name) != "" && !slices.Contains(seen, why) {
					seen = append(seen, why)
				}
			}
			return before, nil
		},
	}.Routine()}
	w := newWorld(t, s, 4, agentResources)
	w.until(time.Minute, "ready", w.allReady(3))
	w.gate = func(job scheduler.Job) error {
		if job.Kind == spareKind {
			return errors.New("not yet")
		}
		return nil
	}
	w.schedule(0, time.Hour, w.agentOf(w.status().Nodes[1]))
	w.pass(time.Minute)
	assert.Equal(t, []string{"node-1 maintenance"}, seen)
	w.mesos(model.Operate{Request: model.SetSchedule{}}) // it is called off
	w.pass(5 * time.Minute)
	assert.Empty(t, w.status().Nodes[1].Waits)
	w.configure(version("2"))
	w.pass(time.Minute)
	assert.Equal(t, []string{"node-1 maintenance", "node-0 update"}, seen, "only the one whose turn it is")
}

// Two agents are asked for at once: what the service cannot spare is not given
// before the other is back.
func TestMaintenanceWaitsForWhatCannotBeSpared(t *testing.T) {
	t.Parallel()
	s := versionedService(3)
	s.Pods[0].Spare = func(context.Context, Deployment, []Node) error { return nil }
	w := newWorld(t, s, 3, agentResources)
	w.until(time.Minute, "ready", w.allReady(3))
	under := true
	w.gate = func(job scheduler.Job) error {
		if in, ok := job.Value.(gateInput); ok && job.Kind == spareKind && (under || len(in.Nodes) > 1) {
			return errors.New("7 partitions are under-replicated")
		}
		return nil
	}
	agreed := w.agreed()
	w.schedule(0, 0, w.agentOf(w.status().Nodes[0]), w.agentOf(w.status().Nodes[1]))
	w.pass(10 * time.Minute)
	assert.Equal(t, 3, w.status().Ready)
	assert.Zero(t, *agreed)
	assert.Contains(t, w.status().Nodes[1].Waits, "7 partitions are under-replicated")
	under = false
	w.until(5*time.Minute, "one is down", func() bool { return w.status().Ready == 2 && *agreed == 1 })
	w.pass(time.Hour)
	assert.Equal(t, 2, w.status().Ready, "and the other is not, while it is")
	w.mesos(model.Operate{Request: model.SetSchedule{}})
	w.until(10*time.Minute, "called off", w.allReady(3))
}

// A node without a place gets none on an agent that is about to go.
func TestNoPlaceOnAnAgentInMaintenance(t *testing.T) {
	t.Parallel()
	w := newWorld(t, versionedService(0), 2, agentResources)
	w.pass(time.Second)
	w.schedule(0, time.Hour, w.agents[0])
	_, err := w.command(ScalePod{Pod: "node", Count: 1})
	assert.NoError(t, err)
	w.until(time.Minute, "ready", w.allReady(1))
	assert.Equal(t, w.agents[1].model.ID(), w.status().Nodes[0].Place.Agent)
}
