package frameworks

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// What a command can be told.
var (
	// ErrUnknown: the command names a node or a pod that is not there.
	ErrUnknown = errors.New("not found")
	// ErrRefused: the command is understood, and would do harm.
	ErrRefused = errors.New("refused")
)

// The commands of an operator: values for a scheduler.Mailbox. Each is
// answered, once it is durable, with the Status that follows from it; how it
// goes on from there is seen by asking again.
type (
	// AskStatus changes nothing.
	AskStatus struct{}
	// StartNode lets a node that was stopped run again, at once.
	StartNode struct{ Node string }
	// StopNode ends a node's task and starts no other; its place is kept.
	StopNode struct{ Node string }
	// RestartNode ends a node's task and launches the next in the same place.
	RestartNode struct{ Node string }
	// ReplaceNode gives the node a new place, which may be on the same agent.
	// The data in the old one is destroyed, as soon as its agent is offered. It
	// is refused where the pod says that data would be lost, unless Force.
	ReplaceNode struct {
		Node  string
		Force bool
	}
	// ScalePod changes the number of nodes.
	ScalePod struct {
		Pod   string
		Count int
	}
)

func (d *decision) command(c any) error {
	switch c := c.(type) {
	case AskStatus:
		return nil
	case StartNode:
		return d.operate(c.Node, func(n *Node) error {
			n.Goal, n.Failures, n.Retry = GoalRun, 0, d.now
			return nil
		})
	case StopNode:
		return d.operate(c.Node, func(n *Node) error { n.Goal = GoalStop; return nil })
	case RestartNode:
		return d.operate(c.Node, func(n *Node) error {
			if n.Goal == GoalStop {
				return fmt.Errorf("restart %s: %w: it is stopped; start it", n.Name, ErrRefused)
			}
			n.Restart, n.Failures, n.Retry = true, 0, d.now
			return nil
		})
	case ReplaceNode:
		return d.operate(c.Node, func(n *Node) error { return d.replace(n, c.Force) })
	case ScalePod:
		return d.scale(c)
	}
	return fmt.Errorf("command: %T: wants one of the commands of package frameworks", c)
}

func (d *decision) operate(node string, change func(*Node) error) error {
	n := d.node(node)
	if n == nil {
		return unknownNode(node, d.status())
	}
	return change(n)
}

func (d *decision) replace(n *Node, force bool) error {
	may := d.pod(n.Pod).Replaceable
	if may != nil && !force && n.Place != nil && n.Place.Used {
		if err := may(d.deployment(), *n); err != nil {
			return fmt.Errorf("replace %s: %w: %w; force it if that is meant", n.Name, ErrRefused, err)
		}
	}
	n.Replace = true
	return nil
}

func (d *decision) scale(c ScalePod) error {
	record, ok := d.pods[c.Pod]
	switch {
	case !ok:
		return fmt.Errorf("pod %q: %w; there are %s", c.Pod, ErrUnknown, strings.Join(sortedKeys(d.pods), ", "))
	case c.Count > maxNodes:
		return fmt.Errorf("count %d: %w: wants at most %d", c.Count, ErrRefused, maxNodes)
	case c.Count < record.Count:
		return fmt.Errorf("count %d: %w: pod %s has %d nodes, and what the last ones hold would be lost; wants %[4]d or more",
			c.Count, ErrRefused, c.Pod, record.Count)
	}
	for i := record.Count; i < c.Count; i++ {
		d.nodes = append(d.nodes, newNode(c.Pod, i))
	}
	record.Count = c.Count
	order := func(pod string) int { return slices.IndexFunc(d.Pods, func(p Pod) bool { return p.Name == pod }) }
	slices.SortStableFunc(d.nodes, func(a, b *Node) int { return cmp.Compare(order(a.Pod), order(b.Pod)) })
	return nil
}

func unknownNode(name string, status Status) error {
	var names []string
	for _, n := range status.Nodes {
		names = append(names, n.Name)
	}
	return fmt.Errorf("node %q: %w; there are %s", name, ErrUnknown, strings.Join(names, ", "))
}
