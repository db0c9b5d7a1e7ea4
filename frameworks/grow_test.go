package frameworks

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	sched "github.com/mesos/mesos-go/api/v1/lib/scheduler"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/constraints"
	"github.com/mesokit/mesokit/offers"
	"github.com/mesokit/mesokit/scheduler"
)

// held is what a node's place has of everything.
func heldBy(n NodeStatus) offers.Resources { return offers.Sum(n.Place.Resources) }

func TestPlacesGrowAndShrinkWhereTheyAre(t *testing.T) {
	t.Parallel()
	w := newWorld(t, versionedService(3), 3, agentResources)
	w.until(time.Minute, "ready", w.allReady(3))
	before := w.status().Nodes
	w.configure(func(p *Pod) {
		p.Needs = offers.MustParse("cpus:2;mem:256")
		p.Volumes[0].Size = 3_000_000
	})
	w.until(10*time.Minute, "rolled", w.updated(3))
	for i, n := range w.status().Nodes {
		assert.Equal(t, before[i].Place.Agent, n.Place.Agent, n.Name)
		assert.Equal(t, volumeOf(before[i]), volumeOf(n), n.Name)
		assert.Equal(t, 1, w.made[volumeOf(n)], n.Name)
		assert.Equal(t, 2, n.Incarnation, n.Name)
		held := heldBy(n)
		assert.Equal(t, "2 256 3000", fmt.Sprint(held.Amount("cpus"), held.Amount("mem"), held.Amount("disk")), n.Name)
	}
	assert.Empty(t, w.removed)
	w.until(time.Hour, "what is too much went back", func() bool { return w.reserved("mem") == 3*256 })
	assert.EqualValues(t, 6, w.reserved("cpus"))
	assert.EqualValues(t, 9000, w.reserved("disk"))
}

// reserved is how much of a scalar is reserved on all agents.
func (w *world) reserved(name string) float64 {
	sum := 0.0
	for _, a := range w.master.GetAgents().Agents {
		for _, r := range a.TotalResources {
			if r.Name == name && len(r.Reservations) > 0 {
				sum += r.GetScalar().GetValue()
			}
		}
	}
	return sum
}

func TestGrowthSurvivesDeathAtEveryPoint(t *testing.T) {
	t.Parallel()
	run := func(w *world, die int) int {
		w.until(time.Minute, "ready", w.allReady(1))
		from := w.points
		if die > 0 {
			w.dieAt = from + die
		}
		w.configure(func(p *Pod) {
			p.Needs = offers.MustParse("cpus:2;mem:256")
			p.Volumes[0].Size = 3_000_000
		})
		w.until(30*time.Minute, "grown", func() bool { return w.updated(1)() && w.status().Nodes[0].Incarnation > 1 })
		assert.EqualValues(w.t, 3000, heldBy(w.status().Nodes[0]).Amount("disk").Value())
		w.until(time.Hour, "nothing is left over", func() bool {
			return w.reserved("mem") == 256 && w.reserved("cpus") == 2 && w.reserved("disk") == 3000
		})
		assert.Empty(w.t, w.removed)
		return w.points - from
	}
	points := run(newWorld(t, versionedService(1), 1, agentResources), 0)
	for at := range deaths(points) {
		t.Run(fmt.Sprint(at), func(t *testing.T) {
			t.Parallel()
			run(newWorld(t, versionedService(1), 1, agentResources), at)
		})
	}
}

// An agent that has no room left: the node is not stopped for what it cannot get,
// and says what is missing; the options do not become good.
func TestNoRoomToGrow(t *testing.T) {
	t.Parallel()
	two := settings{Nodes: 2, Version: "1", Disk: 1000}
	w := newWorld(t, databaseOf(t, two), 2, agentResources)
	w.until(time.Minute, "ready and good", func() bool { return w.allReady(2)() && w.status().Options.Good != nil })
	good := w.status().Options.Good
	large := two
	large.Disk = 90_000
	w.do(Update{Options: optionsOf(t, large)})
	short := "to be updated: agent agent-0 to have room for disk:89000 more; replace gives the node a new place"
	w.until(time.Minute, "both say so", func() bool { return strings.Contains(w.status().Nodes[0].Waits+w.status().Nodes[1].Waits, short) })
	w.pass(24 * time.Hour)
	s := w.status()
	assert.Equal(t, 2, s.Ready)
	assert.Equal(t, []int{1, 1}, w.incarnations(), "a node was stopped for what it cannot get")
	assert.JSONEq(t, string(good), string(s.Options.Good))
	assert.NotEqual(t, string(s.Options.Target), string(s.Options.Good))
	assert.EqualValues(t, 2000, w.reserved("disk"))

	// One that fails comes back as it was, and wants more as before.
	w.each(func(e *fakeExecutor) {
		if strings.Contains(e.id, "node-0") {
			w.end(e, e.id, mesos.TASK_FAILED, "boom")
		}
	})
	w.until(10*time.Minute, "it is back, and says so again", func() bool {
		return w.status().Ready == 2 && w.incarnations()[0] == 2 && strings.Contains(w.status().Nodes[0].Waits, "to have room for")
	})
	w.pass(time.Hour)
	assert.Equal(t, []int{2, 1}, w.incarnations())
	assert.JSONEq(t, string(good), string(w.status().Options.Good))

	two.Disk = 2000
	w.do(Update{Options: optionsOf(t, two)})
	w.until(10*time.Minute, "what fits is done, and good", func() bool {
		s := w.status()
		return w.updated(2)() && bytes.Equal(s.Options.Good, s.Options.Target)
	})
	assert.Equal(t, []int{3, 2}, w.incarnations())
	assert.EqualValues(t, 2000, heldBy(w.status().Nodes[0]).Amount("disk").Value())
	assert.Nil(t, w.status().Nodes[0].Place.Room)
}

// A node that serves nobody gets a corrected program in its place as it is, though
// there is no room for what else the update wants.
func TestWhatHangsDoesNotWaitForRoom(t *testing.T) {
	t.Parallel()
	o := settings{Nodes: 2, Version: "1", Disk: 1000}
	w := newWorld(t, databaseOf(t, o), 2, agentResources)
	hangs := ""
	w.gate = func(job scheduler.Job) error {
		if strings.Contains(job.Name, cmp.Or(hangs, "nobody")) {
			return errors.New("does not serve")
		}
		return nil
	}
	w.until(time.Minute, "ready", w.allReady(2))
	o.Version, o.Disk, hangs = "2", 90_000, "node-0.2"
	w.do(Update{Options: optionsOf(t, o)})
	w.each(func(e *fakeExecutor) {
		if e.id == "db.node-0.1" {
			w.end(e, e.id, mesos.TASK_FAILED, "boom")
		}
	})
	w.until(10*time.Minute, "it hangs", func() bool { return w.incarnations()[0] == 2 })
	w.pass(time.Hour)
	assert.Equal(t, []int{2, 1}, w.incarnations(), "it was stopped though nothing would be other than it is")
	o.Version = "3"
	w.do(Update{Options: optionsOf(t, o)})
	w.until(10*time.Minute, "it is mended", w.allReady(2))
	w.pass(time.Hour)
	assert.Equal(t, []int{3, 1}, w.incarnations())
}

// What an agent had no room for comes about when there is.
func TestRoomToGrowComesLater(t *testing.T) {
	t.Parallel()
	s := versionedService(2)
	s.Pods[0].Place = constraints.Rules{}
	w := newWorld(t, s, 1, agentResources)
	w.until(time.Minute, "ready", w.allReady(2))
	w.configure(func(p *Pod) { p.Volumes[0].Size = 6_000_000 })
	w.until(10*time.Minute, "one has grown", func() bool {
		n := w.status().Nodes
		return n[1].Place.Room != nil && n[1].Place.Room.Short != "" && heldBy(n[0]).Amount("disk").Value() == 6000 && w.status().Ready == 2
	})
	w.pass(time.Hour)
	assert.Equal(t, []int{2, 1}, w.incarnations())
	w.do(RemoveNode{Node: "node-0"})
	w.until(time.Hour, "so has the other", func() bool {
		s := w.status()
		return len(s.Nodes) == 1 && s.Ready == 1 && heldBy(s.Nodes[0]).Amount("disk").Value() == 6000
	})
	assert.Equal(t, []int{2}, w.incarnations())
	assert.Empty(t, w.status().Nodes[0].Waits)
}

// Room that was reserved, and is wanted no more, goes back.
func TestRoomThatIsWantedNoMoreGoesBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t, versionedService(2), 2, agentResources)
	w.until(time.Minute, "ready", w.allReady(2))
	w.do(PausePlan{Plan: "update"})
	w.configure(func(p *Pod) { p.Volumes[0].Size = 3_000_000; p.Needs = offers.MustParse("cpus:2;mem:600") })
	w.until(time.Minute, "reserved", func() bool { return w.reserved("disk") == 6000 && w.reserved("cpus") == 4 })
	w.configure(func(p *Pod) { p.Volumes[0].Size = 1_000_000; p.Needs = versionedService(2).Pods[0].Needs })
	w.do(ResumePlan{Plan: "update"})
	w.until(3*time.Hour, "it went back", func() bool { return w.reserved("disk") == 2000 && w.reserved("cpus") == 2 && w.updated(2)() })
	assert.Equal(t, []int{1, 1}, w.incarnations())
	assert.Empty(t, w.removed)
}

func grows(o mesos.Offer_Operation) bool { return o.GrowVolume != nil }

// The operations of a change are lost on their way: it goes back, and tries
// once more.
func TestGrowthThatGetsLost(t *testing.T) {
	t.Parallel()
	w := newWorld(t, versionedService(1), 1, agentResources)
	w.until(time.Minute, "ready", w.allReady(1))
	lost := 0
	w.before = func(c *sched.Call) {
		if c.Accept != nil && slices.ContainsFunc(c.Accept.Operations, grows) && lost == 0 {
			lost++
			c.Accept.Operations = nil
		}
	}
	w.configure(func(p *Pod) { p.Volumes[0].Size = 2_000_000 })
	w.until(30*time.Minute, "grown in the end", func() bool {
		s := w.status()
		return s.Ready == 1 && heldBy(s.Nodes[0]).Amount("disk").Value() == 2000
	})
	require.Equal(t, 1, lost)
}

// A place that nothing has run in yet changes as well, and goes back when that
// gets lost.
func TestGrowthOfAPlaceThatWasNeverUsed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, quorum(2), 1, agentResources) // one each: the second waits for an agent
	w.until(time.Minute, "the first has its place", func() bool { return w.status().Nodes[0].Phase == Reserved })
	lost := 0
	w.before = func(c *sched.Call) {
		if c.Accept != nil && slices.ContainsFunc(c.Accept.Operations, grows) && lost == 0 {
			lost++
			c.Accept.Operations = nil
		}
	}
	w.configure(func(p *Pod) { p.Volumes[0].Size = 2_000_000 })
	w.addAgent(1, agentResources)
	w.until(30*time.Minute, "both run, on volumes of the new size", w.allReady(2))
	require.Equal(t, 1, lost)
	for _, n := range w.status().Nodes {
		assert.EqualValues(t, 2000, heldBy(n).Amount("disk").Value(), n.Name)
		assert.Equal(t, 1, w.made[volumeOf(n)], n.Name)
		assert.Equal(t, 1, n.Generation, n.Name)
	}
	assert.Empty(t, w.removed)
}
