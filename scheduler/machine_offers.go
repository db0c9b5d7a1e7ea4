package scheduler

import (
	"slices"
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
		if o, ok := m.offers.byID[id.Value]; ok {
			held = append(held, id)
			if d.Refuse > 0 {
				m.demand.refuse(o.offer.AllocationInfo.GetRole())
			}
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
	}
	m.demand.filter()
}

func refuseFor(d time.Duration) *mesos.Filters {
	seconds := max(d, 0).Seconds()
	return &mesos.Filters{RefuseSeconds: &seconds}
}

// declineRest gives back what the decision left lying, so that no offer is
// hoarded.
func (m *Machine) declineRest() {
	var rest []Decline // one for each reason
	for _, id := range m.offers.loose {
		o, ok := m.offers.byID[id]
		if !ok || !o.until.IsZero() {
			continue
		}
		d := m.refuse(&o.offer)
		i := slices.IndexFunc(rest, func(r Decline) bool { return r.Reason == d.Reason })
		if i < 0 {
			i, rest = len(rest), append(rest, d)
		}
		rest[i].Offers = append(rest[i].Offers, o.offer.ID)
	}
	m.offers.loose = nil
	for _, d := range rest {
		m.decline(d)
	}
}
