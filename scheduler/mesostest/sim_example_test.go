package mesostest_test

import (
	"errors"
	"fmt"
	"strings"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/mesokit/mesokit/offers"
	"github.com/mesokit/mesokit/scheduler"
	"github.com/mesokit/mesokit/scheduler/mesostest"
)

// primary keeps one server running that must never run twice. It looks right,
// and every test passes that does not pull a cable: a task on an agent that the
// master cannot reach is taken for dead, though it may run on, and may come
// back after its successor has started.
type primary struct{}

func (primary) Handle(v scheduler.View, _ scheduler.Event) []scheduler.Action {
	started := 0
	for t := range v.Tasks() {
		started++
		if s := t.Status.GetState(); !scheduler.Terminal(s) && s != mesos.TASK_UNREACHABLE {
			return []scheduler.Action{scheduler.Want{}}
		}
	}
	matches, _ := offers.Reserve(v.Offers(), []offers.Request{{Node: "primary", Needs: offers.MustParse("cpus:1;mem:64"), Unreserved: true}})
	for _, m := range matches {
		command := "serve"
		task := mesos.TaskInfo{
			Name: "primary", TaskID: mesos.TaskID{Value: fmt.Sprintf("primary.%d", started+1)},
			Resources: m.Resources, Command: &mesos.CommandInfo{Value: &command},
		}
		return []scheduler.Action{scheduler.Accept{Offers: m.Offers, Operations: []mesos.Offer_Operation{offers.Launch(m.Agent, task)}}}
	}
	return []scheduler.Action{scheduler.Want{Offers: true}}
}

// A framework of one's own in the simulator, with a rule of one's own. What it
// finds is made small: of all the faults of the storm the one is left that it
// takes, and the history says how.
func ExampleSim() {
	config := mesostest.SimConfig{
		Frameworks: []mesostest.SimFramework{{
			Name: "primary", Handler: primary{},
			Task: func(mesos.TaskInfo, uint64) mesostest.TaskPlan { return mesostest.TaskPlan{Start: time.Second} },
		}},
		Rates: mesostest.Rates{mesostest.AgentCut: 30, mesostest.Crash: 60, mesostest.UpdateLost: 60, mesostest.StreamCut: 30},
		Rules: []mesostest.Rule{{Name: "one primary", Check: func(w *mesostest.World) error {
			if running := w.Running(); len(running) > 1 {
				return fmt.Errorf("%s and %s run", running[0].Info.TaskID.Value, running[1].Info.TaskID.Value)
			}
			return nil
		}}},
	}
	var f *mesostest.Finding
	for seed := uint64(1); !errors.As(mesostest.NewSim(seed, config).Run(), &f); seed++ {
	}
	fmt.Println("broken:", f.Rule)
	fmt.Println("faults:", len(f.Script.Faults), f.Script.Faults[0].Kind)
	for _, line := range f.History {
		if _, update, ok := strings.Cut(line, "UPDATE "); ok {
			fmt.Println(update)
		}
	}
	// Output:
	// broken: one primary
	// faults: 1 agent-cut
	// primary.1 STARTING
	// primary.1 RUNNING
	// primary.1 UNREACHABLE AGENT_REMOVED (health check timed out)
	// primary.2 STARTING
}
