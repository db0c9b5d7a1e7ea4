package hdfs

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/mesokit/mesokit/frameworks"
	"github.com/mesokit/mesokit/frameworks/simtest"
	"github.com/mesokit/mesokit/scheduler"
	"github.com/mesokit/mesokit/scheduler/mesostest"
)

func simulated() mesostest.SimConfig { return simulatedOf(declared()) }

// declared is a cluster of which the servers are the model's.
func declared() *frameworks.Service { return declaredBy(pretended{}) }

func declaredBy(asked calls) *frameworks.Service {
	c := valid()
	c.Name, c.Binary, c.calls = "files", frameworks.Binary{Path: "/opt/mesos-hdfs"}, asked
	c.Options = map[string]string{"dfs.replication": strconv.Itoa(copies)}
	c.LostAfter = 2 * time.Minute
	return c.Service()
}

// simulatedOf is a cluster under faults, with a model of what real servers do, which
// the gates ask; see sim_model_test.go.
func simulatedOf(s *frameworks.Service) mesostest.SimConfig {
	sim := simtest.Config(s)
	sim.Model = newFiles
	// Here operators remove nodes as well, and lost data nodes are replaced by themselves.
	sim.Rules = slices.DeleteFunc(sim.Rules, func(r mesostest.Rule) bool { return r.Name == "volumes are destroyed by wish only" })
	sim.Rules = append(sim.Rules, mesostest.Rule{Name: "no block is lost", Check: func(w *mesostest.World) error { return w.Model().(*files).broken }})
	f := &sim.Frameworks[0]
	f.Task = func(_ mesos.TaskInfo, luck uint64) mesostest.TaskPlan {
		return mesostest.TaskPlan{
			Start: time.Duration(luck%9000) * time.Millisecond, Ready: time.Second, Stop: time.Duration(luck%7000) * time.Millisecond,
		}
	}
	f.Work = func(w *mesostest.World, job scheduler.Job) ([]byte, error) {
		return s.Work(context.WithValue(context.Background(), inWorld{}, w), job)
	}
	f.Operator = operator
	return sim
}

// operator is one who forces what is about journal and name nodes, which the model
// knows nothing of, and never what is about data nodes.
func operator(pick uint16) any {
	data := fmt.Sprint("data-", pick%4)
	switch pick >> 2 % 8 {
	case 0, 1:
		return frameworks.ReplaceNode{Node: data}
	case 2:
		return frameworks.ScalePod{Pod: dataPod, Count: 4}
	case 3:
		return frameworks.ScalePod{Pod: dataPod, Count: 3}
	case 4:
		return frameworks.RemoveNode{Node: data}
	case 5:
		return frameworks.RestartNode{Node: data}
	case 6:
		return frameworks.ReplaceNode{Node: []string{"journal-0", "journal-1", "name-0", "name-1"}[pick%4], Force: true}
	}
	return frameworks.RestartNode{Node: []string{"journal-2", "journal-1", "name-0", "name-1"}[pick%4]}
}

// TestSimulatedFindsLostBlocks: each of the questions that data nodes are asked before
// their disks are given up is wanted, and the rule can fail.
func TestSimulatedFindsLostBlocks(t *testing.T) {
	t.Parallel()
	spare := func(context.Context, frameworks.Deployment, []frameworks.Node) error { return nil }
	leave := func(context.Context, frameworks.Deployment, frameworks.Node) error { return nil }
	for name, bug := range map[string]func(*frameworks.Pod){
		"any disk may be given up":     func(p *frameworks.Pod) { p.Spare, p.Replaceable = spare, nil },
		"data nodes leave with blocks": func(p *frameworks.Pod) { p.Leave = leave },
		"the name node is not asked":   func(p *frameworks.Pod) { p.Spare = spare },
		"dead is taken for given up": func(p *frameworks.Pod) {
			*p = declaredBy(trusting{}).Pods[1]
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mesostest.MustFind(t, 1, 200_000, func(uint64) mesostest.SimConfig {
				s := declared()
				bug(&s.Pods[slices.IndexFunc(s.Pods, func(p frameworks.Pod) bool { return p.Name == dataPod })])
				c := simulatedOf(s)
				c.Rates = mesostest.DefaultRates().Times(0.3)
				c.Rates[mesostest.Operator] = 900
				c.Frameworks[0].Goal = nil // what does no harm is not looked for
				return c
			}, "no block is lost")
		})
	}
}

func TestSimulated(t *testing.T) {
	t.Parallel()
	mesostest.Simulate(t, 4_000, simulated())
}

// TestSimulatedUpdates: the options change while faults strike, to some that are
// taken and some that are refused.
func TestSimulatedUpdates(t *testing.T) {
	t.Parallel()
	var updates []any
	for _, change := range []string{
		`{"options": {"dfs.blocksize": "1048576"}}`, `{"data": {"heap": 512}}`, `{"data": {"count": 4}}`, `{"name": {"mem": 1024}}`,
		`{"journal": {"cpus": 0.2}, "trust": "journal-1"}`, `{"journal": {"count": 5}}`, `{"zookeeper": "other:2181"}`, `{}`,
	} {
		updates = append(updates, frameworks.Update{Options: changed(t, `{"name": {"count": 3}}`, change)}, frameworks.Rollback{})
	}
	sim := simulated()
	f := &sim.Frameworks[0]
	others := f.Operator
	f.Operator = func(pick uint16) any {
		if pick%2 == 0 {
			return updates[int(pick/2)%len(updates)]
		}
		return others(pick / 2)
	}
	sim.Rates = mesostest.DefaultRates()
	sim.Rates[mesostest.Operator] = 600
	mesostest.Simulate(t, 8_000, sim)
}

func TestSimulatedForLong(t *testing.T) { mesostest.SoakTest(t, simulated) }
