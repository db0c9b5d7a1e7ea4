package model

import (
	"fmt"
	"strings"

	mesosquota "github.com/mesos/mesos-go/api/v1/lib/quota"
)

// SetQuota limits what a role and those below it may hold. Guarantees are
// taken note of and not acted upon.
type SetQuota struct{ Configs []mesosquota.QuotaConfig }

func (SetQuota) operatorRequest() {}

// topRole is the first part of a role; only such have quota.
func topRole(role string) string {
	top, _, _ := strings.Cut(role, "/")
	return top
}

func (m *Master) setQuota(r SetQuota) {
	for _, c := range r.Configs {
		err := validateRole(c.Role)
		if err == nil && strings.Contains(c.Role, "/") {
			err = fmt.Errorf("quota for the nested role '%s' is not supported", c.Role)
		}
		if err == nil && c.Role == "*" {
			err = fmt.Errorf("quota for the default role '*' is not supported")
		}
		for _, name := range sortedKeys(c.Limits) {
			if v := c.Limits[name].Value; err == nil && !(v >= 0 && v*1000 < float64(maxScalar)) {
				err = fmt.Errorf("limit %v of '%s' is not valid", v, name)
			}
		}
		if err != nil {
			m.do(Reply{statusBadRequest, "Invalid 'UPDATE_QUOTA' call: " + err.Error()})
			return
		}
	}
	m.do(Reply{Status: statusOK})
	for _, c := range r.Configs {
		delete(m.registry.Quota, c.Role)
		if len(c.Limits) > 0 || len(c.Guarantees) > 0 {
			m.registry.Quota[c.Role] = c
		}
		// What is offered may now be too much.
		for _, f := range m.framesInOrder() {
			for _, o := range f.offersInOrder() {
				if topRole(o.role) == c.Role {
					m.rescind(o)
				}
			}
		}
	}
}

// Quota returns the quota that is set, by role.
func (m *Master) Quota() []mesosquota.QuotaConfig {
	var out []mesosquota.QuotaConfig
	for _, role := range sortedKeys(m.registry.Quota) {
		out = append(out, m.registry.Quota[role])
	}
	return out
}

// headroom is what a role may still be given, in thousandths by resource name;
// what is not named is not limited.
func (m *Master) headroom(role string) map[string]int64 {
	c, ok := m.registry.Quota[role]
	if !ok || len(c.Limits) == 0 {
		return nil
	}
	left := map[string]int64{}
	for name, v := range c.Limits {
		left[name] = int64(v.Value*1000 + 0.5)
	}
	for _, a := range m.order {
		// Reservations count whether they are used or not.
		for _, r := range a.total {
			if r.scalar() && r.reservedFor() != "" && topRole(r.reservedFor()) == role {
				take(left, r)
			}
		}
		for _, r := range a.allocated {
			if r.scalar() && r.reservedFor() == "" && topRole(r.role) == role {
				take(left, r)
			}
		}
	}
	return left
}

func take(left map[string]int64, r resource) {
	if v, ok := left[r.meta.Name]; ok {
		left[r.meta.Name] = v - r.milli
	}
}

// shrink cuts unreserved scalars down to what a role may still be given.
func shrink(rs Resources, left map[string]int64) Resources {
	if left == nil {
		return rs
	}
	var out Resources
	for _, r := range rs {
		if v, ok := left[r.meta.Name]; ok {
			if v <= 0 || r.whole() && r.milli > v {
				continue
			}
			r.milli = min(r.milli, v)
		}
		out = append(out, r)
	}
	return out
}
