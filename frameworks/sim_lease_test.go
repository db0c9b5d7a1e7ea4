package frameworks_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/mesokit/mesokit/constraints"
	"github.com/mesokit/mesokit/executor"
	"github.com/mesokit/mesokit/frameworks"
	"github.com/mesokit/mesokit/frameworks/simtest"
	"github.com/mesokit/mesokit/offers"
	"github.com/mesokit/mesokit/scheduler"
	"github.com/mesokit/mesokit/scheduler/mesostest"
)

// leasedService is a service whose nodes must never run twice, not even where
// nobody can reach them. A lost one is replaced soon.
func leasedService() simulated {
	s := &frameworks.Service{
		Name: "db", Binary: frameworks.Binary{Path: "/bin/db"}, Recheck: time.Hour,
		Pods: []frameworks.Pod{{
			Name: "node", Count: 2, Needs: offers.MustParse("cpus:1;mem:512"), Place: constraints.MustParse("hostname:UNIQUE"),
			Recovery: frameworks.Recovery{After: 20 * time.Second, Most: 2, Gap: time.Second},
			Task: func(frameworks.Deployment, frameworks.Node) (executor.Task, error) {
				return executor.Task{Command: []string{"serve"}, Lease: &executor.Lease{Within: 3 * time.Minute}}, nil
			},
		}},
	}
	return simulated{Service: s}
}

// leasedConfig has machines cut off, executors frozen, and schedulers that start
// again with another clock, all of it often.
func leasedConfig(handler scheduler.Handler) mesostest.SimConfig {
	s := leasedService()
	rates := mesostest.DefaultRates().Times(0.3)
	rates[mesostest.AgentCut], rates[mesostest.AgentHealed], rates[mesostest.TaskHangs] = 120, 20, 60
	rates[mesostest.ClockStep], rates[mesostest.Operator] = 60, 60
	f := s.framework()
	f.Smaller = nil
	f.Settle = func(v scheduler.View, w *mesostest.World) []any { return simtest.Settle(s.Service, v, w) }
	if handler != nil {
		f.Handler = handler
	}
	return mesostest.SimConfig{Frameworks: []mesostest.SimFramework{f}, Rates: rates, Rules: []mesostest.Rule{
		{Name: "one server acts", Check: func(w *mesostest.World) error {
			acts := map[string]string{}
			for _, t := range w.Running() {
				if other := acts[t.Node]; other != "" {
					return fmt.Errorf("%s and %s", other, t.Info.TaskID.Value)
				}
				acts[t.Node] = t.Info.TaskID.Value
			}
			return nil
		}},
	}}
}

// Whatever becomes of messages, machines, schedulers and their clocks: a place is
// given away only when the server there has surely ended.
func TestSimulatedLease(t *testing.T) {
	t.Parallel()
	seen := mesostest.Simulate(t, 10_000, leasedConfig(nil))
	assert.NotZero(t, seen.Tasks)
	assert.NotZero(t, seen.Events["Messaged"], seen.Events)
}

// As long as somebody asks for: see make soak.
func TestSimulatedLeaseForLong(t *testing.T) {
	mesostest.SoakTest(t, func() mesostest.SimConfig { return leasedConfig(nil) })
}

// forgetful takes leases for withheld earlier than they are, as a clock does that
// is set forward.
type forgetful struct{ *frameworks.Service }

func (f forgetful) Handle(v scheduler.View, ev scheduler.Event) []scheduler.Action {
	actions := f.Service.Handle(v, ev)
	for i, a := range actions {
		if r, ok := a.(scheduler.Remember); ok && strings.HasPrefix(r.Key, "db/node/") {
			r.Value = bytes.Replace(r.Value, []byte(`"withheld":"20`), []byte(`"withheld":"19`), 1)
			actions[i] = r
		}
	}
	return actions
}

// Leases that are not awaited are found.
func TestSimulatedLeaseIsNotAwaited(t *testing.T) {
	t.Parallel()
	mesostest.MustFind(t, 1, 500_000, func(uint64) mesostest.SimConfig {
		return leasedConfig(forgetful{leasedService().Service})
	}, "one server acts")
}
