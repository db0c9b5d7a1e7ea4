package offers

import (
	"slices"
	"strings"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler/calls"

	"github.com/mesokit/mesokit/constraints"
)

// Match is a place for one request. What it points to is shared with the
// offers and must not be changed.
type Match struct {
	Node            string
	Agent, Hostname string
	Where           constraints.Agent
	Offers          []mesos.OfferID // all that are held of the agent, in the role of the request

	// Operations are RESERVE and CREATE, as far as needed: empty where all of
	// it was reserved before.
	Operations []mesos.Offer_Operation

	// Resources are what the node has once the operations are done: what its
	// task is to be launched on, and what Claim will look for.
	Resources []mesos.Resource
	Ports     map[string]uint64 // by name
}

// Accept is what one ACCEPT call carries: offers of one agent and role, and
// what to do with them in this order.
type Accept struct {
	Agent      string
	Offers     []mesos.OfferID
	Operations []mesos.Offer_Operation
}

// Accepts merges matches that share their offers, for an offer can be accepted
// only once. The order is that of the matches.
func Accepts(matches []Match) []Accept {
	var accepts []Accept
	for _, m := range matches {
		i := slices.IndexFunc(accepts, func(a Accept) bool { return slices.Equal(a.Offers, m.Offers) })
		if i < 0 {
			i = len(accepts)
			accepts = append(accepts, Accept{Agent: m.Agent, Offers: m.Offers})
		}
		accepts[i].Operations = append(accepts[i].Operations, m.Operations...)
	}
	return accepts
}

// Launch starts tasks on an agent. The tasks carry their resources already;
// their agent is set here.
func Launch(agent string, tasks ...mesos.TaskInfo) mesos.Offer_Operation {
	tasks = slices.Clone(tasks)
	for i := range tasks {
		tasks[i].AgentID = mesos.AgentID{Value: agent}
	}
	return calls.OpLaunch(tasks...)
}

// match makes the answer of a successful try.
func (f *fit) match(a *agent) Match {
	r := f.request
	m := Match{
		Node: r.Node, Agent: a.id, Hostname: a.latest().Hostname, Where: whereOf(a.latest()),
		Offers: a.offerIDs(), Ports: map[string]uint64{},
	}
	var reserve, create []mesos.Resource
	for _, t := range f.takes {
		p := &a.parts[t.part]
		res := withQuantity(p.of, t.quantity(p))
		if who := f.owners[t.part]; !r.Unreserved && (who == refined || who == nobody) {
			res = reserved(&res, f.reservation())
			reserve = plusOne(reserve, &res)
		}
		switch t.of {
		case portTake:
			m.Ports[r.Ports[t.index].Name] = t.number
		case volumeTake:
			if r.Volumes[t.index].Disk == BlockDisk {
				break
			}
			res.Disk = f.disk(&res, t.index)
			if r.Volumes[t.index].Shared {
				res.Shared = &mesos.Resource_SharedInfo{}
			}
			create = append(create, res)
		case ownVolumeTake:
			res.Disk = f.disk(&res, t.index)
		}
		m.Resources = plusOne(m.Resources, &res)
	}
	m.Operations = operations(reserve, create)
	if r.Operation != "" {
		for i := range m.Operations {
			op := &m.Operations[i]
			op.ID = &mesos.OperationID{Value: r.Operation + "." + strings.ToLower(op.Type.String())}
		}
	}
	return m
}

// operations are in the order in which Mesos can carry them out.
func operations(reserve, create []mesos.Resource) []mesos.Offer_Operation {
	var ops []mesos.Offer_Operation
	if len(reserve) > 0 {
		ops = append(ops, calls.OpReserve(reserve...))
	}
	if len(create) > 0 {
		ops = append(ops, calls.OpCreate(create...))
	}
	return ops
}

// quantity is how much of the part was taken.
func (t take) quantity(p *part) quantity {
	switch t.of {
	case itemTake:
		return t.items
	case portTake:
		return quantity{name: p.of.Name, kind: mesos.RANGES, ranges: ranges{{Begin: t.number, End: t.number}}}
	default:
		return quantity{name: p.of.Name, kind: mesos.SCALAR, scalar: t.amount}
	}
}

func (f *fit) reservation() mesos.Resource_ReservationInfo {
	info := mesos.Resource_ReservationInfo{
		Type: mesos.Resource_ReservationInfo_DYNAMIC.Enum(),
		Role: new(f.role),
	}
	if f.request.Principal != "" {
		info.Principal = new(f.request.Principal)
	}
	if len(f.request.Labels) > 0 {
		info.Labels = &mesos.Labels{Labels: slices.Clone(f.request.Labels)}
	}
	return info
}

// disk says which volume is on a resource. Mesos wants the framework's
// principal on the volume too, where it has one.
func (f *fit) disk(on *mesos.Resource, volume int) *mesos.Resource_DiskInfo {
	v := &f.request.Volumes[volume]
	persistence := &mesos.Resource_DiskInfo_Persistence{ID: v.ID}
	if existing := on.GetDisk().GetPersistence(); existing != nil {
		persistence = existing
	} else if f.request.Principal != "" {
		persistence.Principal = new(f.request.Principal)
	}
	return &mesos.Resource_DiskInfo{
		Persistence: persistence,
		Source:      on.GetDisk().GetSource(),
		Volume:      &mesos.Volume{ContainerPath: v.Path, Mode: mesos.RW.Enum()},
	}
}

// reserved is r with one reservation more on its stack, in the format of
// reservation refinement.
func reserved(r *mesos.Resource, info mesos.Resource_ReservationInfo) mesos.Resource {
	of := *r
	of.Role, of.Reservation, of.Reservations = nil, nil, nil
	for i := range reservationCount(r) {
		of.Reservations = append(of.Reservations, reservationAt(r, i))
	}
	of.Reservations = append(of.Reservations, info)
	return of
}

// unreserved is r without the last reservation of its stack.
func unreserved(r *mesos.Resource) mesos.Resource {
	of := *r
	of.Role, of.Reservation, of.Reservations = nil, nil, nil
	for i := range reservationCount(r) - 1 {
		of.Reservations = append(of.Reservations, reservationAt(r, i))
	}
	return of
}
