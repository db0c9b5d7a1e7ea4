package frameworks

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/executor"
	"github.com/mesokit/mesokit/scheduler"
)

// configure starts the scheduler again with another declaration.
func (w *world) configure(change func(*Pod)) {
	change(&w.service.Pods[0])
	w.crash()
}

// version renders a pod's tasks with a number in them.
func version(number string) func(*Pod) {
	return func(p *Pod) {
		p.Task = func(d Deployment, n Node) (executor.Task, error) {
			return executor.Task{Command: []string{"db", "-version", number}}, nil
		}
	}
}

// versionedService is a service of n nodes of version 1.
func versionedService(n int) *Service {
	s := quorum(n)
	version("1")(&s.Pods[0])
	return s
}

func (w *world) updated(n int) func() bool {
	return func() bool {
		s := w.status()
		current := 0
		for _, node := range s.Nodes {
			if !node.Outdated() {
				current++
			}
		}
		return current == n && s.Ready == len(s.Nodes) && w.pod().Rollout.Since.IsZero()
	}
}

// pod is what the store has of the first pod.
func (w *world) pod() podRecord {
	records, err := w.store.Load(w.t.Context())
	require.NoError(w.t, err)
	for _, r := range records {
		if strings.HasSuffix(r.Key, w.service.Name+"/pod/"+w.service.Pods[0].Name) {
			record, err := decode[podRecord](r.Value)
			require.NoError(w.t, err)
			return *record
		}
	}
	return podRecord{}
}

func TestAnArrivalMakesNobodyOutOfDate(t *testing.T) {
	t.Parallel()
	s := quorum(3)
	s.Pods[0].Task = func(d Deployment, n Node) (executor.Task, error) {
		members := 0
		for _, m := range d.Nodes {
			if m.Arrived > 0 {
				members++
			}
		}
		return executor.Task{Command: []string{"db", fmt.Sprint(n.Arrived, n.Former, members, n.Incarnation)}}, nil
	}
	w := newWorld(t, s, 4, agentResources)
	w.until(time.Minute, "ready", w.allReady(3))
	_, err := w.command(RestartNode{Node: "node-0"})
	require.NoError(t, err)
	w.until(time.Minute, "restarted", func() bool { return w.status().Nodes[0].Incarnation == 2 && w.status().Ready == 3 })
	w.pass(time.Minute)
	for i, n := range w.status().Nodes {
		assert.False(t, n.Outdated(), n.Name)
		assert.Equal(t, []int{2, 1, 1}[i], n.Incarnation, n.Name)
		assert.Equal(t, 1, n.Arrived, n.Name)
	}
}

func TestRollsOneAfterTheOther(t *testing.T) {
	t.Parallel()
	w := newWorld(t, versionedService(3), 4, agentResources)
	w.until(time.Minute, "ready", w.allReady(3))
	least := 3
	w.behave = func(w *world, e *fakeExecutor, task mesos.TaskInfo) {
		w.update(e, task.TaskID.Value, mesos.TASK_RUNNING, "started")
		least = min(least, w.status().Ready)
	}
	w.configure(version("2"))
	w.until(5*time.Minute, "rolled", w.updated(3))
	assert.Equal(t, 2, least, "one is down at a time")
	for _, n := range w.status().Nodes {
		assert.Equal(t, 2, n.Incarnation, n.Name)
		assert.Zero(t, n.Failures, n.Name)
	}
}

// The scheduler dies at each point of a rollout, and another goes on.
func TestRolloutSurvivesDeathAtEveryPoint(t *testing.T) {
	t.Parallel()
	roll := func(w *world, die int) (from, to int) {
		w.until(time.Minute, "ready", w.allReady(2))
		w.configure(version("2"))
		from = w.points
		if die > 0 {
			w.dieAt = w.points + die
		}
		w.until(5*time.Minute, "rolled", w.updated(2))
		return from, w.points
	}
	from, to := roll(newWorld(t, versionedService(2), 2, agentResources), 0)
	require.Greater(t, to-from, 20)
	for at := range deaths(to - from) {
		t.Run(fmt.Sprint(at), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, versionedService(2), 2, agentResources)
			roll(w, at)
			for _, n := range w.status().Nodes {
				assert.Equal(t, 1, n.Generation, n.Name)
				assert.LessOrEqual(t, n.Incarnation, 3, n.Name)
				assert.Zero(t, n.Failures, n.Name)
			}
		})
	}
}

func TestEssence(t *testing.T) {
	t.Parallel()
	s := versionedService(2)
	s.Pods[0].Essence = func(task executor.Task) executor.Task { task.Command = nil; return task }
	w := newWorld(t, s, 3, agentResources)
	w.until(time.Minute, "ready", w.allReady(2))
	w.configure(version("2"))
	w.pass(time.Minute)
	for _, n := range w.status().Nodes {
		assert.Equal(t, 1, n.Incarnation, "%s: what changed does not count", n.Name)
	}
}

func TestRolloutTakesAsManyAsCanBeSpared(t *testing.T) {
	t.Parallel()
	s := versionedService(6)
	s.Pods[0].Spare = func(_ context.Context, _ Deployment, _ []Node) error { return nil }
	s.Pods[0].Rollout = Rollout{Parallel: 4, Order: func(_ Deployment, nodes []Node) []Node {
		slices.Reverse(nodes)
		return nodes
	}}
	w := newWorld(t, s, 6, agentResources)
	w.until(time.Minute, "ready", w.allReady(6))
	var asked [][]string
	w.gate = func(job scheduler.Job) error {
		if job.Kind != spareKind {
			return nil
		}
		in := w.input(job)
		var names []string
		for _, n := range in.Nodes {
			names = append(names, n.Name)
		}
		asked = append(asked, names)
		if len(names) > 2 {
			return errors.New("more than two hold a partition together")
		}
		return nil
	}
	w.configure(version("2"))
	w.until(5*time.Minute, "rolled", w.updated(6))
	assert.Equal(t, []string{"node-5", "node-4", "node-3", "node-2"}, asked[0])
	assert.Equal(t, []string{"node-5", "node-4"}, asked[1])
}

func TestCanaryWaitsForAnOperator(t *testing.T) {
	t.Parallel()
	s := versionedService(3)
	s.Pods[0].Rollout.Canary = 1
	w := newWorld(t, s, 3, agentResources)
	w.until(time.Minute, "ready", w.allReady(3))
	w.configure(version("2"))
	w.until(time.Minute, "paused", func() bool { return w.pod().Rollout.Paused != "" && w.status().Ready == 3 })
	w.pass(time.Hour)
	assert.Equal(t, []int{2, 1, 1}, w.incarnations())
	_, err := w.command(ResumePlan{Plan: "update"})
	require.NoError(t, err)
	w.until(time.Minute, "rolled", w.updated(3))
	assert.Equal(t, []int{2, 2, 2}, w.incarnations())
}

func (w *world) incarnations() []int {
	var out []int
	for _, n := range w.status().Nodes {
		out = append(out, n.Incarnation)
	}
	return out
}

// A configuration with which no server starts stops at the first node, and the
// right one is taken at once: by that node first.
func TestBadConfigurationStopsAndTheGoodOneIsTaken(t *testing.T) {
	t.Parallel()
	w := newWorld(t, versionedService(3), 3, agentResources)
	w.behave = func(w *world, e *fakeExecutor, task mesos.TaskInfo) {
		if strings.Contains(string(task.Data), `"bad"`) {
			w.end(e, task.TaskID.Value, mesos.TASK_FAILED, "ERROR no such option")
			return
		}
		w.update(e, task.TaskID.Value, mesos.TASK_RUNNING, "started")
	}
	w.until(time.Minute, "ready", w.allReady(3))
	w.configure(version("bad"))
	w.until(5*time.Minute, "the budget is spent", func() bool { return strings.Contains(w.pod().Rollout.Paused, "failed 3 times") })
	w.pass(10 * time.Minute)
	nodes := w.status().Nodes
	assert.Equal(t, 2, w.status().Ready, "the others run as they were")
	assert.Contains(t, nodes[0].LastFailure, "no such option")
	w.configure(version("good"))
	w.until(time.Minute, "rolled", w.updated(3))
	assert.Zero(t, w.status().Nodes[0].Failures)
}

// A configuration that starts and never gets ready counts as failed each time that
// the pod's patience has passed.
func TestWhatNeverGetsReadyIsRolledBack(t *testing.T) {
	t.Parallel()
	first := settings{Nodes: 3, Version: "1", Disk: 1000}
	w := newWorld(t, databaseOf(t, first), 4, agentResources)
	w.until(time.Minute, "ready", w.allReady(3))
	hangs := func(job scheduler.Job) error {
		if in, ok := job.Value.(gateInput); ok && job.Kind == gateKind && in.Nodes[0].Config != in.nodes[1].Config {
			return errors.New("it hangs")
		}
		return nil
	}
	w.gate = hangs
	hung := first
	hung.Version = "hangs"
	w.do(Update{Options: optionsOf(t, hung)})
	w.pass(25 * time.Minute)
	n := w.status().Nodes[0]
	assert.Equal(t, []any{Started, 0, "it hangs"}, []any{n.Phase, n.Failures, n.Waits}, "it is not stopped for that")
	w.until(10*time.Minute, "it is as it was", func() bool {
		o := w.status().Options
		return strings.Contains(o.Trouble, "rolled back: nodes with the new configuration failed 3 times, the last node-0: not ready within 10m0s: it hangs") && w.updated(3)()
	})
	assert.Equal(t, []int{1, 1}, w.incarnations()[1:], "the others were not touched")
}

// A node out of reach holds up neither its own pod's rollout nor those of later
// pods, and everybody says what they wait for.
func TestANodeOutOfReachHoldsUpNoOtherPod(t *testing.T) {
	t.Parallel()
	s := twoPods(2, 2)
	version("1")(&s.Pods[0])
	version("1")(&s.Pods[1])
	w := newWorld(t, s, 6, agentResources)
	w.until(5*time.Minute, "ready", w.allReady(4))
	away := w.status().Nodes[1]
	others := slices.DeleteFunc(w.status().Nodes, func(n NodeStatus) bool { return n.Name == away.Name || n.Place.Agent != away.Place.Agent })
	w.cutAgentOf(away)
	w.until(5*time.Minute, "unreachable", func() bool { return w.status().Nodes[1].Phase == Unreachable })
	version("2")(&s.Pods[1])
	w.configure(version("2"))
	w.pass(10 * time.Minute)
	for _, n := range w.status().Nodes {
		if n.Place.Agent == away.Place.Agent {
			assert.Contains(t, n.Waits, "which cannot be reached", n.Name)
			continue
		}
		assert.True(t, n.Pod == "node" && len(others) > 0 || !n.Outdated() && n.Ready, "%s: %s", n.Name, n.Waits)
	}
	w.heal(w.agentOf(away))
	w.until(10*time.Minute, "rolled", w.updated(4))
}
