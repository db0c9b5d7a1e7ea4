package model

import (
	"math"
	"testing"

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
