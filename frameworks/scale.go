package frameworks

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mesokit/mesokit/constraints"
	"github.com/mesokit/mesokit/scheduler"
)

// scale adds nodes at the lowest indexes that are free, or lets nodes leave.
func (d *decision) scale(c ScalePod) error {
	record, ok := d.pods[c.Pod]
	if ok {
		if err := d.bound("scale", d.pod(c.Pod)); err != nil {
			return err
		}
	}
	switch {
	case !ok:
		return fmt.Errorf("pod %q: %w; there are %s", c.Pod, ErrUnknown, strings.Join(sortedKeys(d.pods), ", "))
	case c.Count < 0 || c.Count > maxNodes:
		return fmt.Errorf("count %d: %w: wants 0 to %d", c.Count, ErrRefused, maxNodes)
	case c.Count < record.Count:
		return d.dismiss(d.dispensable(c.Pod, record.Count-c.Count), c.Force)
	}
	if c.Count > record.Count && !c.Force {
		if err := d.pod(c.Pod).addable(d.deployment(), c.Count-record.Count); err != nil {
			return fmt.Errorf("scale pod %s to %d: %w: %w; force it if that is meant", c.Pod, c.Count, ErrRefused, err)
		}
	}
	for index := 0; record.Count < c.Count; index++ {
		if d.node(nodeName(c.Pod, index)) == nil {
			d.add(newNode(c.Pod, index, record.Gone[index]))
			record.Count++
		}
	}
	d.sort(d.Service)
	return nil
}

func (d *decision) remove(c RemoveNode) error {
	return d.operate("remove", c.Node, func(n *Node) error {
		if n.Place != nil && n.Lost.IsZero() && !c.Force {
			if err := d.bound("remove "+n.Name, d.pod(n.Pod)); err != nil {
				return err
			}
		}
		return d.dismiss([]*Node{n}, c.Force)
	})
}

// dismiss lets nodes of one pod leave, unless the pod says that it cannot do
// without them.
func (d *decision) dismiss(nodes []*Node, force bool) error {
	pod := d.pod(nodes[0].Pod)
	if !force {
		if err := pod.removable(d.deployment(), nodes); err != nil {
			return fmt.Errorf("remove %s: %w: %w; force it if that is meant", nodeNames(nodes), ErrRefused, err)
		}
	}
	for _, n := range nodes {
		n.Goal, n.Forced = GoalLeave, false
		d.pods[n.Pod].Count--
	}
	d.exclude(pod)
	return nil
}

// removable says why the pod cannot do without nodes.
func (p *Pod) removable(d Deployment, nodes []*Node) error {
	if p.Removable == nil {
		return nil
	}
	return allowed(func() error { return p.Removable(d, values(nodes)) })
}

// addable says why there cannot be so many nodes more.
func (p *Pod) addable(d Deployment, more int) error {
	if p.Addable == nil {
		return nil
	}
	return allowed(func() error { return p.Addable(d, more) })
}

// exclude takes back what a pod's Join has allowed, or is about to: it did not know
// who leaves now.
func (d *decision) exclude(pod *Pod) {
	if pod.Join == nil {
		return
	}
	for _, n := range d.unsettled(pod.Name) {
		d.rouse(n).Admitted = time.Time{}
		if job := joinKind + "/" + d.nextTaskID(n); d.view.Running(job) {
			d.do(scheduler.Cancel{Job: job})
		}
	}
}

// dispensable chooses the nodes to leave when a pod gets smaller: those that
// never were members, then those whose leaving keeps the groups of the pod's
// rules even, and among equals the last.
func (d *decision) dispensable(pod string, count int) []*Node {
	var out, members []*Node
	for _, n := range d.nodes {
		switch {
		case n.Pod != pod || n.Goal == GoalLeave:
		case n.Arrived == 0:
			out = append(out, n)
		default:
			members = append(members, n)
		}
	}
	if len(out) >= count {
		return out[len(out)-count:]
	}
	count -= len(out)
	var agents []constraints.Agent
	placed := slices.DeleteFunc(slices.Clone(members), func(n *Node) bool { return n.Place == nil })
	for _, n := range placed {
		agents = append(agents, n.Place.agent())
	}
	chosen := d.pod(pod).Place.ScaleDown(agents, count)
	if len(chosen) < count || len(placed) < len(members) {
		return append(out, members[len(members)-count:]...)
	}
	for _, i := range chosen {
		out = append(out, placed[i])
	}
	return out
}

// values are the nodes as functions of the domain get them.
func values(nodes []*Node) []Node {
	var out []Node
	for _, n := range nodes {
		out = append(out, *n)
	}
	return out
}

// nodeNames lists nodes for people.
func nodeNames(nodes []*Node) string {
	var out []string
	for _, n := range nodes {
		out = append(out, n.Name)
	}
	return strings.Join(out, ", ")
}
