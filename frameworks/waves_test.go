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

	"github.com/mesokit/mesokit/scheduler"
)

// wavesOf rolls a service of six nodes on two racks, and returns the racks in the
// order in which their nodes were updated, and the greatest number that was down.
func wavesOf(t *testing.T, r Rollout, meanwhile func(w *world)) (racks string, down int) {
	t.Helper()
	s := versionedService(6)
	s.Pods[0].Spare = func(context.Context, Deployment, []Node) error { return nil }
	r.Parallel = 6
	s.Pods[0].Rollout = r
	w := newWorld(t, s, 6, agentResources)
	w.until(time.Minute, "ready", w.allReady(6))
	w.behave = func(w *world, e *fakeExecutor, task mesos.TaskInfo) {
		status := w.status()
		down = max(down, 6-status.Ready)
		i := slices.IndexFunc(status.Nodes, func(n NodeStatus) bool { return n.Name == task.Name })
		racks += status.Nodes[i].Place.Attribute("rack") + " "
		w.update(e, task.TaskID.Value, mesos.TASK_RUNNING, "started")
	}
	w.configure(version("2"))
	if meanwhile != nil {
		meanwhile(w)
	}
	w.until(10*time.Minute, "rolled", w.updated(6))
	assert.Equal(t, []int{2, 2, 2, 2, 2, 2}, w.incarnations())
	return strings.TrimSpace(racks), down
}

func TestRolloutByRack(t *testing.T) {
	t.Parallel()
	racks, down := wavesOf(t, Rollout{By: "rack"}, nil)
	assert.Equal(t, "r1 r1 r1 r2 r2 r2", racks)
	assert.Equal(t, 3, down, "a whole rack at once, as Parallel and Spare allow")

	// The order of the first nodes is that of the racks.
	racks, _ = wavesOf(t, Rollout{By: "rack", Order: func(_ Deployment, nodes []Node) []Node { slices.Reverse(nodes); return nodes }}, nil)
	assert.Equal(t, "r2 r2 r2 r1 r1 r1", racks)
}

func TestRolloutPausesAfterEachWave(t *testing.T) {
	t.Parallel()
	racks, _ := wavesOf(t, Rollout{By: "rack", Pause: true}, func(w *world) {
		w.until(time.Minute, "paused", func() bool { return w.pod().Rollout.Paused != "" && w.status().Ready == 6 })
		w.pass(time.Hour)
		assert.Equal(w.t, []int{2, 1, 2, 1, 2, 1}, w.incarnations())
		assert.Equal(w.t, `wave 1 is updated and ready; next is wave 2, rack "r2": resume it`, w.pod().Rollout.Paused)
		w.do(ResumePlan{Plan: "update"})
	})
	assert.Equal(t, "r1 r1 r1 r2 r2 r2", racks)
}

func TestRolloutByPercents(t *testing.T) {
	t.Parallel()
	seen := map[string]int{}
	_, down := wavesOf(t, Rollout{Percents: []int{10, 50}, Pause: true}, func(w *world) {
		for _, updated := range []int{1, 3} {
			w.until(time.Minute, "paused", func() bool { return w.pod().Rollout.Paused != "" && w.status().Ready == 6 })
			w.pass(time.Hour)
			count := 0
			for _, n := range w.status().Nodes {
				if !n.Outdated() {
					count++
				}
			}
			assert.Equal(w.t, updated, count)
			seen[w.pod().Rollout.Paused] = count
			w.do(ResumePlan{Plan: "update"})
		}
	})
	assert.Equal(t, 3, down)
	assert.Equal(t, map[string]int{
		"wave 1 is updated and ready; next is wave 2, up to 50 percent (3 of 6 nodes): resume it": 1,
		"wave 2 is updated and ready; next is wave 3, all that are left: resume it":               3,
	}, seen)
}

// The scheduler dies at each point of a rollout in waves: no wave begins before
// the one before it is ready.
func TestWavesSurviveDeathAtEveryPoint(t *testing.T) {
	t.Parallel()
	roll := func(w *world, die int) int {
		w.until(time.Minute, "ready", w.allReady(4))
		w.behave = func(w *world, e *fakeExecutor, task mesos.TaskInfo) {
			if s := w.status(); strings.HasSuffix(task.TaskID.Value, "-1.2") || strings.HasSuffix(task.TaskID.Value, "-3.2") {
				assert.False(w.t, s.Nodes[0].Outdated() || s.Nodes[2].Outdated(), "rack r1 goes first")
			}
			w.update(e, task.TaskID.Value, mesos.TASK_RUNNING, "started")
		}
		w.configure(version("2"))
		from := w.points
		if die > 0 {
			w.dieAt = from + die
		}
		w.until(10*time.Minute, "rolled", w.updated(4))
		return w.points - from
	}
	four := func(t *testing.T) *world {
		s := versionedService(4)
		s.Pods[0].Rollout = Rollout{By: "rack", Parallel: 2}
		return newWorld(t, s, 4, agentResources)
	}
	points := roll(four(t), 0)
	require.Greater(t, points, 20)
	for at := range deaths(points) {
		t.Run(fmt.Sprint(at), func(t *testing.T) {
			t.Parallel()
			roll(four(t), at)
		})
	}
}

// What is out of reach holds no wave up, and says what it waits for.
func TestAWaveGoesOnWithoutWhatIsOutOfReach(t *testing.T) {
	t.Parallel()
	wavesOf(t, Rollout{By: "rack"}, nil)
	s := versionedService(4)
	s.Pods[0].Spare = func(context.Context, Deployment, []Node) error { return nil }
	s.Pods[0].Rollout = Rollout{By: "rack"}
	w := newWorld(t, s, 4, agentResources)
	w.until(time.Minute, "ready", w.allReady(4))
	away := w.status().Nodes[2] // on r1
	w.cutAgentOf(away)
	w.until(5*time.Minute, "unreachable", func() bool { return w.status().Nodes[2].Phase == Unreachable })
	w.configure(version("2"))
	w.until(10*time.Minute, "the others are updated", func() bool { return slices.Equal(w.incarnations(), []int{2, 2, 1, 2}) && w.status().Ready == 3 })
	w.heal(w.agentOf(away))
	w.until(10*time.Minute, "so is it", w.updated(4))
}

// A node that never served is brought to what mends it whichever wave it would be
// in: as long as it does not serve, none of the first wave can be spared. The
// simulator found it.
func TestAWaveDoesNotWaitForWhatItWouldMend(t *testing.T) {
	t.Parallel()
	s := versionedService(4)
	s.Pods[0].Spare, s.Pods[0].Rollout = nil, Rollout{By: "rack"}
	w := newWorld(t, s, 4, agentResources)
	w.gate = func(job scheduler.Job) error {
		if job.Name == "gate/db.node-1.1" { // on r2
			return errors.New("it never serves")
		}
		return nil
	}
	w.until(10*time.Minute, "three are ready", func() bool { return w.status().Ready == 3 })
	w.configure(version("2"))
	w.until(10*time.Minute, "rolled", w.updated(4))
	assert.Equal(t, []int{2, 2, 2, 2}, w.incarnations())
}

func TestRolloutsThatCannotBe(t *testing.T) {
	t.Parallel()
	for want, r := range map[string]Rollout{
		`Service.Pods[0].Rollout.Percents: []int{50, 10}: wants percents that rise`: {Percents: []int{50, 10}},
		`Service.Pods[0].Rollout.Percents: []int{0}: wants percents that rise`:      {Percents: []int{0}},
		`Service.Pods[0].Rollout.By: "rack": wants no Percents beside it`:           {By: "rack", Percents: []int{10}},
		`Service.Pods[0].Rollout.Pause: true: wants waves to pause between`:         {Pause: true},
		`Service.Pods[0].Rollout.Patience: -1: wants a duration of 0 or more`:       {Patience: -1},
		`Service.Pods[0].Rollout: "Parallel -1, Canary 0, Failures 0": wants`:       {Parallel: -1},
	} {
		s := versionedService(1)
		s.Pods[0].Rollout = r
		require.ErrorContains(t, s.Validate(), want)
	}
}
