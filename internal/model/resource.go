package model

import (
	"slices"
	"sort"
	"strconv"
	"strings"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

// maxScalar bounds a scalar resource in thousandths, so that sums over any
// number of agents that fits in memory stay in an int64.
const maxScalar = int64(1) << 48

// Resources is a sum of resources in the order in which they were first
// added. Its methods return new values and never change their operands.
type Resources []resource

// resource is one addend of Resources: an amount of one shape, perhaps
// allocated to a role.
type resource struct {
	// shape is the canonical form of all but the amount and the
	// allocation. Equal shapes add up.
	shape string
	// meta holds what shape was made of. It is shared by copies and never
	// written.
	meta *mesos.Resource
	// role is the role that the resource is allocated to, or "".
	role string

	milli  int64    // scalar amount in thousandths
	ranges []span   // sorted, disjoint, not adjacent
	set    []string // sorted
	copies int      // of a shared volume; 1 otherwise
}

// span is a closed range.
type span struct{ begin, end uint64 }

// reshape sets meta and the canonical form that follows from it.
func (r *resource) reshape(meta *mesos.Resource) {
	r.meta = meta
	if len(meta.Reservations) == 0 && meta.Disk == nil && meta.Revocable == nil &&
		meta.Shared == nil && meta.ProviderID == nil {
		r.shape = meta.Name + "\x00" + strconv.Itoa(int(meta.GetType()))
		return
	}
	canonical := *meta
	canonical.Reservations = slices.Clone(meta.Reservations)
	for i := range canonical.Reservations {
		canonical.Reservations[i].Labels = sortedLabels(canonical.Reservations[i].Labels)
	}
	// Where a task sees a volume (container path) is not what the volume
	// is: like Mesos, compare sources and persistence ids.
	if d := meta.Disk; d != nil {
		disk := *d
		if d.Persistence != nil {
			disk.Volume = nil
			disk.Persistence = &mesos.Resource_DiskInfo_Persistence{ID: d.Persistence.ID}
		}
		canonical.Disk = &disk
	}
	// The encoding writes fields in order and holds no map.
	b, err := canonical.Marshal()
	if err != nil {
		b = []byte(canonical.String())
	}
	r.shape = string(b)
}

func sortedLabels(in *mesos.Labels) *mesos.Labels {
	if in == nil {
		return nil
	}
	out := &mesos.Labels{Labels: slices.Clone(in.Labels)}
	sort.SliceStable(out.Labels, func(i, j int) bool {
		a, b := out.Labels[i], out.Labels[j]
		if a.Key != b.Key {
			return a.Key < b.Key
		}
		return a.GetValue() < b.GetValue()
	})
	return out
}

func (r resource) empty() bool {
	return r.milli == 0 && len(r.ranges) == 0 && len(r.set) == 0
}

// quantity is the amount in thousandths; that of ranges and sets is how many
// items are in them.
func (r resource) quantity() int64 {
	n := int64(len(r.set))
	for _, s := range r.ranges {
		n += int64(min(s.end-s.begin, 1<<40)) + 1
	}
	return r.milli + n*1000
}

func (r resource) scalar() bool { return r.meta.GetType() == mesos.SCALAR }

// volume reports whether the resource is a persistent volume.
func (r resource) volume() bool { return r.meta.Disk != nil && r.meta.Disk.Persistence != nil }

func (r resource) shared() bool { return r.meta.Shared != nil }

// single is one copy of a shared volume, however many there are; anything else
// is as it is.
func (r resource) single() resource {
	r.copies = 1
	return r
}

// whole reports whether the resource can only be taken whole: volumes, and
// disks that are one device.
func (r resource) whole() bool {
	if r.meta.Disk == nil {
		return false
	}
	return r.volume() ||
		r.meta.Disk.Source != nil && r.meta.Disk.Source.Type != mesos.Resource_DiskInfo_Source_PATH
}

// reservedFor returns the role of the current reservation, or "" if none.
func (r resource) reservedFor() string {
	if n := len(r.meta.Reservations); n > 0 {
		return r.meta.Reservations[n-1].GetRole()
	}
	return ""
}

func (r resource) dynamic() bool {
	n := len(r.meta.Reservations)
	return n > 0 && r.meta.Reservations[n-1].GetType() == mesos.Resource_ReservationInfo_DYNAMIC
}

// allocatableTo reports whether a framework in role may be offered r: it is
// unreserved, or reserved for the role or a role above it.
func (r resource) allocatableTo(role string) bool {
	res := r.reservedFor()
	return res == "" || res == role || strictlyUnder(role, res)
}

// strictlyUnder reports whether role lies below parent in the hierarchy.
func strictlyUnder(role, parent string) bool {
	return len(role) > len(parent)+1 && strings.HasPrefix(role, parent) && role[len(parent)] == '/'
}

func (r resource) like(o resource) bool { return r.shape == o.shape && r.role == o.role }

// covers reports whether o can be taken out of r alone.
func (r resource) covers(o resource) bool {
	switch {
	case !r.like(o):
		return false
	case r.shared():
		return r.copies >= o.copies && r.milli == o.milli
	case r.whole():
		return r.milli == o.milli
	case r.scalar():
		return r.milli >= o.milli
	case r.meta.GetType() == mesos.RANGES:
		return len(minusSpans(o.ranges, r.ranges)) == 0
	}
	return !slices.ContainsFunc(o.set, func(s string) bool { return !slices.Contains(r.set, s) })
}

// Plus returns the sum.
func (rs Resources) Plus(os Resources) Resources {
	out := slices.Clone(rs)
	for _, o := range os {
		out = out.plusOne(o)
	}
	return out
}

// plusOne adds o in place.
func (rs Resources) plusOne(o resource) Resources {
	for i := range rs {
		r := &rs[i]
		if !r.like(o) {
			continue
		}
		switch {
		case r.shared():
			if r.milli != o.milli {
				continue
			}
			r.copies += o.copies
		case r.whole():
			continue
		case r.scalar():
			r.milli += o.milli
		case r.meta.GetType() == mesos.RANGES:
			r.ranges = joinSpans(mergeSpans(r.ranges, o.ranges))
		default:
			r.set = append(slices.Clone(r.set), o.set...)
			slices.Sort(r.set)
			r.set = slices.Compact(r.set)
		}
		return rs
	}
	return append(rs, o)
}

// Minus returns rs without os, and whether rs contained all of os. What it did
// not contain is left out of the account.
func (rs Resources) Minus(os Resources) (Resources, bool) {
	out, all := slices.Clone(rs), true
	for _, o := range os {
		i := slices.IndexFunc(out, func(r resource) bool { return r.covers(o) })
		if i < 0 {
			all = false
			continue
		}
		r := &out[i]
		switch {
		case r.shared():
			if r.copies -= o.copies; r.copies > 0 {
				continue
			}
			r.milli = 0
		case r.scalar():
			r.milli -= o.milli
		case r.meta.GetType() == mesos.RANGES:
			r.ranges = minusSpans(r.ranges, o.ranges)
		default:
			r.set = slices.DeleteFunc(slices.Clone(r.set), func(s string) bool { return slices.Contains(o.set, s) })
		}
		if r.empty() {
			out = slices.Delete(out, i, i+1)
		}
	}
	return out, all
}

// less returns rs without whatever of os is in it.
func (rs Resources) less(os Resources) Resources {
	out := slices.Clone(rs)
	for _, o := range os {
		i := slices.IndexFunc(out, func(r resource) bool { return r.like(o) && (!r.whole() || r.milli == o.milli) })
		if i < 0 {
			continue
		}
		r := &out[i]
		if r.shared() {
			if r.copies -= o.copies; r.copies > 0 {
				continue
			}
		}
		r.milli -= min(r.milli, o.milli)
		r.ranges = minusSpans(r.ranges, o.ranges)
		r.set = slices.DeleteFunc(slices.Clone(r.set), func(s string) bool { return slices.Contains(o.set, s) })
		if r.empty() {
			out = slices.Delete(out, i, i+1)
		}
	}
	return out
}

// Contains reports whether os can be taken out of rs.
func (rs Resources) Contains(os Resources) bool {
	_, ok := rs.Minus(os)
	return ok
}

// Equal reports whether both hold the same, in any order.
func (rs Resources) Equal(os Resources) bool {
	if len(rs) != len(os) {
		return false
	}
	rest, ok := rs.Minus(os)
	return ok && len(rest) == 0
}

// same reports whether both are the very same value, which is equal to itself.
func (rs Resources) same(os Resources) bool {
	return len(rs) == len(os) && (len(rs) == 0 || &rs[0] == &os[0])
}

// only returns the addends for which keep holds.
func (rs Resources) only(keep func(resource) bool) Resources {
	var out Resources
	for _, r := range rs {
		if keep(r) {
			out = append(out, r)
		}
	}
	return out
}

// Allocated returns rs allocated to role; "" removes the allocation.
func (rs Resources) Allocated(role string) Resources {
	out := make(Resources, 0, len(rs))
	for _, r := range rs {
		r.role = role
		out = out.plusOne(r)
	}
	return out
}

// scalars adds up the scalar amounts by name, in thousandths.
func (rs Resources) scalars(into map[string]int64, sign int64) {
	for _, r := range rs {
		if r.scalar() {
			into[r.meta.Name] += sign * r.milli
		}
	}
}

// sum adds up resources; what is empty is left out.
func sum(rs []resource) Resources {
	var out Resources
	for _, r := range rs {
		if !r.empty() {
			out = out.plusOne(r)
		}
	}
	return out
}

// mapEach converts every addend.
func (rs Resources) mapEach(f func(resource) resource) Resources {
	out := make(Resources, 0, len(rs))
	for _, r := range rs {
		out = out.plusOne(f(r))
	}
	return out
}

// popped returns the resource with its current reservation taken off.
func (r resource) popped() resource {
	meta := *r.meta
	meta.Reservations = slices.Clone(r.meta.Reservations[:len(r.meta.Reservations)-1])
	if len(meta.Reservations) == 0 {
		meta.Reservations = nil
	}
	r.reshape(&meta)
	return r
}

// unreserved returns the resource with all its reservations taken off.
func (r resource) unreserved() resource {
	meta := *r.meta
	meta.Reservations = nil
	r.reshape(&meta)
	return r
}

// withoutVolume returns the disk that a persistent volume was made of.
func (r resource) withoutVolume() resource {
	meta := *r.meta
	meta.Shared = nil
	if d := r.meta.Disk; d != nil {
		meta.Disk = nil
		if d.Source != nil {
			meta.Disk = &mesos.Resource_DiskInfo{Source: d.Source}
		}
	}
	r.copies = 1
	r.reshape(&meta)
	return r
}

// mergeSpans returns the sorted union, which may still touch.
func mergeSpans(a, b []span) []span {
	out := append(slices.Clone(a), b...)
	sort.Slice(out, func(i, j int) bool { return out[i].begin < out[j].begin })
	return out
}

// joinSpans joins sorted spans that overlap or touch.
func joinSpans(in []span) []span {
	var out []span
	for _, s := range in {
		if n := len(out); n > 0 && (s.begin <= out[n-1].end || s.begin == out[n-1].end+1) {
			out[n-1].end = max(out[n-1].end, s.end)
			continue
		}
		out = append(out, s)
	}
	return out
}

// minusSpans returns a without b; both sorted and disjoint.
func minusSpans(a, b []span) []span {
	var out []span
	for _, s := range a {
		begin, done := s.begin, false
		for _, c := range b {
			if c.end < begin || c.begin > s.end {
				continue
			}
			if c.begin > begin {
				out = append(out, span{begin, c.begin - 1})
			}
			if c.end >= s.end {
				done = true
				break
			}
			begin = c.end + 1
		}
		if !done {
			out = append(out, span{begin, s.end})
		}
	}
	return out
}
