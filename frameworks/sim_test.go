package frameworks_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/stretchr/testify/assert"

	"github.com/mesokit/mesokit/constraints"
	"github.com/mesokit/mesokit/executor"
	"github.com/mesokit/mesokit/frameworks"
	"github.com/mesokit/mesokit/offers"
	"github.com/mesokit/mesokit/scheduler"
	"github.com/mesokit/mesokit/scheduler/mesostest"
)

// simulated is a service in the simulator, with what must hold of it: its goal,
// and rules beside those of the simulator.
type simulated struct {
	*frameworks.Service
	number uint64
	less   int // nodes that it has less than the number makes
}

// simulate makes services of random declarations, one for each number.
func simulate(number uint64, less int) simulated {
	random := rand.New(rand.NewPCG(number, 0))
	s := &frameworks.Service{Name: "db", Binary: frameworks.Binary{Path: "/bin/db"}, Recheck: time.Hour}
	for i := range 1 + random.IntN(2) {
		p := frameworks.Pod{
			Name: []string{"node", "aux"}[i], Count: 1 + random.IntN(3), Together: random.IntN(2) == 0,
			Needs: offers.MustParse("cpus:1;mem:512"),
			Ports: []frameworks.Port{{Name: "peer"}}[:random.IntN(2)],
		}
		if random.IntN(3) > 0 {
			p.Volumes = []frameworks.Volume{{Name: "data", Path: "data", Size: 1_000_000}}
		}
		if random.IntN(2) == 0 {
			p.Place = constraints.MustParse("hostname:UNIQUE")
		}
		if random.IntN(2) == 0 {
			p.Ready = func(context.Context, frameworks.Deployment, frameworks.Node) error { return nil }
		}
		if random.IntN(2) == 0 {
			p.Command = "serve"
		} else {
			p.Task = func(frameworks.Deployment, frameworks.Node) (executor.Task, error) {
				return executor.Task{Command: []string{"serve"}}, nil
			}
		}
		fewer := min(less, p.Count)
		p.Count, less = p.Count-fewer, less-fewer
		s.Pods = append(s.Pods, p)
	}
	return simulated{Service: s, number: number}
}

func (s simulated) framework() mesostest.SimFramework {
	return mesostest.SimFramework{
		Name: s.Name, Handler: s.Service, Goal: s.goal, Work: s.work, Operator: s.command, Settle: s.settle, Decision: s.decision,
		Node: serviceNode,
		Task: func(_ mesos.TaskInfo, luck uint64) mesostest.TaskPlan {
			return mesostest.TaskPlan{Start: time.Duration(luck%4000) * time.Millisecond, Stop: time.Duration(luck%900) * time.Millisecond}
		},
		Smaller: func() (mesostest.SimFramework, bool) {
			nodes := 0
			for _, p := range s.Pods {
				nodes += p.Count
			}
			less := simulate(s.number, s.less+1)
			less.less = s.less + 1
			return less.framework(), nodes > 1
		},
	}
}

// goal: all nodes are ready, and nothing is reserved that is no node's place.
func (s simulated) goal(v scheduler.View, w *mesostest.World) error {
	status, err := statusOf(s.Service, v, frameworks.AskStatus{})
	if err != nil {
		return err
	}
	places := map[string]bool{}
	for _, n := range status.Nodes {
		if n.Phase != frameworks.Ready {
			return fmt.Errorf("%s is %s (waits %q, failed %q, refused %q)", n.Name, n.Phase, n.Waits, n.LastFailure, n.Refused)
		}
		for _, r := range n.Place.Resources {
			places[resourceID(r)] = true
		}
	}
	for _, r := range w.Reserved(s.Framework().Roles[0]) {
		if id := resourceID(r.Resource); !places[id] {
			return fmt.Errorf("agent %s holds %s for %s, which is no node's place", r.Agent.Hostname, r.Resource.Name, id)
		}
	}
	return nil
}

func resourceID(r mesos.Resource) string {
	for _, reservation := range r.Reservations {
		for _, l := range reservation.GetLabels().GetLabels() {
			if l.Key == "resource_id" {
				return l.GetValue()
			}
		}
	}
	return ""
}

// work asks a gate, which passes while the task that it is about runs.
func (s simulated) work(w *mesostest.World, job scheduler.Job) ([]byte, error) {
	kind, task, _ := strings.Cut(job.Name, "/")
	if kind == "gate" && !w.Runs(s.Name, task) {
		return nil, fmt.Errorf("%s does not serve", task)
	}
	return s.Work(context.Background(), job)
}

func (s simulated) command(pick uint16) any {
	pod := s.Pods[int(pick)%len(s.Pods)]
	node := fmt.Sprintf("%s-%d", pod.Name, int(pick>>3)%(pod.Count+1))
	switch pick >> 8 % 6 {
	case 0:
		return frameworks.RestartNode{Node: node}
	case 1:
		return frameworks.ReplaceNode{Node: node, Force: true}
	case 2:
		return frameworks.StopNode{Node: node}
	case 3:
		return frameworks.StartNode{Node: node}
	case 4:
		return frameworks.ScalePod{Pod: pod.Name, Count: pod.Count + 1}
	}
	return frameworks.AskStatus{}
}

// settle starts what was stopped, and replaces what lives on an agent that
// will not come back.
func (s simulated) settle(v scheduler.View, w *mesostest.World) []any {
	status, err := statusOf(s.Service, v, frameworks.AskStatus{})
	if err != nil {
		return nil
	}
	var out []any
	for _, n := range status.Nodes {
		switch {
		case n.Goal == frameworks.GoalStop:
			out = append(out, frameworks.StartNode{Node: n.Name})
		case n.Place != nil && !n.Replace && !w.HasAgent(n.Place.Agent):
			out = append(out, frameworks.ReplaceNode{Node: n.Name, Force: true})
		}
	}
	return out
}

// rules of the engine beside those of the simulator.
func (s simulated) rules() []mesostest.Rule {
	return []mesostest.Rule{
		{Name: "a node's volume is made once, and destroyed by wish", Check: func(w *mesostest.World) error {
			wished := map[string]bool{}
			for _, c := range w.Commands(s.Name) {
				if replace, ok := c.Value.(frameworks.ReplaceNode); ok {
					wished[replace.Node] = true
				}
			}
			for _, v := range w.Volumes(s.Name) {
				node := strings.Split(v.ID, ".")[1]
				if v.Made > 1 {
					return fmt.Errorf("%s was made %d times", v.ID, v.Made)
				}
				if v.Destroyed > 0 && v.Used && !wished[node] {
					return fmt.Errorf("%s was destroyed, and nobody replaced %s", v.ID, node)
				}
			}
			return nil
		}},
		{Name: "rules of placement hold", Check: func(w *mesostest.World) error { return placement(s.Name, s.Service, w) }},
	}
}

// placement: no two nodes of a pod that wants agents of their own share one.
func placement(framework string, s *frameworks.Service, w *mesostest.World) error {
	for _, p := range s.Pods {
		if p.Place.IsZero() {
			continue
		}
		at := map[string]string{}
		for _, t := range w.Running() {
			if t.Framework != framework || t.Stray || !strings.HasPrefix(t.Node, s.Name+"."+p.Name+"-") {
				continue
			}
			if other := at[t.Agent.Hostname]; other != "" && other != t.Node {
				return fmt.Errorf("%s and %s are both on %s", other, t.Node, t.Agent.Hostname)
			}
			at[t.Agent.Hostname] = t.Node
		}
	}
	return nil
}

func (s simulated) decision(v scheduler.View, ev scheduler.Event, actions []scheduler.Action) error {
	return frameworks.CheckDecision(s.Name, v, ev, actions)
}

func (s simulated) config() mesostest.SimConfig {
	return mesostest.SimConfig{Frameworks: []mesostest.SimFramework{s.framework()}, Rules: s.rules()}
}

// The engine under all faults of the simulator.
func TestSimulated(t *testing.T) {
	t.Parallel()
	for number := range uint64(8) {
		t.Run(fmt.Sprint(number), func(t *testing.T) {
			t.Parallel()
			seen := mesostest.Simulate(t, 5_000, simulate(number, 0).config())
			assert.NotZero(t, seen.Tasks)
		})
	}
}

// As long as somebody asks for: see make soak.
func TestSimulatedForLong(t *testing.T) {
	for number := range uint64(8) {
		t.Run(fmt.Sprint(number), func(t *testing.T) {
			mesostest.SoakTest(t, func() mesostest.SimConfig { return simulate(number, 0).config() })
		})
	}
}
