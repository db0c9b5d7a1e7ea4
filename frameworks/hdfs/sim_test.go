package hdfs

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/mesokit/mesokit/frameworks"
	"github.com/mesokit/mesokit/frameworks/simtest"
	"github.com/mesokit/mesokit/scheduler"
	"github.com/mesokit/mesokit/scheduler/mesostest"
)

// simulated is a cluster under faults, with servers that serve while they run:
// name nodes while a majority of the journal nodes does, data nodes while a name
// node does.
func simulated() mesostest.SimConfig {
	c := valid()
	c.Name, c.Binary = "files", frameworks.Binary{Path: "/opt/mesos-hdfs"}
	sim := simtest.Config(c.Service())
	f := &sim.Frameworks[0]
	f.Task = func(_ mesos.TaskInfo, luck uint64) mesostest.TaskPlan {
		return mesostest.TaskPlan{
			Start: time.Duration(luck%9000) * time.Millisecond, Ready: time.Second, Stop: time.Duration(luck%7000) * time.Millisecond,
		}
	}
	f.Work = answer
	f.Operator = func(pick uint16) any {
		node := []string{"journal-0", "journal-1", "journal-2", "name-0", "name-1", "data-0", "data-1", "data-3"}[pick%8]
		switch pick >> 4 % 4 {
		case 0:
			return frameworks.ReplaceNode{Node: node, Force: true}
		case 1:
			return frameworks.ScalePod{Pod: dataPod, Count: 4}
		}
		return frameworks.RestartNode{Node: node}
	}
	return sim
}

// answer is what the servers say to gates, as far as they run.
func answer(w *mesostest.World, job scheduler.Job) ([]byte, error) {
	kind, id, _ := strings.Cut(job.Name, "/")
	running := map[string]int{}
	for _, t := range w.Running() {
		pod, _, _ := strings.Cut(t.Node, "-")
		running[pod]++
	}
	few := func(pod string, least int) bool { return strings.Contains(id, "."+pod) && running[pod] < least }
	switch {
	case kind == "gate" && !w.Runs("files", id):
		return nil, fmt.Errorf("%s does not serve", id)
	case kind == "gate" && strings.Contains(id, ".name-") && running[journalPod] < 2:
		return nil, errors.New("no majority of the journal nodes")
	case kind == "gate" && strings.Contains(id, ".data-") && running[namePod] < 1:
		return nil, errors.New("no name node is active")
	case kind == "spare" && (few(journalPod, 3) || few(namePod, 2)):
		return nil, errors.New("too few would remain")
	case kind == "look":
		return nil, errors.New("nobody is there to look at")
	}
	return nil, nil
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
