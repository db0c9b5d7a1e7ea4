package frameworks

import (
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/mesokit/mesokit/offers"
	"github.com/mesokit/mesokit/scheduler"
)

// A place that is given up goes back to its agent: its volumes are destroyed,
// and what is reserved becomes free. Nobody says whether an agent has done that.
// What is offered again is given back again, and offers are looked at until it
// can be taken for done; and now and then all offers are, for an agent that was
// away, or whose word got lost. What is nobody's is seen from its label alone: a
// node that has come to a later generation has given up all the earlier ones.

const (
	// releaseTime is how long offers are looked at for what is to go back.
	releaseTime = time.Minute
	// sweepEvery is how often offers are looked at although nobody wants them.
	sweepEvery = time.Hour
	// discardKept is how long an agent that does not come is waited for with
	// offers that nobody else wants, and how long what was given back is kept in
	// mind.
	discardKept = 24 * time.Hour
)

// discard is a place that is no longer wanted: by the operator's wish, or
// because its reservation did not come about and nothing ever ran there. It is
// given back whenever it is offered, and forgotten a day after that was last
// done.
type discard struct {
	ID       string    `json:"id"` // resource id
	Agent    string    `json:"agent"`
	Hostname string    `json:"hostname,omitempty"`
	Since    time.Time `json:"since,omitzero"`
	Sent     time.Time `json:"sent,omitzero"`
	Times    int       `json:"times,omitempty"` // sent
}

// pause is how long after it was sent an offer with it proves nothing, or, if
// that has been tried before, how long a master that refuses it is left alone.
func (gone *discard) pause() time.Duration {
	return min(settleTime<<min(max(gone.Times-1, 0), 10), sweepEvery)
}

// giveUp leaves a node without a place; whatever is reserved there goes back.
func (d *decision) giveUp(n *Node) {
	if n.Place != nil {
		d.discards = append(d.discards, &discard{ID: d.resourceID(n), Agent: n.Place.Agent, Hostname: n.Place.Hostname, Since: d.now})
	}
	n.found()
	n.Place, n.Finished = nil, ""
	n.Generation++
}

// discarded says whether resources with these labels are to be given back.
func (l *ledger) discarded(labels []mesos.Label) *discard {
	id := valueOf(labels, labelResource)
	if i := slices.IndexFunc(l.discards, func(gone *discard) bool { return gone.ID == id }); i >= 0 && id != "" {
		return l.discards[i]
	}
	return nil
}

func valueOf(labels []mesos.Label, key string) string {
	for _, l := range labels {
		if l.Key == key {
			return l.GetValue()
		}
	}
	return ""
}

// outdated says whether labels are those of a place that its node has given
// up, however long ago.
func (d *decision) outdated(labels []mesos.Label) bool {
	name := valueOf(labels, labelNode)
	if name == "" || valueOf(labels, labelService) != d.Name {
		return false
	}
	number, deployment, _ := strings.Cut(strings.TrimPrefix(valueOf(labels, labelResource), d.Name+"."+name+"."), "-")
	generation, err := strconv.Atoi(number)
	if err != nil || deployment != d.deploymentMark() {
		return false // another's, who may want it
	}
	if n := d.node(name); n != nil {
		return generation < n.Generation
	}
	i := strings.LastIndexByte(name, '-')
	if i < 0 {
		return false
	}
	record := d.pods[name[:i]]
	if record == nil {
		record = d.former[name[:i]]
	}
	index, err := strconv.Atoi(name[i+1:])
	return err == nil && record != nil && generation <= record.Gone[index].Generation
}

// recognize takes what is offered and nobody's for discarded.
func (d *decision) recognize(free iter.Seq[*mesos.Offer]) {
	for _, h := range offers.Owned(free, func(labels []mesos.Label) bool { return d.discarded(labels) == nil && d.outdated(labels) }) {
		for _, r := range h.Resources {
			labels := r.Reservations[len(r.Reservations)-1].GetLabels().GetLabels()
			if d.discarded(labels) == nil {
				d.discards = append(d.discards, &discard{ID: valueOf(labels, labelResource), Agent: h.Agent, Hostname: h.Hostname, Since: d.now})
			}
		}
	}
}

// release gives back what was discarded, and nothing else: what only looks
// like ours may hold data that somebody wants.
func (d *decision) release(free iter.Seq[*mesos.Offer], used map[string]bool) {
	d.recognize(free)
	ours := func(labels []mesos.Label) bool {
		gone := d.discarded(labels)
		return gone != nil && !d.within(gone.pause(), gone.Sent)
	}
	for _, h := range offers.Owned(free, ours) {
		for _, r := range h.Resources {
			for _, reservation := range r.Reservations {
				if gone := d.discarded(reservation.GetLabels().GetLabels()); gone != nil && gone.Sent != d.now {
					gone.Sent = d.now
					gone.Times++
				}
			}
		}
		d.accept(offers.Accept{Agent: h.Agent, Offers: h.Offers, Operations: offers.Release(h.Resources)}, used)
		d.do(scheduler.Note{Text: "released", Attrs: []slog.Attr{slog.String("agent", h.Hostname)}})
	}
	d.discards = slices.DeleteFunc(d.discards, func(gone *discard) bool {
		return !gone.Sent.IsZero() && d.now.Sub(gone.Sent) >= discardKept // not where the clock was set back
	})
}

// toRelease says what offers are wanted for, so that it goes back.
func (d *decision) toRelease() []string {
	var wants []string
	for _, gone := range d.discards {
		if gone.Sent.IsZero() {
			if d.uninstalling() || d.now.Sub(gone.Since) < discardKept {
				wants = append(wants, "release "+gone.ID)
				d.wakeAt(gone.Since.Add(discardKept))
			}
			continue
		}
		// What was offered while it was on its way was refused. It is wanted
		// again then: if it got lost, it is offered.
		due := gone.Sent.Add(gone.pause())
		switch {
		case d.now.Before(due) && gone.Times == 1:
			wants = append(wants, "release "+gone.ID)
			d.wakeAt(due)
		case d.now.Before(due):
			d.wakeAt(due)
		case d.within(releaseTime, due):
			wants = append(wants, fmt.Sprint("release ", gone.ID, " again ", gone.Times))
			d.wakeAt(due.Add(releaseTime))
		}
	}
	return append(wants, d.sweep()...)
}

// sweep wants offers now and then, to see what is reserved and nobody's.
func (d *decision) sweep() []string {
	s := d.service
	switch {
	case !d.view.Connected():
		return nil
	case s.Swept.IsZero(): // there is nothing yet
		s.Swept = d.now.Add(-releaseTime)
	case !d.within(sweepEvery, s.Swept):
		s.Swept = d.now
	}
	d.wakeAt(s.Swept.Add(sweepEvery))
	if !d.within(releaseTime, s.Swept) {
		return nil
	}
	d.wakeAt(s.Swept.Add(releaseTime))
	return []string{"look for what is nobody's"}
}
