package frameworks

import (
	"fmt"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/constraints"
)

// told are the runs of a plan that ended, newest first, each in a line.
func (w *world) told(plan string) []string {
	w.t.Helper()
	var out []string
	for _, run := range w.plan(plan).History {
		assert.Equal(w.t, "engine", run.By)
		assert.False(w.t, run.Ended.Before(run.Since))
		out = append(out, fmt.Sprintf("%d %s of %d %v, %d failures: %s", run.Run, run.State, run.Steps, run.Nodes, run.Failures, run.Why))
	}
	return out
}

// Everything that the engine did by itself is told by the history of its plans,
// which outlives the scheduler.
func TestHistoryOfTheEnginesPlans(t *testing.T) {
	t.Parallel()
	first := settings{Nodes: 3, Version: "1", Disk: 1000}
	w := newWorld(t, databaseOf(t, first), 6, agentResources)
	w.behave = failsOn("bad")
	w.until(time.Minute, "ready", w.allReady(3))
	assert.Equal(t, []string{"1 complete of 3 [node-0 node-1 node-2], 0 failures: "}, w.told("deploy"))

	w.each(func(e *fakeExecutor) {
		if e.id == "db.node-1.1" {
			w.end(e, e.id, mesos.TASK_FAILED, "exit status 3\nERROR disk full")
		}
	})
	w.until(time.Minute, "it is seen", func() bool { return w.status().Ready == 2 })
	assert.Equal(t, 1, w.plan("recovery").Run)
	w.crash()
	w.until(time.Minute, "it is back", w.allReady(3))
	w.do(ReplaceNode{Node: "node-2"})
	w.until(5*time.Minute, "replaced", func() bool { n := w.status().Nodes[2]; return n.Ready && n.Generation == 2 })
	assert.Equal(t, []string{
		"2 complete of 1 [node-2], 0 failures: node-2: it is replaced",
		"1 complete of 1 [node-1], 0 failures: node-1: exit status 3",
	}, w.told("recovery"))

	bad, more := first, first
	bad.Version, more.Nodes = "bad", 4
	w.do(Update{Options: optionsOf(t, bad)})
	w.until(10*time.Minute, "rolled back", func() bool { return len(w.plan("update").History) == 2 && w.updated(3)() })
	w.do(Update{Options: optionsOf(t, more)})
	w.until(10*time.Minute, "one more", w.updated(4))
	w.do(RemoveNode{Node: "node-3"})
	w.until(10*time.Minute, "it has left", func() bool { return len(w.status().Nodes) == 3 })
	w.crash()
	w.pass(time.Minute)
	updates := w.told("update")
	require.Len(t, updates, 2)
	assert.Equal(t, "2 complete of 1 [node-0], 0 failures: ", updates[0])
	assert.Contains(t, updates[1], "1 cancelled of 3 [node-0 node-1 node-2], 3 failures: rolled back: nodes with the new configuration failed 3 times")
	assert.JSONEq(t, string(optionsOf(t, bad)), string(w.plan("update").History[1].Parameters))
	assert.Equal(t, "2 complete of 1 [node-3], 0 failures: ", w.told("deploy")[0])
	assert.Equal(t, []string{"1 complete of 1 [node-3], 0 failures: "}, w.told("leave"))
	assert.Empty(t, w.told("uninstall"))
}

// The history is bounded, and so is what it says of each run.
func TestHistoryIsBounded(t *testing.T) {
	t.Parallel()
	const count = 2 * namesKept
	s := quorum(count)
	s.Pods[0].Place = constraints.Rules{}
	w := newWorld(t, s, 3, "cpus:40;mem:40000;disk:9000000;ports:[20000-59999]")
	w.until(time.Hour, "ready", w.allReady(count))
	deploy := w.plan("deploy").History[0]
	assert.Equal(t, []int{count, namesKept}, []int{deploy.Steps, len(deploy.Nodes)})
	for i := range runsKept + 3 {
		w.do(ReplaceNode{Node: "node-0"})
		w.until(time.Hour, "replaced", func() bool { n := w.status().Nodes[0]; return n.Ready && n.Generation == i+2 })
	}
	runs := w.plan("recovery").History
	require.Len(t, runs, runsKept)
	assert.Equal(t, []int{runsKept + 3, 4}, []int{runs[0].Run, runs[runsKept-1].Run})
}

// A step that an operator took back or forced is named.
func TestHistoryNamesWhatWasOverridden(t *testing.T) {
	t.Parallel()
	w := newWorld(t, versionedService(3), 3, agentResources)
	w.until(time.Minute, "ready", w.allReady(3))
	w.do(PausePlan{Plan: "update"})
	w.configure(version("2"))
	w.until(time.Minute, "out of date", func() bool { return w.plan("update").Steps == 3 })
	w.do(SkipStep{Plan: "update", Stage: "node", Step: "node-1"})
	w.do(ResumePlan{Plan: "update"})
	w.until(10*time.Minute, "complete", func() bool { return len(w.plan("update").History) == 1 })
	assert.Equal(t, []string{"node/node-1"}, w.plan("update").History[0].Overridden)
	assert.Equal(t, []int{2, 1, 2}, w.incarnations())
}

// An uninstall ends the runs under way, and its own with what it gave back.
func TestHistoryOfAnUninstall(t *testing.T) {
	t.Parallel()
	w := newWorld(t, quorum(3), 3, agentResources)
	w.until(time.Minute, "ready", w.allReady(3))
	w.cutAgentOf(w.status().Nodes[0])
	w.until(10*time.Minute, "lost", func() bool { return w.plan("recovery").Run == 1 })
	gone := w.tornDown()
	w.do(Uninstall{})
	assert.Equal(t, []string{"1 cancelled of 1 [node-0], 0 failures: the service is uninstalled"}, w.told("recovery"))
	w.until(time.Hour, "uninstalled", gone)
	assert.Equal(t, "1 complete of 3 [node-0 node-1 node-2], 0 failures: ", w.told("uninstall")[0])
}
