package frameworks

import (
	"iter"
	"log/slog"
	"maps"
	"slices"
	"strings"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/mesokit/mesokit/offers"
	"github.com/mesokit/mesokit/scheduler"
)

// A place keeps what it has while its node runs. When the pod wants more or
// less of it, the node is out of date; and when it is down for that, its place
// is changed where it is: what is missing is reserved on the same agent, volumes
// grow (GROW_VOLUME), or shrink where an operator allows it (SHRINK_VOLUME), what
// is too much goes back. Of a node that runs, what is missing is reserved before it stops
// (room.go). An agent that has not enough left changes nothing: the node runs on as
// it was, and says so.

// shape is what places of the pod are made of, as text.
func (p *Pod) shape() string {
	parts := []string{p.Needs.String()}
	for _, v := range p.Volumes {
		parts = append(parts, v.Name+":"+v.Size.String())
	}
	return strings.Join(parts, ";")
}

// refit changes the places of nodes that are about to be launched and whose
// pod wants another shape. They are launched when that is done.
func (d *decision) refit(claims map[*Node]offers.Claimed, free iter.Seq[*mesos.Offer], used map[string]bool) {
	for n := range d.idle {
		pod := d.pod(n.Pod)
		_, ok := claims[n]
		if !ok || n.Place.Shape == "" || n.Place.Shape == pod.shape() ||
			used[n.Place.Agent] || n.Goal != GoalRun || d.held(n) != "" {
			continue
		}
		d.refitNode(n, pod, free, used)
		if used[n.Place.Agent] {
			delete(claims, n)
		}
	}
}

func (d *decision) refitNode(n *Node, pod *Pod, free iter.Seq[*mesos.Offer], used map[string]bool) {
	c := d.changeOf(n, pod)
	claimed, ok := offers.Claim(free, n.Place.Agent, c.during)
	if !ok && len(claimed.Operations) == 0 {
		n.Place.Room = nil // it is not there any more
		return             // it runs as it was, and waits for room (see room)
	}
	operations := slices.Concat(claimed.Operations, c.resize)
	if len(c.less) > 0 {
		operations = append(operations, offers.Release(c.less)...)
	}
	if n.Place.Before == nil {
		n.Place.Before = n.Place.Resources
	}
	n.Place.Resources = c.after
	was := n.Place.Shape
	n.Place.Shape = pod.shape()
	n.Place.Asked, n.Place.Reserved, n.Place.Room = d.now, len(operations) == 0, nil
	d.note(n, "changing its place", slog.String("from", was), slog.String("to", n.Place.Shape))
	if len(operations) > 0 {
		d.accept(offers.Accept{Agent: n.Place.Agent, Offers: claimed.Offers, Operations: operations}, used)
	}
}

// unfit claims a place of which a change did not come about, or only in part, and
// makes it what of it is there: all that is offered with the node's label, as long as
// its volumes and its ports are among it. The change is then made from there.
func (d *decision) unfit(n *Node, free iter.Seq[*mesos.Offer]) (offers.Claimed, bool) {
	if n.Place.Before == nil || d.within(settleTime, n.Place.Asked) {
		return offers.Claimed{}, false
	}
	for _, h := range offers.Owned(free, offers.HasLabel(labelResource, d.resourceID(n))) {
		there := slices.DeleteFunc(h.Resources, func(r mesos.Resource) bool { return d.labelledResource(r) != n })
		if h.Agent != n.Place.Agent || !complete(there, n.Place.Before) {
			continue
		}
		n.Place.Resources, n.Place.Shape = there, "in part"
		n.Place.Before, n.Place.Reserved = nil, true
		d.note(n, "its place has changed in part")
		return offers.Claim(free, n.Place.Agent, there)
	}
	return offers.Claimed{}, false
}

// complete says whether all volumes and ports of a place are there.
func complete(there, place []mesos.Resource) bool {
	return !slices.ContainsFunc(place, func(r mesos.Resource) bool {
		if p := r.GetDisk().GetPersistence(); p != nil {
			return !slices.ContainsFunc(there, func(o mesos.Resource) bool { return o.GetDisk().GetPersistence().GetID() == p.ID })
		}
		return r.Scalar == nil && !offers.Contains(there, []mesos.Resource{r})
	})
}

// labelledResource is the node of the service that a resource is reserved for.
func (d *decision) labelledResource(r mesos.Resource) *Node {
	if len(r.Reservations) == 0 {
		return nil
	}
	return d.labelled(r.Reservations[len(r.Reservations)-1].GetLabels().GetLabels())
}

// placeChange is what turns a place into another.
type placeChange struct {
	during []mesos.Resource // all that it takes: what is there, and what is to be reserved
	after  []mesos.Resource
	more   []mesos.Resource // to be reserved
	less   []mesos.Resource // to be given back
	resize []mesos.Offer_Operation
}

func (d *decision) changeOf(n *Node, pod *Pod) placeChange {
	var c placeChange
	want := maps.Collect(pod.Needs.Scalars())
	last := map[string]int{}
	for i, r := range n.Place.Resources {
		last[r.Name] = i
	}
	for i, r := range n.Place.Resources {
		have := offers.AmountOf(r.GetScalar().GetValue())
		amount := want[r.Name]
		if i != last[r.Name] {
			amount = min(amount, have)
		}
		switch {
		case r.GetDisk().GetPersistence() != nil:
			c.volume(r, d.sizeOf(n, pod, r), d.service.Options.Shrink)
			continue
		case r.Scalar == nil:
			c.keep(r)
			continue
		}
		want[r.Name] -= amount
		c.keep(sized(r, amount))
		switch {
		case amount < have:
			c.less = append(c.less, sized(r, have-amount))
		case amount > have:
			c.more = append(c.more, sized(r, amount-have))
		}
	}
	return c
}

func (c *placeChange) keep(r mesos.Resource) {
	if r.Scalar != nil && r.Scalar.Value == 0 {
		return
	}
	c.during, c.after = append(c.during, r), append(c.after, r)
}

// volume lets a volume grow, or shrink where that is allowed and Mesos can: what
// it gives up is still reserved then, and goes back when its node runs (trim).
func (c *placeChange) volume(r mesos.Resource, want offers.Amount, shrink bool) {
	have := offers.AmountOf(r.GetScalar().GetValue())
	c.during = append(c.during, r)
	if disk, ok := offers.DiskTypeOf(&r); want < have && want > 0 && shrink && ok && disk != offers.MountDisk {
		c.after = append(c.after, sized(r, want))
		c.resize = append(c.resize, mesos.Offer_Operation{
			Type:         mesos.Offer_Operation_SHRINK_VOLUME,
			ShrinkVolume: &mesos.Offer_Operation_ShrinkVolume{Volume: r, Subtract: *(have - want).Scalar()},
		})
		return
	}
	if want <= have {
		c.after = append(c.after, r)
		return
	}
	addition := sized(r, want-have)
	addition.Disk = nil
	if source := r.Disk.Source; source != nil {
		addition.Disk = &mesos.Resource_DiskInfo{Source: source}
	}
	c.during, c.more = append(c.during, addition), append(c.more, addition)
	c.after = append(c.after, sized(r, want))
	c.resize = append(c.resize, mesos.Offer_Operation{
		Type:       mesos.Offer_Operation_GROW_VOLUME,
		GrowVolume: &mesos.Offer_Operation_GrowVolume{Volume: r, Addition: addition},
	})
}

// sizeOf is what the pod wants of the size of a volume of the node.
func (d *decision) sizeOf(n *Node, pod *Pod, r mesos.Resource) offers.Amount {
	for _, v := range pod.Volumes {
		if r.Disk.Persistence.ID == d.volumeID(n, v) {
			return v.Size
		}
	}
	return 0
}

func (d *decision) volumeID(n *Node, v Volume) string { return d.resourceID(n) + "." + v.Name }

func sized(r mesos.Resource, amount offers.Amount) mesos.Resource {
	r.Scalar = amount.Scalar()
	return r
}

// trim gives back what is reserved for a node that runs, and not part of its
// place, nor to become one: what a change of its place that was cut left over,
// and what is declared no more that never was part of it. Where all of its place is offered, or the master has not told yet
// what became of tasks, it may be that the node runs no more: what is offered
// then is its own.
func (d *decision) trim(free iter.Seq[*mesos.Offer], used map[string]bool) {
	if !d.view.Reconciled() {
		return
	}
	leftOver := func(labels []mesos.Label) bool {
		n := d.labelled(labels)
		if n == nil || n.Place == nil || !d.serving(n) || d.lacks(n) != "" || d.cramped(n) || !offers.HasLabel(labelResource, d.resourceID(n))(labels) {
			return false
		}
		_, all := offers.Claim(free, n.Place.Agent, n.Place.Resources)
		return !all
	}
	for _, h := range offers.Owned(free, leftOver) {
		rest := d.excess(h)
		if used[h.Agent] || len(rest) == 0 {
			continue
		}
		d.accept(offers.Accept{Agent: h.Agent, Offers: h.Offers, Operations: offers.Release(rest)}, used)
		d.do(scheduler.Note{Text: "released what was left over", Attrs: []slog.Attr{slog.String("agent", h.Hostname)}})
	}
}

// excess is what of a holding is no volume of a place, nor to become part of one.
func (d *decision) excess(h offers.Holding) []mesos.Resource {
	rest := slices.DeleteFunc(h.Resources, func(r mesos.Resource) bool {
		id := r.GetDisk().GetPersistence().GetID()
		n := d.labelledResource(r)
		return id != "" && (n == nil || n.Place == nil || n.Place.hasVolume(id[strings.LastIndexByte(id, '.')+1:]))
	})
	for _, n := range d.awake() {
		if n.Place == nil || n.Place.Agent != h.Agent {
			continue
		}
		for _, r := range n.Place.beside() {
			rest, _ = offers.Minus(rest, []mesos.Resource{r})
		}
	}
	return rest
}

// beside is what is reserved beside a place, and is to become part of it.
func (p *Place) beside() []mesos.Resource {
	var out []mesos.Resource
	if p.Extra != nil {
		out = append(out, p.Extra.Resources...)
	}
	if p.Room != nil {
		out = append(out, p.Room.Resources...)
	}
	return out
}

// labelled is the node of the service that labels name.
func (d *decision) labelled(labels []mesos.Label) *Node {
	service, node := "", ""
	for _, l := range labels {
		switch l.Key {
		case labelService:
			service = l.GetValue()
		case labelNode:
			node = l.GetValue()
		}
	}
	if service != d.Name {
		return nil
	}
	return d.node(node)
}
