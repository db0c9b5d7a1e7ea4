package frameworks

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

// The engine's own plans are not stored: what is still to be done follows from
// the nodes as they are, and what was done shows in them. They are shown, and
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
		if !d.partOf(plan, n) {
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
		if !d.partOf(plan, n) {
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
	if !d.partOf(plan, n) {
		return fmt.Errorf("%w; restart the node", errNoStep)
	}
	n.Excused, n.Skip, n.Failures, n.Retry, n.Waits = false, "", 0, d.now, ""
	if _, live := d.live(n); live && plan != "leave" && plan != "uninstall" {
		n.Restart, n.Forced = true, n.Forced || !n.Ready
	}
	return nil
}

// derivedSteps show nodes as the steps of the engine's own plans, where they are
// part of them.
func (d *decision) derivedSteps() map[string]func(NodeStatus) (StepState, bool) {
	return map[string]func(NodeStatus) (StepState, bool){
		"deploy": d.deployStep, "update": d.updateStep, "recovery": d.recoveryStep, "leave": d.leaveStep, "uninstall": d.uninstallStep,
	}
}

// partOf says whether a node is a step of one of the engine's own plans.
func (d *decision) partOf(plan string, n *Node) bool {
	_, part := d.derivedSteps()[plan](NodeStatus{Node: *n, Phase: d.phase(n)})
	return part
}

// derivedStatus shows the engine's own plans; nodes are those of the status.
func (d *decision) derivedStatus(nodes []NodeStatus) []PlanStatus {
	show := d.derivedSteps()
	var out []PlanStatus
	for _, name := range derivedPlans {
		p := PlanStatus{Name: name, State: PlanWaiting}
		for i := range d.Pods {
			if stage := d.derivedStage(&d.Pods[i], nodes, show[name]); len(stage.Steps) > 0 {
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
		out = append(out, p)
	}
	return out
}

func (d *decision) derivedStage(pod *Pod, nodes []NodeStatus, show func(NodeStatus) (StepState, bool)) StageStatus {
	stage := StageStatus{Name: pod.Name, State: StepComplete}
	for _, n := range nodes {
		state, part := show(n)
		if n.Pod != pod.Name || !part {
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
		if r.Paused != "" && p.State != PlanPaused {
			p.State, p.Why = PlanPaused, "pod "+d.Pods[i].Name+": "+r.Paused
		}
	}
}

// underWay is the state of a step whose node is not where it should be.
func underWay(n NodeStatus) StepState {
	switch n.Phase {
	case BackingOff:
		return StepFailed
	case Placing, Reserved:
		return StepPending
	}
	return StepRunning
}

func (d *decision) deployStep(n NodeStatus) (StepState, bool) {
	switch {
	case n.Goal == GoalLeave:
		return "", false
	case n.Arrived > 0:
		return StepComplete, true
	case n.Excused:
		return StepSkipped, true
	}
	return underWay(n), true
}

func (d *decision) updateStep(n NodeStatus) (StepState, bool) {
	_, live := d.live(&n.Node)
	switch {
	case d.aims(&n.Node) && n.Goal == GoalRun && n.Finished != "" && !d.complete(&n.Node):
		return underWay(n), true
	case d.pods[n.Pod].Rollout.Since.IsZero() || n.Goal != GoalRun:
		return "", false
	case n.Skip != "" && n.Skip == n.Wanted && n.Config != n.Wanted:
		return StepSkipped, true
	case !n.Out.IsZero() || n.Spared:
		return underWay(n), true
	case n.Outdated() && live:
		return StepPending, true
	}
	return StepComplete, true
}

func (d *decision) recoveryStep(n NodeStatus) (StepState, bool) {
	if n.Goal != GoalRun || n.Arrived == 0 || d.aims(&n.Node) && n.arrived() || n.Ready && !n.Replace || !n.Out.IsZero() && !n.Replace {
		return "", false
	}
	return underWay(n), true
}

func (d *decision) leaveStep(n NodeStatus) (StepState, bool) {
	if n.Goal != GoalLeave || d.uninstalling() {
		return "", false
	}
	return StepRunning, true
}

func (d *decision) uninstallStep(n NodeStatus) (StepState, bool) {
	if n.Departed {
		return StepRunning, d.uninstalling()
	}
	return StepPending, d.uninstalling()
}

// givingBack shows what is reserved and to be given back.
func (d *decision) givingBack() StageStatus {
	stage := StageStatus{Name: "places"}
	for _, gone := range d.discards {
		step := StepStatus{Name: gone.ID, State: StepRunning, Waits: "agent " + gone.Agent + " to be offered", Since: gone.Sent}
		if !gone.Sent.IsZero() {
			step.State, step.Waits = StepComplete, ""
		}
		stage.Steps = append(stage.Steps, step)
	}
	return stage
}
