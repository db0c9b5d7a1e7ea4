package frameworks

import (
	"cmp"
	"fmt"
	"log/slog"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

// Aim is what the tasks of a pod are to come to.
type Aim string

// The aims.
const (
	// AimRun: they serve, and do not end. An end is a failure, however well.
	AimRun Aim = ""
	// AimFinish: they do some work and end well, which is TASK_FINISHED: their
	// server's exit with status 0. They run again whenever their configuration
	// changes: after the pods that they come After have been brought to theirs,
	// and before those that come after them.
	AimFinish Aim = "finish"
	// AimOnce: the same, but once they have ended well they never run again of
	// themselves, whatever changes, until the node is replaced.
	AimOnce Aim = "once"
)

// A node of a pod that aims to finish has arrived when its task has ended well.
// It keeps its place, with its volumes, for what comes next. A task whose end
// nobody saw runs again: the work has to bear that.

func (p *Pod) validateAim(bad func(name string, value any, want string)) {
	switch p.Aim {
	case AimRun:
		return
	case AimFinish, AimOnce:
	default:
		bad("Aim", p.Aim, `wants AimRun, AimFinish ("finish") or AimOnce ("once")`)
		return
	}
	if p.Ready != nil || p.Leave != nil || p.Spare != nil {
		bad("Aim", p.Aim, "wants no Ready, Leave or Spare: its nodes serve nobody, and are done when their tasks end well")
	}
}

// aims says whether a node's task is to end by itself.
func (d *decision) aims(n *Node) bool { return d.pod(n.Pod).Aim != AimRun }

// complete says whether a node has done what it is there for, as things stand.
func (d *decision) complete(n *Node) bool {
	switch d.pod(n.Pod).Aim {
	case AimOnce:
		return n.Finished != ""
	case AimFinish:
		return n.Finished != "" && (n.Wanted == "" || n.Finished == n.Wanted || n.Skip == n.Wanted)
	}
	return false
}

// finished takes in that a node's task has ended well, where that is its aim.
func (d *decision) finished(n *Node, status mesos.TaskStatus) bool {
	if !d.aims(n) || status.GetState() != mesos.TASK_FINISHED {
		return false
	}
	n.Finished, n.Arrived, n.Former = cmp.Or(n.Config, "unknown"), n.Generation, ""
	n.Failures, n.LastFailure, n.Out = 0, "", time.Time{}
	d.note(n, "finished", slog.String("message", status.GetMessage()))
	return true
}

// again has a node do its work once more, by an operator's wish.
func (d *decision) again(wish string, n *Node, force bool) error {
	if d.pod(n.Pod).Aim == AimOnce && n.Finished != "" && !force {
		return fmt.Errorf("%s %s: %w: it has ended well, and runs once; force it if that is meant", wish, n.Name, ErrRefused)
	}
	n.Finished = ""
	return nil
}

// rerun says what a node waits for that has done its work and is to do it again
// with another configuration.
func (d *decision) rerun(n *Node) string {
	if n.Finished == "" || !d.aims(n) {
		return ""
	}
	if d.service.Comparison.Done < len(d.nodes) {
		return "all nodes to be compared with their configurations"
	}
	for _, name := range d.pod(n.Pod).After {
		if !d.pods[name].Rollout.Since.IsZero() {
			return fmt.Sprintf("the rollout of pod %s (pod %s comes after it)", name, n.Pod)
		}
		if why := d.unfinished(name); why != "" {
			return why
		}
	}
	return ""
}

// unfinished names a node of a pod that has work to do, or to do again.
func (d *decision) unfinished(pod string) string {
	if d.pod(pod).Aim == AimRun {
		return ""
	}
	for _, n := range d.unsettled(pod) {
		if n.Goal == GoalRun && !n.Excused && !d.complete(n) {
			return n.Name + " to finish"
		}
	}
	return ""
}
