package model

import (
	"fmt"
	"slices"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"
)

// round is one run of the allocator over some agents
// (HierarchicalAllocatorProcess::__generateOffers): first for the roles whose
// guaranteed quota is not met, then for all; each agent to the framework of the
// smallest share whose filters let it through (weighted dominant resource
// fairness over roles, and over the frameworks of a role).
type round struct {
	m      *Master
	shares *shares
	quotas map[string]*quotaUse // by role that has quota
	// required is what guarantees still need, available what is free for
	// them: unreserved, and not revocable. Both are nil if nobody needs
	// anything.
	required, available map[string]int64

	made map[*framework][]*offer
	whom []*framework // in the order of their first offers
}

// quotaUse is a role's quota, and what it has of it: its reservations, and what
// it holds or is offered without. In thousandths by resource name.
type quotaUse struct{ guarantees, limits, consumed map[string]int64 }

// allocate offers what is free on the agents.
func (m *Master) allocate(agents []*agent) {
	r := &round{m: m, shares: m.newShares(), made: map[*framework][]*offer{}}
	if len(r.shares.roles) == 0 {
		return
	}
	r.takeStock()
	if r.required != nil {
		for _, a := range agents {
			r.serve(a, r.guaranteed)
		}
	}
	for _, a := range agents {
		r.serve(a, r.rest)
	}
	for _, f := range r.whom {
		e := &scheduler.Event{Type: scheduler.Event_OFFERS, Offers: &scheduler.Event_Offers{}}
		for _, o := range r.made[f] {
			e.Offers.Offers = append(e.Offers.Offers, m.wireOffer(o))
		}
		m.emit(f, e)
	}
}

// takeStock sums up what quota needs.
func (r *round) takeStock() {
	r.quotas = map[string]*quotaUse{}
	for role, c := range r.m.registry.Quota {
		q := &quotaUse{amounts(c.Guarantees), amounts(c.Limits), r.m.consumed(role, (*agent).held)}
		r.quotas[role] = q
		for name, v := range q.guarantees {
			if lack := v - q.consumed[name]; lack > 0 {
				if r.required == nil {
					r.required, r.available = map[string]int64{}, map[string]int64{}
				}
				r.required[name] += lack
			}
		}
	}
	if r.required != nil {
		for _, a := range r.m.order {
			a.free().only(underQuota).scalars(r.available, 1)
		}
	}
}

// underQuota reports whether a resource counts for quota when it is offered.
// Reservations count whether they are offered or not.
func underQuota(r resource) bool {
	return r.scalar() && r.reservedFor() == "" && r.meta.Revocable == nil
}

// serve makes offers of one agent. choose says what of the resources under
// quota goes to a role; ok is false if the role gets nothing at all.
func (r *round) serve(a *agent, choose func(role string, rs Resources) (offer Resources, ok bool)) {
	if !a.active() {
		return
	}
	free := a.free()
	if len(free) == 0 || r.allPassed(a) {
		return
	}
	var lent []string // shared volumes, by shape, that are offered by now
	for _, role := range r.shares.sortedRoles() {
		for _, f := range r.shares.sortedFrameworks(role) {
			if len(free) == 0 {
				return
			}
			if r.passed(f, role, a) {
				continue
			}
			if f.constraints.excludes(role, &a.info) || !r.m.mayReceive(f, a) {
				continue
			}
			available := free.only(func(x resource) bool { return x.allocatableTo(role) && f.canUse(x) && !slices.Contains(lent, x.shape) })
			if !r.m.enough(f, role, available) {
				r.pass(f, role, a, lent, always)
				continue
			}
			// Reserved and other resources come first, as in Mesos.
			chosen, ok := choose(role, available.only(underQuota))
			if !ok {
				continue
			}
			offered := append(available.only(func(x resource) bool { return !underQuota(x) }), chosen...)
			if !r.m.enough(f, role, offered) {
				continue
			}
			if until, filtered := f.filtered(filterKey{role, a.id}, offered, r.m.now); filtered {
				r.pass(f, role, a, lent, until)
				continue
			}
			r.offer(f, role, a, offered)
			for _, x := range offered.only(resource.shared) {
				lent = append(lent, x.shape)
			}
			free = a.free()
		}
	}
}

// passedBy says that a framework was passed by in a role, with what an agent had
// free, and until when it would be again.
type passedBy struct {
	number int // of agent.freeMemo
	until  time.Time
}

// always is later than anything.
var always = time.Unix(1<<40, 0)

// pass remembers that a framework gets no offer of an agent. With quota, or
// where a shared volume was given to another, that depends on more.
func (r *round) pass(f *framework, role string, a *agent, lent []string, until time.Time) {
	if len(r.quotas) == 0 && len(lent) == 0 {
		f.passed[filterKey{role, a.id}] = passedBy{a.freeMemo.number, until}
	}
}

func (r *round) passed(f *framework, role string, a *agent) bool {
	if len(r.quotas) > 0 {
		return false
	}
	p, ok := f.passed[filterKey{role, a.id}]
	return ok && p.number == a.freeMemo.number && r.m.now.Before(p.until)
}

// allPassed says whether nobody can get an offer of an agent, because nothing
// has changed since nobody got one.
func (r *round) allPassed(a *agent) bool {
	for role, fs := range r.shares.roles {
		for _, f := range fs {
			if !r.passed(f, role, a) {
				return false
			}
		}
	}
	return true
}

// guaranteed chooses what brings a role closer to its guarantees, and what it
// may have besides.
func (r *round) guaranteed(role string, rs Resources) (Resources, bool) {
	q := r.quotas[role]
	if q == nil {
		return nil, false
	}
	lack := map[string]int64{}
	for name, v := range q.guarantees {
		if v > q.consumed[name] {
			lack[name] = v - q.consumed[name]
		}
	}
	sure := shrink(rs.only(func(x resource) bool { return lack[x.meta.Name] > 0 }), lack)
	if len(sure) == 0 {
		return nil, false
	}
	more := rs.less(sure)
	limits := map[string]int64{}
	for name, v := range q.limits {
		limits[name] = v - q.consumed[name]
	}
	for _, x := range sure {
		take(limits, x)
	}
	more = shrink(more, limits)
	return sure.Plus(shrink(more, r.surplus())), true
}

// rest chooses what limits and the guarantees of others leave for a role.
func (r *round) rest(role string, rs Resources) (Resources, bool) {
	if q := r.quotas[role]; q != nil && len(q.limits) > 0 {
		limits := map[string]int64{}
		for name, v := range q.limits {
			limits[name] = v - q.consumed[name]
		}
		rs = shrink(rs, limits)
	}
	return shrink(rs, r.surplus()), true
}

// surplus is what nobody's guarantees need; nil if that is everything.
func (r *round) surplus() map[string]int64 {
	if len(r.required) == 0 {
		return nil
	}
	out := map[string]int64{}
	for name, v := range r.required {
		if v > 0 {
			out[name] = r.available[name] - v
		}
	}
	return out
}

// offer makes an offer and notes it in the books of this round.
func (r *round) offer(f *framework, role string, a *agent, rs Resources) {
	m := r.m
	o := &offer{
		id: fmt.Sprintf("%s-O%d", m.cfg.Info.ID, m.nextOffer), seq: m.nextOffer,
		framework: f, agent: a, role: role, resources: rs.Allocated(role), made: m.now,
	}
	m.nextOffer++
	m.offers[o.id], f.offers[o.id], a.offers[o.id] = o, o, o
	a.allocated = a.allocated.Plus(o.resources)
	if r.made[f] == nil {
		r.whom = append(r.whom, f)
	}
	r.made[f] = append(r.made[f], o)
	r.shares.add(f, role, o.resources)
	q := r.quotas[topRole(role)]
	for _, x := range rs {
		if !underQuota(x) {
			continue
		}
		name := x.meta.Name
		if r.available != nil {
			r.available[name] -= x.milli
		}
		if q == nil {
			continue
		}
		if lack := q.guarantees[name] - q.consumed[name]; lack > 0 && r.required != nil {
			r.required[name] -= min(lack, x.milli)
		}
		q.consumed[name] += x.milli
	}
}

// mayReceive reports whether a framework wants offers of such an agent at all:
// one with GPUs, or one that is far away.
func (m *Master) mayReceive(f *framework, a *agent) bool {
	gpu := func(r resource) bool { return r.meta.Name == "gpus" }
	if !f.can(mesos.FrameworkInfo_Capability_GPU_RESOURCES) && slices.ContainsFunc(a.total, gpu) {
		return false
	}
	if f.can(mesos.FrameworkInfo_Capability_REGION_AWARE) || a.info.GetDomain().GetFaultDomain() == nil {
		return true
	}
	here := m.cfg.Info.GetDomain().GetFaultDomain()
	return here == nil || here.Region == a.info.Domain.FaultDomain.Region
}

// canUse reports whether the framework's capabilities cover the resource.
func (f *framework) canUse(r resource) bool {
	switch {
	case r.meta.Revocable != nil && !f.can(mesos.FrameworkInfo_Capability_REVOCABLE_RESOURCES),
		r.shared() && !f.can(mesos.FrameworkInfo_Capability_SHARED_RESOURCES),
		len(r.meta.Reservations) > 1 && !f.can(mesos.FrameworkInfo_Capability_RESERVATION_REFINEMENT):
		return false
	}
	return true
}

// enough reports whether resources reach one of the minimal offers, of the
// framework if it has any for the role.
func (m *Master) enough(f *framework, role string, rs Resources) bool {
	if len(rs) == 0 {
		return false
	}
	least := m.cfg.MinOffer
	if own, ok := f.minOffer[role]; ok {
		least = own
	}
	if len(least) == 0 {
		return true
	}
	have := map[string]int64{}
	for _, r := range rs {
		have[r.meta.Name] += r.quantity()
	}
	return slices.ContainsFunc(least, func(least map[string]int64) bool {
		for name, v := range least {
			if have[name] < v {
				return false
			}
		}
		return true
	})
}
