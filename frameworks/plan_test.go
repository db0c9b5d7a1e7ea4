package frameworks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/scheduler"
)

// repairOptions are the parameters of a plan in these tests.
type repairOptions struct {
	Parallel int    `json:"parallel"`
	Keyspace string `json:"keyspace"`
}

// workbook is what steps did, and how they are to end.
type workbook struct {
	began []string
	// fails says why a step fails; nil or empty: it does not.
	fails func(step string) string
}

func (b *workbook) work(_ context.Context, _ Deployment, p repairOptions, step Step) (string, error) {
	b.began = append(b.began, step.Name)
	if b.fails != nil {
		if why := b.fails(step.Name); why != "" {
			return "", errors.New(why)
		}
	}
	return p.Keyspace + " repaired", nil
}

// repair snapshots all nodes, then repairs each, then cleans up.
func (b *workbook) repair() PlanOf[repairOptions] {
	return PlanOf[repairOptions]{
		Name: "repair", Defaults: repairOptions{Parallel: 2, Keyspace: "all"},
		Check: func(p repairOptions) error {
			if p.Parallel < 1 {
				return fmt.Errorf("parallel: %d: wants 1 or more", p.Parallel)
			}
			return nil
		},
		Layout: func(d Deployment, p repairOptions) ([]Stage, error) {
			each := Stage{Name: "repair", After: []string{"snapshot"}, Parallel: p.Parallel}
			for _, n := range d.Nodes {
				each.Steps = append(each.Steps, Step{Name: n.Name, Nodes: []string{n.Name}})
			}
			return []Stage{
				{Name: "snapshot", Steps: []Step{{Name: "all"}}}, each,
				{Name: "clean", After: []string{"repair"}, Steps: []Step{{Name: "old"}, {Name: "new"}}},
			}, nil
		},
		Work: b.work,
	}
}

func newPlans(t *testing.T, count int, plans ...Plan) *world {
	t.Helper()
	s := quorum(count)
	s.Plans = plans
	w := newWorld(t, s, count, agentResources)
	w.until(5*time.Minute, "ready", w.allReady(count))
	return w
}

func (w *world) plan(name string) PlanStatus {
	w.t.Helper()
	plans := w.status().Plans
	i := slices.IndexFunc(plans, func(p PlanStatus) bool { return p.Name == name })
	require.GreaterOrEqual(w.t, i, 0, "plan %s", name)
	return plans[i]
}

func (w *world) planIs(name string, state PlanState) func() bool {
	return func() bool { return w.plan(name).State == state }
}

// hasRun says that so many runs of a plan have ended.
func (w *world) hasRun(name string, runs int) func() bool {
	return func() bool { return len(w.plan(name).History) == runs }
}

func (w *world) do(command any) {
	w.t.Helper()
	_, err := w.command(command)
	require.NoError(w.t, err)
}

func TestPlanRunsInOrder(t *testing.T) {
	t.Parallel()
	book := &workbook{}
	w := newPlans(t, 3, book.repair().Plan())
	assert.Equal(t, PlanWaiting, w.plan("repair").State)
	w.do(StartPlan{Plan: "repair", Parameters: json.RawMessage(`{"keyspace":"users"}`)})
	p := w.plan("repair")
	assert.Equal(t, PlanRunning, p.State)
	assert.JSONEq(t, `{"parallel":2,"keyspace":"users"}`, string(p.Parameters))
	assert.Equal(t, 6, p.Steps)
	assert.Equal(t, "stage snapshot", p.Stages[1].Steps[0].Waits)

	running := 0
	w.until(time.Minute, "complete", func() bool {
		under := 0
		for _, stage := range w.plan("repair").Stages {
			for _, step := range stage.Steps {
				if step.State == StepRunning {
					under++
				}
			}
		}
		running = max(running, under)
		return w.hasRun("repair", 1)()
	})
	assert.Equal(t, []string{"all", "node-0", "node-1", "node-2", "old", "new"}, book.began)
	assert.Equal(t, 2, running, "as many at once as the stage says")
	h := w.plan("repair").History[0]
	assert.Equal(t, PlanComplete, h.State)
	assert.Equal(t, "operator", h.By)
	assert.Equal(t, 6, h.Steps)
	w.do(StartPlan{Plan: "repair"})
	assert.Equal(t, 2, w.plan("repair").Run)
}

func TestPlanThatFailsWaitsForAnOperator(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		wish    any
		began   int // node-1
		state   PlanState
		changed []string
	}{
		"resumed":   {ResumePlan{"repair"}, 4, PlanComplete, nil},
		"restarted": {RestartStep{"repair", "repair", "node-1"}, 4, PlanComplete, nil},
		"skipped":   {SkipStep{"repair", "repair", "node-1"}, 3, PlanComplete, []string{"repair/node-1"}},
		"forced":    {ForceStep{"repair", "repair", "node-1"}, 3, PlanComplete, []string{"repair/node-1"}},
		"cancelled": {CancelPlan{"repair"}, 3, PlanCancelled, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			book := &workbook{}
			w := newPlans(t, 3, book.repair().Plan())
			book.fails = func(step string) string {
				if step == "node-1" {
					return "no space left"
				}
				return ""
			}
			w.do(StartPlan{Plan: "repair"})
			began := w.now
			w.until(time.Minute, "paused", w.planIs("repair", PlanPaused))
			assert.Greater(t, w.now.Sub(began), 15*time.Second, "5 s and 10 s between the attempts")
			p := w.plan("repair")
			assert.Equal(t, "step node-1 used up its attempts (3): no space left; resume the plan, restart, skip or force the step, or cancel the plan", p.Why)
			assert.Equal(t, StepFailed, p.Stages[1].Steps[1].State)
			assert.Equal(t, "no space left", p.Stages[1].Steps[1].Error)
			assert.Equal(t, 3, p.Done, "the others are done")
			w.pass(10 * time.Minute)
			assert.Equal(t, PlanPaused, w.plan("repair").State)

			book.fails = nil
			w.do(c.wish)
			if w.planIs("repair", PlanPaused)() {
				w.do(ResumePlan{"repair"})
			}
			w.until(time.Minute, "ended", w.hasRun("repair", 1))
			h := w.plan("repair").History[0]
			assert.Equal(t, c.state, h.State)
			assert.Equal(t, c.changed, h.Overridden)
			assert.Equal(t, c.began, len(slices.DeleteFunc(book.began, func(s string) bool { return s != "node-1" })))
		})
	}
}

// A plan that is paused by hand lets what is under way end, and begins nothing,
// whatever becomes of the scheduler.
func TestPlanPausedByHand(t *testing.T) {
	t.Parallel()
	book := &workbook{}
	w := newPlans(t, 3, book.repair().Plan())
	w.do(StartPlan{Plan: "repair", Parameters: json.RawMessage(`{"parallel":1}`)})
	w.until(time.Minute, "the second step is under way", func() bool { return w.plan("repair").Stages[1].Steps[0].State == StepRunning })
	w.do(PausePlan{"repair"})
	w.pass(time.Minute)
	assert.Equal(t, []string{"all", "node-0"}, book.began)
	w.crash()
	w.pass(time.Minute)
	assert.Equal(t, []string{"all", "node-0"}, book.began)
	assert.Equal(t, "by an operator", w.plan("repair").Why)
	w.do(ResumePlan{"repair"})
	w.until(time.Minute, "complete", w.hasRun("repair", 1))
	assert.Equal(t, []string{"all", "node-0", "node-1", "node-2", "old", "new"}, book.began)
}

// The scheduler dies at each point of a run, in a run of its own.
func TestPlanSurvivesDeathAtEveryPoint(t *testing.T) {
	t.Parallel()
	run := func(t *testing.T, dieAfter int) (*world, *workbook) {
		book := &workbook{}
		w := newPlans(t, 3, book.repair().Plan())
		before := w.points
		if dieAfter > 0 {
			w.dieAt = w.points + dieAfter
		}
		w.do(StartPlan{Plan: "repair"})
		w.until(5*time.Minute, "complete", w.hasRun("repair", 1))
		w.points -= before
		return w, book
	}
	calm, _ := run(t, 0)
	require.Greater(t, calm.points, 10)
	for at := range deaths(calm.points - 2) { // in the first two the command itself is lost
		t.Run(fmt.Sprint(at), func(t *testing.T) {
			t.Parallel()
			_, book := run(t, at+2)
			assert.LessOrEqual(t, len(book.began), 8, "%v: only what was under way begins again", book.began)
			slices.Sort(book.began)
			assert.Equal(t, []string{"all", "new", "node-0", "node-1", "node-2", "old"}, slices.Compact(book.began))
		})
	}
}

func TestPlanCancelledUnderWay(t *testing.T) {
	t.Parallel()
	book := &workbook{}
	w := newPlans(t, 3, book.repair().Plan())
	w.do(StartPlan{Plan: "repair"})
	w.do(CancelPlan{"repair"})
	assert.Equal(t, PlanCancelling, w.plan("repair").State, "the step under way has to end first")
	_, err := w.command(CancelPlan{"repair"})
	require.ErrorContains(t, err, "cancel plan repair: refused: run 1 is being cancelled")
	w.until(time.Minute, "cancelled", w.hasRun("repair", 1))
	assert.Equal(t, []string{"all"}, book.began)
	assert.Equal(t, PlanCancelled, w.plan("repair").History[0].State)
}

func TestPlanCommandsThatAreRefused(t *testing.T) {
	t.Parallel()
	book := &workbook{}
	w := newPlans(t, 1, book.repair().Plan())
	for name, c := range map[string]struct {
		command any
		kind    error
		want    string
	}{
		"unknown plan":      {StartPlan{Plan: "repare"}, ErrUnknown, `plan "repare": not found; there are repair, deploy`},
		"unknown parameter": {StartPlan{Plan: "repair", Parameters: json.RawMessage(`{"paralel":2}`)}, ErrRefused, `json: unknown field "paralel"; wants parameters such as {"parallel":2,"keyspace":"all"}`},
		"wrong type":        {StartPlan{Plan: "repair", Parameters: json.RawMessage(`{"parallel":"2"}`)}, ErrRefused, `parallel`},
		"wrong value":       {StartPlan{Plan: "repair", Parameters: json.RawMessage(`{"parallel":0}`)}, ErrRefused, `start plan repair: parameters: refused: parallel: 0: wants 1 or more`},
		"no run":            {PausePlan{"repair"}, ErrRefused, `pause plan repair: refused: no run of it is under way; start it`},
		"wrong cron":        {SchedulePlan{Plan: "repair", Cron: "daily"}, ErrRefused, `"daily" has 1 fields: wants 5`},
	} {
		_, err := w.command(c.command)
		require.ErrorIs(t, err, c.kind, name)
		require.ErrorContains(t, err, c.want, name)
	}
	w.do(StartPlan{Plan: "repair"})
	_, err := w.command(StartPlan{Plan: "repair"})
	require.ErrorContains(t, err, "start plan repair: run 1 is running: refused")
	_, err = w.command(ResumePlan{"repair"})
	require.ErrorContains(t, err, "refused: run 1 is running")
	_, err = w.command(SkipStep{"repair", "snapshot", "all"})
	require.ErrorContains(t, err, "step all: refused: it is under way")
	_, err = w.command(SkipStep{"repair", "repair", "node-7"})
	require.ErrorContains(t, err, "step repair/node-7: not found; there are snapshot/all, repair/node-0, clean/old, clean/new")
	w.until(time.Minute, "complete", w.hasRun("repair", 1))
}

func TestPlanOnASchedule(t *testing.T) {
	t.Parallel()
	book := &workbook{}
	often := book.repair()
	often.Schedule = "*/3 * * * *"
	w := newPlans(t, 1, often.Plan()) // it begins at midnight
	p := w.plan("repair")
	assert.Equal(t, "00:03:00", p.Next.Format(time.TimeOnly))
	w.until(5*time.Minute, "it has run by itself", w.hasRun("repair", 1))
	assert.Equal(t, "00:03:00", w.plan("repair").History[0].Since.Format(time.TimeOnly))
	assert.Equal(t, "schedule", w.plan("repair").History[0].By)

	// A time that comes while a run is under way is passed over, and told.
	book.fails = func(string) string { return "not now" }
	w.until(5*time.Minute, "it is paused", w.planIs("repair", PlanPaused))
	w.until(5*time.Minute, "it did not begin again", func() bool {
		return strings.HasPrefix(w.plan("repair").Trouble, "did not begin at 2026-01-01T00:09:00Z: run 2 is paused")
	})
	book.fails = nil
	w.do(CancelPlan{"repair"})

	// An operator's schedule and parameters; none at all.
	w.do(SchedulePlan{Plan: "repair", Cron: "15 0 * * *", Parameters: json.RawMessage(`{"keyspace":"users"}`)})
	w.until(10*time.Minute, "it has run at its time", w.hasRun("repair", 3))
	assert.Equal(t, "00:15:00", w.plan("repair").History[0].Since.Format(time.TimeOnly))
	assert.Equal(t, "2026-01-02T00:15:00Z", w.plan("repair").Next.Format(time.RFC3339))
	assert.JSONEq(t, `{"parallel":2,"keyspace":"users"}`, string(w.plan("repair").History[0].Parameters))
	w.do(SchedulePlan{Plan: "repair", Cron: "* * * * *"})
	w.do(SchedulePlan{Plan: "repair"})
	w.crash()
	w.pass(5 * time.Minute)
	assert.Len(t, w.plan("repair").History, 3)
	assert.True(t, w.plan("repair").Next.IsZero())
}

// A scheduler that was away when the time came begins one run when it is back,
// however many it missed.
func TestPlanMissedWhileAway(t *testing.T) {
	t.Parallel()
	book := &workbook{}
	hourly := book.repair()
	hourly.Schedule = "@hourly"
	w := newPlans(t, 1, hourly.Plan())
	w.now = w.now.Add(5 * time.Hour)
	w.crash()
	w.until(time.Minute, "it has run", w.hasRun("repair", 1))
	w.pass(10 * time.Minute)
	assert.Len(t, w.plan("repair").History, 1)
}

// Two plans never work on one node at once; who waits says for whom.
func TestPlansDoNotShareNodes(t *testing.T) {
	t.Parallel()
	first, second := &workbook{}, &workbook{}
	backup := second.repair()
	backup.Name = "backup"
	w := newPlans(t, 3, first.repair().Plan(), backup.Plan())
	w.holds = func() {
		held := map[string]string{}
		for _, r := range w.records() {
			if !strings.HasPrefix(r.Key, "handler/db/plan/") {
				continue
			}
			plan, err := decode[planRecord](r.Value)
			require.NoError(t, err)
			if plan.Run == nil {
				continue
			}
			for _, stage := range plan.Run.Stages {
				for _, step := range stage.Steps {
					for _, node := range step.holds() {
						require.Empty(t, held[node], node)
						held[node] = r.Key
					}
				}
			}
		}
	}
	w.do(StartPlan{Plan: "repair"})
	w.do(StartPlan{Plan: "backup"})
	waited := map[string]bool{}
	w.until(5*time.Minute, "both are complete", func() bool {
		for _, plan := range []string{"repair", "backup"} {
			for _, stage := range w.plan(plan).Stages {
				for _, step := range stage.Steps {
					if strings.Contains(step.Waits, "is held by plan") {
						waited[step.Waits] = true
					}
				}
			}
		}
		return w.hasRun("repair", 1)() && w.hasRun("backup", 1)()
	})
	assert.True(t, waited["node-0 is held by plan repair, step node-0"] || waited["node-0 is held by plan backup, step node-0"], "%v", waited)
}

// A step waits for its node to be ready, and goes on.
func TestPlanStepWaitsForItsNode(t *testing.T) {
	t.Parallel()
	book := &workbook{}
	w := newPlans(t, 3, book.repair().Plan())
	w.do(StopNode{"node-1"})
	w.until(time.Minute, "stopped", func() bool { return w.status().Nodes[1].Phase == Stopped })
	w.do(StartPlan{Plan: "repair"})
	w.pass(time.Minute)
	assert.Equal(t, "node-1 is held by stop", w.plan("repair").Stages[1].Steps[1].Waits)
	w.do(StartNode{"node-1"})
	w.until(time.Minute, "complete", w.hasRun("repair", 1))
}

// A restart waits for the step that holds its node, and a step for a restart.
func TestEngineAndStepsWaitForEachOther(t *testing.T) {
	t.Parallel()
	book := &workbook{}
	w := newPlans(t, 3, book.repair().Plan())
	w.lasts = func(job scheduler.Job) time.Duration {
		if job.Kind == stepKind {
			return time.Minute
		}
		return 0
	}
	step := func(i int) StepStatus { return w.plan("repair").Stages[1].Steps[i] }
	w.do(StartPlan{Plan: "repair", Parameters: json.RawMessage(`{"parallel":1}`)})
	w.until(5*time.Minute, "node-0 is repaired", func() bool { return step(0).State == StepRunning })
	w.do(RestartNode{Node: "node-0"})
	w.do(RestartNode{Node: "node-1"})
	assert.Equal(t, "node-1 is held by restart", step(1).Waits)
	w.pass(2 * time.Second)
	n := w.status().Nodes[0]
	assert.Equal(t, 1, n.Incarnation)
	assert.Equal(t, "to be spared for restart: plan repair, step node-0 to end", n.Waits)
	w.until(5*time.Minute, "both are restarted, and repaired", func() bool {
		nodes := w.status().Nodes
		return nodes[0].Incarnation == 2 && nodes[1].Incarnation == 2 && step(1).State.done()
	})
	w.do(RemoveNode{Node: "node-2"})
	w.until(5*time.Minute, "it has left and the run is complete", func() bool {
		return len(w.status().Nodes) == 2 && w.hasRun("repair", 1)()
	})
}

func TestUninstallCancelsPlans(t *testing.T) {
	t.Parallel()
	book := &workbook{}
	w := newPlans(t, 2, book.repair().Plan())
	book.fails = func(string) string { return "not now" }
	w.do(StartPlan{Plan: "repair"})
	over := w.tornDown()
	w.do(Uninstall{})
	w.until(30*time.Minute, "it ends", over)
}

func TestPlansAreValidated(t *testing.T) {
	t.Parallel()
	book := &workbook{}
	s := quorum(1)
	wrong := book.repair()
	wrong.Name, wrong.Schedule, wrong.Defaults = "deploy", "sometimes", repairOptions{}
	s.Plans = []Plan{wrong.Plan(), PlanOf[int]{Name: "empty"}.Plan()}
	err := s.Validate()
	require.ErrorContains(t, err, `Service.Plans[0].Name: "deploy": wants lower case letters, digits and hyphens, and a name that no other plan has, nor one of`)
	require.ErrorContains(t, err, `Service.Plans[0].Schedule: "sometimes"`)
	require.ErrorContains(t, err, `Service.Plans[0].Defaults: "sometimes": cannot begin by itself: parallel: 0: wants 1 or more`)
	require.ErrorContains(t, err, `Service.Plans[1].Layout: "empty": wants a Layout and a Work`)
}

func TestLayoutsThatCannotBe(t *testing.T) {
	t.Parallel()
	for want, stages := range map[string][]Stage{
		`stage 1: Name: "a": wants a name that no other stage has`:                     {{Name: "a"}, {Name: "a"}},
		`stage a: After: "b": wants a stage laid out before it`:                        {{Name: "a", After: []string{"b"}}, {Name: "b"}},
		`stage a: Parallel: -1: wants 0 or more`:                                       {{Name: "a", Parallel: -1}},
		`stage a: step 1: Name: "x": wants a name that no other step of the stage has`: {{Name: "a", Steps: []Step{{Name: "x"}, {Name: "x"}}}},
		`stage a: step x: node "node-9": not found`:                                    {{Name: "a", Steps: []Step{{Name: "x", Nodes: []string{"node-9"}}}}},
		`10001 steps: wants at most 10000`:                                             {{Name: "a", Steps: numbered(10_001)}},
	} {
		plan := PlanOf[int]{
			Name:   "odd",
			Layout: func(Deployment, int) ([]Stage, error) { return stages, nil },
			Work:   func(context.Context, Deployment, int, Step) (string, error) { return "", nil },
		}.Plan()
		w := newPlans(t, 1, plan)
		_, err := w.command(StartPlan{Plan: "odd"})
		require.ErrorIs(t, err, ErrRefused)
		require.ErrorContains(t, err, want)
	}
}

func numbered(n int) []Step {
	var steps []Step
	for i := range n {
		steps = append(steps, Step{Name: fmt.Sprint(i)})
	}
	return steps
}

func TestWaves(t *testing.T) {
	t.Parallel()
	stage := Stage{Name: "s", After: []string{"before"}, Parallel: 3, Steps: numbered(7)}
	show := func(stages []Stage) string {
		var out []string
		for _, s := range stages {
			out = append(out, fmt.Sprintf("%s%v%d", s.Name, s.After, len(s.Steps)))
			assert.Equal(t, 3, s.Parallel)
		}
		return strings.Join(out, " ")
	}
	odd := func(s Step) string { return string(s.Name[0]%2 + '0') }
	assert.Equal(t, "s-1[before]4 s-2[s-1]3", show(Waves(stage, odd)))
	assert.Equal(t, "s-1[before]1 s-2[s-1]3 s-3[s-2]3", show(Percents(stage, 10, 50, 100)))
	assert.Equal(t, "s-1[before]7", show(Percents(stage, 100)))
	assert.Equal(t, "s-1[before]2 s-2[s-1]5", show(Percents(stage, 20, 25, 30)), "the last takes what is left")
	assert.Empty(t, Percents(Stage{}, 100))
}

func TestStepTellsItsProgress(t *testing.T) {
	t.Parallel()
	book := &workbook{}
	w := newPlans(t, 1, book.repair().Plan())
	w.do(StartPlan{Plan: "repair"})
	w.step(scheduler.JobProgress{Name: "step/db.repair.1/snapshot/all", Data: []byte("12 of 40 files")})
	assert.Equal(t, "12 of 40 files", w.plan("repair").Stages[0].Steps[0].Progress)
	w.until(time.Minute, "complete", w.hasRun("repair", 1))
}
