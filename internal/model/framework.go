package model

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"
)

// framework is the master's account of a framework.
type framework struct {
	id   string
	seq  int // order of first appearance
	info mesos.FrameworkInfo
	caps map[mesos.FrameworkInfo_Capability_Type]bool

	roles       []string
	suppressed  map[string]bool
	constraints OfferConstraints
	minOffer    map[string][]map[string]int64 // by role, where the framework asks for its own
	filters     map[filterKey][]filter
	passed      map[filterKey]passedBy // by offers, and not again before something changes

	stream    string    // "" unless connected
	removeAt  time.Time // end of the failover timeout; zero while connected
	recovered bool      // known from agents only; has not subscribed to this master

	tasks       map[string]*task // on registered agents
	unreachable map[string]*task
	ended       []*task // newest last, bounded
	offers      map[string]*offer
	inverse     map[string]*inverseOffer

	registered, reregistered, unregistered time.Time
}

// maxEnded bounds the completed tasks that are kept for the state endpoints.
const maxEnded = 1000

func newFramework(id string, seq int, info *mesos.FrameworkInfo) *framework {
	f := &framework{
		id: id, seq: seq, suppressed: map[string]bool{}, filters: map[filterKey][]filter{}, passed: map[filterKey]passedBy{},
		tasks: map[string]*task{}, unreachable: map[string]*task{},
		offers: map[string]*offer{}, inverse: map[string]*inverseOffer{},
	}
	f.setInfo(info)
	return f
}

func (f *framework) setInfo(info *mesos.FrameworkInfo) {
	f.info = *info
	f.info.ID = &mesos.FrameworkID{Value: f.id}
	clear(f.passed)
	f.caps = map[mesos.FrameworkInfo_Capability_Type]bool{}
	for _, c := range info.Capabilities {
		f.caps[c.Type] = true
	}
	f.roles = rolesOf(info)
	f.minOffer = map[string][]map[string]int64{}
	for role, filters := range info.OfferFilters {
		if filters.MinAllocatableResources != nil {
			f.minOffer[role] = []map[string]int64{}
			for _, q := range filters.MinAllocatableResources.Quantities {
				f.minOffer[role] = append(f.minOffer[role], amounts(q.Quantities))
			}
		}
	}
}

func (f *framework) can(c mesos.FrameworkInfo_Capability_Type) bool { return f.caps[c] }

func (f *framework) partitionAware() bool {
	return f.can(mesos.FrameworkInfo_Capability_PARTITION_AWARE)
}

// lost returns state for a framework that knows the states of partitions, and
// TASK_LOST for others.
func (f *framework) lost(state mesos.TaskState) mesos.TaskState {
	if f.partitionAware() {
		return state
	}
	return mesos.TASK_LOST
}

func (f *framework) format() Format {
	return Format{
		Stack:      f.can(mesos.FrameworkInfo_Capability_RESERVATION_REFINEMENT),
		Allocation: f.can(mesos.FrameworkInfo_Capability_MULTI_ROLE),
	}
}

func (f *framework) failoverTimeout() time.Duration {
	s := f.info.GetFailoverTimeout()
	switch {
	case s <= 0 || math.IsNaN(s):
		return 0
	case s > 3.15e9: // a hundred years
		return 3.15e9 * time.Second
	}
	return time.Duration(s * float64(time.Second))
}

func rolesOf(info *mesos.FrameworkInfo) []string {
	if hasCapability(info, mesos.FrameworkInfo_Capability_MULTI_ROLE) {
		return info.Roles
	}
	return []string{cmp.Or(info.GetRole(), "*")}
}

func hasCapability(info *mesos.FrameworkInfo, c mesos.FrameworkInfo_Capability_Type) bool {
	return slices.ContainsFunc(info.Capabilities, func(x mesos.FrameworkInfo_Capability) bool { return x.Type == c })
}

// subscribe handles SUBSCRIBE: a new framework, one that comes back, or one
// that takes over from another connection.
func (m *Master) subscribe(in Call) {
	sub := in.Call.Subscribe
	info := *sub.FrameworkInfo
	if in.Principal != "" && info.Principal == nil {
		info.Principal = new(in.Principal)
	}
	m.do(Reply{Status: statusOK})
	f, err := m.validateSubscription(&info, sub.SuppressedRoles, in.Constraints)
	if err != nil {
		m.do(Emit{in.Stream, errorEvent(err.Error())})
		m.do(Close{in.Stream})
		return
	}
	m.admit(f, &info, in)
}

// validateSubscription checks what a framework subscribes with. It returns the
// framework if the master knows it, and then gives the information the fields
// that cannot change.
func (m *Master) validateSubscription(info *mesos.FrameworkInfo, suppressed []string, c OfferConstraints) (*framework, error) {
	if err := m.validateFramework(info); err != nil {
		return nil, err
	}
	if err := validateSuppressed(suppressed, rolesOf(info)); err != nil {
		return nil, err
	}
	if err := c.compile(rolesOf(info)); err != nil {
		return nil, err
	}
	f := m.frameworks[info.GetID().GetValue()]
	if f == nil {
		return nil, nil
	}
	info.User, info.Checkpoint = f.info.User, f.info.Checkpoint
	return f, validateUpdate(&f.info, info)
}

func (m *Master) admit(f *framework, info *mesos.FrameworkInfo, in Call) {
	isNew := f == nil
	id := info.GetID().GetValue()
	if isNew {
		again := id != ""
		if !again {
			id = fmt.Sprintf("%s-%04d", m.cfg.Info.ID, m.nextFramework)
			m.nextFramework++
		}
		f = newFramework(id, len(m.frameworks)+len(m.completed), info)
		f.recovered = again // by nobody but itself
		m.frameworks[id] = f
	}
	connected := f.stream != ""
	m.reform(f, info, in.Call.Subscribe.SuppressedRoles, in.Constraints)
	if connected {
		m.emit(f, errorEvent("Framework failed over"))
		m.do(Close{f.stream})
		delete(m.streams, f.stream)
		f.stream = ""
	}
	m.discardOffers(f)
	if f.registered.IsZero() || f.recovered {
		f.registered = m.now
	}
	if !isNew || f.recovered {
		f.reregistered = m.now
	}
	f.recovered, f.removeAt = false, time.Time{}
	f.stream = in.Stream
	m.streams[in.Stream] = f
	m.emit(f, &scheduler.Event{Type: scheduler.Event_SUBSCRIBED, Subscribed: &scheduler.Event_Subscribed{
		FrameworkID:              &mesos.FrameworkID{Value: id},
		HeartbeatIntervalSeconds: new(m.cfg.Heartbeat.Seconds()),
		MasterInfo:               &m.cfg.Info,
	}})
	m.frameworkChanged(f, isNew)
	if !isNew {
		m.broadcast(f)
	}
	if !connected {
		m.allAgentsDirty()
	}
}

// broadcast tells the agents what has become of a framework.
func (m *Master) broadcast(f *framework) {
	for _, a := range m.order {
		m.send(a, UpdateFramework{f.info})
	}
}

// reform takes new information of a framework into account. Offers in roles
// that it has left are taken back. A role that is no longer suppressed has no
// filters either.
func (m *Master) reform(f *framework, info *mesos.FrameworkInfo, suppressed []string, c OfferConstraints) {
	before := f.suppressed
	f.setInfo(info)
	f.constraints = c
	f.suppressed = map[string]bool{}
	for _, r := range suppressed {
		f.suppressed[r] = true
	}
	maps.DeleteFunc(f.filters, func(k filterKey, _ []filter) bool {
		return k.role != inverseRole && (!slices.Contains(f.roles, k.role) || before[k.role] && !f.suppressed[k.role])
	})
	clear(f.passed)
	for _, o := range f.offersInOrder() {
		if !slices.Contains(f.roles, o.role) {
			m.rescind(o)
		}
	}
}

func (m *Master) updateFramework(f *framework, u *scheduler.Call_UpdateFramework, c OfferConstraints) {
	fail := func(format string, args ...any) {
		m.do(Reply{statusBadRequest, fmt.Sprintf(format, args...)})
	}
	info := &u.FrameworkInfo
	if err := m.validateFramework(info); err != nil {
		fail("Supplied FrameworkInfo is not valid: %s", err)
		return
	}
	if err := validateUpdate(&f.info, info); err != nil {
		fail("FrameworkInfo update is not valid: %s", err)
		return
	}
	err := validateSuppressed(u.SuppressedRoles, rolesOf(info))
	if err == nil {
		err = c.compile(rolesOf(info))
	}
	if err != nil {
		fail("'UpdateFramework' call is not valid: %s", err)
		return
	}
	m.do(Reply{Status: statusOK})
	old := f.info
	m.reform(f, info, u.SuppressedRoles, c)
	if !old.Equal(&f.info) {
		m.frameworkChanged(f, false)
		m.broadcast(f)
	}
}

// streamClosed starts the failover timeout of the stream's framework.
func (m *Master) streamClosed(stream string) {
	f := m.streams[stream]
	if f == nil {
		return
	}
	delete(m.streams, stream)
	f.stream = ""
	m.discardOffers(f)
	f.filters = map[filterKey][]filter{}
	clear(f.passed)
	f.removeAt = m.now.Add(f.failoverTimeout())
	m.frameworkChanged(f, false)
	if f.failoverTimeout() == 0 {
		m.removeFramework(f)
	}
}

// removeFramework ends a framework for good: its tasks and executors are shut
// down, and its ID is never taken again.
func (m *Master) removeFramework(f *framework) {
	m.discardOffers(f)
	for _, a := range m.order {
		m.send(a, ShutdownFramework{f.id})
	}
	remove := func(t *task) {
		s := m.masterStatus(t.info.TaskID.Value, t.info.AgentID.Value, mesos.TASK_KILLED, mesos.REASON_FRAMEWORK_REMOVED,
			"Framework "+f.id+" removed")
		t.name(&s)
		m.setState(t, &s, mesos.TASK_KILLED)
		m.forget(t)
	}
	for _, t := range f.tasksInOrder() {
		remove(t)
	}
	for _, t := range slices.SortedFunc(maps.Values(f.unreachable), bySeq) {
		remove(t)
	}
	f.unreachable = map[string]*task{}
	for _, a := range m.order {
		for _, key := range sortedRefs(a.executors) {
			if key.framework == f.id {
				m.removeExecutor(a, key)
			}
		}
	}
	if f.stream != "" {
		m.do(Close{f.stream})
		delete(m.streams, f.stream)
		f.stream = ""
	}
	f.removeAt, f.unregistered = time.Time{}, m.now
	delete(m.frameworks, f.id)
	m.completed[f.id] = f
	m.frameworkRemoved(f)
}

func (f *framework) tasksInOrder() []*task { return slices.SortedFunc(maps.Values(f.tasks), bySeq) }

func (f *framework) offersInOrder() []*offer {
	return slices.SortedFunc(maps.Values(f.offers), func(a, b *offer) int { return cmp.Compare(a.seq, b.seq) })
}

func errorEvent(text string) *scheduler.Event {
	return &scheduler.Event{Type: scheduler.Event_ERROR, Error: &scheduler.Event_Error{Message: text}}
}
