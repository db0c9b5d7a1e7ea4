package frameworks_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/mesokit/mesokit/frameworks"
	"github.com/mesokit/mesokit/frameworks/simtest"
	"github.com/mesokit/mesokit/offers"
	"github.com/mesokit/mesokit/scheduler"
	"github.com/mesokit/mesokit/scheduler/mesostest"
)

// planted is a service that takes something back which it should not: what it
// remembers is another word than it was to be.
type planted struct {
	*frameworks.Service
	key, from, to string
	seed          uint64 // the first that is tried: a little before one that finds it
}

func (p planted) Handle(v scheduler.View, ev scheduler.Event) []scheduler.Action {
	actions := p.Service.Handle(v, ev)
	if _, ok := ev.(scheduler.Command); ok {
		return actions
	}
	for i, a := range actions {
		r, ok := a.(scheduler.Remember)
		before, _ := v.Record(r.Key)
		if ok && strings.HasPrefix(r.Key, p.key) && bytes.Contains(before, []byte(p.from)) {
			r.Value = bytes.Replace(r.Value, []byte(p.from), []byte(p.to), 1)
			actions[i] = r
		}
	}
	return actions
}

// Bugs planted on purpose are found: that proves that the rules can fail.
func TestSimulatedFindsWhatIsTakenBack(t *testing.T) {
	t.Parallel()
	for name, bug := range map[string]planted{
		"a step that is done is done again":    {key: "db/plan/", from: `"state":"complete"`, to: `"state":"pending"`},
		"a plan that is paused goes on":        {key: "db/service", from: `"paused":["`, to: `"resumed":["`},
		"a place that was used is not any":     {key: "db/node/", from: `"used":true`, to: `"used":false`},
		"a node that leaves stays":             {key: "db/node/", from: `"goal":"leave"`, to: `"goal":"run"`},
		"a node that arrived has not":          {key: "db/node/", from: `"arrived":1`, to: `"arrived":0`},
		"a pod that was deployed is not":       {key: "db/pod/", from: `"deployed":true`, to: `"deployed":false`},
		"a rollout that is paused goes on":     {key: "db/pod/", from: `"paused":"`, to: `"was":"`, seed: 19},
		"a node that is stopped starts itself": {key: "db/node/", from: `"goal":"stop"`, to: `"goal":"run"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rates := mesostest.DefaultRates().Times(0.3)
			rates[mesostest.Operator], rates[mesostest.JobLate] = 1500, 1500
			mesostest.MustFind(t, bug.seed, 200_000, func(seed uint64) mesostest.SimConfig {
				s := operate("db", seed%operatedNumbers, 0)
				bug.Service = s.Service
				f := s.simulated()
				f.Handler = bug
				return mesostest.SimConfig{Frameworks: []mesostest.SimFramework{f}, Rates: rates}
			}, "decisions take nothing back")
		})
	}
}

// forgetting is a service that forgets which task it has left behind on an agent
// that is out of reach.
type forgetting struct{ *frameworks.Service }

func (f forgetting) Handle(v scheduler.View, ev scheduler.Event) []scheduler.Action {
	actions := f.Service.Handle(v, ev)
	for i, a := range actions {
		if r, ok := a.(scheduler.Remember); ok {
			r.Value = bytes.Replace(r.Value, []byte(`"left":["`), []byte(`"forgotten":["`), 1)
			actions[i] = r
		}
	}
	return actions
}

// A node that does not wait for what it has left behind, and which came back, is
// found.
func TestSimulatedFindsWhoDoesNotWait(t *testing.T) {
	t.Parallel()
	mesostest.MustFind(t, 1, 300_000, func(uint64) mesostest.SimConfig {
		s := leavingService()
		c := simtest.Config(s)
		c.Frameworks[0].Handler = forgetting{s}
		c.Rates = mesostest.DefaultRates().Times(0.3)
		c.Rates[mesostest.AgentCut], c.Rates[mesostest.AgentHealed], c.Rates[mesostest.TaskHangs] = 240, 60, 120
		return c
	}, "no node runs twice")
}

// leavingService replaces nodes whose agents are out of reach.
func leavingService() *frameworks.Service {
	return &frameworks.Service{Name: "db", Pods: []frameworks.Pod{{
		Name: "node", Count: 3, Command: "serve", Needs: offers.MustParse("cpus:1;mem:512"),
		Recovery: frameworks.Recovery{After: 20 * time.Second, Most: 3, Gap: time.Second},
	}}}
}
