package frameworks

import (
	"fmt"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/constraints"
	"github.com/mesokit/mesokit/offers"
	"github.com/mesokit/mesokit/scheduler"
)

// everywhere has a node on every agent of rack r1: each second one.
func everywhere() *Service {
	s := versionedService(0)
	p := &s.Pods[0]
	p.Together, p.Everywhere = false, true
	p.Place = constraints.MustParse("rack:IS:r1")
	p.Recovery.After = time.Hour
	return s
}

// hosts are the nodes with their agents, by name.
func (w *world) hosts() map[string]string {
	out := map[string]string{}
	for _, n := range w.status().Nodes {
		out[n.Name] = "none"
		if n.Place != nil {
			out[n.Name] = n.Place.Hostname
		}
	}
	return out
}

func TestANodeOnEveryAgentThatMatches(t *testing.T) {
	t.Parallel()
	w := newWorld(t, everywhere(), 6, agentResources)
	w.until(time.Minute, "ready", w.allReady(3))
	before := w.hosts()
	assert.ElementsMatch(t, []string{"agent-0", "agent-2", "agent-4"}, sortedKeys(inverted(before)))

	w.addAgent(6, agentResources)
	w.addAgent(7, agentResources)
	w.until(time.Hour, "the new agent has its node", w.allReady(4))
	before["node-3"] = "agent-6"
	assert.Equal(t, before, w.hosts(), "all others stay what they are")

	w.crash()
	w.pass(time.Hour)
	assert.Equal(t, before, w.hosts())
	for _, n := range w.status().Nodes {
		assert.Equal(t, 1, n.Incarnation, n.Name)
	}
}

func inverted(m map[string]string) map[string]string {
	out := map[string]string{}
	for k, v := range m {
		out[v] = k
	}
	return out
}

func TestANodeLeavesWithItsAgent(t *testing.T) {
	t.Parallel()
	w := newWorld(t, everywhere(), 4, agentResources)
	w.until(time.Minute, "ready", w.allReady(2))
	lost := w.status().Nodes[0]
	w.cutAgentOf(lost)
	w.pass(30 * time.Minute)
	assert.Len(t, w.status().Nodes, 2, "it may come back")
	w.until(2*time.Hour, "it is gone for good", func() bool { return len(w.status().Nodes) == 1 })
	w.pass(time.Hour)
	assert.Len(t, w.status().Nodes, 1, "it has no other place")

	w.heal(w.agentOf(lost))
	w.until(2*time.Hour, "it has come back after all", w.allReady(2))
	again := w.status().Nodes[0]
	assert.Equal(t, lost.Name, again.Name)
	assert.Greater(t, again.Generation, lost.Generation)
	w.until(2*time.Hour, "what it had is given back", func() bool { return w.removed[volumeOf(lost)] == 1 })
}

func TestANodeLeavesAtOnceWhenItsAgentIsDeclaredGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, everywhere(), 4, agentResources)
	w.until(time.Minute, "ready", w.allReady(2))
	n := w.status().Nodes[1]
	w.cutAgentOf(n)
	w.step(scheduler.Updated{Status: mesos.TaskStatus{
		TaskID: mesos.TaskID{Value: n.Task}, State: mesos.TASK_GONE_BY_OPERATOR.Enum(),
		Source: mesos.SOURCE_MASTER.Enum(), AgentID: &mesos.AgentID{Value: n.Place.Agent},
	}})
	w.until(time.Minute, "it left", func() bool { return len(w.status().Nodes) == 1 })
}

// An operator who knows better than to wait for the agent.
func TestALostNodeOfAnAgentIsGivenUpByCommand(t *testing.T) {
	t.Parallel()
	for _, command := range []any{ReplaceNode{Node: "node-0"}, RemoveNode{Node: "node-0"}} {
		w := newWorld(t, everywhere(), 4, agentResources)
		w.until(time.Minute, "ready", w.allReady(2))
		w.cutAgentOf(w.status().Nodes[0])
		w.until(5*time.Minute, "unreachable", func() bool { return w.status().Nodes[0].Phase == Unreachable })
		w.do(command)
		w.until(time.Minute, "it left", func() bool { return len(w.status().Nodes) == 1 })
	}
}

func TestTheAgentsDecideHowManyNodes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, everywhere(), 4, agentResources)
	w.until(time.Minute, "ready", w.allReady(2))
	_, err := w.command(ScalePod{Pod: "node", Count: 5})
	require.ErrorIs(t, err, ErrRefused)
	assert.ErrorContains(t, err, "a node on every agent that matches")
	_, err = w.command(RemoveNode{Node: "node-0"})
	require.ErrorIs(t, err, ErrRefused)

	w.do(ReplaceNode{Node: "node-0"})
	w.until(time.Hour, "replaced", func() bool { return w.status().Nodes[0].Generation == 2 && w.status().Ready == 2 })
	assert.Equal(t, "agent-0", w.status().Nodes[0].Place.Hostname, "on its own agent")

	w.configure(func(p *Pod) { p.Place = constraints.MustParse("rack:IS:r2") })
	w.until(time.Hour, "others match", func() bool {
		hosts := inverted(w.hosts())
		return len(hosts) == 2 && hosts["agent-1"] != "" && hosts["agent-3"] != "" && w.status().Ready == 2
	})

	w.do(Uninstall{})
	w.until(time.Hour, "uninstalled", w.tornDown())
	assert.Zero(t, w.reserved("disk"))
}

// An agent that matches and has no room: it is said, and hinders nobody.
func TestAnAgentWithoutRoomForItsNode(t *testing.T) {
	t.Parallel()
	w := newWorld(t, everywhere(), 4, agentResources)
	w.addAgent(4, "cpus:0.5;mem:4096;disk:10000;ports:[31000-31099]")
	w.until(time.Minute, "ready", w.allReady(2))
	w.until(time.Minute, "it is seen", func() bool { return len(w.status().Nodes) == 3 })
	n := w.status().Nodes[2]
	assert.Equal(t, Placing, n.Phase)
	assert.Contains(t, n.Refused, "cpus: wants 1, best 0.5 on agent-4")
	w.service.Pods[0].Rollout.Parallel = 2
	w.configure(version("2"))
	w.until(10*time.Minute, "the others are updated", func() bool {
		s := w.status()
		return s.Nodes[0].Incarnation == 2 && s.Nodes[1].Incarnation == 2 && s.Ready == 2
	})
	w.cutAgentOf(NodeStatus{Node: Node{Place: &Place{Agent: w.agents[4].model.ID()}}})
	w.until(time.Hour, "it leaves with its agent", func() bool { return len(w.status().Nodes) == 2 })
}

func TestOthersComeAfterANodeOnEveryAgent(t *testing.T) {
	t.Parallel()
	s := everywhere()
	after := versionedService(2).Pods[0]
	after.Name, after.After = "server", []string{"node"}
	s.Pods = append(s.Pods, after)
	w := newWorld(t, s, 0, agentResources)
	w.pass(time.Minute)
	w.addAgent(1, agentResources)
	w.addAgent(3, agentResources)
	w.pass(time.Minute)
	assert.Contains(t, w.status().Nodes[0].Waits, "the first agent of pod node")
	w.addAgent(2, agentResources)
	w.until(time.Hour, "ready", w.allReady(3))
}

func TestEverywhereSurvivesDeathAtEveryPoint(t *testing.T) {
	t.Parallel()
	run := func(t *testing.T, at int) int {
		s := everywhere()
		s.Pods[0].Recovery.After = time.Minute
		w := newWorld(t, s, 4, agentResources)
		w.dieAt = at
		w.until(5*time.Minute, "ready", w.allReady(2))
		w.cutAgentOf(w.status().Nodes[0])
		w.addAgent(4, agentResources)
		w.until(3*time.Hour, "one came, and one left", func() bool {
			s := w.status()
			return len(s.Nodes) == 2 && s.Ready == 2 && inverted(w.hosts())["agent-4"] != ""
		})
		return w.points
	}
	points := run(t, 0)
	for at := range deaths(points) {
		t.Run(fmt.Sprint(at), func(t *testing.T) { t.Parallel(); run(t, at) })
	}
}

func TestEverywhereIsValidated(t *testing.T) {
	t.Parallel()
	s := everywhere()
	s.Pods[0].Count, s.Pods[0].Needs = 3, offers.MustParse("cpus:1")
	assert.ErrorContains(t, s.Validate(), "Service.Pods[0].Everywhere: true: wants a Count of 0 and no Together")
}
