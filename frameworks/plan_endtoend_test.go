package frameworks_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/frameworks"
	"github.com/mesokit/mesokit/scheduler/mesostest"
	"github.com/mesokit/mesokit/scheduler/state"
)

// visits is a plan that asks each node, one after the other, and fails at the
// second until it is mended.
type visits struct {
	mu     sync.Mutex
	seen   []string
	broken bool
}

type visitOptions struct {
	Path string `json:"path"`
}

func (v *visits) plan() frameworks.Plan {
	return frameworks.PlanOf[visitOptions]{
		Name: "visit", Defaults: visitOptions{Path: "/"},
		Layout: func(d frameworks.Deployment, _ visitOptions) ([]frameworks.Stage, error) {
			stage := frameworks.Stage{Name: "visit"}
			for _, n := range d.Nodes {
				stage.Steps = append(stage.Steps, frameworks.Step{Name: n.Name, Nodes: []string{n.Name}, Attempts: 1})
			}
			return []frameworks.Stage{stage}, nil
		},
		Work: v.visit,
	}.Plan()
}

func (v *visits) visit(ctx context.Context, d frameworks.Deployment, p visitOptions, step frameworks.Step) (string, error) {
	n, _ := d.Node(step.Nodes[0])
	if err := frameworks.HTTP("http", p.Path)(ctx, d, n); err != nil {
		return "", err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.broken && step.Name == "web-1" {
		return "", fmt.Errorf("the door is shut")
	}
	v.seen = append(v.seen, step.Name)
	return "welcome at " + n.Address("http"), nil
}

func (v *visits) mend() (seen []string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.broken = false
	return slices.Clone(v.seen)
}

// A plan pauses over a step that fails; its scheduler ends; another knows it
// paused, and goes on where it was when an operator resumes it.
func TestPlanOnRealMesos(t *testing.T) {
	t.Parallel()
	c := mesostest.New(t, mesostest.Agents(3, machine))
	v := &visits{broken: true}
	s := web(t)
	s.Plans = []frameworks.Plan{v.plan()}
	store := state.NewMemory()
	d := deploy(t, c, s, store)
	d.until("three are ready", ready(3))
	p, err := d.StartPlan(t.Context(), "visit", map[string]string{"path": "/x"})
	require.NoError(t, err)
	assert.Equal(t, frameworks.PlanRunning, p.State)
	plan := func(s frameworks.Status) frameworks.PlanStatus {
		i := slices.IndexFunc(s.Plans, func(p frameworks.PlanStatus) bool { return p.Name == "visit" })
		return s.Plans[i]
	}
	paused := func(s frameworks.Status) bool { return s.Reconciled && plan(s).State == frameworks.PlanPaused }
	d.until("it is paused", paused)

	require.NoError(t, d.stop())
	assert.Equal(t, []string{"web-0"}, v.mend())
	d = deploy(t, c, s, store.Open())
	after := plan(d.until("the next scheduler knows it paused", paused))
	assert.Equal(t, "step web-1 used up its attempts (1): the door is shut; resume the plan, restart, skip or force the step, or cancel the plan", after.Why)
	assert.True(t, strings.HasPrefix(after.Stages[0].Steps[0].Result, "welcome at 127."), after.Stages[0].Steps[0].Result)
	_, err = d.ResumePlan(t.Context(), "visit")
	require.NoError(t, err)
	done := plan(d.until("it is complete", func(s frameworks.Status) bool { return len(plan(s).History) == 1 }))
	assert.Equal(t, []string{"web-0", "web-1", "web-2"}, v.mend())
	assert.Equal(t, frameworks.PlanComplete, done.History[0].State)
	assert.JSONEq(t, `{"path":"/x"}`, string(done.History[0].Parameters))
	overPlanAPI(t, d)
}

// overPlanAPI says what the API answers to what cannot be.
func overPlanAPI(t *testing.T, d *deployed) {
	t.Helper()
	ctx := t.Context()
	_, err := d.StartPlan(ctx, "visits", nil)
	require.ErrorIs(t, err, frameworks.ErrUnknown)
	_, err = d.StartPlan(ctx, "visit", map[string]string{"pth": "/x"})
	require.ErrorIs(t, err, frameworks.ErrRefused)
	require.ErrorContains(t, err, `unknown field "pth"; wants parameters such as {"path":"/"}`)
	_, err = d.SkipStep(ctx, "visit", "visit", "web-0")
	require.ErrorContains(t, err, "no run of it is under way; start it")
	p, err := d.SchedulePlan(ctx, "visit", "30 2 * * sun", nil)
	require.NoError(t, err)
	assert.Equal(t, "30 2 * * sun", p.Schedule)
	assert.Equal(t, 30, p.Next.Minute())
	_, err = d.SchedulePlan(ctx, "visit", "now", nil)
	require.ErrorIs(t, err, frameworks.ErrRefused)

	for path, want := range map[string]int{
		"/v1/plans": http.StatusOK, "/v1/plans/visit": http.StatusOK, "/v1/plans/none": http.StatusNotFound,
	} {
		answer, err := http.Get(d.URL + path)
		require.NoError(t, err)
		answer.Body.Close()
		assert.Equal(t, want, answer.StatusCode, path)
	}
	answer, err := http.Post(d.URL+"/v1/plans/visit/stop", "application/json", nil)
	require.NoError(t, err)
	answer.Body.Close()
	assert.Equal(t, http.StatusNotFound, answer.StatusCode)
}
