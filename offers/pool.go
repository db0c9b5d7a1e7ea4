package offers

import (
	"iter"
	"slices"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/mesokit/mesokit/constraints"
)

// Pool holds offers that come and go, by agent, for a framework with a loop of
// its own. Adding or removing an offer costs as much as its agent has
// resources, however many agents there are. The zero value is empty and without
// bounds. Not safe for concurrent use.
type Pool struct {
	// Hold is how long an offer is kept at most, for what is held is kept from
	// others. Zero: without end.
	Hold time.Duration
	// Most is how many offers are kept at most, so that a burst costs bounded
	// memory. Zero: all.
	Most int

	offers map[string]*agent // by the id of an offer
	agents map[place]*agent
	// Invariant: the agents of the map, those without an offer too, because
	// DryRun looks at them as they were last seen; ordered unless unordered.
	order     []*agent
	unordered bool
	stale     []*agent // those of which the parts are out of date
	table     constraints.Agents
	queue     []expiry // in the order of expiry, which is that of arrival
}

// place is an agent as far as one role sees it.
type place struct{ id, role string }

// expiry is void once the offer is gone, also if one of the same id came after
// it.
type expiry struct {
	at    time.Time
	offer *mesos.Offer
}

// Add takes offers in, and returns those to decline because there is no room
// for them. An offer that is held already is held as it is now. The offers must
// not be changed afterwards.
func (p *Pool) Add(now time.Time, offers ...mesos.Offer) []Declined {
	if p.offers == nil {
		p.offers, p.agents = map[string]*agent{}, map[place]*agent{}
	}
	var surplus []mesos.OfferID
	for i := range offers {
		o := &offers[i]
		p.Remove(o.ID.Value)
		if p.Most > 0 && len(p.offers) >= p.Most {
			surplus = append(surplus, o.ID)
			continue
		}
		a := p.agent(o)
		a.offers = append(a.offers, o)
		p.offers[o.ID.Value] = a
		p.touch(a)
		if p.Hold > 0 {
			p.queue = append(p.queue, expiry{at: now.Add(p.Hold), offer: o})
		}
	}
	return declined(surplus, Surplus)
}

// agent is the one that the offer is of.
func (p *Pool) agent(o *mesos.Offer) *agent {
	key := place{o.AgentID.Value, allocation(o)}
	a := p.agents[key]
	if a == nil {
		a = &agent{id: key.id, role: key.role}
		if n := len(p.order); n > 0 && a.role == p.order[n-1].role {
			a.role = p.order[n-1].role // all in one place, where it is quick to compare
		}
		a.offers = a.only[:0]
		p.agents[key] = a
		p.order = append(p.order, a)
		p.unordered = true
	}
	return a
}

// touch notes that the agent's offers changed.
func (p *Pool) touch(a *agent) {
	if !a.stale {
		a.stale = true
		p.stale = append(p.stale, a)
	}
}

// settle reads what changed since the last time.
func (p *Pool) settle() {
	for _, a := range p.stale {
		if a.stale {
			p.renew(a)
		}
	}
	p.stale = p.stale[:0]
	if p.unordered {
		sortAgents(p.order)
		p.unordered = false
	}
}

// renew makes an agent match its offers.
func (p *Pool) renew(a *agent) {
	a.stale, a.parts, a.summary = false, nil, summary{}
	slices.SortFunc(a.offers, compareOffers)
	if a.known {
		p.table.Drop(a.key)
		a.known = false
	}
}

// Remove forgets an offer: it was rescinded, accepted or declined. It says
// whether the offer was held.
func (p *Pool) Remove(id string) bool {
	a := p.offers[id]
	if a == nil {
		return false
	}
	delete(p.offers, id)
	if len(a.offers) == 1 {
		a.last, a.offers = a.offers[0], a.offers[:0]
		return true
	}
	a.offers = slices.DeleteFunc(a.offers, func(o *mesos.Offer) bool { return o.ID.Value == id })
	p.touch(a)
	return true
}

// Accept is Remove for all that an accept uses.
func (p *Pool) Accept(accept Accept) {
	for _, id := range accept.Offers {
		p.Remove(id.Value)
	}
}

// Forget drops all of an agent, which is lost: DryRun no longer looks at it.
func (p *Pool) Forget(agentID string) {
	p.order = slices.DeleteFunc(p.order, func(a *agent) bool {
		if a.id != agentID {
			return false
		}
		for _, o := range a.offers {
			delete(p.offers, o.ID.Value)
		}
		if a.known {
			p.table.Drop(a.key)
		}
		a.offers, a.stale = nil, false
		delete(p.agents, place{a.id, a.role})
		return true
	})
}

// Expire removes the offers that have been held for as long as Hold allows,
// and returns them to be declined.
func (p *Pool) Expire(now time.Time) []Declined {
	var gone []mesos.OfferID
	for next, ok := p.Next(); ok && !next.After(now); next, ok = p.Next() {
		id := p.queue[0].offer.ID
		p.Remove(id.Value)
		gone = append(gone, id)
	}
	return declined(gone, Expired)
}

// Next is when the next offer expires. It says false when none does.
func (p *Pool) Next() (time.Time, bool) {
	for len(p.queue) > 0 {
		first := p.queue[0]
		if a := p.offers[first.offer.ID.Value]; a != nil && slices.Contains(a.offers, first.offer) {
			return first.at, true
		}
		p.queue = p.queue[1:]
	}
	return time.Time{}, false
}

// Clear forgets all offers, as after a disconnection, but not the agents.
func (p *Pool) Clear() {
	p.settle()
	clear(p.offers)
	p.queue = nil
	for _, a := range p.order {
		if len(a.offers) > 0 {
			if len(a.offers) > 1 {
				p.touch(a) // of which one is remembered
			}
			a.last, a.offers = a.offers[0], a.offers[:0]
		}
	}
}

// Len is the number of offers held.
func (p *Pool) Len() int { return len(p.offers) }

// Offers are those held, ordered by agent and then by id.
func (p *Pool) Offers() iter.Seq[*mesos.Offer] {
	return func(yield func(*mesos.Offer) bool) {
		p.settle()
		for _, a := range p.order {
			for _, o := range a.offers {
				if !yield(o) {
					return
				}
			}
		}
	}
}

// Reserve is the function of that name over the offers held. The pool is as
// before: Accept tells it what was used.
func (p *Pool) Reserve(requests []Request) ([]Match, Report) {
	p.settle()
	offered := make([]*agent, 0, len(p.order))
	for _, a := range p.order {
		if len(a.offers) > 0 {
			offered = append(offered, a)
		}
	}
	return p.reserve(offered, requests)
}

// DryRun says what Reserve would, had every agent offered again what it offered
// last. The matches are not to be carried out.
func (p *Pool) DryRun(requests []Request) ([]Match, Report) {
	p.settle()
	return p.reserve(p.order, requests)
}

func (p *Pool) reserve(agents []*agent, requests []Request) ([]Match, Report) {
	b := batch{agents: agents, table: &p.table}
	defer b.undo(0)
	return b.reserve(requests)
}
