package frameworks

import (
	"fmt"
	"strings"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/stretchr/testify/assert"

	"github.com/mesokit/mesokit/internal/model"
	"github.com/mesokit/mesokit/scheduler"
)

// reboot takes a machine away until its agent counts as unreachable, and brings
// it back with its disk, at another address.
func (w *world) reboot(a *fakeAgent, ip string) {
	w.t.Helper()
	a.cut = true
	w.until(10*time.Minute, "unreachable", func() bool {
		for _, r := range w.master.GetAgents().Agents {
			if r.AgentInfo.ID.Value == a.model.ID() {
				return false
			}
		}
		return true
	})
	w.agent(a, model.AgentRestarted{IP: ip})
	w.heal(a)
}

// A machine comes back with another address: the node that lives there keeps its
// volume, and its peers, which have its address in their configuration, are
// rolled, one at a time.
func TestPlacesFollowTheirAgents(t *testing.T) {
	t.Parallel()
	w := newWorld(t, quorum(3), 3, agentResources)
	w.until(time.Minute, "ready", w.allReady(3))
	before := w.status().Nodes[1]
	least := 3
	w.behave = func(w *world, e *fakeExecutor, task mesos.TaskInfo) {
		w.update(e, task.TaskID.Value, mesos.TASK_RUNNING, "started")
		least = min(least, w.status().Ready)
	}
	w.reboot(w.agentOf(before), "127.0.0.77")
	w.until(10*time.Minute, "it is back, and its peers are rolled", w.updated(3))
	assert.Equal(t, 2, least, "one is down at a time")
	for _, n := range w.status().Nodes {
		assert.Equal(t, 2, n.Incarnation, n.Name)
		assert.Equal(t, 1, n.Generation, n.Name)
		assert.Equal(t, 1, w.made[volumeOf(n)], n.Name)
		assert.Equal(t, n.Name == "node-1", n.Place.Address == "127.0.0.77", n.Name)
	}
	assert.Equal(t, before.Place.Hostname, w.status().Nodes[1].Place.Hostname)
	assert.Contains(t, strings.Join(w.notes, "\n"), "its agent has another address node=node-1 from="+before.Place.Address+" to=127.0.0.77")
}

// All machines come back with other addresses: it ends with every node knowing
// the last address of each.
func TestAWholeClusterMoves(t *testing.T) {
	t.Parallel()
	w := newWorld(t, quorum(3), 3, agentResources)
	w.until(time.Minute, "ready", w.allReady(3))
	for _, a := range w.agents {
		a.cut = true
	}
	for i, a := range w.agents {
		w.reboot(a, fmt.Sprintf("127.0.1.%d", i+1))
	}
	w.until(time.Hour, "all are back", w.updated(3))
	for _, n := range w.status().Nodes {
		assert.True(t, strings.HasPrefix(n.Place.Address, "127.0.1."), n.Name)
		assert.Equal(t, 1, n.Generation, n.Name)
	}
}

// The address of an agent whose node runs is known when it makes an offer: all
// that have it in their configuration are out of date, until an offer says
// otherwise.
func TestARunningNodeFollows(t *testing.T) {
	t.Parallel()
	w := newWorld(t, quorum(3), 3, agentResources)
	w.until(time.Minute, "ready", w.allReady(3))
	w.pass(time.Hour)
	o := w.offerOf(w.status().Nodes[2])
	o.URL = &mesos.URL{Address: mesos.Address{IP: new("127.0.0.99")}}
	w.step(scheduler.Offered{Offers: []mesos.Offer{o}})
	s := w.status()
	assert.Equal(t, "127.0.0.99", s.Nodes[2].Place.Address)
	for _, n := range s.Nodes {
		assert.True(t, n.Outdated(), n.Name)
	}
	w.until(time.Hour, "as it was", func() bool {
		return w.status().Nodes[2].Place.Address == "127.0.0.3" && w.updated(3)()
	})
}

// offerOf is an empty offer of the agent that a node lives on.
func (w *world) offerOf(n NodeStatus) mesos.Offer {
	return mesos.Offer{
		ID: mesos.OfferID{Value: "made up"}, AgentID: mesos.AgentID{Value: n.Place.Agent}, Hostname: n.Place.Hostname,
		Attributes: n.Place.Attributes, Domain: n.Place.Domain, AllocationInfo: &mesos.Resource_AllocationInfo{Role: new(w.service.role())},
		URL: &mesos.URL{Address: mesos.Address{IP: &n.Place.Address}},
	}
}

// What an agent gets to say of itself that nothing depends on rolls nobody.
func TestAnAttributeThatIsAdded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, quorum(2), 2, agentResources)
	w.until(time.Minute, "ready", w.allReady(2))
	o := w.offerOf(w.status().Nodes[1])
	o.Attributes = append(o.Attributes, mesos.Attribute{Name: "row", Type: mesos.TEXT, Text: &mesos.Value_Text{Value: "7"}})
	w.step(scheduler.Offered{Offers: []mesos.Offer{o}})
	w.pass(time.Minute)
	n := w.status().Nodes[1]
	assert.Equal(t, "7", n.Place.Attribute("row"))
	assert.Equal(t, 1, n.Incarnation)
	assert.Contains(t, strings.Join(w.notes, "\n"), "its agent describes itself otherwise node=node-1")
}
