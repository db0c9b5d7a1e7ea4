package offers

import (
	"slices"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

// This file says when two messages speak of the same resource. The rules are
// those of Mesos (src/common/resources.cpp: operator==, addable, subtractable).

// sameKind says whether a and b differ at most in how much they are: the same
// name, type, reservations, allocation, disk, provider, and both revocable or
// both shared, or neither.
func sameKind(a, b *mesos.Resource) bool {
	return a.Name == b.Name && a.GetType() == b.GetType() &&
		a.GetAllocationInfo().GetRole() == b.GetAllocationInfo().GetRole() &&
		a.GetProviderID().GetValue() == b.GetProviderID().GetValue() &&
		(a.Revocable == nil) == (b.Revocable == nil) &&
		(a.Shared == nil) == (b.Shared == nil) &&
		sameReservations(a, b) && sameDisk(a.Disk, b.Disk)
}

// whole says whether the resource cannot be divided or added to: a persistent
// volume, a shared resource, or a disk that is used as one.
func whole(r *mesos.Resource) bool {
	if r.Shared != nil || r.GetDisk().GetPersistence() != nil {
		return true
	}
	source := r.GetDisk().GetSource()
	switch source.GetType() {
	case mesos.Resource_DiskInfo_Source_MOUNT, mesos.Resource_DiskInfo_Source_BLOCK:
		return true
	case mesos.Resource_DiskInfo_Source_RAW:
		return source.GetID() != ""
	default:
		return false
	}
}

func sameReservations(a, b *mesos.Resource) bool {
	n := reservationCount(a)
	if n != reservationCount(b) {
		return false
	}
	for i := range n {
		x, y := reservationAt(a, i), reservationAt(b, i)
		if x.GetType() != y.GetType() || x.GetRole() != y.GetRole() ||
			x.GetPrincipal() != y.GetPrincipal() || !sameLabels(x.GetLabels().GetLabels(), y.GetLabels().GetLabels()) {
			return false
		}
	}
	return true
}

// reservationCount is the height of the stack of reservations. Resources in
// the format from before refinement (role and reservation, for frameworks
// without the capability) have at most one.
func reservationCount(r *mesos.Resource) int {
	if len(r.Reservations) == 0 && r.Role != nil && *r.Role != "*" {
		return 1
	}
	return len(r.Reservations)
}

// reservationAt is the i-th reservation, the top of the stack being the last.
func reservationAt(r *mesos.Resource, i int) mesos.Resource_ReservationInfo {
	if len(r.Reservations) > 0 {
		return r.Reservations[i]
	}
	if r.Reservation == nil {
		return mesos.Resource_ReservationInfo{Type: mesos.Resource_ReservationInfo_STATIC.Enum(), Role: r.Role}
	}
	return mesos.Resource_ReservationInfo{
		Type: mesos.Resource_ReservationInfo_DYNAMIC.Enum(), Role: r.Role,
		Principal: r.Reservation.Principal, Labels: r.Reservation.Labels,
	}
}

// sameLabels compares without regard to order, as Mesos does.
func sameLabels(a, b []mesos.Label) bool {
	if len(a) != len(b) {
		return false
	}
	inOrder := true
	for i := range a {
		inOrder = inOrder && sameLabel(a[i], b[i])
	}
	if inOrder {
		return true
	}
	for _, label := range a {
		if !slices.ContainsFunc(b, func(other mesos.Label) bool { return sameLabel(label, other) }) {
			return false // before anything is copied: reservations of others differ here
		}
	}
	rest := slices.Clone(b)
	for _, label := range a {
		i := slices.IndexFunc(rest, func(other mesos.Label) bool { return sameLabel(label, other) })
		if i < 0 {
			return false
		}
		rest = slices.Delete(rest, i, i+1)
	}
	return true
}

func sameLabel(a, b mesos.Label) bool {
	return a.Key == b.Key && a.GetValue() == b.GetValue() && (a.Value == nil) == (b.Value == nil)
}

// sameDisk leaves Volume out: it says how a task uses the disk, not which disk
// it is.
func sameDisk(a, b *mesos.Resource_DiskInfo) bool {
	if a == b {
		return true
	}
	if (a == nil) != (b == nil) || (a.GetPersistence() == nil) != (b.GetPersistence() == nil) ||
		a.GetPersistence().GetID() != b.GetPersistence().GetID() {
		return false
	}
	x, y := a.GetSource(), b.GetSource()
	if x == nil || y == nil {
		return x == y
	}
	return x.GetType() == y.GetType() &&
		x.GetPath().GetRoot() == y.GetPath().GetRoot() && x.GetMount().GetRoot() == y.GetMount().GetRoot() &&
		x.GetID() == y.GetID() && x.GetProfile() == y.GetProfile() && x.GetVendor() == y.GetVendor() &&
		sameLabels(x.GetMetadata().GetLabels(), y.GetMetadata().GetLabels())
}
