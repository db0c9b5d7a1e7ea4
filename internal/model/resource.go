package model

import (
	"errors"
	"fmt"
	"math"
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

// NewResources converts resources from the wire. Both formats of reservations
// are taken; the result is in the newer one (a stack of reservations). The
// error has the text of Mesos.
func NewResources(in []mesos.Resource) (Resources, error) {
	var out Resources
	for i := range in {
		r, err := newResource(&in[i])
		if err != nil {
			return nil, fmt.Errorf("Resource '%s' is invalid: %w", wireText(&in[i]), err)
		}
		if !r.empty() {
			out = out.plusOne(r)
		}
	}
	return out, nil
}

func newResource(in *mesos.Resource) (resource, error) {
	if in.Name == "" {
		return resource{}, errors.New("Empty resource name")
	}
	if in.Type == nil {
		return resource{}, errors.New("Invalid resource type")
	}
	r := resource{copies: 1}
	if err := r.setAmount(in); err != nil {
		return resource{}, err
	}
	if in.Disk != nil && in.Name != "disk" {
		return resource{}, fmt.Errorf("DiskInfo should not be set for %s resource", in.Name)
	}
	reservations, err := reservationsOf(in)
	if err != nil {
		return resource{}, err
	}
	r.reshape(&mesos.Resource{
		ProviderID: in.ProviderID, Name: in.Name, Type: in.Type,
		Reservations: reservations, Disk: in.Disk,
		Revocable: in.Revocable, Shared: in.Shared,
	})
	if in.AllocationInfo != nil {
		r.role = in.AllocationInfo.GetRole()
	}
	return r, nil
}

func (r *resource) setAmount(in *mesos.Resource) error {
	switch *in.Type {
	case mesos.SCALAR:
		if in.Scalar == nil || in.Ranges != nil || in.Set != nil {
			return errors.New("Invalid scalar resource")
		}
		v := in.Scalar.Value
		if math.IsNaN(v) || v*1000 > float64(maxScalar) {
			return errors.New("Invalid scalar resource: value out of range")
		}
		if v != 0 && math.Round(v*1000) <= 0 {
			return errors.New("Invalid scalar resource: value <= 0")
		}
		r.milli = int64(math.Round(v * 1000))
	case mesos.RANGES:
		if in.Scalar != nil || in.Ranges == nil || in.Set != nil {
			return errors.New("Invalid ranges resource")
		}
		var spans []span
		for _, g := range in.Ranges.Range {
			if g.Begin > g.End {
				return errors.New("Invalid ranges resource: begin > end")
			}
			spans = append(spans, span{g.Begin, g.End})
		}
		sort.Slice(spans, func(i, j int) bool { return spans[i].begin < spans[j].begin })
		for i := 1; i < len(spans); i++ {
			if spans[i].begin <= spans[i-1].end {
				return errors.New("Invalid ranges resource: overlapping ranges")
			}
		}
		r.ranges = joinSpans(spans)
	case mesos.SET:
		if in.Scalar != nil || in.Ranges != nil || in.Set == nil {
			return errors.New("Invalid set resource")
		}
		r.set = slices.Clone(in.Set.Item)
		slices.Sort(r.set)
		if len(slices.Compact(slices.Clone(r.set))) != len(r.set) {
			return errors.New("Invalid set resource: duplicated elements")
		}
	default:
		return errors.New("Unsupported resource type")
	}
	return nil
}

// reservationsOf returns the reservation stack, from either format.
func reservationsOf(in *mesos.Resource) ([]mesos.Resource_ReservationInfo, error) {
	if len(in.Reservations) > 0 {
		if in.Role != nil || in.Reservation != nil {
			return nil, errors.New("Cannot specify `reservations` with either `reservation` or `role`")
		}
		for i := range in.Reservations {
			if in.Reservations[i].Role == nil {
				return nil, errors.New("Invalid reservation: 'role' must be set")
			}
			if err := validateRole(in.Reservations[i].GetRole()); err != nil {
				return nil, fmt.Errorf("Invalid reservation: %w", err)
			}
			if i > 0 && !strictlyUnder(in.Reservations[i].GetRole(), in.Reservations[i-1].GetRole()) {
				return nil, fmt.Errorf("Role '%s' is not a refinement of '%s'",
					in.Reservations[i].GetRole(), in.Reservations[i-1].GetRole())
			}
		}
		return in.Reservations, nil
	}
	role := in.GetRole()
	if role == "*" || role == "" {
		if in.Reservation != nil {
			return nil, errors.New("Invalid reservation: role \"*\" cannot be dynamically reserved")
		}
		return nil, nil
	}
	if err := validateRole(role); err != nil {
		return nil, err
	}
	kind := mesos.Resource_ReservationInfo_STATIC
	info := mesos.Resource_ReservationInfo{Role: &role}
	if in.Reservation != nil {
		kind = mesos.Resource_ReservationInfo_DYNAMIC
		info.Principal, info.Labels = in.Reservation.Principal, in.Reservation.Labels
	}
	info.Type = &kind
	return []mesos.Resource_ReservationInfo{info}, nil
}

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

func (r resource) scalar() bool { return r.meta.GetType() == mesos.SCALAR }

// volume reports whether the resource is a persistent volume.
func (r resource) volume() bool { return r.meta.Disk != nil && r.meta.Disk.Persistence != nil }

func (r resource) shared() bool { return r.meta.Shared != nil }

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

// Allocated returns rs allocated to role; "" removes the allocation.
func (rs Resources) Allocated(role string) Resources {
	out := make(Resources, 0, len(rs))
	for _, r := range rs {
		r.role = role
		out = out.plusOne(r)
	}
	return out
}

// withRole allocates to role what is not allocated yet.
func (rs Resources) withRole(role string) Resources {
	out := make(Resources, 0, len(rs))
	for _, r := range rs {
		if r.role == "" {
			r.role = role
		}
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
