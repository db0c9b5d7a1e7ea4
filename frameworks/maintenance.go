package frameworks

import (
	"log/slog"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/mesokit/mesokit/scheduler"
)

// maintenanceLead is how long before its maintenance an agent is drained, at
// the latest asked for. Nodes that stop one after the other have the time that
// each may take to stop besides.
const maintenanceLead = 5 * time.Minute

// window is when an agent will not be available.
type window struct {
	Start time.Time `json:"start"`
	End   time.Time `json:"end,omitzero"` // zero: nobody knows
	// Asked is when the agent was asked back first; Silent is since when it is not
	// any more, although nodes run there.
	Asked  time.Time `json:"asked"`
	Silent time.Time `json:"silent,omitzero"`
	// Missed: it began while nodes of the service ran there.
	Missed bool `json:"missed,omitempty"`
}

// drains is when the agent is to be left.
func (w window) drains(lead time.Duration) time.Time { return w.Start.Add(-lead) }

// lead is how long before its maintenance an agent is drained.
func (d *decision) lead() time.Duration {
	if d.leads == 0 {
		d.leads = maintenanceLead
		for _, n := range d.awake() {
			if n.Place != nil && len(d.service.Windows) > 0 {
				if _, asked := d.service.Windows[n.Place.Agent]; asked {
					d.leads += d.pod(n.Pod).grace()
				}
			}
		}
	}
	return d.leads
}

func windowOf(u mesos.Unavailability) window {
	w := window{Start: time.Unix(0, u.Start.Nanoseconds).UTC()}
	if u.Duration != nil {
		w.End = w.Start.Add(time.Duration(u.Duration.Nanoseconds))
	}
	return w
}

// maintain keeps the windows of the agents that are asked for back. Their nodes
// stop before the window, as soon as the service can spare them, and are
// launched in their places when it is over. That they will be gone is answered
// when they are.
func (d *decision) maintain() {
	d.askedBack = map[string]bool{}
	for o := range d.view.InverseOffers() {
		agent := o.AgentID.GetValue()
		d.askedBack[agent] = true
		if d.service.Windows == nil {
			d.service.Windows = map[string]window{}
		}
		w, known := windowOf(o.Unavailability), d.service.Windows[agent]
		if known.Start != w.Start || known.End != w.End {
			w.Asked = d.now
			d.service.Windows[agent], known = w, w
			d.leads = 0
			d.do(scheduler.Note{Text: "maintenance", Attrs: []slog.Attr{
				slog.String("agent", agent), slog.Time("start", w.Start), slog.Time("end", w.End),
			}})
		}
		d.yield(o, known)
	}
	for o := range d.view.Offers() {
		if o.Unavailability == nil && !d.askedBack[o.AgentID.Value] {
			delete(d.service.Windows, o.AgentID.Value) // it was called off, or it is over
		}
	}
	for _, agent := range sortedKeys(d.service.Windows) {
		w := d.service.Windows[agent]
		if !w.End.IsZero() && !d.now.Before(w.End) {
			delete(d.service.Windows, agent)
			continue
		}
		if d.calledOff(agent, d.askedBack[agent]) {
			delete(d.service.Windows, agent)
			d.do(scheduler.Note{Text: "maintenance called off", Attrs: []slog.Attr{slog.String("agent", agent)}})
			continue
		}
		d.wakeAt(w.drains(d.lead()))
		d.wakeAt(w.Start)
		d.wakeAt(w.End)
	}
}

// calledOff says whether an agent is not asked back any more. One that was not
// left is asked for again soon after a new subscription, and after no was
// answered; for one that was left, its offers tell.
func (d *decision) calledOff(agent string, asked bool) bool {
	w := d.service.Windows[agent]
	switch {
	case asked || !d.view.Connected() || !d.occupied(agent):
		w.Silent = time.Time{}
	case w.Silent.IsZero():
		w.Silent = d.now
	}
	d.service.Windows[agent] = w
	over := w.Silent.Add(2 * yieldAgain)
	if !w.Silent.IsZero() {
		d.wakeAt(over)
	}
	return !w.Silent.IsZero() && !d.now.Before(over)
}

// yield answers for an agent that is asked back: yes when it is left, and no
// when that has not come about in time. Who asks is not told again before the
// window is over, or has changed.
func (d *decision) yield(o *mesos.InverseOffer, w window) {
	agent := o.AgentID.GetValue()
	refuse := yieldKept
	if left := w.End.Sub(d.now); !w.End.IsZero() && left > 0 {
		refuse = min(left, yieldKept)
	}
	switch {
	case !d.occupied(agent):
		d.do(scheduler.Yield{Offers: []mesos.OfferID{o.OfferID}, Agree: true, Refuse: refuse})
	case d.now.Before(w.Start) || d.within(maintenanceLead, w.Asked):
		d.wakeAt(w.Asked.Add(maintenanceLead))
	default:
		d.do(scheduler.Yield{Offers: []mesos.OfferID{o.OfferID}, Refuse: yieldAgain})
		missed := w.Missed
		w.Missed = true
		d.service.Windows[agent] = w
		if missed {
			return
		}
		for _, n := range d.awake() {
			if _, live := d.live(n); live && n.Place != nil && n.Place.Agent == agent {
				d.note(n, "maintenance begins while it runs", slog.String("waits", d.waitsFor(n, d.phase(n), "")))
			}
		}
	}
}

const (
	// yieldKept is how long an agent that was left is not asked for again, at
	// most, and yieldAgain one that could not be.
	yieldKept  = 24 * time.Hour
	yieldAgain = time.Minute
)

// occupied says whether a task of the service may run on an agent.
func (d *decision) occupied(agent string) bool {
	for _, n := range d.awake() {
		if _, live := d.live(n); live && n.Place != nil && n.Place.Agent == agent {
			return true
		}
	}
	return false
}

// maintained returns the window of the agent that a node is on, if it has begun
// or is about to.
func (d *decision) maintained(n *Node) (window, bool) {
	if n.Place == nil {
		return window{}, false
	}
	w, ok := d.service.Windows[n.Place.Agent]
	return w, ok && !d.now.Before(w.drains(d.lead()))
}

// leftAlone says whether the agent of a node is left for its maintenance: that
// this is over shows in its offers.
func (d *decision) leftAlone(n *Node) bool { _, due := d.maintained(n); return due }

// available says whether an offer is of an agent that is not about to be
// maintained, so that a node may get its place there.
func (d *decision) available(o *mesos.Offer) bool {
	if o.Unavailability == nil {
		return true
	}
	w := windowOf(*o.Unavailability)
	return d.now.Before(w.drains(d.lead())) || !w.End.IsZero() && !d.now.Before(w.End)
}

// until says when a window is over, for people.
func (w window) until() string {
	if w.End.IsZero() {
		return " to end"
	}
	return " to end at " + w.End.Format(time.RFC3339)
}
