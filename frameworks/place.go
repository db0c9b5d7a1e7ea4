package frameworks

import (
	"iter"
	"log/slog"
	"strings"
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
	// releaseTime is how long offers are still looked at for a place that was
	// given back, in case that did not reach its agent.
	releaseTime = time.Minute
)

// place uses the offers: it gives back what is discarded, launches what has
// its place, and finds places. Each agent's offers serve one of the three; the
// rest of them comes back at once.
func (d *decision) place() {
	d.forgetDiscards()
	used := map[string]bool{}
	free := func(yield func(*mesos.Offer) bool) {
		for o := range d.view.Offers() {
			if !used[o.AgentID.Value] && !yield(o) {
				return
			}
		}
	}
	d.release(free, used)
	claims := d.claim(free, used)
	d.deployed()
	d.launch(claims, used)
	d.reserve(free, used)
	d.decline(free)
	d.want()
}

func (d *decision) accept(a offers.Accept, used map[string]bool) {
	used[a.Agent] = true
	d.do(scheduler.Accept{Offers: a.Offers, Operations: a.Operations})
}

// release gives back what an operator's wish discarded, and nothing else:
// what only looks like ours may hold data that somebody wants.
func (d *decision) release(free iter.Seq[*mesos.Offer], used map[string]bool) {
	ours := func(labels []mesos.Label) bool { return d.discarded(labels) != nil }
	for _, h := range offers.Owned(free, ours) {
		for _, r := range h.Resources {
			for _, reservation := range r.Reservations {
				if gone := d.discarded(reservation.GetLabels().GetLabels()); gone != nil {
					gone.Sent = d.now
				}
			}
		}
		d.accept(offers.Accept{Agent: h.Agent, Offers: h.Offers, Operations: offers.Release(h.Resources)}, used)
		d.do(scheduler.Note{Text: "released", Attrs: []slog.Attr{slog.String("agent", h.Hostname)}})
	}
}

func (d *decision) forgetDiscards() {
	kept := d.discards[:0]
	for _, gone := range d.discards {
		if gone.Sent.IsZero() || d.now.Sub(gone.Sent) < discardKept {
			kept = append(kept, gone)
		}
	}
	d.discards = kept
}

// idle are the nodes that are to run, and do not.
func (d *decision) idle(yield func(*Node) bool) {
	for _, n := range d.nodes {
		if _, live := d.live(n); live || n.Goal != GoalRun || n.Replace {
			continue
		}
		if !yield(n) {
			return
		}
	}
}

// claim looks for what the idle nodes reserved. What a first reservation did
// not bring about is asked for again, or given up.
func (d *decision) claim(free iter.Seq[*mesos.Offer], used map[string]bool) map[*Node]offers.Claimed {
	claims := map[*Node]offers.Claimed{}
	var again []offers.Accept
	for n := range d.idle {
		if n.Place == nil {
			continue
		}
		claimed, ok := offers.Claim(free, n.Place.Agent, n.Place.Resources)
		switch {
		case ok:
			claims[n] = claimed
			if !n.Place.Reserved {
				n.Place.Reserved = true
				d.note(n, "reserved", slog.String("agent", n.Place.Hostname))
			}
		case n.Place.Used || len(claimed.Offers) == 0 || d.now.Before(n.Place.Asked.Add(settleTime)):
			// It comes with another offer, or it is on its way.
		case len(claimed.Operations) > 0:
			n.Place.Asked, n.Place.Reserved = d.now, false
			again = append(again, offers.Accept{Agent: n.Place.Agent, Offers: claimed.Offers, Operations: claimed.Operations})
			d.note(n, "reserving again", slog.String("agent", n.Place.Hostname))
		default:
			d.note(n, "lost its place before it was reserved",
				slog.String("agent", n.Place.Hostname), slog.String("short", claimed.Short.String()))
			d.giveUp(n)
		}
	}
	for _, a := range again {
		if !used[a.Agent] {
			d.accept(a, used)
		}
	}
	return claims
}

// giveUp leaves a node without a place; whatever is reserved there goes back.
func (d *decision) giveUp(n *Node) {
	if n.Place != nil {
		d.discards = append(d.discards, &discard{ID: d.resourceID(n), Agent: n.Place.Agent})
	}
	n.Place = nil
	n.Generation++
}

// launch starts the nodes whose resources are at hand and whose time has come.
func (d *decision) launch(claims map[*Node]offers.Claimed, used map[string]bool) {
	var accepts []offers.Accept
	byAgent := map[string]int{}
	for n := range d.idle {
		claimed, ok := claims[n]
		if !ok || used[n.Place.Agent] || n.Retry.After(d.now) || !d.together(n) || d.haunted(n) {
			continue
		}
		n.Incarnation++
		n.Progress, n.Waits, n.Ready = "launched", "", false
		task, err := d.task(n, n.Place.Resources)
		if err != nil {
			n.Failures++
			n.LastFailure = err.Error()
			n.Retry = d.now.Add(d.pod(n.Pod).Backoff.after(n.Failures))
			d.note(n, "failed", slog.String("error", err.Error()), slog.Time("retry", n.Retry))
			continue
		}
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
	matches, _ := offers.Reserve(free, requests)
	for _, m := range matches {
		n := d.node(m.Node)
		n.Place = d.placeOf(m)
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

// requests are what the nodes without a place ask for.
func (d *decision) requests() []offers.Request {
	var out []offers.Request
	for n := range d.idle {
		if n.Place != nil {
			continue
		}
		pod := d.pod(n.Pod)
		r := offers.Request{
			Node: n.Name, Role: d.role(), Principal: d.Principal, Labels: d.labels(n),
			Needs: pod.Needs, Place: pod.Place, Placed: d.placed(n.Pod),
		}
		for _, p := range pod.Ports {
			r.Ports = append(r.Ports, offers.Port{Name: p.Name, Begin: p.Begin, End: p.End})
		}
		for _, v := range pod.Volumes {
			r.Volumes = append(r.Volumes, offers.Volume{ID: d.resourceID(n) + "." + v.Name, Path: v.Path, Size: v.Size})
		}
		out = append(out, r)
	}
	return out
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

func (d *decision) placeOf(m offers.Match) *Place {
	p := &Place{
		Agent: m.Agent, Hostname: m.Hostname, Address: m.Hostname,
		Resources: m.Resources, Ports: m.Ports, Asked: d.now,
	}
	for o := range d.view.Offers() {
		if o.AgentID.Value == m.Agent {
			p.Attributes, p.Domain = o.Attributes, o.Domain
			if o.URL != nil && o.URL.Address.GetIP() != "" {
				p.Address = o.URL.Address.GetIP()
			}
			break
		}
	}
	return p
}

// see keeps what each agent offered last, while a node looks for a place: for
// the operator who asks why it finds none.
func (d *decision) see(free iter.Seq[*mesos.Offer]) {
	var last *mesos.Offer
	for o := range free {
		if last != nil && last.AgentID.Value == o.AgentID.Value {
			last.Resources = offers.Plus(last.Resources, o.Resources)
			continue
		}
		last = &mesos.Offer{
			ID: mesos.OfferID{Value: o.AgentID.Value}, FrameworkID: o.FrameworkID, AgentID: o.AgentID,
			Hostname: o.Hostname, Attributes: o.Attributes, Domain: o.Domain,
			AllocationInfo: o.AllocationInfo, Resources: o.Resources,
		}
		d.seen[o.AgentID.Value] = last
	}
}

// refusals say why the nodes without a place find none among the agents that
// offered something since.
func (d *decision) refusals() map[string]string {
	requests := d.requests()
	if len(requests) == 0 {
		return nil
	}
	_, report := offers.Reserve(func(yield func(*mesos.Offer) bool) {
		for _, agent := range sortedKeys(d.seen) {
			if !yield(d.seen[agent]) {
				return
			}
		}
	}, requests)
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
		d.do(scheduler.Decline{Offers: rest, Refuse: refuseTime, Reason: "no node can use it"})
	}
}

// want says what offers are wanted for, and when that will change by itself.
func (d *decision) want() {
	var wants []string
	for n := range d.idle {
		if n.Retry.After(d.now) {
			d.wakeAt(n.Retry)
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
	for _, gone := range d.discards {
		if gone.Sent.IsZero() || d.now.Before(gone.Sent.Add(releaseTime)) {
			wants = append(wants, "release "+gone.ID)
			d.wakeAt(gone.Sent.Add(releaseTime))
		}
	}
	d.do(scheduler.Want{Offers: len(wants) > 0, Key: strings.Join(wants, ", ")})
}
