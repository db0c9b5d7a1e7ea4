package frameworks

import (
	"log/slog"
	"slices"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

// An agent keeps its id and its hostname for life. But its machine may come back
// with another address, and with attributes that it did not have. The places on
// it follow: what is rendered from them is compared anew, and the nodes that it
// matters to, the one that lives there and its peers, are rolled as for any other
// change. A node that is down is launched with what holds now.
//
// Nothing but an offer says where an agent is. That of a node which runs may be
// offered only when offers are looked at for what is nobody's (see sweep); but a
// server does not outlive the address that it listens on.

// follow takes in what agents say of themselves in new offers.
func (d *decision) follow(offered []mesos.Offer) {
	latest := map[string]*mesos.Offer{}
	for i := range offered {
		o := &offered[i]
		latest[o.AgentID.Value] = o
		for _, name := range sortedKeys(d.lodgers[o.AgentID.Value]) {
			if n := d.node(name); !n.Place.describedBy(o) {
				d.rouse(n)
			}
		}
	}
	for _, n := range d.awake() {
		if n.Place == nil {
			continue
		}
		o := latest[n.Place.Agent]
		if o == nil || n.Place.describedBy(o) {
			continue
		}
		was := n.Place.Address
		n.Place.describe(o)
		if n.Place.Address != was {
			d.note(n, "its agent has another address", slog.String("from", was), slog.String("to", n.Place.Address))
		} else {
			d.note(n, "its agent describes itself otherwise", slog.String("agent", n.Place.Hostname))
		}
	}
}

// describe takes over what an agent says of itself.
func (p *Place) describe(o *mesos.Offer) {
	p.Hostname, p.Address, p.Attributes, p.Domain = o.Hostname, addressOf(o), o.Attributes, o.Domain
}

// describedBy says whether that is what is known of it.
func (p *Place) describedBy(o *mesos.Offer) bool {
	return p.Hostname == o.Hostname && p.Address == addressOf(o) && p.Domain.Equal(o.Domain) &&
		slices.EqualFunc(p.Attributes, o.Attributes, func(a, b mesos.Attribute) bool { return a.Equal(&b) })
}

// addressOf is where an agent is reached: the address that its offer names, or
// else its hostname.
func addressOf(o *mesos.Offer) string {
	if o.URL != nil && o.URL.Address.GetIP() != "" {
		return o.URL.Address.GetIP()
	}
	return o.Hostname
}
