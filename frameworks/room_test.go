package frameworks

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	sched "github.com/mesos/mesos-go/api/v1/lib/scheduler"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/internal/model"
	"github.com/mesokit/mesokit/offers"
	"github.com/mesokit/mesokit/scheduler"
)

// Work that ends is done once, in a place that could not become as large as its pod
// wants as well.
func TestWorkIsDoneThoughThereIsNoRoom(t *testing.T) {
	t.Parallel()
	w := jobWorld(t, job(AimFinish), 0)
	w.until(time.Minute, "ready", w.allReady(3))
	w.configure(func(p *Pod) { p.Needs = offers.MustParse("cpus:1;mem:90000000") })
	w.pass(5 * time.Minute)
	assert.LessOrEqual(t, w.status().Nodes[0].Incarnation, 2)
}

// operate has the master do what an operator asks for on an agent.
func (w *world) operate(agent string, op mesos.Offer_Operation) {
	w.mesos(model.Operate{Request: model.ChangeResources{AgentID: agent, Operation: op}})
}

// Room that was reserved, and that an operator gave to others before it was used, is
// wanted again: the options are not good before, and nobody is stopped for nothing.
func TestRoomIsTakenAway(t *testing.T) {
	t.Parallel()
	o := settings{Nodes: 2, Version: "1", Disk: 1000}
	w := newWorld(t, databaseOf(t, o), 2, agentResources)
	w.until(time.Minute, "ready", func() bool { return w.allReady(2)() && w.status().Options.Good != nil })
	w.do(PausePlan{Plan: "update"})
	o.Disk = 3000
	w.do(Update{Options: optionsOf(t, o)})
	reserved := func(n NodeStatus) bool { return n.Place.Room != nil && n.Place.Room.Resources != nil }
	w.until(time.Minute, "reserved", func() bool { return reserved(w.status().Nodes[0]) && reserved(w.status().Nodes[1]) })
	for _, n := range w.status().Nodes {
		var room []mesos.Resource
		for _, r := range n.Place.Room.Resources {
			r.AllocationInfo = nil
			room = append(room, r)
		}
		w.operate(n.Place.Agent, mesos.Offer_Operation{Type: mesos.Offer_Operation_UNRESERVE, Unreserve: &mesos.Offer_Operation_Unreserve{Resources: room}})
		for _, a := range w.master.GetAgents().Agents {
			for _, r := range a.TotalResources {
				if a.AgentInfo.ID.Value != n.Place.Agent || r.Name != "disk" || len(r.Reservations) > 0 {
					continue
				}
				r.Role, r.Reservations = nil, []mesos.Resource_ReservationInfo{{Type: mesos.Resource_ReservationInfo_DYNAMIC.Enum(), Role: new("other")}}
				w.operate(n.Place.Agent, mesos.Offer_Operation{Type: mesos.Offer_Operation_RESERVE, Reserve: &mesos.Offer_Operation_Reserve{Resources: []mesos.Resource{r}}})
			}
		}
	}
	w.pass(time.Minute)
	w.do(ResumePlan{Plan: "update"})
	w.pass(time.Hour)
	before := w.incarnations()
	w.crash()
	w.pass(time.Hour)
	assert.Equal(t, before, w.incarnations())
	assert.NotEqual(t, string(w.status().Options.Target), string(w.status().Options.Good))
}

// While the gates reach nobody, as when the network of the scheduler's host is cut,
// an update takes no more nodes at once than ever: they may serve all the same.
func TestAnUpdateWhileNobodyIsReached(t *testing.T) {
	t.Parallel()
	o := settings{Nodes: 5, Version: "1", Disk: 1000}
	w := newWorld(t, databaseOf(t, o), 5, agentResources)
	w.until(time.Minute, "ready", w.allReady(5))
	w.gate = func(scheduler.Job) error { return errors.New("the scheduler's host reaches nobody") }
	w.until(4*time.Hour, "none is ready", func() bool { return w.status().Ready == 0 })
	w.before = func(c *sched.Call) {
		if c.Type == sched.Call_REVIVE {
			c.Type, c.Revive = sched.Call_SUPPRESS, nil // so that whoever is stopped stays down
		}
	}
	o.Version = "2"
	w.do(Update{Options: optionsOf(t, o)})
	least, end := 5, w.now.Add(30*time.Second)
	w.until(time.Minute, "half a minute", func() bool {
		up := 0
		w.each(func(e *fakeExecutor) {
			if e.serves {
				up++
			}
		})
		least = min(least, up)
		return w.now.After(end)
	})
	assert.Equal(t, 4, least)
}

// Where a rollback has left a volume, no other may be.
func TestNoVolumeTakesThePathOfOneThatStays(t *testing.T) {
	t.Parallel()
	type options struct {
		Version string   `json:"version"`
		Volumes []string `json:"volumes"`
	}
	var revise func(raw json.RawMessage) (*Service, error)
	revise = func(raw json.RawMessage) (*Service, error) {
		var o options
		if err := json.Unmarshal(raw, &o); err != nil {
			return nil, err
		}
		s := versionedService(2)
		s.Options, s.Revise = raw, revise
		for _, v := range o.Volumes {
			s.Pods[0].Volumes = append(s.Pods[0].Volumes, Volume{Name: v, Path: "logs", Size: 100_000})
		}
		version(o.Version)(&s.Pods[0])
		return s, nil
	}
	of := func(version string, volumes ...string) json.RawMessage {
		text, err := json.Marshal(options{version, volumes})
		require.NoError(t, err)
		return text
	}
	s, err := revise(of("1"))
	require.NoError(t, err)
	w := newWorld(t, s, 2, agentResources)
	w.until(time.Minute, "ready", func() bool { return w.allReady(2)() && w.status().Options.Good != nil })
	w.gate = func(job scheduler.Job) error {
		if strings.HasSuffix(job.Name, "-1.2") {
			return errors.New("not yet")
		}
		return nil
	}
	w.do(Update{Options: of("2", "logs")})
	w.until(time.Minute, "one has it", func() bool { return w.status().Nodes[0].Place.hasVolume("logs") && w.status().Nodes[0].Ready })
	w.gate = nil
	w.do(Rollback{})
	w.until(10*time.Minute, "back", w.updated(2))
	_, err = w.command(Update{Options: of("3", "journal")})
	require.ErrorIs(t, err, ErrRefused)
	require.ErrorContains(t, err, "Volume journal: logs: volume logs is there, which a rollback has left in its place; wants another path")
}

// A node that leaves is not restarted for what its place does not get any more.
func TestANodeThatLeavesDoesNotGrow(t *testing.T) {
	t.Parallel()
	s := versionedService(3)
	s.Recheck = 10 * time.Second
	s.Pods[0].Leave = func(context.Context, Deployment, Node) error { return nil }
	w := newWorld(t, s, 3, agentResources)
	w.gate = func(job scheduler.Job) error {
		again := job.Kind == againKind && strings.Contains(job.Name, "node-2.")
		next := strings.Contains(job.Name, "gate/db.node-2.") && !strings.HasSuffix(job.Name, "node-2.1")
		if job.Kind == leaveKind || again || next {
			return errors.New("not yet")
		}
		return nil
	}
	w.until(time.Minute, "arrived", func() bool { return w.status().Nodes[2].Arrived > 0 })
	w.do(RemoveNode{Node: "node-2"})
	w.until(time.Hour, "it serves nobody", func() bool { return !w.status().Nodes[2].Ready })
	w.configure(func(p *Pod) { p.Needs = offers.MustParse("cpus:1;mem:90000000") })
	for range 3 {
		w.pass(time.Minute)
		w.crash()
	}
	assert.Equal(t, 1, w.status().Nodes[2].Incarnation)
}
