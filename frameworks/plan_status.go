package frameworks

import (
	"encoding/json"
	"time"
)

// PlanState is how a run of a plan stands.
type PlanState string

// The states of a run.
const (
	PlanWaiting    PlanState = "waiting" // none is under way
	PlanRunning    PlanState = "running"
	PlanPaused     PlanState = "paused"     // no step begins; see Why
	PlanCancelling PlanState = "cancelling" // until the steps under way have ended
	PlanComplete   PlanState = "complete"
	PlanCancelled  PlanState = "cancelled"
)

// StepState is how a step of a run stands.
type StepState string

// The states of a step.
const (
	StepPending  StepState = "pending"
	StepRunning  StepState = "running"
	StepFailed   StepState = "failed" // tried again, unless its attempts are used up
	StepComplete StepState = "complete"
	StepSkipped  StepState = "skipped" // by an operator
	StepForced   StepState = "forced"  // an operator calls it complete
)

// done says whether the run goes on past a step in this state.
func (s StepState) done() bool {
	return s == StepComplete || s == StepSkipped || s == StepForced
}

// PlanStatus is a plan as an operator sees it, with the run that is under way,
// or else none.
type PlanStatus struct {
	Name  string    `json:"name"`
	State PlanState `json:"state"`
	// Why it is paused, or which wave of an update is under way.
	Why string `json:"why,omitempty"`
	// Run counts the runs of the plan, from 1; Parameters are those of this one.
	Run        int             `json:"run,omitempty"`
	Parameters json.RawMessage `json:"parameters,omitempty"`
	Since      time.Time       `json:"since,omitzero"`
	// Done of Steps are complete, skipped or forced.
	Done   int           `json:"done"`
	Steps  int           `json:"steps"`
	Stages []StageStatus `json:"stages,omitempty"`
	// Schedule is when it begins by itself, and Next when that is next.
	Schedule string    `json:"schedule,omitempty"`
	Next     time.Time `json:"next,omitzero"`
	// Trouble is why it did not begin when its time had come last.
	Trouble string `json:"trouble,omitempty"`
	// History are the last runs that ended, newest first.
	History []PlanSummary `json:"history,omitempty"`
}

// PlanSummary is a run that has ended.
type PlanSummary struct {
	Run        int             `json:"run"`
	State      PlanState       `json:"state"`
	Parameters json.RawMessage `json:"parameters,omitempty"`
	By         string          `json:"by"` // "operator", "schedule" or "engine"
	Since      time.Time       `json:"since"`
	Ended      time.Time       `json:"ended"`
	Steps      int             `json:"steps"`
	// Why it was cancelled, or a node had to recover first; Nodes are the first that
	// it concerned, and Failures those that they had: of the engine's own plans,
	// whose steps are nodes.
	Why      string   `json:"why,omitempty"`
	Nodes    []string `json:"nodes,omitempty"`
	Failures int      `json:"failures,omitempty"`
	// Overridden are the steps that an operator skipped or forced.
	Overridden []string `json:"overridden,omitempty"`
}

// StageStatus is a stage of a run as an operator sees it.
type StageStatus struct {
	Name  string       `json:"name"`
	After []string     `json:"after,omitempty"`
	State StepState    `json:"state"`
	Steps []StepStatus `json:"steps"`
}

// StepStatus is a step of a run as an operator sees it.
type StepStatus struct {
	Name  string    `json:"name"`
	Nodes []string  `json:"nodes,omitempty"`
	State StepState `json:"state"`
	// Waits is what a step waits for that could begin otherwise.
	Waits    string `json:"waits,omitempty"`
	Attempts int    `json:"attempts,omitempty"`
	// Progress is what the step says of itself while it runs, Result what it
	// said at its end, Error why it failed last.
	Progress string    `json:"progress,omitempty"`
	Result   string    `json:"result,omitempty"`
	Error    string    `json:"error,omitempty"`
	Since    time.Time `json:"since,omitzero"` // of its state
}

func (d *decision) planStatus() []PlanStatus {
	var out []PlanStatus
	for i := range d.Plans {
		record := d.plans[d.Plans[i].name]
		if record == nil {
			continue
		}
		s := PlanStatus{
			Name: d.Plans[i].name, State: PlanWaiting, Schedule: record.Cron, Next: record.Next, Trouble: record.Trouble,
			History: d.history(d.Plans[i].name),
		}
		if run := record.Run; run != nil {
			s.State, s.Why, s.Run, s.Parameters, s.Since = run.State, run.Why, run.Number, run.Parameters, run.Since
			for j := range run.Stages {
				stage := d.stageStatus(run, &run.Stages[j])
				for _, step := range stage.Steps {
					s.Steps++
					if step.State.done() {
						s.Done++
					}
				}
				s.Stages = append(s.Stages, stage)
			}
		}
		out = append(out, s)
	}
	return out
}

func (d *decision) stageStatus(run *run, stage *stageRun) StageStatus {
	out := StageStatus{Name: stage.Name, After: stage.After, State: stage.state()}
	before := run.unmet(stage)
	for i := range stage.Steps {
		step := &stage.Steps[i]
		s := StepStatus{
			Name: step.Name, Nodes: step.Nodes, State: step.State, Attempts: step.Attempts,
			Progress: step.Progress, Result: step.Result, Error: step.Error, Since: step.Since,
		}
		switch {
		case step.State != StepPending && step.State != StepFailed:
		case before != "":
			s.Waits = "stage " + before
		case run.State == PlanRunning:
			s.Waits = d.waits(step)
		}
		out.Steps = append(out.Steps, s)
	}
	return out
}

// state sums up the steps of a stage.
func (s *stageRun) state() StepState {
	state := StepComplete
	for _, step := range s.Steps {
		switch {
		case step.State == StepRunning:
			return StepRunning
		case step.State == StepFailed:
			state = StepFailed
		case !step.State.done() && state == StepComplete:
			state = StepPending
		}
	}
	return state
}

func (r *run) summary() PlanSummary {
	out := PlanSummary{
		Run: r.Number, State: r.State, Parameters: r.Parameters, By: r.By, Since: r.Since, Ended: r.Ended,
	}
	for _, stage := range r.Stages {
		out.Steps += len(stage.Steps)
		for _, step := range stage.Steps {
			if step.State == StepSkipped || step.State == StepForced {
				out.Overridden = append(out.Overridden, stage.Name+"/"+step.Name)
			}
		}
	}
	return out
}
