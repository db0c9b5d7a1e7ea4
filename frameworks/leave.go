package frameworks

import (
	"log/slog"
	"slices"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/mesokit/mesokit/scheduler"
)

// leave takes the next step for the nodes that leave: hand over what they
// hold, one node of a pod at a time; stop; give the place back; be forgotten.
func (d *decision) leave() {
	busy := map[string]bool{}
	for _, n := range slices.Backward(d.awake()) { // the last of a pod goes first
		if n.Goal != GoalLeave || n.Departed || !d.uninstalling() && (d.locked(n) != "" || d.paused("leave")) {
			continue
		}
		if d.uninstalling() {
			n.Departed = !d.paused("uninstall") && d.outlived(n) // what it holds goes with the service
			continue
		}
		if !d.handsOver(n) {
			d.depart(n)
			continue
		}
		if !busy[n.Pod] {
			busy[n.Pod] = true
			d.ask(leaveKind, d.taskID(n), n.Waits != "", n)
		}
	}
	d.drop(d.forgotten)
}

// handsOver says whether the pod's Leave is asked about a node that leaves: it was a
// member, or it runs beside members, and may have become one that no gate has seen.
func (d *decision) handsOver(n *Node) bool {
	if d.pod(n.Pod).Leave == nil {
		return false
	}
	_, live := d.live(n)
	return n.Arrived > 0 || live && slices.ContainsFunc(d.nodes, func(m *Node) bool { return m.Pod == n.Pod && m.arrived() })
}

// lags says whether a node that leaves runs what is out of date, and serves nobody: what
// it lacks, such as where a peer is now, may be what keeps it from handing over. One
// that serves is left as it is, for it is not to stay, and no rollout counts it.
func (d *decision) lags(n *Node) bool {
	return n.Goal == GoalLeave && n.Outdated() && !n.Ready && n.arrived() && d.handsOver(n) && d.locked(n) == "" &&
		!d.uninstalling() && !d.paused("leave") && !d.paused("update") &&
		d.view.Connected() && !d.service.Comparison.Program && d.gains(n)
}

func (d *decision) depart(n *Node) {
	n.Departed, n.Waits = true, ""
	d.note(n, "handed over what it held")
}

// forgotten gives up the place of a node that has left and that does not run
// any more, or whose agent cannot be reached: if its task is seen again, it is
// nobody's, and killed.
func (d *decision) forgotten(n *Node) bool {
	task, live := d.live(n)
	unreachable := live && task.Status.GetState() == mesos.TASK_UNREACHABLE
	if n.Goal != GoalLeave || !n.Departed || live && !unreachable || !d.freed(n) {
		return false
	}
	where, plan := "", "leave"
	if n.Place != nil {
		where = n.Place.Hostname
	}
	if d.uninstalling() {
		plan = "uninstall"
	}
	d.enter(plan, n) // it may have left at once
	d.giveUp(n)
	record := d.pods[n.Pod]
	if record.Gone == nil {
		record.Gone = map[int]past{}
	}
	// One more, so that a late update of the last task finds no owner.
	record.Gone[n.Index] = past{Generation: n.Generation, Incarnation: n.Incarnation + 1}
	d.note(n, "left", slog.String("agent", where))
	return true
}

// left takes in what the pod's Leave said.
func (d *decision) left(n *Node, ev scheduler.JobDone) {
	switch {
	case n.Goal != GoalLeave || n.Departed:
	case ev.Err != "":
		n.Waits = ev.Err
	default:
		d.depart(n)
	}
}
