package frameworks

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"
)

// The commands for plans.
type (
	// StartPlan begins a run. Parameters are those that differ from the plan's
	// defaults, as JSON; nil: none.
	StartPlan struct {
		Plan       string
		Parameters json.RawMessage
	}
	// PausePlan lets the steps under way go on to their end, and begins no other.
	PausePlan struct{ Plan string }
	// ResumePlan lets a plan go on that is paused, "update" among them. Steps that
	// had used up their attempts get new ones.
	ResumePlan struct{ Plan string }
	// CancelPlan ends a run: the contexts of its steps end, and when they have
	// returned, it is over.
	CancelPlan struct{ Plan string }
	// SchedulePlan changes when a plan begins by itself, and with which
	// parameters. Cron is as PlanOf.Schedule; empty: never.
	SchedulePlan struct {
		Plan       string
		Cron       string
		Parameters json.RawMessage
	}
	// ForceStep calls a step complete that is not under way.
	ForceStep struct{ Plan, Stage, Step string }
	// SkipStep leaves a step out that is not under way.
	SkipStep struct{ Plan, Stage, Step string }
	// RestartStep does a step again, also one that is done, with new attempts.
	RestartStep struct{ Plan, Stage, Step string }
)

// planCommand carries out a command for one of the service's own plans. It
// reports false for any other.
func (d *decision) planCommand(c any) (bool, error) {
	switch c := c.(type) {
	case StartPlan:
		return d.onPlan("start", c.Plan, func(p planning) error { return p.begin(c.Parameters, "operator") })
	case SchedulePlan:
		return d.onPlan("schedule", c.Plan, func(p planning) error { return p.schedules(c) })
	case PausePlan:
		return d.onRun("pause", c.Plan, func(p planning) error {
			if p.Run.State == PlanRunning {
				p.pause("by an operator")
			}
			return nil
		})
	case ResumePlan:
		return d.onRun("resume", c.Plan, func(p planning) error { return p.resumes() })
	case CancelPlan:
		return d.onRun("cancel", c.Plan, func(p planning) error {
			p.Run.State, p.Run.Why = PlanCancelling, ""
			p.tellRun("plan is cancelled")
			return nil
		})
	case ForceStep:
		return d.onStep("force", c.Plan, c.Stage, c.Step, func(p planning, step *stepRun) error { return p.override(step, StepForced) })
	case SkipStep:
		return d.onStep("skip", c.Plan, c.Stage, c.Step, func(p planning, step *stepRun) error { return p.override(step, StepSkipped) })
	case RestartStep:
		return d.onStep("restart", c.Plan, c.Stage, c.Step, func(p planning, step *stepRun) error { return p.override(step, StepPending) })
	}
	return false, nil
}

// onPlan does something to one of the service's own plans.
func (d *decision) onPlan(what, name string, change func(planning) error) (bool, error) {
	plan := d.plan(name)
	switch {
	case plan == nil && slices.Contains(derivedPlans, name):
		return false, nil
	case plan == nil:
		return true, fmt.Errorf("plan %q: %w; there are %s", name, ErrUnknown, strings.Join(d.planNames(), ", "))
	}
	if err := change(d.planning(plan)); err != nil {
		return true, fmt.Errorf("%s plan %s: %w", what, name, err)
	}
	return true, nil
}

// planNames are the plans that an operator may name.
func (s *Service) planNames() []string {
	var names []string
	for _, p := range s.Plans {
		names = append(names, p.name)
	}
	return append(names, derivedPlans...)
}

// onRun does something to the run that is under way.
func (d *decision) onRun(what, name string, change func(planning) error) (bool, error) {
	return d.onPlan(what, name, func(p planning) error {
		switch {
		case p.Run == nil:
			return fmt.Errorf("%w: no run of it is under way; start it", ErrRefused)
		case p.Run.State == PlanCancelling:
			return fmt.Errorf("%w: run %d is being cancelled", ErrRefused, p.Run.Number)
		}
		return change(p)
	})
}

func (d *decision) onStep(what, name, stage, step string, change func(planning, *stepRun) error) (bool, error) {
	return d.onRun(what+" a step of", name, func(p planning) error {
		var known []string
		for i := range p.Run.Stages {
			s := &p.Run.Stages[i]
			for j := range s.Steps {
				if s.Name == stage && s.Steps[j].Name == step {
					p.tellRun("step: "+what, slog.String("step", stage+"/"+step))
					return change(p, &s.Steps[j])
				}
				if len(known) < 20 {
					known = append(known, s.Name+"/"+s.Steps[j].Name)
				}
			}
		}
		return fmt.Errorf("step %s/%s: %w; there are %s", stage, step, ErrUnknown, strings.Join(known, ", "))
	})
}

func (p planning) override(step *stepRun, state StepState) error {
	if step.State == StepRunning {
		return fmt.Errorf("step %s: %w: it is under way; wait for its end, or cancel the plan", step.Name, ErrRefused)
	}
	step.State, step.Attempts, step.Retry, step.Since = state, 0, time.Time{}, p.now
	return nil
}

func (p planning) resumes() error {
	if p.Run.State != PlanPaused {
		return fmt.Errorf("%w: run %d is %s", ErrRefused, p.Run.Number, p.Run.State)
	}
	p.Run.State, p.Run.Why = PlanRunning, ""
	for i := range p.Run.Stages {
		for j := range p.Run.Stages[i].Steps {
			if step := &p.Run.Stages[i].Steps[j]; step.State == StepFailed {
				step.Attempts, step.Retry = 0, time.Time{}
			}
		}
	}
	p.tellRun("plan resumed")
	return nil
}

func (p planning) schedules(c SchedulePlan) error {
	if c.Cron != "" {
		if _, err := parseCron(c.Cron); err != nil {
			return fmt.Errorf("%w: cron: %w", ErrRefused, err)
		}
	}
	if _, err := p.parameters(c.Parameters); err != nil {
		return fmt.Errorf("%w: parameters: %w", ErrRefused, err)
	}
	p.reschedule(c.Cron, c.Parameters)
	p.Trouble = ""
	p.tellRun("plan scheduled", slog.String("cron", c.Cron), slog.Time("next", p.Next))
	return nil
}
