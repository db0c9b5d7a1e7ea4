package frameworks

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/constraints"
	"github.com/mesokit/mesokit/executor"
	"github.com/mesokit/mesokit/scheduler"
)

// plenty is a machine that holds as many nodes as a test wants.
const plenty = "cpus:4000;mem:4000000;disk:9000000;ports:[20000-59999]"

// large is a service of many nodes that know nothing of each other.
func large(name string, count int) *Service {
	s := quorum(count)
	s.Name = name
	p := &s.Pods[0]
	p.Place, p.Together, p.Ready = constraints.Rules{}, false, nil
	p.Volumes[0].Size = 1000
	p.Task = func(_ Deployment, n Node) (executor.Task, error) {
		return executor.Task{Command: []string{"db", n.Name}}, nil
	}
	return s
}

// fleet is so many services of one node.
func fleet(count int) *Services {
	s := &Services{}
	for i := range count {
		s.Declared = append(s.Declared, large(fmt.Sprintf("s%03d", i), 1))
	}
	return s
}

// BenchmarkStep is what an event costs that concerns one node of one service:
// its executor asks for a lease that it does not have.
func BenchmarkStep(b *testing.B) {
	bench := func(b *testing.B, w *world, task string) {
		b.Helper()
		data, err := executor.EncodeMessage(executor.Renew{Task: task, Number: 1})
		require.NoError(b, err)
		event := scheduler.Messaged{Agent: w.agents[0].model.ID(), Executor: task, Data: data}
		b.ReportAllocs()
		for b.Loop() {
			w.machine.Step(w.now, event)
		}
	}
	for _, n := range []int{1, 10, 100, 1000} {
		b.Run(fmt.Sprintf("nodes-%d", n), func(b *testing.B) {
			w := newWorld(&testing.T{}, large("db", n), 50, plenty)
			w.until(time.Hour, "all are ready", w.allReady(n))
			bench(b, w, "db.node-0.1")
		})
	}
	for _, n := range []int{1, 10, 200} {
		b.Run(fmt.Sprintf("services-%d", n), func(b *testing.B) {
			w := newWorldOf(&testing.T{}, fleet(n), 10, plenty)
			w.until(time.Hour, "all are ready", w.fleetReady(n))
			bench(b, w, "s000.node-0.1")
		})
	}
}

// fleetReady waits for one ready node of each service.
func (w *world) fleetReady(n int) func() bool {
	return func() bool {
		ready := 0
		for _, s := range w.overview().Services {
			ready += s.Ready
		}
		return ready == n
	}
}

// A record is read again only when it has changed, and written only then.
func TestNodesAreReadOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, quorum(3), 3, agentResources)
	w.until(time.Minute, "ready", w.allReady(3))
	before := map[string]*decoded{}
	for name, known := range w.service.memo.nodes {
		before[name] = known
	}
	require.Len(t, before, 3)
	w.status()
	for name, known := range w.service.memo.nodes {
		assert.Same(t, before[name], known)
	}
	w.do(StopNode{"node-1"})
	w.until(time.Minute, "stopped", func() bool { return w.status().Nodes[1].Phase == Stopped })
	assert.Same(t, before["node-0"], w.service.memo.nodes["node-0"])
	assert.NotSame(t, before["node-1"], w.service.memo.nodes["node-1"])

	effects := w.machine.Step(w.now, scheduler.AgentLost{Agent: "nobody's"})
	assert.Empty(t, effects.Save, "nothing changed")
	w.do(StartNode{"node-1"})
	w.until(time.Minute, "ready", w.allReady(3))
	w.do(RemoveNode{Node: "node-2"})
	w.until(5*time.Minute, "it has left", func() bool { return len(w.status().Nodes) == 2 })
	w.status()
	assert.Len(t, w.service.memo.nodes, 2)
}
