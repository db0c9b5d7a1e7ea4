package offers

import (
	"iter"
	"slices"
	"strings"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/mesokit/mesokit/constraints"
)

// agent is all that one agent offers to one role: Mesos takes offers of one
// agent together only when they are allocated to the same role.
type agent struct {
	id, role string // role is empty where offers carry no allocation
	offers   []*mesos.Offer
	where    constraints.Agent
	key      constraints.Key // of where, in the table of the batch or the pool
	known    bool            // key is valid
	stale    bool            // where and parts are to be read again
	last     *mesos.Offer    // the one that a pool held last, once offers is empty
	parts    []part          // a value of its own: placing replaces the slice
}

// part is a resource of an agent and what is left of it. Resources of several
// offers that differ only in how much they are make one part.
type part struct {
	of   *mesos.Resource // as offered; never changed
	left quantity
}

// agentsOf groups the offers by agent and role, ordered by them, whatever the
// order of the offers.
func agentsOf(held iter.Seq[*mesos.Offer]) []*agent {
	index := map[place]*agent{}
	var agents []*agent
	for o := range held {
		k := place{o.AgentID.Value, allocation(o)}
		a := index[k]
		if a == nil {
			a = &agent{id: k.id, role: k.role}
			index[k] = a
			agents = append(agents, a)
		}
		a.offers = append(a.offers, o)
	}
	if !slices.IsSortedFunc(agents, compareAgents) {
		slices.SortFunc(agents, compareAgents)
	}
	for _, a := range agents {
		a.gather()
	}
	return agents
}

// allocation is the role that an offer is allocated to, empty where it does
// not say (a framework without MULTI_ROLE).
func allocation(o *mesos.Offer) string {
	if role := o.GetAllocationInfo().GetRole(); role != "" || len(o.Resources) == 0 {
		return role
	}
	return o.Resources[0].GetAllocationInfo().GetRole()
}

// gather makes the parts of the offers.
func (a *agent) gather() {
	a.parts = make([]part, 0, len(a.offers[0].Resources))
	slices.SortFunc(a.offers, compareOffers)
	first := a.offers[0]
	a.where = constraints.AgentOf(first.Hostname, first.Attributes, first.Domain)
	for _, o := range a.offers {
		for i := range o.Resources {
			a.add(&o.Resources[i])
		}
	}
}

func (a *agent) add(r *mesos.Resource) {
	q := quantityOf(r)
	if q.empty() {
		return
	}
	if len(a.offers) > 1 && !whole(r) {
		for i := range a.parts {
			if p := &a.parts[i]; !whole(p.of) && sameKind(p.of, r) {
				p.left = p.left.plus(q)
				return
			}
		}
	}
	a.parts = append(a.parts, part{of: r, left: q})
}

func compareOffers(x, y *mesos.Offer) int { return strings.Compare(x.ID.Value, y.ID.Value) }

func (a *agent) offerIDs() []mesos.OfferID {
	ids := make([]mesos.OfferID, len(a.offers))
	for i, o := range a.offers {
		ids[i] = o.ID
	}
	return ids
}

// mixed says whether a part is more than plainly unreserved, so that what is
// free depends on who asks.
func (a *agent) mixed() bool {
	return slices.ContainsFunc(a.parts, func(p part) bool {
		return reservationCount(p.of) > 0 || p.of.Revocable != nil || p.of.Shared != nil
	})
}

// free is how much of a scalar there is, whoever may have it.
func (a *agent) free(name string) Amount {
	var free Amount
	for i := range a.parts {
		if p := &a.parts[i]; p.of.Name == name && p.of.Revocable == nil && divisible(p.of) {
			free += p.left.scalar
		}
	}
	return free
}

// unavailable says whether the agent is to be drained, or is being.
func (a *agent) unavailable() bool {
	return slices.ContainsFunc(a.offers, func(o *mesos.Offer) bool { return o.Unavailability != nil })
}

// owner says in what relation a resource stands to a request.
type owner int8

const (
	ours    owner = iota // reserved with the labels of the request
	static               // reserved by the operator for its role: used as it is
	refined              // reserved by the operator for a role above: to be reserved further
	nobody               // unreserved: to be reserved
	other                // somebody else's
)

// ownerOf never gives away what another node reserved.
func ownerOf(res *mesos.Resource, role string, labels []mesos.Label) owner {
	n := reservationCount(res)
	if n == 0 {
		if res.GetDisk().GetPersistence() != nil {
			return other
		}
		return nobody
	}
	top := reservationAt(res, n-1)
	switch dynamic := top.GetType() == mesos.Resource_ReservationInfo_DYNAMIC; {
	case dynamic && top.GetRole() == role && len(labels) > 0 && sameLabels(top.GetLabels().GetLabels(), labels):
		return ours
	case dynamic:
		return other
	case top.GetRole() == role:
		return static
	case strings.HasPrefix(role, top.GetRole()+"/"):
		return refined
	default:
		return other
	}
}
