package offers

import (
	"iter"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler/calls"
)

// Holding is what is reserved on one agent, and offered.
type Holding struct {
	Agent, Hostname string
	Offers          []mesos.OfferID // all of that agent and role
	Resources       []mesos.Resource
}

// Owned finds all that was reserved with labels that match chooses, such as
// those with service=kafka, ordered by agent. A resource without labels is
// never asked for.
func Owned(held iter.Seq[*mesos.Offer], match func(labels []mesos.Label) bool) []Holding {
	return holdings(held, func(r *mesos.Resource) bool {
		labels := labelsOf(r)
		return len(labels) > 0 && match(labels)
	})
}

// OwnedVolumes finds the persistent volumes of ids that match chooses, ordered
// by agent. It also finds those on disk that the operator reserved, which have
// no labels.
func OwnedVolumes(held iter.Seq[*mesos.Offer], match func(id string) bool) []Holding {
	return holdings(held, func(r *mesos.Resource) bool {
		persistence := r.GetDisk().GetPersistence()
		return persistence != nil && match(persistence.ID)
	})
}

func holdings(held iter.Seq[*mesos.Offer], match func(*mesos.Resource) bool) []Holding {
	var holdings []Holding
	for _, a := range agentsOf(held) {
		var found []mesos.Resource
		for r := range a.resources {
			if match(r) {
				found = plusOne(found, r)
			}
		}
		if len(found) > 0 {
			holdings = append(holdings, Holding{
				Agent: a.id, Hostname: a.latest().Hostname, Offers: a.offerIDs(), Resources: found,
			})
		}
	}
	return holdings
}

// labelsOf are those of the last reservation, where that is a dynamic one.
func labelsOf(r *mesos.Resource) []mesos.Label {
	if !isDynamic(r) {
		return nil
	}
	top := reservationAt(r, reservationCount(r)-1)
	return top.GetLabels().GetLabels()
}

// HasLabel makes a choice for Owned: one label of that key and value.
func HasLabel(key, value string) func([]mesos.Label) bool {
	return func(labels []mesos.Label) bool {
		for _, label := range labels {
			if label.Key == key && label.GetValue() == value {
				return true
			}
		}
		return false
	}
}

// Release gives resources back, in the order that Mesos demands: first the
// volumes are destroyed, with all that is on them, then the reservations end.
// What the operator reserved for the role stays reserved.
func Release(resources []mesos.Resource) []mesos.Offer_Operation {
	var destroy, unreserve []mesos.Resource
	for i := range resources {
		r := resources[i]
		if r.GetDisk().GetPersistence() != nil {
			destroy = append(destroy, r)
			r = withoutVolume(&r)
		}
		if isDynamic(&r) {
			unreserve = plusOne(unreserve, &r)
		}
	}
	var ops []mesos.Offer_Operation
	if len(destroy) > 0 {
		ops = append(ops, calls.OpDestroy(destroy...))
	}
	if len(unreserve) > 0 {
		ops = append(ops, calls.OpUnreserve(unreserve...))
	}
	return ops
}
