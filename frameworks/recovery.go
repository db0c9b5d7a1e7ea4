package frameworks

import (
	"cmp"
	"fmt"
	"log/slog"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

// Recovery says what becomes of nodes that are lost. What happens by itself, in
// each state that Mesos tells of:
//
//	FAILED, FINISHED, ERROR, KILLED     a failure: launched again in place, after
//	  (nobody asked for it)             the pause of Pod.Backoff
//	KILLED, by a drain of its agent     no failure: launched again in place when
//	                                    the agent is offered again
//	DROPPED, LOST, GONE, UNKNOWN        no failure of a server: the same
//	UNREACHABLE, or its place is not    it is lost: it may still run, and waits
//	  offered                           for its agent; After that it is replaced
//	GONE_BY_OPERATOR                    its place is no more: replaced at once,
//	                                    unless Stay
//	never ran where it was placed,      another place is found
//	  and the agent is gone
//	fenced by a routine                 as its agent: lost, it waits, whatever
//	                                    After says; gone, it gets another place,
//	                                    and nothing runs there until it is allowed
//
// A node is replaced by itself only where Pod.Replaceable lets it, one at a time
// for the pod, and not while more nodes are lost than Most: then it is not their
// machines that are broken. An operator may always do it (ReplaceNode). When a
// node that was replaced is seen again, its task is killed, and its place is
// given back.
type Recovery struct {
	// After is how long a lost node is waited for; zero: for ever.
	After time.Duration
	// Most is how many nodes of the pod may be lost at once and be replaced by
	// themselves; zero: 1.
	Most int
	// Gap is the least time between two replacements of a pod; zero: 10 minutes.
	Gap time.Duration
	// Stay keeps the nodes of an agent that an operator declared gone, until
	// another command.
	Stay bool
}

func (r Recovery) validate(bad func(field string, value any, want string)) {
	if r.After < 0 || r.Gap < 0 {
		bad("Recovery", r, "wants durations of 0 or more")
	}
	if r.Most < 0 {
		bad("Recovery.Most", r.Most, "wants 0 or more")
	}
}

// blameless says whether a task ended by nothing that its server did.
func blameless(status mesos.TaskStatus) bool {
	switch status.GetState() {
	case mesos.TASK_DROPPED, mesos.TASK_LOST, mesos.TASK_GONE, mesos.TASK_GONE_BY_OPERATOR, mesos.TASK_UNKNOWN:
		return true
	}
	switch status.GetReason() {
	case mesos.REASON_RECONCILIATION, mesos.REASON_INVALID_OFFERS, mesos.REASON_AGENT_DRAINING, mesos.REASON_AGENT_REMOVED:
		return true
	}
	return false
}

// lose notes that a node's agent cannot be reached, or does not offer its place
// although that is sought.
func (d *decision) lose(n *Node) {
	if n.Lost.IsZero() {
		n.Lost = d.now
	}
}

func (n *Node) found() { n.Lost, n.Gone = time.Time{}, false }

// sought says whether the place of an idle node would be seen, if its agent were
// there. Otherwise its offers are refused, or reach nobody, and that it does not
// come proves nothing.
func (d *decision) sought(n *Node) bool {
	return d.view.Connected() && d.idles(n) && n.Place != nil && d.wanted(n) && !d.leftAlone(n)
}

// subscribed begins anew to wait for the places of idle nodes: for as long as
// nobody was subscribed, none was offered.
func (d *decision) subscribed() {
	d.service.Subscribed = d.now
	for _, n := range d.awake() {
		if d.idles(n) && !n.Gone {
			n.Lost = time.Time{}
		}
	}
}

// conclusive says whether what is known of the nodes is of this subscription,
// and agents have had the time to say that they are there.
func (d *decision) conclusive() bool {
	if d.within(settleTime, d.service.Subscribed) {
		d.wakeAt(d.service.Subscribed.Add(settleTime))
		return false
	}
	return d.view.Reconciled()
}

// restore replaces lost nodes whose time is up, as far as their pod lets it.
func (d *decision) restore() {
	for _, n := range d.awake() {
		if _, live := d.live(n); !live && !n.Lost.IsZero() && !n.Gone && !d.sought(n) {
			n.Lost = time.Time{} // it counts from when it is sought again
		}
	}
	conclusive := d.conclusive()
	for i := range d.Pods {
		p := &d.Pods[i]
		lost, moving := 0, false
		for _, n := range d.awake() {
			if n.Pod != p.Name || n.Goal != GoalRun {
				continue
			}
			// A place that was not offered for a moment says little; a task that
			// cannot be reached does.
			if _, live := d.live(n); !n.Lost.IsZero() && !n.Gone && (live || !d.within(settleTime, n.Lost)) {
				lost++
			}
			moving = moving || n.Replace || n.Arrived > 0 && !n.arrived()
		}
		for _, n := range d.awake() {
			if n.Pod != p.Name || n.Goal != GoalRun || n.Replace || n.Place == nil || n.Lost.IsZero() ||
				!n.Gone && (n.Fenced || !conclusive || d.backsOff(n)) {
				continue
			}
			n.Waits = ""
			why, due := d.lossOf(p, n)
			switch {
			case why == "":
			case d.paused("recovery"):
				n.Waits = "plan recovery to be resumed"
			case d.now.Before(due):
				d.wakeAt(due)
			case moving:
				n.Waits = "another node of its pod has to arrive in its new place before this one is replaced"
			case !n.Gone && lost > max(p.Recovery.Most, 1):
				n.Waits = fmt.Sprintf("%d nodes are lost at once, which looks like more than broken machines: replace it if it is", lost)
			default:
				moving = d.replaceLost(n, why) || moving
			}
		}
	}
}

// lossOf says why a lost node is to be replaced by itself, and when; empty: it
// is not.
func (d *decision) lossOf(p *Pod, n *Node) (why string, due time.Time) {
	switch {
	case n.Gone && !p.Recovery.Stay:
		why, due = "its agent was declared gone", d.now
	case !n.Gone && p.Recovery.After > 0:
		why, due = "it was lost for "+p.Recovery.After.String(), n.Lost.Add(p.Recovery.After)
	}
	if last := d.pods[p.Name].Restored; !last.IsZero() && !(p.Everywhere && n.Gone) {
		if next := last.Add(cmp.Or(p.Recovery.Gap, 10*time.Minute)); next.After(due) {
			due = next
		}
	}
	return why, due
}

func (d *decision) replaceLost(n *Node, why string) bool {
	if err := d.replace(n, false); err != nil {
		n.Waits = err.Error()
		d.wakeAt(d.now.Add(gatePause))
		return false
	}
	if n.Goal == GoalLeave {
		return false
	}
	n.Forced = true // it serves nobody
	d.pods[n.Pod].Restored = d.now
	d.note(n, "replaced by itself", slog.String("why", why))
	return true
}
