package model

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	mesosquota "github.com/mesos/mesos-go/api/v1/lib/quota"
)

// SetQuota says what roles may hold (limits) and what is kept free for them
// (guarantees). Only roles at the top have quota; a limit counts what the roles
// below hold, but like Mesos's allocator it keeps nothing from them. A limit
// below what a role holds already, and guarantees beyond what the cluster has,
// are refused unless Force is set. A configuration of neither ends the quota.
type SetQuota struct {
	Configs []mesosquota.QuotaConfig
	Force   bool
}

// RequestQuota is the older form: a guarantee that is also the limit, of a role
// that has no quota yet.
type RequestQuota struct{ Request mesosquota.QuotaRequest }

// RemoveQuota ends the quota of a role.
type RemoveQuota struct{ Role string }

func (SetQuota) operatorRequest()     {}
func (RequestQuota) operatorRequest() {}
func (RemoveQuota) operatorRequest()  {}

// topRole is the first part of a role; only such have quota.
func topRole(role string) string {
	top, _, _ := strings.Cut(role, "/")
	return top
}

// setQuota checks and sets quota (src/master/quota_handler.cpp).
func (m *Master) setQuota(r SetQuota) {
	if err := m.checkQuota(r); err != nil {
		m.do(Reply{statusBadRequest, err.Error()})
		return
	}
	m.do(Reply{Status: statusOK})
	for _, c := range r.Configs {
		m.storeQuota(c)
	}
	for _, c := range r.Configs {
		m.rescindForQuota(c)
	}
}

func (m *Master) checkQuota(r SetQuota) error {
	for i := range r.Configs {
		if err := validateQuota(&r.Configs[i]); err != nil {
			return err
		}
	}
	for i := range r.Configs {
		c := &r.Configs[i]
		if have, most := m.consumed(c.Role, (*agent).used), amounts(c.Limits); !r.Force && exceeds(have, most) {
			return fmt.Errorf("Invalid QuotaConfig: Role '%s' is already consuming '%s'; "+
				"this is more than the requested limits '%s' (use 'force' flag to bypass this check)",
				c.Role, amountText(have), amountText(most))
		}
	}
	if sure, all, ok := m.covers(r.Configs); !ok && !r.Force {
		return fmt.Errorf("Invalid QuotaConfig: total quota guarantees '%s' exceed cluster capacity '%s' (use 'force' flag to bypass this check)",
			amountText(sure), amountText(all))
	}
	return nil
}

// covers reports whether the cluster has what is guaranteed, when the
// configurations are in place.
func (m *Master) covers(changed []mesosquota.QuotaConfig) (guaranteed, capacity map[string]int64, ok bool) {
	all := copied(m.registry.Quota)
	for _, c := range changed {
		all[c.Role] = c
	}
	guaranteed, capacity = map[string]int64{}, map[string]int64{}
	for _, c := range all {
		for name, v := range amounts(c.Guarantees) {
			guaranteed[name] += v
		}
	}
	for _, a := range m.order {
		a.total.only(func(r resource) bool { return r.meta.Revocable == nil }).scalars(capacity, 1)
	}
	return guaranteed, capacity, contains(capacity, guaranteed)
}

// contains reports whether there is as much of everything.
func contains(all, part map[string]int64) bool {
	for name, v := range part {
		if all[name] < v {
			return false
		}
	}
	return true
}

func (m *Master) storeQuota(c mesosquota.QuotaConfig) {
	delete(m.registry.Quota, c.Role)
	if len(c.Limits) > 0 || len(c.Guarantees) > 0 {
		m.registry.Quota[c.Role] = c
	}
}

// rescindForQuota takes back offers of a role until what it holds and is
// offered is within its limits, and then offers of others until its guarantees
// can be met.
func (m *Master) rescindForQuota(c mesosquota.QuotaConfig) {
	have, limits, guarantees := m.consumed(c.Role, (*agent).held), amounts(c.Limits), amounts(c.Guarantees)
	for _, f := range m.framesInOrder() {
		for _, o := range f.offersInOrder() {
			if topRole(o.role) == c.Role && exceeds(have, limits) {
				o.resources.scalars(have, -1)
				m.rescind(o)
			}
		}
	}
	for _, a := range m.order {
		for _, o := range a.offersInOrder() {
			if topRole(o.role) != c.Role && !contains(have, guarantees) {
				o.resources.scalars(have, 1)
				m.rescind(o)
			}
		}
	}
}

// requestQuota sets quota in the older form (QuotaHandler::_set).
func (m *Master) requestQuota(r RequestQuota) {
	refuse := func(status int, format string, args ...any) { m.do(Reply{status, fmt.Sprintf(format, args...)}) }
	rs := parseEach(r.Request.Guarantee, "")
	if _, err := NewResources(r.Request.Guarantee); err != nil {
		refuse(statusBadRequest, "Failed to validate set quota request: QuotaInfo with invalid resource: %s", err)
		return
	}
	role := r.Request.GetRole()
	if err := validateQuotaRequest(&r.Request, rs); err != nil {
		refuse(statusBadRequest, "Failed to validate set quota request: %s", err)
		return
	}
	if _, ok := m.registry.Quota[role]; ok {
		refuse(statusBadRequest, "Failed to validate set quota request: Cannot set quota for role '%s' which already has quota", role)
		return
	}
	if strings.Contains(role, "/") {
		refuse(statusBadRequest, "Setting quota on nested role '%s' is not supported yet", role)
		return
	}
	c := mesosquota.QuotaConfig{Role: role, Guarantees: map[string]mesos.Value_Scalar{}, Limits: map[string]mesos.Value_Scalar{}}
	for _, x := range rs {
		v := mesos.Value_Scalar{Value: float64(x.milli) / 1000}
		c.Guarantees[x.meta.Name], c.Limits[x.meta.Name] = v, v
	}
	if sure, all, ok := m.covers([]mesosquota.QuotaConfig{c}); !ok && !r.Request.GetForce() {
		refuse(statusConflict, "Quota guarantees overcommit the cluster (use 'force' to bypass this check): "+
			"Total quota guarantees '%s' exceed cluster capacity '%s'", amountText(sure), amountText(all))
		return
	}
	m.do(Reply{Status: statusOK})
	m.storeQuota(c)
	m.rescindForGuarantee(c)
}

func validateQuotaRequest(r *mesosquota.QuotaRequest, rs []resource) error {
	if r.Role == nil {
		return errors.New("QuotaInfo must specify a role")
	}
	if err := validateRole(*r.Role); err != nil {
		return fmt.Errorf("QuotaInfo with invalid role: %w", err)
	}
	if len(rs) == 0 {
		return errors.New("QuotaInfo with empty 'guarantee'")
	}
	seen := map[string]bool{}
	for _, x := range rs {
		switch {
		case len(x.meta.Reservations) > 0:
			return errors.New("QuotaInfo must not contain any ReservationInfo")
		case x.meta.Disk != nil:
			return errors.New("QuotaInfo must not contain DiskInfo")
		case x.meta.Revocable != nil:
			return errors.New("QuotaInfo must not contain RevocableInfo")
		case !x.scalar():
			return errors.New("QuotaInfo must not include non-scalar resources")
		case seen[x.meta.Name]:
			return fmt.Errorf("QuotaInfo contains duplicate resource name '%s'", x.meta.Name)
		}
		seen[x.meta.Name] = true
	}
	return nil
}

// rescindForGuarantee takes back all offers of as many agents as it takes to
// have the guarantee free, and of as many as the role has frameworks
// (QuotaHandler::rescindOffers).
func (m *Master) rescindForGuarantee(c mesosquota.QuotaConfig) {
	frameworks := 0
	for _, f := range m.frameworks {
		if f.stream != "" && slices.Contains(f.roles, c.Role) {
			frameworks++
		}
	}
	back, visited := map[string]int64{}, 0
	for _, a := range m.order {
		if contains(back, amounts(c.Guarantees)) && visited >= frameworks {
			return
		}
		if a.active() && len(a.offers) > 0 {
			a.offered().scalars(back, 1)
			m.rescindAgent(a)
			visited++
		}
	}
}

func (m *Master) removeQuota(r RemoveQuota) {
	if _, ok := m.registry.Quota[r.Role]; !ok {
		m.do(Reply{statusBadRequest, "Failed to remove quota: Role '" + r.Role + "' has no quota set"})
		return
	}
	m.do(Reply{Status: statusOK})
	delete(m.registry.Quota, r.Role)
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
			if v > most {
				return fmt.Errorf("Invalid QuotaConfig: Invalid 'QuotaConfig.%s': {'%s': %v} is invalid: values greater than %s are not supported",
					x.many, name, v, words)
			}
			if err := validateScalar(v); err != nil {
				return fmt.Errorf("Invalid QuotaConfig: Invalid %s configuration {'%s': %v}: %w", x.one, name, v, err)
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

// consumed is what a role and those below it have reserved, or hold without.
func (m *Master) consumed(role string, held func(*agent) Resources) map[string]int64 {
	out := map[string]int64{}
	for _, a := range m.order {
		for _, r := range a.total {
			if r.scalar() && r.reservedFor() != "" && topRole(r.reservedFor()) == role {
				out[r.meta.Name] += r.milli
			}
		}
		for _, r := range held(a) {
			if r.scalar() && r.reservedFor() == "" && topRole(r.role) == role {
				out[r.meta.Name] += r.milli
			}
		}
	}
	return out
}

// held is what tasks and executors have of an agent, and what is offered of it.
func (a *agent) held() Resources { return a.allocated }

// Quota returns the quota that is set, by role.
func (m *Master) Quota() []mesosquota.QuotaConfig {
	var out []mesosquota.QuotaConfig
	for _, role := range sortedKeys(m.registry.Quota) {
		out = append(out, m.registry.Quota[role])
	}
	return out
}

// QuotaStatus returns the same, and the guarantees in the older form too.
func (m *Master) QuotaStatus() mesosquota.QuotaStatus {
	out := mesosquota.QuotaStatus{Configs: m.Quota()}
	for _, c := range out.Configs {
		info := mesosquota.QuotaInfo{Role: new(c.Role)}
		for _, name := range sortedKeys(c.Guarantees) {
			v := c.Guarantees[name]
			info.Guarantee = append(info.Guarantee, mesos.Resource{Name: name, Type: mesos.SCALAR.Enum(), Scalar: &v})
		}
		out.Infos = append(out.Infos, info)
	}
	return out
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
