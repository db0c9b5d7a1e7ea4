package wire

import (
	"math"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

// value decodes a message that is one string, such as an id.
func value(message string) (string, bool) {
	if len(message) >= 2 && message[0] == 1<<3|bytes && int(message[1]) == len(message)-2 && message[1] < 0x80 {
		return message[2:], true
	}
	f := fields{rest: message}
	if !f.next() || f.tag != 1<<3|bytes || f.rest != "" {
		return "", false
	}
	return f.text, true
}

// value is one that may be handed out.
func (d *decoder) value(message string) (string, bool) {
	text, ok := value(message)
	return d.strings.keep(text), ok
}

// name is a text of which there are few, each of them many times.
func (d *decoder) name(text string) *string { return d.names.of(text, &d.strings) }

func scalar(message string, s *mesos.Value_Scalar) bool {
	f := fields{rest: message}
	if !f.next() || f.tag != 1<<3|fixed64 || f.rest != "" {
		return false
	}
	s.Value = math.Float64frombits(f.value)
	return true
}

func (d *decoder) rangeList(message string, list *mesos.Value_Ranges) (ok bool) {
	if list.Range, ok = d.portLists.at(message); ok {
		return true
	}
	ranges := d.ranges.open()
	f := fields{rest: message}
	for f.next() {
		ranges = d.ranges.more(ranges)
		if f.tag != 1<<3|bytes || !oneRange(f.text, &ranges[len(ranges)-1]) {
			return false
		}
	}
	list.Range = d.ranges.close(ranges)
	if f.has() {
		d.portLists.put(message, list.Range)
	}
	return f.has()
}

func oneRange(message string, r *mesos.Value_Range) bool {
	f := fields{rest: message}
	for f.next() {
		switch {
		case !f.once():
			return false
		case f.tag == 1<<3|varint:
			r.Begin = f.value
		case f.tag == 2<<3|varint:
			r.End = f.value
		default:
			return false
		}
	}
	return f.has(1, 2)
}

func (d *decoder) allocationInfo(message string) (*mesos.Resource_AllocationInfo, bool) {
	if info, ok := d.allocations.at(message); ok {
		return info, true
	}
	info := d.allocated.one()
	if message == "" {
		return info, true
	}
	role, ok := value(message)
	info.Role = d.name(role)
	if ok {
		d.allocations.put(message, info)
	}
	return info, ok
}

func (d *decoder) url(message string, u *mesos.URL) bool {
	f := fields{rest: message}
	for f.next() {
		ok := f.once()
		switch f.tag {
		case 1<<3 | bytes:
			u.Scheme = *d.name(f.text)
		case 2<<3 | bytes:
			ok = ok && d.address(f.text, &u.Address)
		case 3<<3 | bytes:
			u.Path = d.text(f.text)
		default:
			return false
		}
		if !ok {
			return false
		}
	}
	return f.has(1, 2)
}

func (d *decoder) address(message string, a *mesos.Address) bool {
	f := fields{rest: message}
	for f.next() {
		switch {
		case !f.once():
			return false
		case f.tag == 1<<3|bytes:
			a.Hostname = d.text(f.text)
		case f.tag == 2<<3|bytes:
			a.IP = d.text(f.text)
		case f.tag == 3<<3|varint:
			a.Port = int32(f.value)
		default:
			return false
		}
	}
	return f.has(3)
}

func (d *decoder) domain(message string, info *mesos.DomainInfo) bool {
	if message == "" {
		return true
	}
	f := fields{rest: message}
	if !f.next() || f.tag != 1<<3|bytes || f.rest != "" {
		return false
	}
	info.FaultDomain = d.faults.one()
	fault := fields{rest: f.text}
	for fault.next() {
		ok := fault.once()
		var name string
		if ok {
			name, ok = value(fault.text)
		}
		switch fault.tag {
		case 1<<3 | bytes:
			info.FaultDomain.Region.Name = *d.name(name)
		case 2<<3 | bytes:
			info.FaultDomain.Zone.Name = *d.name(name)
		default:
			return false
		}
		if !ok {
			return false
		}
	}
	return fault.has(1, 2)
}

func (d *decoder) text(s string) *string {
	p := d.pointers.one()
	*p = d.strings.keep(s)
	return p
}
