package kafka

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/mesokit/mesokit/frameworks"
	"github.com/mesokit/mesokit/scheduler"
	"github.com/mesokit/mesokit/scheduler/mesostest"
)

// simulated is a cluster of three brokers under faults, with brokers that
// serve while they run.
func simulated() mesostest.SimConfig {
	s := Cluster{
		Name: "events", Brokers: 3, Distribution: Distribution{Java: "/usr/bin/java", Classpath: "/opt/kafka/libs/*"},
		Binary: frameworks.Binary{Path: "/opt/mesos-kafka"}, RackAttribute: "rack",
	}.Service()
	return mesostest.SimConfig{
		Frameworks: []mesostest.SimFramework{{
			Name: "events", Handler: s,
			Node: func(task mesos.TaskInfo) string { return task.Name },
			Task: func(_ mesos.TaskInfo, luck uint64) mesostest.TaskPlan {
				return mesostest.TaskPlan{
					Start: time.Duration(luck%9000) * time.Millisecond, Ready: time.Second, Stop: time.Duration(luck%7000) * time.Millisecond,
				}
			},
			Work: func(w *mesostest.World, job scheduler.Job) ([]byte, error) {
				if kind, task, _ := strings.Cut(job.Name, "/"); kind == "gate" && !w.Runs("events", task) {
					return nil, fmt.Errorf("%s does not serve", task)
				}
				return nil, nil
			},
			Operator: func(pick uint16) any {
				node := fmt.Sprint("broker-", pick%4)
				switch pick >> 4 % 4 {
				case 0:
					return frameworks.ReplaceNode{Node: node, Force: true}
				case 1:
					return frameworks.ScalePod{Pod: "broker", Count: 4}
				}
				return frameworks.RestartNode{Node: node}
			},
			Goal: func(v scheduler.View, _ *mesostest.World) error {
				status, err := status(s, v)
				if err == nil && status.Ready < len(status.Nodes) {
					err = fmt.Errorf("%d of %d brokers are ready", status.Ready, len(status.Nodes))
				}
				return err
			},
			Settle: func(v scheduler.View, w *mesostest.World) (out []any) {
				status, _ := status(s, v) // its error is in the way of the goal
				for _, n := range status.Nodes {
					if n.Place != nil && !n.Replace && !w.HasAgent(n.Place.Agent) {
						out = append(out, frameworks.ReplaceNode{Node: n.Name, Force: true})
					}
				}
				return out
			},
		}},
		Rules: []mesostest.Rule{{Name: "one broker on an agent", Check: oneOnEach}},
	}
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

func oneOnEach(w *mesostest.World) error {
	at := map[string]string{}
	for _, t := range w.Running() {
		if other := at[t.Agent.Hostname]; other != "" && other != t.Node && !t.Stray {
			return fmt.Errorf("%s and %s are on %s", other, t.Node, t.Agent.Hostname)
		}
		if !t.Stray {
			at[t.Agent.Hostname] = t.Node
		}
	}
	return nil
}

func TestSimulated(t *testing.T) {
	t.Parallel()
	mesostest.Simulate(t, 10_000, simulated())
}

func TestSimulatedForLong(t *testing.T) { mesostest.SoakTest(t, simulated) }
