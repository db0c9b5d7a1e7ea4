package model

import (
	"fmt"
	"strconv"
	"strings"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

// Format says how a framework wants its resources written, which follows from
// its capabilities.
type Format struct {
	// Stack writes reservations as a stack (RESERVATION_REFINEMENT);
	// otherwise as role and reservation.
	Stack bool
	// Allocation writes allocation_info (MULTI_ROLE).
	Allocation bool
}

// wholeFormat leaves nothing out; agents and masters use it among themselves.
var wholeFormat = Format{Stack: true, Allocation: true}

// Wire converts to messages of the given format. A stack of more than one
// reservation has no older form; it is left out there.
func (rs Resources) Wire(f Format) []mesos.Resource {
	out := make([]mesos.Resource, 0, len(rs))
	for _, r := range rs {
		if !f.Stack && len(r.meta.Reservations) > 1 {
			continue
		}
		for range r.copies {
			out = append(out, r.wire(f))
		}
	}
	return out
}

func (r resource) wire(f Format) mesos.Resource {
	out := *r.meta
	switch r.meta.GetType() {
	case mesos.SCALAR:
		out.Scalar = &mesos.Value_Scalar{Value: float64(r.milli) / 1000}
	case mesos.RANGES:
		out.Ranges = &mesos.Value_Ranges{Range: make([]mesos.Value_Range, 0, len(r.ranges))}
		for _, s := range r.ranges {
			out.Ranges.Range = append(out.Ranges.Range, mesos.Value_Range{Begin: s.begin, End: s.end})
		}
	case mesos.SET:
		out.Set = &mesos.Value_Set{Item: r.set}
	}
	if f.Allocation && r.role != "" {
		role := r.role
		out.AllocationInfo = &mesos.Resource_AllocationInfo{Role: &role}
	}
	if f.Stack {
		return out
	}
	out.Reservations = nil
	role := "*"
	if len(r.meta.Reservations) == 1 {
		res := r.meta.Reservations[0]
		role = res.GetRole()
		if res.GetType() == mesos.Resource_ReservationInfo_DYNAMIC {
			out.Reservation = &mesos.Resource_ReservationInfo{Principal: res.Principal, Labels: res.Labels}
		}
	}
	out.Role = &role
	return out
}

// String writes resources as Mesos does in its messages, for example
// "cpus(allocated: db):4; ports(allocated: db):[31000-31099]".
func (rs Resources) String() string {
	if len(rs) == 0 {
		return "{}"
	}
	parts := make([]string, len(rs))
	for i, r := range rs {
		parts[i] = r.String()
		if r.shared() {
			parts[i] += fmt.Sprintf("<%d>", r.copies)
		}
	}
	return strings.Join(parts, "; ")
}

func (r resource) String() string {
	w := r.wire(wholeFormat)
	return wireText(&w)
}

// wireText writes one resource as Mesos does, valid or not.
func wireText(r *mesos.Resource) string {
	var b strings.Builder
	b.WriteString(r.Name)
	if r.AllocationInfo != nil {
		fmt.Fprintf(&b, "(allocated: %s)", r.AllocationInfo.GetRole())
	}
	if len(r.Reservations) > 0 {
		b.WriteString("(reservations: [")
		for i := range r.Reservations {
			if i > 0 {
				b.WriteByte(',')
			}
			writeReservation(&b, &r.Reservations[i])
		}
		b.WriteString("])")
	}
	if r.Disk != nil {
		b.WriteByte('[')
		writeDisk(&b, r.Disk)
		b.WriteByte(']')
	}
	if r.Revocable != nil {
		b.WriteString("{REV}")
	}
	if r.Shared != nil {
		b.WriteString("<SHARED>")
	}
	b.WriteByte(':')
	writeAmount(&b, r)
	return b.String()
}

func writeReservation(b *strings.Builder, r *mesos.Resource_ReservationInfo) {
	fmt.Fprintf(b, "(%s,%s", r.GetType(), r.GetRole())
	if r.Principal != nil {
		b.WriteString("," + *r.Principal)
	}
	if r.Labels != nil {
		b.WriteString("," + labelText(r.Labels))
	}
	b.WriteByte(')')
}

func labelText(in *mesos.Labels) string {
	var parts []string
	for _, l := range in.GetLabels() {
		if l.Value != nil {
			parts = append(parts, l.Key+": "+*l.Value)
		} else {
			parts = append(parts, l.Key)
		}
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

func writeDisk(b *strings.Builder, d *mesos.Resource_DiskInfo) {
	if s := d.Source; s != nil {
		b.WriteString(s.Type.String())
		switch {
		case s.ID != nil || s.Profile != nil:
			fmt.Fprintf(b, "(%s,%s,%s)", s.GetVendor(), s.GetID(), s.GetProfile())
		case s.Mount != nil && s.Mount.Root != nil:
			b.WriteString(":" + *s.Mount.Root)
		case s.Path != nil && s.Path.Root != nil:
			b.WriteString(":" + *s.Path.Root)
		}
	}
	if d.Persistence != nil {
		if d.Source != nil {
			b.WriteByte(',')
		}
		b.WriteString(d.Persistence.ID)
	}
	if v := d.Volume; v != nil {
		b.WriteByte(':')
		if v.HostPath != nil {
			b.WriteString(*v.HostPath + ":")
		}
		b.WriteString(v.ContainerPath)
		if v.HostPath != nil && v.Mode != nil {
			b.WriteString(":" + strings.ToLower(v.Mode.String()))
		}
	}
}

func writeAmount(b *strings.Builder, r *mesos.Resource) {
	switch {
	case r.Scalar != nil:
		b.WriteString(strconv.FormatFloat(r.Scalar.Value, 'f', -1, 64))
	case r.Ranges != nil:
		b.WriteByte('[')
		for i, g := range r.Ranges.Range {
			if i > 0 {
				b.WriteString(", ")
			}
			fmt.Fprintf(b, "%d-%d", g.Begin, g.End)
		}
		b.WriteByte(']')
	case r.Set != nil:
		b.WriteString("{" + strings.Join(r.Set.Item, ", ") + "}")
	}
}
