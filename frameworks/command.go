package frameworks

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"
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
	// AskOptions changes nothing. It is answered with an OptionsReport.
	AskOptions struct{}
	// StartNode lets a node that was stopped run again, at once.
	StartNode struct{ Node string }
	// StopNode ends a node's task and starts no other; its place is kept.
	StopNode struct{ Node string }
	// RestartNode ends a node's task and launches the next in the same place,
	// as soon as the service can spare it, or at once with Force.
	RestartNode struct {
		Node  string
		Force bool
	}
	// ReplaceNode gives the node a new place, which may be on the same agent, as
	// soon as the service can spare it. The data in the old one is destroyed, as
	// soon as its agent is offered. It is refused where the pod says that data
	// would be lost. With Force neither is asked.
	ReplaceNode struct {
		Node  string
		Force bool
	}
	// AllowNode lifts what routines hold against a node, their Fence and their
	// Withhold: where the routine cannot, such as one that the program has no more.
	AllowNode struct{ Node string }
	// ScalePod changes the number of nodes. Fewer: nodes leave, as with
	// RemoveNode, first those that never became members, then as the pod's rules
	// for places stay satisfied best, then those of the highest indexes.
	ScalePod struct {
		Pod   string
		Count int
		Force bool
	}
	// RemoveNode lets a node leave: it hands over what it holds (Pod.Leave), its
	// place is given back with all that is on it, and it is forgotten. It is
	// refused where the pod says that too few would remain, unless Force.
	RemoveNode struct {
		Node  string
		Force bool
	}
)

func (d *decision) command(c any) error {
	if err := d.whileUninstalling(c); err != nil {
		return err
	}
	if err := d.heldBack(c); err != nil {
		return err
	}
	if mine, err := d.planCommand(c); mine {
		return err
	}
	switch c := c.(type) {
	case AskStatus, AskOptions:
		return nil
	case StartNode:
		return d.operate("start", c.Node, func(n *Node) error {
			n.Goal, n.Failures, n.Retry = GoalRun, 0, d.now
			return nil
		})
	case StopNode:
		return d.operate("stop", c.Node, func(n *Node) error { n.Goal, n.Out = GoalStop, time.Time{}; return nil })
	case RestartNode:
		return d.operate("restart", c.Node, func(n *Node) error {
			if n.Goal == GoalStop {
				return fmt.Errorf("restart %s: %w: it is stopped; start it", n.Name, ErrRefused)
			}
			if err := d.again("restart", n, c.Force); err != nil {
				return err
			}
			n.Restart, n.Forced, n.Failures, n.Retry = true, n.Forced || c.Force, 0, d.now
			return nil
		})
	case AllowNode:
		return d.operate("allow", c.Node, func(n *Node) error {
			n.allow()
			n.Withhold = false
			d.note(n, "allowed", slog.String("by", "operator"))
			return nil
		})
	case ReplaceNode:
		return d.operate("replace", c.Node, func(n *Node) error { return d.replace(n, c.Force) })
	case ScalePod:
		return d.scale(c)
	case Update:
		return d.update(c)
	case Uninstall:
		return d.uninstall()
	case Rollback:
		return d.rollback()
	case RemoveNode:
		return d.remove(c)
	}
	return d.derivedCommand(c)
}

func (d *decision) operate(wish, node string, change func(*Node) error) error {
	n := d.node(node)
	switch {
	case n == nil:
		return unknownNode(node, d.status())
	case n.Goal == GoalLeave:
		return fmt.Errorf("%s %s: %w: it leaves; add a node in its stead", wish, n.Name, ErrRefused)
	}
	return change(n)
}

// allow ends a fence.
func (n *Node) allow() { n.Fenced, n.FencedBy, n.Failures, n.Retry = false, "", 0, time.Time{} }

func (d *decision) replace(n *Node, force bool) error {
	may := d.pod(n.Pod).Replaceable
	if may != nil && !force && n.Place != nil && n.Place.kept() {
		if err := allowed(func() error { return may(d.deployment(), *n) }); err != nil {
			return fmt.Errorf("replace %s: %w: %w; force it if that is meant", n.Name, ErrRefused, err)
		}
	}
	if err := d.again("replace", n, force); err != nil {
		return err
	}
	if _, live := d.live(n); n.Home != "" && (!live || !n.Lost.IsZero()) { // its agent gets another node, if it is there
		d.vacate(n, "its agent is given up")
		return nil
	}
	n.Replace, n.Forced = true, n.Forced || force
	return nil
}

func unknownNode(name string, status Status) error {
	var names []string
	for _, n := range status.Nodes {
		names = append(names, n.Name)
	}
	return fmt.Errorf("node %q: %w; there are %s", name, ErrUnknown, strings.Join(names, ", "))
}
