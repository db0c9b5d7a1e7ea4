package model

import (
	"fmt"
	"math"
	"strings"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	mesosquota "github.com/mesos/mesos-go/api/v1/lib/quota"
)

// SetQuota limits what a role and those below it may hold. Guarantees are
// taken note of and not acted upon. A limit below what the role holds already
// is refused unless Force is set.
type SetQuota struct {
	Configs []mesosquota.QuotaConfig
	Force   bool
}

func (SetQuota) operatorRequest() {}

// topRole is the first part of a role; only such have quota.
func topRole(role string) string {
	top, _, _ := strings.Cut(role, "/")
	return top
}

// setQuota checks and sets quota (src/master/quota_handler.cpp).
func (m *Master) setQuota(r SetQuota) {
	for i := range r.Configs {
		if err := validateQuota(&r.Configs[i]); err != nil {
			m.do(Reply{statusBadRequest, err.Error()})
			return
		}
	}
	for i := range r.Configs {
		c := &r.Configs[i]
		if have, most := m.consumed(c.Role), amounts(c.Limits); !r.Force && exceeds(have, most) {
			m.do(Reply{statusBadRequest, fmt.Sprintf("Invalid QuotaConfig: Role '%s' is already consuming '%s'; "+
				"this is more than the requested limits '%s' (use 'force' flag to bypass this check)",
				c.Role, amountText(have), amountText(most))})
			return
		}
	}
	m.do(Reply{Status: statusOK})
	for _, c := range r.Configs {
		delete(m.registry.Quota, c.Role)
		if len(c.Limits) > 0 || len(c.Guarantees) > 0 {
			m.registry.Quota[c.Role] = c
		}
		m.rescindBeyond(c.Role)
	}
}

// rescindBeyond takes back offers of a role until what it holds and is offered
// is within its limits.
func (m *Master) rescindBeyond(role string) {
	for _, f := range m.framesInOrder() {
		for _, o := range f.offersInOrder() {
			if topRole(o.role) != role {
				continue
			}
			beyond := false
			for _, v := range m.headroom(role) {
				beyond = beyond || v < 0
			}
			if !beyond {
				return
			}
			m.rescind(o)
		}
	}
}

// validateQuota checks a configuration (src/master/quota.cpp, validate).
func validateQuota(c *mesosquota.QuotaConfig) error {
	if strings.Contains(c.Role, "/") {
		return fmt.Errorf("Updating quota on nested role '%s' is not supported yet", c.Role)
	}
	if err := validateRole(c.Role); err != nil {
		return fmt.Errorf("Invalid QuotaConfig: Invalid 'QuotaConfig.role': %w", err)
	}
	for _, x := range []struct {
		many, one string
		values    map[string]mesos.Value_Scalar
	}{{"guarantees", "guarantee", c.Guarantees}, {"limits", "limit", c.Limits}} {
		for _, name := range sortedKeys(x.values) {
			v := x.values[name].Value
			most, words := 1e12, "1 trillion (1000000000000)"
			if name == "mem" || name == "disk" {
				most, words = 1<<40, "1 exabyte (1099511627776)"
			}
			bad := ""
			switch {
			case math.IsNaN(v):
				bad = "NaN not supported"
			case math.IsInf(v, -1):
				bad = "Infinite values not supported"
			case v > most:
				return fmt.Errorf("Invalid QuotaConfig: Invalid 'QuotaConfig.%s': {'%s': %v} is invalid: values greater than %s are not supported",
					x.many, name, v, words)
			case v < 0:
				bad = "Negative values not supported"
			}
			if bad != "" {
				return fmt.Errorf("Invalid QuotaConfig: Invalid %s configuration {'%s': %v}: %s", x.one, name, v, bad)
			}
		}
	}
	if have, most := amounts(c.Guarantees), amounts(c.Limits); exceeds(have, most) {
		return fmt.Errorf("Invalid QuotaConfig: 'QuotaConfig.guarantees' %s is not contained within the 'QuotaConfig.limits' %s",
			amountText(have), amountText(most))
	}
	return nil
}

// amounts are values in thousandths.
func amounts(values map[string]mesos.Value_Scalar) map[string]int64 {
	out := map[string]int64{}
	for name, v := range values {
		out[name] = int64(math.Round(v.Value * 1000))
	}
	return out
}

// exceeds reports whether something is more than its limit, if it has one.
func exceeds(have, most map[string]int64) bool {
	for name, v := range most {
		if have[name] > v {
			return true
		}
	}
	return false
}

func amountText(have map[string]int64) string {
	var parts []string
	for _, name := range sortedKeys(have) {
		parts = append(parts, fmt.Sprintf("%s:%v", name, float64(have[name])/1000))
	}
	if len(parts) == 0 {
		return "{}"
	}
	return strings.Join(parts, "; ")
}

// consumed is what a role and those below it have reserved, or use without.
func (m *Master) consumed(role string) map[string]int64 {
	out := map[string]int64{}
	for _, a := range m.order {
		for _, r := range a.total {
			if r.scalar() && r.reservedFor() != "" && topRole(r.reservedFor()) == role {
				out[r.meta.Name] += r.milli
			}
		}
		for _, r := range a.used() {
			if r.scalar() && r.reservedFor() == "" && topRole(r.role) == role {
				out[r.meta.Name] += r.milli
			}
		}
	}
	return out
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
	left := amounts(c.Limits)
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
