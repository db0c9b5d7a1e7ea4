package cassandra

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/mesokit/mesokit/frameworks"
	"github.com/mesokit/mesokit/scheduler"
	"github.com/mesokit/mesokit/scheduler/mesostest"
)

// simulated is a ring of three nodes under faults. Its gates ask a model.
func simulated() mesostest.SimConfig {
	s := Cluster{
		Name: "ring", RackAttribute: "rack", StoragePort: 31000, CQLPort: frameworks.Port{Begin: 31001, End: 31001},
		Distribution: Distribution{Java: "/usr/bin/java", Classpath: "/opt/cassandra/lib/*", Jolokia: "/opt/jolokia.jar"},
		Binary:       frameworks.Binary{Path: "/opt/mesos-cassandra"},
		reach:        func(_ frameworks.Deployment, n frameworks.Node) server { return fake{n} },
	}.Service()
	return mesostest.SimConfig{
		Model: newModel,
		Frameworks: []mesostest.SimFramework{{
			Name: "ring", Handler: s,
			Node: func(task mesos.TaskInfo) string { return task.Name },
			Task: func(_ mesos.TaskInfo, luck uint64) mesostest.TaskPlan {
				return mesostest.TaskPlan{
					Start: time.Duration(luck%9000) * time.Millisecond, Ready: time.Second, Stop: time.Duration(luck%7000) * time.Millisecond,
				}
			},
			Work: func(w *mesostest.World, job scheduler.Job) ([]byte, error) {
				return s.Work(context.WithValue(context.Background(), inWorld{}, w), job)
			},
			Operator: operator,
			Goal: func(v scheduler.View, w *mesostest.World) error {
				status, err := status(s, v)
				if err == nil {
					err = whole(status, w)
				}
				return err
			},
			Settle: func(v scheduler.View, w *mesostest.World) []any {
				status, _ := status(s, v) // its error is in the way of the goal
				return settle(status, w)
			},
		}},
		Rules: []mesostest.Rule{{Name: "the ring is one", Check: func(w *mesostest.World) error { return w.Model().(*model).broken }}},
	}
}

// operator is one who does not care what is lost.
func operator(pick uint16) any {
	node := fmt.Sprint(pod, "-", pick%4)
	switch pick >> 4 % 6 {
	case 0:
		return frameworks.ReplaceNode{Node: node, Force: true}
	case 1:
		return frameworks.ScalePod{Pod: pod, Count: 4}
	case 2:
		return frameworks.ScalePod{Pod: pod, Count: 3}
	case 3:
		return frameworks.RemoveNode{Node: node, Force: true}
	case 4:
		return frameworks.ReplaceNode{Node: node}
	}
	return frameworks.RestartNode{Node: node}
}

// whole says what a ring lacks: every node is ready and owns tokens, and nobody
// else does.
func whole(status frameworks.Status, w *mesostest.World) error {
	var want []string
	for _, n := range status.Nodes {
		if n.Goal == frameworks.GoalLeave {
			return fmt.Errorf("%s has not left: %s", n.Name, n.Waits)
		}
		if !n.Ready {
			return fmt.Errorf("%s is not ready: %s %s %s", n.Name, n.Phase, n.Waits, n.LastFailure)
		}
		want = append(want, endpointOf(n.Node))
	}
	slices.Sort(want)
	m := w.Model().(*model)
	if have := slices.Sorted(slices.Values(m.owners())); !slices.Equal(have, want) {
		return fmt.Errorf("%v own tokens, and the nodes are %v", have, want)
	}
	for _, h := range m.sorted() {
		if h.joining {
			return fmt.Errorf("%s is seen joining", h.id)
		}
	}
	return nil
}

// settle gives nodes another place whose agents do not come back, and lets go
// nobody else.
func settle(status frameworks.Status, w *mesostest.World) (out []any) {
	for _, n := range status.Nodes {
		if n.Place != nil && !n.Replace && n.Goal == frameworks.GoalRun && !w.HasAgent(n.Place.Agent) {
			out = append(out, frameworks.ReplaceNode{Node: n.Name, Force: true})
		}
	}
	return out
}

// status asks as an operator would, which changes nothing.
func status(s *frameworks.Service, v scheduler.View) (frameworks.Status, error) {
	for _, a := range s.Handle(v, scheduler.Command{ID: 1, Value: frameworks.AskStatus{}}) {
		if answer, ok := a.(scheduler.Answer); ok {
			status, _ := answer.Value.(frameworks.Status)
			return status, answer.Err
		}
	}
	return frameworks.Status{}, errors.New("the status was not answered")
}

func TestSimulated(t *testing.T) {
	t.Parallel()
	mesostest.Simulate(t, 10_000, simulated())
}

func TestSimulatedForLong(t *testing.T) { mesostest.SoakTest(t, simulated) }
