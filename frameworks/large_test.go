package frameworks

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/constraints"
	"github.com/mesokit/mesokit/executor"
	"github.com/mesokit/mesokit/scheduler"
	"github.com/mesokit/mesokit/scheduler/state"
)

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

// settled is a scheduler of services whose nodes are all ready, as another
// finds it in the store and subscribes.
func settled(t testing.TB, handler scheduler.Handler, services ...*Service) *scheduler.Machine {
	t.Helper()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	records := []state.Record{{Key: "identity", Value: []byte(`{"framework_id":"F","seed":"c2VlZCBvZiBzaXh0ZWVuIGJ5dGVz"}`)}}
	put := func(key string, value []byte, err error) {
		require.NoError(t, err)
		records = append(records, state.Record{Key: key, Value: value})
	}
	for _, s := range services {
		count := s.Pods[0].Count
		record, err := encode(podRecord{First: count, Count: count, Deployed: true})
		put("handler/"+s.Name+"/pod/node", record, err)
		for i := range count {
			n := newNode("node", i, past{})
			n.Place = &Place{
				Agent: fmt.Sprintf("A%d", i), Hostname: fmt.Sprintf("agent-%d", i), Address: fmt.Sprintf("10.0.%d.%d", i/256, i%256),
				Resources: placeOf(s, n), Ports: map[string]uint64{"peer": 31000}, Reserved: true, Used: true,
			}
			n.Arrived, n.Incarnation, n.Alive, n.Ready, n.ReadySince = 1, 1, true, true, now
			record, err := encode(n)
			put("handler/"+s.Name+"/node/"+n.Name, record, err)
			id, state := mesos.TaskID{Value: s.taskID(n)}, mesos.TASK_RUNNING
			info := mesos.TaskInfo{Name: n.Name, TaskID: id, AgentID: mesos.AgentID{Value: n.Place.Agent}}
			text, err := info.Marshal()
			require.NoError(t, err)
			record, err = json.Marshal(map[string][]byte{"info": text})
			put("task/"+id.Value, record, err)
			status := mesos.TaskStatus{TaskID: id, State: &state, AgentID: &info.AgentID}
			text, err = status.Marshal()
			require.NoError(t, err)
			record, err = json.Marshal(map[string]any{"status": text, "since": now})
			put("status/"+id.Value, record, err)
		}
	}
	m, err := scheduler.NewMachine(handler, nil, records)
	require.NoError(t, err)
	m.Step(now, scheduler.Tick{})
	m.Subscribe(mesos.FrameworkInfo{Name: "large", User: "root", Roles: []string{services[0].role()}})
	m.Step(now, scheduler.Subscribed{FrameworkID: "F"})
	for range 100 { // the nodes are compared with what they would be rendered from
		now = now.Add(10 * time.Millisecond)
		m.Step(now, scheduler.Tick{})
	}
	for _, s := range services {
		require.Len(t, s.memo.roster.rest, s.Pods[0].Count, "all are ready, and nothing is to be done for them")
	}
	return m
}

// placeOf is what a node has reserved.
func placeOf(s *Service, n *Node) []mesos.Resource {
	id := fmt.Sprintf("%s.%s.1", s.Name, n.Name)
	out := s.Pods[0].Needs.List()
	for _, v := range s.Pods[0].Volumes {
		disk := mesos.Resource{Name: "disk", Type: mesos.SCALAR.Enum(), Scalar: v.Size.Scalar(), Disk: &mesos.Resource_DiskInfo{
			Persistence: &mesos.Resource_DiskInfo_Persistence{ID: id + "." + v.Name},
			Volume:      &mesos.Volume{ContainerPath: v.Path, Mode: mesos.RW.Enum()},
		}}
		out = append(out, disk)
	}
	ports := &mesos.Value_Ranges{Range: []mesos.Value_Range{{Begin: 31000, End: 31000}}}
	out = append(out, mesos.Resource{Name: "ports", Type: mesos.RANGES.Enum(), Ranges: ports})
	for i := range out {
		out[i].Reservations = []mesos.Resource_ReservationInfo{{Role: new(s.role()), Labels: &mesos.Labels{Labels: []mesos.Label{
			{Key: labelService, Value: &s.Name}, {Key: labelNode, Value: &n.Name}, {Key: labelResource, Value: &id},
		}}}}
	}
	return out
}

// ask is an event that concerns one node: its executor asks for a lease.
func ask(t testing.TB, task string) scheduler.Event {
	t.Helper()
	data, err := executor.EncodeMessage(executor.Renew{Task: task, Number: 1})
	require.NoError(t, err)
	return scheduler.Messaged{Agent: "A0", Executor: task, Data: data}
}

// BenchmarkStep is what an event costs that concerns one node of one service.
func BenchmarkStep(b *testing.B) {
	now := time.Date(2026, 1, 1, 1, 0, 0, 0, time.UTC)
	bench := func(b *testing.B, m *scheduler.Machine, event scheduler.Event) {
		b.Helper()
		m.Step(now, event)
		b.ReportAllocs()
		for b.Loop() {
			m.Step(now, event)
		}
	}
	for _, n := range []int{1, 10, 100, 1000} {
		b.Run(fmt.Sprintf("nodes-%d", n), func(b *testing.B) {
			s := large("db", n)
			bench(b, settled(b, s, s), ask(b, "db.node-0.1"))
		})
	}
	for _, n := range []int{1, 10, 200} {
		b.Run(fmt.Sprintf("services-%d", n), func(b *testing.B) {
			s := fleet(n)
			bench(b, settled(b, s, s.Declared...), ask(b, "s000.node-0.1"))
		})
	}
}

// An event costs no more where there are many other services.
func TestAnEventCostsWhatItsServiceCosts(t *testing.T) {
	now := time.Date(2026, 1, 1, 1, 0, 0, 0, time.UTC)
	cost := func(n int) float64 {
		s := fleet(n)
		m := settled(t, s, s.Declared...)
		event := ask(t, "s000.node-0.1")
		return testing.AllocsPerRun(20, func() { m.Step(now, event) })
	}
	few, many := cost(2), cost(200)
	assert.Less(t, many, 2*few, "allocations of an event among 2 and among 200 services")
}

// BenchmarkDeploy is a whole deployment on the modelled Mesos: one service of
// many nodes, and many services of one.
func BenchmarkDeploy(b *testing.B) {
	const plenty = "cpus:4000;mem:4000000;disk:9000000;ports:[20000-59999]"
	for _, n := range []int{10, 100, 1000} {
		b.Run(fmt.Sprintf("nodes-%d", n), func(b *testing.B) {
			for b.Loop() {
				w := newWorld(&testing.T{}, large("db", n), n, agentResources)
				w.until(time.Hour, "all are ready", w.allReady(n))
			}
		})
	}
	b.Run("services-200", func(b *testing.B) {
		for b.Loop() {
			w := newWorldOf(&testing.T{}, fleet(200), 20, plenty)
			w.until(time.Hour, "all are ready", w.fleetReady(200))
		}
	})
}

// A thousand nodes (in make soak; else three hundred) are deployed; the scheduler dies, and the next finds them;
// they get another configuration; two agents are lost, of which one comes back.
func TestAThousandNodes(t *testing.T) {
	t.Parallel()
	count := 300
	if soaks() {
		count = 1000
	}
	s := large("db", count)
	p := &s.Pods[0]
	p.Recovery = Recovery{After: time.Hour, Most: 2}
	p.Rollout.Parallel = 100
	p.Spare = func(context.Context, Deployment, []Node) error { return nil }
	w := newWorld(t, s, 50, "cpus:40;mem:40000;disk:90000;ports:[20000-59999]")
	w.until(time.Hour, "all are ready", w.allReady(count))
	w.configure(version("2"))
	w.until(3*time.Hour, "all are updated", w.updated(count))
	assert.Len(t, w.started, 2*count)

	lost := w.status().Nodes[7].Place.Agent
	there := 0
	for _, n := range w.status().Nodes {
		if n.Place.Agent == lost {
			there++
		}
	}
	require.Greater(t, there, 2)
	w.cutAgentOf(w.status().Nodes[7])
	w.until(time.Hour, "some are lost", func() bool { return w.status().Ready == count-there })
	w.heal(w.agentOf(w.status().Nodes[7]))
	w.until(time.Hour, "all are back", w.allReady(count))
	assert.Len(t, w.started, 2*count, "the servers ran on")
}

// A rack of a hundred nodes on four goes. Its nodes are replaced one at a time,
// with the pause that the pod wants, and only where it allows that many to be
// lost; those whose turn has not come when the rack is back stay where they are.
func TestALostRackSetsOffNoStorm(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ most, moved int }{
		"more than may be lost": {most: 24, moved: 0},
		"as many as may be":     {most: 25, moved: 6},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := large("db", 100)
			s.Pods[0].Place = constraints.MustParse("hostname:UNIQUE")
			s.Pods[0].Recovery = Recovery{After: 30 * time.Minute, Most: c.most}
			w := newWorld(t, s, 0, agentResources)
			w.racks = 4
			for i := range 116 {
				w.addAgent(i, agentResources)
			}
			w.until(time.Hour, "all are ready", w.allReady(100))
			moved := func() (moved, waiting int) {
				for _, n := range w.status().Nodes {
					if n.Generation > 1 {
						moved++
					} else if n.Phase == Unreachable && n.Waits != "" {
						waiting++
					}
				}
				return moved, waiting
			}
			lost := map[string]string{} // places by node
			for _, n := range w.status().Nodes {
				if n.Place.Attribute("rack") == "r1" {
					lost[n.Name] = volumeOf(n)
				}
			}
			require.Len(t, lost, 25)
			for i, a := range w.agents {
				if i%4 == 0 {
					a.cut = true
				}
			}
			w.pass(90 * time.Minute)
			n, waiting := moved()
			assert.InDelta(t, c.moved, n, 1, "replaced within the hour after the first half")
			if c.moved == 0 {
				assert.Equal(t, 25, waiting, "the others say what they wait for")
			}
			for i, a := range w.agents {
				if i%4 == 0 {
					w.heal(a)
				}
			}
			w.until(time.Hour, "all are ready", w.allReady(100))
			after, _ := moved()
			assert.LessOrEqual(t, after, n+1, "as the rack comes back, at most one more")
			w.until(2*time.Hour, "the places that were left are freed", func() bool { return len(w.removed) == after })
			for _, n := range w.status().Nodes {
				assert.Equal(t, n.Generation > 1, w.removed[lost[n.Name]] == 1, "%s has lost its data only where it was replaced", n.Name)
			}
		})
	}
}

// An event costs no more where there are many other nodes: in allocations, and
// in bytes.
func TestAnEventCostsWhatItTouches(t *testing.T) {
	now := time.Date(2026, 1, 1, 1, 0, 0, 0, time.UTC)
	cost := func(n int) float64 {
		s := large("db", n)
		m := settled(t, s, s)
		event := ask(t, "db.node-0.1")
		return testing.AllocsPerRun(20, func() { m.Step(now, event) })
	}
	few, many := cost(10), cost(1000)
	assert.Less(t, many, few+10, "allocations of an event among 10 and among 1000 nodes")
}

// Two hundred services of one scheduler are deployed; it dies, and the next
// finds them; one is updated, one loses its agent and gets another place.
func TestTwoHundredServices(t *testing.T) {
	t.Parallel()
	const count = 200
	all := fleet(count)
	w := newWorldOf(t, all, 20, "cpus:40;mem:40000;disk:90000;ports:[20000-59999]")
	ready := w.fleetReady(count)
	w.until(time.Hour, "all are ready", ready)
	w.crash()
	w.until(time.Hour, "all are found", ready)
	assert.Len(t, w.started, count)

	value, err := w.send(ToService{"s007", RestartNode{Node: "node-0"}})
	require.NoError(t, err)
	old := value.(Status).Nodes[0].Place
	_, err = w.send(ToService{"s042", ReplaceNode{Node: "node-0"}})
	require.NoError(t, err)
	w.until(time.Hour, "both are back", func() bool { return w.started["s007.node-0.2"] == 1 && ready() })
	value, err = w.send(ToService{"s007", AskStatus{}})
	require.NoError(t, err)
	assert.Equal(t, old.Agent, value.(Status).Nodes[0].Place.Agent)
	assert.Len(t, w.started, count+2, "nobody else was touched")
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
	maps.Copy(before, w.service.memo.nodes)
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
