package offers

import (
	"iter"
	"slices"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/mesokit/mesokit/constraints"
)

// Claimed is what Claim found.
type Claimed struct {
	Agent, Hostname string
	Where           constraints.Agent
	Offers          []mesos.OfferID // of the agent, in the role of what is claimed; none: nothing is offered

	// Missing are those of the claimed resources that are not offered as they
	// should be: a task holds them, they come with a later offer, or the
	// operations that make them did not happen.
	Missing []mesos.Resource

	// Operations make all that is missing out of what else is offered: they
	// reserve, and create volumes on what is reserved. None where it does not
	// suffice; Short then says for what. To be used only when nothing can hold
	// the missing ones: else the node would have them twice.
	Operations []mesos.Offer_Operation
	Short      Resources
}

// Claim looks in the offers of one agent for the very resources that a node
// has reserved there, as Match.Resources had them. It says true when all are
// offered, so that a task can be launched on them.
func Claim(held iter.Seq[*mesos.Offer], agent string, resources []mesos.Resource) (Claimed, bool) {
	c := Claimed{Agent: agent}
	var have []mesos.Resource
	for _, o := range offersFor(held, agent, resources) {
		if len(c.Offers) == 0 {
			c.Hostname, c.Where = o.Hostname, whereOf(o)
		}
		c.Offers = append(c.Offers, o.ID)
		have = Plus(have, o.Resources)
	}
	for i := range resources {
		have = c.find(have, &resources[i])
	}
	if len(c.Missing) == 0 {
		return c, len(c.Offers) > 0
	}
	c.complete(have)
	return c, false
}

// offersFor are the agent's offers in the role that the resources are
// allocated to, ordered by id.
func offersFor(held iter.Seq[*mesos.Offer], agent string, resources []mesos.Resource) []*mesos.Offer {
	role := ""
	if len(resources) > 0 {
		role = resources[0].GetAllocationInfo().GetRole()
	}
	var found []*mesos.Offer
	for o := range held {
		if o.AgentID.Value == agent && (role == "" || allocation(o) == role) {
			found = append(found, o)
		}
	}
	slices.SortFunc(found, compareOffers)
	return found
}

// find takes one resource out of what is offered, or as much of it as there
// is, and notes what is missing.
func (c *Claimed) find(have []mesos.Resource, r *mesos.Resource) []mesos.Resource {
	if rest, ok := minusOne(have, r); ok {
		return rest
	}
	missing := quantityOf(r)
	for i := range have {
		if whole(r) || !sameKind(&have[i], r) {
			continue
		}
		there := quantityOf(&have[i])
		found := there.common(missing)
		missing = missing.minus(found)
		have[i] = withQuantity(&have[i], there.minus(found))
	}
	c.Missing = append(c.Missing, withQuantity(r, missing))
	return have
}

// complete finds the operations that make what is missing.
func (c *Claimed) complete(have []mesos.Resource) {
	var reserve, create []mesos.Resource
	for i := range c.Missing {
		m := &c.Missing[i]
		bare := *m
		if m.GetDisk().GetPersistence() != nil {
			bare = withoutVolume(m)
			create = append(create, *m)
			if rest, ok := minusOne(have, &bare); ok {
				have = rest // reserved, but the volume was not made
				continue
			}
		}
		rest, ok := have, false
		if n := reservationCount(m); n > 0 && isDynamic(m) {
			below := unreserved(&bare)
			rest, ok = minusOne(have, &below)
		}
		if !ok {
			c.Short = c.Short.Add(Sum([]mesos.Resource{*m}))
			continue
		}
		have, reserve = rest, plusOne(reserve, &bare)
	}
	if c.Short.Empty() {
		c.Operations = operations(reserve, create)
	}
}

// isDynamic says whether the last reservation was made by a RESERVE, so that
// UNRESERVE can take it back.
func isDynamic(r *mesos.Resource) bool {
	n := reservationCount(r)
	if n == 0 {
		return false
	}
	top := reservationAt(r, n-1)
	return top.GetType() == mesos.Resource_ReservationInfo_DYNAMIC
}

// withoutVolume is the disk that a volume is on.
func withoutVolume(r *mesos.Resource) mesos.Resource {
	of := *r
	of.Disk, of.Shared = nil, nil
	if source := r.GetDisk().GetSource(); source != nil {
		of.Disk = &mesos.Resource_DiskInfo{Source: source}
	}
	return of
}
