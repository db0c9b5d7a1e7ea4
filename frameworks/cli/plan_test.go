package cli

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/frameworks"
)

// repair is a plan that is half done.
var repair = frameworks.PlanStatus{
	Name: "repair", State: frameworks.PlanPaused, Why: "an operator paused it", Done: 1, Steps: 2,
	Next: time.Date(2026, 11, 22, 2, 30, 0, 0, time.UTC),
	Stages: []frameworks.StageStatus{{Name: "all", Steps: []frameworks.StepStatus{
		{Name: "first", Nodes: []string{"broker-0"}, State: frameworks.StepComplete, Attempts: 1, Result: "12 ranges"},
		{Name: "second", State: frameworks.StepPending, Waits: "for first"},
	}}},
}

func TestPlansAreShown(t *testing.T) {
	t.Parallel()
	s := brokers(frameworks.Ready)
	s.Plans = []frameworks.PlanStatus{repair, {Name: "update", State: frameworks.PlanWaiting}}
	out, _, err := operate(t.Context(), t, &fake{statuses: []frameworks.Status{s}}, "plan", "list")
	require.NoError(t, err)
	assert.Equal(t, `PLAN    STATE    DONE    NEXT                  WHY
repair  paused   1 of 2  2026-11-22T02:30:00Z  an operator paused it
update  waiting  0 of 0  -                     -
`, out)
	out, _, err = operate(t.Context(), t, &fake{statuses: []frameworks.Status{s}}, "plan", "show", "repair")
	require.NoError(t, err)
	assert.Equal(t, `PLAN    STATE   DONE    NEXT                  WHY
repair  paused  1 of 2  2026-11-22T02:30:00Z  an operator paused it

STAGE  STEP    STATE     ATTEMPTS  NODES     
all    first   complete  1         broker-0  12 ranges
all    second  pending   0         -         for first
`, out)
	_, _, err = operate(t.Context(), t, &fake{statuses: []frameworks.Status{s}}, "plan", "show", "repairs")
	require.EqualError(t, err, `plan show: plan "repairs": not found; there are repair, update`)
}

func TestHistoryOfAPlanIsShown(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 22, 2, 30, 0, 0, time.UTC)
	s := brokers(frameworks.Ready)
	s.Plans = []frameworks.PlanStatus{{Name: "update", State: frameworks.PlanWaiting, History: []frameworks.PlanSummary{
		{Run: 2, State: frameworks.PlanCancelled, By: "engine", Since: at.Add(time.Hour), Ended: at.Add(time.Hour + 90*time.Second), Steps: 3, Nodes: []string{"broker-0"}, Failures: 3, Why: "rolled back: it failed"},
		{Run: 1, State: frameworks.PlanComplete, By: "operator", Since: at, Ended: at.Add(time.Minute), Steps: 1, Overridden: []string{"all/first"}},
	}}}
	out, _, err := operate(t.Context(), t, &fake{statuses: []frameworks.Status{s}}, "plan", "history", "update")
	require.NoError(t, err)
	assert.Equal(t, `RUN  STATE      BY        BEGAN                 TOOK  STEPS  NODES                FAILURES  WHY
2    cancelled  engine    2026-11-22T03:30:00Z  90s   3      broker-0 and 2 more  3         rolled back: it failed
1    complete   operator  2026-11-22T02:30:00Z  60s   1      -                    0         (overridden: all/first)
`, out)
	out, _, err = operate(t.Context(), t, &fake{statuses: []frameworks.Status{s}}, "plan", "history", "update", "--json")
	require.NoError(t, err)
	assert.Contains(t, out, `"failures": 3`)
	_, _, err = operate(t.Context(), t, &fake{statuses: []frameworks.Status{s}}, "plan", "history", "repair")
	require.EqualError(t, err, `plan history: plan "repair": not found; there are update`)
}

func TestPlansAreOperated(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		args  []string
		asked string
	}{
		{[]string{"start", "repair"}, "POST /v1/plans/repair/start"},
		{[]string{"start", "repair", `{"nodes": 3}`}, "POST /v1/plans/repair/start"},
		{[]string{"pause", "repair"}, "POST /v1/plans/repair/pause"},
		{[]string{"resume", "repair"}, "POST /v1/plans/repair/resume"},
		{[]string{"cancel", "repair"}, "POST /v1/plans/repair/cancel"},
		{[]string{"force", "repair", "all", "first"}, "POST /v1/plans/repair/stages/all/steps/first/force"},
		{[]string{"skip", "repair", "all", "first"}, "POST /v1/plans/repair/stages/all/steps/first/skip"},
		{[]string{"restart", "repair", "all", "first"}, "POST /v1/plans/repair/stages/all/steps/first/restart"},
	} {
		f := &fake{statuses: []frameworks.Status{brokers(frameworks.Ready)}}
		_, _, err := operate(t.Context(), t, f, append([]string{"plan"}, test.args...)...)
		require.NoError(t, err)
		assert.Equal(t, []string{test.asked}, f.asked)
	}
	f := &fake{statuses: []frameworks.Status{brokers(frameworks.Ready)}, refuse: http.MethodPost + " /v1/plans/repair/start"}
	_, _, err := operate(t.Context(), t, f, "plan", "start", "repair")
	require.EqualError(t, err, "plan start: refused: it would do harm")
	_, _, err = operate(t.Context(), t, f, "plan", "start", "repair", "nodes=3")
	require.ErrorContains(t, err, "wants JSON")
	assert.Equal(t, 2, ExitStatus(err))
}
