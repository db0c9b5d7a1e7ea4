package scheduler

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	sched "github.com/mesos/mesos-go/api/v1/lib/scheduler"

	"github.com/mesokit/mesokit/constraints"
)

// registration is what the master knows of the framework.
type registration struct {
	base    mesos.FrameworkInfo // of the last Subscribe
	changes mesos.FrameworkInfo // of the last Register; its fields go first
	told    toldFramework
}

// toldFramework is what a SUBSCRIBE or UPDATE_FRAMEWORK last said, encoded.
type toldFramework struct{ info, constraints string }

// Subscribe returns the call that opens a subscription of the framework: info
// with what was changed by Register and the framework id that the machine holds,
// and with the roles suppressed for which nothing is wanted. OfferConstraints
// belong to it too. Every subscription needs a call of its own, made before its
// Subscribed.
func (m *Machine) Subscribe(info mesos.FrameworkInfo) *sched.Call {
	m.registration.base = info
	info = m.info()
	m.demand.setRoles(rolesOf(info))
	call := &sched.Call{Type: sched.Call_SUBSCRIBE, FrameworkID: info.ID, Subscribe: &sched.Call_Subscribe{FrameworkInfo: &info}}
	for i := range m.demand.roles {
		r := &m.demand.roles[i]
		w, said := m.demand.of(r.role)
		r.suppressed, r.filtered, r.owed = said && !w.Offers, false, false // filters end with a subscription
	}
	call.Subscribe.SuppressedRoles = m.suppressedRoles()
	m.registration.told, m.demand.update = m.told(info), false
	return call
}

// OfferConstraints are what belongs into the SUBSCRIBE call as
// offer_constraints, for which mesos-go has no field. Masters before Mesos 1.11
// pass them over.
func (m *Machine) OfferConstraints() constraints.OfferConstraints {
	all := constraints.OfferConstraints{}
	for _, r := range m.demand.roles {
		if len(r.only) > 0 {
			all[r.role] = r.only
		}
	}
	return all
}

// info is the FrameworkInfo as it should be.
func (m *Machine) info() mesos.FrameworkInfo {
	info := overlay(m.registration.changes, m.registration.base)
	info.ID = nil
	if id := m.identity.FrameworkID; id != "" {
		info.ID = &mesos.FrameworkID{Value: id}
	}
	return info
}

func (m *Machine) told(info mesos.FrameworkInfo) toldFramework {
	info.ID = nil // the first SUBSCRIBE has none
	return toldFramework{string(mustMarshal(info.Marshal())), string(m.OfferConstraints().Marshal())}
}

func (m *Machine) suppressedRoles() []string {
	var roles []string
	for _, r := range m.demand.roles {
		if r.suppressed {
			roles = append(roles, r.role)
		}
	}
	return roles
}

// register changes how the framework is registered. The master is told at the
// end of the Step.
func (m *Machine) register(a Register) {
	if err := checkRegister(a.Framework); err != nil {
		m.note("register refused", slog.Any("error", err))
		return
	}
	m.registration.changes, m.demand.update = a.Framework, true
}

// checkRegister refuses what a master would refuse.
func checkRegister(info mesos.FrameworkInfo) error {
	switch {
	case info.ID != nil:
		return fmt.Errorf("Register.Framework.ID is %q: leave it out, it does not change", info.ID.Value)
	case info.User != "":
		return fmt.Errorf("Register.Framework.User is %q: Mesos does not let it change, leave it out", info.User)
	case info.Principal != nil:
		return fmt.Errorf("Register.Framework.Principal is %q: Mesos does not let it change, leave it out", *info.Principal)
	case info.Checkpoint != nil:
		return errors.New("Register.Framework.Checkpoint is set: Mesos does not let it change, leave it out")
	case info.FailoverTimeout != nil && !(*info.FailoverTimeout >= 0):
		return fmt.Errorf("Register.Framework.FailoverTimeout is %v: it is a number of seconds, not negative", *info.FailoverTimeout)
	}
	return checkRoles("Register.Framework.Roles", info.Roles)
}

// updateRegistration tells the master of changes, where it can be told. Where it
// cannot, the next subscription does.
func (m *Machine) updateRegistration() {
	m.demand.update = false
	info := m.info()
	m.demand.setRoles(rolesOf(info))
	before, now := m.registration.told, m.told(info)
	if !m.master.Has(OfferConstraints) {
		now.constraints = before.constraints
	}
	if now == before {
		return
	}
	if !m.master.Has(FrameworkUpdates) {
		m.note("registration changes with the next subscription: the master is too old for UPDATE_FRAMEWORK")
		return
	}
	m.registration.told = now
	m.effects.Constraints = m.OfferConstraints()
	m.send(&sched.Call{Type: sched.Call_UPDATE_FRAMEWORK, UpdateFramework: &sched.Call_UpdateFramework{
		FrameworkInfo: info, SuppressedRoles: m.suppressedRoles(),
	}})
	m.note("registration changed", slog.Any("roles", rolesOf(info)), slog.Int("constrained", len(m.effects.Constraints)))
}

// rolesOf are the roles of a framework.
func rolesOf(info mesos.FrameworkInfo) []string {
	multi := slices.ContainsFunc(info.Capabilities, func(c mesos.FrameworkInfo_Capability) bool {
		return c.Type == mesos.FrameworkInfo_Capability_MULTI_ROLE
	})
	if multi || len(info.Roles) > 0 {
		return info.Roles
	}
	return []string{cmp.Or(info.GetRole(), "*")}
}
