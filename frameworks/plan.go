package frameworks

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
)

// PlanOf is work on a running service that has an end: a backup, a repair, a
// rebalance. An operator starts it, or a time-table. P is what may be chosen for
// a run; it crosses as JSON.
//
// A run is laid out once, when it begins, in stages of steps, and kept in the
// store from then on: a scheduler that dies goes on where it was. A step works
// on nodes; while it does, no other step, and no restart, update or replacement,
// touches them. A step that failed is tried again, after a pause that grows;
// when it has used up its attempts the run pauses, until an operator resumes
// it, or restarts, skips or forces the step, or cancels the run.
type PlanOf[P any] struct {
	Name string
	// Schedule is when it begins by itself, in the words of cron(5) and in UTC,
	// such as "30 2 * * 0" or "@daily"; empty: when an operator says so.
	// SchedulePlan changes it.
	Schedule string
	// Defaults are the parameters as far as a run does not choose others.
	Defaults P
	// Check says what of the parameters cannot be; nil: anything goes.
	Check func(P) error
	// Layout is pure.
	Layout func(d Deployment, p P) ([]Stage, error)
	// Work carries out one step. It is idempotent: after a crash of the scheduler
	// it begins again. It may tell how far it is by scheduler.Progress; its result
	// is a line for the operator, of which 1 KiB is kept.
	Work func(ctx context.Context, d Deployment, p P, step Step) (result string, err error)
}

// Stage is a part of a run: steps that need not wait for one another.
type Stage struct {
	Name string `json:"name"`
	// After are the stages that have to be complete before.
	After []string `json:"after,omitempty"`
	// Parallel is how many of its steps are under way at once, at most; zero: 1.
	Parallel int    `json:"parallel,omitempty"`
	Steps    []Step `json:"steps"`
}

// Step is one piece of work, on nodes that nobody else touches meanwhile.
type Step struct {
	Name  string   `json:"name"` // within its stage
	Nodes []string `json:"nodes,omitempty"`
	// Down lets it begin although its nodes are not ready.
	Down  bool   `json:"down,omitempty"`
	Input string `json:"input,omitempty"`
	// Timeout ends an attempt with an error; zero: 1 hour.
	Timeout time.Duration `json:"timeout,omitempty"`
	// Attempts before the run pauses; zero: 3.
	Attempts int `json:"attempts,omitempty"`
}

// Waves splits a stage into several, one after the other, each of the steps with
// the next key: the same rack, the same zone. Keys come in the order of the
// steps. Whatever is After the stage names the last wave, "<stage>-<n>".
func Waves(s Stage, key func(Step) string) []Stage {
	var keys []string
	waves := map[string][]Step{}
	for _, step := range s.Steps {
		k := key(step)
		if _, known := waves[k]; !known {
			keys = append(keys, k)
		}
		waves[k] = append(waves[k], step)
	}
	var out []Stage
	for _, k := range keys {
		out = s.wave(out, waves[k])
	}
	return out
}

// Percents splits a stage into several, one after the other, which have reached
// so many of a hundred steps when each is complete: 10, 50, 100. The last takes
// what is left.
func Percents(s Stage, percents ...int) []Stage {
	var out []Stage
	begin := 0
	for i, percent := range percents {
		end := min(len(s.Steps), (len(s.Steps)*percent+99)/100)
		if i == len(percents)-1 {
			end = len(s.Steps)
		}
		if end > begin {
			out = s.wave(out, s.Steps[begin:end])
			begin = end
		}
	}
	return out
}

func (s Stage) wave(before []Stage, steps []Step) []Stage {
	next := s
	next.Name, next.Steps = fmt.Sprintf("%s-%d", s.Name, len(before)+1), steps
	if len(before) > 0 {
		next.After = []string{before[len(before)-1].Name}
	}
	return append(before, next)
}

// Plan is a PlanOf, whatever its type.
type Plan struct {
	name, schedule string
	complete       bool // it has what it needs

	// parameters checks and completes those that a run chooses.
	parameters func(chosen json.RawMessage) (json.RawMessage, error)
	layout     func(d Deployment, parameters json.RawMessage) ([]Stage, error)
	work       func(ctx context.Context, d Deployment, parameters json.RawMessage, step Step) (string, error)
}

// Plan makes it a part of a Service.
func (p PlanOf[P]) Plan() Plan {
	return Plan{
		name: p.Name, schedule: p.Schedule, complete: p.Layout != nil && p.Work != nil,
		parameters: p.choose,
		layout: func(d Deployment, parameters json.RawMessage) ([]Stage, error) {
			var chosen P
			if err := json.Unmarshal(parameters, &chosen); err != nil {
				return nil, err
			}
			return guarded(func() ([]Stage, error) { return p.Layout(d, chosen) })
		},
		work: func(ctx context.Context, d Deployment, parameters json.RawMessage, step Step) (string, error) {
			var chosen P
			if err := json.Unmarshal(parameters, &chosen); err != nil {
				return "", err
			}
			return p.Work(ctx, d, chosen, step)
		},
	}
}

// choose is the parameters of a run: the defaults, with what is chosen in their
// place.
func (p PlanOf[P]) choose(chosen json.RawMessage) (json.RawMessage, error) {
	base, err := json.Marshal(p.Defaults)
	if err != nil {
		return nil, err
	}
	var out P // of its own: what is chosen must not be written into the defaults
	if err := json.Unmarshal(base, &out); err != nil {
		return nil, err
	}
	if len(chosen) > 0 {
		decoder := json.NewDecoder(bytes.NewReader(chosen))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&out); err != nil {
			return nil, fmt.Errorf("%w; wants parameters such as %s", err, base)
		}
		if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("they go on after their end; wants parameters such as %s", base)
		}
	}
	if p.Check != nil {
		if _, err := guarded(func() (any, error) { return nil, p.Check(out) }); err != nil {
			return nil, err
		}
	}
	return json.Marshal(out)
}

func (s *Service) validatePlans() []error {
	var errs []error
	for i, p := range s.Plans {
		bad := func(field string, value any, want string) {
			errs = append(errs, fmt.Errorf("Service.Plans[%d].%s: %#v: %s", i, field, value, want))
		}
		if !name.MatchString(p.name) || s.plan(p.name) != &s.Plans[i] || slices.Contains(derivedPlans, p.name) {
			bad("Name", p.name, fmt.Sprintf("wants lower case letters, digits and hyphens, and a name that no other plan has, nor one of %q", derivedPlans))
		}
		if !p.complete {
			bad("Layout", p.name, "wants a Layout and a Work")
			continue
		}
		if _, err := parseCron(p.schedule); p.schedule != "" && err != nil {
			bad("Schedule", p.schedule, err.Error())
		}
		if _, err := p.parameters(nil); err != nil && p.schedule != "" {
			bad("Defaults", p.schedule, "cannot begin by itself: "+err.Error())
		}
	}
	return errs
}

// derivedPlans are the engine's own, by the names under which operators know
// them.
var derivedPlans = []string{"deploy", "update", "recovery", "leave", "uninstall"}

func (s *Service) plan(name string) *Plan {
	i := slices.IndexFunc(s.Plans, func(p Plan) bool { return p.name == name })
	if i < 0 {
		return nil
	}
	return &s.Plans[i]
}

// maxSteps bounds a run, whose record is written whole.
const maxSteps = 10_000

// checkLayout says what of the stages of a run cannot be.
func (d *decision) checkLayout(stages []Stage) error {
	steps, nodes := 0, map[string]bool{}
	for _, n := range d.nodes {
		nodes[n.Name] = true
	}
	for i, stage := range stages {
		known := func(name string) bool {
			return slices.ContainsFunc(stages[:i], func(s Stage) bool { return s.Name == name })
		}
		if stage.Name == "" || known(stage.Name) {
			return fmt.Errorf("stage %d: Name: %q: wants a name that no other stage has", i, stage.Name)
		}
		for _, before := range stage.After {
			if !known(before) {
				return fmt.Errorf("stage %s: After: %q: wants a stage laid out before it", stage.Name, before)
			}
		}
		if stage.Parallel < 0 {
			return fmt.Errorf("stage %s: Parallel: %d: wants 0 or more", stage.Name, stage.Parallel)
		}
		seen := map[string]bool{}
		for j, step := range stage.Steps {
			if step.Name == "" || seen[step.Name] {
				return fmt.Errorf("stage %s: step %d: Name: %q: wants a name that no other step of the stage has", stage.Name, j, step.Name)
			}
			seen[step.Name] = true
			for _, node := range step.Nodes {
				if !nodes[node] {
					return fmt.Errorf("stage %s: step %s: node %q: %w", stage.Name, step.Name, node, ErrUnknown)
				}
			}
		}
		steps += len(stage.Steps)
	}
	if steps > maxSteps {
		return fmt.Errorf("%d steps: wants at most %d", steps, maxSteps)
	}
	return nil
}
