package frameworks

import (
	"encoding/json"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/scheduler"
)

// A step holds its node also when that is not ready any more.
func TestAStepHoldsANodeThatIsNotReady(t *testing.T) {
	t.Parallel()
	book := &workbook{}
	w := newPlans(t, 3, book.repair().Plan())
	w.lasts = func(job scheduler.Job) time.Duration {
		if job.Kind == stepKind {
			return time.Minute
		}
		return 0
	}
	step := func() StepState { return w.plan("repair").Stages[1].Steps[0].State }
	w.do(StartPlan{Plan: "repair", Parameters: json.RawMessage(`{"parallel":1}`)})
	w.until(5*time.Minute, "node-0 is repaired", func() bool { return step() == StepRunning })
	n := w.status().Nodes[0]
	w.step(scheduler.Updated{Status: mesos.TaskStatus{
		TaskID: mesos.TaskID{Value: n.Task}, State: mesos.TASK_RUNNING.Enum(), Source: mesos.SOURCE_MASTER.Enum(),
		AgentID: &mesos.AgentID{Value: n.Place.Agent}, Healthy: new(false),
	}})
	w.do(RestartNode{Node: "node-0"})
	w.pass(2 * time.Second)
	require.Equal(t, StepRunning, step())
	assert.False(t, w.status().Nodes[0].Ready)
	assert.Equal(t, 1, w.status().Nodes[0].Incarnation)
	w.until(5*time.Minute, "it is restarted when the step has ended", func() bool {
		return step().done() && w.status().Nodes[0].Incarnation == 2
	})
}
