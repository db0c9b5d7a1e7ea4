package model

import (
	"slices"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

// Mesos's bounds of what an agent remembers of what ended
// (src/slave/constants.hpp); that of executors holds for all frameworks here.
const (
	maxPast = 150
	maxDone = 200
)

// pastRun is a run that is over, with the framework it was of.
type pastRun struct {
	framework mesos.FrameworkInfo
	run       *run
}

// AgentReport is what an agent knows, for those who look at it.
type AgentReport struct {
	Info mesos.AgentInfo
	// Total is all there is, with the reservations and volumes on it.
	Total []mesos.Resource
	// Draining is how the agent is being emptied, or nil.
	Draining *DrainAgent
	// Frameworks have executors; Completed had some.
	Frameworks, Completed []FrameworkReport
	// Operations have a status that is not acknowledged.
	Operations []mesos.Operation
}

// FrameworkReport is a framework as an agent knows it.
type FrameworkReport struct {
	Info                 mesos.FrameworkInfo
	Executors, Completed []ExecutorReport
}

// ExecutorReport is one run of an executor.
type ExecutorReport struct {
	Info      mesos.ExecutorInfo
	Container string
	PID       int // 0 before it was started
	Over      bool
	Resources []mesos.Resource // of the executor and the tasks that have not ended
	// Queued tasks wait for the executor, Launched were delivered,
	// Terminated have ended and are not acknowledged, Completed are.
	Queued                          []mesos.TaskInfo
	Launched, Terminated, Completed []mesos.Task
}

// Total is what the agent has, with the reservations and volumes on it.
func (a *Agent) Total() []mesos.Resource { return a.total.Wire(wholeFormat) }

// Report returns what the agent knows.
func (a *Agent) Report() AgentReport {
	out := AgentReport{Info: a.cfg.Info, Total: reported(a.total), Draining: a.draining}
	for _, uuid := range sortedKeys(a.operations) {
		out.Operations = append(out.Operations, a.operations[uuid].op.on(a.id))
	}
	past := map[string]*FrameworkReport{}
	var order []string
	for _, p := range a.past {
		id := p.run.framework
		if past[id] == nil {
			past[id] = &FrameworkReport{Info: p.framework}
			order = append(order, id)
		}
		past[id].Completed = append(past[id].Completed, p.run.report(&p.framework))
	}
	for _, id := range sortedKeys(a.frameworks) {
		f := a.frameworks[id]
		r := FrameworkReport{Info: f.info}
		for _, executor := range sortedKeys(f.runs) {
			r.Executors = append(r.Executors, f.runs[executor].report(&f.info))
		}
		if past[id] != nil {
			r.Completed = past[id].Completed
		}
		out.Frameworks = append(out.Frameworks, r)
	}
	for _, id := range order {
		if a.frameworks[id] == nil {
			out.Completed = append(out.Completed, *past[id])
		}
	}
	return out
}

func (r *run) report(f *mesos.FrameworkInfo) ExecutorReport {
	out := ExecutorReport{Info: r.info, Container: r.container, PID: r.pid, Over: r.ended}
	held, _ := NewResources(r.info.Resources) // the master has validated them
	if r.command && len(r.taskOrder)+len(r.done) > 0 {
		// Mesos allows its own executor that much, beyond what was offered.
		allowance, _ := NewResources([]mesos.Resource{
			{Name: "cpus", Type: mesos.SCALAR.Enum(), Scalar: &mesos.Value_Scalar{Value: 0.1}},
			{Name: "mem", Type: mesos.SCALAR.Enum(), Scalar: &mesos.Value_Scalar{Value: 32}},
		})
		held = held.Plus(allowance)
	}
	for _, id := range r.taskOrder {
		t := r.tasks[id]
		if !terminal(t.state) {
			rs, _ := NewResources(t.info.Resources)
			held = held.Plus(rs)
		}
		switch {
		case terminal(t.state):
			out.Terminated = append(out.Terminated, t.report(r, f))
		case t.delivered:
			out.Launched = append(out.Launched, t.report(r, f))
		default:
			out.Queued = append(out.Queued, t.info)
		}
	}
	for _, t := range r.done {
		out.Completed = append(out.Completed, t.report(r, f))
	}
	if !r.ended {
		out.Resources = reported(held)
	}
	return out
}

func (t *running) report(r *run, f *mesos.FrameworkInfo) mesos.Task {
	rs, _ := NewResources(t.info.Resources)
	x := task{info: t.info, framework: r.framework, state: t.state, resources: rs, sent: t.status}
	if t.status != nil {
		x.statuses = []mesos.TaskStatus{*t.status}
	}
	out := x.report(&framework{id: r.framework, info: *f})
	if !r.command {
		out.ExecutorID = &mesos.ExecutorID{Value: r.executor}
	}
	return out
}

// finish keeps a task that is over for the report.
func (r *run) finish(t *running) {
	if r.done = append(r.done, t); len(r.done) > maxDone {
		r.done = slices.Delete(r.done, 0, 1)
	}
}

// remember keeps a run that is over for the report.
func (a *Agent) remember(f *served, r *run) {
	r.ended = true
	for _, id := range r.taskOrder {
		r.finish(r.tasks[id])
	}
	r.tasks, r.taskOrder = map[string]*running{}, nil
	if a.past = append(a.past, pastRun{f.info, r}); len(a.past) > maxPast {
		a.past = slices.Delete(a.past, 0, 1)
	}
}
