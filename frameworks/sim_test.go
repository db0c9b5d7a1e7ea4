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
	"github.com/mesokit/mesokit/frameworks/simtest"
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
	f := simtest.Framework(s.Service)
	f.Work, f.Operator = s.work, s.command
	f.Task = func(_ mesos.TaskInfo, luck uint64) mesostest.TaskPlan {
		return mesostest.TaskPlan{Start: time.Duration(luck%4000) * time.Millisecond, Stop: time.Duration(luck%900) * time.Millisecond}
	}
	f.Smaller = func() (mesostest.SimFramework, bool) {
		nodes := 0
		for _, p := range s.Pods {
			nodes += p.Count
		}
		less := simulate(s.number, s.less+1)
		less.less = s.less + 1
		return less.framework(), nodes > 1
	}
	return f
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

func (s simulated) config() mesostest.SimConfig {
	return mesostest.SimConfig{Frameworks: []mesostest.SimFramework{s.framework()}, Rules: simtest.Rules(s.Service)}
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
