package frameworks

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/internal/model"
	"github.com/mesokit/mesokit/scheduler"
)

// Every state that Mesos may tell of a task that ran, and what comes of it by
// default: the table of Recovery.
func TestWhatEachStateLeadsTo(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		state    mesos.TaskState
		reason   mesos.TaskStatus_Reason
		failure  bool // it counts as a failure of the server
		again    bool // it is launched again
		replaced bool // in another place
	}{
		"failed":                  {state: mesos.TASK_FAILED, failure: true, again: true},
		"finished":                {state: mesos.TASK_FINISHED, failure: true, again: true},
		"error":                   {state: mesos.TASK_ERROR, failure: true, again: true},
		"killed by nobody":        {state: mesos.TASK_KILLED, failure: true, again: true},
		"killed by a drain":       {state: mesos.TASK_KILLED, reason: mesos.REASON_AGENT_DRAINING, again: true},
		"dropped":                 {state: mesos.TASK_DROPPED, again: true},
		"dropped, offer was gone": {state: mesos.TASK_DROPPED, reason: mesos.REASON_INVALID_OFFERS, again: true},
		"lost":                    {state: mesos.TASK_LOST, reason: mesos.REASON_RECONCILIATION, again: true},
		"gone":                    {state: mesos.TASK_GONE, again: true},
		"gone by operator":        {state: mesos.TASK_GONE_BY_OPERATOR, again: true, replaced: true},
		"unreachable":             {state: mesos.TASK_UNREACHABLE},
		"running":                 {state: mesos.TASK_RUNNING},
		"starting":                {state: mesos.TASK_STARTING},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, versionedService(1), 2, agentResources)
			w.until(time.Minute, "ready", w.allReady(1))
			before := w.status().Nodes[0]
			status := mesos.TaskStatus{
				TaskID: mesos.TaskID{Value: before.Task}, State: &c.state, Source: mesos.SOURCE_MASTER.Enum(),
				AgentID: &mesos.AgentID{Value: before.Place.Agent},
			}
			if c.reason != 0 {
				status.Reason = &c.reason
			}
			w.step(scheduler.Updated{Status: status})
			after := w.status().Nodes[0]
			assert.Equal(t, c.failure, after.Failures > 0, "a failure")
			if !c.again {
				assert.Equal(t, before.Task, after.Task)
				return
			}
			if scheduler.Terminal(c.state) { // the agent learns it too
				w.each(func(e *fakeExecutor) { w.exit(e.agent, e.container, 0) })
			}
			w.until(5*time.Minute, "launched again", func() bool {
				n := w.status().Nodes[0]
				return n.Incarnation > before.Incarnation && n.Phase == Ready
			})
			assert.Equal(t, c.replaced, w.status().Nodes[0].Generation > 1, "replaced")
		})
	}
}

func (w *world) agentOf(n NodeStatus) *fakeAgent {
	w.t.Helper()
	for _, a := range w.agents {
		if a.model.ID() == n.Place.Agent {
			return a
		}
	}
	w.t.Fatalf("%s is on no agent", n.Name)
	return nil
}

func lostAfter(count int, after time.Duration) *Service {
	s := versionedService(count)
	s.Pods[0].Recovery.After = after
	return s
}

func TestALostNodeIsReplacedAfterItsTime(t *testing.T) {
	t.Parallel()
	w := newWorld(t, lostAfter(3, time.Hour), 4, agentResources)
	w.until(time.Minute, "ready", w.allReady(3))
	lost := w.status().Nodes[1]
	w.cutAgentOf(lost)
	w.until(5*time.Minute, "unreachable", func() bool { return w.status().Nodes[1].Phase == Unreachable })
	w.pass(50 * time.Minute)
	assert.Equal(t, 1, w.status().Nodes[1].Generation)
	w.until(30*time.Minute, "replaced", w.allReady(3))
	n := w.status().Nodes[1]
	assert.Equal(t, 2, n.Generation)
	assert.Contains(t, strings.Join(w.notes, "\n"), "replaced by itself node=node-1 why=it was lost for 1h0m0s")

	// It comes back: its task is killed, and its place is given back.
	w.heal(w.agentOf(lost))
	w.until(time.Hour, "put out", func() bool { return w.removed[volumeOf(lost)] == 1 })
	assert.Equal(t, 3, w.status().Ready)
}

// The agent goes while its node is down anyway: nobody says UNREACHABLE.
func TestANodeWhosePlaceIsNotOfferedIsLost(t *testing.T) {
	t.Parallel()
	w := newWorld(t, lostAfter(3, time.Hour), 4, agentResources)
	w.until(time.Minute, "ready", w.allReady(3))
	_, err := w.command(StopNode{Node: "node-1"})
	require.NoError(t, err)
	w.until(time.Minute, "stopped", func() bool { return w.status().Nodes[1].Phase == Stopped })
	w.cutAgentOf(w.status().Nodes[1])
	w.pass(2 * time.Hour)
	_, err = w.command(StartNode{Node: "node-1"})
	require.NoError(t, err)
	w.pass(50 * time.Minute)
	assert.Equal(t, 1, w.status().Nodes[1].Generation, "the time that it was to be stopped does not count")
	w.until(30*time.Minute, "replaced", w.allReady(3))
}

func TestABrokenRackSetsOffNoStorm(t *testing.T) {
	t.Parallel()
	s := lostAfter(4, time.Hour)
	w := newWorld(t, s, 8, agentResources)
	w.until(time.Minute, "ready", w.allReady(4))
	for _, n := range w.status().Nodes[1:3] {
		w.cutAgentOf(n)
	}
	w.pass(24 * time.Hour)
	for _, n := range w.status().Nodes {
		assert.Equal(t, 1, n.Generation, n.Name)
	}
	assert.Contains(t, w.status().Nodes[1].Waits, "2 nodes are lost at once")
	_, err := w.command(ReplaceNode{Node: "node-2"})
	require.NoError(t, err)
	w.until(time.Hour, "the operator's is replaced, and then the one that is left", w.allReady(4))
	assert.Equal(t, 2, w.status().Nodes[1].Generation)
}

// An operator declares agents gone: their nodes are replaced at once, but one
// after the other, and only where the pod lets them.
func TestAgentsGoneByOperator(t *testing.T) {
	t.Parallel()
	s := versionedService(3)
	s.Pods[0].Replaceable = func(d Deployment, n Node) error {
		for _, m := range d.Nodes {
			if m.Name != n.Name && m.Replace {
				return errors.New(m.Name + " moves")
			}
		}
		return nil
	}
	s.Pods[0].Recovery.Gap = time.Minute
	w := newWorld(t, s, 6, agentResources)
	w.until(time.Minute, "ready", w.allReady(3))
	for _, n := range w.status().Nodes[:2] {
		w.agentOf(n).cut = true
		w.mesos(model.Operate{Request: model.MarkGone{ID: n.Place.Agent}})
	}
	w.until(time.Minute, "the first is ready elsewhere", func() bool { return w.status().Nodes[0].arrivedIn(2) })
	assert.Equal(t, 1, w.status().Nodes[1].Generation)
	w.until(5*time.Minute, "the second as well", func() bool { return w.status().Nodes[1].arrivedIn(2) })

	stay := versionedService(1)
	stay.Pods[0].Recovery.Stay = true
	w = newWorld(t, stay, 2, agentResources)
	w.until(time.Minute, "ready", w.allReady(1))
	n := w.status().Nodes[0]
	w.agentOf(n).cut = true
	w.mesos(model.Operate{Request: model.MarkGone{ID: n.Place.Agent}})
	w.pass(24 * time.Hour)
	assert.Equal(t, 1, w.status().Nodes[0].Generation)
}

func (n NodeStatus) arrivedIn(generation int) bool { return n.Arrived == generation && n.Ready }

func TestDrainedNodeComesBackWithoutFault(t *testing.T) {
	t.Parallel()
	w := newWorld(t, versionedService(2), 3, agentResources)
	w.until(time.Minute, "ready", w.allReady(2))
	n := w.status().Nodes[0]
	w.mesos(model.Operate{Request: model.Drain{ID: n.Place.Agent}})
	w.until(time.Minute, "it is down", func() bool { return w.status().Ready == 1 })
	w.pass(10 * time.Minute)
	after := w.status().Nodes[0]
	assert.Zero(t, after.Failures)
	assert.Equal(t, n.Place.Agent, after.Place.Agent)
	w.mesos(model.Operate{Request: model.Deactivate{ID: n.Place.Agent, On: true}})
	w.until(10*time.Minute, "it is back on its volume", w.allReady(2))
	assert.Equal(t, 1, w.status().Nodes[0].Generation)
}

// A node whose offers nobody wants is not lost: its agent is healthy, and so is
// its volume.
func TestANodeThatBacksOffIsNotLost(t *testing.T) {
	t.Parallel()
	w := newWorld(t, lostAfter(1, 2*time.Minute), 2, agentResources)
	w.until(time.Minute, "ready", w.allReady(1))
	before := w.status().Nodes[0]
	w.behave = func(w *world, e *fakeExecutor, task mesos.TaskInfo) {
		w.end(e, task.TaskID.Value, mesos.TASK_FAILED, "bad luck")
	}
	w.each(func(e *fakeExecutor) { w.end(e, before.Task, mesos.TASK_FAILED, "boom") })
	w.pass(2 * time.Hour)
	n := w.status().Nodes[0]
	assert.Greater(t, n.Failures, 5)
	assert.Equal(t, 1, n.Generation)
	assert.Zero(t, w.removed[volumeOf(before)])

	// Its agent goes: now it is lost, as soon as it is sought.
	w.behave = nil
	w.cutAgentOf(n)
	w.until(30*time.Minute, "replaced", w.allReady(1))
	assert.Equal(t, 2, w.status().Nodes[0].Generation)
}

// What was not offered while the scheduler was away does not count.
func TestASchedulerThatWasAwayReplacesNobody(t *testing.T) {
	t.Parallel()
	for name, fenced := range map[string]bool{"idle": false, "fenced": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := lostAfter(1, 10*time.Minute)
			if fenced {
				s.Routines = []Routine{fences("node-0")}
			}
			w := newWorld(t, s, 2, agentResources)
			if fenced {
				w.until(time.Minute, "fenced", func() bool { return w.status().Nodes[0].Phase == Fenced })
				w.pass(time.Hour)
			} else {
				w.until(time.Minute, "ready", w.allReady(1))
				before := w.status().Nodes[0]
				w.each(func(e *fakeExecutor) { w.end(e, before.Task, mesos.TASK_FAILED, "boom") })
				w.until(time.Minute, "failed", func() bool { return w.status().Nodes[0].Failures > 0 })
			}
			w.now = w.now.Add(time.Hour)
			w.crash()
			w.pass(5 * time.Minute)
			assert.Equal(t, 1, w.status().Nodes[0].Generation)
			assert.Empty(t, w.removed)
		})
	}
}

// fences is a routine that lets a node get ready, and then nothing of it run.
func fences(node string) Routine { return fencesWhen(node, Ready) }

// fencesWhen fences a node when it comes to a phase.
func fencesWhen(node string, phase Phase) Routine {
	return RoutineOf[int, int]{
		Name: "r", Look: func(context.Context, Deployment, int) (int, error) { return 0, nil },
		Decide: func(_ time.Time, d Deployment, before int, _ News[int]) (int, []Order) {
			if before == 0 && d.Phase(node) == phase {
				return 1, []Order{Fence{node}}
			}
			return before, nil
		},
	}.Routine()
}

// The agent of a node that was to stop anyway is declared gone: the place is no
// more, all the same.
func TestGoneByOperatorWhileItsEndIsAskedFor(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ command, then any }{
		"restarted": {RestartNode{Node: "node-0", Force: true}, AskStatus{}},
		"stopped":   {StopNode{Node: "node-0"}, StartNode{Node: "node-0"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, versionedService(1), 2, agentResources)
			w.until(time.Minute, "ready", w.allReady(1))
			n := w.status().Nodes[0]
			w.agentOf(n).cut = true
			w.do(c.command)
			w.mesos(model.Operate{Request: model.MarkGone{ID: n.Place.Agent}})
			w.pass(30 * time.Second)
			w.do(c.then)
			w.until(5*time.Minute, "ready elsewhere", func() bool { return w.status().Nodes[0].arrivedIn(2) })
		})
	}
}

// Only the time counts for which a place was sought without a break: neither
// that of a scheduler that was away, nor that of a node that was to be stopped.
func TestTheTimeOfALostNodeBeginsAnew(t *testing.T) {
	t.Parallel()
	for name, unsought := range map[string]func(*world){
		"stopped": func(w *world) {
			w.do(StopNode{Node: "node-0"})
			w.pass(2 * time.Hour)
			w.do(StartNode{Node: "node-0"})
		},
		"scheduler away": func(w *world) {
			w.mesos(model.StreamClosed{Stream: w.stream})
			w.now = w.now.Add(2 * time.Hour)
			var err error
			w.machine, err = scheduler.NewMachine(w.handler, []byte(w.seed), w.records())
			require.NoError(t, err)
			w.subscribe() // the first that it hears of
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, lostAfter(1, time.Hour), 2, agentResources)
			w.until(time.Minute, "ready", w.allReady(1))
			w.do(StopNode{Node: "node-0"})
			w.until(time.Minute, "stopped", func() bool { return w.status().Nodes[0].Phase == Stopped })
			w.cutAgentOf(w.status().Nodes[0])
			w.pass(time.Hour) // the master knows it
			w.do(StartNode{Node: "node-0"})
			w.pass(30 * time.Minute)
			require.False(t, w.status().Nodes[0].Lost.IsZero())
			unsought(w)
			w.pass(50 * time.Minute)
			assert.Equal(t, 1, w.status().Nodes[0].Generation)
			w.until(30*time.Minute, "replaced", w.allReady(1))
		})
	}
}
