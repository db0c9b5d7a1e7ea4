package frameworks

import (
	"iter"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/mesokit/mesokit/constraints"
	"github.com/mesokit/mesokit/offers"
	"github.com/mesokit/mesokit/scheduler"
)

const (
	// settleTime is how long a reservation may be on its way. Before it has
	// passed, an offer without it proves nothing.
	settleTime = 10 * time.Second
	// refuseTime is how long an offer that fits no node is refused. A change
	// of what is wanted revives before.
	refuseTime = 30 * time.Second
)

// place uses the offers: it gives back what is discarded, launches what has
// its place, and finds places. Each agent's offers serve one of the three; the
// rest of them comes back at once.
func (d *decision) place() {
	used := map[string]bool{}
	free := func(yield func(*mesos.Offer) bool) {
		for o := range d.view.Offers() {
			if !used[o.AgentID.Value] && offered(o, d.role()) && !yield(o) {
				return
			}
		}
	}
	d.release(free, used)
	claims := d.claim(free, used)
	d.deployed()
	d.extend(claims, free, used)
	d.room(free, used)
	d.refit(claims, free, used)
	d.trim(free, used)
	d.launch(claims, used)
	d.spread(free)
	d.reserve(free, used)
	d.decline(free)
	d.want()
}

func (d *decision) accept(a offers.Accept, used map[string]bool) {
	used[a.Agent] = true
	d.do(scheduler.Accept{Offers: a.Offers, Operations: a.Operations})
}

// idle are the nodes that are to run, and do not. One that leaves runs until it
// has handed over what it holds.
func (d *decision) idle(yield func(*Node) bool) {
	for _, n := range d.awake() {
		if d.idles(n) && !yield(n) {
			return
		}
	}
}

func (d *decision) idles(n *Node) bool {
	_, live := d.live(n)
	return !live && !n.Replace && d.heldFor == "" && !d.complete(n) && (n.Goal != GoalStop || !d.together(n)) &&
		(n.Goal != GoalLeave || !n.Departed && n.arrived() && !d.uninstalling())
}

// claim looks for what the idle nodes reserved. What a first reservation did
// not bring about is asked for again, or given up.
func (d *decision) claim(free iter.Seq[*mesos.Offer], used map[string]bool) map[*Node]offers.Claimed {
	claims := map[*Node]offers.Claimed{}
	for n := range d.idle {
		if n.Place == nil {
			continue
		}
		claimed, ok := offers.Claim(free, n.Place.Agent, n.Place.Resources)
		if !ok {
			if part, there := d.unfit(n, free); there {
				claims[n] = part
				continue
			}
		}
		switch {
		case ok:
			claims[n] = claimed
			n.found()
			if !n.Place.Reserved {
				n.Place.Reserved = true
				d.note(n, "reserved", slog.String("agent", n.Place.Hostname))
			}
		case n.Place.Used && n.Place.Before != nil:
			// A change of it is on its way. Once that has had its time, what is
			// there is taken for the place, see unfit.
		case n.Place.Used, n.Place.Doubtful && len(claimed.Operations) == 0:
			if d.sought(n) {
				d.lose(n) // until it comes with another offer
			}
		case len(claimed.Offers) == 0 || d.within(settleTime, n.Place.Asked):
			// It comes with another offer, or it is on its way.
		case n.Place.Reserved:
			// It was there. It may be in another offer: what was refused is
			// asked for again before anything is concluded.
			n.Place.Asked, n.Place.Reserved = d.now, false
		case len(claimed.Operations) > 0:
			n.Place.Asked = d.now
			d.note(n, "reserving again", slog.String("agent", n.Place.Hostname))
			d.accept(offers.Accept{Agent: n.Place.Agent, Offers: claimed.Offers, Operations: claimed.Operations}, used)
		default:
			d.note(n, "lost its place before it was reserved",
				slog.String("agent", n.Place.Hostname), slog.String("short", claimed.Short.String()))
			d.giveUp(n)
		}
	}
	return claims
}

// launch starts the nodes whose resources are at hand and whose time has come.
func (d *decision) launch(claims map[*Node]offers.Claimed, used map[string]bool) {
	var accepts []offers.Accept
	byAgent := map[string]int{}
	standing, now := sync.OnceValue(d.standing), sync.OnceValue(d.deployment)
	for n := range d.idle {
		claimed, ok := claims[n]
		if !ok || used[n.Place.Agent] || d.backsOff(n) || d.held(n) != "" || d.haunted(n) || n.Fenced || n.Alive {
			continue
		}
		n.Incarnation++
		n.Progress, n.Waits, n.Ready, n.Doubts, n.Admitted = "", "", false, 0, time.Time{}
		now().Nodes[d.at[n.Name]] = *n
		task, err := d.task(n, now())
		if err != nil {
			n.Failures++
			d.failed(n, err.Error())
			n.Retry = d.now.Add(d.pod(n.Pod).Backoff.after(n.Failures))
			d.note(n, "failed", slog.String("error", err.Error()), slog.Time("retry", n.Retry))
			d.strained(n)
			now().Nodes[d.at[n.Name]] = *n
			continue
		}
		n.Progress, n.Alive = "launched", true
		d.configured(standing(), n)
		now().Nodes[d.at[n.Name]] = *n
		i, ok := byAgent[n.Place.Agent]
		if !ok {
			i = len(accepts)
			byAgent[n.Place.Agent] = i
			accepts = append(accepts, offers.Accept{Agent: n.Place.Agent, Offers: claimed.Offers})
		}
		accepts[i].Operations = append(accepts[i].Operations, offers.Launch(n.Place.Agent, task))
		d.note(n, "launched", slog.String("task", task.TaskID.Value), slog.String("agent", n.Place.Hostname))
	}
	for _, a := range accepts {
		d.accept(a, used)
	}
}

// configured notes what a node is launched with. Where its agent had no room for
// the shape that its pod wants, it is out of date from the beginning; but work that
// ends is done when it has ended, in whatever place.
func (d *decision) configured(standing Deployment, n *Node) {
	shape := n.Place.Shape
	if d.aims(n) {
		shape = d.shapeOf(n.Pod)
	}
	config, err := d.config(standing, n, shape)
	if err != nil {
		return
	}
	n.Config, n.Wanted = config, config
	if !d.cramped(n) {
		return
	}
	if wanted, err := d.config(standing, n, d.shapeOf(n.Pod)); err == nil {
		n.Wanted = wanted
	}
}

// within says whether since lies in the last d. A time to come, which a clock
// that was set back leaves, does not.
func (d *decision) within(last time.Duration, since time.Time) bool {
	ago := d.now.Sub(since)
	return ago >= 0 && ago < last
}

// backsOff says whether the node waits after a failure. A retry further away
// than its own pause is one of a clock that was set back.
func (d *decision) backsOff(n *Node) bool {
	return n.Retry.After(d.now) && !n.Retry.After(d.now.Add(d.pod(n.Pod).Backoff.after(max(n.Failures, 1))))
}

// together says whether the node may be launched as far as its peers go.
func (d *decision) together(n *Node) bool {
	return !d.pod(n.Pod).Together || d.pods[n.Pod].Deployed
}

// reserve finds places for the nodes that have none.
func (d *decision) reserve(free iter.Seq[*mesos.Offer], used map[string]bool) {
	requests := d.requests()
	if len(requests) == 0 {
		d.seen = nil
		return
	}
	d.see(free)
	matches, report := offers.Reserve(d.reservable(free), requests)
	for _, r := range report.Refusals {
		if r.Agents > 0 {
			d.progress(d.node(r.Node), "no place yet", slog.String("why", r.String()))
		}
	}
	for _, m := range matches {
		n := d.node(m.Node)
		n.Place = d.placeOf(m)
		n.Place.Shape = d.pod(n.Pod).shape()
		attrs := []slog.Attr{slog.String("agent", m.Hostname)}
		for _, p := range d.pod(n.Pod).Ports {
			attrs = append(attrs, slog.Uint64(p.Name, m.Ports[p.Name]))
		}
		d.note(n, "reserving", attrs...)
	}
	for _, a := range offers.Accepts(matches) {
		d.accept(a, used)
	}
}

// reservable are the offers without what an operator reserved for the role
// itself: such resources carry no label, so that one could not tell whose they
// are, nor give them back.
func (d *decision) reservable(free iter.Seq[*mesos.Offer]) iter.Seq[*mesos.Offer] {
	static := func(r mesos.Resource) bool {
		if n := len(r.Reservations); n > 0 {
			return r.Reservations[n-1].GetType() == mesos.Resource_ReservationInfo_STATIC && r.Reservations[n-1].GetRole() == d.role()
		}
		return r.Reservation == nil && r.GetRole() == d.role()
	}
	return func(yield func(*mesos.Offer) bool) {
		for o := range free {
			if !d.available(o) {
				continue
			}
			if slices.ContainsFunc(o.Resources, static) {
				less := *o
				less.Resources = slices.DeleteFunc(slices.Clone(o.Resources), static)
				o = &less
			}
			if !yield(o) {
				return
			}
		}
	}
}

// requests are what the nodes without a place ask for.
func (d *decision) requests() []offers.Request {
	var out []offers.Request
	placed := map[string][]constraints.Agent{}
	others := map[string][]offers.Other{}
	for n := range d.idle {
		if n.Place != nil {
			continue
		}
		pod := d.pod(n.Pod)
		if placed[n.Pod] == nil {
			placed[n.Pod], others[n.Pod] = d.placed(n.Pod), d.others(n.Pod)
		}
		r := d.request(n, pod.Ports, pod.Volumes)
		r.Instances, r.Agent, r.Needs = d.pods[n.Pod].Count, n.Home, pod.Needs
		r.Place, r.Placed, r.Others = pod.Place, placed[n.Pod], others[n.Pod]
		out = append(out, r)
	}
	return out
}

// request is that of ports and volumes for a node.
func (d *decision) request(n *Node, ports []Port, volumes []Volume) offers.Request {
	r := offers.Request{Node: n.Name, Pod: n.Pod, Role: d.role(), Principal: d.Principal, Labels: d.labels(n)}
	for _, p := range ports {
		r.Ports = append(r.Ports, offers.Port{Name: p.Name, Begin: p.Begin, End: p.End})
	}
	for _, v := range volumes {
		r.Volumes = append(r.Volumes, offers.Volume{ID: d.volumeID(n, v), Path: v.Path, Size: v.Size, Disk: v.Disk, Profile: v.Profile})
	}
	return r
}

// placed are the agents of a pod's nodes that have a place.
func (d *decision) placed(pod string) []constraints.Agent {
	var out []constraints.Agent
	for _, n := range d.nodes {
		if n.Pod == pod && n.Place != nil {
			out = append(out, n.Place.agent())
		}
	}
	return out
}

// others are the agents of the other pods' nodes that have a place.
func (d *decision) others(pod string) []offers.Other {
	var out []offers.Other
	for _, p := range d.Pods {
		if p.Name == pod {
			continue
		}
		for _, where := range d.placed(p.Name) {
			out = append(out, offers.Other{Pod: p.Name, Agent: where})
		}
	}
	return out
}

func (d *decision) placeOf(m offers.Match) *Place {
	p := &Place{Agent: m.Agent, Hostname: m.Hostname, Resources: m.Resources, Ports: m.Ports, Asked: d.now}
	for o := range d.view.Offers() {
		if o.AgentID.Value == m.Agent {
			p.describe(o)
			break
		}
	}
	return p
}

// see keeps what each agent offered last, while a node looks for a place: for
// the operator who asks why it finds none.
func (d *decision) see(free iter.Seq[*mesos.Offer]) {
	last := map[string]*mesos.Offer{}
	for o := range free {
		if l := last[o.AgentID.Value]; l != nil {
			l.Resources = offers.Plus(l.Resources, o.Resources)
			continue
		}
		last[o.AgentID.Value] = &mesos.Offer{
			ID: mesos.OfferID{Value: o.AgentID.Value}, FrameworkID: o.FrameworkID, AgentID: o.AgentID,
			Hostname: o.Hostname, Attributes: o.Attributes, Domain: o.Domain,
			AllocationInfo: o.AllocationInfo, Resources: o.Resources,
		}
	}
	for agent, offer := range last {
		if record, err := encode(offer); err == nil { // else nobody is told of this agent
			d.seen[agent] = record
		}
	}
}

// refusals say why the nodes without a place find none among the agents that
// offered something since.
func (d *decision) refusals() map[string]string {
	requests := d.requests()
	if len(requests) == 0 {
		return nil
	}
	_, report := offers.Reserve(d.reservable(func(yield func(*mesos.Offer) bool) {
		for _, agent := range sortedKeys(d.seen) {
			if offer, err := decode[mesos.Offer](d.seen[agent]); err == nil && !yield(offer) {
				return
			}
		}
	}), requests)
	out := map[string]string{}
	for _, r := range report.Refusals {
		out[r.Node] = r.String()
	}
	return out
}

func (d *decision) decline(free iter.Seq[*mesos.Offer]) {
	var rest []mesos.OfferID
	for o := range free {
		rest = append(rest, o.ID)
	}
	if len(rest) > 0 {
		refuse := refuseTime
		if len(slices.Collect(d.idle)) == 0 {
			refuse = time.Hour // only for what an agent brings that comes back
		}
		d.do(scheduler.Decline{Offers: rest, Refuse: refuse, Reason: "no node can use it"})
	}
}

// wanted says whether an idle node could use an offer now.
func (d *decision) wanted(n *Node) bool {
	switch {
	case d.backsOff(n):
		return false
	case n.Place != nil && (d.haunted(n) || n.Fenced || n.Alive):
		return false // until the task that was left behind has ended, or the routine allows it
	case n.Place != nil && n.Place.Reserved && d.together(n) && d.held(n) != "" && !d.leftAlone(n):
		return false // until a peer has arrived
	}
	return true
}

// want says what offers are wanted for, and when that will change by itself.
func (d *decision) want() {
	var wants []string
	for n := range d.idle {
		if d.backsOff(n) {
			d.wakeAt(n.Retry)
		}
		if !d.wanted(n) {
			continue
		}
		want := n.Name + " " + string(d.phase(n))
		if n.Place != nil && !n.Place.Reserved {
			// What was offered while the reservation was on its way was refused
			// for a time. If it got lost, that is wanted again, and soon.
			if due := n.Place.Asked.Add(settleTime); d.now.Before(due) {
				d.wakeAt(due)
			} else {
				want += " again"
			}
		}
		wants = append(wants, want)
	}
	wants = append(wants, d.toExtend()...)
	wants = append(wants, d.toGrow()...)
	wants = append(wants, d.toRelease()...)
	wants = append(wants, d.toSpread()...)
	d.do(scheduler.Want{Role: d.role(), Offers: len(wants) > 0, Key: strings.Join(wants, ", ")})
}
