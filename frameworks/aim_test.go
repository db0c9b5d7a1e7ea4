package frameworks

import (
	"slices"
	"strings"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/executor"
)

// job is a service whose pod schema does its work before its two servers start.
func job(aim Aim) *Service {
	s := versionedService(2)
	server := s.Pods[0]
	server.Name, server.After = "server", []string{"schema"}
	schema := Pod{Name: "schema", Count: 1, Aim: aim, Needs: server.Needs}
	version("1")(&schema)
	s.Pods = []Pod{schema, server}
	return s
}

// jobWorld is a world in which the tasks of pod schema end well, after the given
// number of failures.
func jobWorld(t *testing.T, s *Service, failures int) *world {
	w := newWorld(t, s, 3, agentResources)
	w.behave = func(w *world, e *fakeExecutor, task mesos.TaskInfo) {
		w.update(e, task.TaskID.Value, mesos.TASK_RUNNING, "started")
		switch {
		case !strings.HasPrefix(task.Name, "schema"):
		case failures > 0:
			failures--
			w.after(10*time.Second, func() { w.end(e, task.TaskID.Value, mesos.TASK_FAILED, "no such table") })
		default:
			w.after(10*time.Second, func() { w.end(e, task.TaskID.Value, mesos.TASK_FINISHED, "migrated") })
		}
	}
	return w
}

// happened says where in the notes a text comes first after another.
func (w *world) happened(from int, text string) int {
	for i := from; i < len(w.notes); i++ {
		if strings.HasPrefix(w.notes[i], text) {
			return i
		}
	}
	return -1
}

func TestWorkIsDoneBeforeTheServersStart(t *testing.T) {
	t.Parallel()
	w := jobWorld(t, job(AimFinish), 2)
	w.until(time.Minute, "it has failed", func() bool { return w.status().Nodes[0].Failures > 0 })
	assert.Contains(t, w.status().Nodes[0].LastFailure, "no such table")
	assert.NotEqual(t, Ready, w.status().Nodes[1].Phase)
	w.until(5*time.Minute, "ready", w.allReady(3))
	n := w.status().Nodes[0]
	assert.Equal(t, Finished, n.Phase)
	assert.Equal(t, 3, n.Incarnation)
	assert.Zero(t, n.Failures)
	finished := w.happened(0, "finished node=schema-0")
	assert.Greater(t, w.happened(0, "launched node=server-0"), finished)
	i := slices.IndexFunc(w.status().Plans, func(p PlanStatus) bool { return p.Name == "deploy" })
	assert.Equal(t, PlanComplete, w.status().Plans[i].State)

	w.crash()
	w.pass(24 * time.Hour)
	assert.Equal(t, 3, w.status().Nodes[0].Incarnation, "it is not done again")
}

func TestWorkIsDoneAgainWithEachConfiguration(t *testing.T) {
	t.Parallel()
	for _, aim := range []Aim{AimFinish, AimOnce} {
		t.Run(string(aim), func(t *testing.T) {
			t.Parallel()
			w := jobWorld(t, job(aim), 0)
			w.until(5*time.Minute, "ready", w.allReady(3))
			from := len(w.notes)
			version("2")(&w.service.Pods[1])
			w.configure(version("2"))
			w.until(10*time.Minute, "updated", func() bool {
				s := w.status()
				return s.Ready == 3 && s.Nodes[1].Incarnation == 2 && s.Nodes[2].Incarnation == 2
			})
			w.pass(time.Hour)
			n := w.status().Nodes[0]
			assert.False(t, n.Outdated())
			if aim == AimOnce {
				assert.Equal(t, 1, n.Incarnation, "never again")
				return
			}
			assert.Equal(t, 2, n.Incarnation)
			assert.Less(t, w.happened(from, "finished node=schema-0"), w.happened(from, "stopping node=server"),
				"the servers are updated when the work is done")
		})
	}
}

// The work comes after the servers, such as a check of what they were brought to.
func TestWorkComesAfterTheRolloutOfServers(t *testing.T) {
	t.Parallel()
	s := job(AimFinish)
	s.Pods[0].After, s.Pods[1].After = []string{"server"}, nil
	w := jobWorld(t, s, 0)
	w.until(5*time.Minute, "ready", w.allReady(3))
	from := len(w.notes)
	version("2")(&w.service.Pods[1])
	w.configure(version("2"))
	w.until(20*time.Minute, "done again", func() bool { return w.status().Nodes[0].Incarnation == 2 && w.status().Ready == 3 })
	assert.Greater(t, w.happened(from, "launched node=schema-0"), w.happened(from, "rollout complete pod=server"))
}

func TestAnOperatorHasWorkDoneAgain(t *testing.T) {
	t.Parallel()
	w := jobWorld(t, job(AimOnce), 0)
	w.until(5*time.Minute, "ready", w.allReady(3))
	_, err := w.command(RestartNode{Node: "schema-0"})
	require.ErrorIs(t, err, ErrRefused)
	assert.ErrorContains(t, err, "it has ended well, and runs once")
	w.do(RestartNode{Node: "schema-0", Force: true})
	w.until(5*time.Minute, "again", func() bool { n := w.status().Nodes[0]; return n.Incarnation == 2 && n.Phase == Finished })
	w.do(ReplaceNode{Node: "schema-0", Force: true})
	w.until(5*time.Minute, "replaced", func() bool { n := w.status().Nodes[0]; return n.Generation == 2 && n.Phase == Finished })
	w.do(Uninstall{})
	w.until(time.Hour, "uninstalled", w.tornDown())
}

// A scheduler that dies at any point has the work done, and not twice: Mesos
// tells the next one of an end that nobody has acknowledged.
func TestWorkSurvivesDeathAtEveryPoint(t *testing.T) {
	t.Parallel()
	run := func(t *testing.T, at int) int {
		w := jobWorld(t, job(AimOnce), 0)
		w.dieAt = at
		w.until(10*time.Minute, "ready", w.allReady(3))
		points := w.points
		w.pass(time.Hour)
		begun := 0
		for id, times := range w.started {
			if strings.HasPrefix(id, "db.schema-0.") {
				begun += times
			}
		}
		assert.Equal(t, 1, begun, "the work was begun once")
		return points
	}
	points := run(t, 0)
	for at := range deaths(points) {
		run(t, at)
	}
}

func TestAimIsValidated(t *testing.T) {
	t.Parallel()
	s := job("done")
	assert.ErrorContains(t, s.Validate(), `Service.Pods[0].Aim: "done": wants AimRun, AimFinish`)
	s = job(AimOnce)
	s.Pods[0].Task = func(Deployment, Node) (executor.Task, error) { return executor.Task{}, nil }
	s.Pods[0].Ready = TCP("peer")
	assert.ErrorContains(t, s.Validate(), "wants no Ready, Leave or Spare")
}
