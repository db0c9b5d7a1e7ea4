package scheduler_test

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/mesokit/mesokit/constraints"
	"github.com/mesokit/mesokit/scheduler"
	"github.com/mesokit/mesokit/scheduler/mesostest"
)

// once is a policy: run one command to its end, then end the framework.
type once struct{ command string }

// Handle keeps nothing: the view says whether the task was launched.
func (p once) Handle(v scheduler.View, _ scheduler.Event) []scheduler.Action {
	const id = "hello.1"
	t, launched := v.Task(id)
	if launched && scheduler.Terminal(t.Status.GetState()) {
		return []scheduler.Action{scheduler.Teardown{}}
	}
	for offer := range v.Offers() {
		if launched {
			break
		}
		share := func(name string, amount float64) mesos.Resource {
			return mesos.Resource{
				Name: name, Type: mesos.SCALAR.Enum(), Scalar: &mesos.Value_Scalar{Value: amount},
				AllocationInfo: offer.AllocationInfo,
			}
		}
		task := mesos.TaskInfo{
			Name: "hello", TaskID: mesos.TaskID{Value: id}, AgentID: offer.AgentID,
			Command:   &mesos.CommandInfo{Value: &p.command},
			Resources: []mesos.Resource{share("cpus", 0.1), share("mem", 32)},
		}
		return []scheduler.Action{
			scheduler.Accept{
				Offers: []mesos.OfferID{offer.ID},
				Operations: []mesos.Offer_Operation{{
					Type:   mesos.Offer_Operation_LAUNCH,
					Launch: &mesos.Offer_Operation_Launch{TaskInfos: []mesos.TaskInfo{task}},
				}},
			},
		}
	}
	return []scheduler.Action{scheduler.Want{Offers: !launched}}
}

func Example() {
	ctx := context.Background()
	cluster, err := mesostest.Start(ctx, mesostest.Config{Agents: []mesostest.AgentConfig{{Resources: "cpus:1;mem:128"}}})
	if err != nil {
		log.Fatal(err)
	}
	defer cluster.Close()
	err = scheduler.Run(ctx, scheduler.Config{
		Master:    cluster.Master(),
		Handler:   once{"echo hello"},
		Framework: mesos.FrameworkInfo{Name: "hello"},
		Logger:    slog.New(slog.DiscardHandler),
		Observe: func(ev scheduler.Event, _ scheduler.Effects) {
			if up, ok := ev.(scheduler.Updated); ok {
				fmt.Println(up.Status.TaskID.Value, up.Status.GetState())
			}
		},
	})
	fmt.Println("ended:", err)
	// Output:
	// hello.1 TASK_STARTING
	// hello.1 TASK_RUNNING
	// hello.1 TASK_FINISHED
	// ended: <nil>
}

// A policy is tested by stepping a machine: no network, no waiting.
func ExampleMachine_Step() {
	m, err := scheduler.NewMachine(once{"echo hello"}, []byte("sixteen bytes or more"), nil)
	if err != nil {
		log.Fatal(err)
	}
	show := func(e scheduler.Effects) {
		for _, r := range e.Save {
			fmt.Println("save", r.Key)
		}
		for _, call := range e.Send {
			fmt.Println("send", call.Type)
		}
	}
	now := time.Date(2026, 1, 1, 8, 0, 0, 0, time.UTC)
	show(m.Step(now, scheduler.Subscribed{FrameworkID: "fw"}))
	show(m.Step(now, scheduler.Offered{Offers: []mesos.Offer{{
		ID: mesos.OfferID{Value: "o1"}, AgentID: mesos.AgentID{Value: "a1"},
	}}}))
	// Output:
	// save identity
	// save task/hello.1
	// save status/hello.1
	// send ACCEPT
}

// Rules over attributes go to the master, which then does not even offer agents
// that they refuse.
func ExampleWant() {
	m, err := scheduler.NewMachine(scheduler.HandlerFunc(func(scheduler.View, scheduler.Event) []scheduler.Action {
		rules := constraints.MustParse("rack:LIKE:r[12]")
		return []scheduler.Action{scheduler.Want{Offers: true, Only: rules.Placement().Prefilter()}}
	}), []byte("sixteen bytes or more"), nil)
	if err != nil {
		log.Fatal(err)
	}
	now := time.Date(2026, 1, 1, 8, 0, 0, 0, time.UTC)
	m.Step(now, scheduler.Tick{}) // as Run does before it subscribes
	m.Subscribe(mesos.FrameworkInfo{Name: "hello", Roles: []string{"dev"}})
	text, err := m.OfferConstraints().MarshalJSON()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(text))
	// Output:
	// {"role_constraints":{"dev":{"groups":[{"attribute_constraints":[{"selector":{"attribute_name":"rack"},"predicate":{"text_matches":{"regex":"r[12]"}}}]}]}}}
}
