package model

import (
	"math"
	"strings"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	mesosquota "github.com/mesos/mesos-go/api/v1/lib/quota"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"
)

func TestQuotaErrors(t *testing.T) {
	t.Parallel()
	config := func(role string, guarantee, limit float64) SetQuota {
		return SetQuota{Configs: []mesosquota.QuotaConfig{{Role: role,
			Guarantees: map[string]mesos.Value_Scalar{"cpus": {Value: guarantee}}, Limits: map[string]mesos.Value_Scalar{"cpus": {Value: limit}}}}}
	}
	w := newWorld(t, 1)
	c := w.subscribe("a")
	o := c.offers()[0]
	c.accept(o, 0, launchOp(commandTask("t1", o.AgentID.Value, 2, 128)))
	w.settle()
	for _, tc := range []struct {
		request SetQuota
		want    string
	}{
		{config("a/b", 0, 1), "Updating quota on nested role 'a/b' is not supported yet"},
		{config("-a", 0, 1), "Invalid QuotaConfig: Invalid 'QuotaConfig.role': Role component '-a' is invalid because it starts with a dash"},
		{config("a", 0, -1), "Invalid QuotaConfig: Invalid limit configuration {'cpus': -1}: Negative values not supported"},
		{config("a", math.NaN(), 1), "Invalid QuotaConfig: Invalid guarantee configuration {'cpus': NaN}: NaN not supported"},
		{config("a", 0, 2e12), "Invalid QuotaConfig: Invalid 'QuotaConfig.limits': {'cpus': 2e+12} is invalid: values greater than 1 trillion (1000000000000) are not supported"},
		{config("a", 2, 1), "Invalid QuotaConfig: 'QuotaConfig.guarantees' cpus:2 is not contained within the 'QuotaConfig.limits' cpus:1"},
		{config("a", 0, 1), "Invalid QuotaConfig: Role 'a' is already consuming 'cpus:2; mem:128'; this is more than the requested limits 'cpus:1' (use 'force' flag to bypass this check)"},
	} {
		w.operate(tc.request, 400, tc.want)
	}
	want(t, "quota", len(w.master.Quota()), 0)
	force := config("a", 0, 1)
	force.Force = true
	w.operate(force, 200, "")
	want(t, "quota", len(w.master.Quota()), 1)
}

// A limit takes back no more offers than it must.
func TestQuotaRescindsWhatIsBeyondIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3)
	c := w.subscribe("a")
	want(t, "offers", len(c.offers()), 3)
	w.operate(SetQuota{Configs: []mesosquota.QuotaConfig{{Role: "a", Limits: map[string]mesos.Value_Scalar{"cpus": {Value: 8}}}}}, 200, "")
	n := 0
	for c.take(scheduler.Event_RESCIND) != nil {
		n++
	}
	want(t, "rescinded", n, 1)
}

func TestCallsWithARoleThatTheFrameworkLacksDoNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	c := w.subscribe("a")
	roles := []string{"a", "b"}
	c.call(&scheduler.Call{Type: scheduler.Call_SUPPRESS, Suppress: &scheduler.Call_Suppress{Roles: roles}})
	f := w.master.frameworks[c.id]
	want(t, "suppressed", len(f.suppressed), 0)
	c.call(&scheduler.Call{Type: scheduler.Call_SUPPRESS})
	c.call(&scheduler.Call{Type: scheduler.Call_REVIVE, Revive: &scheduler.Call_Revive{Roles: roles}})
	want(t, "suppressed", f.suppressed["a"], true)
}

func quotaOf(role string, guarantee, limit float64) mesosquota.QuotaConfig {
	c := mesosquota.QuotaConfig{Role: role}
	if guarantee > 0 {
		c.Guarantees = map[string]mesos.Value_Scalar{"cpus": {Value: guarantee}}
	}
	if limit > 0 {
		c.Limits = map[string]mesos.Value_Scalar{"cpus": {Value: limit}}
	}
	return c
}

// cpus takes all offers and adds up their cpus.
func (c *client) cpus() (sum float64) {
	for _, o := range c.offers() {
		for i := range o.Resources {
			if o.Resources[i].Name == "cpus" {
				sum += o.Resources[i].Scalar.Value
			}
		}
	}
	return sum
}

func TestQuotaLimitsOffers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	w.operate(SetQuota{Configs: []mesosquota.QuotaConfig{quotaOf("a", 0, 5)}}, 200, "")
	c := w.subscribe("a")
	want(t, "cpus offered", c.cpus(), 5.0)
	w.operate(SetQuota{Configs: []mesosquota.QuotaConfig{{Role: "a"}}}, 200, "")
	w.sleep(2 * time.Second)
	want(t, "cpus offered that the limit withheld", c.cpus(), 3.0)
}

// What is guaranteed to a role is kept free for it, also while nobody is there
// to take it, and reservations count.
func TestQuotaGuarantees(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2) // of 4 cpus each
	w.operate(SetQuota{Configs: []mesosquota.QuotaConfig{quotaOf("a", 9, 0)}}, 400,
		"Invalid QuotaConfig: total quota guarantees 'cpus:9' exceed cluster capacity 'cpus:8; disk:8192; mem:4096' (use 'force' flag to bypass this check)")
	w.operate(SetQuota{Configs: []mesosquota.QuotaConfig{quotaOf("a", 3, 0)}}, 200, "")
	b := w.subscribe("b")
	want(t, "cpus beyond the guarantee", b.cpus(), 5.0)
	a := w.subscribe("a")
	want(t, "cpus that were kept", a.cpus(), 3.0)
	// More is guaranteed: what others are offered is taken back for it.
	w.operate(SetQuota{Configs: []mesosquota.QuotaConfig{quotaOf("a", 6, 0)}}, 200, "")
	if b.take(scheduler.Event_RESCIND) == nil {
		t.Error("no offer was taken back")
	}
	w.sleep(2 * time.Second)
	want(t, "cpus up to the guarantee", a.cpus() >= 3, true)
}

func TestOlderQuota(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	request := func(role string, force bool, rs ...mesos.Resource) RequestQuota {
		return RequestQuota{mesosquota.QuotaRequest{Role: &role, Force: &force, Guarantee: rs}}
	}
	ports := mesos.Resource{Name: "ports", Type: mesos.RANGES.Enum(), Ranges: &mesos.Value_Ranges{Range: []mesos.Value_Range{{Begin: 1, End: 2}}}}
	const invalid = "Failed to validate set quota request: "
	for _, tc := range []struct {
		request RequestQuota
		status  int
		want    string
	}{
		{request("a", false), 400, invalid + "QuotaInfo with empty 'guarantee'"},
		{request("-a", false, scalarOf("cpus", 1)), 400, invalid + "QuotaInfo with invalid role: Role component '-a' is invalid because it starts with a dash"},
		{request("a", false, ports), 400, invalid + "QuotaInfo must not include non-scalar resources"},
		{request("a", false, scalarOf("cpus", 1), scalarOf("cpus", 1)), 400, invalid + "QuotaInfo contains duplicate resource name 'cpus'"},
		{request("a", false, scalarOf("cpus", -1)), 400, invalid + "QuotaInfo with invalid resource: Resource 'cpus:-1' is invalid: Invalid scalar resource: value <= 0"},
		{request("a/b", false, scalarOf("cpus", 1)), 400, "Setting quota on nested role 'a/b' is not supported yet"},
		{request("a", false, scalarOf("cpus", 5)), 409, "Quota guarantees overcommit the cluster (use 'force' to bypass this check): " +
			"Total quota guarantees 'cpus:5' exceed cluster capacity 'cpus:4; disk:4096; mem:2048'"},
		{request("a", true, scalarOf("cpus", 5)), 200, ""},
		{request("a", false, scalarOf("cpus", 1)), 400, invalid + "Cannot set quota for role 'a' which already has quota"},
	} {
		w.operate(tc.request, tc.status, tc.want)
	}
	want(t, "limit", w.master.Quota()[0].Limits["cpus"].Value, 5.0)
	w.operate(RemoveQuota{"a"}, 200, "")
	w.operate(RemoveQuota{"a"}, 400, "Failed to remove quota: Role 'a' has no quota set")
}

// A framework may ask for larger offers than the master makes.
func TestMinimumOfARole(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	for _, tc := range []struct {
		cpus float64
		want int
	}{{5, 0}, {4, 1}} {
		c := &client{w: w, info: mesos.FrameworkInfo{
			User: "root", Name: "x", Roles: []string{"a"}, FailoverTimeout: new(0.0),
			Capabilities: []mesos.FrameworkInfo_Capability{{Type: mesos.FrameworkInfo_Capability_MULTI_ROLE}},
			OfferFilters: map[string]mesos.OfferFilters{"a": {MinAllocatableResources: &mesos.OfferFilters_MinAllocatableResources{
				Quantities: []mesos.OfferFilters_ResourceQuantities{{Quantities: map[string]mesos.Value_Scalar{"cpus": {Value: tc.cpus}}}}}}},
		}}
		c.connect()
		want(t, "offers", len(c.offers()), tc.want)
		w.step(StreamClosed{Stream: c.stream})
	}
}

// Agents in another region, and those with GPUs, are for frameworks that say
// that they can deal with them.
func TestWhoMayReceive(t *testing.T) {
	t.Parallel()
	domainOf := func(region string) *mesos.DomainInfo {
		return &mesos.DomainInfo{FaultDomain: &mesos.DomainInfo_FaultDomain{
			Region: mesos.DomainInfo_FaultDomain_RegionInfo{Name: region}, Zone: mesos.DomainInfo_FaultDomain_ZoneInfo{Name: "z"}}}
	}
	w := newWorld(t, 0)
	w.cfg.Info.Domain = domainOf("eu")
	w.master = NewMaster(w.cfg, Registry{}, w.now)
	for _, x := range []struct {
		name, region string
		gpus         float64
	}{{"near", "eu", 0}, {"far", "us", 0}, {"gpu", "eu", 2}} {
		info := mesos.AgentInfo{Hostname: x.name, Port: new(int32(5051)), Domain: domainOf(x.region), Resources: []mesos.Resource{scalarOf("cpus", 1), scalarOf("gpus", x.gpus)}}
		a, err := NewAgent(AgentConfig{Name: x.name, Info: info, IP: "127.0.0.1"}, w.now)
		if err != nil {
			t.Fatal(err)
		}
		m := &machine{w: w, agent: a, up: true, containers: map[string]*StartContainer{}, streams: map[string]string{}, volumes: map[string]bool{}}
		w.agents = append(w.agents, m)
		m.connect()
	}
	w.settle()
	for _, tc := range []struct {
		extra []mesos.FrameworkInfo_Capability_Type
		want  string
	}{
		{nil, "near"},
		{[]mesos.FrameworkInfo_Capability_Type{mesos.FrameworkInfo_Capability_REGION_AWARE}, "near far"},
		{[]mesos.FrameworkInfo_Capability_Type{mesos.FrameworkInfo_Capability_GPU_RESOURCES}, "near gpu"},
	} {
		c := &client{w: w, info: mesos.FrameworkInfo{User: "root", Name: "x", Roles: []string{"*"}, FailoverTimeout: new(0.0),
			Capabilities: []mesos.FrameworkInfo_Capability{{Type: mesos.FrameworkInfo_Capability_MULTI_ROLE}}}}
		for _, kind := range tc.extra {
			c.info.Capabilities = append(c.info.Capabilities, mesos.FrameworkInfo_Capability{Type: kind})
		}
		c.connect()
		var names []string
		for _, o := range c.offers() {
			names = append(names, o.Hostname)
		}
		want(t, "agents", strings.Join(names, " "), tc.want)
		w.step(StreamClosed{Stream: c.stream})
	}
}
