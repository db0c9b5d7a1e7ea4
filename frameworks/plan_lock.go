package frameworks

import "fmt"

// Two plans never touch one node at once. A step of a run holds its nodes while
// it is under way; the engine holds those that it stops, updates or moves. Who
// comes second waits, and says for whom: a step begins only when all its nodes
// are free, so that none waits with a node in hand.

// locked says which step holds a node; empty: none.
func (d *decision) locked(n *Node) string {
	if d.locks == nil {
		d.locks = map[string]string{}
		for i := range d.Plans {
			record := d.plans[d.Plans[i].name]
			if record == nil || record.Run == nil {
				continue
			}
			for _, stage := range record.Run.Stages {
				for _, step := range stage.Steps {
					for _, node := range step.holds() {
						d.locks[node] = holder(d.Plans[i].name, &step)
					}
				}
			}
		}
	}
	return d.locks[n.Name]
}

// underWay are the steps of each plan that hold their nodes now.
func (d *decision) underWay() map[string][]Step {
	out := map[string][]Step{}
	for i := range d.Plans {
		name := d.Plans[i].name
		record := d.plans[name]
		if record == nil || record.Run == nil {
			continue
		}
		for _, stage := range record.Run.Stages {
			for _, step := range stage.Steps {
				if step.State == StepRunning {
					out[name] = append(out[name], step.Step)
				}
			}
		}
	}
	return out
}

func holder(plan string, step *stepRun) string {
	return fmt.Sprintf("plan %s, step %s", plan, step.Name)
}

// holds are the nodes that nobody else may touch because of a step.
func (s *stepRun) holds() []string {
	if s.State != StepRunning {
		return nil
	}
	return s.Nodes
}

// waits says what a step waits for; empty: it can begin. A node that has left
// since is no obstacle: the step itself finds that it is gone.
func (d *decision) waits(step *stepRun) string {
	for _, name := range step.Nodes {
		n := d.node(name)
		if n == nil {
			continue
		}
		if holder := d.locked(n); holder != "" {
			return name + " is held by " + holder
		}
		if what := d.engaged(n); what != "" {
			return name + " is held by " + what
		}
		if !n.Ready && !step.Down {
			return name + " is not ready"
		}
	}
	return ""
}

// engaged says what of its own the engine, or a routine, does to a node.
func (d *decision) engaged(n *Node) string {
	for _, r := range d.Routines {
		if record := d.routine[r.name]; record != nil {
			for _, do := range record.Doing {
				if do.Node == n.Name {
					return "routine " + r.name + ", work " + do.Name
				}
			}
		}
	}
	switch reason := d.reason(n); {
	case n.Goal == GoalLeave:
		return "leave"
	case reason != "":
		return reason
	case !n.Out.IsZero():
		return "the engine, until it is back"
	}
	return ""
}
