package model

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"sort"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

// The checks of this file are those of Resources::validate in
// src/common/resources.cpp, in their order and with their texts. They see one
// resource at a time; what a master asks of resources besides is in
// validate.go.

// NewResources converts resources from the wire. All formats of reservations
// are taken: a stack of them, a role with a reservation, and both at once as
// operators read them; the result has the stack. The error has the text of
// Mesos.
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
	if err := parseDisk(in); err != nil {
		return resource{}, err
	}
	reservations, err := reservationsOf(in)
	if err != nil {
		return resource{}, err
	}
	if in.Shared != nil {
		switch {
		case in.Name != "disk":
			return resource{}, fmt.Errorf("Resource %s cannot be shared", in.Name)
		case in.Disk == nil || in.Disk.Persistence == nil:
			return resource{}, errors.New("Only persistent volumes can be shared")
		}
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
		return r.setRanges(in.Ranges.Range)
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

func (r *resource) setRanges(in []mesos.Value_Range) error {
	var spans []span
	for _, g := range in {
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
	return nil
}

func parseDisk(in *mesos.Resource) error {
	if in.Disk == nil {
		return nil
	}
	if in.Name != "disk" {
		return fmt.Errorf("DiskInfo should not be set for %s resource", in.Name)
	}
	source := in.Disk.Source
	if source == nil {
		return nil
	}
	switch source.Type {
	case mesos.Resource_DiskInfo_Source_PATH, mesos.Resource_DiskInfo_Source_MOUNT:
	case mesos.Resource_DiskInfo_Source_BLOCK, mesos.Resource_DiskInfo_Source_RAW:
		if source.Mount != nil {
			return fmt.Errorf("Mount should not be set for %s disk source", source.Type)
		}
		if source.Path != nil {
			return fmt.Errorf("Path should not be set for %s disk source", source.Type)
		}
	default:
		return fmt.Errorf("Unsupported 'DiskInfo.Source.Type' in '%s'", source.Type)
	}
	return nil
}

// reservationsOf returns the reservation stack, from any format.
func reservationsOf(in *mesos.Resource) ([]mesos.Resource_ReservationInfo, error) {
	if len(in.Reservations) == 0 {
		return oldReservation(in)
	}
	for i := range in.Reservations {
		r := &in.Reservations[i]
		switch {
		case r.Type == nil:
			return nil, errors.New("Invalid reservation: 'Resource.ReservationInfo.type' field must be set.")
		case r.Role == nil:
			return nil, errors.New("Invalid reservation: 'Resource.ReservationInfo.role' field must be set.")
		}
		if err := validateRole(*r.Role); err != nil {
			return nil, err
		}
		if *r.Role == "*" {
			return nil, errors.New("Invalid reservation: role \"*\" cannot be reserved")
		}
	}
	for i := 1; i < len(in.Reservations); i++ {
		r, parent := &in.Reservations[i], in.Reservations[i-1].GetRole()
		if r.GetType() == mesos.Resource_ReservationInfo_STATIC {
			return nil, errors.New("Invalid refined reservation: A refined reservation cannot be STATIC")
		}
		if !strictlyUnder(r.GetRole(), parent) {
			return nil, fmt.Errorf("Invalid refined reservation: role '%s' is not a refinement of '%s'", r.GetRole(), parent)
		}
	}
	return in.Reservations, bothFormats(in)
}

// bothFormats checks a resource whose reservations are written in the new way
// and perhaps in the old way too.
func bothFormats(in *mesos.Resource) error {
	const wrong = "Invalid resource format: "
	if len(in.Reservations) > 1 {
		for _, f := range []struct {
			name string
			set  bool
		}{{"role", in.Role != nil}, {"reservation", in.Reservation != nil}} {
			if f.set {
				return fmt.Errorf(wrong+"'Resource.%s' must not be set if there is more than one reservation in 'Resource.reservations'", f.name)
			}
		}
		return nil
	}
	r, old := &in.Reservations[0], in.Reservation
	switch {
	case in.Role != nil && *in.Role != r.GetRole():
		return fmt.Errorf(wrong+"'Resource.role' field with '%s' does not match the role '%s' in 'Resource.reservations'", *in.Role, r.GetRole())
	case r.GetType() == mesos.Resource_ReservationInfo_STATIC && old != nil:
		return errors.New(wrong + "'Resource.reservation' must not be set if the single reservation in 'Resource.reservations' is STATIC")
	case r.GetType() == mesos.Resource_ReservationInfo_STATIC:
		return nil
	case r.GetType() != mesos.Resource_ReservationInfo_DYNAMIC:
		return errors.New("Unsupported 'Resource.ReservationInfo.Type'")
	case (in.Role != nil) != (old != nil):
		return errors.New(wrong + "'Resource.role' and 'Resource.reservation' must either be both set or both not set" +
			" if the single reservation in 'Resource.reservations' is DYNAMIC")
	case old != nil && old.GetPrincipal() != r.GetPrincipal():
		return fmt.Errorf(wrong+"'Resource.reservation.principal' field with '%s' does not match the principal '%s' in 'Resource.reservations'",
			old.GetPrincipal(), r.GetPrincipal())
	case old != nil && !sortedLabels(old.Labels).Equal(sortedLabels(r.Labels)):
		return fmt.Errorf(wrong+"'Resource.reservation.labels' field with '%s' does not match the labels '%s' in 'Resource.reservations'",
			labelText(old.Labels), labelText(r.Labels))
	}
	return nil
}

// oldReservation returns the reservation of a resource that has a role and
// perhaps a reservation.
func oldReservation(in *mesos.Resource) ([]mesos.Resource_ReservationInfo, error) {
	role := in.GetRole() // "*" if it is not set
	if err := validateRole(role); err != nil {
		return nil, err
	}
	if in.Reservation != nil {
		switch {
		case in.Reservation.Type != nil:
			return nil, errors.New("'Resource.ReservationInfo.type' must not be set for the 'Resource.reservation' field")
		case in.Reservation.Role != nil:
			return nil, errors.New("'Resource.ReservationInfo.role' must not be set for the 'Resource.reservation' field")
		case role == "*":
			return nil, errors.New("Invalid reservation: role \"*\" cannot be dynamically reserved")
		}
	}
	if role == "*" {
		return nil, nil
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
