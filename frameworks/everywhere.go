package frameworks

import (
	"fmt"
	"iter"
	"log/slog"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/mesokit/mesokit/constraints"
)

// A pod that is Everywhere has one node for each agent that its Place allows.
// The node belongs to its agent (Node.Home): it is made when the agent is first
// offered, has its places there and nowhere else, and leaves when the agent is
// gone for good. An agent that comes back after that gets a new node.

// spread makes a node for each agent that has none yet.
func (d *decision) spread(free iter.Seq[*mesos.Offer]) {
	for i := range d.Pods {
		p := &d.Pods[i]
		if !p.Everywhere || d.uninstalling() {
			continue
		}
		d.rematch(p)
		if !anyOf(free) {
			continue
		}
		homes, taken := map[string]bool{}, map[int]bool{}
		for _, n := range d.nodes {
			if n.Pod == p.Name {
				homes[n.Home], taken[n.Index] = true, true
			}
		}
		matches := d.matcher(p)
		index, grown := 0, false
		for o := range free {
			agent := o.AgentID.Value
			if homes[agent] || !d.available(o) || !matches(constraints.AgentOf(o.Hostname, o.Attributes, o.Domain)) {
				continue
			}
			for taken[index] {
				index++
			}
			record := d.pods[p.Name]
			n := newNode(p.Name, index, record.Gone[index])
			n.Home = agent
			d.add(n)
			record.Count++
			homes[agent], taken[index], grown = true, true, true
			d.note(n, "made for an agent", slog.String("agent", o.Hostname))
		}
		if grown {
			d.sort(d.Service)
		}
	}
}

// anyOf says whether there is any offer.
func anyOf(free iter.Seq[*mesos.Offer]) bool {
	for range free {
		return true
	}
	return false
}

// toSpread says which agents are wanted that were never offered.
func (d *decision) toSpread() []string {
	var wants []string
	for _, p := range d.Pods {
		if p.Everywhere && !d.uninstalling() {
			wants = append(wants, "every agent for "+p.Name+" "+p.Place.String())
		}
	}
	return wants
}

// matcher says of agents whether the rules of a pod allow them, whatever else of
// the pod is placed.
func (d *decision) matcher(p *Pod) func(constraints.Agent) bool {
	placement := p.Place.Placement()
	for _, o := range d.others(p.Name) {
		placement.PlaceOther(o.Pod, o.Agent)
	}
	return func(a constraints.Agent) bool { _, ok := placement.Check(a); return ok }
}

// rematch lets the nodes leave whose agents match no more, when the rules have
// changed.
func (d *decision) rematch(p *Pod) {
	record, rules := d.pods[p.Name], p.Place.String()
	if record.Rules == rules {
		return
	}
	record.Rules = rules
	for _, n := range d.strangers(p) {
		n = d.rouse(n)
		d.note(n, "its agent matches no more", slog.String("agent", n.Place.Hostname))
		n.Goal, n.Forced = GoalLeave, false
		record.Count--
	}
}

// strangers are the nodes whose agents a pod's rules do not allow.
func (d *decision) strangers(p *Pod) []*Node {
	var out []*Node
	matches := d.matcher(p)
	for _, n := range d.nodes {
		if n.Pod == p.Name && n.Goal != GoalLeave && n.Place != nil && !matches(n.Place.agent()) {
			out = append(out, n)
		}
	}
	return out
}

// vacate lets a node leave whose agent is no more: it has nothing to hand over.
func (d *decision) vacate(n *Node, why string) {
	d.note(n, "leaves with its agent", slog.String("why", why))
	n.Goal, n.Departed, n.Replace, n.Restart = GoalLeave, true, false, false
	d.pods[n.Pod].Count--
}

// homeless lets the nodes leave that have nothing on an agent which is gone;
// empty: those that never had anything on any that nothing was heard of since the
// subscription began, which will be offered again if it is there.
func (d *decision) homeless(agent string) {
	for _, n := range d.awake() {
		if n.Home == "" || n.Goal == GoalLeave || n.Place != nil || n.Arrived > 0 && agent == "" {
			continue
		}
		if agent == "" || n.Home == agent {
			d.vacate(n, "nothing of it was there yet")
		}
	}
}

// bound says why an operator's wish to change how many nodes there are cannot
// be granted where the agents decide.
func (d *decision) bound(wish string, p *Pod) error {
	if !p.Everywhere {
		return nil
	}
	return fmt.Errorf("%s: %w: pod %s has a node on every agent that matches; change its Place", wish, ErrRefused, p.Name)
}
