package frameworks

import (
	"errors"
	"strings"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	sched "github.com/mesos/mesos-go/api/v1/lib/scheduler"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/constraints"
	"github.com/mesokit/mesokit/internal/model"
	"github.com/mesokit/mesokit/offers"
	"github.com/mesokit/mesokit/scheduler"
	"github.com/mesokit/mesokit/scheduler/state"
)

// twoPods has a pod that starts at once and one whose nodes start together.
func twoPods(first, together int) *Service {
	s := quorum(together)
	aux := s.Pods[0]
	aux.Name, aux.Count, aux.Together, aux.Place = "aux", first, false, constraints.Rules{}
	s.Pods = append([]Pod{aux}, s.Pods...)
	return s
}

// pass lets so much time go by.
func (w *world) pass(d time.Duration) {
	w.t.Helper()
	end := w.now.Add(d)
	w.until(2*d+time.Hour, "time passes", func() bool { return !w.now.Before(end) })
}

func (w *world) cutAgentOf(n NodeStatus) {
	for _, a := range w.agents {
		a.cut = a.cut || a.model.ID() == n.Place.Agent
	}
}

func TestRulesCountOnlyTheirOwnPod(t *testing.T) {
	t.Parallel()
	s := twoPods(2, 2)
	s.Pods[1].Place = constraints.MustParse("rack:GROUP_BY:2")
	w := newWorld(t, s, 4, agentResources)
	w.until(5*time.Minute, "ready", w.allReady(4))
	nodes := w.status().Nodes
	assert.NotEqual(t, nodes[2].Place.Attribute("rack"), nodes[3].Place.Attribute("rack"))
}

func TestStopThenStartIsNoFailure(t *testing.T) {
	t.Parallel()
	w := newWorld(t, quorum(3), 4, agentResources)
	w.until(time.Minute, "ready", w.allReady(3))
	_, err := w.command(StopNode{"node-2"})
	require.NoError(t, err)
	_, err = w.command(StartNode{"node-2"})
	require.NoError(t, err)
	w.until(time.Minute, "the next runs", func() bool { return w.status().Nodes[2].Incarnation == 2 })
	assert.Zero(t, w.status().Nodes[2].Failures)
}

func TestTogetherHoldsForAPodThatBeginsEmpty(t *testing.T) {
	t.Parallel()
	w := newWorld(t, quorum(0), 4, agentResources)
	w.pass(time.Second)
	_, err := w.command(ScalePod{Pod: "node", Count: 3})
	require.NoError(t, err)
	w.until(time.Minute, "ready", w.allReady(3))
	notes := strings.Join(w.notes, "\n")
	before, _, _ := strings.Cut(notes, "launched")
	assert.Equal(t, 3, strings.Count(before, "reserved node="))
	for _, n := range w.status().Nodes {
		assert.Equal(t, 1, n.Founding, n.Name)
	}
}

// What is left to release on an agent that is gone must not keep offers coming.
func TestIsQuietWithAnAgentGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, quorum(3), 4, agentResources)
	w.until(time.Minute, "ready", w.allReady(3))
	w.cutAgentOf(w.status().Nodes[1])
	w.until(5*time.Minute, "unreachable", func() bool { return w.status().Nodes[1].Phase == Unreachable })
	_, err := w.command(ReplaceNode{Node: "node-1"})
	require.NoError(t, err)
	w.until(5*time.Minute, "ready", w.allReady(3))
	declines := 0
	w.before = func(c *sched.Call) {
		if c.Type == sched.Call_DECLINE {
			declines++
		}
	}
	w.pass(6 * time.Hour)
	assert.Less(t, declines, 100)
}

func TestReleaseThatIsRefusedBlocksNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, quorum(1), 2, agentResources)
	w.until(time.Minute, "ready", w.allReady(1))
	releases := 0
	w.before = func(c *sched.Call) {
		if c.Accept != nil && len(c.Accept.Operations) > 0 && c.Accept.Operations[0].Type == mesos.Offer_Operation_DESTROY {
			releases++
			c.Accept.Operations = nil // the master does not authorize it
		}
	}
	_, err := w.command(ReplaceNode{Node: "node-0"})
	require.NoError(t, err)
	w.pass(10 * time.Minute)
	assert.Equal(t, Ready, w.status().Nodes[0].Phase)
	assert.Less(t, releases, 100)
	assert.Positive(t, releases)
}

func TestGateDoesNotOverruleTheProbe(t *testing.T) {
	t.Parallel()
	w := newWorld(t, quorum(1), 1, agentResources)
	w.behave = func(w *world, e *fakeExecutor, task mesos.TaskInfo) {
		w.update(e, task.TaskID.Value, mesos.TASK_RUNNING, "started")
	}
	w.until(time.Minute, "started", func() bool { return w.status().Nodes[0].Phase == Started })
	n := w.status().Nodes[0]
	w.step(scheduler.Updated{Status: mesos.TaskStatus{ // while the gate is asked
		TaskID: mesos.TaskID{Value: n.Task}, State: mesos.TASK_RUNNING.Enum(), Healthy: new(false),
		Source: mesos.SOURCE_EXECUTOR.Enum(), AgentID: &mesos.AgentID{Value: n.Place.Agent},
	}})
	w.pass(5 * time.Second)
	assert.Equal(t, Started, w.status().Nodes[0].Phase)
}

// A server that is ready for a moment and dies, over and over.
func TestCrashLoopAfterReadyBacksOff(t *testing.T) {
	t.Parallel()
	s := quorum(1)
	s.Pods[0].Ready = nil
	w := newWorld(t, s, 1, agentResources)
	starts := 0
	w.behave = func(w *world, e *fakeExecutor, task mesos.TaskInfo) {
		starts++
		w.update(e, task.TaskID.Value, mesos.TASK_RUNNING, "started")
		w.after(100*time.Millisecond, func() { w.end(e, task.TaskID.Value, mesos.TASK_FAILED, "boom") })
	}
	w.pass(10 * time.Minute)
	assert.Less(t, starts, 15)
	assert.Greater(t, starts, 5)
}

func TestNodesKeepTheOrderOfPodsWhenScaled(t *testing.T) {
	t.Parallel()
	w := newWorld(t, twoPods(1, 2), 4, agentResources)
	w.until(5*time.Minute, "ready", w.allReady(3))
	status, err := w.command(ScalePod{Pod: "aux", Count: 2})
	require.NoError(t, err)
	var names []string
	for _, n := range status.Nodes {
		names = append(names, n.Name)
	}
	assert.Equal(t, []string{"aux-0", "aux-1", "node-0", "node-1"}, names)
	_, err = w.command(ScalePod{Pod: "aux", Count: 1_000_000})
	require.ErrorIs(t, err, ErrRefused)
}

// An agent dies while its node waits for a third place, and others come.
func TestAgentLostBeforeAnythingRanThere(t *testing.T) {
	t.Parallel()
	w := newWorld(t, quorum(3), 2, agentResources)
	w.until(time.Minute, "two have a place", func() bool {
		s := w.status()
		return s.Nodes[0].Phase == Reserved && s.Nodes[1].Phase == Reserved
	})
	w.cutAgentOf(w.status().Nodes[0])
	w.pass(5 * time.Minute)
	for i := range 3 {
		w.addAgent(2+i, agentResources)
	}
	w.until(20*time.Minute, "ready elsewhere", w.allReady(3))
	assert.Empty(t, w.removed)
}

func TestRestartOfAStoppedNodeIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, quorum(1), 1, agentResources)
	w.until(time.Minute, "ready", w.allReady(1))
	_, err := w.command(StopNode{"node-0"})
	require.NoError(t, err)
	_, err = w.command(RestartNode{Node: "node-0"})
	require.ErrorIs(t, err, ErrRefused)
}

func TestStopDuringDeploymentLetsThePeersStart(t *testing.T) {
	t.Parallel()
	w := newWorld(t, quorum(3), 4, agentResources)
	w.until(time.Minute, "reserving", func() bool { return w.status().Nodes[2].Place != nil })
	_, err := w.command(StopNode{"node-2"})
	require.NoError(t, err)
	w.until(10*time.Minute, "its peers are ready", w.allReady(2))
	assert.Equal(t, Stopped, w.status().Nodes[2].Phase)
}

// An agent's resources come in two offers, and the second, which lacks the
// reservation, proves nothing.
func TestPartOfAnAgentProvesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, quorum(3), 2, agentResources)
	reserved := func() bool {
		s := w.status()
		return s.Nodes[0].Phase == Reserved && s.Nodes[1].Phase == Reserved
	}
	w.until(time.Minute, "two have a place", reserved)
	w.pass(time.Minute)
	n := w.status().Nodes[0]
	part := offers.MustParse("cpus:0.5;mem:100;ports:[31050-31060]").List()
	role := &mesos.Resource_AllocationInfo{Role: new("db")}
	for i := range part {
		part[i].AllocationInfo = role
	}
	w.before = func(c *sched.Call) { assert.Nil(t, c.Accept, "nothing is concluded") }
	w.step(scheduler.Offered{Offers: []mesos.Offer{{
		ID: mesos.OfferID{Value: "part"}, AgentID: mesos.AgentID{Value: n.Place.Agent},
		Hostname: n.Place.Hostname, Resources: part, AllocationInfo: role,
	}}})
	w.before = nil
	assert.Equal(t, 1, w.status().Nodes[0].Generation)
}

func TestReplaceIsRefusedWhereThePodSaysSo(t *testing.T) {
	t.Parallel()
	s := quorum(3)
	s.Pods[0].Replaceable = func(d Deployment, n Node) error {
		for _, p := range d.Nodes {
			if p.Name != n.Name && (!p.Ready || p.Replace) {
				return errors.New(p.Name + " is not ready")
			}
		}
		return nil
	}
	w := newWorld(t, s, 5, agentResources)
	w.until(time.Minute, "ready", w.allReady(3))
	_, err := w.command(ReplaceNode{Node: "node-0"})
	require.NoError(t, err)
	_, err = w.command(ReplaceNode{Node: "node-1"})
	require.ErrorIs(t, err, ErrRefused)
	require.ErrorContains(t, err, "node-0 is not ready")
	_, err = w.command(ReplaceNode{Node: "node-1", Force: true})
	require.NoError(t, err)
	w.until(5*time.Minute, "all are ready", w.allReady(3))
	assert.Equal(t, 2, w.status().Nodes[1].Generation)
}

// A second deployment of the same name in the same role: what the first one
// reserved is never taken for its own, whatever becomes of either.
func TestTwoDeploymentsOfOneNameKeepApart(t *testing.T) {
	t.Parallel()
	w := newWorld(t, quorum(2), 2, agentResources)
	w.until(time.Minute, "ready", w.allReady(2))
	first := w.status()
	w.mesos(model.StreamClosed{Stream: w.stream})
	w.store, w.seed = state.NewMemory(), "another seed of sixteen bytes"
	w.start()
	w.until(time.Minute, "the second is ready beside it", w.allReady(2))
	second := w.status()
	assert.NotEqual(t, volumeOf(first.Nodes[0]), volumeOf(second.Nodes[0]))
	_, err := w.command(ReplaceNode{Node: "node-0"})
	require.NoError(t, err)
	w.until(5*time.Minute, "replaced", func() bool { return w.removed[volumeOf(second.Nodes[0])] == 1 })
	for _, n := range first.Nodes {
		assert.Zero(t, w.removed[volumeOf(n)], n.Name)
	}
}

// An idle decision saves nothing: what is read is written back the same.
func TestIdleSavesNothing(t *testing.T) {
	t.Parallel()
	for _, agents := range []int{2, 4} { // with a node that finds no place, and without
		w := newWorld(t, quorum(3), agents, agentResources)
		w.pass(time.Minute)
		assert.Empty(t, w.machine.Step(w.now, scheduler.Tick{}).Save, "%d agents", agents)
	}
}

func TestWrongDeclarations(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*Pod)
		want   string
	}{
		"port name":     {func(p *Pod) { p.Ports[0].Name = "a b=c" }, `Ports[0].Name: "a b=c"`},
		"port range":    {func(p *Pod) { p.Ports[0].Begin, p.Ports[0].End = 9, 8 }, `Ports[0]: "9-8"`},
		"volume path":   {func(p *Pod) { p.Volumes[0].Path = "../data" }, `Volumes[0].Path: "../data"`},
		"volume twice":  {func(p *Pod) { p.Volumes = append(p.Volumes, Volume{Name: "more", Path: "./data", Size: 1000}) }, `Volumes[1].Path: "./data": wants a path that no other volume`},
		"volume size":   {func(p *Pod) { p.Volumes[0].Size = 0 }, `Volumes[0].Size: "0"`},
		"count":         {func(p *Pod) { p.Count = 5000 }, `Count: 5000: wants 0 to 1000`},
		"grace":         {func(p *Pod) { p.Grace = -1 }, `Grace: -1`},
		"command, task": {func(p *Pod) { p.Command = "x" }, `Command: "x": wants either Command or Task`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := quorum(1)
			c.change(&s.Pods[0])
			assert.ErrorContains(t, s.Validate(), "Service.Pods[0]."+c.want)
		})
	}
}
