package frameworks

import (
	"log/slog"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/mesokit/mesokit/scheduler"
)

// maintenanceLead is how long before its maintenance an agent is drained, at
// the latest asked for; a node that is slow to stop has its grace besides.
const maintenanceLead = 5 * time.Minute

// window is when an agent will not be available.
type window struct {
	Start time.Time `json:"start"`
	End   time.Time `json:"end,omitzero"` // zero: nobody knows
}

// begun says whether the agent is to be left.
func (w window) begun(now time.Time) bool { return !now.Before(w.Start.Add(-maintenanceLead)) }

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
	asked := map[string]bool{}
	for o := range d.view.InverseOffers() {
		agent := o.AgentID.GetValue()
		asked[agent] = true
		if d.service.Windows == nil {
			d.service.Windows = map[string]window{}
		}
		if w := windowOf(o.Unavailability); d.service.Windows[agent] != w {
			d.service.Windows[agent] = w
			d.do(scheduler.Note{Text: "maintenance", Attrs: []slog.Attr{
				slog.String("agent", agent), slog.Time("start", w.Start), slog.Time("end", w.End),
			}})
		}
		if !d.occupied(agent) {
			d.do(scheduler.Yield{Offers: []mesos.OfferID{o.OfferID}, Agree: true})
		}
	}
	for o := range d.view.Offers() {
		if o.Unavailability == nil && !asked[o.AgentID.Value] {
			delete(d.service.Windows, o.AgentID.Value) // it was called off, or it is over
		}
	}
	for _, agent := range sortedKeys(d.service.Windows) {
		w := d.service.Windows[agent]
		if !w.End.IsZero() && !d.now.Before(w.End) {
			delete(d.service.Windows, agent)
			continue
		}
		d.wakeAt(w.Start.Add(-maintenanceLead))
		d.wakeAt(w.End)
	}
}

// occupied says whether a task of the service may run on an agent.
func (d *decision) occupied(agent string) bool {
	for _, n := range d.nodes {
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
	return w, ok && w.begun(d.now)
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
	return !w.begun(d.now) || !w.End.IsZero() && !d.now.Before(w.End)
}

// until says when a window is over, for people.
func (w window) until() string {
	if w.End.IsZero() {
		return " to end"
	}
	return " to end at " + w.End.Format(time.RFC3339)
}
