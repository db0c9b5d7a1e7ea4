package frameworks

import (
	"fmt"
	"testing"
	"time"

	sched "github.com/mesos/mesos-go/api/v1/lib/scheduler"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/constraints"
	"github.com/mesokit/mesokit/offers"
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

// An agent that has no room left: the node runs on as it was, and says so.
func TestNoRoomToGrow(t *testing.T) {
	t.Parallel()
	w := newWorld(t, versionedService(2), 2, agentResources)
	w.until(time.Minute, "ready", w.allReady(2))
	w.configure(func(p *Pod) { p.Volumes[0].Size = 90_000_000 })
	w.until(10*time.Minute, "both have tried", func() bool {
		s := w.status()
		return s.Nodes[0].Place.Unfit != "" && s.Nodes[1].Place.Unfit != "" && s.Ready == 2
	})
	assert.Contains(t, w.status().Nodes[0].Waits, "its agent has no room for")
	launches := w.launches()
	w.pass(24 * time.Hour)
	assert.Equal(t, launches, w.launches(), "it is not tried again and again")
	w.configure(func(p *Pod) { p.Volumes[0].Size = 2_000_000 })
	w.until(10*time.Minute, "what fits is done", w.updated(2))
	assert.EqualValues(t, 2000, heldBy(w.status().Nodes[0]).Amount("disk").Value())
}

// What an agent had no room for is tried again when the node is next down.
func TestRoomToGrowComesLater(t *testing.T) {
	t.Parallel()
	s := versionedService(2)
	s.Pods[0].Place = constraints.Rules{}
	w := newWorld(t, s, 1, agentResources)
	w.until(time.Minute, "ready", w.allReady(2))
	w.configure(func(p *Pod) { p.Volumes[0].Size = 6_000_000 })
	w.until(10*time.Minute, "one has grown", func() bool {
		n := w.status().Nodes
		return n[1].Place.Unfit != "" && heldBy(n[0]).Amount("disk").Value() == 6000 && w.status().Ready == 2
	})
	w.do(RemoveNode{Node: "node-0"})
	w.until(10*time.Minute, "its place is free", func() bool { return w.reserved("disk") == 1000 })
	w.do(RestartNode{Node: "node-1"})
	w.until(10*time.Minute, "so has the other", func() bool {
		n := w.status().Nodes[0]
		return n.Ready && heldBy(n).Amount("disk").Value() == 6000
	})
	assert.Empty(t, w.status().Nodes[0].Waits)
}

// The operations of a change are lost on their way: it goes back, and tries
// once more.
func TestGrowthThatGetsLost(t *testing.T) {
	t.Parallel()
	w := newWorld(t, versionedService(1), 1, agentResources)
	w.until(time.Minute, "ready", w.allReady(1))
	lost := 0
	w.before = func(c *sched.Call) {
		if c.Accept != nil && len(c.Accept.Operations) > 1 && c.Accept.Operations[1].GrowVolume != nil && lost == 0 {
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
		if c.Accept != nil && len(c.Accept.Operations) > 1 && c.Accept.Operations[1].GrowVolume != nil && lost == 0 {
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
