package frameworks

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/scheduler"
)

func (w *world) names() string {
	var names []string
	for _, n := range w.status().Nodes {
		names = append(names, n.Name)
	}
	return strings.Join(names, " ")
}

func TestScaleInAndOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t, quorum(3), 6, agentResources)
	w.until(time.Minute, "ready", w.allReady(3))
	_, err := w.command(ScalePod{Pod: "node", Count: 6})
	require.NoError(t, err)
	w.until(time.Minute, "six are ready", w.allReady(6))
	old := w.status().Nodes[4]
	_, err = w.command(ScalePod{Pod: "node", Count: 2})
	require.NoError(t, err)
	w.until(10*time.Minute, "two are left", func() bool { return w.names() == "node-0 node-1" && w.status().Ready == 2 })
	w.until(10*time.Minute, "all is given back", func() bool { return len(w.removed) == 4 })
	_, err = w.command(ScalePod{Pod: "node", Count: 5})
	require.NoError(t, err)
	w.until(time.Minute, "five are ready", w.allReady(5))
	again := w.status().Nodes[4]
	assert.Greater(t, again.Generation, old.Generation, "the new node-4 takes nothing of the old one for its own")
	assert.NotEqual(t, volumeOf(old), volumeOf(again))
	assert.Equal(t, 1, w.made[volumeOf(again)])
	assert.Zero(t, w.removed[volumeOf(again)])
}

func TestAChosenNodeLeavesAndTheGapIsFilled(t *testing.T) {
	t.Parallel()
	s := quorum(4)
	s.Pods[0].Removable = func(_ Deployment, nodes []Node) error {
		if nodes[0].Index == 0 {
			return errors.New("it is the seed")
		}
		return nil
	}
	w := newWorld(t, s, 5, agentResources)
	w.until(time.Minute, "ready", w.allReady(4))
	_, err := w.command(RemoveNode{Node: "node-0"})
	require.ErrorIs(t, err, ErrRefused)
	require.ErrorContains(t, err, "it is the seed")
	_, err = w.command(RemoveNode{Node: "node-1"})
	require.NoError(t, err)
	_, err = w.command(StopNode{Node: "node-1"})
	require.ErrorIs(t, err, ErrRefused)
	w.until(time.Minute, "it has left", func() bool { return w.names() == "node-0 node-2 node-3" })
	_, err = w.command(ScalePod{Pod: "node", Count: 4})
	require.NoError(t, err)
	w.until(time.Minute, "the gap is filled", func() bool { return w.names() == "node-0 node-1 node-2 node-3" && w.status().Ready == 4 })
	_, err = w.command(RemoveNode{Node: "node-0", Force: true})
	require.NoError(t, err)
	w.until(time.Minute, "it has left", func() bool { return w.names() == "node-1 node-2 node-3" })
}

// A leaving node runs until it has handed over what it holds, one node after
// the other, also when it fails meanwhile, and when the scheduler dies.
func TestHandsOverBeforeItLeaves(t *testing.T) {
	t.Parallel()
	s := quorum(4)
	s.Pods[0].Leave = func(context.Context, Deployment, Node) error { return nil }
	w := newWorld(t, s, 4, agentResources)
	w.until(time.Minute, "ready", w.allReady(4))
	left := map[string]int{"node-3": 20, "node-2": 10}
	var order []string
	w.gate = func(job scheduler.Job) error {
		if job.Kind != leaveKind {
			return nil
		}
		n := w.input(job).Nodes[0]
		if left[n.Name]--; left[n.Name] > 0 {
			return fmt.Errorf("%d partitions to move", left[n.Name])
		}
		order = append(order, n.Name)
		return nil
	}
	_, err := w.command(ScalePod{Pod: "node", Count: 2})
	require.NoError(t, err)
	w.until(time.Minute, "it says what it waits for", func() bool { return w.status().Nodes[3].Waits == "15 partitions to move" })
	assert.Equal(t, 4, w.status().Ready)
	w.each(func(e *fakeExecutor) {
		if strings.HasSuffix(w.node(e), "node-3") {
			w.exit(e.agent, e.container, 9)
		}
	})
	w.crash()
	w.until(10*time.Minute, "two are left", func() bool { return w.names() == "node-0 node-1" })
	assert.Equal(t, []string{"node-3", "node-2"}, order)
}

// A node that runs beside members, and has not arrived, may have joined unseen: it is
// asked as well. One that does not run, or has no members beside it, leaves at once.
func TestHandsOverWhatNoGateHasSeen(t *testing.T) {
	t.Parallel()
	s := quorum(3)
	s.Pods[0].Leave = func(context.Context, Deployment, Node) error { return nil }
	w := newWorld(t, s, 4, agentResources)
	var arrive bool
	w.gate = func(job scheduler.Job) error {
		n := w.input(job).Nodes[0]
		switch {
		case job.Kind == leaveKind && n.Name == "node-3":
			return errors.New("it has to hand over what it holds")
		case job.Kind == gateKind && (!arrive || n.Name == "node-3"):
			return errors.New("it serves, and nobody counts on it")
		}
		return nil
	}
	_, err := w.command(ScalePod{Pod: "node", Count: 4})
	require.NoError(t, err)
	arrive = true
	w.until(10*time.Minute, "three are ready", func() bool { return w.status().Ready == 3 })
	_, err = w.command(RemoveNode{Node: "node-3"})
	require.NoError(t, err)
	w.until(time.Minute, "it is asked", func() bool { return w.status().Nodes[3].Waits == "it has to hand over what it holds" })
	w.gate = nil
	w.until(time.Minute, "it has left", func() bool { return w.names() == "node-0 node-1 node-2" })
}

// A node that leaves cannot hand over while it does not know where a peer is now: it is
// restarted, once it serves nobody.
func TestANodeThatLeavesLearnsWhereItsPeersAre(t *testing.T) {
	t.Parallel()
	s := quorum(4)
	s.Pods[0].Leave = func(context.Context, Deployment, Node) error { return nil }
	s.Recheck = time.Minute
	w := newWorld(t, s, 6, agentResources)
	w.until(time.Minute, "ready", w.allReady(4))
	serves := true
	w.gate = func(job scheduler.Job) error {
		stale := strings.HasSuffix(job.Name, "/db.node-3.1")
		switch {
		case stale && job.Kind == leaveKind:
			return errors.New("node-0 does not hear of it")
		case stale && job.Kind == againKind && !serves, stale && job.Kind == gateKind:
			return errors.New("node-0 does not list it")
		}
		return nil
	}
	w.do(RemoveNode{Node: "node-3"})
	w.do(ReplaceNode{Node: "node-0", Force: true})
	w.until(10*time.Minute, "the others know where node-0 is", func() bool {
		all := w.status().Nodes
		return all[0].Generation == 2 && all[0].Ready && all[1].Incarnation == 2 && all[1].Ready && all[2].Incarnation == 2 && all[2].Ready
	})
	last := w.status().Nodes[3]
	assert.Equal(t, []any{1, true, true}, []any{last.Incarnation, last.Ready, last.Outdated()}, "one that serves is left alone")
	serves = false
	w.until(10*time.Minute, "it has left", func() bool { return w.names() == "node-0 node-1 node-2" })
}

// The scheduler dies at each point between the wish and the end of a removal.
func TestLeaveSurvivesDeathAtEveryPoint(t *testing.T) {
	t.Parallel()
	run := func(w *world, die int) int {
		w.until(time.Minute, "ready", w.allReady(3))
		from := w.points
		if die > 0 {
			w.dieAt = from + die
		}
		_, err := w.command(ScalePod{Pod: "node", Count: 2})
		require.NoError(w.t, err)
		w.until(5*time.Minute, "two are left, and the volume is gone", func() bool {
			return w.names() == "node-0 node-1" && w.status().Ready == 2 && len(w.removed) == 1
		})
		return w.points - from
	}
	points := run(newWorld(t, quorum(3), 3, agentResources), 0)
	for at := range deaths(points) {
		t.Run(fmt.Sprint(at), func(t *testing.T) {
			t.Parallel()
			run(newWorld(t, quorum(3), 3, agentResources), at)
		})
	}
}

func TestLeavesThoughItsAgentIsGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, quorum(3), 3, agentResources)
	w.until(time.Minute, "ready", w.allReady(3))
	w.cutAgentOf(w.status().Nodes[1])
	w.until(5*time.Minute, "unreachable", func() bool { return w.status().Nodes[1].Phase == Unreachable })
	_, err := w.command(RemoveNode{Node: "node-1"})
	require.NoError(t, err)
	w.until(time.Minute, "it is forgotten", func() bool { return w.names() == "node-0 node-2" })
	for _, a := range w.agents {
		w.heal(a)
	}
	w.until(time.Hour, "what it left behind is given back", func() bool { return len(w.removed) == 1 })
}

// A replace that waits until the service can spare the node does not take place
// because the node went down meanwhile: its data may be the last.
func TestAReplaceThatWaitsDoesNotOutliveTheServer(t *testing.T) {
	t.Parallel()
	s := quorum(3)
	s.Pods[0].Spare = func(context.Context, Deployment, []Node) error { return nil }
	w := newWorld(t, s, 4, agentResources)
	may := false
	w.gate = func(job scheduler.Job) error {
		if job.Kind == spareKind && !may {
			return errors.New("3 blocks are being copied")
		}
		return nil
	}
	w.until(time.Minute, "ready", w.allReady(3))
	w.do(ReplaceNode{Node: "node-1"})
	w.until(time.Minute, "it waits", func() bool { return strings.Contains(w.status().Nodes[1].Waits, "3 blocks") })
	w.each(func(e *fakeExecutor) {
		if e.id == "db.node-1.1" {
			w.end(e, e.id, mesos.TASK_FAILED, "out of memory")
		}
	})
	dropped := "is not replaced: it went down before the service could spare it; ask again, or force it: out of memory"
	w.until(time.Minute, "it says what became of the wish", func() bool { return w.status().Nodes[1].LastFailure == dropped })
	w.until(time.Minute, "it is back", func() bool { n := w.status().Nodes[1]; return n.Ready && n.Incarnation == 2 })
	assert.Equal(t, []any{1, false}, []any{w.status().Nodes[1].Generation, w.status().Nodes[1].Replace})
	assert.Empty(t, w.removed)
	may = true
	w.do(ReplaceNode{Node: "node-1"})
	w.until(5*time.Minute, "replaced", func() bool { n := w.status().Nodes[1]; return n.Ready && n.Generation == 2 })
}
