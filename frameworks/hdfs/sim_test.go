package hdfs

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

// simulated is a cluster under faults, with servers that serve while they run:
// name nodes while a majority of the journal nodes does, data nodes while a name
// node does.
func simulated() mesostest.SimConfig {
	c := valid()
	c.Name, c.Binary = "files", frameworks.Binary{Path: "/opt/mesos-hdfs"}
	s := c.Service()
	return mesostest.SimConfig{
		Frameworks: []mesostest.SimFramework{{
			Name: "files", Handler: s,
			Node: func(task mesos.TaskInfo) string { return task.Name },
			Task: func(_ mesos.TaskInfo, luck uint64) mesostest.TaskPlan {
				return mesostest.TaskPlan{
					Start: time.Duration(luck%9000) * time.Millisecond, Ready: time.Second, Stop: time.Duration(luck%7000) * time.Millisecond,
				}
			},
			Work: answer,
			Operator: func(pick uint16) any {
				node := []string{"journal-0", "journal-1", "journal-2", "name-0", "name-1", "data-0", "data-1", "data-3"}[pick%8]
				switch pick >> 4 % 4 {
				case 0:
					return frameworks.ReplaceNode{Node: node, Force: true}
				case 1:
					return frameworks.ScalePod{Pod: dataPod, Count: 4}
				case 2:
					return frameworks.ScalePod{Pod: dataPod, Count: 3}
				}
				return frameworks.RestartNode{Node: node}
			},
			Goal: func(v scheduler.View, _ *mesostest.World) error {
				st, err := status(s, v)
				if err == nil && st.Ready < len(st.Nodes) {
					err = fmt.Errorf("%d of %d nodes are ready", st.Ready, len(st.Nodes))
				}
				return err
			},
			Settle: func(v scheduler.View, w *mesostest.World) (out []any) {
				st, _ := status(s, v) // its error is in the way of the goal
				for _, n := range st.Nodes {
					if n.Place != nil && !n.Replace && !w.HasAgent(n.Place.Agent) {
						out = append(out, frameworks.ReplaceNode{Node: n.Name, Force: true})
					}
				}
				return out
			},
		}},
		Rules: []mesostest.Rule{{Name: "one of a kind on an agent", Check: oneOnEach}},
	}
}

// answer is what the servers say to gates, as far as they run.
func answer(w *mesostest.World, job scheduler.Job) ([]byte, error) {
	kind, id, _ := strings.Cut(job.Name, "/")
	running := map[string]int{}
	for _, t := range w.Running() {
		pod, _, _ := strings.Cut(t.Node, "-")
		running[pod]++
	}
	switch {
	case kind == "gate" && !w.Runs("files", id):
		return nil, fmt.Errorf("%s does not serve", id)
	case kind == "gate" && strings.Contains(id, ".name-") && running[journalPod] < 2:
		return nil, errors.New("no majority of the journal nodes")
	case kind == "gate" && strings.Contains(id, ".data-") && running[namePod] < 1:
		return nil, errors.New("no name node is active")
	case kind == "spare" && strings.Contains(id, "."+journalPod) && running[journalPod] < 3,
		kind == "spare" && strings.Contains(id, "."+namePod) && running[namePod] < 2:
		return nil, errors.New("too few would remain")
	case kind == "look":
		return nil, errors.New("nobody is there to look at")
	}
	return nil, nil
}

// status asks as an operator would, which changes nothing.
func status(s *frameworks.Service, v scheduler.View) (frameworks.Status, error) {
	for _, a := range s.Handle(v, scheduler.Command{ID: 1, Value: frameworks.AskStatus{}}) {
		if answer, ok := a.(scheduler.Answer); ok {
			st, _ := answer.Value.(frameworks.Status)
			return st, answer.Err
		}
	}
	return frameworks.Status{}, errors.New("the status was not answered")
}

func oneOnEach(w *mesostest.World) error {
	at := map[string]string{}
	for _, t := range w.Running() {
		pod, _, _ := strings.Cut(t.Node, "-")
		key := pod + " on " + t.Agent.Hostname
		if other := at[key]; other != "" && other != t.Node && !t.Stray {
			return fmt.Errorf("%s and %s are on %s", other, t.Node, t.Agent.Hostname)
		}
		if !t.Stray {
			at[key] = t.Node
		}
	}
	return nil
}

func TestSimulated(t *testing.T) {
	t.Parallel()
	mesostest.Simulate(t, 10_000, simulated())
}

func TestSimulatedForLong(t *testing.T) { mesostest.SoakTest(t, simulated) }
