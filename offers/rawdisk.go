package offers

import (
	"cmp"
	"iter"
	"slices"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler/calls"

	"github.com/mesokit/mesokit/constraints"
)

// MakeDisk finds a RAW disk of a storage provider for a volume of the request that
// wants a MOUNT or BLOCK disk of a profile: the smallest that will do, on an
// agent that the rules allow and, where the request says so, only there. The
// operations reserve it for the node and have the provider make the disk. That
// takes its time: the agent offers the disk later, and Reserve then takes it as
// the node's own. It says false where there is none.
func MakeDisk(held iter.Seq[*mesos.Offer], r Request, volume Volume) (Accept, bool) {
	if volume.Disk != MountDisk && volume.Disk != BlockDisk || r.Unreserved || r.Validate() != nil {
		return Accept{}, false
	}
	b := batch{agents: agentsOf(held), table: new(constraints.Agents)}
	rules := b.placement(&r)
	var on *agent
	var best *part
	for _, a := range b.agents {
		role := cmp.Or(r.Role, a.role)
		if r.Agent != "" && a.id != r.Agent || role == "" || role == "*" || !a.offeredTo(role) ||
			rules.Refusal(b.key(a)) >= 0 {
			continue
		}
		a.gather()
		for i := range a.parts {
			if p := &a.parts[i]; isRaw(p.of, volume) && p.left.scalar >= volume.Size &&
				(best == nil || p.left.scalar < best.left.scalar) {
				on, best = a, p
			}
		}
	}
	if best == nil {
		return Accept{}, false
	}
	amount := best.left
	if !whole(best.of) { // a pool, of which a disk of this size is made
		amount.scalar = volume.Size
	}
	f := fit{request: &r, role: cmp.Or(r.Role, on.role)}
	bare := withQuantity(best.of, amount)
	raw := reserved(&bare, f.reservation())
	target := mesos.Resource_DiskInfo_Source_MOUNT
	if volume.Disk == BlockDisk {
		target = mesos.Resource_DiskInfo_Source_BLOCK
	}
	return Accept{Agent: on.id, Offers: on.offerIDs(), Operations: slices.Concat(
		operations([]mesos.Resource{raw}, nil), []mesos.Offer_Operation{calls.OpCreateDisk(raw, target)},
	)}, true
}

// isRaw says whether a disk of the volume's profile can be made of it.
func isRaw(r *mesos.Resource, v Volume) bool {
	source := r.GetDisk().GetSource()
	return r.Name == "disk" && source.GetType() == mesos.Resource_DiskInfo_Source_RAW && source.GetProfile() == v.Profile &&
		reservationCount(r) == 0 && r.Revocable == nil
}
