package wire

import (
	"fmt"
	"slices"
	"unsafe"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	sched "github.com/mesos/mesos-go/api/v1/lib/scheduler"
)

// Event decodes one event. It does not keep the frame.
func Event(frame []byte) (*sched.Event, error) {
	if ev, ok := offersEvent(frame); ok {
		return ev, nil
	}
	ev := new(sched.Event)
	if err := ev.Unmarshal(frame); err != nil {
		return nil, fmt.Errorf("decode event of %d bytes: %w", len(frame), err)
	}
	return ev, nil
}

// The tags of an OFFERS event as the master encodes it: the type comes first.
const (
	eventType      = 1<<3 | varint
	eventOffers    = 3<<3 | bytes
	offersOffer    = 1<<3 | bytes
	offerAttribute = 7<<3 | bytes
)

func offersEvent(frame []byte) (*sched.Event, bool) {
	if len(frame) < 2 || frame[0] != eventType || frame[1] != byte(sched.Event_OFFERS) {
		return nil, false
	}
	// The decoder looks at the frame as a string without a copy of it, and hands
	// out copies: a third of the frame at most. Nothing of it outlives this call.
	message := unsafe.String(unsafe.SliceData(frame), len(frame))[2:]
	var d decoder
	ev := &sched.Event{Type: sched.Event_OFFERS}
	f := fields{rest: message}
	for f.next() {
		if f.tag != eventOffers || !f.once() {
			return nil, false
		}
		offers, ok := d.offers(f.text)
		if !ok {
			return nil, false
		}
		ev.Offers = &sched.Event_Offers{Offers: offers}
	}
	return ev, f.has()
}

// decoder makes messages out of slabs. Its methods report false for what they
// leave to mesos-go.
type decoder struct {
	resources  slab[mesos.Resource]
	attributes slab[mesos.Attribute]
	scalars    slab[mesos.Value_Scalar]
	rangeLists slab[mesos.Value_Ranges]
	ranges     slab[mesos.Value_Range]
	texts      slab[mesos.Value_Text]
	allocated  slab[mesos.Resource_AllocationInfo]
	urls       slab[mesos.URL]
	pointers   slab[string]
	strings    arena
	domains    slab[mesos.DomainInfo]
	faults     slab[mesos.DomainInfo_FaultDomain]

	// Few values, each of them many times: the offers share them.
	types          shared[mesos.Value_Type]
	names          names
	allocations    cache[*mesos.Resource_AllocationInfo]
	attributeLists cache[[]mesos.Attribute]
	portLists      cache[[]mesos.Value_Range]
}

func (d *decoder) offers(message string) ([]mesos.Offer, bool) {
	var offers []mesos.Offer
	f := fields{rest: message}
	for f.next() {
		if f.tag != offersOffer {
			return nil, false
		}
		if len(offers) == cap(offers) {
			offers = slices.Grow(offers, 1+roomFor(f.rest, len(f.text)))
		}
		offers = append(offers, mesos.Offer{})
		o := &offers[len(offers)-1]
		if d.offer(f.text, o) {
			continue
		}
		*o = mesos.Offer{}
		if err := o.Unmarshal([]byte(f.text)); err != nil {
			return nil, false // let mesos-go say what is wrong with the event
		}
	}
	return offers, f.has()
}

// roomFor guesses how many messages are still to come, by the size of one.
// Offers are alike, so that a little more than the guess is mostly enough.
func roomFor(rest string, size int) int {
	const header = 3 // tag and length, of up to 16 kB
	n := len(rest) / (size + header)
	return n + n/32
}

func (d *decoder) offer(message string, o *mesos.Offer) bool {
	resources := d.resources.open()
	f := fields{rest: message}
	ok := true
	for before := message; ok && f.next(); before = f.rest {
		switch f.tag {
		case 5<<3 | bytes:
			resources = d.resources.more(resources)
			ok = d.resource(f.text, &resources[len(resources)-1])
		case offerAttribute:
			all, rest := run(before, offerAttribute)
			if f.once() { // else they are not in one place
				o.Attributes, ok = d.attributeList(all)
				f.rest = rest
				continue
			}
			return false
		default:
			ok = f.once() && d.offerField(&f, o)
		}
	}
	o.Resources = d.resources.close(resources)
	return ok && f.has(1, 2, 3, 4)
}

// attributeList decodes the attributes of an offer, which follow one another in
// a message. Agents that are alike share them.
func (d *decoder) attributeList(message string) ([]mesos.Attribute, bool) {
	if list, ok := d.attributeLists.at(message); ok {
		return list, true
	}
	list := d.attributes.open()
	f := fields{rest: message}
	for f.next() {
		list = d.attributes.more(list)
		if !d.attribute(f.text, &list[len(list)-1]) {
			return nil, false
		}
	}
	list = d.attributes.close(list)
	if f.has() {
		d.attributeLists.put(message, list)
	}
	return list, f.has()
}

// offerField decodes a field that occurs once in an offer.
func (d *decoder) offerField(f *fields, o *mesos.Offer) (ok bool) {
	switch f.tag {
	case 1<<3 | bytes:
		o.ID.Value, ok = d.value(f.text)
	case 2<<3 | bytes:
		var id string
		id, ok = value(f.text)
		o.FrameworkID.Value = *d.name(id)
	case 3<<3 | bytes:
		o.AgentID.Value, ok = d.value(f.text)
	case 4<<3 | bytes:
		o.Hostname, ok = d.strings.keep(f.text), true
	case 8<<3 | bytes:
		o.URL = d.urls.one()
		ok = d.url(f.text, o.URL)
	case 10<<3 | bytes:
		o.AllocationInfo, ok = d.allocationInfo(f.text)
	case 11<<3 | bytes:
		o.Domain = d.domains.one()
		ok = d.domain(f.text, o.Domain)
	}
	return ok
}

func (d *decoder) resource(message string, r *mesos.Resource) bool {
	if d.commonResource(message, r) {
		return true
	}
	*r = mesos.Resource{} // reserved, a volume, or otherwise out of the common
	return r.Unmarshal([]byte(message)) == nil
}

func (d *decoder) commonResource(message string, r *mesos.Resource) bool {
	f := fields{rest: message}
	for f.next() {
		ok := f.once()
		switch f.tag {
		case 1<<3 | bytes:
			r.Name = *d.name(f.text)
		case 2<<3 | varint:
			r.Type = d.types.of(mesos.Value_Type(f.value))
		case 3<<3 | bytes:
			r.Scalar = d.scalars.one()
			ok = ok && scalar(f.text, r.Scalar)
		case 4<<3 | bytes:
			r.Ranges = d.rangeLists.one()
			ok = ok && d.rangeList(f.text, r.Ranges)
		case 6<<3 | bytes:
			r.Role = d.name(f.text)
		case 11<<3 | bytes:
			var is bool
			r.AllocationInfo, is = d.allocationInfo(f.text)
			ok = ok && is
		default:
			return false
		}
		if !ok {
			return false
		}
	}
	return f.has(1, 2)
}

func (d *decoder) attribute(message string, a *mesos.Attribute) bool {
	f := fields{rest: message}
	for f.next() {
		ok := f.once()
		switch f.tag {
		case 1<<3 | bytes:
			a.Name = *d.name(f.text)
		case 2<<3 | varint:
			a.Type = mesos.Value_Type(f.value)
		case 3<<3 | bytes:
			a.Scalar = d.scalars.one()
			ok = ok && scalar(f.text, a.Scalar)
		case 4<<3 | bytes:
			a.Ranges = d.rangeLists.one()
			ok = ok && d.rangeList(f.text, a.Ranges)
		case 5<<3 | bytes:
			a.Text = d.texts.one()
			var is bool
			a.Text.Value, is = d.value(f.text)
			ok = ok && is
		default:
			return false
		}
		if !ok {
			return false
		}
	}
	return f.has(1, 2)
}
