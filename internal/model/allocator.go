package model

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"
)

// offer is an outstanding offer. Its resources are allocated to role.
type offer struct {
	id        string
	seq       int
	framework *framework
	agent     *agent
	role      string
	resources Resources
	made      time.Time
}

// filterKey is what a decline filter applies to.
type filterKey struct{ role, agent string }

// filter withholds offers that hold no more than what was refused.
type filter struct {
	refused Resources // unallocated
	until   time.Time
}

// defaultRefuse and maxRefuse are Mesos's default and limit of
// Filters.refuse_seconds.
const (
	defaultRefuse = 5 * time.Second
	maxRefuse     = 365 * 24 * time.Hour
)

// refuse returns how long a filter lasts.
func refuse(f *mesos.Filters) time.Duration {
	if f == nil || f.RefuseSeconds == nil {
		return defaultRefuse
	}
	switch s := *f.RefuseSeconds; {
	case s != s || s < 0:
		return defaultRefuse
	case s > maxRefuse.Seconds():
		return maxRefuse
	default:
		return time.Duration(s * float64(time.Second))
	}
}

// recoverResources gives back what a framework was offered and did not use. A
// filter keeps the same from being offered again at once.
func (m *Master) recoverResources(f *framework, a *agent, role string, unused Resources, d time.Duration) {
	if len(unused) == 0 || d == 0 {
		return
	}
	key := filterKey{role, a.id}
	// A filter outlasts the next round; otherwise it would be no filter.
	f.filters[key] = append(f.filters[key], filter{unused.Allocated(""), m.now.Add(max(d, m.cfg.AllocationInterval))})
}

// filtered reports whether the framework refused as much or more lately.
func (f *framework) filtered(key filterKey, offered Resources, now time.Time) bool {
	fs, ok := f.filters[key]
	if !ok {
		return false
	}
	fs = slices.DeleteFunc(fs, func(x filter) bool { return !x.until.After(now) })
	if len(fs) == 0 {
		delete(f.filters, key)
		return false
	}
	f.filters[key] = fs
	return slices.ContainsFunc(fs, func(x filter) bool { return x.refused.Contains(offered) })
}

func (m *Master) allAgentsDirty() {
	for _, a := range m.order {
		m.dirty[a.id] = true
	}
}

// allocateAll is a round over all agents.
func (m *Master) allocateAll() {
	m.dirty = map[string]bool{}
	m.allocate(m.order)
	m.inviteMaintenance()
}

// allocateDirty makes offers for agents that an event has made interesting.
func (m *Master) allocateDirty() {
	if len(m.dirty) == 0 {
		return
	}
	agents := make([]*agent, 0, len(m.dirty))
	for _, a := range m.order {
		if m.dirty[a.id] {
			agents = append(agents, a)
		}
	}
	m.dirty = map[string]bool{}
	m.allocate(agents)
}

// allocate offers what is free on the agents, each agent to the framework of
// the smallest share whose filters let it through (weighted dominant resource
// fairness over roles, and over the frameworks of a role).
func (m *Master) allocate(agents []*agent) {
	shares := m.newShares()
	if len(shares.roles) == 0 {
		return
	}
	made := map[*framework][]*offer{}
	var whom []*framework
	for _, a := range agents {
		if !a.active() {
			continue
		}
		free := a.free()
		for _, role := range shares.sortedRoles() {
			for _, f := range shares.sortedFrameworks(role) {
				if len(free) == 0 {
					break
				}
				o := m.offerTo(f, role, a, free, shares.headroom(m, role))
				if o == nil {
					continue
				}
				free = a.free()
				if made[f] == nil {
					whom = append(whom, f)
				}
				made[f] = append(made[f], o)
				shares.add(f, role, o.resources)
			}
		}
	}
	for _, f := range whom {
		e := &scheduler.Event{Type: scheduler.Event_OFFERS, Offers: &scheduler.Event_Offers{}}
		for _, o := range made[f] {
			e.Offers.Offers = append(e.Offers.Offers, m.wireOffer(o))
		}
		m.emit(f, e)
	}
}

// offerTo makes an offer of what is free for role on a, or returns nil. Of
// what is not reserved it takes no more than is left of the role's quota.
func (m *Master) offerTo(f *framework, role string, a *agent, free Resources, left map[string]int64) *offer {
	if f.constraints.excludes(role, &a.info) {
		return nil
	}
	var reserved, scalars Resources
	for _, r := range free {
		switch {
		case !r.allocatableTo(role) || !f.canUse(r):
		case r.reservedFor() == "" && r.scalar() && r.meta.Revocable == nil:
			scalars = append(scalars, r)
		default:
			reserved = append(reserved, r)
		}
	}
	// Reserved and other resources come first, as in Mesos.
	scalars = shrink(scalars, left)
	offered := append(reserved, scalars...)
	if !m.enough(offered) || f.filtered(filterKey{role, a.id}, offered, m.now) {
		return nil
	}
	o := &offer{
		id: fmt.Sprintf("%s-O%d", m.cfg.Info.ID, m.nextOffer), seq: m.nextOffer,
		framework: f, agent: a, role: role, resources: offered.Allocated(role), made: m.now,
	}
	m.nextOffer++
	m.offers[o.id] = o
	f.offers[o.id] = o
	a.offers[o.id] = o
	a.allocated = a.allocated.Plus(o.resources)
	for _, r := range scalars {
		take(left, r)
	}
	return o
}

// canUse reports whether the framework's capabilities cover the resource.
func (f *framework) canUse(r resource) bool {
	switch {
	case r.meta.Revocable != nil && !f.can(mesos.FrameworkInfo_Capability_REVOCABLE_RESOURCES),
		r.shared() && !f.can(mesos.FrameworkInfo_Capability_SHARED_RESOURCES),
		r.meta.Name == "gpus" && !f.can(mesos.FrameworkInfo_Capability_GPU_RESOURCES),
		len(r.meta.Reservations) > 1 && !f.can(mesos.FrameworkInfo_Capability_RESERVATION_REFINEMENT):
		return false
	}
	return true
}

// enough reports whether resources reach one of the minimal offers.
func (m *Master) enough(rs Resources) bool {
	if len(rs) == 0 {
		return false
	}
	if len(m.cfg.MinOffer) == 0 {
		return true
	}
	have := map[string]int64{}
	rs.scalars(have, 1)
	return slices.ContainsFunc(m.cfg.MinOffer, func(least map[string]int64) bool {
		for name, v := range least {
			if have[name] < v {
				return false
			}
		}
		return true
	})
}

func (m *Master) wireOffer(o *offer) mesos.Offer {
	a, f := o.agent, o.framework
	w := mesos.Offer{
		ID: mesos.OfferID{Value: o.id}, FrameworkID: mesos.FrameworkID{Value: f.id}, AgentID: mesos.AgentID{Value: a.id},
		Hostname: a.info.Hostname, URL: a.url(), Domain: a.info.Domain,
		Resources: o.resources.Wire(f.format()), Attributes: a.info.Attributes,
		Unavailability: m.unavailability(a),
	}
	for _, key := range sortedRefs(a.executors) {
		if key.framework == f.id {
			w.ExecutorIDs = append(w.ExecutorIDs, mesos.ExecutorID{Value: key.id})
		}
	}
	if f.format().Allocation {
		w.AllocationInfo = &mesos.Resource_AllocationInfo{Role: new(o.role)}
	}
	return w
}

// removeOffer takes an offer off the books; its resources are free again,
// less what the caller then takes.
func (m *Master) removeOffer(o *offer) {
	delete(m.offers, o.id)
	delete(o.framework.offers, o.id)
	delete(o.agent.offers, o.id)
	o.agent.allocated, _ = o.agent.allocated.Minus(o.resources)
}

// rescind takes an offer back.
func (m *Master) rescind(o *offer) {
	m.emit(o.framework, &scheduler.Event{Type: scheduler.Event_RESCIND,
		Rescind: &scheduler.Event_Rescind{OfferID: mesos.OfferID{Value: o.id}}})
	m.removeOffer(o)
}

// discardOffers drops the offers of a framework that cannot hear of it.
func (m *Master) discardOffers(f *framework) {
	for _, o := range f.offersInOrder() {
		m.removeOffer(o)
	}
	for _, id := range sortedKeys(f.inverse) {
		m.removeInverse(f.inverse[id])
	}
}

func (m *Master) rescindAgent(a *agent) {
	for _, o := range a.offersInOrder() {
		m.rescind(o)
	}
}

func (m *Master) expireOffers() {
	if m.cfg.OfferTimeout <= 0 {
		return
	}
	for _, o := range slices.SortedFunc(maps.Values(m.offers), func(x, y *offer) int { return cmp.Compare(x.seq, y.seq) }) {
		if m.now.Sub(o.made) >= m.cfg.OfferTimeout {
			m.rescind(o)
		}
	}
}

func (m *Master) decline(f *framework, ids []mesos.OfferID, filters *mesos.Filters) {
	for _, id := range ids {
		o := f.offers[id.Value]
		if o == nil {
			continue // no longer valid: nothing to give back
		}
		m.removeOffer(o)
		m.recoverResources(f, o.agent, o.role, o.resources, refuse(filters))
	}
}

// revive ends suppression and filters, of the given roles or all.
func (m *Master) revive(f *framework, roles []string) {
	if !f.hasRoles(roles) {
		return
	}
	if len(roles) == 0 {
		roles = f.roles
	}
	for _, r := range roles {
		delete(f.suppressed, r)
	}
	maps.DeleteFunc(f.filters, func(k filterKey, _ []filter) bool { return slices.Contains(roles, k.role) })
	m.allAgentsDirty()
}

// hasRoles reports whether the framework is subscribed with all the roles. One
// that it lacks spoils a call, of which Mesos then does nothing.
func (f *framework) hasRoles(roles []string) bool {
	return !slices.ContainsFunc(roles, func(r string) bool { return !slices.Contains(f.roles, r) })
}

func (m *Master) suppress(f *framework, roles []string) {
	if !f.hasRoles(roles) {
		return
	}
	if len(roles) == 0 {
		roles = f.roles
	}
	for _, r := range roles {
		f.suppressed[r] = true
	}
}

// shares ranks roles and frameworks by their dominant share of the cluster.
type shares struct {
	total      map[string]int64
	roles      map[string][]*framework // that want offers
	byRole     map[string]map[string]int64
	byClient   map[filterKey]map[string]int64 // role and framework ID
	weights    map[string]float64
	roleOrder  []string // cached; nil when out of date
	frameOrder map[string][]*framework
	left       map[string]map[string]int64 // of the quota of top roles
}

// headroom is what is left of the quota of the role's top role.
func (s *shares) headroom(m *Master, role string) map[string]int64 {
	if len(m.registry.Quota) == 0 {
		return nil
	}
	top := topRole(role)
	left, ok := s.left[top]
	if !ok {
		left = m.headroom(top)
		s.left[top] = left
	}
	return left
}

func (m *Master) newShares() *shares {
	s := &shares{
		total: map[string]int64{}, roles: map[string][]*framework{}, weights: m.registry.Weights,
		byRole: map[string]map[string]int64{}, byClient: map[filterKey]map[string]int64{},
		frameOrder: map[string][]*framework{}, left: map[string]map[string]int64{},
	}
	for _, f := range m.framesInOrder() {
		if f.stream == "" {
			continue
		}
		for _, r := range f.roles {
			if !f.suppressed[r] {
				s.roles[r] = append(s.roles[r], f)
			}
		}
	}
	if len(s.roles) == 0 {
		return s
	}
	for _, a := range m.order {
		a.total.scalars(s.total, 1)
		for _, o := range a.offers {
			s.count(o.framework.id, o.role, o.resources)
		}
		for _, t := range a.tasks {
			s.count(t.framework, t.role, t.held)
		}
		for key, e := range a.executors {
			s.count(key.framework, e.role, e.resources)
		}
	}
	return s
}

func (s *shares) count(framework, role string, rs Resources) {
	if s.byRole[role] == nil {
		s.byRole[role] = map[string]int64{}
	}
	rs.scalars(s.byRole[role], 1)
	key := filterKey{role, framework}
	if s.byClient[key] == nil {
		s.byClient[key] = map[string]int64{}
	}
	rs.scalars(s.byClient[key], 1)
}

func (s *shares) add(f *framework, role string, rs Resources) {
	s.count(f.id, role, rs)
	s.roleOrder = nil
	delete(s.frameOrder, role)
}

// dominant is the largest fraction of any resource.
func (s *shares) dominant(have map[string]int64) float64 {
	most := 0.0
	for name, v := range have {
		if t := s.total[name]; t > 0 {
			most = max(most, float64(v)/float64(t))
		}
	}
	return most
}

func (s *shares) sortedFrameworks(role string) []*framework {
	if order, ok := s.frameOrder[role]; ok {
		return order
	}
	share := map[*framework]float64{}
	for _, f := range s.roles[role] {
		share[f] = s.dominant(s.byClient[filterKey{role, f.id}])
	}
	order := slices.Clone(s.roles[role])
	slices.SortStableFunc(order, func(a, b *framework) int { return cmp.Compare(share[a], share[b]) })
	s.frameOrder[role] = order
	return order
}
