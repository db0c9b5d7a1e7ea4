package frameworks

import (
	"context"
	"fmt"
	"hash/fnv"
	"log/slog"
	"slices"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/mesokit/mesokit/scheduler"
)

// Spare asks whether the service can do without these nodes of one pod at once:
// those that are out on purpose already, and those that are to stop now. Nil
// lets them stop; an error says what stands against it, and it is asked again.
// Before it agrees it may hand over what they hold (leadership, connections);
// what it does may be repeated. It runs outside the scheduler's decisions,
// until ctx ends.
type Spare func(ctx context.Context, d Deployment, nodes []Node) error

// asking is the question about a pod's nodes that was put last.
type asking struct {
	// Job is its name, which tells about which nodes it is, and how things
	// stood. An answer counts only while they stand so.
	Job string `json:"job,omitempty"`
	// Batch is how many nodes to ask for at most; 0: as many as may go.
	Batch int `json:"batch,omitempty"`
	// Refused is what stood against it.
	Refused string `json:"refused,omitempty"`
	// Nodes are those that are to stop next.
	Nodes []string `json:"nodes,omitempty"`
}

// reason says why the task of a node is to end; empty: it is not.
func (d *decision) reason(n *Node) string {
	switch {
	case n.Goal == GoalStop:
		return "stop"
	case n.Goal == GoalLeave && n.Departed:
		return "leave"
	case d.heldFor != "":
		return ""
	case n.Replace:
		return "replace"
	case n.Restart:
		return "restart"
	}
	if _, due := d.maintained(n); due {
		return "maintenance"
	}
	switch {
	case d.updates(n):
		return "update"
	case d.lags(n):
		return "restart"
	}
	return ""
}

// wish says why a node is wanted to stop, or is stopped by others; empty: it is
// not. Of the nodes that are out of date it is those whose turn has come.
func (d *decision) wish(n *Node) string {
	if task, live := d.live(n); live && !task.Killing && task.Status.GetState() == mesos.TASK_KILLING {
		return "drain"
	}
	reason := d.reason(n)
	if reason == "update" && !n.Spared && !slices.Contains(d.pods[n.Pod].Asking.Nodes, n.Name) {
		return ""
	}
	return reason
}

// maystop says whether a node that is to stop may do so now: by an operator's
// will, after it has handed over what it held, or because the service can
// spare it.
func (d *decision) maystop(n *Node) bool {
	leaves := n.Goal == GoalLeave && (d.uninstalling() || d.handsOver(n))
	return n.Goal == GoalStop || leaves || n.Forced || n.Spared
}

// spare finds out which of the nodes that are to stop on purpose may do so.
func (d *decision) spare() {
	for i := range d.Pods {
		p := &d.Pods[i]
		out, batch := d.batch(p)
		switch asked := &d.pods[p.Name].Asking; {
		case len(batch) == 0:
			d.withdraw(asked)
			*asked = asking{}
		case p.Spare == nil && p.Everywhere:
			d.agree(batch)
		case p.Spare == nil:
			asked.Nodes = []string{d.rouse(batch[0]).Name}
			if asked.Refused = d.unready(batch[0]); asked.Refused == "" {
				d.agree(batch[:1])
			}
		default:
			d.askSpare(asked, out, batch)
		}
	}
}

func (d *decision) askSpare(asked *asking, out, batch []*Node) {
	nodes := slices.Concat(out, batch)
	id := d.question(nodes)
	if job := spareKind + "/" + id; asked.Job != job {
		if d.withdraw(asked) {
			return // it is asked when the old one has ended
		}
		*asked = asking{Job: job, Batch: asked.Batch}
		for _, n := range batch {
			asked.Nodes = append(asked.Nodes, d.rouse(n).Name)
		}
	}
	d.ask(spareKind, id, asked.Refused != "", nodes...)
}

// withdraw ends a question that is not asked any more. It says whether it runs.
func (d *decision) withdraw(asked *asking) bool {
	if asked.Job == "" || !d.view.Running(asked.Job) {
		return false
	}
	d.do(scheduler.Cancel{Job: asked.Job})
	return true
}

// question names the question whether nodes may stop, as things stand.
func (d *decision) question(nodes []*Node) string {
	sum := fnv.New64a()
	for _, n := range nodes {
		fmt.Fprintln(sum, d.taskID(n), n.Spared)
	}
	for i := range d.Pods {
		for _, n := range d.unsettled(d.Pods[i].Name) {
			if !n.Ready {
				fmt.Fprintln(sum, n.Name)
			}
		}
	}
	return fmt.Sprintf("%s.%s/%x", d.Name, nodes[0].Pod, sum.Sum(nil))
}

// answered takes in what a Spare said. Of several nodes that cannot be spared
// at once, half as many are tried next.
func (d *decision) answered(id, refusal string) {
	for i := range d.Pods {
		p := &d.Pods[i]
		out, batch := d.batch(p)
		asked := &d.pods[p.Name].Asking
		if len(batch) == 0 || d.question(append(out, batch...)) != id {
			continue
		}
		if refusal == "" {
			d.agree(batch)
			*asked = asking{}
			return
		}
		asked.Refused = refusal
		if len(batch) > 1 {
			*asked = asking{Batch: len(batch) / 2}
		}
	}
}

func (d *decision) agree(nodes []*Node) {
	for _, n := range nodes {
		n = d.rouse(n)
		if d.reason(n) == "update" {
			d.pods[n.Pod].Rollout.Taken++
		}
		n.Spared = true
		d.note(n, "can be spared", slog.String("for", d.reason(n)))
	}
}

// unready names a node that has to be ready before n stops, where the pod says
// no more: any other that is a member of the service.
func (d *decision) unready(n *Node) string {
	for _, m := range d.unsettled(n.Pod) {
		if m.Name != n.Name && m.Arrived > 0 && !m.Ready {
			return m.Name + " is not ready"
		}
	}
	return ""
}

// weighed says whether a node that is to be replaced may give its data up as
// things stand: the service can spare it, or an operator or the engine knows that
// there is none to lose.
func (d *decision) weighed(n *Node) bool {
	return d.pod(n.Pod).Spare == nil || n.Forced || n.Spared || n.Gone || !n.Lost.IsZero() || !n.arrived()
}

// batch returns the nodes of a pod that are out on purpose, and those to stop
// next if the service can spare them. Nodes that serve nobody stop as they are
// to, and are not asked for, but where their data goes with them.
func (d *decision) batch(p *Pod) (out, next []*Node) {
	var update, idle, urgent []*Node
	for _, n := range d.awake() {
		if n.Pod != p.Name {
			continue
		}
		task, live := d.live(n)
		wish := d.reason(n)
		stops := live && !task.Killing && wish != "" && !d.maystop(n)
		away := task.Status.GetState() == mesos.TASK_UNREACHABLE
		switch {
		case stops && !n.Ready && d.locked(n) == "" && wish == "replace" && !d.weighed(n):
			next = append(next, n)
		case stops && !n.Ready && d.locked(n) == "" && (wish != "update" || !n.Out.IsZero()):
			n.Spared = true
			out = append(out, n)
		case n.Goal == GoalRun && (!n.Out.IsZero() || n.Spared && live):
			out = append(out, n)
		case !stops, wish == "update" && away, d.locked(n) != "":
		case wish == "update" && !n.Ready:
			idle = append(idle, n)
		case wish == "update":
			update = append(update, n)
		case wish == "maintenance":
			urgent = append(urgent, n)
		default:
			next = append(next, n)
		}
	}
	room := max(p.Rollout.Parallel, 1) - len(out) - len(urgent)
	down := 0 // of those that are out: before it has arrived, one may wait for another that serves nobody
	for _, n := range out {
		if _, live := d.live(n); !live && !n.arrived() {
			down++
		}
	}
	for _, n := range idle[:max(0, min(len(idle), room+down, d.quota(p)))] {
		d.agree([]*Node{n})
		room--
	}
	if room > len(next) && d.quota(p) > 0 {
		for _, n := range d.waiting(p.Name) {
			if d.reason(n) == "update" && d.locked(n) == "" {
				update = append(update, n)
			}
		}
		update = d.inOrder(update)
	}
	update = d.ordered(p, update)
	next = append(next, update[:min(len(update), d.quota(p))]...)
	// Maintenance has a deadline: as many go at once as the service can spare.
	next = append(urgent, next[:max(0, min(len(next), room))]...)
	if most := d.pods[p.Name].Asking.Batch; most > 0 {
		next = next[:min(len(next), most)]
	}
	return out, next
}

// ordered puts nodes into the order in which the pod wants them updated.
func (d *decision) ordered(p *Pod, nodes []*Node) []*Node {
	if p.Rollout.Order == nil || len(nodes) < 2 {
		return nodes
	}
	in := values(nodes)
	order, err := guarded(func() ([]Node, error) { return p.Rollout.Order(d.deployment(), slices.Clone(in)), nil })
	if err != nil {
		r := &d.pods[p.Name].Rollout
		r.Paused = "Rollout.Order: " + err.Error()
		d.announce("rollout paused", p, slog.String("why", r.Paused))
		return nil // nobody knows who goes first
	}
	rank := map[string]int{}
	for i, n := range order {
		rank[n.Name] = i + 1
	}
	at := func(n *Node) int {
		if r := rank[n.Name]; r > 0 {
			return r
		}
		return len(in) + 1 // what the order leaves out comes last
	}
	slices.SortStableFunc(nodes, func(a, b *Node) int { return at(a) - at(b) })
	return nodes
}
