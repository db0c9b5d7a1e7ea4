package frameworks

import (
	"hash/fnv"
	"slices"
	"strconv"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/mesokit/mesokit/scheduler"
)

// rests says how a node can rest after a decision: what is true of it stays so,
// and asks for nothing, until an event names it, or one that concerns all.
// Where it is not certain, it stays awake.
func (d *decision) rests(n *Node) ease {
	task, live := d.live(n)
	if !live || task.Killing || d.timed[n.Name] || !n.contented() || d.lacks(n) != "" || d.cramped(n) {
		return none
	}
	if _, window := d.service.Windows[n.Place.Agent]; window || d.askedBack[n.Place.Agent] {
		return none
	}
	switch state := task.Status.GetState(); state {
	case mesos.TASK_RUNNING:
		return d.restsRunning(n, task)
	case mesos.TASK_STAGING, mesos.TASK_STARTING:
		if !n.Ready && !n.Outdated() {
			return comes
		}
	}
	return none
}

func (d *decision) restsRunning(n *Node, task scheduler.Task) ease {
	asks := d.pod(n.Pod).Ready != nil
	switch h := task.Status.Healthy; {
	case n.Ready && n.arrived() && n.Failures == 0 && (h == nil || *h) && (!asks || d.asks(againKind, n)):
		switch {
		case !n.Outdated():
			return serves
		case !slices.Contains(d.pods[n.Pod].Asking.Nodes, n.Name):
			return outlasts
		}
	case !n.Ready && !n.Outdated() && (h != nil && !*h || asks && d.asks(gateKind, n)):
		return comes
	}
	return none
}

// contented says whether nothing is wanted of a node but that it runs, and
// nothing is amiss with it.
func (n *Node) contented() bool {
	return n.Goal == GoalRun && n.Place != nil && n.Place.Reserved && n.Place.Before == nil && n.Place.Extra == nil && n.Place.Room == nil &&
		!n.Restart && !n.Replace && !n.Fenced && !n.Withhold && !n.Releasing && !n.Forced && !n.Spared && !n.Departed && !n.Gone &&
		(n.Arrived == 0 || n.arrived()) && n.Withheld.IsZero() && n.Lost.IsZero() && n.Out.IsZero() && len(n.Left) == 0
}

// asks says whether a question about a running node is under way.
func (d *decision) asks(kind string, n *Node) bool {
	job := kind + "/" + d.taskID(n)
	return d.started[job] || d.view.Running(job)
}

// layToRest ends a decision: what nothing is to be done for rests.
func (d *decision) layToRest() {
	for _, n := range d.awake() {
		if how := d.rests(n); how != none {
			r := rest{ease: how, footprint: n.footprint(), of: d.openSteps(n)}
			if len(d.Routines) > 0 {
				r.state = d.stateOf(n)
			}
			d.lay(n, r, d.phase(n))
		}
	}
}

// footprint is a sum of what the renderings of all nodes may depend on of this
// one. The sums of nodes are added up, so that each can be changed alone.
func (n *Node) footprint() uint64 {
	text := make([]byte, 0, 256)
	word := func(s string) { text = append(append(text, s...), 0) }
	number := func(i int) { text = append(strconv.AppendInt(text, int64(i), 10), 0) }
	word(n.Name)
	number(n.Generation)
	number(n.Founding)
	text = strconv.AppendBool(text, n.Incarnation > 0)
	if p := n.Place; p != nil {
		word(p.Agent)
		word(p.Hostname)
		word(p.Address)
		for _, a := range p.Attributes {
			word(a.Name)
			word(p.Attribute(a.Name))
		}
		word(p.Domain.GetFaultDomain().GetRegion().Name)
		word(p.Domain.GetFaultDomain().GetZone().Name)
		for _, port := range sortedKeys(p.Ports) {
			word(port)
			number(int(p.Ports[port]))
		}
		text = strconv.AppendBool(text, p.Used)
		text = strconv.AppendBool(text, p.Extra != nil)
	}
	return sumOf(text)
}

// sumOf is a hash that can be added to others.
func sumOf(text []byte) uint64 {
	sum := fnv.New64a()
	sum.Write(text)
	x := sum.Sum64()
	x ^= x >> 31 // fnv leaves the last bytes in the low bits
	x *= 0x9e3779b97f4a7c15
	return x ^ x>>29
}
