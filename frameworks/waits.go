package frameworks

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

// Every node that is not where it is wanted waits for something that can be
// named; this file has the words. What a question to the servers was answered
// with last is in Node.Waits, and goes before what the engine can say itself.

// waitsFor says what a node in a phase waits for; empty: nothing, or Refused
// says it.
func (d *decision) waitsFor(n *Node, phase Phase, refused string) string {
	if d.heldFor != "" && phase != Ready && n.Goal == GoalRun {
		return "the service is held: " + d.heldFor
	}
	switch phase {
	case Stopped, Finished:
		return ""
	case Stopping:
		return d.waitsForEnd(n)
	case Ready:
		return d.stays(n)
	case Reserved:
		return d.waitsForLaunch(n)
	case Unreachable:
		return cmp.Or(n.Waits, fmt.Sprintf("agent %s, which cannot be reached%s", n.Place.Hostname, d.lossPolicy(n)))
	case Leased:
		return "the lease of its last task, which may still run out of reach, to end" + d.leaseEnd(n)
	case Fenced:
		return d.fencedBy(n)
	case BackingOff:
		return fmt.Sprintf("its next try at %s%s", n.Retry.UTC().Format(time.RFC3339), crashLoop(n))
	}
	if n.Waits != "" {
		return n.Waits
	}
	return d.waitsForStart(n, phase, refused)
}

// waitsForStart is about a node on its way to be ready, as Mesos tells.
func (d *decision) waitsForStart(n *Node, phase Phase, refused string) string {
	switch phase {
	case Placing:
		if refused != "" {
			return ""
		}
		return "an offer: no agent has made one since it looks for a place"
	case Reserving:
		return "agent " + n.Place.Hostname + " to offer what was reserved there"
	case Launched:
		return "agent " + n.Place.Hostname + " to start its task"
	case Starting:
		return "its executor, which prepares it; done so far: " + n.Progress
	}
	if task, _ := d.live(n); task.Status.Healthy != nil && !*task.Status.Healthy {
		return "its own probe, which says: " + n.Progress
	}
	return "its gate, which has not answered yet"
}

func (d *decision) waitsForEnd(n *Node) string {
	task, _ := d.live(n)
	if task.Status.GetState() == mesos.TASK_UNREACHABLE {
		return "agent " + n.Place.Hostname + ", which cannot be reached, to end its task"
	}
	return "its task to end" + map[bool]string{true: ", for " + d.reason(n)}[d.reason(n) != ""]
}

// waitsForLaunch is about a node that has its place and no task.
func (d *decision) waitsForLaunch(n *Node) string {
	switch why := d.held(n); {
	case why != "":
		return why
	case d.haunted(n):
		return "a task that it left behind to end: " + strings.Join(n.Left, ", ")
	case !n.Lost.IsZero() || n.Place.kept():
		return cmp.Or(n.Waits, fmt.Sprintf("agent %s to offer what is reserved there%s", n.Place.Hostname, d.lossPolicy(n)))
	case n.Waits != "":
		return n.Waits
	}
	return "agent " + n.Place.Hostname + " to offer its place"
}

// lossPolicy says what becomes of a node whose agent stays away.
func (d *decision) lossPolicy(n *Node) string {
	switch why, due := d.lossOf(d.pod(n.Pod), n); {
	case n.Goal != GoalRun:
		return ""
	case n.Lost.IsZero() || why == "":
		return "; replace gives it a new place"
	case n.Fenced && !n.Gone:
		return "; it is fenced, so that nothing replaces it by itself"
	default:
		return "; it is replaced at " + due.UTC().Format(time.RFC3339)
	}
}

func (d *decision) leaseEnd(n *Node) string {
	if n.Withheld.IsZero() {
		return ""
	}
	return " at " + n.leaseOver().UTC().Format(time.RFC3339)
}

// fencedBy says who wants nothing of a node to run.
func (d *decision) fencedBy(n *Node) string {
	switch {
	case n.FencedBy == "":
		return "to be allowed: it is fenced"
	case d.routineNamed(n.FencedBy) == nil:
		return "to be allowed: routine " + n.FencedBy + " fenced it, which this program does not have; allow lifts that"
	}
	return "routine " + n.FencedBy + ", which fenced it, to allow it"
}

// stays says why a node that is ready, and wanted otherwise, is as it is.
func (d *decision) stays(n *Node) string {
	switch {
	case d.heldFor != "":
		return ""
	case n.Goal == GoalLeave && !n.Departed:
		return d.staysForLeave(n)
	case d.reason(n) != "":
		return d.blocked(n)
	case n.Outdated() && n.Goal == GoalRun:
		return "to be updated: " + d.staysOutdated(n)
	}
	return n.Waits
}

func (d *decision) staysForLeave(n *Node) string {
	switch {
	case d.uninstalling() && d.paused("uninstall"):
		return "plan uninstall to be resumed"
	case d.uninstalling():
		return "nodes that came after it to end"
	case d.locked(n) != "":
		return d.locked(n) + " to end"
	case d.paused("leave"):
		return "plan leave to be resumed"
	}
	for _, m := range d.nodes {
		if m != n && m.Pod == n.Pod && m.Index > n.Index && m.Goal == GoalLeave && !m.Departed {
			return m.Name + ", which leaves first"
		}
	}
	return cmp.Or(n.Waits, "what it holds to be handed over")
}

// staysOutdated says why a node that is out of date is not taken.
func (d *decision) staysOutdated(n *Node) string {
	r := d.pods[n.Pod].Rollout
	switch {
	case d.paused("update"):
		return "plan update to be resumed"
	case r.Paused != "":
		return "its rollout is paused: " + r.Paused
	case d.lacking(n) != nil:
		return d.waitsForExtra(n)
	case d.cramped(n):
		return d.waitsForRoom(n)
	case r.Wave > 0 && !d.inWave(n):
		return d.pod(n.Pod).wave(&r) + ", which goes first"
	}
	for i := range d.Pods {
		name := d.Pods[i].Name
		if name == n.Pod {
			break
		}
		if other := d.pods[name].Rollout; other.under() {
			return fmt.Sprintf("pod %s, which goes first%s", name, d.downNow(name))
		}
	}
	return "its rollout to begin"
}

// downNow names the nodes of a pod that are down on purpose.
func (d *decision) downNow(pod string) string {
	var down []string
	for _, n := range d.nodes {
		if n.Pod == pod && !n.Out.IsZero() {
			down = append(down, fmt.Sprintf("%s is %s", n.Name, d.phase(n)))
		}
	}
	if len(down) == 0 {
		return ""
	}
	return " (" + strings.Join(down, ", ") + ")"
}

// blocked says what a running node waits for before it stops on purpose.
func (d *decision) blocked(n *Node) string {
	wish := d.reason(n)
	if wish == "" || d.maystop(n) {
		return ""
	}
	if w, due := d.maintained(n); due && wish == "maintenance" {
		wish += " at " + w.Start.Format(time.RFC3339)
	}
	why := d.pods[n.Pod].Asking.Refused
	if holder := d.locked(n); holder != "" {
		why = holder + " to end"
	}
	if why == "" {
		why = "nodes that went before it" + d.downNow(n.Pod)
	}
	return strings.Join([]string{"to be spared for ", wish, ": ", why}, "")
}

// crashLoop says how often a node has failed in a row, and with what last.
func crashLoop(n *Node) string {
	if n.Failures == 0 {
		return ""
	}
	times := "once"
	if n.Failures > 1 {
		times = fmt.Sprintf("%d times in a row, the last time", n.Failures)
	}
	return fmt.Sprintf(": it failed %s: %s", times, Failure{Text: n.LastFailure}.Line())
}
