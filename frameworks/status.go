package frameworks

import (
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

// Status is a service as an operator sees it.
type Status struct {
	Service     string `json:"service"`
	FrameworkID string `json:"framework_id,omitempty"`
	// Connected: calls reach a master now.
	Connected bool `json:"connected"`
	// Reconciled: the master has answered for every task since the last
	// subscription.
	Reconciled bool `json:"reconciled"`
	// Ready counts the nodes that are ready or finished.
	Ready int          `json:"ready"`
	Nodes []NodeStatus `json:"nodes"`
	// Held is why the program cannot look after the service as it stands: its
	// servers run on, and none is launched, updated or moved.
	Held string `json:"held,omitempty"`
	// Options are in force; nil: the service is as its program declares it.
	Options *OptionsStatus `json:"options,omitempty"`
	// Uninstall is nil unless somebody asked for it.
	Uninstall *Uninstalling `json:"uninstall,omitempty"`
	// Routines are in the order of their declaration.
	Routines []RoutineStatus `json:"routines,omitempty"`
	// Plans are in the order of their declaration; last come the engine's own.
	Plans []PlanStatus `json:"plans,omitempty"`
}

// NodeStatus is a node as an operator sees it.
type NodeStatus struct {
	Node
	Phase Phase `json:"phase"`
	// Task is the id of the task that runs, or ran last.
	Task string `json:"task,omitempty"`
	// Since is when the task reached its state.
	Since time.Time `json:"since,omitzero"`
	// Refused says, for a node without a place, which agents do not fit it and
	// why.
	Refused string `json:"refused,omitempty"`
}

// Phase is how far a node has come. It is derived from the rest of the
// status, and never stored.
type Phase string

// The phases, in the order in which a node passes them.
const (
	Placing     Phase = "placing"     // no agent fits yet
	Reserving   Phase = "reserving"   // the reservation was sent
	Reserved    Phase = "reserved"    // it was seen; not launched yet
	BackingOff  Phase = "backing off" // failed, and waits for its next try
	Launched    Phase = "launched"    // sent to the agent
	Starting    Phase = "starting"    // the executor prepares it
	Started     Phase = "started"     // it runs, and the gate has not let it pass
	Ready       Phase = "ready"
	Unreachable Phase = "unreachable" // its agent does not answer the master
	Stopping    Phase = "stopping"
	Stopped     Phase = "stopped"  // and is to be
	Finished    Phase = "finished" // it has done what it is there for; see Aim
	Fenced      Phase = "fenced"   // a routine lets nothing of it run
	Leased      Phase = "leased"   // its last task may run, out of reach, until its lease is over
)

func (d *decision) status() Status {
	out := Status{
		Service:     d.Name,
		FrameworkID: d.view.FrameworkID(),
		Connected:   d.view.Connected(),
		Reconciled:  d.view.Reconciled(),
		Held:        d.heldFor,
	}
	refusals := d.refusals()
	for _, n := range d.nodes {
		s := NodeStatus{Node: *n, Phase: d.phase(n), Refused: refusals[n.Name]}
		s.Waits = d.waitsFor(n, s.Phase, s.Refused)
		if n.Incarnation > 0 {
			s.Task = d.taskID(n)
			if t, ok := d.view.Task(s.Task); ok {
				s.Since = t.Since
			}
		}
		if s.Phase == Ready || s.Phase == Finished {
			out.Ready++
		}
		out.Nodes = append(out.Nodes, s)
	}
	out.Routines, out.Plans = d.routineStatus(), append(d.planStatus(), d.derivedStatus(out.Nodes)...)
	out.Options = d.optionsStatus()
	if d.uninstalling() {
		u := d.service.Uninstall
		out.Uninstall = &u
	}
	return out
}

func (d *decision) phase(n *Node) Phase {
	task, live := d.live(n)
	switch {
	case live && (task.Killing || n.Fenced || d.reason(n) != "" && d.maystop(n)):
		return Stopping
	case live && task.Status.GetState() == mesos.TASK_UNREACHABLE:
		return Unreachable
	case live && n.Ready:
		return Ready
	case live && task.Status.GetState() == mesos.TASK_RUNNING:
		return Started
	case live && task.Status.GetState() == mesos.TASK_STARTING:
		return Starting
	case live:
		return Launched
	case n.Lease != nil && n.Alive:
		return Leased
	case n.Fenced:
		return Fenced
	case n.Goal == GoalStop:
		return Stopped
	case d.complete(n):
		return Finished
	case n.Place == nil:
		return Placing
	case !n.Place.Reserved:
		return Reserving
	case d.backsOff(n):
		return BackingOff
	}
	return Reserved
}
