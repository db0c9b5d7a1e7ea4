package frameworks

import (
	"fmt"
	"iter"
	"log/slog"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/mesokit/mesokit/offers"
)

// A place that is to have more gets that before its node stops for it: what it
// lacks is reserved beside it, on the same agent, while the node still runs. So no
// node is stopped for what its agent has no room for; it stays out of date, and
// says what is missing, until there is room, or an update that wants less.
//
// As with what is new (extend.go), nothing is asked for twice: what carries the
// node's label and is not part of its place is taken first, and what is wanted no
// more is given back by trim.

// Room is what is reserved beside a place for the shape that it is to have.
type Room struct {
	For string `json:"for"` // the shape
	// Resources are nil until they were seen in an offer.
	Resources []mesos.Resource `json:"resources,omitempty"`
	// Asked is when the reservation was last sent, Short what the agent has too
	// little of.
	Asked time.Time `json:"asked,omitzero"`
	Short string    `json:"short,omitempty"`
}

// cramped says whether a node's pod wants its place to be larger, and the room
// for that is not reserved.
func (d *decision) cramped(n *Node) bool {
	if n.Place == nil || n.Place.Shape == "" || n.Goal != GoalRun || d.heldFor != "" {
		return false
	}
	shape := d.shapeOf(n.Pod)
	if n.Place.Shape == shape || n.Place.Room != nil && n.Place.Room.For == shape && n.Place.Room.Resources != nil {
		return false
	}
	return len(d.changeOf(n, d.pod(n.Pod)).more) > 0
}

// awaitsRoom says whether a node runs on as it is until there is room for it to
// grow. One that serves nobody does not, if anything else is to change: that may be
// what it lacks, and it has it as soon as it is launched in its place as it is.
func (d *decision) awaitsRoom(n *Node) bool {
	switch {
	case !d.cramped(n):
		return false
	case n.Ready:
		return true
	case n.Place.Extra != nil: // which becomes part of its place with the next launch
		return false
	}
	return !d.gains(n)
}

// gains says whether a new launch in its place as it is would be another.
func (d *decision) gains(n *Node) bool {
	next, err := d.config(d.standing(), n, n.Place.Shape)
	return err == nil && next != n.Config
}

// shapeOf is the shape that places of a pod are to have.
func (d *decision) shapeOf(pod string) string {
	shape, known := d.shapes[pod]
	if !known {
		if d.shapes == nil {
			d.shapes = map[string]string{}
		}
		shape = d.pod(pod).shape()
		d.shapes[pod] = shape
	}
	return shape
}

// room reserves what the places of running nodes are to grow by. That of others is
// reserved when they are launched, see refit.
func (d *decision) room(free iter.Seq[*mesos.Offer], used map[string]bool) {
	if d.heldFor != "" {
		return
	}
	for _, n := range d.awake() {
		if n.Place == nil {
			continue
		}
		if r := n.Place.Room; r != nil && (r.For != d.shapeOf(n.Pod) || r.For == n.Place.Shape) {
			n.Place.Room = nil // something else is declared meanwhile
		}
		if !d.serving(n) || !d.cramped(n) {
			continue
		}
		// Where all of its place is offered it may run no more, see trim.
		if _, all := offers.Claim(free, n.Place.Agent, n.Place.Resources); !all {
			d.roomFor(n, free, used)
		}
	}
}

func (d *decision) roomFor(n *Node, free iter.Seq[*mesos.Offer], used map[string]bool) {
	room := Room{For: d.shapeOf(n.Pod)}
	if n.Place.Room != nil {
		room = *n.Place.Room
	}
	more := d.changeOf(n, d.pod(n.Pod)).more
	claimed, ok := offers.Claim(d.reservable(free), n.Place.Agent, more)
	agent := slog.String("agent", n.Place.Hostname)
	switch {
	case len(claimed.Offers) == 0:
	case ok:
		room.Resources, room.Asked, room.Short = more, time.Time{}, ""
		d.note(n, "the room to grow is reserved", agent, slog.String("what", total(more)))
	case d.within(settleTime, room.Asked): // it is on its way
	case len(claimed.Operations) > 0:
		room.Asked, room.Short = d.now, ""
		d.note(n, "reserving the room to grow", agent, slog.String("what", total(more)))
		d.accept(offers.Accept{Agent: claimed.Agent, Offers: claimed.Offers, Operations: claimed.Operations}, used)
	case room.Short != claimed.Short.String():
		room.Short = claimed.Short.String()
		d.note(n, "its agent has no room to grow", agent, slog.String("short", room.Short))
	}
	n.Place.Room = &room
}

// total is how much resources are, whatever they are reserved for.
func total(resources []mesos.Resource) string { return offers.Sum(resources).String() }

// toGrow says what offers are wanted for, so that places can grow.
func (d *decision) toGrow() []string {
	var wants []string
	for _, n := range d.awake() {
		if !d.serving(n) || !d.cramped(n) || n.Place.Room == nil {
			continue
		}
		want := n.Name + " grows to " + n.Place.Room.For
		if due := n.Place.Room.Asked.Add(settleTime); d.now.Before(due) {
			d.wakeAt(due)
		} else if !n.Place.Room.Asked.IsZero() {
			want += " again"
		}
		wants = append(wants, want)
	}
	return wants
}

// waitsForRoom says what a running node waits for before it is made larger.
func (d *decision) waitsForRoom(n *Node) string {
	if r := n.Place.Room; r != nil && r.Short != "" {
		return fmt.Sprintf("agent %s to have room for %s more; replace gives the node a new place, rollback takes the update back", n.Place.Hostname, r.Short)
	}
	return fmt.Sprintf("agent %s to reserve %s more for it", n.Place.Hostname, total(d.changeOf(n, d.pod(n.Pod)).more))
}
