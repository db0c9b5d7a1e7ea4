package frameworks

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

// The engine's own plans are not stored: what is still to be done follows from
// the nodes as they are; what was done is told by their history. They are shown, and
// overridden, as the service's own plans are: a stage for each pod, a step for
// each node. Only the overrides are stored.
//
//	deploy      nodes arrive for the first time
//	update      nodes that are out of date are rolled
//	recovery    members that went down by themselves come back
//	leave       nodes hand over what they hold, and go
//	uninstall   nodes go, and then what was reserved
//
// Paused, deploy launches no node that has not arrived, update takes no further
// node, recovery replaces no lost node by itself (it still launches them in
// place), leave and uninstall let no further node go.

// paused says whether an operator has paused one of the engine's own plans.
func (d *decision) paused(plan string) bool { return slices.Contains(d.service.Paused, plan) }

// derivedCommand carries out a command for one of the engine's own plans.
func (d *decision) derivedCommand(c any) error {
	switch c := c.(type) {
	case PausePlan:
		if !d.paused(c.Plan) {
			d.service.Paused = append(d.service.Paused, c.Plan)
			slices.Sort(d.service.Paused)
		}
		return nil
	case ResumePlan:
		d.service.Paused = slices.DeleteFunc(d.service.Paused, func(p string) bool { return p == c.Plan })
		if c.Plan == "update" {
			d.resumeRollouts()
		}
		return nil
	case ForceStep:
		return d.onNode("force", c.Plan, c.Stage, c.Step, d.forceNode)
	case SkipStep:
		return d.onNode("skip", c.Plan, c.Stage, c.Step, d.skipNode)
	case RestartStep:
		return d.onNode("restart", c.Plan, c.Stage, c.Step, d.restartNode)
	case StartPlan:
		return fmt.Errorf("start plan %s: %w: it begins by itself", c.Plan, ErrRefused)
	case CancelPlan:
		return fmt.Errorf("cancel plan %s: %w: pause it, or take back what it is for (update: rollback)", c.Plan, ErrRefused)
	}
	return fmt.Errorf("command: %T: wants one of the commands of package frameworks", c)
}

func (d *decision) onNode(what, plan, stage, step string, change func(plan string, n *Node) error) error {
	n := d.node(step)
	if n == nil || n.Pod != stage {
		return fmt.Errorf("step %s/%s of plan %s: %w: its stages are the pods, its steps their nodes", stage, step, plan, ErrUnknown)
	}
	if err := change(plan, n); err != nil {
		return fmt.Errorf("%s step %s/%s of plan %s: %w", what, stage, step, plan, err)
	}
	if what != "restart" {
		d.overridden(plan, n)
	}
	return nil
}

var errNoStep = fmt.Errorf("%w: it is no step of it now", ErrRefused)

// forceNode calls a step complete: the operator vouches for it.
func (d *decision) forceNode(plan string, n *Node) error {
	switch plan {
	case "deploy":
		if task, live := d.live(n); !live || task.Status.GetState() != mesos.TASK_RUNNING {
			return fmt.Errorf("%w: no server of it runs that could be called a member, so that its next would start on volumes that nothing was made on; skip it", ErrRefused)
		}
		n.Arrived = n.Generation
	case "update":
		if _, part := d.derivedStep(plan, n, ""); !part {
			return errNoStep
		}
		n.Skip, n.Out = n.Wanted, time.Time{}
	case "leave", "uninstall":
		if n.Goal != GoalLeave {
			return fmt.Errorf("%w: it does not leave", ErrRefused)
		}
		d.depart(n)
	default:
		return fmt.Errorf("%w: a node is back when it is ready; replace it, or remove it", ErrRefused)
	}
	return nil
}

// skipNode leaves a node out.
func (d *decision) skipNode(plan string, n *Node) error {
	switch plan {
	case "deploy":
		n.Excused = true
	case "update":
		if _, part := d.derivedStep(plan, n, ""); !part {
			return errNoStep
		}
		n.Skip = n.Wanted
	default:
		return fmt.Errorf("%w: it cannot be left out; stop the node, or force the step", ErrRefused)
	}
	return nil
}

// restartNode does a step again from its beginning. A node that serves stops for
// it as soon as the service can spare it.
func (d *decision) restartNode(plan string, n *Node) error {
	if _, part := d.derivedStep(plan, n, ""); !part {
		return fmt.Errorf("%w; restart the node", errNoStep)
	}
	n.Excused, n.Skip, n.Failures, n.Retry, n.Waits = false, "", 0, d.now, ""
	if _, live := d.live(n); live && plan != "leave" && plan != "uninstall" {
		n.Restart, n.Forced = true, n.Forced || !n.Ready
	}
	return nil
}

// derivedStep shows a node as a step of one of the engine's own plans; false: it
// is no part of it. The phase only tells apart what is not done.
func (d *decision) derivedStep(plan string, n *Node, phase Phase) (StepState, bool) {
	switch plan {
	case "deploy":
		return deployStep(n, phase)
	case "update":
		return d.updateStep(n, phase)
	case "recovery":
		return d.recoveryStep(n, phase)
	case "leave":
		return StepRunning, n.Goal == GoalLeave && !d.uninstalling()
	case "uninstall":
		return uninstallStep(n), d.uninstalling()
	}
	return "", false
}

// derivedStatus shows the engine's own plans; nodes are those of the status.
func (d *decision) derivedStatus(nodes []NodeStatus) []PlanStatus {
	var out []PlanStatus
	for _, name := range derivedPlans {
		p := PlanStatus{Name: name, State: PlanWaiting}
		for i := range d.Pods {
			if stage := d.derivedStage(name, &d.Pods[i], nodes); len(stage.Steps) > 0 {
				stage.After = d.Pods[i].After
				p.add(stage)
			}
		}
		if name == "uninstall" && d.uninstalling() {
			p.add(d.givingBack())
			p.Since = d.service.Uninstall.Since
		}
		p.sumUp()
		if d.paused(name) {
			p.State, p.Why = PlanPaused, "by an operator"
		} else if name == "update" {
			d.explainUpdate(&p)
		}
		d.tellOwn(&p)
		out = append(out, p)
	}
	return out
}

func (d *decision) derivedStage(plan string, pod *Pod, nodes []NodeStatus) StageStatus {
	stage := StageStatus{Name: pod.Name, State: StepComplete}
	for i := range nodes {
		n := &nodes[i]
		if n.Pod != pod.Name {
			continue
		}
		state, part := d.derivedStep(plan, &n.Node, n.Phase)
		if !part {
			continue
		}
		step := StepStatus{Name: n.Name, Nodes: []string{n.Name}, State: state, Since: n.Since}
		if !state.done() {
			step.Waits = cmp.Or(n.Waits, n.Refused)
			step.Progress, step.Attempts = string(n.Phase), n.Failures
			step.Error = n.LastFailure
		}
		stage.Steps = append(stage.Steps, step)
	}
	return stage
}

// add adds a stage, with its state and the count of its steps.
func (p *PlanStatus) add(stage StageStatus) {
	stage.State = StepComplete
	for _, s := range stage.Steps {
		p.Steps++
		switch {
		case s.State.done():
			p.Done++
		case s.State == StepRunning, stage.State == StepComplete:
			stage.State = s.State
		}
	}
	p.Stages = append(p.Stages, stage)
}

func (p *PlanStatus) sumUp() {
	switch {
	case p.Steps == 0:
	case p.Done == p.Steps:
		p.State = PlanComplete
	default:
		p.State = PlanRunning
	}
}

func (d *decision) explainUpdate(p *PlanStatus) {
	for i := range d.Pods {
		r := d.pods[d.Pods[i].Name].Rollout
		if !r.Since.IsZero() && (p.Since.IsZero() || r.Since.Before(p.Since)) {
			p.Since = r.Since
		}
		switch {
		case r.Paused != "" && p.State != PlanPaused:
			p.State, p.Why = PlanPaused, "pod "+d.Pods[i].Name+": "+r.Paused
		case r.Wave > 0 && p.Why == "":
			p.Why = "pod " + d.Pods[i].Name + ": " + d.Pods[i].wave(&r)
		}
	}
}

// underWay is the state of a step whose node is not where it should be.
func underWay(phase Phase) StepState {
	switch phase {
	case BackingOff:
		return StepFailed
	case Placing, Reserved:
		return StepPending
	}
	return StepRunning
}

func deployStep(n *Node, phase Phase) (StepState, bool) {
	switch {
	case n.Goal == GoalLeave:
		return "", false
	case n.Arrived > 0:
		return StepComplete, true
	case n.Excused:
		return StepSkipped, true
	}
	return underWay(phase), true
}

func (d *decision) updateStep(n *Node, phase Phase) (StepState, bool) {
	_, live := d.live(n)
	switch {
	case n.Goal != GoalRun:
		return "", false
	case d.aims(n) && n.Finished != "" && !d.complete(n):
		return underWay(phase), true
	case n.Outdated() && live && n.Out.IsZero() && !n.Spared:
		return StepPending, true
	case d.pods[n.Pod].Rollout.Since.IsZero():
		return "", false
	case n.Skip != "" && n.Skip == n.Wanted && n.Config != n.Wanted:
		return StepSkipped, true
	case !n.Out.IsZero() || n.Spared:
		return underWay(phase), true
	}
	return StepComplete, true
}

func (d *decision) recoveryStep(n *Node, phase Phase) (StepState, bool) {
	if n.Goal != GoalRun || n.Arrived == 0 || d.aims(n) && n.arrived() || n.Ready && !n.Replace || !n.Out.IsZero() && !n.Replace {
		return "", false
	}
	return underWay(phase), true
}

func uninstallStep(n *Node) StepState {
	if n.Departed {
		return StepRunning
	}
	return StepPending
}

// givingBack shows what is reserved and to be given back.
func (d *decision) givingBack() StageStatus {
	stage := StageStatus{Name: "places"}
	for _, gone := range d.discards {
		step := StepStatus{Name: gone.ID, State: StepRunning, Waits: "agent " + LeftBehind{gone.ID, gone.Agent, gone.Hostname}.Where() + " to be offered", Since: gone.Sent}
		if !gone.Sent.IsZero() {
			step.State, step.Waits = StepComplete, ""
		}
		stage.Steps = append(stage.Steps, step)
	}
	return stage
}
