package offers

import (
	"cmp"
	"encoding/binary"
	"iter"
	"slices"
	"strings"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/mesokit/mesokit/constraints"
)

// agent is all that one agent offers to one role: Mesos takes offers of one
// agent together only when they are allocated to the same role.
type agent struct {
	id, role string          // role is empty where offers carry no allocation
	offers   []*mesos.Offer  // ordered by id once settled
	key      constraints.Key // in the table of the batch or the pool, once known

	// parts are what is in the offers, and what is left of it; nil until they
	// are asked for. A value of its own: placing replaces the slice.
	parts []part

	summary summary

	only  [1]*mesos.Offer // where offers points to, most of the time
	known bool            // a rule looked at it, so that it has a key
	stale bool            // offers are to be put in order, and summary and parts made again
	last  *mesos.Offer    // the one that a pool held last, once offers is empty
}

// summary is what a search wants to know of every agent. It is made once and
// does not change when something is placed.
type summary struct {
	made bool
	note note
	free [len(common)]Amount // for anyone of the role, in the order of common
}

// note is what else matters of every agent.
type note uint8

const (
	hasGPUs note = 1 << iota // which somebody else may need
	leaving                  // it is to be drained, or is being
	isMixed                  // what is free depends on who asks: see personal
)

// common are the scalars that nearly everybody asks for.
var common = [...]string{"cpus", "mem", "disk", "gpus"}

// intern is the name itself, from where it is quick to compare if it is usual.
func intern(name string) string {
	if i := slices.Index(common[:], name); i >= 0 {
		return common[i]
	}
	if name == "ports" {
		return "ports"
	}
	return name
}

// summarize makes the summary without the parts: of most agents nobody will
// ask for them.
func (a *agent) summarize() {
	s := summary{made: true}
	for _, o := range a.offers {
		if o.Unavailability != nil {
			s.note |= leaving
		}
	}
	for r := range a.resources {
		if a.personal(r) {
			s.note |= isMixed
			continue
		}
		if i := slices.Index(common[:], r.Name); i >= 0 && r.GetType() == mesos.SCALAR && divisible(r) {
			s.free[i] += max(0, AmountOf(r.GetScalar().GetValue()))
		}
	}
	if s.free[slices.Index(common[:], "gpus")] > 0 {
		s.note |= hasGPUs
	}
	a.summary = s
}

// personal says whether not everyone of the role can take the resource alike:
// it is reserved with labels, a volume, shared or revocable.
func (a *agent) personal(r *mesos.Resource) bool {
	return r.Revocable != nil || r.Shared != nil || r.GetDisk().GetPersistence() != nil ||
		reservationCount(r) > 0 && ownerOf(r, a.role, nil) == other
}

// part is a resource of an agent and what is left of it. Resources of several
// offers that differ only in how much they are make one part.
type part struct {
	of   *mesos.Resource // as offered; never changed
	left quantity

	// plain is nothing but unreserved, so that there is no need to look at of,
	// which lies elsewhere in memory.
	plain bool
}

func (p *part) revocable() bool { return !p.plain && p.of.Revocable != nil }

func (p *part) divisible() bool { return p.plain || divisible(p.of) }

// agentsOf groups the offers by agent and role, ordered by them, whatever the
// order of the offers. It reads every offer once and in the order in which they
// lie in memory: that is what costs.
func agentsOf(held iter.Seq[*mesos.Offer]) []*agent {
	var agents []*agent
	var room []agent
	for o := range held {
		if len(room) == cap(room) {
			room = make([]agent, 0, min(max(16, len(agents)), 1024))
		}
		room = append(room, agent{id: o.AgentID.Value, role: allocation(o)})
		a := &room[len(room)-1]
		a.offers = append(a.only[:0], o)
		a.summarize()
		agents = append(agents, a)
	}
	sortAgents(agents)
	merged := agents[:0]
	for _, a := range agents {
		if n := len(merged); n > 0 && merged[n-1].id == a.id && merged[n-1].role == a.role {
			merged[n-1].merge(a)
			continue
		}
		merged = append(merged, a)
	}
	return merged
}

// merge adds the one offer of a second agent that is the same.
func (a *agent) merge(more *agent) {
	a.offers = append(a.offers, more.offers...)
	slices.SortFunc(a.offers, compareOffers)
	a.summary.note |= more.summary.note
	for i := range a.summary.free {
		a.summary.free[i] += more.summary.free[i]
	}
}

// sortAgents orders agents by id and role. The ids that one master gives are
// long and begin alike, so the eight bytes behind that are compared first.
func sortAgents(agents []*agent) {
	if len(agents) == 0 || slices.IsSortedFunc(agents, compareAgents) {
		return
	}
	prefix := agents[0].id
	for _, a := range agents {
		for !strings.HasPrefix(a.id, prefix) {
			prefix = prefix[:len(prefix)-1]
		}
	}
	type entry struct {
		start uint64
		agent *agent
	}
	entries := make([]entry, len(agents))
	for i, a := range agents {
		var start [8]byte
		copy(start[:], a.id[len(prefix):])
		entries[i] = entry{binary.BigEndian.Uint64(start[:]), a}
	}
	slices.SortFunc(entries, func(x, y entry) int {
		if x.start != y.start {
			return cmp.Compare(x.start, y.start)
		}
		return compareAgents(x.agent, y.agent)
	})
	for i := range entries {
		agents[i] = entries[i].agent
	}
}

func compareAgents(a, b *agent) int {
	return cmp.Or(strings.Compare(a.id, b.id), strings.Compare(a.role, b.role))
}

func whereOf(o *mesos.Offer) constraints.Agent {
	return constraints.AgentOf(o.Hostname, o.Attributes, o.Domain)
}

// allocation is the role that an offer is allocated to, empty where it does
// not say (a framework without MULTI_ROLE).
func allocation(o *mesos.Offer) string {
	if role := o.GetAllocationInfo().GetRole(); role != "" || len(o.Resources) == 0 {
		return role
	}
	return o.Resources[0].GetAllocationInfo().GetRole()
}

// offeredTo says whether the agent's offers are for a role; the empty one is
// whatever role they are for.
func (a *agent) offeredTo(role string) bool {
	return role == "" || a.role == "" || role == a.role
}

// latest is an offer of the agent, held or held last.
func (a *agent) latest() *mesos.Offer {
	if len(a.offers) > 0 {
		return a.offers[0]
	}
	return a.last
}

// resources are all that is offered, or was last.
func (a *agent) resources(yield func(*mesos.Resource) bool) {
	offers := a.offers
	if len(offers) == 0 && a.last != nil {
		offers = []*mesos.Offer{a.last}
	}
	for _, o := range offers {
		for i := range o.Resources {
			if !yield(&o.Resources[i]) {
				return
			}
		}
	}
}

// gather makes the parts, if they are not there.
func (a *agent) gather() {
	if a.parts != nil {
		return
	}
	a.parts = make([]part, 0, len(a.latest().Resources))
	for r := range a.resources {
		a.add(r)
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
	q.name = intern(q.name)
	plain := reservationCount(r) == 0 && r.Revocable == nil && r.Shared == nil && r.Disk == nil
	a.parts = append(a.parts, part{of: r, left: q, plain: plain})
}

func compareOffers(x, y *mesos.Offer) int { return strings.Compare(x.ID.Value, y.ID.Value) }

func (a *agent) offerIDs() []mesos.OfferID {
	ids := make([]mesos.OfferID, len(a.offers))
	for i, o := range a.offers {
		ids[i] = o.ID
	}
	return ids
}

// free is how much of a scalar is left, whoever may have it.
func (a *agent) free(name string) Amount {
	var free Amount
	for i := range a.parts {
		if p := &a.parts[i]; p.left.name == name && !p.revocable() && p.divisible() {
			free += p.left.scalar
		}
	}
	return free
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
