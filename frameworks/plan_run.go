package frameworks

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/mesokit/mesokit/scheduler"
)

const (
	stepKind     = "step"
	stepTimeout  = time.Hour
	stepAttempts = 3
	// resultKept is how much of a step's result is kept.
	resultKept = 1 << 10
	// runsKept is how many runs of a plan are kept that have ended.
	runsKept = 20
)

// stepBackoff paces the attempts of a step.
var stepBackoff = Backoff{First: 5 * time.Second, Max: 5 * time.Minute}

// planRecord is a plan as the store has it.
type planRecord struct {
	Runs int `json:"runs,omitempty"` // that have begun
	// Cron and Parameters are those of the runs that begin by themselves.
	// Declared is the Cron that the declaration had when it was last taken over
	// from there; an operator's own holds until the declaration changes.
	Cron       string          `json:"cron,omitempty"`
	Declared   string          `json:"declared,omitempty"`
	Parameters json.RawMessage `json:"parameters,omitempty"`
	Next       time.Time       `json:"next,omitzero"`
	Trouble    string          `json:"trouble,omitempty"`
	Run        *run            `json:"run,omitempty"`  // under way; nil: none
	Past       []PlanSummary   `json:"past,omitempty"` // oldest first
}

// run is a run of a plan that is under way.
type run struct {
	Number     int             `json:"number"`
	Parameters json.RawMessage `json:"parameters"`
	By         string          `json:"by"`
	State      PlanState       `json:"state"`
	Why        string          `json:"why,omitempty"`
	Since      time.Time       `json:"since"`
	Ended      time.Time       `json:"ended,omitzero"`
	Stages     []stageRun      `json:"stages"`
}

type stageRun struct {
	Name     string    `json:"name"`
	After    []string  `json:"after,omitempty"`
	Parallel int       `json:"parallel,omitempty"`
	Steps    []stepRun `json:"steps"`
}

type stepRun struct {
	Step
	State    StepState `json:"state"`
	Attempts int       `json:"attempted,omitempty"` // begun since it was last restarted
	Progress string    `json:"progress,omitempty"`
	Result   string    `json:"result,omitempty"`
	Error    string    `json:"error,omitempty"`
	Since    time.Time `json:"since,omitzero"`
	Retry    time.Time `json:"retry,omitzero"`
}

// stepInput is what a step needs to know.
type stepInput struct {
	*luggage
	plan       *Plan
	parameters json.RawMessage
	step       Step
}

// work carries out a step.
func (in stepInput) work(ctx context.Context) ([]byte, error) {
	result, err := in.plan.work(ctx, in.unpack(), in.parameters, in.step)
	return []byte(result), err
}

// planning is a plan in a decision.
type planning struct {
	*decision
	*Plan
	*planRecord
}

func (d *decision) planning(p *Plan) planning {
	record := d.plans[p.name]
	if record == nil {
		record = &planRecord{}
		d.plans[p.name] = record
	}
	return planning{d, p, record}
}

// advance takes in what became of steps, begins what is due, and takes the next
// step of each run.
func (d *decision) advance(ev scheduler.Event) {
	for i := range d.Plans {
		p := d.planning(&d.Plans[i])
		switch ev := ev.(type) {
		case scheduler.JobDone:
			p.stepDone(ev)
		case scheduler.JobProgress:
			if step := p.stepOf(ev.Name); step != nil {
				step.Progress = head(string(ev.Data))
			}
		}
		if d.uninstalling() {
			p.Next = time.Time{}
			if p.Run != nil {
				p.Run.State = PlanCancelling
			}
		}
		p.begins()
		if p.Run != nil {
			p.proceed()
		}
	}
}

func head(text string) string {
	return strings.ToValidUTF8(text[:min(len(text), resultKept)], "")
}

// begins starts a run whose time has come.
func (p planning) begins() {
	if p.Declared != p.schedule && !p.uninstalling() {
		p.Declared = p.schedule
		p.reschedule(p.schedule, nil)
	}
	switch {
	case p.Next.IsZero():
		return
	case p.now.Before(p.Next):
		p.wakeAt(p.Next)
		return
	}
	p.Trouble = ""
	if err := p.begin(p.planRecord.Parameters, "schedule"); err != nil {
		p.Trouble = fmt.Sprintf("did not begin at %s: %v", p.Next.Format(time.RFC3339), err)
		p.tellRun("plan does not begin", slog.String("why", err.Error()))
	}
	p.reschedule(p.Cron, p.planRecord.Parameters)
}

// reschedule takes a time-table over, which is known to be right.
func (p planning) reschedule(text string, parameters json.RawMessage) {
	p.Cron, p.planRecord.Parameters, p.Next = text, parameters, time.Time{}
	if schedule, err := parseCron(text); err == nil {
		p.Next = schedule.next(p.now)
		p.wakeAt(p.Next)
	}
}

// begin lays a run out.
func (p planning) begin(chosen json.RawMessage, by string) error {
	if p.Run != nil {
		return fmt.Errorf("run %d is %s: %w", p.Run.Number, p.Run.State, ErrRefused)
	}
	parameters, err := p.parameters(chosen)
	if err != nil {
		return fmt.Errorf("parameters: %w: %w", ErrRefused, err)
	}
	stages, err := p.layout(p.observed(), parameters)
	if err == nil {
		err = p.checkLayout(stages)
	}
	if err != nil {
		return fmt.Errorf("lay out: %w: %w", ErrRefused, err)
	}
	p.Runs++
	p.Run = &run{Number: p.Runs, Parameters: parameters, By: by, State: PlanRunning, Since: p.now}
	for _, stage := range stages {
		laid := stageRun{Name: stage.Name, After: stage.After, Parallel: stage.Parallel}
		for _, step := range stage.Steps {
			laid.Steps = append(laid.Steps, stepRun{Step: step, State: StepPending})
		}
		p.Run.Stages = append(p.Run.Stages, laid)
	}
	p.tellRun("plan begins", slog.String("by", by), slog.String("parameters", string(parameters)))
	return nil
}

func (p planning) tellRun(text string, attrs ...slog.Attr) {
	p.do(scheduler.Note{Text: text, Attrs: append([]slog.Attr{slog.String("plan", p.name), slog.Int("run", p.Runs)}, attrs...)})
}

// unmet is a stage that has to be complete before this one; empty: none.
func (r *run) unmet(stage *stageRun) string {
	for i := range r.Stages {
		before := &r.Stages[i]
		if slices.Contains(stage.After, before.Name) && before.state() != StepComplete {
			return before.Name
		}
	}
	return ""
}

// proceed begins the steps that may, keeps those going that have begun, and ends
// the run when there is nothing left to do.
func (p planning) proceed() {
	left, running := 0, 0
	for i := range p.Run.Stages {
		open, under := p.proceedStage(&p.Run.Stages[i])
		left, running = left+open, running+under
	}
	switch {
	case p.Run.State == PlanCancelling && running == 0:
		p.Run.State = PlanCancelled
	case p.Run.State != PlanCancelling && left == 0:
		p.Run.State = PlanComplete
	default:
		return
	}
	p.Run.Ended = p.now
	p.tellRun("plan " + string(p.Run.State))
	p.Past = append(p.Past, p.Run.summary())
	p.Past = p.Past[max(0, len(p.Past)-runsKept):]
	p.Run, p.locks = nil, nil
}

// proceedStage returns how many steps of a stage are left, and how many of them
// are under way.
func (p planning) proceedStage(stage *stageRun) (left, under int) {
	for i := range stage.Steps {
		step := &stage.Steps[i]
		if p.under(stage, step) {
			under++
		}
		if !step.State.done() {
			left++
		}
	}
	if p.Run.State != PlanRunning || left == under || p.Run.unmet(stage) != "" {
		return left, under
	}
	for i := range stage.Steps {
		if under >= max(stage.Parallel, 1) {
			break
		}
		if step := &stage.Steps[i]; p.may(step) {
			p.take(stage, step)
			under++
		}
	}
	return left, under
}

// under says whether a step is under way. One over which a scheduler died
// begins again; one of a run that is cancelled does not.
func (p planning) under(stage *stageRun, step *stepRun) bool {
	if step.State != StepRunning {
		return false
	}
	job := p.jobOf(stage, step)
	running := p.view.Running(job)
	switch {
	case p.Run.State != PlanCancelling && !running:
		p.startStep(job, step)
		return true
	case p.Run.State == PlanCancelling && running:
		p.do(scheduler.Cancel{Job: job})
		return true
	case running:
		return true
	}
	step.State, step.Since = StepPending, p.now
	return false
}

// may says whether a step can begin now.
func (p planning) may(step *stepRun) bool {
	switch {
	case step.State == StepFailed && step.used():
		return false
	case step.State != StepPending && step.State != StepFailed:
		return false
	case step.Retry.After(p.now):
		p.wakeAt(step.Retry)
		return false
	}
	return p.waits(step) == ""
}

// used says whether the attempts of a step are used up.
func (s *stepRun) used() bool { return s.Attempts >= cmp.Or(s.Step.Attempts, stepAttempts) }

func (p planning) take(stage *stageRun, step *stepRun) {
	step.State, step.Since, step.Progress, step.Error = StepRunning, p.now, "", ""
	step.Attempts++
	if p.locks != nil { // else they are found when somebody asks
		for _, node := range step.Nodes {
			p.locks[node] = holder(p.name, step)
		}
	}
	p.tellRun("step begins", slog.String("step", stage.Name+"/"+step.Name), slog.Int("attempt", step.Attempts))
	p.startStep(p.jobOf(stage, step), step)
}

func (p planning) jobOf(stage *stageRun, step *stepRun) string {
	return fmt.Sprintf("%s/%s.%s.%d/%s/%s", stepKind, p.decision.Name, p.name, p.Run.Number, url.PathEscape(stage.Name), url.PathEscape(step.Name))
}

func (p planning) startStep(job string, step *stepRun) {
	in := stepInput{luggage: p.luggage(), plan: p.Plan, parameters: p.Run.Parameters, step: step.Step}
	p.do(scheduler.Start{Job: scheduler.Job{Name: job, Kind: stepKind, Value: in, Timeout: cmp.Or(step.Timeout, stepTimeout)}})
}

// stepOf is the step of the run that a job works on; nil: none that is under
// way.
func (p planning) stepOf(job string) *stepRun {
	if p.Run == nil || !strings.HasPrefix(job, fmt.Sprintf("%s/%s.%s.%d/", stepKind, p.decision.Name, p.name, p.Run.Number)) {
		return nil
	}
	for i := range p.Run.Stages {
		stage := &p.Run.Stages[i]
		for j := range stage.Steps {
			if step := &stage.Steps[j]; step.State == StepRunning && p.jobOf(stage, step) == job {
				return step
			}
		}
	}
	return nil
}

// stepDone takes in how an attempt ended. When the last that a step has fails,
// the run pauses.
func (p planning) stepDone(ev scheduler.JobDone) {
	step := p.stepOf(ev.Name)
	if step == nil {
		return
	}
	p.locks = nil
	step.Since = p.now
	if ev.Err == "" {
		step.State, step.Result, step.Progress = StepComplete, head(string(ev.Result)), ""
		p.tellRun("step complete", slog.String("step", step.Name), slog.String("result", step.Result))
		return
	}
	if p.Run.State == PlanCancelling {
		step.State = StepPending
		return
	}
	step.State, step.Error = StepFailed, head(ev.Err)
	step.Retry = p.now.Add(stepBackoff.after(step.Attempts))
	p.tellRun("step failed", slog.String("step", step.Name), slog.String("error", step.Error), slog.Int("attempt", step.Attempts))
	if step.used() && p.Run.State == PlanRunning {
		p.pause(fmt.Sprintf("step %s used up its attempts (%d): %s; resume the plan, restart, skip or force the step, or cancel the plan", step.Name, step.Attempts, step.Error))
	}
}

func (p planning) pause(why string) {
	p.Run.State, p.Run.Why = PlanPaused, why
	p.tellRun("plan paused", slog.String("why", why))
}

// history are the runs of a plan that have ended, newest first.
func (d *decision) history(plan string) []PlanSummary {
	past := slices.Clone(d.plans[plan].Past)
	slices.Reverse(past)
	return past
}
