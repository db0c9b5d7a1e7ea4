package frameworks

import (
	"log/slog"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/mesokit/mesokit/executor"
	"github.com/mesokit/mesokit/scheduler"
)

// A node whose executor.Task has a Lease serves only while this engine goes on
// to grant it. The executor asks, the engine answers, unless the lease is
// withheld: by a routine's order, or because the node's place is to be given
// away, or its next task to be launched, while its last one may still run
// where nobody can reach it.
//
// The place is given away only when the lease has surely ended, because:
//
//  1. A grant counts from when the executor asked for it, by the monotonic clock
//     of the executor, and of the guard, which kills the server where the executor
//     cannot. Setting the clock of that machine changes nothing; delays and
//     doubled messages only make the lease shorter.
//  2. Since Node.Withheld this scheduler has granted nothing. It is saved before
//     anything is done on the strength of it.
//  3. Another scheduler that lost the lead without noticing grants nothing later
//     than a fourth of the term after its last save (quarter), of which the first
//     that comes after another has taken the store fails. If it was suspended
//     meanwhile, and its clock with it, what it still has to answer was asked
//     before this one was subscribed, as masters tell only the last subscriber;
//     and what it sends after that they refuse.
//  4. Withheld is therefore never earlier than that subscription (keepTime), and
//     the time since is measured by a clock that was not set meanwhile: where this
//     is another process, or its clock was set, it counts anew.
//  5. Clocks of different machines may differ in speed by a twentieth (Lease.Over).
//
// What this cannot hold is a server whose whole machine stands still, with its
// guard, and goes on later: it acts for the moment until its guard has the
// processor. See executor.Lease.
const grantShare = 4

// quarter is when the last save was that grants of one term rest upon.
type quarter struct {
	Begins time.Time `json:"begins"`
}

// Harmless says whether no server of the node can act any more: the end of its
// last task was seen, or its lease has been withheld for so long that it has
// surely ended.
func (n Node) Harmless(now time.Time) bool {
	return !n.Alive || n.Lease != nil && !n.Withheld.IsZero() && !now.Before(n.leaseOver())
}

// leaseOver is when the lease has surely ended. It is withheld.
func (n Node) leaseOver() time.Time {
	return n.Lease.Over(n.Withheld.Add(n.Lease.Within / grantShare * 21 / 20))
}

// keepTime has the leases that are withheld begin anew with a scheduler that is
// not the one of before, once it is subscribed, and when its clock was set.
func (d *decision) keepTime() {
	clock := d.view.Steady()
	if d.service.Clock.Equal(clock) {
		return
	}
	if d.view.Connected() {
		d.service.Clock = clock
	}
	for _, n := range d.awake() { // none of them rests
		if !n.Withheld.IsZero() {
			n.Withheld = d.now
		}
	}
}

// messaged takes in what the executor of a node's running task says.
func (d *decision) messaged(ev scheduler.Messaged) {
	name, incarnation, ok := d.owner(ev.Executor)
	if !ok {
		return
	}
	n := d.node(name)
	if n == nil || incarnation != n.Incarnation || n.Place == nil || n.Place.Agent != ev.Agent {
		return
	}
	if _, live := d.live(n); !live {
		return
	}
	message, err := executor.DecodeMessage(ev.Data)
	if err != nil {
		d.note(n, "its executor says what cannot be read", slog.String("error", err.Error()))
		return
	}
	switch m := message.(type) {
	case executor.Hello:
		if m.Task == d.taskID(n) {
			d.hello(n, m)
		}
	case executor.Renew:
		if m.Task == d.taskID(n) && n.Withheld.IsZero() && n.Lease != nil {
			term := n.Lease.Within
			d.quarters[term.String()] = &quarter{Begins: d.now.Truncate(term / grantShare)}
			d.say(n, executor.Grant(m))
		}
	}
}

// say sends a message to the executor of the node's task. It may be lost; who
// wants it asks again.
func (d *decision) say(n *Node, m executor.Message) {
	data, err := executor.EncodeMessage(m)
	if err != nil {
		d.note(n, "cannot tell its executor", slog.String("error", err.Error()))
		return
	}
	d.do(scheduler.Message{Agent: n.Place.Agent, Executor: d.taskID(n), Data: data})
}

// lease withholds the lease while somebody wants that, and notices when the
// lease of a task whose end nobody saw is over.
func (d *decision) lease(n *Node) {
	_, live := d.live(n)
	if n.Lease == nil && !live {
		n.Alive = false // nothing says for how long it might still run
	}
	lost := n.Lease != nil && n.Alive && !live
	deny := n.Withhold || n.Releasing || lost
	switch {
	case !deny:
		n.Withheld = time.Time{}
	case n.Withheld.IsZero():
		n.Withheld = d.now
		if n.Lease != nil && n.Alive {
			d.note(n, "its lease is withheld", slog.Time("over", n.leaseOver()))
		}
	}
	if !deny || n.Lease == nil || !n.Alive {
		return
	}
	if !n.Harmless(d.now) {
		d.wakeAt(n.leaseOver())
		return
	}
	if lost {
		n.Alive = false
		d.note(n, "its lease is over")
		d.lease(n) // from now on it is withheld only where somebody wants that
	}
}

// freed says whether the place of a node may be given away although its task
// may still run there, out of reach: at once where the node has no lease, else
// when the lease, which is withheld from now on, is over.
func (d *decision) freed(n *Node) bool {
	if n.Harmless(d.now) || n.Lease == nil {
		return true
	}
	n.Releasing = true
	d.lease(n)
	return false
}

// seenToEnd says whether a terminal status proves that the task runs no more.
// What the master says of agents that it cannot see proves nothing.
func seenToEnd(status mesos.TaskStatus) bool {
	return status.GetSource() != mesos.SOURCE_MASTER || status.GetReason() == mesos.REASON_INVALID_OFFERS
}
