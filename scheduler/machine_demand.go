package scheduler

import (
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	sched "github.com/mesos/mesos-go/api/v1/lib/scheduler"

	"github.com/mesokit/mesokit/constraints"
)

// reviveGap is the least time between two REVIVE calls of a role, each of which
// makes the master offer it the whole cluster anew.
const reviveGap = time.Second

// demand is what the handler wants of the master's offers, by role.
type demand struct {
	said   map[string]Want // by Want.Role
	roles  []roleDemand    // of the framework, in order of their names
	update bool            // the registration may have to be told anew
}

// roleDemand is what the master knows of our interest in a role.
type roleDemand struct {
	role       string
	only       []constraints.Group // of the last Want that had a use for offers
	suppressed bool                // the master offers the role nothing
	refusing   bool                // offers are declined for a while in the Step under way
	filtered   bool                // a decline since the last revive may hide an agent
	owed       bool                // what is wanted has changed, and a filter may be in its way
	revived    time.Time
}

// of is the word that speaks for a role.
func (d *demand) of(role string) (w Want, said bool) {
	if w, said = d.said[role]; said {
		return w, true
	}
	w, said = d.said[""]
	return w, said
}

// at returns what the master knows of a role; nil: the framework does not have
// it. An offer that names no role is for the only one that there is.
func (d *demand) at(role string) *roleDemand {
	if role == "" && len(d.roles) == 1 {
		return &d.roles[0]
	}
	for i := range d.roles {
		if d.roles[i].role == role {
			return &d.roles[i]
		}
	}
	return nil
}

// setRoles makes the roles those of the framework. The master offers a role that
// is new until it is told otherwise.
func (d *demand) setRoles(names []string) {
	var roles []roleDemand
	for _, name := range slices.Sorted(slices.Values(names)) {
		if r := d.at(name); r != nil && r.role == name {
			roles = append(roles, *r)
			continue
		}
		w, said := d.of(name)
		roles = append(roles, roleDemand{role: name, only: onlyOf(w), suppressed: said && !w.Offers})
	}
	d.roles = roles
}

// want takes the handler's word for one role, or for all that have none of
// their own.
func (m *Machine) want(a Want) {
	before, said := m.demand.said[a.Role]
	if said && sameWant(before, a) {
		return
	}
	if err := checkGroups(a.Only); err != nil {
		m.note("constraints of a want refused", slog.String("role", a.Role), slog.Any("error", err))
	}
	if a.Role != "" && m.connected && m.demand.at(a.Role) == nil {
		m.note("want is for a role that the framework does not have", slog.String("role", a.Role))
	}
	if m.demand.said == nil {
		m.demand.said = map[string]Want{}
	}
	var words []Want // before, by role
	for _, r := range m.demand.roles {
		w, _ := m.demand.of(r.role)
		words = append(words, w)
	}
	a.Only = slices.Clone(a.Only)
	m.demand.said[a.Role] = a
	for i := range m.demand.roles {
		r := &m.demand.roles[i]
		w, _ := m.demand.of(r.role)
		if !w.Offers || sameWant(words[i], w) {
			continue
		}
		r.owed = r.owed || r.filtered
		if only := onlyOf(w); !sameGroups(r.only, only) {
			r.only, m.demand.update = only, true
		}
	}
}

func sameWant(a, b Want) bool {
	return a.Offers == b.Offers && a.Key == b.Key && sameGroups(a.Only, b.Only)
}

func sameGroups(a, b []constraints.Group) bool { return slices.EqualFunc(a, b, slices.Equal) }

// onlyOf are the constraints of a want that a master takes. Without them there
// are more offers than are of use, and none is missed.
func onlyOf(w Want) []constraints.Group {
	if checkGroups(w.Only) != nil {
		return nil
	}
	return w.Only
}

// checkGroups refuses what a master would refuse with the whole registration.
func checkGroups(groups []constraints.Group) error {
	for _, g := range groups {
		if len(g) == 0 {
			return errors.New("a group of Want.Only is empty: leave it out, or name an attribute")
		}
		for _, c := range g {
			var regex string
			switch p := c.Predicate.(type) {
			case nil:
				return fmt.Errorf("the predicate on %q is nil: name one, such as constraints.Exists{}", c.Selector.Name)
			case constraints.TextMatches:
				regex = p.Regex
			case constraints.TextNotMatches:
				regex = p.Regex
			}
			if _, err := regexp.Compile(regex); err != nil {
				return fmt.Errorf("the predicate on %q: %w", c.Selector.Name, err)
			}
		}
	}
	return nil
}

// steerOffers tells the master what is wanted, once for each change.
func (m *Machine) steerOffers() {
	if !m.connected || m.identity.Teardown {
		return
	}
	if m.demand.update {
		m.updateRegistration()
	}
	var suppress, revive []string
	for i := range m.demand.roles {
		r := &m.demand.roles[i]
		w, said := m.demand.of(r.role)
		switch {
		case !said:
		case !w.Offers:
			r.owed = false
			m.agenda.drop(alarm{alarmRevive, r.role})
			if !r.suppressed {
				r.suppressed = true
				suppress = append(suppress, r.role)
			}
		case !r.suppressed && !r.owed:
		case m.now.Before(r.revived.Add(reviveGap)):
			m.agenda.set(alarm{alarmRevive, r.role}, r.revived.Add(reviveGap))
		default:
			r.suppressed, r.filtered, r.owed, r.revived = false, false, false, m.now
			m.agenda.drop(alarm{alarmRevive, r.role})
			revive = append(revive, r.role)
		}
	}
	if len(suppress) > 0 {
		m.send(&sched.Call{Type: sched.Call_SUPPRESS, Suppress: &sched.Call_Suppress{Roles: m.someRoles(suppress)}})
		m.noteDemand("offers suppressed", suppress)
	}
	if len(revive) > 0 {
		m.send(&sched.Call{Type: sched.Call_REVIVE, Revive: &sched.Call_Revive{Roles: m.someRoles(revive)}})
		m.noteDemand("offers revived", revive)
	}
}

// someRoles is how a call names roles: not at all where they are all there are.
func (m *Machine) someRoles(roles []string) []string {
	if len(roles) == len(m.demand.roles) {
		return nil
	}
	return roles
}

func (m *Machine) noteDemand(text string, roles []string) {
	for _, role := range roles {
		var attrs []slog.Attr
		if len(m.demand.roles) > 1 {
			attrs = append(attrs, slog.String("role", role))
		}
		if w, _ := m.demand.of(role); w.Offers {
			attrs = append(attrs, slog.String("want", w.Key))
		}
		m.note(text, attrs...)
	}
}

// refuse is how long an offer is refused that a decision left lying, and why.
func (m *Machine) refuse(o *mesos.Offer) Decline {
	role := o.AllocationInfo.GetRole()
	if r := m.demand.at(role); r != nil {
		role = r.role
	}
	switch w, said := m.demand.of(role); {
	case !said:
		return Decline{Refuse: refuseUnsaid, Reason: "left over"}
	case w.Offers:
		return Decline{Refuse: refuseMisfit, Reason: "does not fit"}
	}
	return Decline{Refuse: refuseUnwanted, Reason: "nothing wanted"}
}

// refuse takes note that an offer of a role is declined for a while. One of a
// role that is none of ours counts for all.
func (d *demand) refuse(role string) {
	if r := d.at(role); r != nil {
		r.refusing = true
		return
	}
	for i := range d.roles {
		d.roles[i].refusing = true
	}
}

// filter takes note that the declines of a Step have been sent.
func (d *demand) filter() {
	for i := range d.roles {
		r := &d.roles[i]
		r.filtered, r.refusing = r.filtered || r.refusing, false
	}
}
