package frameworks

import (
	"context"
	"errors"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/scheduler"
)

// states are those of a plan's steps, in order.
func states(p PlanStatus) []StepState {
	var out []StepState
	for _, stage := range p.Stages {
		for _, step := range stage.Steps {
			out = append(out, step.State)
		}
	}
	return out
}

func TestDeployIsShownPausedAndForced(t *testing.T) {
	t.Parallel()
	s := twoPods(1, 2)
	s.Pods[0].After = []string{"node"}
	w := newWorld(t, s, 4, agentResources)
	w.do(PausePlan{Plan: "deploy"})
	w.pass(time.Hour)
	assert.Empty(t, w.launches())
	assert.Equal(t, PlanPaused, w.plan("deploy").State)
	w.crash()
	w.pass(time.Hour)
	assert.Empty(t, w.launches(), "a pause outlives the scheduler")
	_, err := w.command(ForceStep{Plan: "deploy", Stage: "node", Step: "node-0"})
	require.ErrorIs(t, err, ErrRefused, "nothing was formatted that could be a member")
	w.gate = func(job scheduler.Job) error { return errors.New("never") }
	w.do(ResumePlan{Plan: "deploy"})
	w.until(time.Minute, "two run", func() bool { return w.status().Nodes[2].Phase == Started })
	p := w.plan("deploy")
	assert.Equal(t, []StepState{StepPending, StepRunning, StepRunning}, states(p))
	assert.Equal(t, []string{"node"}, p.Stages[0].After)
	assert.Equal(t, "node-0 to arrive (pod aux comes after pod node)", p.Stages[0].Steps[0].Waits)

	_, err = w.command(ForceStep{Plan: "deploy", Stage: "aux", Step: "node-0"})
	require.ErrorIs(t, err, ErrUnknown)
	_, err = w.command(StartPlan{Plan: "deploy"})
	require.ErrorIs(t, err, ErrRefused)
	w.do(ForceStep{Plan: "deploy", Stage: "node", Step: "node-0"})
	w.do(SkipStep{Plan: "deploy", Stage: "node", Step: "node-1"})
	assert.Equal(t, []StepState{StepComplete, StepSkipped}, states(w.plan("deploy"))[1:])
	w.until(time.Minute, "the next pod starts", func() bool { return w.status().Nodes[0].Incarnation == 1 })
	w.gate = nil
	w.until(time.Minute, "complete", func() bool { return w.plan("deploy").State == PlanComplete && w.status().Ready == 3 })
}

func TestUpdateIsPausedAndSkipped(t *testing.T) {
	t.Parallel()
	w := newWorld(t, versionedService(3), 3, agentResources)
	w.behave = failsOn("bad")
	w.until(time.Minute, "ready", w.allReady(3))
	assert.Equal(t, PlanWaiting, w.plan("update").State)
	w.do(PausePlan{Plan: "update"})
	w.configure(version("bad"))
	w.pass(time.Hour)
	assert.Equal(t, []int{1, 1, 1}, w.incarnations())
	p := w.plan("update")
	assert.Equal(t, []any{PlanPaused, 0, 3}, []any{p.State, p.Done, p.Steps})

	w.do(ResumePlan{Plan: "update"})
	w.until(10*time.Minute, "the budget is spent", func() bool { return w.plan("update").State == PlanPaused })
	p = w.plan("update")
	assert.Contains(t, p.Why, "pod node: nodes with the new configuration failed 3 times")
	assert.Equal(t, []StepState{StepFailed, StepPending, StepPending}, states(p))
	assert.Contains(t, p.Stages[0].Steps[0].Error, "ERROR version bad")

	w.configure(version("3"))
	w.until(time.Minute, "the next begins", w.planIs("update", PlanRunning))
	w.do(SkipStep{Plan: "update", Stage: "node", Step: "node-2"})
	w.until(10*time.Minute, "two are updated", func() bool { return w.pod().Rollout.Since.IsZero() && w.status().Ready == 3 })
	assert.Equal(t, 1, w.incarnations()[2])
	w.configure(version("4"))
	w.until(10*time.Minute, "the next takes all", func() bool { return w.updated(3)() && w.incarnations()[2] == 2 })
}

// What is skipped is one update, not the configuration whenever it comes again.
func TestASkippedUpdateIsForgottenWithTheNext(t *testing.T) {
	t.Parallel()
	w := newWorld(t, versionedService(2), 2, agentResources)
	w.until(time.Minute, "ready", w.allReady(2))
	for _, c := range []any{SkipStep{Plan: "update", Stage: "node", Step: "node-1"}, ForceStep{Plan: "update", Stage: "node", Step: "node-1"}} {
		_, err := w.command(c)
		require.ErrorIs(t, err, ErrRefused)
		require.ErrorContains(t, err, "it is no step of it now")
	}
	w.configure(version("2"))
	w.until(time.Minute, "it begins", w.planIs("update", PlanRunning))
	w.do(SkipStep{Plan: "update", Stage: "node", Step: "node-1"})
	w.until(10*time.Minute, "one is updated", func() bool { return w.pod().Rollout.Since.IsZero() && w.status().Ready == 2 })
	assert.Equal(t, []int{2, 1}, w.incarnations())
	w.configure(version("1"))
	w.until(10*time.Minute, "back", func() bool { return w.updated(2)() && w.incarnations()[0] == 3 })
	w.configure(version("2"))
	w.until(10*time.Minute, "all take it", func() bool { return w.updated(2)() && w.incarnations()[1] == 2 })
}

func TestRecoveryAndLeaveAreShown(t *testing.T) {
	t.Parallel()
	s := lostAfter(3, time.Minute)
	s.Pods[0].Leave = func(_ context.Context, _ Deployment, _ Node) error { return nil }
	w := newWorld(t, s, 4, agentResources)
	w.until(time.Minute, "ready", w.allReady(3))
	w.do(PausePlan{Plan: "recovery"})
	w.cutAgentOf(w.status().Nodes[0])
	w.pass(time.Hour)
	p := w.plan("recovery")
	assert.Equal(t, []StepState{StepRunning}, states(p))
	assert.Equal(t, "plan recovery to be resumed", p.Stages[0].Steps[0].Waits)
	w.do(ResumePlan{Plan: "recovery"})
	w.until(10*time.Minute, "replaced", w.allReady(3))

	w.gate = func(job scheduler.Job) error {
		if job.Kind == leaveKind {
			return errors.New("its data is nowhere else")
		}
		return nil
	}
	w.do(RemoveNode{Node: "node-1"})
	w.until(time.Minute, "it waits", func() bool {
		p := w.plan("leave")
		return p.Steps == 1 && p.Stages[0].Steps[0].Waits == "its data is nowhere else"
	})
	w.do(ForceStep{Plan: "leave", Stage: "node", Step: "node-1"})
	w.until(time.Minute, "it has left", func() bool { return w.names() == "node-0 node-2" })
}

func TestARestartedStepBeginsAtOnce(t *testing.T) {
	t.Parallel()
	s := versionedService(1)
	s.Pods[0].Backoff = Backoff{First: time.Hour, Max: time.Hour}
	w := newWorld(t, s, 1, agentResources)
	fails := true
	w.behave = func(w *world, e *fakeExecutor, task mesos.TaskInfo) {
		if fails {
			w.end(e, task.TaskID.Value, mesos.TASK_FAILED, "no disk")
			return
		}
		w.update(e, task.TaskID.Value, mesos.TASK_RUNNING, "started")
	}
	w.until(time.Minute, "it failed", func() bool { return w.status().Nodes[0].Phase == BackingOff })
	assert.Equal(t, []StepState{StepFailed}, states(w.plan("deploy")))
	fails = false
	w.do(RestartStep{Plan: "deploy", Stage: "node", Step: "node-0"})
	w.until(time.Minute, "ready", w.allReady(1))
}

func TestARestartedStepAsksWhetherItsNodeCanBeSpared(t *testing.T) {
	t.Parallel()
	w := newWorld(t, versionedService(3), 4, agentResources)
	w.until(time.Minute, "ready", w.allReady(3))
	for _, plan := range []string{"update", "recovery", "leave", "uninstall"} {
		_, err := w.command(RestartStep{Plan: plan, Stage: "node", Step: "node-0"})
		require.ErrorIs(t, err, ErrRefused, plan)
		require.ErrorContains(t, err, "it is no step of it now")
	}
	for _, node := range []string{"node-0", "node-1", "node-2"} {
		w.do(RestartStep{Plan: "deploy", Stage: "node", Step: node})
		w.deliver()
		assert.GreaterOrEqual(t, w.status().Ready, 2)
	}
	w.until(5*time.Minute, "one after the other", func() bool { return assert.GreaterOrEqual(t, w.status().Ready, 2) && w.updatedTo(2) })
}

// updatedTo says whether all nodes are ready in an incarnation.
func (w *world) updatedTo(incarnation int) bool {
	for _, n := range w.status().Nodes {
		if n.Incarnation != incarnation || !n.Ready {
			return false
		}
	}
	return true
}
