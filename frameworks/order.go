package frameworks

import (
	"fmt"
	"time"

	"github.com/mesokit/mesokit/scheduler"
)

// admission is how long the word of a Join holds.
const admission = time.Minute

// held says what a node that is to be launched waits for among its peers;
// empty: nothing. A node that comes back to its own volumes waits for none.
func (d *decision) held(n *Node) string {
	if !d.together(n) {
		return "the places of all nodes of pod " + n.Pod
	}
	if d.lacks(n) != "" {
		return d.waitsForExtra(n)
	}
	if w, due := d.maintained(n); due {
		return "the maintenance of agent " + n.Place.Hostname + w.until()
	}
	if n.arrived() {
		return d.rerun(n)
	}
	if d.paused("deploy") {
		return "plan deploy to be resumed"
	}
	if why := d.before(n); why != "" {
		return why
	}
	pod := d.pod(n.Pod)
	if pod.Join == nil || d.within(admission, n.Admitted) {
		return ""
	}
	if n.Waits != "" {
		return n.Waits
	}
	return "the nodes that are there, which have to let it join"
}

// before says which other nodes have to arrive before one that has not.
func (d *decision) before(n *Node) string {
	pod := d.pod(n.Pod)
	for _, name := range pod.After {
		if p := d.pod(name); p.Everywhere && d.pods[name].Count == 0 {
			return fmt.Sprintf("the first agent of pod %s (pod %s comes after it)", name, n.Pod)
		}
		if why := d.unfinished(name); why != "" {
			return fmt.Sprintf("%s (pod %s comes after pod %s)", why, n.Pod, name)
		}
		for _, m := range d.unsettled(name) {
			if m.Arrived == 0 && m.Goal != GoalLeave && !m.Excused {
				return fmt.Sprintf("%s to arrive (pod %s comes after pod %s)", m.Name, n.Pod, name)
			}
		}
	}
	if !pod.Serial && pod.Join == nil {
		return ""
	}
	for _, m := range d.unsettled(n.Pod) {
		if m.Name != n.Name && d.goesFirst(m, n) {
			return fmt.Sprintf("%s to arrive (pod %s starts one at a time)", m.Name, n.Pod)
		}
	}
	return ""
}

// goesFirst says whether m has to arrive before n is launched, where nodes
// start one at a time: it is on its way, or it comes before n and could be. At
// the pod's first deployment every node waits for those before it.
func (d *decision) goesFirst(m, n *Node) bool {
	if m.arrived() || m.Excused {
		return false
	}
	if _, live := d.live(m); live || d.within(admission, m.Admitted) {
		return true
	}
	deployed := d.pods[m.Pod].Deployed
	if deployed && m.Waits != "" && d.pod(m.Pod).Join != nil {
		return false // the others did not let it join: it may wait for n
	}
	return m.Index < n.Index && m.Goal == GoalRun && (m.Place != nil || !deployed)
}

// admit asks the Join of each pod whose next node is about to be launched.
func (d *decision) admit() {
	for n := range d.idle {
		pod := d.pod(n.Pod)
		if d.within(admission, n.Admitted) {
			d.wakeAt(n.Admitted.Add(admission)) // then it is the turn of others
		}
		if pod.Join == nil || n.arrived() || n.Place == nil || !n.Place.Reserved || d.backsOff(n) ||
			!d.together(n) || d.before(n) != "" || d.within(admission, n.Admitted) {
			continue
		}
		d.ask(joinKind, d.nextTaskID(n), n.Waits != "", n)
	}
}

// admitted takes in what the pod's Join said.
func (d *decision) admitted(n *Node, ev scheduler.JobDone) {
	if ev.Err != "" {
		n.Waits = ev.Err
		return
	}
	n.Waits = ""
	if d.before(n) == "" { // another may have been admitted since
		n.Admitted = d.now
	}
}
