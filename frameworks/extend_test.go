package frameworks

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/constraints"
	"github.com/mesokit/mesokit/executor"
)

// more declares a second volume and a second port.
func more(p *Pod) {
	p.Volumes = append(p.Volumes[:1:1], Volume{Name: "wal", Path: "wal", Size: 500_000})
	p.Ports = append(p.Ports[:1:1], Port{Name: "http"})
}

// volumesOf are those of a node's place, by name, in MiB.
func volumesOf(n NodeStatus) string {
	var out []string
	for _, v := range n.Place.volumes() {
		out = append(out, fmt.Sprintf("%s:%v", v.Name, v.Size))
	}
	return strings.Join(out, " ")
}

func TestVolumesAndPortsAreAddedInPlace(t *testing.T) {
	t.Parallel()
	w := newWorld(t, versionedService(3), 3, agentResources)
	w.until(time.Minute, "ready", w.allReady(3))
	before := w.status().Nodes
	w.configure(more)
	w.until(10*time.Minute, "rolled", w.updated(3))
	for i, n := range w.status().Nodes {
		assert.Equal(t, before[i].Place.Agent, n.Place.Agent, n.Name)
		assert.Equal(t, "data:1000 wal:500", volumesOf(n), n.Name)
		assert.Equal(t, before[i].Place.Ports["peer"], n.Place.Ports["peer"], n.Name)
		assert.NotZero(t, n.Place.Ports["http"], n.Name)
		assert.NotEqual(t, n.Place.Ports["peer"], n.Place.Ports["http"], n.Name)
		assert.Equal(t, 2, n.Incarnation, n.Name)
		assert.Nil(t, n.Place.Extra, n.Name)
	}
	assert.Len(t, w.made, 6)
	assert.Empty(t, w.removed)
	notes := strings.Join(w.notes, "\n")
	assert.Equal(t, 3, strings.Count(notes[:strings.Index(notes, "stopping")], "what is new is reserved"), "all have what is new before the first stops")
}

// Peers that are told each other's new port are rolled once, not once for each.
func TestANewPortIsKnownToAllBeforeTheFirstStops(t *testing.T) {
	t.Parallel()
	w := newWorld(t, quorum(3), 3, agentResources)
	w.until(time.Minute, "ready", w.allReady(3))
	w.configure(func(p *Pod) {
		p.Ports = append(p.Ports[:1:1], Port{Name: "http"})
		p.Task = func(d Deployment, n Node) (executor.Task, error) {
			var peers []string
			for _, m := range d.Nodes {
				if m.Address("http") == "" {
					return executor.Task{}, fmt.Errorf("%s has no port http", m.Name)
				}
				peers = append(peers, m.Address("http"))
			}
			return executor.Task{Command: append([]string{"db"}, peers...)}, nil
		}
	})
	w.until(10*time.Minute, "rolled", func() bool { return w.updated(3)() && w.incarnations()[2] > 1 })
	w.pass(time.Hour)
	assert.Equal(t, []int{2, 2, 2}, w.incarnations())
}

func TestExtensionSurvivesDeathAtEveryPoint(t *testing.T) {
	t.Parallel()
	run := func(w *world, die int) int {
		w.until(time.Minute, "ready", w.allReady(2))
		from := w.points
		if die > 0 {
			w.dieAt = from + die
		}
		w.configure(func(p *Pod) { more(p); p.Volumes[0].Size = 2_000_000 })
		w.until(30*time.Minute, "extended", func() bool { return w.updated(2)() && w.status().Nodes[1].Incarnation > 1 })
		ports := map[string]bool{}
		for _, n := range w.status().Nodes {
			assert.Equal(w.t, "data:2000 wal:500", volumesOf(n), n.Name)
			ports[n.Address("http")], ports[n.Address("peer")] = true, true
		}
		assert.Len(w.t, ports, 4)
		w.until(time.Hour, "nothing is left over", func() bool { return w.reserved("mem") == 2*512 && w.reserved("disk") == 2*2500 })
		assert.Empty(w.t, w.removed)
		return w.points - from
	}
	agent := func(t *testing.T) *world {
		s := versionedService(2)
		s.Pods[0].Place = constraints.Rules{} // both on one agent
		return newWorld(t, s, 1, agentResources)
	}
	points := run(agent(t), 0)
	for at := range deaths(points) {
		t.Run(fmt.Sprint(at), func(t *testing.T) {
			t.Parallel()
			run(agent(t), at)
		})
	}
}

// An agent that has no room for a volume: the node is not stopped for it, and says
// what it waits for. What is declared no more is given back.
func TestNoRoomToExtend(t *testing.T) {
	t.Parallel()
	s := versionedService(2)
	s.Pods[0].Place, s.Pods[0].Together = constraints.Rules{}, false
	w := newWorld(t, s, 1, agentResources) // of 10,000 MiB
	w.until(time.Minute, "ready", w.allReady(2))
	large := func(p *Pod) { more(p); p.Volumes[1].Size = 5_000_000 }
	w.configure(large)
	w.until(10*time.Minute, "one has it", func() bool { return w.status().Nodes[0].Incarnation == 2 && w.status().Ready == 2 })
	w.pass(24 * time.Hour)
	n := w.status().Nodes[1]
	assert.Equal(t, 1, n.Incarnation)
	assert.Equal(t, Ready, n.Phase)
	assert.Contains(t, n.Waits, "to be updated: agent agent-0 to reserve what is new for node-1: port http (any), volume wal at wal, 5000 MiB on a root disk")
	assert.Contains(t, n.Waits, "best 3000")
	assert.Len(t, w.made, 3)

	// Room comes, because another leaves.
	w.do(RemoveNode{Node: "node-0"})
	w.until(time.Hour, "the other has it too", func() bool {
		s := w.status()
		return len(s.Nodes) == 1 && s.Ready == 1 && volumesOf(s.Nodes[0]) == "data:1000 wal:5000"
	})
}

// What was reserved, and is declared no more before a task had it, goes back.
func TestWhatIsDeclaredNoMoreIsNotKept(t *testing.T) {
	t.Parallel()
	w := newWorld(t, versionedService(2), 2, agentResources)
	w.until(time.Minute, "ready", w.allReady(2))
	w.do(PausePlan{Plan: "update"})
	w.configure(more)
	w.until(time.Minute, "reserved", func() bool { return w.reserved("disk") == 3000 })
	w.configure(func(p *Pod) { p.Volumes, p.Ports = p.Volumes[:1], p.Ports[:1] })
	w.do(ResumePlan{Plan: "update"})
	w.until(3*time.Hour, "it went back", func() bool { return w.reserved("disk") == 2000 && w.updated(2)() })
	for _, n := range w.status().Nodes {
		assert.Equal(t, 1, n.Incarnation, n.Name)
		assert.Len(t, n.Place.Ports, 1, n.Name)
		assert.Zero(t, w.removed[volumeOf(n)])
	}
	assert.Len(t, w.removed, 2)
	require.Empty(t, w.status().Held)
}

// Volumes become smaller where the update allows it, and only there.
func TestVolumesShrinkWhereThatIsAllowed(t *testing.T) {
	t.Parallel()
	run := func(w *world, die int) int {
		w.until(time.Minute, "ready", w.allReady(2))
		smaller := optionsOf(w.t, settings{Nodes: 2, Version: "1", Disk: 400})
		_, err := w.command(Update{Options: smaller})
		require.ErrorContains(w.t, err, "cannot become smaller than 1000 MiB, unless the update allows it to shrink")
		from := w.points
		if die > 0 {
			w.dieAt = from + die
		}
		_, err = w.command(Update{Options: smaller, Shrink: true})
		require.NoError(w.t, err)
		w.until(30*time.Minute, "shrunk", func() bool { return w.updated(2)() && w.status().Nodes[1].Incarnation > 1 })
		for _, n := range w.status().Nodes {
			assert.Equal(w.t, "data:400", volumesOf(n), n.Name)
		}
		w.until(time.Hour, "what they gave up went back", func() bool { return w.reserved("disk") == 2*400 })
		assert.Empty(w.t, w.removed)
		return w.points - from
	}
	two := func(t *testing.T) *world {
		return newWorld(t, databaseOf(t, settings{Nodes: 2, Version: "1", Disk: 1000}), 2, agentResources)
	}
	points := run(two(t), 0)
	for at := range deaths(points) {
		t.Run(fmt.Sprint(at), func(t *testing.T) {
			t.Parallel()
			run(two(t), at)
		})
	}
}
