package offers

import (
	"slices"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

// Plus adds up two lists of resources: what differs only in how much it is
// becomes one. Volumes, shared resources and disks that are used as one stay
// apart. Neither argument is changed.
func Plus(have, more []mesos.Resource) []mesos.Resource {
	sum := make([]mesos.Resource, 0, len(have)+len(more))
	for _, list := range [][]mesos.Resource{have, more} {
		for i := range list {
			sum = plusOne(sum, &list[i])
		}
	}
	return sum
}

func plusOne(sum []mesos.Resource, r *mesos.Resource) []mesos.Resource {
	q := quantityOf(r)
	if q.empty() {
		return sum
	}
	if !whole(r) {
		for i := range sum {
			if !whole(&sum[i]) && sameKind(&sum[i], r) {
				sum[i] = withQuantity(&sum[i], quantityOf(&sum[i]).plus(q))
				return sum
			}
		}
	}
	return append(sum, withQuantity(r, q))
}

// Minus takes less away from have. Where have does not contain all of less it
// returns have as it is, and false. Neither argument is changed.
func Minus(have, less []mesos.Resource) ([]mesos.Resource, bool) {
	rest := Plus(have, nil)
	for i := range less {
		var ok bool
		if rest, ok = minusOne(rest, &less[i]); !ok {
			return have, false
		}
	}
	return rest, true
}

func minusOne(rest []mesos.Resource, r *mesos.Resource) ([]mesos.Resource, bool) {
	q := quantityOf(r)
	if q.empty() {
		return rest, true
	}
	for i := range rest {
		if !sameKind(&rest[i], r) {
			continue
		}
		have := quantityOf(&rest[i])
		if !have.contains(q) || whole(r) && !q.contains(have) {
			continue
		}
		left := have.minus(q)
		if left.empty() {
			return slices.Delete(rest, i, i+1), true
		}
		rest[i] = withQuantity(&rest[i], left)
		return rest, true
	}
	return rest, false
}

// Contains says whether have holds all of want: as much of each, with the very
// same reservations, allocation and disks. How a task mounts a volume does not
// matter.
func Contains(have, want []mesos.Resource) bool {
	_, ok := Minus(have, want)
	return ok
}

// Take divides resources: taken is as much as want asks for by name, rest is
// what remains. It is how the share of an executor is split from that of its
// task. Volumes are never taken. Where there is not enough it returns nothing
// taken, all as the rest, and false.
func Take(from []mesos.Resource, want Resources) (taken, rest []mesos.Resource, ok bool) {
	rest = Plus(from, nil)
	for _, q := range want.items {
		for i := 0; i < len(rest) && !q.empty(); i++ {
			have := quantityOf(&rest[i])
			if have.name != q.name || have.kind != q.kind || whole(&rest[i]) {
				continue
			}
			part := have.common(q)
			if part.empty() {
				continue
			}
			taken = plusOne(taken, new(withQuantity(&rest[i], part)))
			rest[i] = withQuantity(&rest[i], have.minus(part))
			q = q.minus(part)
		}
		if !q.empty() {
			return nil, from, false
		}
	}
	return taken, slices.DeleteFunc(rest, func(r mesos.Resource) bool { return quantityOf(&r).empty() }), true
}

// common is what is in both.
func (q quantity) common(other quantity) quantity {
	q.scalar = min(q.scalar, other.scalar)
	q.ranges = q.ranges.both(other.ranges)
	if len(q.set) > 0 {
		q.set = slices.DeleteFunc(slices.Clone(q.set), func(s string) bool { return !slices.Contains(other.set, s) })
	}
	return q
}

// withQuantity is r, but as much as q. What r points to beside its value is
// shared, and must not be changed.
func withQuantity(r *mesos.Resource, q quantity) mesos.Resource {
	of := *r
	value := q.resource()
	of.Scalar, of.Ranges, of.Set = value.Scalar, value.Ranges, value.Set
	return of
}
