package model

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
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
	filters     map[filterKey][]filter

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
		id: id, seq: seq, suppressed: map[string]bool{}, filters: map[filterKey][]filter{},
		tasks: map[string]*task{}, unreachable: map[string]*task{},
		offers: map[string]*offer{}, inverse: map[string]*inverseOffer{},
	}
	f.setInfo(info)
	return f
}

func (f *framework) setInfo(info *mesos.FrameworkInfo) {
	f.info = *info
	f.info.ID = &mesos.FrameworkID{Value: f.id}
	f.caps = map[mesos.FrameworkInfo_Capability_Type]bool{}
	for _, c := range info.Capabilities {
		f.caps[c.Type] = true
	}
	f.roles = rolesOf(info)
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

// validateFramework checks a FrameworkInfo as the master does on SUBSCRIBE.
func validateFramework(info *mesos.FrameworkInfo) error {
	if hasCapability(info, mesos.FrameworkInfo_Capability_MULTI_ROLE) {
		if info.Role != nil {
			return fmt.Errorf("'FrameworkInfo.role' must not be set when the framework is MULTI_ROLE capable")
		}
		seen, twice := map[string]bool{}, map[string]bool{}
		for _, r := range info.Roles {
			if seen[r] {
				twice[r] = true
			}
			seen[r] = true
		}
		if len(twice) > 0 {
			return fmt.Errorf("'FrameworkInfo.roles' contains duplicate items: { %s }", strings.Join(sortedKeys(twice), ", "))
		}
		for _, r := range info.Roles {
			if err := validateRole(r); err != nil {
				return fmt.Errorf("'FrameworkInfo.roles' contains invalid role: %w", err)
			}
		}
		return nil
	}
	if len(info.Roles) > 0 {
		return fmt.Errorf("'FrameworkInfo.roles' must not be set when the framework is not MULTI_ROLE capable")
	}
	if info.Role != nil {
		if err := validateRole(*info.Role); err != nil {
			return fmt.Errorf("'FrameworkInfo.role' is not a valid role: %w", err)
		}
	}
	return nil
}

func validateSuppressed(suppressed, roles []string) error {
	var bad []string
	for _, r := range suppressed {
		if !slices.Contains(roles, r) {
			bad = append(bad, r)
		}
	}
	if len(bad) > 0 {
		slices.Sort(bad)
		return fmt.Errorf("Suppressed roles { %s } are not contained in the set of roles", strings.Join(bad, ", "))
	}
	return nil
}

// subscribe handles SUBSCRIBE: a new framework, one that comes back, or one
// that takes over from another connection.
func (m *Master) subscribe(in Call) {
	sub := in.Call.Subscribe
	m.do(Reply{Status: statusOK})
	refuse := func(text string) {
		m.do(Emit{in.Stream, errorEvent(text)})
		m.do(Close{in.Stream})
	}
	if err := validateFramework(sub.FrameworkInfo); err != nil {
		refuse(err.Error())
		return
	}
	if err := validateSuppressed(sub.SuppressedRoles, rolesOf(sub.FrameworkInfo)); err != nil {
		refuse(err.Error())
		return
	}
	if err := in.Constraints.compile(rolesOf(sub.FrameworkInfo)); err != nil {
		refuse(err.Error())
		return
	}
	id := sub.FrameworkInfo.GetID().GetValue()
	if m.completed[id] != nil {
		refuse("Framework has been removed")
		return
	}
	f := m.frameworks[id]
	if f != nil && !f.recovered {
		if err := validateUpdate(&f.info, sub.FrameworkInfo); err != nil {
			refuse(err.Error())
			return
		}
	}
	m.admit(f, id, in)
}

func (m *Master) admit(f *framework, id string, in Call) {
	sub := in.Call.Subscribe
	again := f != nil
	if f == nil {
		if id == "" {
			id = fmt.Sprintf("%s-%04d", m.cfg.Info.ID, m.nextFramework)
			m.nextFramework++
		}
		f = newFramework(id, len(m.frameworks)+len(m.completed), sub.FrameworkInfo)
		f.registered = m.now
		m.frameworks[id] = f
	}
	if f.stream != "" {
		m.emit(f, errorEvent("Framework failed over"))
		m.do(Close{f.stream})
		delete(m.streams, f.stream)
		f.stream = ""
	}
	m.discardOffers(f)
	if again {
		f.reregistered = m.now
		if f.registered.IsZero() {
			f.registered = m.now
		}
	}
	f.recovered, f.removeAt = false, time.Time{}
	f.stream = in.Stream
	m.streams[in.Stream] = f
	f.filters = map[filterKey][]filter{}
	m.emit(f, &scheduler.Event{Type: scheduler.Event_SUBSCRIBED, Subscribed: &scheduler.Event_Subscribed{
		FrameworkID:              &mesos.FrameworkID{Value: id},
		HeartbeatIntervalSeconds: new(m.cfg.Heartbeat.Seconds()),
		MasterInfo:               &m.cfg.Info,
	}})
	m.reform(f, sub.FrameworkInfo, sub.SuppressedRoles, in.Constraints)
	m.frameworkChanged(f, !again)
}

// reform takes new information of a connected framework into account.
func (m *Master) reform(f *framework, info *mesos.FrameworkInfo, suppressed []string, c OfferConstraints) {
	f.setInfo(info)
	f.constraints = c
	f.suppressed = map[string]bool{}
	for _, r := range suppressed {
		f.suppressed[r] = true
	}
	for _, o := range f.offersInOrder() {
		if !slices.Contains(f.roles, o.role) {
			m.rescind(o)
		}
	}
	m.allAgentsDirty()
}

// validateUpdate checks that only what may change does
// (validation.cpp, framework::validateUpdate).
func validateUpdate(old, info *mesos.FrameworkInfo) error {
	switch {
	case old.GetPrincipal() != info.GetPrincipal():
		return fmt.Errorf("Changing framework's principal is not allowed.")
	case old.User != info.User:
		return fmt.Errorf("Updating 'FrameworkInfo.user' is unsupported; attempted to update from '%s' to '%s'", old.User, info.User)
	case old.GetCheckpoint() != info.GetCheckpoint():
		return fmt.Errorf("Updating 'FrameworkInfo.checkpoint' is unsupported; attempted to update from '%t' to '%t'",
			old.GetCheckpoint(), info.GetCheckpoint())
	}
	return nil
}

func (m *Master) updateFramework(f *framework, u *scheduler.Call_UpdateFramework, c OfferConstraints) {
	fail := func(format string, args ...any) {
		m.do(Reply{statusBadRequest, fmt.Sprintf(format, args...)})
	}
	if err := validateFramework(&u.FrameworkInfo); err != nil {
		fail("Supplied FrameworkInfo is not valid: %s", err)
		return
	}
	if err := validateUpdate(&f.info, &u.FrameworkInfo); err != nil {
		fail("FrameworkInfo update is not valid: %s", err)
		return
	}
	if err := validateSuppressed(u.SuppressedRoles, rolesOf(&u.FrameworkInfo)); err != nil {
		fail("'UpdateFramework' call is not valid: %s", err)
		return
	}
	if err := c.compile(rolesOf(&u.FrameworkInfo)); err != nil {
		fail("'UpdateFramework' call is not valid: %s", err)
		return
	}
	m.do(Reply{Status: statusOK})
	m.reform(f, &u.FrameworkInfo, u.SuppressedRoles, c)
	m.frameworkChanged(f, false)
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
	f.removeAt = m.now.Add(f.failoverTimeout())
	m.frameworkChanged(f, false)
	if f.failoverTimeout() == 0 {
		m.removeFramework(f)
	}
}

// removeFramework ends a framework for good: its tasks and executors are shut
// down, and its ID is never taken again.
func (m *Master) removeFramework(f *framework) {
	for _, a := range m.order {
		m.send(a, ShutdownFramework{f.id})
	}
	m.discardOffers(f)
	for _, t := range f.tasksInOrder() {
		if !terminal(t.state) {
			m.setState(t, &mesos.TaskStatus{
				TaskID: t.info.TaskID, State: new(mesos.TASK_KILLED), Source: new(mesos.SOURCE_MASTER),
				Message: new("Framework " + f.id + " removed"), Reason: new(mesos.REASON_FRAMEWORK_REMOVED),
				AgentID: &t.info.AgentID, Timestamp: new(seconds(m.now)),
			}, mesos.TASK_KILLED)
		}
		m.forget(t)
	}
	f.ended = append(f.ended, slices.SortedFunc(maps.Values(f.unreachable), bySeq)...)
	f.unreachable = map[string]*task{}
	for _, a := range m.order {
		for _, key := range sortedRefs(a.executors) {
			if key.framework == f.id {
				m.removeExecutor(a, key)
			}
		}
		maps.DeleteFunc(a.operations, func(_ string, op *operation) bool { return op.Framework == f.id })
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
