package frameworks_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/frameworks"
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
			var steps uint64
			for seed := bug.seed; ; seed++ {
				s := operate("db", seed%operatedNumbers, 0)
				f := s.simulated()
				bug.Service = s.Service
				f.Handler = bug
				sim := mesostest.NewSim(seed, mesostest.SimConfig{Frameworks: []mesostest.SimFramework{f}, Rates: rates, Shrink: -1})
				err := sim.Run()
				steps += sim.Coverage().Steps
				var found *mesostest.Finding
				if errors.As(err, &found) {
					assert.Equal(t, "decisions take nothing back", found.Rule, found.Detail)
					t.Logf("found with seed %d after %d steps: %s", seed, steps, found.Detail)
					return
				}
				require.NoError(t, err)
				require.Less(t, steps, uint64(200_000), "it is found")
			}
		})
	}
}
