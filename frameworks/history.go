package frameworks

import (
	"bytes"
	"cmp"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"github.com/mesokit/mesokit/scheduler"
)

// What the engine's own plans have still to do follows from the nodes as they
// are; what they did is told by their runs. A run begins when a node becomes a
// step of the plan that is not done, and ends when there is none any more, or
// with what it was for: an update that other options overtake is cancelled. The
// runs under way are part of the service's record, those that ended have records
// of their own, which are read only when somebody asks.

const (
	// namesKept is how many nodes and overridden steps a run names.
	namesKept = 20
	// engine is who begins the runs of these plans.
	engine = "engine"
)

// pastRuns are the last runs of a plan that ended, oldest first.
type pastRuns struct {
	Runs []PlanSummary `json:"runs"`
}

// ownPlans says of which of the engine's own plans a node is a step that is not
// done: a bit for each, in the order of derivedPlans.
type ownPlans uint8

func (d *decision) openSteps(n *Node) (of ownPlans) {
	for i, plan := range derivedPlans {
		if state, part := d.derivedStep(plan, n, ""); part && !state.done() {
			of |= 1 << i
		}
	}
	return of
}

// count adds up how many nodes at rest are steps of each plan.
func (r *roster) count(of ownPlans, by int) {
	for i := range r.open {
		if of&(1<<i) != 0 {
			r.open[i] += by
		}
	}
}

// chronicle begins and ends the runs of the engine's own plans, and takes in
// whom they concern.
func (d *decision) chronicle() {
	open := d.roster.open
	for _, n := range d.awake() {
		of := d.openSteps(n)
		for i, plan := range derivedPlans {
			if of&(1<<i) != 0 {
				open[i]++
				d.enter(plan, n)
			}
		}
	}
	for i, plan := range derivedPlans {
		run := d.service.Own[plan]
		switch state, why := d.overtaken(plan, run); {
		case plan == "uninstall" && d.uninstalling() && d.service.Uninstall.Ended.IsZero():
			d.underWayOf(plan, nil) // also without a node
		case run == nil:
		case state != "":
			d.ends(plan, run, state, why)
		case open[i] == 0:
			d.ends(plan, run, PlanComplete, run.Why)
		}
	}
}

// enter makes a node a step of the run of a plan.
func (d *decision) enter(plan string, n *Node) {
	run := d.underWayOf(plan, n)
	if n.Runs[plan] == run.Run {
		return
	}
	n.Runs = maps.Clone(n.Runs) // the record's is not changed
	if n.Runs == nil {
		n.Runs = map[string]int{}
	}
	n.Runs[plan] = run.Run
	run.Steps++
	if len(run.Nodes) < namesKept {
		run.Nodes = append(run.Nodes, n.Name)
	}
}

// underWayOf is the run of a plan that is under way; it begins with a node, where
// there is none.
func (d *decision) underWayOf(plan string, first *Node) *PlanSummary {
	if run := d.service.Own[plan]; run != nil {
		return run
	}
	if d.service.Own == nil {
		d.service.Own = map[string]*PlanSummary{}
	}
	if d.service.Runs == nil {
		d.service.Runs = map[string]int{}
	}
	d.service.Runs[plan]++
	run := &PlanSummary{Run: d.service.Runs[plan], State: PlanRunning, By: engine, Since: d.now}
	switch plan {
	case "update":
		run.Parameters = d.service.Options.Target
	case "recovery":
		run.Why = d.cause(first)
	}
	d.service.Own[plan] = run
	return run
}

// cause is why a node has to recover.
func (d *decision) cause(n *Node) string {
	why := ""
	switch {
	case n.Replace:
		why = "it is replaced"
	case !n.Lost.IsZero() && n.Place != nil:
		why = "agent " + n.Place.Hostname + " is lost"
	case n.LastFailure != "":
		why, _, _ = strings.Cut(n.LastFailure, "\n")
	default:
		why = cmp.Or(n.Waits, "it is not ready")
	}
	return n.Name + ": " + head(why)
}

// overtaken says how a run ends before it has done what it was for; empty: it
// goes on.
func (d *decision) overtaken(plan string, run *PlanSummary) (PlanState, string) {
	switch {
	case run == nil:
	case d.uninstalling() && plan != "uninstall":
		return PlanCancelled, "the service is uninstalled"
	case plan == "update" && !bytes.Equal(run.Parameters, d.service.Options.Target):
		return PlanCancelled, cmp.Or(d.service.Options.Trouble, "other options")
	}
	return "", ""
}

func (d *decision) ends(plan string, run *PlanSummary, state PlanState, why string) {
	run.State, run.Why, run.Ended = state, why, d.now
	past := append(d.ownHistory(plan), *run)
	record, err := encode(pastRuns{past[max(0, len(past)-runsKept):]})
	if err != nil {
		d.do(scheduler.Note{Text: "a run is not kept", Attrs: []slog.Attr{slog.String("plan", plan), slog.String("error", err.Error())}})
	} else {
		d.past[plan] = record
	}
	delete(d.service.Own, plan)
}

// ownHistory are the last runs of one of the engine's own plans that ended,
// oldest first.
func (d *decision) ownHistory(plan string) []PlanSummary {
	record, ok := d.past[plan]
	if !ok {
		return nil
	}
	past, err := decode[pastRuns](record)
	if err != nil {
		return nil // what happened once stops nothing
	}
	return past.Runs
}

// tellOwn shows the run that is under way of one of the engine's own plans, and
// those that ended.
func (d *decision) tellOwn(p *PlanStatus) {
	if run := d.service.Own[p.Name]; run != nil {
		p.Run = run.Run
		if p.Since.IsZero() {
			p.Since = run.Since
		}
	}
	p.History = d.ownHistory(p.Name)
	slices.Reverse(p.History)
}

// overridden notes a step that an operator skipped or forced.
func (d *decision) overridden(plan string, n *Node) {
	if run := d.service.Own[plan]; run != nil && len(run.Overridden) < namesKept {
		run.Overridden = append(run.Overridden, fmt.Sprintf("%s/%s", n.Pod, n.Name))
	}
}

// strain counts a failure of a node in the runs that it is a step of.
func (d *decision) strain(n *Node) {
	for plan, run := range d.service.Own {
		if n.Runs[plan] == run.Run {
			run.Failures++
		}
	}
}
