package scheduler

import (
	"log/slog"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	sched "github.com/mesos/mesos-go/api/v1/lib/scheduler"
)

const (
	// MaxHold is how long an offer can be held, counted from when it came. An
	// offer held is an offer that no other framework gets.
	MaxHold = 5 * time.Minute

	// How long an offer is refused that a decision left lying, by what the
	// handler wants: it never said; it wants offers and this one did not fit,
	// so that the same again will not (a new Want.Key clears the filter); it
	// wants none.
	refuseUnsaid   = 5 * time.Second
	refuseMisfit   = 2 * time.Minute
	refuseUnwanted = time.Hour

	// reviveGap is the least time between two REVIVE calls, each of which
	// makes the master offer the whole cluster anew.
	reviveGap = time.Second
)

type heldOffer struct {
	offer mesos.Offer
	came  time.Time
	until time.Time // held until then; zero: not held
}

// offerSet is the offers that the master has made and that are neither used
// nor given back.
type offerSet struct {
	byID  map[string]*heldOffer
	order index[*heldOffer] // by agent id and offer id; the values of byID
	loose []string          // ids of those that this Step must settle, as they came
}

func (s *offerSet) add(o *heldOffer) {
	if s.byID == nil {
		s.byID = map[string]*heldOffer{}
	}
	id := o.offer.ID.Value
	s.byID[id] = o
	s.order.set(offerKey(&o.offer), o)
	s.loose = append(s.loose, id)
}

func (s *offerSet) drop(id string) {
	if o, ok := s.byID[id]; ok {
		delete(s.byID, id)
		s.order.drop(offerKey(&o.offer))
	}
}

// offerKey orders offers by agent. Mesos forbids control characters in ids, so
// NUL keeps the two parts apart.
func offerKey(o *mesos.Offer) string { return o.AgentID.Value + "\x00" + o.ID.Value }

// want is the handler's last word on offers, and what the master knows of it.
type want struct {
	said       bool
	offers     bool
	key        string
	suppressed bool // the master offers nothing
	filtered   bool // a decline since the last revive may hide an agent
	owed       bool // what is wanted has changed, and a filter may be in its way
	revived    time.Time
}

func (w *want) say(a Want) {
	if a.Offers && w.filtered && (!w.offers || a.Key != w.key) {
		w.owed = true
	}
	w.said, w.offers, w.key = true, a.Offers, a.Key
}

func (m *Machine) dropOffer(id string) {
	m.offers.drop(id)
	m.agenda.drop(alarm{alarmHold, id})
}

func (m *Machine) dropOffers() {
	for _, o := range m.offers.order.all("") {
		m.agenda.drop(alarm{alarmHold, o.offer.ID.Value})
	}
	m.offers = offerSet{}
}

func (m *Machine) dropOffersOf(agent string) {
	for _, o := range m.offers.order.all(agent + "\x00") {
		m.dropOffer(o.offer.ID.Value)
	}
}

func (m *Machine) hold(a Hold) {
	for _, id := range a.Offers {
		o, ok := m.offers.byID[id.Value]
		if !ok {
			continue // rescinded or lost meanwhile, which is nobody's fault
		}
		o.until = a.Until
		if last := o.came.Add(MaxHold); o.until.After(last) {
			o.until = last
		}
		if o.until.After(m.now) {
			m.agenda.set(alarm{alarmHold, id.Value}, o.until)
			continue
		}
		m.release(id.Value)
	}
}

// release ends the hold of an offer: this Step must settle it.
func (m *Machine) release(id string) {
	if o, ok := m.offers.byID[id]; ok {
		o.until = time.Time{}
		m.agenda.drop(alarm{alarmHold, id})
		m.offers.loose = append(m.offers.loose, id)
	}
}

// decline gives offers back at the end of the Step, when the master has been
// told what is wanted: a revive would clear the filters of declines before it.
func (m *Machine) decline(d Decline) {
	var held []mesos.OfferID
	for _, id := range d.Offers {
		if _, ok := m.offers.byID[id.Value]; ok {
			held = append(held, id)
			m.dropOffer(id.Value)
		}
	}
	if len(held) > 0 {
		d.Offers = held
		m.effects.Declined = append(m.effects.Declined, d)
	}
}

// sendDeclines makes one call of all declines with the same filter.
func (m *Machine) sendDeclines() {
	calls := map[time.Duration]*sched.Call_Decline{}
	for _, d := range m.effects.Declined {
		call, ok := calls[d.Refuse]
		if !ok {
			call = &sched.Call_Decline{Filters: refuseFor(d.Refuse)}
			calls[d.Refuse] = call
			m.send(&sched.Call{Type: sched.Call_DECLINE, Decline: call})
		}
		call.OfferIDs = append(call.OfferIDs, d.Offers...)
		m.want.filtered = m.want.filtered || d.Refuse > 0
	}
}

func refuseFor(d time.Duration) *mesos.Filters {
	seconds := max(d, 0).Seconds()
	return &mesos.Filters{RefuseSeconds: &seconds}
}

// declineRest gives back what the decision left lying, so that no offer is
// hoarded.
func (m *Machine) declineRest() {
	rest := Decline{Refuse: refuseUnsaid, Reason: "left over"}
	switch {
	case m.want.said && m.want.offers:
		rest.Refuse, rest.Reason = refuseMisfit, "does not fit"
	case m.want.said:
		rest.Refuse, rest.Reason = refuseUnwanted, "nothing wanted"
	}
	for _, id := range m.offers.loose {
		if o, ok := m.offers.byID[id]; ok && o.until.IsZero() {
			rest.Offers = append(rest.Offers, o.offer.ID)
		}
	}
	m.offers.loose = nil
	m.decline(rest)
}

// steerOffers tells the master what is wanted, once for each change.
func (m *Machine) steerOffers() {
	w := &m.want
	if !w.said || !m.connected || m.identity.Teardown {
		return
	}
	if !w.offers {
		w.owed = false
		m.agenda.drop(alarm{kind: alarmRevive})
		if !w.suppressed {
			w.suppressed = true
			m.send(&sched.Call{Type: sched.Call_SUPPRESS, Suppress: &sched.Call_Suppress{}})
			m.note("offers suppressed")
		}
		return
	}
	if !w.suppressed && !w.owed {
		return
	}
	if again := w.revived.Add(reviveGap); m.now.Before(again) {
		m.agenda.set(alarm{kind: alarmRevive}, again)
		return
	}
	w.suppressed, w.filtered, w.owed, w.revived = false, false, false, m.now
	m.agenda.drop(alarm{kind: alarmRevive})
	m.send(&sched.Call{Type: sched.Call_REVIVE, Revive: &sched.Call_Revive{}})
	m.note("offers revived", slog.String("want", w.key))
}
