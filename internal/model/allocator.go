package model

import (
	"cmp"
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

// filtered reports whether the framework refused as much or more lately, and
// for how long that counts.
func (f *framework) filtered(key filterKey, offered Resources, now time.Time) (until time.Time, filtered bool) {
	fs, ok := f.filters[key]
	if !ok {
		return time.Time{}, false
	}
	fs = slices.DeleteFunc(fs, func(x filter) bool { return !x.until.After(now) })
	if len(fs) == 0 {
		delete(f.filters, key)
		return time.Time{}, false
	}
	f.filters[key] = fs
	i := slices.IndexFunc(fs, func(x filter) bool { return x.refused.Contains(offered) })
	if i < 0 {
		return time.Time{}, false
	}
	return fs[i].until, true
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
	for id := range m.dirty {
		if a := m.agents[id]; a != nil {
			agents = append(agents, a)
		}
	}
	slices.SortFunc(agents, func(a, b *agent) int { return cmp.Compare(a.nth, b.nth) })
	m.dirty = map[string]bool{}
	m.allocate(agents)
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
	clear(f.passed)
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
